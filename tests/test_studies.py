# SPDX-License-Identifier: Apache-2.0
"""tools/study with few and narrow networks: results close to those of the full study.

Usage: test_studies.py PROGRAM TOOLS [unittest arguments]
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM, TOOLS = os.path.abspath(sys.argv.pop(1)), os.path.abspath(sys.argv.pop(1))


class Studies(unittest.TestCase):
    def tables(self, name, *overrides):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        done = subprocess.run([f"{TOOLS}/study", name, "-o", scratch.name, "--escapement", PROGRAM,
                               "network.width=4", "network.inputs=4", "train.batch=16", *overrides],
                              capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        folder = os.path.join(scratch.name, name)
        self.assertGreater(os.path.getsize(f"{folder}/{name}.png"), 10000)
        with open(f"{folder}/{name}.txt") as file:
            self.assertNotIn("\\", file.read(), "a caption is text, not LaTeX")
        with open(f"{folder}/result.txt") as file:
            self.assertEqual(file.read(), done.stdout)
        with open(f"{folder}/result.json") as file:
            return [[dict(zip(t["columns"], row)) for row in t["rows"]]
                    for t in json.load(file)["tables"]]

    def test_extrapolated_exponents_are_nearer_the_law_than_those_of_the_window(self):
        limits, local = self.tables("exponents", "sweep.seeds=8", "escape.thresholds=[0.1]")
        for row in limits:
            law = float(row["law"])
            self.assertLess(abs(float(row["limit"]) - law), 0.03, row)
        six = next(row for row in limits if row["r"] == "6")
        self.assertGreater(abs(float(six["window"]) + 4), 3 * abs(float(six["limit"]) + 4))
        self.assertEqual(len(local), 13)

    def test_the_naive_slope_is_biased_and_the_censored_slope_is_not(self):
        rows = self.tables("censoring", "sweep.seeds=40")[0]
        full, least = rows[0], rows[-2]
        self.assertGreater(float(least["of those that escaped"]),
                           float(full["of those that escaped"]) + 0.15)
        # 0.03: with the smallest scale cut off the window's corrections at finite epsilon differ
        self.assertLess(abs(float(least["censored fit"]) - float(full["censored fit"])),
                        0.03 + 3 * float(least["stderr"]))

    def test_the_slowdown_by_inertia_is_that_of_the_measured_time_without_momentum(self):
        slopes, ratios, manifold = self.tables(
            "momentum", "train.batch=64", "sweep.seeds=6", "train.steps=20000",
            "sweep.groups=[{bottleneck: 3, scales: [0.1, 0.05, 0.025]}]")
        self.assertEqual((len(slopes), len(ratios), len(manifold)), (4, 9, 9))
        for row in ratios:
            self.assertLess(abs(float(row["ratio"]) / float(row["theory"]) - 1), 0.3, row)
        self.assertGreater(max(float(row["ratio"]) for row in ratios), 3)
        for row in manifold[3:]:
            self.assertLess(abs(float(row["trained"]) - float(row["second order"])), 4, row)

    def test_adam_has_no_exponent_in_the_scale(self):
        scales, rates, _ = self.tables(
            "adam", "train.batch=64", "sweep.seeds=6", "train.steps=10000",
            "sweep.groups=[{bottleneck: 4, scales: [0.1, 0.03, 0.01]}]")
        self.assertLess(abs(float(scales[0]["slope"])), 0.1, scales)
        self.assertLess(abs(float(rates[0]["slope"]) - float(rates[0]["iteration"])), 0.1, rates)


if __name__ == "__main__":
    unittest.main()
