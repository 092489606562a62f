# SPDX-License-Identifier: Apache-2.0
"""Reads a PTX module: its functions, their parameters, and the statements of their bodies.

Nothing is skipped unless it is known to have no effect on what a thread computes; anything
else raises Refused, with the line."""
import re

BYTES = {f"{kind}{bits}": bits // 8 for kind in "bus" for bits in (8, 16, 32, 64)}
BYTES.update(f32=4, f64=8)

# Assembler information, and hints for the scheduling of registers and loops.
IGNORED = re.compile(r"\.(version|target|address_size|file|loc)\b[^\n]*"
                     r"|\.section\s+\S+\s*\{[^}]*\}")
SHARED = re.compile(r"\.extern\s+\.shared\s+\.align\s+\d+\s+\.b8\s+([\w$]+)\[\]\s*;")
BOUNDS = r"(?:\.(?:maxntid|minnctapersm|reqntid|maxnreg)[^\n{;]*\s*)*"
FUNCTION = re.compile(
    r"(?:\.(?:visible|weak)\s+)?\.(?P<kind>entry|func)\s*(?:\((?P<returns>[^)]*)\)\s*)?"
    r"(?P<name>[\w$]+)\s*\((?P<parameters>[^)]*)\)\s*" + BOUNDS + r"(?P<end>[{;])")
PARAMETER = re.compile(
    r"\.param(?:\s+\.align\s+(?P<align>\d+))?\s+\.(?P<type>\w+)"
    r"(?:\s+\.ptr(?:\s+\.(?:global|shared|const|local))?(?:\s+\.align\s+\d+)?)?"
    r"\s+(?P<name>[\w$]+)(?:\[(?P<count>\d+)\])?")
LABEL = re.compile(r"([\w$]+):")


class Refused(Exception):
    """PTX that the translator does not know, or that must not be run."""


class Parameter:
    """A parameter or a local array; count is 0 for a single value."""

    def __init__(self, match):
        self.name, self.type = match["name"], match["type"]
        self.count = int(match["count"] or 0)
        if self.type not in BYTES:
            raise Refused(f"type .{self.type} of {self.name}")
        self.bytes = BYTES[self.type] * max(self.count, 1)
        self.align = int(match["align"] or BYTES[self.type])


class Function:
    """body is None for a declaration; otherwise a list of (line, kind, text), where kind is
    "{", "}", "label" or "statement"."""

    def __init__(self, match, line, body):
        self.name, self.line, self.body = match["name"], line, body
        self.is_entry = match["kind"] == "entry"
        self.parameters = parameters(match["parameters"])
        self.returns = parameters(match["returns"] or "")


class Module:
    """functions in the order of the text; shared: names of the block's dynamic shared memory."""

    def __init__(self, text):
        self.functions, self.shared = [], set()
        text = without_comments(text)
        position = next_word(text, 0)
        while position < len(text):
            try:
                position = next_word(text, self.read(text, position))
            except Refused as refused:
                raise Refused(f"{line_number(text, position)}: {refused}") from None

    def read(self, text, position):
        """Reads what begins at `position`; returns where it ends."""
        if match := IGNORED.match(text, position):
            return match.end()
        if match := SHARED.match(text, position):
            self.shared.add(match[1])
            return match.end()
        match = FUNCTION.match(text, position)
        if not match:
            raise Refused(f"not known outside of functions: {text[position:].splitlines()[0]}")
        body, end = None, match.end()
        if match["end"] == "{":
            end = closing_brace(text, match.end())
            body = list(statements(text[match.end():end - 1], line_number(text, match.end())))
        self.functions.append(Function(match, line_number(text, position), body))
        return end


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def next_word(text, position):
    return re.compile(r"\s*").match(text, position).end()


def line_number(text, position):
    return text.count("\n", 0, position) + 1


def closing_brace(text, position):
    """Position behind the brace that closes the one before `position`."""
    depth = 1
    for match in re.compile(r"[{}]").finditer(text, position):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.end()
    raise Refused("a brace that is not closed")


def statements(text, line):
    position = 0
    while position < len(text):
        if text[position].isspace():
            line += text[position] == "\n"
            position += 1
        elif text[position] in "{}":
            yield line, text[position], text[position]
            position += 1
        elif match := LABEL.match(text, position):
            yield line, "label", match[1]
            position = match.end()
        elif match := IGNORED.match(text, position):
            line += match[0].count("\n")
            position = match.end()
        else:
            end = text.index(";", position)
            yield line, "statement", " ".join(text[position:end].split())
            line += text.count("\n", position, end)
            position = end + 1


def split_operands(text):
    """At the commas outside of brackets."""
    operands, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += {"{": 1, "[": 1, "(": 1, "}": -1, "]": -1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            operands.append(text[start:i].strip())
            start = i + 1
    operands.append(text[start:].strip())
    return operands if text.strip() else []


def parameters(text):
    found = []
    for part in split_operands(" ".join(text.split())):
        match = PARAMETER.fullmatch(part)
        if not match:
            raise Refused(f"parameter {part}")
        found.append(Parameter(match))
    return found
