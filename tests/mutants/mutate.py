# SPDX-License-Identifier: Apache-2.0
"""Writes a copy of the product's sources into which every mutation of a list is built, each
switched on by the variable esc_mutation at run time: all mutations share one compilation.

Usage: mutate.py SOURCE OUTPUT LIST.toml ...

OUTPUT/{include,src,host,kernels} are the copy, OUTPUT/mutations.h, which every copied file must be
compiled with, numbers the mutations. Exit status 1, and nothing written, if an entry does not apply.
"""
import pathlib
import re
import sys
import tomllib

FOLDERS = ("include", "src", "host", "kernels")
SUFFIXES = (".c", ".h", ".cu", ".cuh")
KEYS = {"file", "code", "error", "caught_by"}
HEADER = """/* The mutations, numbered from 1, and the one that is switched on (0: none). Generated. */
#ifndef ESC_MUTATIONS_H
#define ESC_MUTATIONS_H
#ifdef __cplusplus
extern "C"
#else
extern
#endif
int esc_mutation;
#define ESC_MUTATED(name) (esc_mutation == esc_mutation_##name)
enum { esc_mutation_none, %s };
#define ESC_MUTATION_NAMES "none", %s
#endif
"""


class Refused(Exception):
    """An entry that does not apply."""


def read(lists):
    """{name: entry} of all lists, in their order."""
    mutations = {}
    for path in lists:
        for name, entry in tomllib.loads(pathlib.Path(path).read_text(encoding="utf-8")).items():
            if name in mutations:
                raise Refused(f"{path}: {name}: the name is used twice")
            if entry.keys() != KEYS:
                raise Refused(f"{path}: {name}: must have {sorted(KEYS)}")
            caught_by = entry["caught_by"]
            entry["caught_by"] = [caught_by] if isinstance(caught_by, str) else caught_by
            mutations[name] = entry
    return mutations


def location(text, name, code):
    """Where the code stands: all of it, or what is between two @. Line breaks may differ."""
    parts = code.split("@")
    if len(parts) not in (1, 3):
        raise Refused(f"{name}: one @ before what is replaced and one behind it: {code}")
    before, inside, behind = parts if len(parts) == 3 else ("", code, "")
    tokens = [r"(?:\s|\\\n)+".join(map(re.escape, part.split())) for part in (before, inside, behind)]
    gap = r"(?:\s|\\\n)*"
    pattern = tokens[0] + gap + f"(?P<code>{tokens[1]})" + gap + tokens[2]
    found = list(re.finditer(pattern, text))
    if len(found) != 1:
        raise Refused(f"{name}: found {len(found)} times, must be once: {code}")
    return found[0].span("code")


def switch(names, mutations, code):
    """`code` (an expression, or a statement with its semicolon) that the mutations replace."""
    if code.endswith(";"):
        chosen = "".join(f"if (ESC_MUTATED({name})) {{ {mutations[name]['error']} }} else "
                         for name in names)
        return f"{{ {chosen}{{ {code} }} }}"
    chosen = "".join(f"ESC_MUTATED({name}) ? ({mutations[name]['error']}) : " for name in names)
    return f"({chosen}({code}))"


def mutated(text, mutations):
    """The text of one file with its mutations, and what is wrong with them (a list). Those of the
    same code share one switch."""
    locations, wrong = {}, []
    for name, entry in mutations.items():
        try:
            locations.setdefault(location(text, name, entry["code"]), []).append(name)
        except Refused as refused:
            wrong.append(str(refused))
    ordered = sorted(locations.items())
    for ((_, end), first), ((start, _), second) in zip(ordered, ordered[1:]):
        if start < end:
            wrong.append(f"{second[0]}: overlaps {first[0]}; give both the same 'code'")
    for (start, end), names in reversed(ordered):
        text = text[:start] + switch(names, mutations, text[start:end]) + text[end:]
    return text, wrong


def sources(root):
    """{relative path: text} of the product."""
    paths = (path for folder in FOLDERS for path in sorted((root / folder).rglob("*"))
             if path.suffix in SUFFIXES)
    return {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}


def apply(files, mutations):
    """The files, mutated. Mutations that do not apply are refused, all of them in one message."""
    by_file, wrong = {}, []
    for name, entry in mutations.items():
        by_file.setdefault(entry["file"], {})[name] = entry
    result = dict(files)
    for path, entries in by_file.items():
        faults = ["there is no such file"]
        if path in files:
            result[path], faults = mutated(files[path], entries)
        wrong += [f"{path}: {fault}" for fault in faults]
    if wrong:
        raise Refused("\n".join(wrong))
    return result


def write(output, files):
    """Only what has changed, so that only that is compiled again; other sources are removed."""
    for path in output.rglob("*"):
        if path.suffix in SUFFIXES and str(path.relative_to(output)) not in files:
            path.unlink()
    for name, text in files.items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def main(source, output, *lists):
    try:
        mutations = read(lists)
        files = apply(sources(pathlib.Path(source)), mutations)
    except (Refused, tomllib.TOMLDecodeError) as error:
        print(error, file=sys.stderr)
        return 1
    header = HEADER % (", ".join(f"esc_mutation_{name}" for name in mutations),
                       ", ".join(f'"{name}"' for name in mutations))
    write(pathlib.Path(output), {**files, "mutations.h": header})
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
