# SPDX-License-Identifier: Apache-2.0
"""The command blocks: reference values of an independent program (tensor trapezoid rule, DOP853 at
1e-11), shifts between closure levels, and comparison with sampled training of a network.

Usage: test_cli_blocks.py PROGRAM [unittest arguments]
"""
import unittest

import numpy
import xarray

import cli_case

SPEC = """\
name: modes
network: {layers: 4, width: 12, inputs: 5, activation: tanh}
teacher: {amplitudes: [1.5, 1.0]}
init: {scheme: blocks}
train: {metric: normalized, rate: 0.02, batch: 1024, steps: 4000}
escape: {thresholds: [0.2], smoothing: none}
sweep:
  seeds: 8
  groups:
    - {bottleneck: 4, scales: [0.15]}
"""


def call(*arguments, **options):
    return cli_case.call("blocks", *arguments, **options)


def call_json(activation, amplitudes, layers, *more):
    return cli_case.call_json("blocks", "--activation", activation, "--amplitudes", amplitudes, "--layers",
                        str(layers), *more)


LONG = unittest.skipIf(cli_case.SANITIZED, "a minute; the other tests have the same code")


class Blocks(cli_case.Case):
    SPEC = SPEC

    @LONG
    def test_held_out_cases_of_unequal_scales(self):
        for arguments, escape, hermite in (
                (("erf", "1.5,0.8", 3, "--scales", "0.1,0.2,0.15;0.2,0.1,0.3"),
                 [3.7003974, 3.5851067], [4.3382359, 15.869984]),
                (("gelu", "1.2,0.7", 2, "--scales", "0.2,0.3;0.3,0.1"),
                 [2.4959295, 2.6869744], None),
                (("gelu", "1.2,0.7", 3, "--scales", "0.2,0.3,0.25;0.3,0.2,0.3", "--level", "1"),
                 [7.9837738, 7.9027448], None),
                (("swish", "1.5,1", 4, "--scales", "0.3,0.3,0.3,0.3;0.4,0.3,0.3,0.5"),
                 [18.08272, 17.743801], None),
                (("sin", "1,0.6", 3, "--scales", "0.1,0.1,0.1;0.05,0.05,1", "--level", "0"),
                 [15.988082, 6.9221511], [17.246297, 13.827147]),
                (("tanh", "0.6,1.5", 5, "--scales", "0.3,0.3,1,0.3,0.3;0.3,0.3,0.3,0.3,0.3"),
                 [7.3792954, 7.5895611], [33.010988, 7.7097707])):
            with self.subTest(arguments):
                got = call_json(*arguments)
                numpy.testing.assert_allclose(got["escape"], escape, rtol=1e-6)
                if hermite:
                    numpy.testing.assert_allclose(got["hermite"], hermite, rtol=1e-6)
                else:
                    self.assertEqual(got["hermite"], [None, None])
                for names, want in (("escape", escape), ("hermite", hermite)):
                    for time, error, right in zip(got[names], got[names + "_error"], want or []):
                        self.assertLess(error, 1e-6 * time)
                        self.assertLessEqual(abs(time - right), error + 1e-7 * right)  # its digits
                        self.assertLessEqual(error, 1.000001 * got["quadrature_error"] * time)

    def test_channels_add_up_to_the_shift(self):
        got = call_json("tanh", "1.5,1", 2, "--scale", "0.3", "--attribution")
        told = got["attribution"]
        low = call_json("tanh", "1.5,1", 2, "--scale", "0.3", "--level", "0")
        numpy.testing.assert_allclose(told["to"], got["escape"], rtol=1e-8)
        numpy.testing.assert_allclose(told["from"], low["escape"], rtol=1e-8)
        shift = numpy.array(told["to"]) - told["from"]
        parts = numpy.array(list(told["channels"].values()))
        self.assertEqual(list(told["channels"]), ["scales", "layer_1"])
        numpy.testing.assert_allclose(parts.sum(axis=0), shift, rtol=1e-5)
        numpy.testing.assert_allclose(shift - parts.sum(axis=0), told["residual"], atol=1e-9)
        self.assertTrue(all(point["lambda"] < later["lambda"]
                            for point, later in zip(told["path"], told["path"][1:])))

    @LONG
    def test_an_attribution_reports_its_progress_unless_quiet(self):
        usual = ["--activation", "tanh", "--amplitudes", "1.5,1", "--layers", "2", "--scale", "0.3",
                 "--attribution"]
        self.assertIn("points of lambda", call(*usual).stderr)
        self.assertEqual(call(*usual, "--quiet").stderr, "")

    def test_the_spectrum_of_the_plateau_is_reported_with_its_hypotheses(self):
        got = call_json("tanh", "1.5,1", 3, "--scale", "0.1", "--spectrum")
        told = got["spectrum"]
        self.assertEqual([at["time"] for at in told["jacobian"]], [0, min(got["escape"]) / 2])
        for at in told["jacobian"]:
            self.assertEqual(at["holds"], at["diagonal"] and at["positive"] and at["nonnegative"])
            self.assertGreater(at["abscissa"], 0)  # the plateau is unstable
            self.assertLess(at["asymmetry"], 1e-9)  # J is minus a Hessian
        self.assertFalse(told["jacobian"][0]["holds"])
        self.assertEqual(len(told["duhamel"]), 4)
        for pair in told["duhamel"]:
            self.assertGreater(pair["until"], 0)
            self.assertLess(pair["until"], min(got["escape"]))  # growth feeds through B

    def test_impossible_requests_are_refused(self):
        usual = ["--activation", "tanh", "--amplitudes", "1.5,1", "--layers", "3", "--scale", "0.1"]
        for more, said in ((["--attribution", "--level", "0"], "--lower"),
                           (["--threshold", "-1"], "--threshold"),
                           (["--scales", "1,2;3"], "--scales"),
                           (["--level", "3"], "--level"),
                           (["--spectrum", "--level", "0"], "--spectrum"),
                           (["--spectrum", "--layers", "2"], "3 layers"),
                           (["--amplitudes", "1,1,1,1,1,1,1,1,1"], "--amplitudes")):
            done = call(*usual, *more, code=2)
            self.assertIn(said, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    @LONG
    def test_sampled_training_agrees_with_level_2_only(self):
        """The minibatch's noise, seen in the seeds, moves the mean by its standard error; the
        step of gradient descent moves it by about one step; the noise of the minibatch loss
        itself lets it dip early by a few steps. Levels 0 and 1 are far off."""
        self.train("modes.h5")
        steps = xarray.load_dataset(self.path("modes.h5"), engine="h5netcdf").escape_step.values[:, 0]
        self.assertTrue((steps > 0).all())
        error = 3 * steps.std(ddof=1) / len(steps) ** 0.5 + 5
        for level in (0, 1, 2):
            loss = call_json("tanh", "1.5,1", 4, "--scale", "0.15", "--level", str(level),
                       "--threshold", "0.2")["loss"] / 0.02
            if level == 2:
                self.assertLess(abs(steps.mean() - loss), error)
            else:
                self.assertGreater(abs(steps.mean() - loss), 5 * error)


if __name__ == "__main__":
    unittest.main()
