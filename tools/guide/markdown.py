# SPDX-License-Identifier: Apache-2.0
"""The reference as Markdown (MyST), from the program's tables."""
import re

import attributes
from tables import flags


def pages(tables):
    """{"index.md": text, ...}, without the C API (api.py)."""
    made = {"index.md": INDEX, "spec.md": spec(tables), "results.md": results(tables),
            "environment.md": environment(tables), "status.md": statuses(tables),
            "commands.md": commands(tables)}
    for command in tables["commands"]:
        made[f"escapement-{command['name']}.md"] = command_page(command)
    return made


INDEX = """\
# Reference

Made by `tools/guide/generate.py` from the tables with which the program parses and writes, and from the
public headers.

```{toctree}
commands
spec
results
environment
status
api
```

[spec.schema.json](spec.schema.json) is a JSON Schema of the spec, for editors.
"""

SPECIAL = "\\`*_{}[]<>|$~#&"


def text(plain):
    """Plain text as Markdown's: no character of it is a mark, but for words in backquotes."""
    parts = re.split("`([^`\n]+)`", plain)
    escaped = ["".join("\\" + c if c in SPECIAL else c for c in part) for part in parts[::2]]
    quoted = [code(part) for part in parts[1::2]] + [""]
    return "".join(a + b for a, b in zip(escaped, quoted))


def line_of(plain):
    """A line of a paragraph: its beginning is no mark of a list."""
    return re.sub(r"^(\d+)?([-+.)])(?= )", r"\1\\\2", text(plain))


def sentence(plain):
    return text(plain[0].upper() + plain[1:]) + "."


def code(plain):
    """In backquotes, as many as are needed."""
    fence = "``" if "`" in plain else "`"
    pad = " " if "`" in plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(cell, row)) + " |" for row in rows]) + "\n"


def cell(markdown):
    """Within backquotes, too, | would end the cell."""
    return re.sub("`[^`]+`", lambda found: found[0].replace("|", "\\|"), markdown)


def paragraphs(plain):
    """Lines joined to paragraphs; lines that begin with spaces keep their layout."""
    out, verbatim = [], False
    for line in plain.split("\n"):
        if line.startswith(" ") != verbatim:
            verbatim = not verbatim
            out += ["", "```text"] if verbatim else ["```", ""]
        out.append(line if verbatim else line_of(line))
    return "\n".join(out + (["```"] if verbatim else []))


# ---- commands ----

def commands(tables):
    rows = [[f"[{c['name']}](escapement-{c['name']}.md)", text(c["summary"])] for c in tables["commands"]]
    toctree = "\n".join(f"escapement-{c['name']}" for c in tables["commands"])
    return (f"# Commands\n\n{paragraphs(tables['summary'])}\n\n```text\nescapement {tables['usage']}\n```\n\n"
            f"{table(['command', 'effect'], rows)}\nResults go to standard output, messages and progress to "
            "standard error. `--json` prints one JSON object on standard output. `escapement help COMMAND` "
            "is the same as `escapement COMMAND --help`; `--help=json` prints the tables from which these "
            f"pages are made.\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n")


def allowed(option):
    if option["values"]:
        return ", ".join(code(v) for v in option["values"])
    if option["minimum"] is None:
        return ""
    return f"{option['minimum']} to {option['maximum']}"


def option_name(option):
    argument = f" {option['argument']}" if option["argument"] else ""
    return code(", ".join(flags(option)) + argument)


def command_page(command):
    rows = [[option_name(o), text(o["help"]), allowed(o)] for o in command["options"]]
    related = "`key=value` arguments replace keys of the [spec](spec.md).\n\n" \
        if command["operands"]["overrides"] else ""
    return (f"# escapement {command['name']}\n\n```text\nescapement {command['usage']}\n```\n\n"
            f"{paragraphs(command['description'])}\n\n{related}"
            f"{table(['option', 'meaning', 'allowed'], rows)}\n[Exit status](status.md)\n")


# ---- spec ----

def default_of(key):
    if key["default"] is not None:
        return code(key["default"])
    return text(key["default_rule"]) if key["default_rule"] else "required"


def key_rows(keys):
    return [[code(k["path"]), text(k["help"]) + (f" ({text(k['unit'])})" if k["unit"] else ""),
             text(k["allowed"]), default_of(k)] for k in keys]


def spec(tables):
    head = ["key", "meaning", "allowed", "default"]
    out = ["# Spec", "", "A sweep is one YAML file with the keys below. `[]` stands for each element of a list. On the "
           "command line `key=value` replaces a value, for instance `train.batch=128`.", ""]
    is_section = lambda key: key["type"] == "section" and "list" not in key["shapes"]
    sections = [key for key in tables["spec"] if is_section(key)]
    top = [key for key in tables["spec"] if "." not in key["path"] and not is_section(key)]
    out += [table(head, key_rows(top))]
    for section in sections:
        below = [k for k in tables["spec"] if k["path"].startswith(section["path"] + ".")]
        out += [f"## {section['path']}", "", sentence(section["help"]), "", table(head, key_rows(below))]
    return "\n".join(out)


# ---- results ----

def results(tables):
    rows = [[code(v["name"]), code("(" + ", ".join(v["dimensions"]) + ")"), v["type"], text(v["units"]),
             text(v["long_name"])] for v in tables["variables"]]
    attribute_rows = [[code(name), text(meaning)] for name, meaning in attributes.ATTRIBUTES.items()]
    return ("# Results\n\nA result file is HDF5 in the layout of netCDF-4 (CF conventions). `member` is one trained "
            "network. Variables with the dimension `snapshot`, and those with names that end in `_end`, exist if the spec "
            "asks for snapshots (`record`). Coordinates: `threshold` (loss), `snapshot` (step).\n\n## Variables\n\n"
            + table(["variable", "dimensions", "type", "unit", "meaning"], rows)
            + "\n## Attributes\n\n" + table(["attribute", "meaning"], attribute_rows))


# ---- environment, exit statuses ----

def environment(tables):
    rows = [[code(v["name"]), text(v["help"])] for v in tables["environment"] if not v["internal"]]
    internal = [[code(v["name"]), text(v["help"])] for v in tables["environment"] if v["internal"]]
    return ("# Environment variables\n\n" + table(["variable", "meaning"], rows)
            + "\nBetween processes of the program, not for users:\n\n" + table(["variable", "meaning"], internal))


def statuses(tables):
    meanings = {}
    for row in tables["exit_statuses"]:
        meanings.setdefault(row["status"], []).append(row["meaning"])
    rows = [[str(status), text("; ".join(words))] for status, words in sorted(meanings.items())]
    return ("# Exit status\n\n" + table(["status", "meaning"], rows)
            + "\nWith status 2 and 3 one line on standard error names what failed, where, and what is allowed or "
            "was saved.\n")
