# SPDX-License-Identifier: Apache-2.0
"""Escape times against those of an independent program
(docs/theory, section 9.4): He-normal, tanh, L=6, N=d=32, B=64, rate 0.01,
threshold 0.1, 16 seeds. The seeds of both programs are independent draws, with a
spread of 25% over seeds, so the two means of 16 seeds differ by about

    25% * sqrt(2/16) = 9% (one standard error).

Usage: test_escape_times.py PROGRAM [unittest arguments]
"""
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))

SPEC = """\
network: {layers: 6, width: 32, inputs: 32, activation: tanh}
train: {rate: 0.01, batch: 64, steps: 100000}
escape: {thresholds: [0.1], smoothing: %s}
sweep:
  seeds: 16
  groups: [%s]
"""

STANDARD_ERROR = 0.25 * math.sqrt(2 / 16)


def fit(smoothing, groups):
    """{bottleneck: fit group} of a sweep over `groups`, {bottleneck: scales}."""
    text = ", ".join("{bottleneck: %d, scales: %s}" % item for item in groups.items())
    with tempfile.TemporaryDirectory() as scratch:
        with open(os.path.join(scratch, "spec.yaml"), "w") as file:
            file.write(SPEC % (smoothing, text))
        for arguments in (["run", "spec.yaml", "-o", "a.h5", "--quiet"], ["fit", "a.h5", "--json"]):
            done = subprocess.run([PROGRAM, *arguments], cwd=scratch, check=True, text=True,
                                  stdout=subprocess.PIPE)
    return {g["bottleneck"]: g for g in json.loads(done.stdout)["groups"]}


class EscapeTimes(unittest.TestCase):
    def check(self, group, expected):
        """`expected`: {scale: mean steps}; 4 standard errors for each mean."""
        self.assertEqual(group["censored"], 0)
        means = {p["scale"]: p["mean"] for p in group["points"]}
        self.assertEqual(means.keys(), expected.keys())
        for scale, steps in expected.items():
            self.assertLess(abs(math.log(means[scale] / steps)), 4 * STANDARD_ERROR,
                            (group["bottleneck"], scale, means[scale], steps))

    def test_moving_average(self):
        groups = fit(0.98, {3: [0.01], 4: [0.1, 0.07], 2: [1e-2, 1e-3, 1e-4, 1e-5]})
        self.check(groups[3], {0.01: 4930})
        self.check(groups[4], {0.1: 2500, 0.07: 5120})
        self.assertAlmostEqual(groups[4]["slope"], -2, delta=0.05)
        self.check(groups[2], {1e-2: 182, 1e-3: 287, 1e-4: 392, 1e-5: 497})
        self.assertAlmostEqual(groups[2]["steps_per_decade"], 105, delta=8)

    def test_minibatch_loss_itself(self):
        groups = fit("none", {4: [0.1], 2: [1e-2, 1e-3, 1e-4, 1e-5]})
        self.check(groups[4], {0.1: 2444})
        self.check(groups[2], {1e-2: 142, 1e-3: 246, 1e-4: 352, 1e-5: 457})

    def test_one_small_layer_gives_no_plateau(self):
        groups = fit(0.98, {1: [1e-2, 1e-3, 1e-4, 1e-5]})
        self.check(groups[1], {scale: 37 for scale in (1e-2, 1e-3, 1e-4, 1e-5)})
        self.assertAlmostEqual(groups[1]["slope"], 0, delta=0.02)


if __name__ == "__main__":
    unittest.main()
