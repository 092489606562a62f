# SPDX-License-Identifier: Apache-2.0
"""Forecasts of a dry run against the run: steps, censored members, size of the file.

Usage: test_cli_forecast.py PROGRAM [unittest arguments]
"""
import os
import unittest

import h5py
import numpy

import cli_case

SPEC = """\
name: small
network: {layers: 4, width: 12, inputs: 8, activation: tanh}
teacher: {amplitudes: [1.2]}
train: {rate: 0.05, batch: 64, steps: 4000}
escape: {thresholds: [0.15, 0.2], smoothing: 0.9}
sweep: {seeds: 8, groups: [{bottleneck: 3, scales: [0.1, 0.05]}]}
"""
# All members run to the end, and nothing is forecast.
SHORT = ("train.steps=20", "escape.thresholds=[1e-9]", "train.loss=logistic", "train.batch=8",
         "escape.false_escapes=allow")
SIZES = ((), ("record.every=2",), ("record.per_decade=9",), ("sweep.seeds=700",),
         ("sweep.seeds=700", "record.every=5"), ("network.layers=9", "record.every=1"),
         ("network.layers=2", "sweep.groups=[{bottleneck: 2, scales: [0.1]}]", "record.every=3"))


class Forecast(cli_case.Case):
    SPEC = SPEC

    def run_spec(self, *arguments):
        return super().call_json(*self.command("--force", *arguments)[1:])

    def ends(self, seeds):
        """Escape steps at the last threshold, (scale, seed); infinite if censored."""
        with h5py.File(self.path("a.h5")) as file:
            steps = file["escape_step"][:].astype(float)
        steps[steps < 0] = numpy.inf
        return steps.max(axis=1).reshape(-1, seeds)

    def assert_forecast(self, tolerance, *arguments, seeds=8, method="linear flow"):
        told = self.run_spec("--dry-run", *arguments)["groups"]
        self.run_spec(*arguments)
        for group, ends in zip(told, self.ends(seeds), strict=True):
            self.assertEqual((group["method"], group["note"]), (method, None))
            real = float(numpy.median(ends))
            self.assertLess(abs(group["predicted_step"] / real - 1), tolerance, (group, real))

    # The forecast leaves out what is of higher order in the scales; measured: runs/forecast.
    def test_he_normal(self):
        self.assert_forecast(0.15)

    def test_another_bottleneck_behind_a_large_layer(self):
        self.assert_forecast(0.15, "sweep.groups=[{bottleneck: 2, layers: [2, 3], scales: [0.001]}, "
                             "{bottleneck: 3, layers: [1, 3, 4], scales: [0.05]}]")

    def test_a_wide_network_by_a_narrower_one(self):
        self.assert_forecast(0.25, "network.width=96", "network.inputs=48", "network.layers=3",
                             "sweep.groups=[{bottleneck: 3, scales: [0.1]}]")

    def test_gelu_whose_corrections_are_larger(self):
        self.assert_forecast(0.3, "network.activation=gelu", "teacher.amplitudes=[2]",
                             "escape.thresholds=[0.4]", "train.batch=256", seeds=8)

    def test_on_the_manifold(self):
        exact = ("train.metric=normalized", "train.batch=256", "sweep.seeds=2")
        self.assert_forecast(0.03, "init.scheme=symmetric", *exact, seeds=2, method="reduced ODE")
        self.assert_forecast(0.03, "init.scheme=blocks", "teacher.amplitudes=[1.5, 1.0]", *exact,
                             "escape.thresholds=[0.3]", "network.layers=3", seeds=2,
                             method="block reduction")

    def test_the_share_that_will_be_censored(self):
        few = ("train.steps=500", "sweep.seeds=32", "escape.thresholds=[0.2]",
               "sweep.groups=[{bottleneck: 3, scales: [0.06, 0.05, 0.04, 0.03]}]")
        told = [g["censored_share"] for g in self.run_spec("--dry-run", *few)["groups"]]
        self.run_spec(*few)
        real = numpy.isinf(self.ends(32)).mean(axis=1)
        self.assertLess(numpy.abs(told - real).max(), 0.25, (told, real))
        self.assertGreater(max(told), 0.5)
        self.assertLess(min(told), 0.5)

    def test_a_missing_forecast_has_a_reason(self):
        for argument, word in (("train.loss=logistic", "squared loss"),
                               ("network.activation=relu", "relu"),
                               ("network.activation=softplus-raw", "no saddle"),
                               ("train.rate=8", "train.rate")):
            for group in self.run_spec("--dry-run", argument, "escape.false_escapes=allow")["groups"]:
                self.assertIsNone(group["predicted_step"])
                self.assertIn(word, group["note"])

    def test_the_size_of_the_file(self):
        for arguments in SIZES:
            with self.subTest(arguments):
                told = self.run_spec("--dry-run", *SHORT, *arguments)["result_bytes_max"]
                self.run_spec(*SHORT, *arguments)
                real = os.path.getsize(self.path("a.h5"))
                self.assertGreaterEqual(told, real)
                self.assertLessEqual(told, 1.5 * real)


if __name__ == "__main__":
    unittest.main()
