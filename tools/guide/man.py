# SPDX-License-Identifier: Apache-2.0
"""Man pages, in the man macros of troff."""
from tables import flags


def pages(tables):
    """{"escapement.1": text, ...}."""
    made = {"escapement.1": program_page(tables), "escapement-spec.5": spec_page(tables),
            "escapement-result.5": result_page(tables)}
    for command in tables["commands"]:
        made[f"escapement-{command['name']}.1"] = command_page(tables, command)
    return made


# ---- troff ----

def text(plain):
    """Plain text as troff's: no character of it is a command."""
    escaped = plain.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    escaped = "".join(c if ord(c) < 128 else f"\\[u{ord(c):04X}]" for c in escaped)
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in escaped.split("\n"))


def bold(plain):
    return f"\\fB{text(plain)}\\fR"


def italic(plain):
    return f"\\fI{text(plain)}\\fR"


def head(tables, name, section, summary):
    quoted = text(name.upper())
    return [f'.TH "{quoted}" "{section}" "" "escapement {tables["version"]}" "escapement manual"',
            ".SH NAME", f"{text(name)} \\- {text(summary)}"]


def paragraphs(plain):
    """Lines joined to paragraphs; lines that begin with spaces keep their layout."""
    out, verbatim = [], False
    for line in plain.split("\n"):
        if line.startswith(" ") != verbatim:
            verbatim = not verbatim
            out += [".PP", ".nf"] if verbatim else [".fi", ".PP"]
        out.append(text(line))
    return out + ([".fi"] if verbatim else [])


def entry(term, *phrases):
    return [".TP", term, text("; ".join(p for p in phrases if p))]


def references(names):
    pages_named = sorted(names, key=lambda n: (n[1], n[0]))
    return [".SH SEE ALSO", ",\n".join(f"{bold(name)}({section})" for name, section in pages_named)]


# ---- pages ----

def allowed(option):
    """The range of a number, where the help does not list the values already."""
    if option["minimum"] is None or option["values"]:
        return ""
    return f"a whole number from {option['minimum']} to {option['maximum']}"


def named(option):
    """Values that the help does not name itself."""
    missing = [v for v in option["values"] if v not in option["help"]]
    return "values: " + ", ".join(option["values"]) if missing else ""


def options(rows):
    out = [".SH OPTIONS"]
    for option in rows:
        term = ", ".join(bold(flag) for flag in flags(option))
        if option["argument"]:
            term += " " + italic(option["argument"])
        out += entry(term, option["help"], allowed(option), named(option))
    return out


def exit_statuses(tables):
    meanings = {}
    for row in tables["exit_statuses"]:
        meanings.setdefault(row["status"], []).append(row["meaning"])
    out = [".SH EXIT STATUS"]
    for status, words in sorted(meanings.items()):
        out += entry(bold(str(status)), "; ".join(words))
    return out


def environment(tables):
    out = [".SH ENVIRONMENT"]
    for row in tables["environment"]:
        if not row["internal"]:
            out += entry(bold(row["name"]), row["help"])
    return out


def program_page(tables):
    out = head(tables, "escapement", 1, "time the escape of small networks from saddles")
    out += [".SH SYNOPSIS", bold("escapement") + " " + text(tables["usage"]), ".SH DESCRIPTION",
            *paragraphs(tables["summary"]),
            ".PP", text("Results go to standard output, messages and progress to standard error."),
            ".SH COMMANDS"]
    for command in tables["commands"]:
        out += entry(bold(command["name"]), command["summary"])
    out += entry(bold("help") + " " + italic("command"), "describe the options of a command")
    out += options(tables["options"]) + exit_statuses(tables) + environment(tables)
    return finish(out + references([(f"escapement-{c['name']}", 1) for c in tables["commands"]] +
                                   [("escapement-spec", 5), ("escapement-result", 5)]))


def command_page(tables, command):
    name = f"escapement-{command['name']}"
    out = head(tables, name, 1, command["summary"])
    out += [".SH SYNOPSIS", bold("escapement") + " " + text(command["usage"]), ".SH DESCRIPTION",
            *paragraphs(command["description"]), *options(command["options"]),
            *exit_statuses(tables)]
    related = [("escapement", 1)]
    if command["operands"]["overrides"]:
        related.append(("escapement-spec", 5))
    if "h5" in command["operands"]["suffixes"]:
        related.append(("escapement-result", 5))
    return finish(out + references(related))


def key_entry(key):
    unit = f" ({key['unit']})" if key["unit"] else ""
    default = key["default"] or key["default_rule"]
    return entry(bold(key["path"]) + text(unit), key["help"], key["allowed"],
                 f"default: {default}" if default else "required")


def spec_page(tables):
    out = head(tables, "escapement-spec", 5, "keys of a sweep's specification")
    out += [".SH DESCRIPTION",
            text("A sweep is one YAML file. Its keys are those below; [] stands for each element of"),
            text("a list. On the command line"), italic("key=value"),
            text("replaces the value of a key, for instance train.batch=128.")]
    for key in tables["spec"]:
        if key["type"] == "section" and "list" not in key["shapes"]:
            out += [f'.SH "{text(key["path"].upper())}"', text(key["help"])]
        elif "." not in key["path"]:
            out += [".SH GENERAL"] + key_entry(key)
        else:
            out += key_entry(key)
    return finish(out + references([("escapement", 1), ("escapement-run", 1)]))


def result_page(tables):
    out = head(tables, "escapement-result", 5, "variables of a result file")
    out += [".SH DESCRIPTION",
            text("A result is an HDF5 file with the conventions of netCDF. The first dimension of"),
            text("every variable is member, one trained network. Variables with the dimension"),
            text("snapshot, and those whose names end in _end, are present when the spec asks for"),
            text("snapshots (record)."),
            ".SH VARIABLES"]
    for variable in tables["variables"]:
        unit = "" if variable["units"] == "1" else f", {variable['units']}"
        shape = ", ".join(variable["dimensions"])
        out += entry(bold(variable["name"]) + text(f" ({shape}), {variable['type']}{unit}"),
                     variable["long_name"])
    return finish(out + references([("escapement", 1), ("escapement-spec", 5)]))


def finish(lines):
    return "\n".join(lines) + "\n"
