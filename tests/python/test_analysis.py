# SPDX-License-Identifier: Apache-2.0
"""Fits, plateaus, pictures and theory from Python beside the program's.

Usage: test_analysis.py PROGRAM [unittest arguments]
"""
import io
import json
import math
import unittest

import matplotlib
import numpy
from matplotlib import pyplot

import escapement
from case import SPEC, Case, program
from escapement._draw import house_style


def ask(*arguments):
    return json.loads(program(*arguments, "--json").stdout)


def number(value):
    """As JSON has it."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value


class Fits(Case):
    @classmethod
    def setUpClass(cls):
        sweep = escapement.Sweep(**SPEC).replace("sweep.seeds=6", record={"every": 5})
        cls.data = sweep.run(backend="cpu")

    def saved(self):
        escapement.save(self.data, self.path("a.h5"))
        return self.path("a.h5")

    def test_a_fit_is_the_programs(self):
        path = self.saved()
        want = ask("fit", path)["groups"]
        found = escapement.fit(self.data)
        self.assertEqual(len(found), len(want))
        for (_, row), group in zip(found.iterrows(), want):
            self.assertEqual(list(row.small_layers), group["small_layers"])
            self.assertEqual(list(row.warnings), group["warnings"])
            self.assertEqual(list(row.limit_terms), group["limit"]["terms"])
            self.assertEqual(number(row.standard_error), group["stderr"])
            self.assertEqual(number(row.limit_slope), group["limit"]["value"])
            for name in ("bottleneck", "threshold", "law", "predicted", "slope", "lower", "upper", "dof",
                         "estimator", "slope_weighted", "slope_median", "slope_censored", "n",
                         "censored", "diverged", "seeds", "steps_per_decade"):
                self.assertEqual(number(row[name]), group[name], name)
        points = escapement.fit_points(path)
        self.assertEqual([number(mean) for mean in points["mean"]],
                         [point["mean"] for group in want for point in group["points"]])
        self.assertEqual([number(slope) for slope in points["local"] if not math.isnan(slope)],
                         [slope for group in want for slope in group["local"] if slope is not None])

    def test_selections_are_fitted(self):
        """Of members, of a threshold, of what where() left as floats."""
        whole = escapement.fit(self.data)
        three = whole[whole.bottleneck == 3]
        for part in (self.data.isel(member=self.data.bottleneck.values == 3),
                     self.data.where(self.data.bottleneck == 3, drop=True)):
            found = escapement.fit(part)
            self.assertEqual(found.slope.tolist(), three.slope.tolist())
        found = escapement.fit(self.data.sel(threshold=0.08))
        self.assertEqual(found.slope.tolist(), whole[whole.threshold == 0.08].slope.tolist())

    def test_halves_are_fitted_as_the_whole_and_twice_the_same_is_refused(self):
        halves = [self.data.isel(member=slice(i, None, 2)) for i in range(2)]
        self.assertEqual(escapement.fit(*halves).slope.tolist(),
                         escapement.fit(self.data).slope.tolist())
        with self.assertRaises(escapement.InputError):
            escapement.fit(self.data, self.data)

    def test_a_plateau_is_the_programs(self):
        want = ask("plateau", self.saved())
        found = escapement.plateau(self.data)
        self.assertEqual(len(found), self.data.sizes["member"])
        self.assertEqual(found.member.tolist(), [one["member"] for one in want["members"]])
        for name in ("drift", "m_end", "gain_high", "self_exponent", "signal_exponent"):
            self.assertEqual([number(value) for value in found[name]],
                             [one[name] for one in want["members"]], name)
        self.assertEqual(found.self_exponent_verdict.tolist(),
                         [one["verdicts"]["self_exponent"] for one in want["members"]])
        rows = [row for group in want["groups"] + want["scalings"] for row in group["rows"]]
        verdicts = escapement.plateau_verdicts(self.data)
        for name, key in (("name",) * 2, ("median",) * 2, ("verdict",) * 2, ("estimate_error", "error")):
            self.assertEqual([number(value) for value in verdicts[name]], [row[key] for row in rows], name)
        with self.assertRaisesRegex(escapement.InputError, "snapshots"):
            escapement.plateau(self.data.drop_dims("snapshot"))

    def test_a_picture_is_the_programs_byte_for_byte(self):
        program("plot", self.saved(), "-o", self.path("a.png"), "--width", "double")
        before = dict(matplotlib.rcParams)
        axes = escapement.plot(self.data, width="double")
        self.assertEqual(dict(matplotlib.rcParams), before)
        image = io.BytesIO()
        with matplotlib.rc_context():
            house_style.set_style()
            axes[0].figure.savefig(image, format="png", metadata={"Software": None})
        self.assertEqual(image.getvalue(), (self.folder / "a.png").read_bytes())
        pyplot.close("all")

    def test_a_picture_goes_onto_a_figure_that_is_given(self):
        figure = matplotlib.figure.Figure()
        axes = escapement.plot(self.data.sel(threshold=[0.1]), width=4, figure=figure)
        self.assertIs(numpy.atleast_1d(axes)[0].figure, figure)
        self.assertEqual(figure.get_size_inches()[0], 4)
        with self.assertRaisesRegex(escapement.InputError, "width"):
            escapement.plot(self.data, width="broad", figure=matplotlib.figure.Figure())


class Theory(Case):
    def test_a_class_is_the_programs(self):
        for name in ("tanh", "gelu", "poly:0,1,0,-0.3", "sigmoid-raw"):
            want, found = ask("classify", name), escapement.classify(name)
            self.assertEqual((found["class"], found.q, found.c1), (want["class"], want["q"], want["c1"]))

    def test_activations_are_names_or_coefficients(self):
        poly = escapement.Activation([0, 1, 0, -0.3])
        z = numpy.linspace(-2, 2, 5)
        numpy.testing.assert_allclose(poly(z), z - 0.3 * z**3, rtol=1e-15)
        numpy.testing.assert_allclose(poly.derivative(z), 1 - 0.9 * z**2, rtol=1e-14)
        numpy.testing.assert_allclose(poly.deficit(z), 0.6 * z**3, rtol=1e-14)
        self.assertTrue(poly.is_odd)
        self.assertEqual(poly, escapement.Activation(poly.name))
        with self.assertRaisesRegex(escapement.InputError, "nosuch"):
            escapement.classify("nosuch")

    def test_escape_times_broadcast_over_scales_amplitudes_and_ends(self):
        scales = numpy.array([0.1, 0.05])[:, None] * numpy.ones(3)
        found = escapement.escape_time("tanh", scales[:, None], [1.0, 2.0, 3.0], to=0.4)
        self.assertEqual(found.ode.shape, (2, 3))
        for i in range(2):
            for j in range(3):
                one = escapement.escape_time("tanh", scales[i], j + 1.0, 0.4)
                self.assertEqual(one.ode, found.ode[i, j])
                self.assertEqual(one.note, found.note[i, j])
        want = ask("escape", "--activation", "tanh", "--amplitude", "2", "--scales", "0.05,0.05,0.05",
                   "--to", "0.4")
        self.assertEqual(found.ode[1, 1], want["ode"])
        for wrong in ([0.1], 0.1, [0.1] * 65, [0.1, -0.1]):
            with self.assertRaises(escapement.InputError):
                escapement.escape_time("tanh", wrong)

    def test_a_trajectory_passes_through_the_escape_time(self):
        time = escapement.escape_time("tanh", [0.1] * 3, [1.0, 2.0]).ode
        found = escapement.trajectory("tanh", [0.1] * 3, [0, *sorted(time)], [1.0, 2.0])
        self.assertEqual((found.scale.shape, found.loss.shape), ((2, 3, 3), (2, 3)))
        self.assertAlmostEqual(found.scale[0, 2, 0], 0.5, places=6)
        self.assertAlmostEqual(found.scale[1, 1, 0], 0.5, places=6)
        self.assertTrue((numpy.diff(found.loss) < 0).all())

    def test_times_of_a_trajectory_have_one_dimension(self):
        with self.assertRaisesRegex(escapement.InputError, "times"):
            escapement.trajectory("tanh", [0.1, 0.1], [[0, 1], [2, 3]])

    def test_a_time_that_takes_too_many_steps_ends_with_an_error(self):
        with self.assertRaisesRegex(escapement.InputError, "time 1e.20 takes too many steps"):
            escapement.trajectory("tanh", [0.1] * 3, [1e20])

    def test_an_empty_grid_has_empty_fields_and_no_network_is_refused(self):
        none = numpy.zeros((0, 3))
        self.assertEqual(escapement.escape_time("tanh", none).ode.shape, (0,))
        self.assertEqual(escapement.escape_time("tanh", [0.1] * 3, []).note.shape, (0,))
        self.assertEqual(escapement.trajectory("tanh", none, [0, 1]).scale.shape, (0, 2, 3))
        self.assertEqual(escapement.blocks("tanh", [1.0, 2.0], none[..., None]).escape.shape, (0, 2))
        self.assertEqual(escapement.blocks("tanh", 1.0, [0.2] * 3).escape.shape, (1,))
        for scales in ([], numpy.zeros((3, 0)), 0.1, "a", [[0.1, 0.1], [0.1]]):
            for compute in (lambda: escapement.escape_time("tanh", scales),
                            lambda: escapement.trajectory("tanh", scales, [1.0]),
                            lambda: escapement.blocks("tanh", [1.0], scales)):
                with self.assertRaisesRegex(escapement.InputError, "scales|layers"):
                    compute()
        for compute, words in (
                (lambda: escapement.escape_time("tanh", numpy.full((2, 3), 0.1), [1, 2, 3]), "broadcast"),
                (lambda: escapement.escape_time("tanh", [0.1] * 3, layer=10**12), "layer"),
                (lambda: escapement.blocks("tanh", [], [0.1] * 3), "0 modes"),
                (lambda: escapement.blocks("tanh", [1, 2], numpy.full((3, 3), 0.1)), "of 3 modes")):
            with self.assertRaisesRegex(escapement.InputError, words):
                compute()

    def test_one_mode_of_blocks_is_the_network_on_the_manifold(self):
        """Its escape, S passing a c_1/2, is where the trajectory's signal does: computed apart by
        quadrature of the network's function."""
        found = escapement.blocks("tanh", [[1.0], [1.5]], [0.2, 0.2, 0.3])
        self.assertEqual(found.escape.shape, (2, 1))
        nodes, weights = numpy.polynomial.hermite_e.hermegauss(80)
        weights /= weights.sum()
        c1 = escapement.classify("tanh").c1
        for i, amplitude in enumerate((1.0, 1.5)):
            times = [0, found.escape[i, 0]]
            at = escapement.trajectory("tanh", [0.2, 0.2, 0.3], times, amplitude).scale[1]
            f = at[2] * numpy.tanh(at[1] * numpy.tanh(at[0] * nodes))
            self.assertAlmostEqual((weights * nodes * f).sum() / (amplitude * c1 / 2), 1, places=6)
        with self.assertRaisesRegex(escapement.InputError, "diagonal, rotated, exact"):
            escapement.blocks("tanh", [1.0], [0.2, 0.2], level="other")

    def test_an_attribution_splits_the_shift_and_is_the_programs(self):
        found = escapement.attribution("tanh", [1.0, 2.0], [0.5, 0.5])
        want = ask("blocks", "--activation", "tanh", "--amplitudes", "1,2", "--layers", "2", "--scale", "0.5",
                   "--attribution", "-q")["attribution"]
        self.assertEqual(found.layers.tolist(), [want["channels"]["layer_1"]])
        self.assertEqual(found.scales.tolist(), want["channels"]["scales"])
        self.assertEqual(found["lambda"].tolist(), [point["lambda"] for point in want["path"]])
        self.assertEqual(found.converged, want["converged"])
        levels = [escapement.blocks("tanh", [1.0, 2.0], [0.5, 0.5], level=level).escape
                  for level in ("diagonal", "exact")]
        numpy.testing.assert_allclose([found.before, found.after], levels, rtol=1e-5)
        numpy.testing.assert_allclose(found.scales + found.layers.sum(0) + found.residual,
                                      found.after - found.before, rtol=1e-12)
        with self.assertRaisesRegex(escapement.InputError, "relu"):
            escapement.attribution("relu", [1.0, 2.0], [0.5, 0.5])
        with self.assertRaisesRegex(escapement.InputError, "one network"):
            escapement.attribution("tanh", [[1.0, 2.0]], [0.5, 0.5])

    def test_the_spectrum_of_a_plateau_is_the_programs(self):
        found = escapement.plateau_spectrum("tanh", [1.0, 2.0], [0.5] * 3)
        want = ask("blocks", "--activation", "tanh", "--amplitudes", "1,2", "--layers", "3", "--scale", "0.5",
                   "--spectrum", "-q")["spectrum"]
        for name in ("time", "gain", "growth", "abscissa"):
            self.assertEqual(found[name].tolist(), [one[name] for one in want["jacobian"]], name)
        self.assertEqual([*found.theta_until, *found.omega_until], [one["until"] for one in want["duhamel"]])
        self.assertEqual((1 + found.modes).tolist(), [one["modes"] for one in want["duhamel"][:2]])


if __name__ == "__main__":
    unittest.main()
