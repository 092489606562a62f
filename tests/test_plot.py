# SPDX-License-Identifier: Apache-2.0
"""The drawing script host/draw/plot.py and its house style.

    python3 test_plot.py PLOT_SCRIPT.PY

The argument is the script as embedded in the program. Tests of processes and files run the script as
the command `plot` does (python3 -c SCRIPT FIG, with the numbers on standard input); tests of drawings
and refusals run in this process, which loads matplotlib once.
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


def sweep(r, threshold, scales=(0.03, 0.05, 0.1), slope=None, error=None, layers=None, times=1):
    """Escape times that follow the law, multiplied by `times`, with seeds a quarter apart."""
    def steps(scale):
        law = math.log(1 / scale) if r == 2 else scale ** -max(r - 2, 0)
        return [int(1000 * times * law * (1 + 0.25 * i)) for i in range(4)]
    return group(r, threshold, [point(scale, steps(scale)) for scale in scales], slope, error,
                 layers=layers)


def sheet(*groups, title="slopes"):
    return {"title": title, "groups": list(groups)}


def picture(given):
    return PLOT.Drawing(given).sheet()


def render(given, form):
    return PLOT.house_style.render(picture(given), form)


def caption(given):
    return PLOT.house_style.caption_text(picture(given), 10000)


def lines(given, role):
    """The series of one role in the first panel."""
    return [s for s in picture(given)["panels"][0]["series"] if s["role"] == role and s["x"]]


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

    def start(self, path, given, *more, **how):
        """Starts the script as a process."""
        return subprocess.run([sys.executable, "-c", SCRIPT, path, *more], timeout=120,
                              input=json.dumps(given).encode(), capture_output=True,
                              cwd=self.directory, **how)

    def draw(self, given, name="figure.svg", **changes):
        """Bytes of a figure drawn by a process, which must print nothing."""
        done = self.start(self.path(name), given, env={**os.environ, **changes})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        return self.read(name)

    def texts(self, *groups, **more):
        svg = xml.etree.ElementTree.fromstring(render(sheet(*groups, **more), "svg"))
        return ["".join(t.itertext()).strip() for t in svg.iter("{http://www.w3.org/2000/svg}text")]

    def assert_refusal(self, status, errors, want, words):
        lines = errors.splitlines()
        self.assertEqual((status, len(lines)), (want, 1), errors)
        for word in ("plot: ", *words):
            self.assertIn(word, lines[0])

    def refuse(self, path, given, status, *words):
        """Checks for one line on standard error and an unchanged directory."""
        before, errors = sorted(os.listdir(self.directory)), io.StringIO()
        text = given if isinstance(given, bytes) else json.dumps(given).encode()
        with unittest.mock.patch("sys.argv", ["-c", path] if path else ["-c"]), \
                unittest.mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(text))), \
                contextlib.redirect_stderr(errors):
            code = PLOT.main()
        self.assert_refusal(code, errors.getvalue(), status, words)
        self.assertEqual(sorted(os.listdir(self.directory)), before)


LIMIT = {"slope": -1.001, "lower": -1.004, "upper": -0.998, "chi2": 0.7, "dof": 1}


class Files(Law):
    def test_a_figure_replaces_an_old_one_atomically(self):
        """In every format, with the mode of any new file, and the same bytes each time."""
        self.write("plain", "")
        for ending, magic in MAGIC.items():
            with self.subTest(ending):
                self.write("figure." + ending, "old")
                os.chmod(self.path("figure." + ending), 0o600)
                image = self.draw(NORMAL, "figure." + ending)
                self.assertTrue(image.startswith(magic))
                self.assertGreater(len(image), 4000)
                self.assertEqual(image, render(NORMAL, ending))
                self.assertEqual(os.stat(self.path("figure." + ending)).st_mode,
                                 os.stat(self.path("plain")).st_mode)
        self.assertEqual(sorted(os.listdir(self.directory)),
                         sorted(["plain", *("figure." + ending for ending in MAGIC)]))

    def test_modules_of_the_working_directory_and_of_the_home_are_ignored(self):
        """Without a home directory, no file is left."""
        strange = ("json.py", "random.py", "matplotlibrc")
        for name in strange:
            self.write(name, "raise SystemExit(9)\n" if name.endswith(".py") else "font.size: 40\n")
        there = self.draw(NORMAL, HOME="/nonexistent", TMPDIR=self.directory)
        self.assertEqual(there, render(NORMAL, "svg"))
        self.assertEqual(sorted(os.listdir(self.directory)), sorted(["figure.svg", *strange]))

    def test_the_script_is_ascii_and_fits_on_a_command_line(self):
        self.assertTrue(SCRIPT.isascii())
        self.assertLess(len(SCRIPT), 128 * 1024)


class Words(Law):
    def legends(self, *groups, **more):
        """Lines of the legends of the time panels, without mathematical markup."""
        panels = picture(sheet(*groups, **more))["panels"]
        found = [s.get("label") for p in panels for s in p["series"]]
        return [line.strip() for label in found if label
                for line in PLOT.plain(label).split("\n")]

    def test_labels_give_slope_half_interval_and_law(self):
        found = self.legends(*NORMAL["groups"])
        for text in ("r = 1: slope 0.00 \u00b1 0.00 (law 0)",
                     "r = 2: slope \u22120.31 \u00b1 0.04 (law log)",
                     "r = 3: slope \u22121.00 \u00b1 0.02 (law \u22121)",
                     "r = 4: slope \u22121.99 \u00b1 0.01 (law \u22122)",
                     "one seed, jittered sideways", "mean over seeds \u00b1 2 s.e.",
                     "law, through the smallest \u03b5"):
            self.assertIn(text, found)
        self.assertFalse(any("censored" in text or "layers" in text for text in found))

    def test_the_half_interval_is_the_fits_own_where_it_has_one(self):
        fitted = {**sweep(3, 0.1, slope=-1.0, error=0.01), "lower": -1.2, "upper": -0.8}
        self.assertIn("r = 3: slope \u22121.00 \u00b1 0.20 (law \u22121)", self.legends(fitted))

    def test_labels_of_two_small_layers_give_steps_per_decade(self):
        two = {**sweep(2, 0.1, slope=-0.1, error=0.01), "steps_per_decade": 230.4}
        self.assertIn("r = 2: 230.4 steps a decade (law: logarithmic)", self.legends(two))

    def test_censored_members_are_counted_and_marked(self):
        """A single point has no slope; groups of a panel may differ in everything."""
        found = self.legends(sweep(3, 0.05, scales=(0.05,)),
                             group(3, 0.1, [point(0.05, [900, -1, 800]),
                                            point(0.1, [400, 450, 500])], diverged=3),
                             group(4, 0.1, [point(s, [-1] * 5, 1000) for s in (0.05, 0.1)]))
        for text in ("r = 3: no slope, law \u22121", "1 of 6 censored", "10 of 10 censored",
                     "3 diverged, not drawn", "mean over seeds \u00b1 2 s.e.",
                     "mean of the escaped only", "censored, at the steps run"):
            self.assertIn(text, found)
        alone = self.legends(group(4, 0.1, [point(0.1, [-1] * 5, 1000)]))
        self.assertIn("censored, at the steps run", alone)
        self.assertFalse(any(text.startswith("mean") for text in alone))

    def test_points_without_members_or_coordinates_are_skipped(self):
        """Diverged at some scales, at all of one group, at all of one threshold."""
        empty = [point(0.05, []), point(0.1, [])]
        given = (group(3, 0.1, [*empty, point(0.2, [0, 1, 2]), point(0, [5]),
                                {**point(0.3, [7]), "scale": None}], diverged=4),
                 group(4, 0.1, empty, diverged=6), group(3, 0.2, empty, diverged=6))
        found = self.legends(*given)
        self.assertIn("r = 4: no slope, law \u22122", found)
        self.assertIn("4 diverged, not drawn", found)
        self.assertEqual(len(picture(sheet(*given))["panels"]), 1)

    def test_four_of_many_thresholds_have_panels(self):
        many = [sweep(3, t, slope=-t, times=1 + t) for t in (0.02, 0.05, 0.08, 0.11, 0.12, 0.35)]
        self.assertIn("4 of 6 thresholds.", caption(sheet(*many)))
        self.assertEqual([p["title"] for p in picture(sheet(*many))["panels"]],
                         ["loss threshold " + t for t in ("0.02", "0.08", "0.11", "0.35")])

    def test_groups_of_one_bottleneck_are_labelled_by_layers(self):
        found = self.legends(sweep(2, 0.1, slope=-0.1), sweep(2, 0.1, slope=-0.2, layers=[3, 4]),
                             sweep(3, 0.1, slope=-1.0), sweep(4, 0.1, layers=[1, 3, 4, 5]))
        labels = [t for t in found if t.startswith(("r = ", "small layers "))]
        self.assertEqual(labels, ["r = 2: slope \u22120.10 (law log)", "small layers 1\u20132",
                                  "r = 2: slope \u22120.20 (law log)", "small layers 3\u20134",
                                  "r = 3: slope \u22121.00 (law \u22121)",
                                  "r = 4: no slope, law \u22122",
                                  "small layers 1, 3\u20135"])

    def test_long_lists_of_layers_are_shortened(self):
        found = self.legends(sweep(32, 0.1, scales=(0.5, 0.9), layers=list(range(1, 64, 2))))
        label, = (t for t in found if t.startswith("small layers "))
        self.assertLess(len(label), 50)
        self.assertTrue(label.endswith("\u2026"))

    def test_a_bounded_slope_is_labelled_as_a_bound(self):
        one = {**sweep(4, 0.1), "lower": None, "upper": -1.2238}
        self.assertIn("r = 4: slope \u2264 \u22121.224 (95%), law \u22122", self.legends(one))
        self.assertIn("r = 4: slope \u2265 0.2 (95%), law \u22122",
                      self.legends({**one, "lower": 0.2, "upper": None}))

    def test_the_label_of_the_law_names_its_reference_point(self):
        escaped, censored = [point(s, [100, 120]) for s in (0.05, 0.1)], [-1, -1]
        for steps, words in (([200, 210], ""), ([200, -1], " where all escaped"),
                             (censored, " where all escaped")):
            given = group(3, 0.1, [point(0.02, steps), *escaped], slope=-1)
            self.assertIn("law, through the smallest \u03b5" + words, self.legends(given))
        partial = group(3, 0.1, [point(0.02, censored), point(0.05, [100, -1])])
        self.assertIn("law, through the smallest \u03b5 with a mean", self.legends(partial))

    def test_a_grid_has_a_colour_a_marker_and_panels(self):
        keys = [(width, name, batch) for width in (16, 32) for name in ("tanh", "gelu") for batch in (4, 8)]
        groups = [{**sweep(3, 0.1, slope=-1, error=0.1, times=1 + i),
                   "grid": dict(zip(("network.width", "network.activation", "train.batch"), key))}
                  for i, key in enumerate(keys)]
        panels = picture(sheet(*groups))["panels"]
        self.assertEqual([p["title"] for p in panels], ["batch = 4", "batch = 8"])
        for panel in panels:
            marks = [s for s in panel["series"] if s["role"] == "marks" and s["x"]]
            self.assertEqual([(s["colour"], s["marker"]) for s in marks], [(0, 0), (0, 1), (1, 0), (1, 1)])
            self.assertEqual([s["label"].split(":")[0] for s in marks],
                             ["width = 16, tanh", "width = 16, GELU", "width = 32, tanh", "width = 32, GELU"])

    def test_a_title_begins_the_caption_verbatim(self):
        for title in ("5 $ and \\alpha$ & <b>\t\u03b7 = 0.01", "a**b"):
            given = sheet(sweep(3, 0.1), title=title)
            self.assertTrue(caption(given).startswith(f"Sweep {title}: ".replace("\t", " ")))
            self.assertTrue(render(given, "svg"))

    def test_a_caption_explains_jitter_errors_and_symbols(self):
        told = caption(NORMAL)
        for words in ("jitter", "two standard errors", "Dashed: theory's law", "smallest \u03b5",
                      "half of their 95% interval", "4 at each scale"):
            self.assertIn(words, told)

    def test_a_caption_is_written_on_request(self):
        done = self.start(self.path("figure.svg"), NORMAL, "single", self.path("told.txt"))
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertTrue(self.read("told.txt").startswith(b"Sweep slopes: Escape time t*"))


class Panels(Law):
    def test_thresholds_with_similar_times_share_a_panel(self):
        alike = sheet(*[sweep(3, t, times=1 + 0.01 * i) for i, t in enumerate((0.08, 0.1, 0.12))])
        self.assertEqual(len(picture(alike)["panels"]), 1)
        self.assertIn("Loss threshold 0.1; times at 0.08, 0.12 differ by at most 2.0%",
                      caption(alike))

    def test_thresholds_with_different_times_or_escapes_have_separate_panels(self):
        for other in (sweep(3, 0.2, times=1.1), sweep(3, 0.2, scales=(0.03, 0.05)),
                      group(3, 0.2, [point(s, [100, -1]) for s in (0.03, 0.05, 0.1)])):
            self.assertEqual(len(picture(sheet(sweep(3, 0.1), other))["panels"]), 2)

    def test_the_law_goes_through_the_mean_at_the_smallest_scale(self):
        """Of r = 1, 2, 3; where some members are censored, at the smallest that is whole."""
        for r in (1, 2, 3):
            points = [point(s, [t]) for s, t in ((0.01, 1000), (0.02, 480), (0.04, 210))]
            for censored, anchor in ((False, (0.01, 1000)), (True, (0.02, 480))):
                if censored:
                    points[0] = point(0.01, [900, -1])
                law, = lines(sheet(group(r, 0.1, points, slope=-1.1)), "dash")
                nearest = min(zip(law["x"], law["y"]), key=lambda p: abs(math.log(p[0] / anchor[0])))
                law_slope = {1: 0, 2: -1, 3: -1}[r]
                self.assertAlmostEqual(nearest[1], anchor[1] * (nearest[0] / anchor[0])**law_slope,
                                       delta=0.01 * anchor[1])

    def test_the_fitted_slope_is_a_separate_line(self):
        line, = lines(sheet(sweep(3, 0.1, slope=-1.25)), "line")
        (x0, x1), (y0, y1) = line["x"], line["y"]
        self.assertAlmostEqual(math.log(y1 / y0) / math.log(x1 / x0), -1.25)

    def test_limits_have_a_panel_with_their_interval(self):
        """And a group without a limit is not in it."""
        given = sheet({**sweep(3, 0.1, slope=-1.02), "limit": LIMIT},
                      {**sweep(4, 0.1, slope=-2), "limit": None})
        panel = picture(given)["panels"][1]
        hollow, = (s for s in panel["series"] if s.get("hollow") and s["x"])
        for got, want in zip((*hollow["x"], *hollow["low"], *hollow["y"], *hollow["high"]),
                             (0, -0.004, -0.001, 0.002)):
            self.assertAlmostEqual(got, want)
        told = caption(given)
        self.assertIn("limit at \u03b5 \u2192 0 \u22121.001 \u00b1 0.003 "
                      "(T\u00b2 = 0.7, 1 degree of freedom)", told)
        self.assertIn("Not in (b), because the fit has no limit of a slope there: r = 4.", told)
        self.assertNotIn("set apart sideways", told)

    def test_local_slopes_have_the_intervals_of_the_fit(self):
        local = {"local": [-1.1, None], "local_lower": [-1.2, None], "local_upper": [-0.9, None]}
        given = sheet({**sweep(3, 0.1, slope=-1.02), "limit": LIMIT, **local})
        marks = next(s for s in picture(given)["panels"][1]["series"] if s["role"] == "marks")
        for got, want in zip((*marks["low"], *marks["y"], *marks["high"]), (-0.2, -0.1, 0.1)):
            self.assertAlmostEqual(got, want)

    def test_every_mark_of_the_limits_panel_is_in_its_legend(self):
        given = sheet({**sweep(4, 0.1, slope=-2.02), "limit": {**LIMIT, "slope": -2.001}})
        own = PLOT.house_style.legends_of(picture(given))[0][1]
        self.assertEqual([PLOT.plain(label) for label, _ in own],
                         ["local slope, 95% interval", "limit at \u03b5\u2192 0, 95% interval",
                          "slope of the whole window"])

    def test_missing_values_of_a_fit_are_omitted(self):
        """Of 4 scales and 4 seeds there is a residual contrast but no T^2; and each one alone."""
        for null in (*LIMIT, "all"):
            limit = {k: None if null in (k, "all") else v for k, v in LIMIT.items()}
            given = sheet({**sweep(3, 0.1, slope=-1.02), "limit": limit, "stderr": None})
            self.assertEqual("T\u00b2" in caption(given), null in ("lower", "upper"), null)
        self.assertTrue(render(sheet({**sweep(3, 0.1), "limit": LIMIT}), "svg"))


class Style(Law):
    def test_a_width_is_one_or_two_columns_or_inches(self):
        for width, inches in (("single", 3.4), ("double", 7.0), ("5.5", 5.5), ("", 3.4)):
            image = PLOT.house_style.render(picture(NORMAL), "png", width)
            self.assertEqual(int.from_bytes(image[16:20], "big"), round(300 * inches))

    def test_an_axis_has_powers_or_plain_numbers_never_both(self):
        for low, high in ((0.9e-3, 0.13), (0.1, 0.36), (0.011, 0.2), (20, 1100), (300, 5e4), (2, 7),
                          (1e-9, 1), (0.95, 1.3), (3e6, 5e7), (1e-5, 3e-5)):
            ticks, words = PLOT.house_style.log_ticks(low, high)
            said = [words(t) for t in ticks]
            self.assertGreaterEqual(len(said), 2, (low, high))
            self.assertEqual(len(set(said)), len(said), said)
            self.assertIn(sum("^" in word for word in said), (0, len(said)), said)
            if math.log10(high / low) < 1.5 and 1e-4 < low and high < 1e5:
                self.assertFalse(any("^" in word for word in said), said)

    def test_legends_stay_within_the_page(self):
        """In one column too; what the legends of one and of several panels share included."""
        style = PLOT.house_style
        wide = sheet(*[sweep(r, t, slope=2 - r, error=0.1, layers=list(range(2, r + 2)), times=1 + t)
                       for r in (3, 4) for t in (0.1, 0.3)])
        for width in (3.4, 7.0):
            figure = style.draw(picture(wide), width)
            figure.canvas.draw()
            for legend in [*figure.legends, *(a.get_legend() for a in figure.axes)]:
                if legend:
                    self.assertLessEqual(legend.get_window_extent().x1, figure.bbox.x1 + 1)

    def test_mathematics_is_plain_text_in_captions(self):
        for text, want in ((r"$a_1^{L-1}$", "a_1^(L\u22121)"), (r"$\log t^*$", "log t*"),
                           (r"5 \$ of $\varepsilon^2$", "5 $ of \u03b5\u00b2"),
                           (r"$\|E[T h_1]\|$", "\u2016E[T h_1]\u2016"),
                           (r"$\eta = 0.1$, $r \geq 3$", "\u03b7 = 0.1, r \u2265 3")):
            self.assertEqual(PLOT.plain(text), want)

    def test_neighbouring_series_differ_in_grey(self):
        """Of two series in one panel either the marker or the dash differs."""
        groups = [sweep(r, 0.1, slope=2 - r) for r in (1, 2, 3, 4, 5, 6, 7, 8)]
        groups += [sweep(3, 0.1, slope=-1, layers=layers) for layers in ([2, 3, 4], [4, 5, 6])]
        looks = [(s["colour"], PLOT.house_style.marker_of(s)) for s in lines(sheet(*groups), "marks")]
        self.assertEqual(len(set(looks)), len(looks))
        self.assertEqual(len({m for _, m in looks[:8]}), 8)


class Refusals(Law):
    def test_an_unknown_ending_is_refused_with_what_is_allowed(self):
        for name in ("figure.gif", "figure", ".png"):
            self.refuse(self.path(name), NORMAL, 2, name, ".png, .svg or .pdf")

    def test_an_unwritable_path_is_refused(self):
        os.mkdir(self.path("folder.png"))
        self.write("file", "")
        for name, words in (("absent/figure.png", "No such file"), ("folder.png", "directory"),
                            ("file/figure.png", "Not a directory")):
            self.refuse(self.path(name), NORMAL, 2, self.path(name), words)

    def test_a_failed_write_leaves_no_file(self):
        def small_files_only():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        done = self.start(self.path("figure.png"), NORMAL, preexec_fn=small_files_only)
        self.assert_refusal(done.returncode, done.stderr.decode(), 3, ("figure.png", "too large"))
        self.assertEqual(os.listdir(self.directory), [])

    def test_invalid_input_is_refused_and_the_old_figure_kept(self):
        self.write("figure.png", "old")
        for text in (b"", b"{", b"\xff\xfe", b"[]", b'{"groups": [{"points": [1]}]}'):
            self.refuse(self.path("figure.png"), text, 3)
        self.assertEqual(self.read("figure.png"), b"old")

    def test_an_empty_sheet_is_refused(self):
        for groups in ((), (group(3, 0.1, []),), (group(3, 0.1, [point(0.1, [])], diverged=3),),
                       (group(3, 0.1, [point(0, [5])]),)):
            self.refuse(self.path("figure.png"), sheet(*groups), 2, "nothing to draw")

    def test_a_missing_figure_name_is_refused(self):
        self.refuse(None, NORMAL, 2, "plot: usage")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python3 test_plot.py PLOT_SCRIPT.PY")
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("plot", sys.argv.pop())
    PLOT = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(PLOT)
    with open(spec.origin, encoding="utf-8") as script:
        SCRIPT = script.read()
    unittest.main()
