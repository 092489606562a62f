# SPDX-License-Identifier: Apache-2.0
"""Draws a figure of the paper: reads its sheet (house_style) as JSON from standard input and writes
the files named on the command line, each whole or not at all: pictures, and the caption as .txt.

    python3 -c SCRIPT WIDTH FILE... < SHEET
"""
import json
import sys

import house_style


def draw(width, paths):
    sheet = json.load(sys.stdin)
    sheet["caption"] = f"Figure {sheet['number']}. {sheet['title']}. {sheet['caption']}"
    for path in paths:
        if path.endswith(".txt"):
            content = house_style.caption_text(sheet).encode()
        else:
            content = house_style.render(sheet, house_style.figure_format(path), width)
        house_style.publish(path, content)


if __name__ == "__main__":
    sys.exit(house_style.guarded("figure", lambda: draw(sys.argv[1], sys.argv[2:])))
