# SPDX-License-Identifier: Apache-2.0
"""The command plateau: exponents have errors, ranges and verdicts, agree with theory for small scales, and
missing values have a reason.

Usage: test_cli_plateau.py PROGRAM [unittest arguments]
"""
import os
import tempfile
import unittest

import cli_case

# Two groups as in the README's own sweep: one near theory, one scale of which little can be said.
SPEC = """\
name: two-groups
network: {layers: 4, width: 16, inputs: 16, activation: tanh}
teacher: {amplitudes: [1.0]}
train: {rate: 0.05, batch: 64, steps: 20000}
escape: {thresholds: [0.1], smoothing: 0.9}
sweep:
  seeds: 4
  groups:
    - {bottleneck: 3, scales: [0.006, 0.012]}
    - {bottleneck: 3, layers: [2, 3, 4], scales: [0.2]}
record: {every: 20}
"""
EXPONENTS = {"self_exponent": 3, "orthogonal_exponent": 2, "signal_exponent": 4 / 3}


def call(*arguments):
    return cli_case.call(*arguments, cwd=SCRATCH.name)


def call_json(*arguments):
    return cli_case.call_json("plateau", "a.h5", *arguments, cwd=SCRATCH.name)


def setUpModule():
    global SCRATCH
    SCRATCH = tempfile.TemporaryDirectory()
    with open(os.path.join(SCRATCH.name, "a.yaml"), "w") as file:
        file.write(SPEC)
    call("run", "a.yaml", "-o", "a.h5", "--quiet", "--backend", "cpu")


def tearDownModule():
    SCRATCH.cleanup()


class Exponents(unittest.TestCase):
    def row(self, table, name):
        (row,) = (row for row in table["rows"] if row["name"] == name)
        return row

    def test_a_network_has_a_number_with_error_and_range_or_a_reason(self):
        for member in call_json()["members"]:
            for name, predicted in EXPONENTS.items():
                verdict = member["verdicts"][name]
                if member[name] is None:
                    self.assertRegex(verdict, r"\Anot measurable: \w")
                    self.assertIsNone(member["errors"][name])
                    self.assertIsNone(member["ranges"][name])
                else:
                    low, high = member["ranges"][name]
                    self.assertLess(abs(member[name] - predicted), 0.2)
                    self.assertGreater(member["errors"][name], 0)
                    self.assertGreaterEqual(high, 2 * low)
                    self.assertRegex(verdict, r"\A(consistent with|differs from) theory")

    def test_near_theory_the_networks_together_agree_with_it(self):
        first = call_json()["groups"][0]
        self.assertEqual((first["bottleneck"], first["scale"], first["members"]), (3, 0.006, 4))
        for name in ("self_exponent", "signal_exponent"):
            row = self.row(first, name)
            self.assertAlmostEqual(row["predicted"], EXPONENTS[name])
            self.assertLess(row["error"], 0.1)
            self.assertEqual(row["verdict"], "consistent with theory")
            self.assertEqual(row["measured"], 4)

    def test_values_below_sampling_noise_are_not_measured(self):
        told = call_json()
        self.assertAlmostEqual(told["sampling_floor"], 0.0367, places=4)
        row = self.row(told["groups"][0], "orthogonal_exponent")
        self.assertIsNone(row["value"])
        self.assertIn("sampling noise, which is 0.037 of the drive", row["verdict"])

    def test_without_growth_of_m_there_is_no_exponent(self):
        last = call_json("--window", "0.6")["groups"][-1]
        self.assertEqual(last["scale"], 0.2)
        for name in EXPONENTS:
            self.assertIsNone(self.row(last, name)["value"])
        self.assertRegex(self.row(last, "self_exponent")["verdict"],
                         r"\Anot measurable: m grows by a factor of 1\.?\d* only")

    def test_m_above_the_window_at_the_start_is_reported_in_every_row(self):
        told = call_json("--window", "0.001")
        for group in told["groups"]:
            for row in group["rows"]:
                if row["name"] not in ("m_start", "m_end"):
                    self.assertEqual(row["verdict"], "not measurable: m starts above the window")
                    self.assertIsNone(row["median"])
        self.assertTrue(all(m["drift"] is None for m in told["members"]))

    def test_every_row_with_a_theory_has_a_verdict(self):
        told = call_json()
        for table in told["groups"] + told["scalings"]:
            for row in table["rows"]:
                if row["name"] not in ("m_start", "m_end"):
                    self.assertTrue(row["verdict"], row)


class Scales(unittest.TestCase):
    def test_exponents_at_the_start_agree_with_theory(self):
        first = call_json()["scalings"][0]
        found = {row["name"]: row for row in first["rows"]}
        for name, predicted in (("self_start_exponent", 3), ("signal_start_exponent", 4 / 3)):
            self.assertLess(abs(found[name]["value"] - predicted), 0.01)
            self.assertLess(found[name]["error"], 0.01)
            self.assertEqual(found[name]["verdict"], "consistent with theory")

    def test_constants_of_the_proof_stay_bounded(self):
        found = {row["name"]: row for row in call_json()["scalings"][0]["rows"]}
        for name in ("drift_over_m2", "self_over_mr", "growth", "output_over_gain"):
            self.assertEqual(found[name]["verdict"], "consistent with theory: bounded")
            self.assertLess(found[name]["lower"], 0.1)
            self.assertGreater(found[name]["upper"], -0.1)

    def test_one_scale_gives_no_scaling(self):
        for row in call_json()["scalings"][1]["rows"]:
            self.assertIsNone(row["value"])
            self.assertRegex(row["verdict"], r"\Anot measurable: fewer than two scales")


class Text(unittest.TestCase):
    def test_a_row_has_its_error_range_and_verdict(self):
        text = call("plateau", "a.h5").stdout
        self.assertRegex(text, r"self-interaction / drive in m +3\.\d+ +0\.\d+ +3 +4 of 4  "
                               r"consistent with theory; over 0\.\d+\.\.0\.\d+, \d\.\d decades\n")
        self.assertRegex(text, r"T_perp term / drive in m +- +- +2 +0 of 4  not measurable: ")


if __name__ == "__main__":
    unittest.main()
