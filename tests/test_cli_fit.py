# SPDX-License-Identifier: Apache-2.0
"""The commands fit and plot: compatible files, censored and diverged members and layers in the table,
and figures written or refused.

Usage: test_cli_fit.py PROGRAM [unittest arguments]
"""
import math
import os
import re
import unittest

import xarray

import cli_case

SPEC = """\
name: small
network: {layers: 4, width: 6, inputs: 6, activation: tanh}
teacher: {amplitudes: [1.0]}
train: {rate: 0.05, batch: 64, steps: 40}
escape: {thresholds: [0.1], smoothing: 0.9}
sweep:
  seeds: 2
  groups:
    - {bottleneck: 3, scales: [0.3, 0.2]}
"""

CENSORED, DIVERGED = -1, -2
BIASED = "* of escaped members only: biased if some are censored"
MEDIANS = "* medians: of scales with an uncensored median only: biased by this selection"


class Commands(cli_case.Case):
    SPEC = SPEC
    RUN = ("--quiet",)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def table(self, name, *groups):
        """A file of another program: groups are (bottleneck, layers, {scale: steps}), the
        steps those of seeds 1, 2, ..., CENSORED (at step 1000) or DIVERGED."""
        rows = [(r, sum(1 << l - 1 for l in layers), scale, seed, step)
                for r, layers, points in groups for scale, steps in points.items()
                for seed, step in enumerate(steps, 1)]
        column = dict(zip(("bottleneck", "small_layers", "scale", "seed", "step"), zip(*rows)))
        steps = column.pop("step")
        column["steps_run"] = [step if step >= 0 else 1000 for step in steps]
        column["status"] = [{CENSORED: 1, DIVERGED: 2}.get(step, 0) for step in steps]
        xarray.Dataset(
            {**{key: ("member", list(values)) for key, values in column.items()},
             "escape_step": (("member", "threshold"), [[max(step, -1)] for step in steps])},
            {"threshold": [0.1]}).to_netcdf(self.path(name), engine="h5netcdf")
        return name

    def refused(self, *arguments, code=2, **changes):
        """Checks for one line on standard error, besides warnings about unverified files, an empty standard output
        and no new files."""
        before = sorted(os.listdir(self.scratch))
        done = self.call(*arguments, code=code, **changes)
        self.assertEqual(done.stdout, "")
        own = [line for line in done.stderr.splitlines() if "the numbers are not verified" not in line]
        self.assertEqual(len(own), 1, done.stderr)
        self.assertEqual(sorted(os.listdir(self.scratch)), before)
        return own[0]

    def groups(self, *files):
        return self.call_json("fit", *files)["groups"]

    def lines(self, *arguments):
        done = self.call("fit", *arguments)
        self.assertNotIn("nan", done.stdout)
        return done.stdout.splitlines()


class FilesTogether(Commands):
    def test_other_experiments_are_refused_with_the_key_and_both_values(self):
        self.train("a.h5")
        for change, key, one, other in (
                ("network.width=7", "network.width", "6", "7"),
                ("train.rate=0.04", "train.rate", "0.05", "0.04"),
                ("escape.smoothing=none", "escape.smoothing", "0.9", "0.0"),
                ("teacher.amplitudes=[0.9]", "teacher.amplitudes", "[1.0]", "[0.9]"),
                ("init.scales=[1, 1, 1, 2]", "init.scales", "[1.0, 1.0, 1.0, 1.0]",
                 "[1.0, 1.0, 1.0, 2.0]"),
                ("network.activation=sin", "network.activation", '"tanh"', '"sin"')):
            with self.subTest(change):
                self.train("b.h5", change, "sweep.seed=50", "escape.false_escapes=allow",
                              "--force")
                message = self.refused("fit", "a.h5", "b.h5")
                self.assertIn("a.h5 and b.h5 are different experiments: "
                              f"{key} is {one} in the first and {other} in the second", message)
                self.assertIn(f"{key} is {other} in the first and {one} in the second",
                              self.refused("fit", "b.h5", "a.h5"))
        self.assertIn("network.activation", self.refused("plot", "a.h5", "b.h5", "-o", "f.png"))

    def test_a_key_missing_in_one_file_and_the_third_file_are_named(self):
        self.train("a.h5")
        self.train("b.h5", "sweep.seed=50")
        self.train("c.h5", "sweep.seed=60")
        changed = xarray.load_dataset(self.path("c.h5"), engine="h5netcdf")
        changed.attrs["spec"] = changed.attrs["spec"].replace("  rate:", "  warmth: 2\n  rate:")
        changed.to_netcdf(self.path("c.h5"), engine="h5netcdf")
        for files, said in ((("a.h5", "b.h5", "c.h5"), "absent in the first and 2 in the second"),
                            (("c.h5", "b.h5", "a.h5"), "2 in the first and absent in the second")):
            message = self.refused("fit", *files)
            self.assertIn("train.warmth is " + said, message)
        self.assertIn("c.h5 and b.h5", message)

    def test_long_values_are_shown_where_they_differ(self):
        ones = ", ".join(["1"] * 40)
        for name, last in (("a.h5", "1"), ("b.h5", "2")):
            self.train(name, "network.layers=41", f"init.scales=[{ones}, {last}]",
                          "train.steps=1", f"sweep.seed={last}0")
        self.assertRegex(self.refused("fit", "a.h5", "b.h5"),
                         r"init\.scales is \.\.\.[1.0, ]+ 1\.0\] in the first "
                         r"and \.\.\.[1.0, ]+ 2\.0\] in the second")

    def test_seeds_and_budgets_may_differ(self):
        self.train("a.h5")
        self.train("b.h5", "name=other", "sweep.seed=50", "sweep.seeds=3", "train.steps=30",
                      "escape.thresholds=[0.1, 0.09]", "escape.false_escapes=allow",
                      "sweep.groups=[{bottleneck: 3, scales: [0.3]}, "
                      "{bottleneck: 2, scales: [0.1]}]")
        self.train("c.h5", "--backend", "reference", "sweep.seed=90")
        pooled = {(g["bottleneck"], g["threshold"]): g["n"]
                  for g in self.groups("a.h5", "b.h5", "c.h5")}
        self.assertEqual(pooled, {(2, 0.09): 3, (2, 0.1): 3, (3, 0.09): 3, (3, 0.1): 11})

    def test_files_without_a_spec_are_not_compared(self):
        self.train("a.h5", "network.layers=3")
        self.table("b.h5", (3, (1, 2, 3), {0.3: [40]}))
        self.train("c.h5", "network.layers=3", "sweep.seed=50", "train.rate=0.04")
        self.refused("fit", "b.h5", "a.h5", "c.h5")
        rows = xarray.load_dataset(self.path("b.h5"), engine="h5netcdf")
        rows["seed"] += 1000
        rows.to_netcdf(self.path("b.h5"), engine="h5netcdf")
        self.assertEqual(self.groups("b.h5", "a.h5")[0]["n"], 5)


class Table(Commands):
    def test_groups_of_one_bottleneck_with_different_layers_are_distinct(self):
        steps = {0.1: [100, 110], 0.2: [50, 60]}
        self.table("a.h5", (2, (1, 2), steps), (2, (3, 4), steps), (3, (1, 2, 3), steps),
                   (4, (1, 3, 4, 5), steps), (5, (), steps))
        lines = self.lines("a.h5")
        self.assertEqual([line.split("0.1")[0].split(None, 1)[1].strip() for line in lines[1:6]],
                         ["1\u20132", "3\u20134", "1\u20133", "1, 3\u20135", "-"])
        self.assertEqual(len({len(line) for line in lines[:6]}), 1)  # columns aligned
        self.assertEqual([line for line in lines if line.startswith("r = ")],
                         ["r = 2, threshold 0.1", "r = 2, layers 3\u20134, threshold 0.1",
                          "r = 3, threshold 0.1", "r = 4, layers 1, 3\u20135, threshold 0.1",
                          "r = 5, threshold 0.1"])
        self.assertEqual(self.groups("a.h5")[1]["small_layers"], [3, 4])

    def test_values_of_escaped_members_only_are_marked(self):
        self.table("a.h5", (3, (1, 2, 3), {0.1: [CENSORED] * 3, 0.2: [800, CENSORED, 700],
                                           0.4: [350, 420, 400], 0.8: [180, 200, 190]}))
        lines = self.lines("a.h5")
        self.assertRegex(lines[1], r"^ +3 +1\u20133 .*( +-?[\d.]+){3}( +-){3} +12 +4$")
        self.assertEqual([line for line in lines if line.startswith("*")], [BIASED, MEDIANS])
        self.assertRegex("\n".join(lines), r"weighted means -[\d.]+\* \+- .* medians -[\d.]+\* ")
        points = [line.split() for line in lines[-7:-3]]
        self.assertEqual(points[0], ["0.1", "-", "-", "-", "3", "3", "-"])
        self.assertEqual(points[1][:3] + points[1][4:6], ["0.2", "750.0*", "800.0", "3", "1"])
        self.assertRegex(points[1][3], r"^70\.7\*$")
        self.assertRegex(points[1][6], r"^-[\d.]+\*$")
        self.assertRegex(points[2][6], r"^-[\d.]+$")
        self.assertEqual(points[3][6], "-")
        self.assertIsInstance(self.groups("a.h5")[0]["slope_weighted"], float)

    def test_nothing_is_marked_without_partly_censored_points(self):
        """All censored at a scale leaves the others' means unbiased; that scale is missing from the
        medians, and bounds its local slope by its budget."""
        self.table("a.h5", (3, (1, 2, 3), {0.1: [CENSORED] * 3, 0.2: [800, 900, 700],
                                           0.4: [350, 420, 400]}))
        lines = self.lines("a.h5")
        self.assertEqual([line for line in lines if line.startswith("*")], [MEDIANS])
        self.assertNotRegex("\n".join(lines), r"weighted means -[\d.]+\*")
        self.assertRegex(lines[-5], r"^  0\.1 .* 3 +3  <= [\d.-]+$")

    def test_diverged_members_are_counted_and_undefined_values_are_dashes(self):
        self.table("a.h5", (3, (1, 2, 3), {0.1: [DIVERGED, DIVERGED], 0.2: [800, DIVERGED]}),
                   (2, (1, 2), {0.1: [DIVERGED, DIVERGED]}))
        lines = self.lines("a.h5")
        titles = [line for line in lines if line.startswith("r = ")]
        self.assertEqual(titles, ["r = 2, threshold 0.1, 2 diverged (excluded)",
                                  "r = 3, threshold 0.1, 3 diverged (excluded)"])
        self.assertIn("  no slope: members escaped at fewer than two scales", lines)
        self.assertEqual(lines[1].split(), ["2", "1\u20132", "0.1", "log", *["-"] * 6, "0", "0"])
        self.assertIn("  steps per decade of epsilon over this range: -", lines)
        self.assertEqual(lines[-2].split(), ["0.1", "-", "-", "-", "0", "0", "-"])
        self.assertEqual(lines[-1].split(), ["0.2", "800.0", "800.0", "-", "1", "0", "-"])


class Slopes(Commands):
    """A sweep of 3 seeds, and the limit at epsilon = 0."""

    def test_few_seeds_cause_a_warning_in_table_and_json(self):
        self.table("a.h5", (3, (1, 2, 3), {0.1: [100, 130, 90], 0.2: [52, 61, 47]}))
        warning = "3 seeds: the length of the interval is uncertain by 50%; use 5 or more"
        self.assertIn("  warning: " + warning, self.lines("a.h5"))
        self.assertIn(f"warning: {warning} (r = 3, layers 1\u20133, threshold 0.1)",
                      self.lines("a.h5", "--brief"))
        self.assertEqual(self.groups("a.h5")[0]["warnings"], [warning])

    def test_a_censored_scale_bounds_the_slope_on_one_side(self):
        self.table("a.h5", (3, (1, 2, 3), {0.1: [CENSORED] * 8,
                                           0.4: [100, 101, 99, 102, 98, 100, 101, 99]}))
        group = self.groups("a.h5")[0]
        self.assertIsNone(group["slope"])
        self.assertIsNone(group["lower"])
        self.assertAlmostEqual(group["upper"], -1.65, delta=0.02)  # log(100/1000)/log(4)
        self.assertEqual(group["local_upper"], [group["upper"]])
        self.assertRegex("\n".join(self.lines("a.h5")), r"slope <= -1\.6\d+ \(95%, one-sided\)")

    def test_the_limit_contains_the_law_when_the_slope_excludes_it(self):
        """t* = 1000 (1 + 4 e) / e: the local slopes reach -1 at e = 0 only."""
        t = {e: [round(1000 * f * (1 + 4 * e) / e) for f in (0.8, 0.9, 1, 1.1, 1.2)]
             for e in (0.005, 0.01, 0.02, 0.04)}
        self.table("a.h5", (3, (1, 2, 3), t))
        group = self.groups("a.h5")[0]
        limit = group["limit"]
        self.assertGreater(group["lower"], -0.97)
        self.assertLess(limit["lower"], -1)
        self.assertGreater(limit["upper"], -1)
        self.assertLess(limit["upper"] - limit["lower"], 0.03)
        self.assertEqual((limit["terms"], limit["dof"]), (["eps"], 1))

    def test_the_limit_of_two_small_layers_is_in_steps_per_decade(self):
        t = {e: [round(50 + 100 * math.log10(1 / e) + 40 * e) + k for k in (-2, -1, 0, 1, 2)]
             for e in (0.001, 0.01, 0.1, 0.3)}
        self.table("a.h5", (2, (1, 2), t))
        limit = self.groups("a.h5")[0]["limit"]
        self.assertEqual((limit["quantity"], limit["slope"]), ("steps per decade", None))
        self.assertAlmostEqual(limit["value"], 100, delta=1)
        self.assertTrue(limit["lower"] < 100 < limit["upper"])

    def test_corrections_follow_the_activation_and_the_bottleneck(self):
        for activation, r, terms in (("tanh", 3, ["eps"]), ("tanh", 4, ["eps^2 log eps"]),
                                     ("tanh", 5, ["eps^2"]), ("gelu", 5, ["eps"]),
                                     ("gelu", 3, ["eps log eps"]), ("linear", 5, ["eps^3"])):
            with self.subTest(f"{activation}, r = {r}"):
                self.train("a.h5", f"network.activation={activation}", "network.layers=5",
                              f"sweep.groups=[{{bottleneck: {r}, scales: [0.5, 0.6, 0.7, 0.8]}}]",
                              "escape.thresholds=[1]", "escape.false_escapes=allow", "--force")
                self.assertEqual(self.groups("a.h5")[0]["limit"]["terms"], terms)


class Figure(Commands):
    def test_a_file_with_nothing_to_draw_is_refused_by_name(self):
        self.train("a.h5", "--shard", "20/21")
        self.assertIn("a.h5: nothing to draw: no members",
                      self.refused("plot", "a.h5", "-o", "f.png"))
        self.table("b.h5", (3, (1, 2, 3), {0.1: [DIVERGED] * 2, 0.2: [DIVERGED]}))
        self.assertIn("b.h5: nothing to draw: all 3 members diverged",
                      self.refused("plot", "b.h5", "-o", "f.png"))
        self.assertIn("a.h5 and 1 more: nothing to draw",
                      self.refused("plot", "a.h5", "b.h5", "-o", "f.png"))
        self.table("c.h5", (3, (1, 2, 3), {0.0: [100]}))
        self.assertIn("c.h5: nothing to draw", self.refused("plot", "c.h5", "-o", "f.png"))

    def test_drawable_groups_are_drawn(self):
        """Groups that diverged as a whole or escaped nowhere do not stop the others."""
        self.table("a.h5", (2, (1, 2), {0.1: [100]}),
                   (2, (3, 4), {0.1: [CENSORED], 0.2: [DIVERGED]}),
                   (3, (1, 2, 3), {0.1: [DIVERGED]}), (4, (1, 2, 3, 4), {0.0: [3]}))
        done = self.call("plot", "a.h5", "-o", "f.svg")
        self.assertEqual(done.stdout, "f.svg\n")
        text = re.sub(r"<[^>]*>", "", self.read("f.svg").decode())
        for words in ("small layers 1\u20132", "small layers 3\u20134", "1 of 1 censored",
                      "1 diverged, not drawn"):
            self.assertIn(words, text)

    def test_a_script_that_draws_nothing_is_a_failure(self):
        self.table("a.h5", (3, (1, 2, 3), {0.1: [100], 0.2: [50]}))
        message = self.refused("plot", "a.h5", "-o", "f.png", code=3, ESCAPEMENT_PYTHON="/bin/true")
        self.assertIn("/bin/true: exit status 0, but f.png was not written", message)
        self.write("f.png", "old")
        self.refused("plot", "a.h5", "-o", "f.png", code=3, ESCAPEMENT_PYTHON="/bin/true")
        self.assertEqual(self.read("f.png"), b"old")
        self.write("python", "#!/bin/sh\nprintf new > f.png\n")
        os.chmod(self.path("python"), 0o755)
        done = self.call("plot", "a.h5", "-o", "f.png", ESCAPEMENT_PYTHON=self.path("python"))
        self.assertEqual(done.stdout, "f.png\n")
        self.assertEqual(self.read("f.png"), b"new")

    def interpreter(self, folder, text="exit 86"):
        """A fake python3, in a folder for $PATH."""
        os.makedirs(self.path(folder), exist_ok=True)
        self.write(f"{folder}/python3", f"#!/bin/sh\n{text}\n")
        os.chmod(self.path(f"{folder}/python3"), 0o755)
        return self.path(f"{folder}/python3")

    def test_python_on_the_path_is_used(self):
        self.table("a.h5", (3, (1, 2, 3), {0.1: [100], 0.2: [50]}))
        self.interpreter("env", 'printf %s "$1" > f.png')
        self.call("plot", "a.h5", "-o", "f.png", PATH=self.path("env") + ":/usr/bin:/bin")
        self.assertEqual(self.read("f.png"), b"-I")

    def test_python_without_matplotlib_falls_back_to_the_system(self):
        self.table("a.h5", (3, (1, 2, 3), {0.1: [100], 0.2: [50]}))
        self.interpreter("env")
        done = self.call("plot", "a.h5", "-o", "f.png", PATH=self.path("env") + ":/usr/bin:/bin")
        self.assertTrue(self.read("f.png").startswith(b"\x89PNG"))

    def test_without_matplotlib_the_interpreter_and_its_error_are_named(self):
        self.table("a.h5", (3, (1, 2, 3), {0.1: [100], 0.2: [50]}))
        bare = self.interpreter("bare", "echo 'No module named matplotlib' >&2; exit 86")
        for named, error in ((bare, "No module named matplotlib"),
                             (self.path("missing"), "No such file or directory")):
            message = self.refused("plot", "a.h5", "-o", "f.png", code=3, ESCAPEMENT_PYTHON=named)
            self.assertIn(named, message)
            self.assertIn(error, message)
            self.assertIn("ESCAPEMENT_PYTHON", message)

    def test_the_input_is_never_replaced_by_the_figure(self):
        self.table("in.png", (3, (1, 2, 3), {0.1: [100], 0.2: [50]}))
        self.table("b.h5", (3, (1, 2, 3), {0.3: [30]}))
        before = self.read("in.png")
        os.symlink("in.png", self.path("soft.png"))
        os.link(self.path("in.png"), self.path("hard.png"))
        for figure in ("in.png", "./in.png", self.path("in.png"), "soft.png", "hard.png"):
            with self.subTest(figure):
                message = self.refused("plot", "b.h5", "in.png", "-o", figure)
                self.assertIn("in.png", message)
        self.assertIn("would replace the result file soft.png",
                      self.refused("plot", "soft.png", "-o", "in.png"))
        self.assertEqual(self.read("in.png"), before)


if __name__ == "__main__":
    unittest.main()
