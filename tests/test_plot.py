"""Laws of the drawing script, host/cli/plot.py.

    python3 test_plot.py PLOT.PY

What concerns processes and files runs the script as the verb `plot` does (python3 -c
SCRIPT FIG, the numbers on standard input); what it draws and refuses is looked at in
this process, which loads matplotlib once.
"""
import contextlib
import importlib.util
import io
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import xml.etree.ElementTree

SCRIPT, PLOT = "", None  # the script's text, and the same as a module
MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-1."}


def point(scale, steps, budget=400000):
    escaped = [step for step in steps if step >= 0]
    return {"scale": scale, "n": len(steps), "censored": len(steps) - len(escaped),
            "mean": sum(escaped) / len(escaped) if escaped else None, "median": None, "sd": None,
            "steps": steps, "steps_run": [step if step >= 0 else budget for step in steps]}


def group(r, threshold, points, slope=None, error=None, diverged=0, layers=None):
    law = "power" if r >= 3 else "logarithmic" if r == 2 else "constant"
    return {"bottleneck": r, "small_layers": list(range(1, r + 1)) if layers is None else layers,
            "threshold": threshold, "law": law, "predicted": -max(r - 2, 0),
            "slope": slope, "stderr": error, "n": sum(p["n"] for p in points),
            "censored": sum(p["censored"] for p in points), "diverged": diverged,
            "points": points}


def sweep(r, threshold, scales=(0.03, 0.05, 0.1), slope=None, error=None, layers=None):
    """Escapes on the law itself, the seeds a quarter apart."""
    def steps(scale):
        law = math.log(1 / scale) if r == 2 else scale ** -max(r - 2, 0)
        return [int(100 * law * (1 + 0.25 * i)) for i in range(4)]
    return group(r, threshold, [point(scale, steps(scale)) for scale in scales], slope, error,
                 layers=layers)


def sheet(*groups, title="slopes"):
    return {"title": title, "groups": list(groups)}


NORMAL = sheet(sweep(1, 0.1, slope=0.001, error=0.0), sweep(2, 0.1, slope=-0.31, error=0.02),
               sweep(3, 0.1, slope=-1.0, error=0.012), sweep(4, 0.1, slope=-1.987, error=0.0034))


class Law(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def start(self, path, given, **how):
        """The script in a process of its own."""
        return subprocess.run([sys.executable, "-c", SCRIPT, path], timeout=120,
                              input=json.dumps(given).encode(), capture_output=True,
                              cwd=self.directory, **how)

    def draw(self, given, name="figure.svg", **changes):
        """The figure's bytes, drawn by a process; it succeeds without a word."""
        done = self.start(self.path(name), given, env={**os.environ, **changes})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        return self.read(name)

    def texts(self, *groups, **more):
        svg = xml.etree.ElementTree.fromstring(PLOT.render(sheet(*groups, **more), "svg"))
        return ["".join(t.itertext()).strip() for t in svg.iter("{http://www.w3.org/2000/svg}text")]

    def assert_refusal(self, status, errors, want, words):
        lines = errors.splitlines()
        self.assertEqual((status, len(lines)), (want, 1), errors)
        for word in ("plot: ", *words):
            self.assertIn(word, lines[0])

    def refuse(self, path, given, status, *words):
        """One line on stderr, and the directory is as it was."""
        before, errors = sorted(os.listdir(self.directory)), io.StringIO()
        text = given if isinstance(given, bytes) else json.dumps(given).encode()
        with unittest.mock.patch("sys.argv", ["-c", path] if path else ["-c"]), \
                unittest.mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(text))), \
                contextlib.redirect_stderr(errors):
            code = PLOT.main()
        self.assert_refusal(code, errors.getvalue(), status, words)
        self.assertEqual(sorted(os.listdir(self.directory)), before)


class Files(Law):
    def test_a_figure_is_written_whole_over_an_old_one_and_nothing_else(self):
        """In every format, with the mode of any new file, and the same bytes each time."""
        self.write("plain", "")
        for ending, magic in MAGIC.items():
            with self.subTest(ending):
                self.write("figure." + ending, "old")
                os.chmod(self.path("figure." + ending), 0o600)
                image = self.draw(NORMAL, "figure." + ending)
                self.assertTrue(image.startswith(magic))
                self.assertGreater(len(image), 4000)
                self.assertEqual(image, PLOT.render(NORMAL, ending))
                self.assertEqual(os.stat(self.path("figure." + ending)).st_mode,
                                 os.stat(self.path("plain")).st_mode)
        self.assertEqual(sorted(os.listdir(self.directory)),
                         sorted(["plain", *("figure." + ending for ending in MAGIC)]))

    def test_the_working_directorys_modules_are_not_pythons_and_no_home_is_needed(self):
        """Nor does a missing home leave anything behind."""
        strange = ("json.py", "random.py", "matplotlibrc")
        for name in strange:
            self.write(name, "raise SystemExit(9)\n" if name.endswith(".py") else "font.size: 40\n")
        there = self.draw(NORMAL, HOME="/nonexistent", TMPDIR=self.directory)
        self.assertEqual(there, PLOT.render(NORMAL, "svg"))
        self.assertEqual(sorted(os.listdir(self.directory)), sorted(["figure.svg", *strange]))

    def test_the_script_is_ascii_and_fits_on_a_command_line(self):
        self.assertTrue(SCRIPT.isascii())
        self.assertLess(len(SCRIPT), 128 * 1024)


class Words(Law):
    def test_labels_give_slope_error_and_theory(self):
        texts = self.texts(*NORMAL["groups"])
        for text in ("r = 1: 0.00 \u00b1 0.00 (theory 0)",
                     "r = 2: \u22120.31 \u00b1 0.02 (theory log)",
                     "r = 3: \u22121.00 \u00b1 0.01 (theory \u22121)",
                     "r = 4: \u22121.987 \u00b1 0.003 (theory \u22122)", "loss threshold 0.1",
                     "slopes", "escape step t*", "one seed", "mean over seeds"):
            self.assertIn(text, texts)
        self.assertFalse(any("censored" in text or "layers" in text for text in texts))

    def test_what_did_not_escape_is_counted_and_told_apart(self):
        """A single point has no slope; a panel's groups do not need to share anything."""
        texts = self.texts(sweep(3, 0.05, scales=(0.05,)),
                           group(3, 0.1, [point(0.05, [900, -1, 800]), point(0.1, [400, 450, 500])],
                                 diverged=3),
                           group(4, 0.1, [point(s, [-1] * 5, 1000) for s in (0.05, 0.1)]))
        for text in ("r = 3: no slope (theory \u22121)", "1 of 6 censored", "10 of 10 censored",
                     "3 diverged, not drawn", "mean over seeds", "mean of the escaped only",
                     "censored, at the steps run"):
            self.assertIn(text, texts)
        alone = self.texts(group(4, 0.1, [point(0.1, [-1] * 5, 1000)]))
        self.assertIn("censored, at the steps run", alone)
        self.assertFalse(any(text.startswith("mean") for text in alone))

    def test_points_without_members_or_place_are_left_out(self):
        """Diverged at some scales, at all of one group, at all of one threshold."""
        empty = [point(0.05, []), point(0.1, [])]
        texts = self.texts(group(3, 0.1, [*empty, point(0.2, [0, 1, 2]), point(0, [5]),
                                          {**point(0.3, [7]), "scale": None}], diverged=4),
                           group(4, 0.1, empty, diverged=6), group(3, 0.2, empty, diverged=6))
        self.assertIn("r = 4: no slope (theory \u22122)", texts)
        self.assertIn("4 diverged, not drawn", texts)
        self.assertIn("6 diverged, not drawn", texts)
        self.assertIn("slopes (1 of 2 thresholds)", texts)

    def test_of_many_thresholds_four_have_panels_and_the_title_says_so(self):
        texts = self.texts(*[sweep(3, t, slope=-t) for t in (0.02, 0.05, 0.08, 0.11, 0.12, 0.15)])
        self.assertIn("slopes (4 of 6 thresholds)", texts)
        self.assertEqual([t for t in texts if t.startswith("loss threshold")],
                         ["loss threshold " + t for t in ("0.02", "0.08", "0.11", "0.15")])
        for text in ("r = 3: \u22120.02 (theory \u22121)", "r = 3: \u22120.15 (theory \u22121)"):
            self.assertIn(text, texts)

    def test_groups_of_one_bottleneck_are_told_apart_by_their_layers(self):
        texts = self.texts(sweep(2, 0.1, slope=-0.1), sweep(2, 0.1, slope=-0.2, layers=[3, 4]),
                           sweep(3, 0.1, slope=-1.0), sweep(4, 0.1, layers=[1, 3, 4, 5]))
        labels = [t for t in texts if t.startswith(("r = ", "small layers "))]
        self.assertEqual(labels, ["r = 2: \u22120.10 (theory log)", "small layers 1 2",
                                  "r = 2: \u22120.20 (theory log)", "small layers 3 4",
                                  "r = 3: \u22121.00 (theory \u22121)",
                                  "r = 4: no slope (theory \u22122)",
                                  "small layers 1 3\u20135"])

    def test_very_many_layers_are_cut(self):
        texts = self.texts(sweep(32, 0.1, scales=(0.5, 0.9), layers=list(range(1, 64, 2))))
        label, = (t for t in texts if t.startswith("small layers "))
        self.assertLess(len(label), 50)
        self.assertTrue(label.endswith("\u2026"))

    def test_a_title_is_drawn_as_it_is_written(self):
        for title in ("", "5 $ and \\alpha$ & <b>\t\u03b7 = 0.01"):
            texts = self.texts(sweep(3, 0.1), title=title)
            self.assertIn(title.replace("\t", " ") or "escape step t*", texts)


class Refusals(Law):
    def test_an_unknown_ending_is_refused_with_what_is_allowed(self):
        for name in ("figure.gif", "figure", ".png"):
            self.refuse(self.path(name), NORMAL, 2, name, ".png, .svg or .pdf")

    def test_a_place_that_cannot_hold_a_figure_is_refused(self):
        os.mkdir(self.path("folder.png"))
        self.write("file", "")
        for name, words in (("absent/figure.png", "No such file"), ("folder.png", "directory"),
                            ("file/figure.png", "Not a directory")):
            self.refuse(self.path(name), NORMAL, 2, self.path(name), words)

    def test_a_write_that_fails_half_way_leaves_nothing(self):
        def small_files_only():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        done = self.start(self.path("figure.png"), NORMAL, preexec_fn=small_files_only)
        self.assert_refusal(done.returncode, done.stderr.decode(), 3, ("figure.png", "too large"))
        self.assertEqual(os.listdir(self.directory), [])

    def test_what_is_no_drawing_is_refused_and_leaves_the_old_figure(self):
        self.write("figure.png", "old")
        for text in (b"", b"{", b"\xff\xfe", b"[]", b'{"groups": [{"points": [1]}]}'):
            self.refuse(self.path("figure.png"), text, 3)
        self.assertEqual(self.read("figure.png"), b"old")

    def test_a_sheet_with_nothing_to_draw_is_refused_as_such(self):
        for groups in ((), (group(3, 0.1, []),), (group(3, 0.1, [point(0.1, [])], diverged=3),),
                       (group(3, 0.1, [point(0, [5])]),)):
            self.refuse(self.path("figure.png"), sheet(*groups), 2, "nothing to draw")

    def test_no_figure_named_is_refused(self):
        self.refuse(None, NORMAL, 2, "plot: usage")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python3 test_plot.py PLOT.PY")
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("plot", sys.argv.pop())
    PLOT = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(PLOT)
    with open(spec.origin, encoding="utf-8") as script:
        SCRIPT = script.read()
    unittest.main()
