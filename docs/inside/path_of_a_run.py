#!/usr/bin/env -S python3 -I
# SPDX-License-Identifier: Apache-2.0
"""Draws path-of-a-run.svg: the calls from main to the published file.

    docs/inside/path_of_a_run.py [OUT.svg]

Fails where a function of the path is not defined in the file that is named beside it.
"""
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]

# (function, file, effect); the indented ones are called by the last one that is not.
PATH = [
    (0, "main", "host/cli/main.c", "finds the command"),
    (0, "esc_command_run", "host/cli/run.c", "parses options"),
    (1, "esc_spec_load", "host/spec/spec.c", "SPEC.yaml → checked spec"),
    (0, "esc_sweep_run", "host/run/sweep.c", "the library begins here"),
    (1, "esc_backend_find", "host/backend/registry.c", "selects the engine"),
    (1, "esc_plan_create", "host/run/plan.c", "spec → members, longest first"),
    (1, "esc_run_lock", "host/run/files.c", "OUT.h5.lock"),
    (1, "esc_run_open_files", "host/run/files.c", "restores journal and checkpoint"),
    (0, "esc_schedule_train", "host/run/scheduler.c", "until no member is left:"),
    (1, "submit", "include/escapement/internal/engine.h", "a chunk: a block of steps"),
    (1, "collect", "include/escapement/internal/engine.h", "waits for it; other chunks train"),
    (1, "esc_journal_flush", "host/store/journal.c", "ended members → OUT.h5.journal"),
    (1, "esc_recorder_record", "host/run/recorder.c", "snapshots → OUT.h5.snapshots"),
    (1, "esc_checkpoint_write_commit", "host/store/checkpoint.c", "networks → OUT.h5.checkpoint"),
    (0, "esc_run_publish", "host/run/publish.c", "results → OUT.h5, whole"),
]
ROW, INDENT, WIDTH = 34, 34, 760


def check():
    missing = [f"{name} in {file}" for _, name, file, _ in PATH
               if not re.search(rf"\b{name}\b", (ROOT / file).read_text(encoding="utf-8"))]
    if missing:
        sys.exit("path_of_a_run.py: not found: " + "; ".join(missing))


def box(row, depth, name, file, effect):
    x, y = 20 + depth * INDENT, 14 + row * ROW
    colour = "#dbe9f6" if depth == 0 else "#f3f3f3"
    name = f"engine→{name}" if name in ("submit", "collect") else name
    return (f'<rect x="{x}" y="{y}" width="{WIDTH - x - 20}" height="26" rx="4" fill="{colour}" '
            f'stroke="#7a8a99"/>'
            f'<text x="{x + 10}" y="{y + 18}" font-weight="bold">{name}</text>'
            f'<text x="{x + 210}" y="{y + 18}" fill="#445">{file.removeprefix("include/escapement/")}</text>'
            f'<text x="{x + 440}" y="{y + 18}">{effect}</text>')


def arrows():
    """Down the outer calls, and from each of them to its inner ones."""
    lines, last = [], None
    for row, (depth, *_) in enumerate(PATH):
        y = 14 + row * ROW
        if depth == 0:
            if last is not None:
                lines.append(f'<line x1="28" y1="{14 + last * ROW + 26}" x2="28" y2="{y - 3}" '
                             'stroke="#445" marker-end="url(#arrow)"/>')
            last = row
        else:
            lines.append(f'<line x1="28" y1="{y + 13}" x2="{20 + INDENT - 3}" y2="{y + 13}" '
                         'stroke="#445" marker-end="url(#arrow)"/>')
    return lines


def main(out):
    check()
    height = 20 + ROW * len(PATH)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
             'font-family="sans-serif" font-size="13">',
             '<defs><marker id="arrow" markerWidth="8" markerHeight="8" refX="6" refY="3" orient="auto">'
             '<path d="M0,0 L6,3 L0,6 z" fill="#445"/></marker></defs>',
             '<rect width="100%" height="100%" fill="white"/>', *arrows(),
             *(box(row, *entry) for row, entry in enumerate(PATH)), "</svg>"]
    pathlib.Path(out).write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:] or [FOLDER / "path-of-a-run.svg"])
