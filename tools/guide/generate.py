#!/usr/bin/env -S python3 -I
# SPDX-License-Identifier: Apache-2.0
"""Man pages, completion scripts, the reference of the manual and a JSON Schema of the spec, from the
tables that a built program parses with; the C API from the public headers.

    tools/guide/generate.py PROGRAM FOLDER

Writes FOLDER/man1, FOLDER/man5, FOLDER/completions and FOLDER/reference anew.
"""
import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import api
import attributes
import completions
import man
import markdown
import schema
import tables

ROOT = pathlib.Path(__file__).resolve().parents[2]


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def headers(version):
    """{"run.h": text} of what is installed; version.h is made from its template."""
    folder = ROOT / "include/escapement"
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.h"))}
    template = (folder / "version.h.in").read_text(encoding="utf-8").replace("@PROJECT_VERSION@", version)
    for part, number in zip(("MAJOR", "MINOR", "PATCH"), version.split(".")):
        template = template.replace(f"@PROJECT_VERSION_{part}@", number)
    return {**found, "version.h": template}


def reference(loaded):
    attributes.check(ROOT)
    return {**markdown.pages(loaded), **api.pages(headers(loaded["version"])),
            "spec.schema.json": json.dumps(schema.schema(loaded), indent=2) + "\n"}


def main(program, folder):
    folder = pathlib.Path(folder)
    loaded = tables.load(os.path.abspath(program))
    pages = man.pages(loaded)
    shutil.rmtree(folder, ignore_errors=True)
    for section in "15":
        write(folder / f"man{section}", {n: t for n, t in pages.items() if n.endswith(f".{section}")})
    write(folder / "completions", completions.scripts(loaded))
    write(folder / "reference", reference(loaded))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
