# SPDX-License-Identifier: Apache-2.0
"""Fails where a page shows the source of a formula: Markdown that was taken for something else
leaves its dollar signs in the text.

Usage: check_pages.py HTML_FOLDER
"""
import html.parser
import pathlib
import sys


class Text(html.parser.HTMLParser):
    """The text of a page outside code and formulas, with the lines it stands on."""

    def __init__(self):
        super().__init__()
        self.skipped = []
        self.found = []

    def handle_starttag(self, tag, attributes):
        names = (dict(attributes).get("class") or "").split()
        if self.skipped or tag in ("pre", "code", "script", "style", "title") or "math" in names:
            if tag not in ("img", "br", "hr", "meta", "link", "input", "col"):
                self.skipped.append(tag)

    def handle_endtag(self, tag):
        if self.skipped and self.skipped[-1] == tag:
            self.skipped.pop()

    def handle_data(self, data):
        if not self.skipped and ("$" in data or "\\" in data):
            self.found.append((self.getpos()[0], data.strip()))


def main():
    wrong = 0
    for page in sorted(pathlib.Path(sys.argv[1]).rglob("*.html")):
        text = Text()
        text.feed(page.read_text(encoding="utf-8"))
        for line, data in text.found:
            print(f"{page}:{line}: a formula's source is shown as text: {data[:90]}")
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
