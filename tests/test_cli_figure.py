"""The verbs figure and report: data, pictures, checks and the page, and that planted errors fail.

Usage: test_cli_figure.py PROGRAM [unittest arguments]
"""
import base64
import html.parser
import json
import os
import subprocess
import sys
import tempfile
import unittest

import h5py

PROGRAM = os.path.abspath(sys.argv.pop(1))
STUDIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../runs/studies")


class Page(html.parser.HTMLParser):
    """What a browser would fetch, the order of elements, and the text of checks and of all."""

    def __init__(self, path):
        super().__init__()
        self.sources, self.checks, self.open, self.order, self.text = [], [], [], [], ""
        with open(path) as file:
            self.feed(file.read())

    def handle_starttag(self, tag, attributes):
        self.sources += [v for k, v in attributes if k in ("src", "href", "data")]
        self.order.append(tag)
        if tag == "li" and "details" in self.open:
            self.checks.append("")
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} is not what is open"

    def handle_data(self, text):
        if "li" in self.open and self.checks:
            self.checks[-1] += text
        if "style" not in self.open and "pre" not in self.open:
            self.text += text


class Figure(unittest.TestCase):
    def setUp(self):
        room = tempfile.TemporaryDirectory()
        self.addCleanup(room.cleanup)
        self.room = room.name

    def call(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, "figure", *arguments, "-o", self.room, "--json"],
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stdout[-3000:] + done.stderr)
        return json.loads(done.stdout)["figures"][0]["checks"] if done.stdout else done.stderr

    def test_a_figure_is_data_pictures_and_checks_and_a_wrong_exponent_fails(self):
        changes = ["sweep.seeds=4", "network.width=16", "network.inputs=16"]
        self.call("4", *changes, "--quiet")
        self.check_text(changes)
        for name in ("figure4.png", "figure4.pdf", "figure4.json", "figure4.txt", "checks.txt"):
            self.assertGreater(os.path.getsize(os.path.join(self.room, name)), 500, name)
        self.check_caption()
        before = self.call("4", "--replot")
        self.assertTrue(all(check["pass"] for check in before), before)
        self.assertGreater(len(before), 10)
        names = [check["name"] for check in before]
        self.assertEqual(len(set(names)), len(names))
        self.check_report(before)
        with h5py.File(os.path.join(self.room, "figure4-slopes.h5"), "r+") as file:
            small = file["scale"][:] < 0.0015
            steps = file["escape_step"][:]
            steps[small] *= 2  # of the smallest scale of r = 3: a slope of -1.3
            file["escape_step"][:] = steps
        after = self.call("4", "--replot", code=1)
        wrong = [check["name"] for check in after if not check["pass"]]
        self.assertTrue(any("r = 3" in name and "slope" in name for name in wrong), wrong)
        failed = [check for check in self.report(code=1).checks if check.startswith("FAIL")]
        self.assertEqual(len(failed), len(wrong))

    def check_caption(self):
        """Beside the picture and in its data: marks, errors, sizes, activations by their names."""
        with open(os.path.join(self.room, "figure4.txt")) as file:
            told = " ".join(file.read().split())
        for words in ("Figure 4. He-normal networks", "two standard errors", "smallest \u03b5",
                      "GELU, L = 4, width N = 16", "4 seeds", "GELU, r = 3", "Student's t over seeds",
                      "figure 4 -o DIR sweep.seeds=4 network.width=16 network.inputs=16"):
            self.assertIn(words, told)
        self.assertNotRegex(told, r"[$\\{}]|\*\*|gelu")
        with open(os.path.join(self.room, "figure4.json")) as file:
            panels = json.load(file)["panels"]
        self.assertEqual([p["title"][0] for p in panels], ["s", "c"])

    def check_text(self, changes):
        """Sweeps are counted, files named, and no line is long."""
        done = subprocess.run([PROGRAM, "figure", "4", "-o", self.room, *changes],
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("escapement: figure 4, sweep 1 of 3: training figure4-slopes\n", done.stderr)
        self.assertIn(f"figure 4: {self.room}/figure4.png {self.room}/figure4.pdf ", done.stdout)
        self.assertIn("tolerances are those of the preset; overridden: " + " ".join(changes),
                      " ".join(done.stdout.split()))
        table = done.stdout.rpartition("figure 4:")[0]
        self.assertLessEqual(max(map(len, table.splitlines())), 100)

    def report(self, code=0):
        """The page is one file that needs no other."""
        path = os.path.join(self.room, "report.html")
        done = subprocess.run([PROGRAM, "report", self.room, "-o", path, "--studies", STUDIES],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        page = Page(path)
        self.assertEqual(page.open, [])
        self.assertTrue(all(s.startswith(("data:image/png;base64,", "#")) for s in page.sources))
        return page

    def check_report(self, checks):
        page = self.report()
        pictures = [s for s in page.sources if s.startswith("data:")]
        with open(os.path.join(self.room, "figure4.png"), "rb") as file:
            self.assertEqual(base64.b64decode(pictures[0].partition(",")[2]), file.read())
        self.assertEqual(len(pictures), 1 + len(self.studies()))
        self.assertEqual(sum(c.startswith("PASS") for c in page.checks), len(checks))
        self.assertTrue(all(c.strip().endswith(".") for c in page.checks), page.checks)
        self.assertIn(f"{len(checks)} of {len(checks)} checks passed", page.text)
        self.check_words(page)

    def check_words(self, page):
        """A caption before its picture, mathematics set, no marks of Markdown or LaTeX left."""
        self.assertEqual(page.order.count("figcaption"), page.order.count("img"))
        self.assertLess(page.order.index("figcaption"), page.order.index("img"))
        self.assertGreater(page.order.count("math"), 20)
        self.assertNotRegex(page.text, r"\$|\*\*|\\[a-z]|epsilon|\b1 (members|networks|studies)")

    @staticmethod
    def studies():
        return [s for s in os.listdir(STUDIES)
                if os.path.exists(os.path.join(STUDIES, s, "result.json"))]

    def test_a_report_of_nothing_is_refused(self):
        done = subprocess.run([PROGRAM, "report", self.room, "-o", self.room + "/report.html"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("figure all", done.stderr)
        self.assertFalse(os.path.exists(self.room + "/report.html"))

    def test_both_sets_of_sweeps_name_the_same_runs_and_are_sound(self):
        specs = os.path.join(STUDIES, "../figures")
        self.assertEqual(set(os.listdir(specs + "/small")), set(os.listdir(specs + "/large")))
        for name in sorted(os.listdir(specs + "/large")):
            done = subprocess.run([PROGRAM, "run", f"{specs}/large/{name}", "--dry-run"],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)

    def test_what_cannot_be_drawn_is_refused(self):
        self.assertIn("allowed: 1 to 5", self.call("6", code=2))
        self.assertIn("figure2-L2.h5", self.call("2", "--replot", code=2))
        self.assertIn("--scale", self.call("1", "--scale", "huge", code=2))
        self.assertIn("single, double", self.call("1", "--width", "wide", code=2))


if __name__ == "__main__":
    unittest.main()
