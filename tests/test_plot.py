"""Laws of the drawing script, host/cli/plot.py.

    python3 test_plot.py PLOT.PY

Runs the script as the verb `plot` does (python3 -c SCRIPT FIG, the numbers on
standard input) and looks at its exit status, its words and what it wrote.
"""
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

SCRIPT = ""
MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-1."}


def point(scale, steps, budget=400000):
    escaped = [step for step in steps if step >= 0]
    return {"scale": scale, "n": len(steps), "censored": len(steps) - len(escaped),
            "mean": sum(escaped) / len(escaped) if escaped else None, "median": None, "sd": None,
            "steps": steps, "steps_run": [step if step >= 0 else budget for step in steps]}


def group(r, threshold, points, slope=None, error=None, diverged=0):
    law = "power" if r >= 3 else "logarithmic" if r == 2 else "constant"
    return {"bottleneck": r, "threshold": threshold, "law": law, "predicted": -max(r - 2, 0),
            "slope": slope, "stderr": error, "n": sum(p["n"] for p in points),
            "censored": sum(p["censored"] for p in points), "diverged": diverged, "points": points}


def sweep(r, threshold, scales=(0.03, 0.05, 0.1), slope=None, error=None):
    """Escapes on the law itself, the seeds a quarter apart."""
    def steps(scale):
        law = math.log(1 / scale) if r == 2 else scale ** -max(r - 2, 0)
        return [int(100 * law * (1 + 0.25 * i)) for i in range(4)]
    return group(r, threshold, [point(scale, steps(scale)) for scale in scales], slope, error)


def sheet(*groups, title="slopes"):
    thresholds = sorted({g["threshold"] for g in groups})
    return {"title": title, "thresholds": thresholds, "groups": list(groups)}


NORMAL = sheet(sweep(1, 0.1, slope=0.001, error=0.0), sweep(2, 0.1, slope=-0.31, error=0.02),
               sweep(3, 0.1, slope=-1.0, error=0.012), sweep(4, 0.1, slope=-1.987, error=0.0034))
ONE_POINT = sheet(sweep(3, 0.1, scales=(0.05,)))
CENSORED = sheet(group(4, 0.1, [point(s, [-1] * 5, 1000) for s in (0.05, 0.1)]))


class Law(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def path(self, name):
        return os.path.join(self.directory, name)

    def run_script(self, path, given, **how):
        text = given if isinstance(given, bytes) else json.dumps(given).encode()
        return subprocess.run([sys.executable, "-c", SCRIPT, path], input=text, timeout=120,
                              capture_output=True, cwd=self.directory, **how)

    def draw(self, given, name="figure.svg", **changes):
        """The figure's bytes; drawing succeeds without a word and leaves nothing else."""
        done = self.run_script(self.path(name), given, env={**os.environ, **changes})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        with open(self.path(name), "rb") as file:
            return file.read()

    def texts(self, given):
        svg = xml.etree.ElementTree.fromstring(self.draw(given))
        return ["".join(t.itertext()).strip() for t in svg.iter("{http://www.w3.org/2000/svg}text")]

    def refuse(self, path, given, status, *words, **how):
        """One line on stderr, and the directory is as it was."""
        before = sorted(os.listdir(self.directory))
        done = self.run_script(path, given, **how)
        lines = done.stderr.decode().splitlines()
        self.assertEqual((done.returncode, len(lines)), (status, 1), done.stderr)
        for word in ("plot: ",) + words:
            self.assertIn(word, lines[0])
        self.assertEqual(sorted(os.listdir(self.directory)), before)


class Files(Law):
    def test_every_format_holds_what_its_name_says(self):
        for ending, magic in MAGIC.items():
            image = self.draw(NORMAL, "figure." + ending)
            self.assertTrue(image.startswith(magic), ending)
            self.assertGreater(len(image), 4000, ending)

    def test_the_same_numbers_give_the_same_bytes(self):
        for ending in MAGIC:
            first = self.draw(NORMAL, "first." + ending)
            self.assertEqual(first, self.draw(NORMAL, "second." + ending), ending)

    def test_nothing_but_the_figure_is_left(self):
        self.draw(NORMAL)
        self.assertEqual(os.listdir(self.directory), ["figure.svg"])

    def test_a_figure_that_is_there_is_replaced(self):
        with open(self.path("figure.svg"), "w") as file:
            file.write("old")
        self.assertTrue(self.draw(NORMAL).startswith(MAGIC["svg"]))

    def test_the_figure_has_the_mode_of_any_new_file(self):
        self.draw(NORMAL)
        open(self.path("plain"), "w").close()
        self.assertEqual(os.stat(self.path("figure.svg")).st_mode,
                         os.stat(self.path("plain")).st_mode)

    def test_modules_in_the_working_directory_are_not_taken_for_pythons(self):
        for name in ("json.py", "random.py", "matplotlibrc"):
            with open(self.path(name), "w") as file:
                file.write("raise SystemExit(9)\n" if name.endswith(".py") else "font.size: 40\n")
        here = self.draw(NORMAL)
        for name in ("json.py", "random.py", "matplotlibrc"):
            os.unlink(self.path(name))
        self.assertEqual(here, self.draw(NORMAL))

    def test_no_home_directory_is_needed(self):
        self.draw(ONE_POINT, HOME="/nonexistent", TMPDIR=self.directory)
        self.assertEqual(os.listdir(self.directory), ["figure.svg"])

    def test_the_script_is_ascii_and_fits_on_a_command_line(self):
        self.assertTrue(SCRIPT.isascii())
        self.assertLess(len(SCRIPT), 128 * 1024)


class Words(Law):
    def test_labels_give_slope_error_and_theory(self):
        texts = self.texts(NORMAL)
        for text in ("r = 1: 0.00 \u00b1 0.00 (theory 0)",
                     "r = 2: \u22120.31 \u00b1 0.02 (theory log)",
                     "r = 3: \u22121.00 \u00b1 0.01 (theory \u22121)",
                     "r = 4: \u22121.987 \u00b1 0.003 (theory \u22122)", "loss threshold 0.1",
                     "slopes", "escape step t*", "one seed", "mean over seeds"):
            self.assertIn(text, texts)
        self.assertFalse(any("censored" in text for text in texts))

    def test_a_single_point_is_drawn_without_a_slope(self):
        self.assertIn("r = 3: no slope (theory \u22121)", self.texts(ONE_POINT))

    def test_members_that_did_not_escape_are_counted(self):
        texts = self.texts(CENSORED)
        self.assertIn("10 of 10 censored", texts)
        self.assertIn("censored, at the steps run", texts)
        self.assertNotIn("mean over seeds", texts)

    def test_a_mean_of_the_escaped_only_is_told_apart(self):
        some = sheet(group(3, 0.1, [point(0.05, [900, -1, 800]), point(0.1, [400, 450, 500])]))
        texts = self.texts(some)
        self.assertIn("1 of 6 censored", texts)
        self.assertIn("mean of the escaped only", texts)

    def test_every_threshold_has_a_panel(self):
        three = sheet(*[sweep(3, t, slope=-t) for t in (0.05, 0.11, 0.15)])
        texts = self.texts(three)
        for text in ("loss threshold 0.05", "loss threshold 0.11", "loss threshold 0.15",
                     "r = 3: \u22120.05 (theory \u22121)", "r = 3: \u22120.15 (theory \u22121)"):
            self.assertIn(text, texts)

    def test_of_many_thresholds_four_are_drawn_and_the_title_says_so(self):
        many = sheet(*[sweep(3, t) for t in (0.02, 0.05, 0.08, 0.1, 0.12, 0.15)])
        texts = self.texts(many)
        self.assertIn("slopes (4 of 6 thresholds)", texts)
        self.assertEqual([t for t in texts if t.startswith("loss threshold")],
                         ["loss threshold " + t for t in ("0.02", "0.08", "0.1", "0.15")])

    def test_two_groups_of_one_bottleneck_have_names_of_their_own(self):
        texts = self.texts(sheet(sweep(3, 0.1, slope=-1.0), sweep(3, 0.1, slope=-1.1)))
        self.assertIn("r = 3a: \u22121.00 (theory \u22121)", texts)
        self.assertIn("r = 3b: \u22121.10 (theory \u22121)", texts)

    def test_diverged_members_are_counted(self):
        points = [point(0.05, [900, 800]), point(0.1, [400, 500])]
        self.assertIn("3 diverged, not drawn", self.texts(sheet(group(3, 0.1, points, diverged=3))))

    def test_a_title_is_drawn_as_it_is_written(self):
        for title in ("", "5 $ and \\alpha$ & <b>", "a\tb", "\u03b7 = 0.01"):
            texts = self.texts(sheet(sweep(3, 0.1), title=title))
            self.assertIn(title.replace("\t", " ") or "escape step t*", texts)

    def test_step_zero_has_a_place(self):
        self.draw(sheet(group(1, 0.1, [point(0.1, [0, 0, 0]), point(0.2, [0, 1, 2])])))


class Refusals(Law):
    def test_an_unknown_ending_is_refused_with_what_is_allowed(self):
        for name in ("figure.gif", "figure", ".png"):
            self.refuse(self.path(name), NORMAL, 2, name, ".png, .svg or .pdf")

    def test_a_directory_that_is_not_there_is_refused_by_name(self):
        path = self.path("absent/figure.png")
        self.refuse(path, NORMAL, 2, path, "No such file")

    def test_a_directory_in_the_figures_place_is_refused(self):
        os.mkdir(self.path("figure.png"))
        self.refuse(self.path("figure.png"), NORMAL, 2, "directory")

    def test_a_file_in_the_directorys_place_is_refused(self):
        open(self.path("file"), "w").close()
        self.refuse(self.path("file/figure.png"), NORMAL, 2, "Not a directory")

    def test_a_write_that_fails_half_way_leaves_nothing(self):
        def small_files_only():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        self.refuse(self.path("figure.png"), NORMAL, 3, "figure.png", "too large",
                    preexec_fn=small_files_only)

    def test_what_is_no_drawing_is_refused(self):
        for text in (b"", b"\xff\xfe", b"[]", b'{"groups": []}', b'{"groups": [{"points": [1]}]}'):
            self.refuse(self.path("figure.png"), text, 3)

    def test_a_refusal_leaves_the_old_figure(self):
        with open(self.path("figure.png"), "w") as file:
            file.write("old")
        self.refuse(self.path("figure.png"), b"{", 3)
        with open(self.path("figure.png")) as file:
            self.assertEqual(file.read(), "old")

    def test_no_figure_named_is_refused(self):
        done = subprocess.run([sys.executable, "-c", SCRIPT], input=b"", capture_output=True)
        self.assertEqual(done.returncode, 2)
        self.assertTrue(done.stderr.startswith(b"plot: usage"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python3 test_plot.py PLOT.PY")
    with open(sys.argv.pop(), encoding="utf-8") as script:
        SCRIPT = script.read()
    unittest.main()
