# SPDX-License-Identifier: Apache-2.0
"""Python functions as activations of theory, beside the library's own activations of the same formula.

Usage: test_functions.py PROGRAM [unittest arguments]
"""
import math
import unittest

import numpy

import escapement
from case import Case

erf = numpy.vectorize(math.erf)

SAME = {"tanh": numpy.tanh, "erf": math.erf, "sin": numpy.sin,
        "gelu": lambda z: z * (1 + erf(z / math.sqrt(2))) / 2,
        "swish": lambda z: z / (1 + numpy.exp(-z)),
        "softplus": lambda z: numpy.logaddexp(0, z) - math.log(2),
        "sigmoid": lambda z: 1 / (1 + numpy.exp(-z)) - 0.5,
        "sigmoid-raw": lambda z: 1 / (1 + math.exp(-z)),
        "softplus-raw": lambda z: numpy.logaddexp(0, z),
        "poly:0,-3,0,1": lambda z: z**3 - 3 * z}


def softmax(z):
    return numpy.exp(z) / numpy.exp(z).sum()


def trained(activation):
    return escapement.Sweep(network={"layers": 2, "width": 4, "activation": activation},
                            train={"rate": 0.1, "batch": 4, "steps": 1}, escape={"thresholds": [0.1]},
                            sweep={"seeds": 1, "groups": [{"bottleneck": 2, "scales": [0.1]}]})


class Functions(Case):
    def refused(self, function, words):
        with self.assertRaisesRegex(escapement.InputError, words):
            escapement.Activation(function)

    def test_values_and_derivatives_are_the_functions_at_small_and_large_z(self):
        z = numpy.concatenate([numpy.linspace(-20, 20, 401), [-1e6, -1e-9, 1e-9, 1e6]])
        for name in ("tanh", "gelu", "softplus-raw"):
            want, found = escapement.Activation(name), escapement.Activation(SAME[name])
            for values in ("__call__", "derivative", "deficit"):
                numpy.testing.assert_allclose(getattr(found, values)(z), getattr(want, values)(z),
                                              rtol=1e-11, atol=1e-11, err_msg=name)

    def test_the_class_and_its_constants_are_computed(self):
        for name, function in SAME.items():
            want, found = escapement.classify(name), escapement.classify(function)
            for field in ("class", "q", "escapes", "warnings"):
                self.assertEqual(found[field], want[field], (name, field))
            for field in ("c1", "aq", "moment", "correction"):
                numpy.testing.assert_allclose(found[field], want[field], rtol=1e-10, err_msg=f"{name} {field}")

    def test_times_and_trajectories_are_those_of_the_name(self):
        scales = numpy.array([0.3, 0.05, 1e-3])[:, None] * numpy.ones(3)
        for name in ("tanh", "gelu", "sin"):
            want, found = (escapement.escape_time(one, scales) for one in (name, SAME[name]))
            for time in ("ode", "closed", "corrected"):
                numpy.testing.assert_allclose(found[time], want[time], rtol=1e-9, err_msg=f"{name} {time}")
            want, found = (escapement.trajectory(one, [0.3, 0.2, 0.1], [0, 5, 50]) for one in (name, SAME[name]))
            numpy.testing.assert_allclose(found.scale, want.scale, rtol=1e-9)

    def test_modes_take_functions(self):
        want, found = (escapement.blocks(one, [1.0], [0.3, 0.3]) for one in ("tanh", numpy.tanh))
        numpy.testing.assert_allclose(found.escape, want.escape, rtol=1e-9)
        self.assertIn("function tanh", found.activation)

    def test_a_polynomial_is_found_and_can_then_be_trained(self):
        found = escapement.Activation(lambda z: z**3 - 3 * z)
        self.assertEqual(found.fitted.kind, "polynomial")
        self.assertEqual(found, escapement.Activation([0, -3, 0, 1]))
        self.assertIn("poly:0.0,-3.0,0.0,1.0", trained(found.name).to_yaml())

    def test_a_result_says_how_the_function_was_fitted(self):
        self.assertEqual(escapement.classify("tanh").activation, "tanh")
        self.assertRegex(escapement.classify(numpy.tanh).activation,
                         r"^function tanh \(a function, fitted by \d+ polynomials, error \d\.\de-1\d\)$")
        fitted = escapement.Activation(numpy.sin).fitted
        self.assertEqual(fitted.kind, "piecewise polynomials")
        self.assertLess(fitted.error, 1e-13)

    def test_functions_of_numbers_are_functions_of_arrays(self):
        z = numpy.linspace(-3, 3, 31)
        numpy.testing.assert_array_equal(escapement.Activation(lambda z: float(numpy.tanh(z)))(z),
                                         escapement.Activation(numpy.tanh)(z))

    def test_an_exception_of_the_function_passes_through(self):
        for error in (ZeroDivisionError, ValueError, KeyboardInterrupt):
            def function(z):
                raise error("mine")
            with self.assertRaisesRegex(error, "mine"):
                escapement.classify(function)

    def test_what_is_not_a_smooth_real_function_is_refused_and_named(self):
        self.refused(lambda z: numpy.where(z > 5, numpy.nan, z), "is nan at z = 5")
        self.refused(lambda z: z * 1j, "returns complex")
        self.refused(lambda z: "a", "returns str")
        self.refused(lambda z: [z, z], "returns list")
        self.refused(softmax, "softmax: .* other numbers of the array")
        self.refused(lambda z: numpy.maximum(z, 0), "not smooth .* near z = 0;.*'relu'")
        self.refused(lambda z: numpy.clip(z, -1, 1), "not smooth .* near z = -1;")
        self.refused(lambda z: z / (1 + abs(z)), "not smooth .* near z = 0;")
        self.refused(lambda z: numpy.tanh(z).astype(numpy.float32), "not smooth .* near z = ")
        self.refused(numpy.tan, "not smooth .* near z = -1.57;")

    def test_what_needs_values_beyond_the_range_of_the_fit_is_refused(self):
        self.assertLess(escapement.Activation(numpy.sin).fitted.range[1], 5 * 14)
        with self.assertRaisesRegex(escapement.InputError, "beyond the range"):
            escapement.trajectory(numpy.sin, [5.0, 5.0, 5.0], [1.0])

    def test_a_function_is_not_trained(self):
        for activation in (numpy.tanh, escapement.Activation(numpy.tanh)):
            with self.assertRaisesRegex(escapement.InputError, "network.activation: a function cannot be trained"):
                trained(activation)
        with self.assertRaisesRegex(escapement.InputError, "function tanh"):
            trained(escapement.Activation(numpy.tanh).name)


if __name__ == "__main__":
    unittest.main()
