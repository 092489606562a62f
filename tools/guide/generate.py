#!/usr/bin/env -S python3 -I
"""Man pages and completion scripts of a built program, from the tables that it parses with.

    tools/guide/generate.py PROGRAM FOLDER

Writes FOLDER/man1, FOLDER/man5 and FOLDER/completions anew.
"""
import os
import pathlib
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import completions
import man
import tables


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def main(program, folder):
    folder = pathlib.Path(folder)
    loaded = tables.load(os.path.abspath(program))
    pages = man.pages(loaded)
    shutil.rmtree(folder, ignore_errors=True)
    for section in "15":
        write(folder / f"man{section}", {n: t for n, t in pages.items() if n.endswith(f".{section}")})
    write(folder / "completions", completions.scripts(loaded))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
