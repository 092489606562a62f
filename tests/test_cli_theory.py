# SPDX-License-Identifier: Apache-2.0
"""The commands classify and escape against numbers of an independent program (docs/theory,
section 9), the resonances and the critical-depth law.

Usage: test_cli_theory.py PROGRAM [unittest arguments]
"""
import math
import unittest

from cli_case import call, call_json


def escape(activation, amplitude, scales, to, layer=1, **more):
    words = [word for name, value in more.items() for word in (f"--{name}", repr(value))]
    return call_json("escape", "--activation", activation, "--amplitude", repr(amplitude), "--scales",
               ",".join(map(repr, scales)), "--to", repr(to), "--layer", str(layer), *words)


class Theory(unittest.TestCase):
    def same_digits(self, got, text):
        """`got` equals the decimal number `text` to one unit of its last digit."""
        decimals = len(text.partition(".")[2])
        self.assertLessEqual(abs(got - float(text)), 1.001 * 10.0 ** -decimals, (got, text))


class Classify(Theory):
    def test_constants_are_the_reference_values(self):
        for name, kind, c1, a1, correction in (
                ("tanh", "B", "0.605705509602", 1, "-0.799905306"),
                ("erf", "B", "0.651470015871", 1.128379167096, "-0.777777778"),
                ("sin", "B", "0.606530659713", 1, "-0.333333333"),
                ("gelu", "C", "0.500000000000", 0.5, "1.125395395"),
                ("swish", "C", "0.500000000000", 0.5, "0.557466408"),
                ("sigmoid", "B", "0.206620964142", 0.25, "-0.224834562")):
            with self.subTest(name):
                c = call_json("classify", name)
                self.assertEqual((c["class"], c["escapes"]), (kind, True))
                self.assertAlmostEqual(c["a1"], a1, places=11)
                self.same_digits(c["c1"], c1)
                self.same_digits(c["correction"], correction)

    def test_classes_outside_the_theory_are_described(self):
        self.assertEqual(call_json("classify", "softplus")["class"], "C")
        self.assertEqual(call_json("classify", "softplus-raw")["class"], "D")
        self.assertEqual(call_json("classify", "linear")["class"], "A")
        cubic = call_json("classify", "poly:0,1,0,-1")
        self.assertEqual((cubic["class"], cubic["q"], cubic["escapes"]), ("B", 3, False))
        self.assertAlmostEqual(cubic["c1"], -2, places=12)
        self.assertTrue(cubic["doubts"])
        self.assertEqual(call_json("classify", "poly:0,1,0,-1,1")["class"], "none")


class Escape(Theory):
    def test_times_are_the_reference_values(self):
        for activation, amplitude, scales, to, ode, closed in (
                ("tanh", 1.0, [.1] * 4, .5, "83.3964319", "79.2464312"),
                ("tanh", 1.0, [.03] * 3, .5, "53.4457298", "51.7303093"),
                ("erf", 1.0, [.05] * 4, .4, "213.575558", "210.344403"),
                ("sin", 1.5, [.05] * 5, .4, "2935.09058", "2925.33531"),
                ("gelu", 1.0, [.1] * 4, .5, "598.136458", "768.000000"),
                ("tanh", 1.0, [.02, .02, .02, 1.0, 1.0], .5, "80.1847907", "78.5451251"),
                ("tanh", 2.0, [.1, .15, .2, .3], .6, "12.7062432", "11.3345160"),
                ("linear", 1.0, [.1] * 3, .5, "8.12678553", "8.00000000"),
                ("tanh", 1.0, [.01] * 2, .3, "5.89727183", "5.61526572"),
                ("tanh", 1.0, [.01] * 5, .3, "550482.587", "550302.057")):
            with self.subTest(activation=activation, scales=scales):
                got = escape(activation, amplitude, scales, to)
                self.same_digits(got["ode"], ode)
                self.same_digits(got["closed"], closed)
        self.same_digits(escape("tanh", 2.0, [.1, .15, .2, .3], .5)["ode"], "12.0250777120")
        self.same_digits(escape("gelu", 1.0, [.1] * 4, .5, layer=4)["ode"], "602.339")
        self.same_digits(escape("tanh", 1.0, [.01] * 4, .3)["corrected"], "8253.05036")

    def test_a_large_prefix_changes_the_drive(self):
        got = escape("tanh", 1.0, [1.0, 1.0, .005, .005, .005], .5, layer=3)
        self.same_digits(got["ode"], "602.4534")
        self.same_digits(got["closed"], "326.14245")
        self.assertIn("1.84174", got["remark"])
        self.assertLess(abs(got["corrected"] / got["ode"] - 1), 0.01)

    def test_a_resonance_adds_a_logarithm(self):
        for activation, layers, predicted in (("tanh", 4, 1.980926), ("erf", 4, 1.246485),
                                              ("sin", 4, 0.824361), ("swish", 3, -5.946308)):
            with self.subTest(activation):
                over = [t["ode"] - t["closed"] for t in
                        (escape(activation, 1.0, [s] * layers, .3) for s in (.0035, .0025))]
                slope = (over[1] - over[0]) / math.log(.0035 / .0025)
                self.assertLess(abs(slope / predicted - 1), 1e-3, slope)

    def test_the_bottleneck_sets_the_slope_and_depth_does_not(self):
        for r in (3, 4, 5, 6):
            for rest in ([1.0] * (6 - r), [1.0] * (7 - r)):
                with self.subTest(r=r, layers=r + len(rest)):
                    low, high = 1e-4, 2e-4
                    times = [escape("tanh", 1.0, [s] * r + rest, .3) for s in (low, high)]
                    for key in ("ode", "closed"):
                        slope = math.log(times[0][key] / times[1][key]) / math.log(low / high)
                        self.assertLess(abs(slope + (r - 2)), 1e-3, (key, slope))
                    self.assertEqual((times[0]["bottleneck"], times[0]["exponent"]), (r, 2 - r))

    def test_the_ode_is_integrated_for_either_sign_of_the_drive(self):
        for activation, amplitude, scales, to, layer, ode in (
                ("poly:0,0,1", 1.0, [.3, .3], .5, 1, "0.25979"),
                ("poly:0,1,0,-0.34", 1.0, [.3] * 3, .6, 1, "8.4674"),
                ("tanh", -1.0, [.1, .2, .3], .5, 2, "12.2271"),
                ("poly:0,-1,0,-0.2", .328, [.465, .1264, .1562], .511, 1, "9.9304"),
                ("poly:0,0,0,1", 1.0, [.3, .3], .5, 1, "0.09175"),
                ("poly:0,0,0,0,0,1", .5, [.3, .3], .5, 1, "0.01308"),
                ("poly:0,1,0,-0.33333333333333333", 1.0, [.3] * 3, .6, 1, "8.2356"),
                ("poly:0,1,0,-1,1", 1.0, [.2] * 3, .4, 1, "0.5127")):
            with self.subTest(activation=activation, scales=scales):
                got = escape(activation, amplitude, scales, to, layer)
                self.same_digits(got["ode"], ode)
                self.assertEqual((got["closed"], got["corrected"]), (None, None))
                self.assertNotIn("does not", got["remark"])
        self.assertIsNotNone(escape("poly:0,-1,0,0.333", 1.0, [.1] * 4, .3)["ode"])

    def test_momentum_and_rate_change_the_time(self):
        got = escape("tanh", 1.0, [.1] * 4, .5, momentum=.9, rate=.01)
        self.same_digits(got["ode"], "8.82211826")
        self.assertAlmostEqual(got["steps"], got["ode"] / .01, places=6)
        self.assertLess(abs(got["corrected"] / got["ode"] - 1), .01)
        self.same_digits(escape("tanh", 1.0, [.1] * 4, .5, momentum=.9)["ode"], "8.33964319")

    def test_decay_has_a_critical_value_and_a_verdict(self):
        for decay, verdict in ((.009, "escapes"),
                               (.011, "does not escape: decay keeps the origin stable")):
            got = escape("linear", 1.0, [.1] * 4, .5, decay=decay)
            self.assertEqual((got["verdict"], got["ode"] is None), (verdict, decay > .01))
            self.assertLess(abs(got["critical_decay"] / .009999 - 1), 1e-8)
            self.assertLess(abs(got["critical_decay_closed"] / .01 - 1), 1e-12)
        got = escape("linear", 1.0, [.1] * 3, .99, decay=.05)
        self.assertEqual(got["verdict"], "does not escape")
        self.assertEqual(escape("linear", -1.0, [.1] * 3, .5, decay=.05)["verdict"], got["verdict"])
        self.assertEqual(escape("linear", 1.0, [.1] * 4, .5, decay=.009998999999999)["verdict"],
                         "undecided")
        self.assertEqual(escape("linear", 1.0, [.1] * 3, .5)["verdict"], "")
        done = call("escape", "--activation", "linear", "--amplitude", "1", "--scales", ".1,.1,.1",
                    "--to", ".5", "--decay", ".2")
        self.assertIn("verdict    does not escape: decay keeps the origin stable; critical decay "
                      "lambda_c = 0.0999", done.stdout)

    def test_a_threshold_next_to_the_start_is_reached(self):
        self.assertLess(abs(escape("tanh", 1.0, [.3] * 3, .3000002)["ode"] / 4.68787e-6 - 1), 2e-6)
        self.assertEqual(escape("tanh", 1.0, [.6, .1], .5)["ode"], 0)

    def test_a_flow_that_does_not_cross_has_no_time_and_exit_status_0(self):
        for activation, amplitude, scales, to, word in (
                ("linear", 1.0, [.1] * 3, 5.0, "fixed point"),
                ("linear", -1.0, [.1] * 3, .5, "decay towards 0"),
                ("poly:0.05,0.001,1", 1.0, [.03] * 4, .5, "still moves"),
                ("poly:0,1e160,1", 1.0, [.1] * 2, .5, "too steep"),
                ("poly:0,1e300,1e300", 1.0, [.1] * 2, .5, "too steep")):
            with self.subTest(activation=activation, amplitude=amplitude):
                got = escape(activation, amplitude, scales, to)
                self.assertIsNone(got["ode"])
                self.assertIn(word, got["remark"])

    def test_corrected_with_a_moving_prefix_is_rough(self):
        got = escape("gelu", 1.0, [2.0, 3.0, .05, .05, .05, .5], .2, layer=3)
        self.assertGreater(got["corrected"] / got["ode"], 1.9)
        self.assertIn("corrected is rough", got["remark"])

    def test_bad_arguments_are_one_line(self):
        good = {"--activation": "tanh", "--amplitude": "1", "--scales": ".1,.1", "--to": ".5"}
        for option, value in (("--activation", "tahn"), ("--amplitude", "nan"),
                              ("--amplitude", "1x"), ("--scales", ".1"), ("--scales", ".1,,.1"),
                              ("--scales", ".1,-1"), ("--scales", ".1,0"), ("--scales", ""),
                              ("--scales", ",".join([".1"] * 65)), ("--to", "0"), ("--to", "inf"),
                              ("--layer", "3"), ("--layer", "0"), ("--momentum", "1"),
                              ("--momentum", "-.1"), ("--momentum", "nan"), ("--rate", "-1"),
                              ("--rate", "inf"), ("--rate", ""), ("--decay", "-1"),
                              ("--decay", "x"), ("--decay", "")):
            with self.subTest(option=option, value=value):
                words = [w for item in {**good, option: value}.items() for w in item]
                done = call("escape", *words, code=2)
                self.assertEqual(done.stdout, "")
                self.assertRegex(done.stderr, r"\Aescapement: [^\n]+\n\Z")
        for words in (["classify"], ["classify", "tahn"], ["classify", "tanh", "erf"],
                      ["escape"], ["escape", "--to", ".5"]):
            done = call(*words, code=2)
            self.assertEqual(done.stdout, "")
            self.assertRegex(done.stderr, r"\Aescapement: [^\n]+\n\Z")


if __name__ == "__main__":
    unittest.main()
