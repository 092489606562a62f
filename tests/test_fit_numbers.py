# SPDX-License-Identifier: Apache-2.0
"""The numbers of `fit --json` against numpy and scipy: the slope and its jackknife error with Bell
and McCaffrey's degrees of freedom, the slope of censored pairs, the log-normal fit, and the limit
at epsilon = 0, also for escape times of the reduced ODE.

Usage: test_fit_numbers.py PROGRAM [unittest arguments]
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import xarray
from scipy import optimize, stats

PROGRAM = os.path.abspath(sys.argv.pop(1))
SCALES = np.array([0.01, 0.02, 0.03, 0.06])


def made(rng, seeds, spread=0.1):
    """(seeds, scales) steps of r = 3: seed effects that are exponential, members' that are normal."""
    late = rng.exponential(0.4, (seeds, 1)) + rng.normal(0, spread, (seeds, len(SCALES)))
    return np.rint(50 / SCALES * np.exp(late))


class Numbers(unittest.TestCase):
    def fit(self, steps, r=3, budget=None, activation="tanh", scales=SCALES):
        """The group of one table; NaN: no such member."""
        seed, point = np.nonzero(np.isfinite(steps))
        step = steps[seed, point].astype(int)
        late = step >= (budget or np.inf)
        step = np.minimum(step, budget or step)
        with tempfile.TemporaryDirectory() as folder:
            name = os.path.join(folder, "a.h5")
            xarray.Dataset(
                {"bottleneck": ("member", [r] * len(seed)), "scale": ("member", scales[point]),
                 "small_layers": ("member", [2 ** r - 1] * len(seed)), "seed": ("member", seed),
                 "steps_run": ("member", step), "status": ("member", late.astype(int)),
                 "escape_step": (("member", "threshold"), np.where(late, -1, step)[:, None])},
                {"threshold": [0.1]},
                {"spec": f'network:\n  layers: {r}\n  activation: "{activation}"\n'}
            ).to_netcdf(name, engine="h5netcdf")
            done = subprocess.run([PROGRAM, "fit", "--json", name], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["groups"][0]

    def assert_close(self, got, want, relative=1e-7):
        np.testing.assert_allclose(got, want, rtol=relative)


def contrast(scales):
    x = np.log(scales) - np.log(scales).mean()
    return x / (x @ x)


def jackknife(steps):
    """(n - 1)(log mean - log mean without the member); 0 where there is no member."""
    n, total = np.isfinite(steps).sum(axis=0), np.nansum(steps, axis=0)
    return np.nan_to_num((n - 1) * (np.log(total / n) - np.log((total - steps) / (n - 1))))


def bell_mccaffrey(steps, c):
    """Variance of sum c log mean over seeds and its degrees of freedom, by whole matrices: members
    (s, p) have unit variance, psi = W e, F makes each psi^2 unbiased for w_s . e."""
    here = np.isfinite(steps)
    n, weight = here.sum(axis=0), np.where(here, c / here.sum(axis=0), 0)
    rows = np.zeros((len(steps), *steps.shape))
    for s in range(len(steps)):
        rows[s, s] += weight[s]
        rows[s] -= np.where(here, weight[s] / n, 0)
    gram = np.einsum("aij,bij->ab", rows, rows)
    factor = (weight ** 2).sum(axis=1) / np.diag(gram)
    psi = (weight * jackknife(steps)).sum(axis=1)
    product = factor[:, None] * gram
    return (factor * psi ** 2).sum(), np.trace(product) ** 2 / np.trace(product @ product)


class Means(Numbers):
    def check(self, steps):
        g, c = self.fit(steps), contrast(SCALES)
        variance, dof = bell_mccaffrey(steps, c)
        half = stats.t.ppf(0.975, dof) * np.sqrt(variance)
        slope = c @ np.log(np.nanmean(steps, axis=0))
        self.assert_close([g["slope"], g["stderr"], g["dof"]], [slope, np.sqrt(variance), dof])
        self.assert_close([g["lower"], g["upper"]], [slope - half, slope + half])

    def test_seeds_at_all_scales(self):
        self.check(made(np.random.default_rng(1), 5))

    def test_seeds_at_some_scales(self):
        steps = made(np.random.default_rng(2), 9)
        steps[:4, 0] = steps[6:, 2:] = steps[5, 1] = np.nan
        self.check(steps)

    def test_seeds_of_one_scale_each(self):
        steps = made(np.random.default_rng(3), 12)
        steps[np.arange(12)[:, None] % 4 != np.arange(4)] = np.nan
        self.check(steps)


class Censored(Numbers):
    def setUp(self):
        steps = made(np.random.default_rng(4), 12)
        self.budget = 4000
        self.group = self.fit(steps, budget=self.budget)
        self.x = np.broadcast_to(np.log(SCALES) - np.log(SCALES).mean(), steps.shape)
        self.late = steps >= self.budget
        self.y = np.log(np.minimum(steps, self.budget))
        self.assertTrue(5 < self.late.sum() < 25, self.late.sum())

    def moments(self, slope):
        """Each seed's sum over its pairs. Scales that no member was cut at have no known budget."""
        end = np.where(self.late.any(axis=0), np.log(self.budget), np.inf) - slope * self.x
        rest = np.where(self.late, np.inf, self.y - slope * self.x)
        out = np.zeros(len(self.y))
        for i in range(len(SCALES)):
            for j in range(i):
                cut = np.minimum(end[:, i], end[:, j])
                out += ((self.x[:, i] - self.x[:, j]) *
                        (np.minimum(rest[:, i], cut) - np.minimum(rest[:, j], cut)))
        return out

    def test_the_slope_makes_the_cut_residuals_of_pairs_equal(self):
        slope = optimize.brentq(lambda b: self.moments(b).sum(), -3, 1, xtol=1e-14)
        value, step = self.moments(slope), 1e-7
        info = (self.moments(slope - step) - self.moments(slope + step)) / (2 * step)
        rest = 1 - info / info.sum()
        error = np.sqrt((value ** 2 / rest).sum()) / info.sum()
        gram = np.diag(info) - np.outer(info, info) / info.sum()
        product = gram / rest[:, None]
        dof = np.trace(product) ** 2 / np.trace(product @ product)
        g = self.group
        self.assertEqual(g["estimator"], "pairs within seeds")
        self.assert_close(g["slope"], slope)
        self.assert_close([g["stderr"], g["dof"]], [error, dof], 1e-5)  # differences of step 1e-7
        self.assert_close(g["upper"], slope + stats.t.ppf(0.975, dof) * error, 1e-5)

    def scores(self, p):
        """Each seed's log-likelihood at level, slope, log sigma."""
        z = (self.y - p[0] - p[1] * self.x) / np.exp(p[2])
        return np.where(self.late, stats.norm.logsf(z), stats.norm.logpdf(z) - p[2]).sum(axis=1)

    def test_the_log_normal_fit_and_its_sandwich(self):
        top = optimize.minimize(lambda p: -self.scores(p).sum(), [7, -1, -1], method="Nelder-Mead",
                                options={"xatol": 1e-10, "fatol": 1e-13, "maxiter": 10000}).x
        step = 1e-4 * np.eye(3)
        score = np.array([(self.scores(top + h) - self.scores(top - h)) / 2e-4 for h in step])
        total = lambda p: self.scores(p).sum()
        hessian = np.array([[(total(top + h + k) - total(top + h - k) - total(top - h + k) +
                              total(top - h - k)) / 4e-8 for h in step] for k in step])
        influence = -np.linalg.solve(hessian, score)[1]
        error = np.sqrt((influence ** 2).sum() * 12 / 11)
        self.assert_close(self.group["slope_censored"], top[1], 1e-6)
        self.assert_close(self.group["stderr_censored"], error, 1e-4)  # differences of step 1e-4


def ancova(steps, scales, columns):
    """Limit, standard error, T^2 and p, with one residual contrast: Rao's covariance-adjusted mean."""
    mean, phi = np.log(steps.mean(axis=0)), jackknife(steps)
    n = len(steps)
    c, z = np.linalg.pinv(columns)[1], np.linalg.svd(columns)[0][:, -1]
    covariance = phi.T @ phi / (n * (n - 1))
    slope = (c @ covariance @ z) / (z @ covariance @ z)
    c = c - slope * z
    t2, nu = (z @ mean) ** 2 / (z @ covariance @ z), n - 1
    variance = (c @ covariance @ c) * nu / (nu - 1) * (1 + t2 / nu)
    return c @ mean, np.sqrt(variance), t2, stats.f.sf(t2, 1, nu)


class Limit(Numbers):
    def test_the_limit_is_the_covariance_adjusted_mean(self):
        steps = made(np.random.default_rng(5), 14, 0.02) * 1000  # rounding far away
        columns = np.stack([np.ones(4), np.log(SCALES), SCALES], 1)
        limit = self.fit(steps)["limit"]
        got = [limit[key] for key in ("slope", "stderr", "chi2", "p_value")]
        self.assert_close(got, ancova(steps, SCALES, columns), 1e-6)
        more = np.linalg.solve(np.c_[columns, SCALES ** 2], np.log(steps.mean(axis=0)))[1]
        self.assert_close(limit["next"], more, 1e-6)
        change = 2 * np.hypot(more - limit["slope"],
                              np.sqrt(max(limit["stderr_next"] ** 2 - limit["stderr"] ** 2, 0)))
        self.assert_close(limit["systematic"], change, 1e-6)
        half = stats.t.ppf(0.975, 12) * limit["stderr"] + change
        self.assert_close([limit["lower"], limit["upper"]],
                          limit["slope"] + half * np.array([-1, 1]), 1e-6)

    def test_escape_times_of_the_reduced_ode_have_the_exponent_of_theory(self):
        """All layers small; the slopes over the window are off by more than the limits' intervals."""
        for activation, r, scales in (("tanh", 3, (0.01, 0.02, 0.03, 0.05)),
                                      ("tanh", 4, (0.02, 0.03, 0.05, 0.07, 0.1)),
                                      ("tanh", 5, (0.02, 0.03, 0.04, 0.05)),
                                      ("erf", 5, (0.02, 0.03, 0.04, 0.05)),
                                      ("gelu", 3, (0.01, 0.015, 0.022, 0.033, 0.05)),
                                      ("gelu", 5, (0.02, 0.03, 0.04, 0.05, 0.06, 0.07))):
            with self.subTest(f"{activation}, r = {r}"):
                times = [json.loads(subprocess.run(
                    [PROGRAM, "escape", "--activation", activation, "--amplitude", "1", "--to",
                     "0.5", "--scales", ",".join([str(e)] * r), "--json"],
                    capture_output=True, text=True, check=True).stdout)["ode"] for e in scales]
                steps = np.rint(1e6 * np.outer(np.linspace(0.9, 1.1, 5), times))
                g = self.fit(steps, r=r, activation=activation, scales=np.array(scales))
                limit = g["limit"]
                self.assertFalse(g["lower"] < 2 - r < g["upper"])
                self.assertLess(limit["lower"], 2 - r)
                self.assertGreater(limit["upper"], 2 - r)
                self.assertLess(abs(limit["slope"] - (2 - r)), abs(g["slope"] - (2 - r)) / 3)


if __name__ == "__main__":
    unittest.main()
