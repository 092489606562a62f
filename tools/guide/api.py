# SPDX-License-Identifier: Apache-2.0
"""The C API as Markdown (MyST), from the comments of the public headers."""
import re

from markdown import line_of, text

NOISE = re.compile(r"/\* SPDX-License-Identifier: .* \*/|ESC_BEGIN_DECLS|ESC_END_DECLS|#include .*|#endif|#ifndef ESCAPEMENT_\w+_H|"
                   r"#define ESCAPEMENT_\w+_H")
COMMENT = re.compile(r"/\*(.*?)\*/", re.S)
RULE = re.compile(r"---- (.*) ----$")
NAMES = re.compile(r"\b(esc_\w+)\s*\(|}\s*(esc_\w+);|^typedef struct \w+ (esc_\w+);|"
                   r"#define (ESC_[A-Z_]+)|^typedef \w+ (esc_\w+)\(", re.M)


def pages(headers):
    """headers: {"run.h": text}. {"api.md": text, "api-run.md": text, ...}."""
    made = {f"api-{name[:-2]}.md": page(name, header) for name, header in headers.items()}
    order = sorted(made, key=lambda name: (name != "api-escapement.md", name))
    entries = "\n".join(name[:-3] for name in order)
    made["api.md"] = ("# C API\n\n`#include <escapement/escapement.h>` includes all of these. "
                      "[The C library](../guide/library.md) has an example.\n\n"
                      f"```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n")
    return made


def page(name, header):
    """A heading for each declaration, with its comment; the head's comment first."""
    blocks = split(header)
    out = [f"# escapement/{name}", ""]
    if blocks and not blocks[0][1]:
        out += [prose(blocks.pop(0)[0]), ""]
    for comment, code in blocks:
        rule = RULE.search(comment.strip())
        if rule and not code:
            out += [f"**{text(rule[1])}**", ""]
            continue
        names = dict.fromkeys(n for found in NAMES.findall(code) for n in found if n)
        if names and code:
            out += [f"## {', '.join(text(n) for n in names)}", ""]
        if comment:
            out += [prose(comment), ""]
        if code:
            out += ["```c", code, "```", ""]
    return "\n".join(out)


def split(header):
    """[(comment, code)]: blocks between empty lines; a comment alone joins nothing."""
    lines = [line for line in header.split("\n") if not NOISE.fullmatch(line.strip())]
    blocks, body = [], []
    depth = inside = 0
    for line in lines + [""]:
        inside = (inside or "/*" in line) and "*/" not in line[line.rfind("/*") if "/*" in line else 0:]
        depth += line.count("{") - line.count("}")
        if line.strip() or inside or depth > 0:
            body.append(line)
            continue
        if body:
            blocks.append(block("\n".join(body)))
        body = []
    return blocks


def block(body):
    found = COMMENT.match(body)
    if not found:
        return "", body
    return found[1], body[found.end():].strip("\n")


def prose(comment):
    """A comment without its stars; indented lines keep their layout."""
    lines = [re.sub(r"^ \* ?", "", line).rstrip() for line in comment.strip().split("\n")]
    out, verbatim = [], False
    for line in lines:
        wants = line.startswith("  ") or (verbatim and not line)
        if wants != verbatim:
            out += ["", "```text"] if wants else ["```", ""]
            verbatim = wants
        out.append(line if verbatim else line_of(line))
    return "\n".join(out + (["```"] if verbatim else []))
