# SPDX-License-Identifier: Apache-2.0
"""The commands figure and report: data, images, checks and the page; planted errors fail.

Usage: test_cli_figure.py PROGRAM [unittest arguments]
"""
import base64
import html.parser
import json
import os
import unittest

import h5py
import numpy

import cli_case

RUNS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../runs")
STUDIES, SPECS = RUNS + "/studies", RUNS + "/figures"


class Page(html.parser.HTMLParser):
    """External resources, order of elements, text of the checks and of the page."""

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


def write_the_law(path):
    """Escape times that follow the law, t* = c epsilon^-(r-2) (a logarithm at r = 2, a constant at r = 1), c from
    seed to seed a per cent apart, and a step later at each lower threshold."""
    with h5py.File(path, "r+") as file:
        r, scale = file["bottleneck"][:], file["scale"][:]
        law = numpy.select([r == 1, r == 2], [1, -numpy.log(scale)], scale ** (2.0 - r))
        steps = numpy.rint(1000 * law * (1 + 0.01 * file["seed"][:])).astype(int)
        file["escape_step"][:] = steps[:, None] - numpy.arange(file["threshold"].size)
        file["steps_run"][:] = steps + 1
        file["status"][:] = 0


class Figure(cli_case.Case):
    def figure(self, *arguments, code=0):
        """The checks of a figure, or standard error."""
        done = self.call("figure", *arguments, "-o", self.scratch, "--json", code=code)
        return json.loads(done.stdout)["figures"][0]["checks"] if done.stdout else done.stderr

    def test_a_figure_is_trained_checked_and_drawn(self):
        changes = ["sweep.seeds=4", "network.width=4", "network.inputs=4", "train.batch=128"]
        done = self.call("figure", "1", "-o", self.scratch, *changes)
        self.assertIn("escapement: figure 1, sweep 1 of 2: training figure1-tanh\n", done.stderr)
        self.assertIn(f"figure 1: {self.scratch}/figure1.png {self.scratch}/figure1.pdf ", done.stdout)
        told = " ".join(done.stdout.split())
        self.assertIn("the tolerances are those of the preset, without these overrides: " + " ".join(changes), told)
        self.assertIn("9 of 9 checks passed", told)
        table = done.stdout.rpartition("figure 1:")[0]
        self.assertLessEqual(max(map(len, table.splitlines())), 100)
        for name in ("figure1.png", "figure1.pdf", "figure1.json", "figure1.txt", "checks.txt"):
            self.assertGreater(os.path.getsize(self.path(name)), 500, name)
        with open(self.path("figure1.txt")) as file:
            self.assertIn("figure 1 -o DIR " + " ".join(changes), " ".join(file.read().split()))

    def make_figure4(self):
        """Trains the sweeps for one step and replaces the escape times by those of the law."""
        for name in ("figure4-slopes", "figure4-corners", "figure4-gelu"):
            self.call("run", f"{SPECS}/small/{name}.yaml", "-q", "-o", name + ".h5", "sweep.seeds=4",
                      "network.width=4", "network.inputs=4", "train.steps=1")
        self.refuse_without_escapes()
        for name in ("figure4-slopes", "figure4-corners", "figure4-gelu"):
            write_the_law(self.path(name + ".h5"))
        return self.figure("4", "--replot")

    def refuse_without_escapes(self):
        told = self.figure("4", "--replot", code=2)
        self.assertIn("figure4-slopes.h5: none of its 64 members passed the threshold 0.1", told)
        self.assertIn("train.steps", told)

    def test_the_law_passes_its_checks_and_a_wrong_exponent_fails(self):
        before = self.make_figure4()
        self.assertTrue(all(check["pass"] for check in before), before)
        self.assertEqual(len({check["name"] for check in before}), 15)
        self.check_caption()
        self.check_report(before)
        with h5py.File(self.path("figure4-slopes.h5"), "r+") as file:
            small = file["scale"][:] < 0.0015
            steps = file["escape_step"][:]
            steps[small] *= 2  # of the smallest scale of r = 3: a slope of -1.3
            file["escape_step"][:] = steps
        after = self.figure("4", "--replot", code=1)
        wrong = [check["name"] for check in after if not check["pass"]]
        self.assertTrue(any("r = 3" in name and "slope" in name for name in wrong), wrong)
        failed = [check for check in self.report(code=1).checks if check.startswith("FAIL")]
        self.assertEqual(len(failed), len(wrong))

    def check_caption(self):
        """Next to the image and in its data: symbols, errors, sizes, names of activations."""
        with open(self.path("figure4.txt")) as file:
            told = " ".join(file.read().split())
        for words in ("Figure 4. He-normal networks", "two standard errors", "smallest \u03b5",
                      "GELU, L = 4, width N = 4", "4 seeds", "GELU, r = 3", "Student's t over seeds"):
            self.assertIn(words, told)
        self.assertNotRegex(told, r"[$\\{}]|\*\*|gelu")
        with open(self.path("figure4.json")) as file:
            panels = json.load(file)["panels"]
        self.assertEqual([p["title"][0] for p in panels], ["s", "c"])

    def report(self, code=0):
        """Checks that the page is self-contained."""
        path = self.path("report.html")
        self.call("report", self.scratch, "-o", path, "--studies", STUDIES, code=code)
        page = Page(path)
        self.assertEqual(page.open, [])
        self.assertTrue(all(s.startswith(("data:image/png;base64,", "#")) for s in page.sources))
        return page

    def check_report(self, checks):
        page = self.report()
        pictures = [s for s in page.sources if s.startswith("data:")]
        with open(self.path("figure4.png"), "rb") as file:
            self.assertEqual(base64.b64decode(pictures[0].partition(",")[2]), file.read())
        self.assertEqual(len(pictures), 1 + len(self.studies()))
        self.assertEqual(sum(c.startswith("PASS") for c in page.checks), len(checks))
        self.assertTrue(all(c.strip().endswith(".") for c in page.checks), page.checks)
        self.assertIn(f"{len(checks)} of {len(checks)} checks passed", page.text)
        self.check_words(page)

    def check_words(self, page):
        """Checks for captions before images, formatted mathematics, and no remaining Markdown or LaTeX."""
        self.assertEqual(page.order.count("figcaption"), page.order.count("img"))
        self.assertLess(page.order.index("figcaption"), page.order.index("img"))
        self.assertGreater(page.order.count("math"), 20)
        self.assertNotRegex(page.text, r"\$|\*\*|\\[a-z]|epsilon|\b1 (members|networks|studies)")

    @staticmethod
    def studies():
        return [s for s in os.listdir(STUDIES)
                if os.path.exists(os.path.join(STUDIES, s, "result.json"))]

    def test_a_report_without_figures_is_refused(self):
        self.assertIn("figure all", self.refused("report", self.scratch, "-o", self.path("report.html")))

    def test_both_presets_have_the_same_runs_and_valid_specs(self):
        self.assertEqual(set(os.listdir(SPECS + "/small")), set(os.listdir(SPECS + "/large")))
        for name in sorted(os.listdir(SPECS + "/large")):
            done = self.call("run", f"{SPECS}/large/{name}", "--dry-run")
            self.assertEqual(done.stderr, "", name)

    def test_undrawable_requests_are_refused(self):
        self.assertIn("allowed: 1 to 5", self.figure("6", code=2))
        self.assertIn("figure2-L2.h5", self.figure("2", "--replot", code=2))
        self.assertIn("--preset", self.figure("1", "--preset", "huge", code=2))
        self.assertIn("single, double", self.figure("1", "--width", "wide", code=2))


if __name__ == "__main__":
    unittest.main()
