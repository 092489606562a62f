# SPDX-License-Identifier: Apache-2.0
"""The command compare: equal bits, the size of differences, censoring on one side, and files
that cannot be compared.

Usage: test_cli_compare.py PROGRAM [unittest arguments]
"""
import math
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


class Compare(cli_case.Case):
    SPEC = SPEC

    def made(self, name, **columns):
        """A file of another program: two members with two thresholds each, by default."""
        columns = {"seed": [1, 2], "bottleneck": [3, 3], "scale": [0.2, 0.3], "steps_run": [90, 90],
                   "final_loss": [0.5, 0.25], "escape_step": [[10, 20], [30, -1]],
                   "threshold": [0.2, 0.1], **columns}
        thresholds = columns.pop("threshold")
        xarray.Dataset({key: (("member", "threshold")[:1 + isinstance(values[0], list)], values)
                        for key, values in columns.items()},
                       {"threshold": thresholds}).to_netcdf(self.path(name),
                                                            engine="h5netcdf")
        return name

    def compare(self, *arguments):
        return self.call_json("compare", *arguments)

    def variables(self, *arguments):
        return {v["name"]: v for v in self.compare(*arguments)["variables"]}

    def test_bits_of_all_variables_do_not_depend_on_threads_and_slots(self):
        one, two = self.train("a.h5"), self.train("b.h5", "--threads", "2", "--slots", "1")
        got = self.compare(one, two, "--exact")
        self.assertEqual((got["members"], got["different"]), (4, 0))
        for v in got["variables"]:
            self.assertEqual(v["values"], v["equal"], v)
            self.assertGreaterEqual(v["values"], 4, v)
            self.assertEqual((v["largest_absolute"], v["largest_relative"]), (0, 0), v)
        self.assertEqual(len(got["variables"]), 19)

    def test_float_and_double_differ_by_rounding(self):
        files = self.train("a.h5"), self.train("b.h5", "--backend", "reference")
        got = self.compare(*files)
        self.assertEqual(got["first"], {"file": "a.h5", "backend": "cpu", "precision": "float32"})
        self.assertEqual((got["second"]["backend"], got["second"]["precision"]),
                         ("reference", "float64"))
        got = self.variables(*files)
        self.assertEqual(got["seed"]["equal"], 4)
        self.assertLess(got["norm2_final"]["equal"], got["norm2_final"]["values"])
        self.assertGreater(got["norm2_final"]["largest_relative"], 1e-12)
        self.assertLess(got["norm2_final"]["largest_relative"], 1e-4)
        done = self.call("compare", *files, "--exact", code=1)
        self.assertRegex(done.stderr, r"\Aescapement: \d+ of 19 variables differ\n\Z")
        self.assertRegex(done.stdout, r"(?m)^norm2_final +16 +\d+ +\S+e-\d+ +\S+e-\d+$")
        self.assertRegex(done.stdout, r"(?m)^seed +4 +4 +- +-$")
        self.call("compare", *files)

    def test_differences_are_the_largest_and_relative_to_the_larger_value(self):
        a = self.made("a.h5")
        b = self.made("b.h5", final_loss=[0.75, 0.25], escape_step=[[10, 24], [25, -1]])
        got = self.compare(a, b)
        loss = next(v for v in got["variables"] if v["name"] == "final_loss")
        self.assertEqual((loss["values"], loss["equal"]), (2, 1))
        self.assertEqual(loss["largest_absolute"], 0.25)
        self.assertAlmostEqual(loss["largest_relative"], 1 / 3, places=15)
        self.assertEqual(got["escape_step"], {"values": 4, "equal": 2, "largest_absolute": 5,
                                              "largest_relative": 1 / 6, "censored_in_one": 0})
        self.assertEqual(got["different"], 2)

    def test_a_step_censored_in_one_file_is_counted_and_not_subtracted(self):
        a = self.made("a.h5")
        b = self.made("b.h5", escape_step=[[10, -1], [31, 80]])
        got = self.compare(a, b)["escape_step"]
        self.assertEqual((got["equal"], got["censored_in_one"]), (1, 2))
        self.assertEqual(got["largest_absolute"], 1)
        text = self.call("compare", a, b).stdout
        self.assertRegex(text, r"(?m)^escape_step .*  2 censored in one file only$")

    def test_a_nan_is_never_equal_to_a_number_nor_hidden_by_a_later_one(self):
        a = self.made("a.h5")
        b = self.made("b.h5", final_loss=[math.nan, 0.75])
        got = self.variables(a, b)["final_loss"]
        self.assertEqual((got["equal"], got["largest_absolute"]), (0, None))
        self.assertIn(" nan ", self.call("compare", a, b).stdout)
        self.call("compare", a, b, "--exact", code=1)
        c = self.made("c.h5", final_loss=[math.inf, 0.25])
        self.assertIsNone(self.variables(a, c)["final_loss"]["largest_absolute"])

    def test_other_sweeps_are_refused_by_name(self):
        a = self.made("a.h5")
        for words, columns in (
                ("the seed of member 1 is 2 in the first and 7 in the second", {"seed": [1, 7]}),
                ("the scale of member 0 is 0.2", {"scale": [0.20000000000000004, 0.3]}),
                ("the bottleneck of member 1 is 3", {"bottleneck": [3, 4]}),
                ("a threshold is 0.1", {"threshold": [0.2, 0.05]}),
                ("the number of thresholds is 2",
                 {"threshold": [0.2], "escape_step": [[10], [30]]}),
                ("the number of members is 2", {
                    "seed": [1], "bottleneck": [3], "scale": [0.2], "steps_run": [90],
                    "final_loss": [0.5], "escape_step": [[10, 20]]})):
            with self.subTest(words):
                done = self.call("compare", a, self.made("b.h5", **columns), code=2)
                self.assertEqual(done.stdout, "")
                self.assertIn("hold different sweeps: " + words, done.stderr)

    def test_shards_of_one_sweep_are_different_members(self):
        files = [self.train(f"{i}.h5", "--shard", f"{i}/2") for i in (0, 1)]
        done = self.call("compare", *files, code=2)
        self.assertIn("the member of row 0 is 0 in the first and 1 in the second", done.stderr)

    def test_two_files_are_required(self):
        a = self.made("a.h5")
        for arguments in ((), (a,), (a, a, a), (a, "none.h5"), (a, a, "--exacter")):
            with self.subTest(arguments):
                done = self.call("compare", *arguments, code=2)
                self.assertRegex(done.stderr.splitlines()[-1], r"\Aescapement: [^\n]+\Z")
                self.assertEqual(done.stdout, "")


unittest.main()
