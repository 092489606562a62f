# SPDX-License-Identifier: Apache-2.0
"""Reports of untrusted figures and studies: no text becomes markup or script in a browser.

Usage: test_report_untrusted.py PROGRAM [unittest arguments]
"""
import html.parser
import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))
EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&\x1b[31m\u202e $\\<a_{$ `**"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
TEXTS = ("name", "device", "backend", "engine", "precision", "end_time", "commit", "spec", "title",
         "caption", "command", "date", "reason", "detail", "name")
EVIL_OBJECT = dict.fromkeys(TEXTS, EVIL)


class Page(html.parser.HTMLParser):
    """Elements with their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


class Untrusted(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else json.dumps(content).encode())

    def path(self, name):
        return os.path.join(self.scratch, name)

    def report(self, code=0):
        done = subprocess.run([PROGRAM, "report", self.path("figures"), "-o", self.path("r.html"),
                               "--studies", self.path("studies")], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        if code:
            return done.stderr
        with open(self.path("r.html"), encoding="utf-8") as file:  # UTF-8 whatever came in
            return Page(file.read())

    def make(self, figure):
        self.write("figures/figure1.json", figure)
        self.write("figures/figure1.png", PNG)
        study = f"studies/{EVIL.replace('/', '')}"
        self.write(study + "/result.json", {**EVIL_OBJECT, "tables": [
            {"caption": EVIL, "columns": [EVIL], "rows": [[EVIL, 3, None]]}]})
        self.write(study + f"/{EVIL.replace('/', '')}.png", PNG)
        self.write(study + "/README.md", EVIL.encode() + b"\xff\xfe <script>")

    def test_no_text_becomes_an_element_or_an_attribute(self):
        self.make({**EVIL_OBJECT, "number": 1, "runs": [EVIL_OBJECT, 3], "overrides": [EVIL, 7],
                   "checks": [{**EVIL_OBJECT, "typeset": EVIL_OBJECT, "pass": True, "got": 1e300,
                               "expected": -1e300, "tolerance": 1e-300}]})
        page = self.report()
        known = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "cite", "nav", "ul",
                 "li", "a", "figure", "figcaption", "img", "details", "summary", "span", "sup", "br",
                 "code", "strong", "time", "pre", "table", "tr", "th", "td", "div", "math", "mi", "mo",
                 "mn", "mrow", "msub", "msup", "msubsup", "mspace"}
        self.assertLessEqual({tag for tag, _ in page.elements}, known)
        names = {name for _, attributes in page.elements for name in attributes}
        self.assertFalse({n for n in names if n.startswith("on")}, names)
        self.assertTrue(all(a["src"].startswith("data:image/png;base64,")
                            for tag, a in page.elements if tag == "img"))
        self.assertIn("<script>alert(1)</script>", page.text)
        self.assertNotRegex(page.text, "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")

    def test_the_page_forbids_scripts_itself(self):
        self.make({"number": 1})
        policy = [a["content"] for tag, a in self.report().elements if "http-equiv" in a]
        self.assertEqual(policy, ["default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
                                  "base-uri 'none'; form-action 'none'"])

    def test_paths_that_are_no_file_are_refused(self):
        self.make({"number": 1})
        for name in ("figure1.json", "figure1.png"):
            path = self.path("figures/" + name)
            os.rename(path, path + ".kept")
            os.mkfifo(path)
            with self.subTest(name):
                self.assertIn("not a regular file", self.report(code=2))
            os.rename(path + ".kept", path)
        self.make({"number": 1, "checks": [{}] * 5000})
        self.assertIn("5000 checks", self.report(code=2))


if __name__ == "__main__":
    unittest.main()
