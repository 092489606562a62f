# SPDX-License-Identifier: Apache-2.0
"""What a small step budget does to the slope: left out or counted, the networks that did not
escape."""
import numpy as np

from .sheet import bootstrap, caption, groups, panel, series, table

NAME = "censoring"
TITLE = "Censoring: the naive slope is biased, the censored fit is not"
BUDGETS = (400000, 8000, 5000, 4000, 3000, 2000)
RUNS = [(f"steps-{b}", "censoring", [f"train.steps={b}"]) for b in BUDGETS]


def naive(t, scale):
    """Slope of the log mean of those that escaped, over the scales that have any."""
    count = np.isfinite(t).sum(axis=0)
    mean = np.nansum(t, axis=0) / np.maximum(count, 1)
    seen = count > 0
    return np.polyfit(np.log(scale[seen]), np.log(mean[seen]), 1)[0] if seen.sum() > 1 else np.nan


def measure(tables, fit):
    """By budget: share censored, naive slope and error, the fit's slope and error."""
    out = {}
    for budget in BUDGETS:
        name = f"steps-{budget}"
        g = groups(tables[name])[0]
        error = np.nanstd(bootstrap(g.t, lambda t, g=g: naive(t, g.scale)))
        fitted = fit(name)["groups"][0]
        out[budget] = (np.isnan(g.t).mean(axis=0), naive(g.t, g.scale), error, fitted["slope"],
                       fitted["stderr"])
    return out


CAPTION = r"""Slope of $\log t^*$ on $\log\varepsilon$ for $r = 4$ (law: $-2$) against the share of the
members that did not escape within the budget of steps. Circles: slope of the mean over those that
escaped; squares: the fit that counts the others as later than their budget. Bars: two standard
errors (over {seeds} seeds). The two are set apart sideways by
0.8 percentage points (by 0.4 at no censoring).

He-normal tanh networks at four scales, budgets of {budgets} steps."""


def draw(measured, seeds):
    share = np.array([100 * m[0].mean() for m in measured.values()])
    column = lambda i: np.array([m[i] for m in measured.values()])  # noqa: E731
    budgets = ", ".join(f"{b}" for b in BUDGETS)
    return {"caption": caption(CAPTION, seeds=seeds, budgets=budgets),
            "panels": [panel("", "members that did not escape (%)", "slope, $r = 4$", "linear",
                             series("marks", 0, np.maximum(share - 0.4, 0), column(1), "those that escaped",
                                    2 * column(2)),
                             series("marks", 1, share + 0.4, column(3), "censored fit", 2 * column(4)),
                             series("dash", -1, [0, share.max()], [-2, -2], "law"))]}


def analyse(tables, fit):
    measured = measure(tables, fit)
    rows = []
    for budget, (share, slope, error, counted, counted_error) in measured.items():
        rows.append([budget, " ".join(f"{100 * s:.0f}" for s in share), f"{slope:.3f}",
                     f"{error:.3f}", f"{counted:.3f}", f"{counted_error:.3f}"])
    return [table("Slope of $r = 4$ (law: $-2$) with smaller and smaller budgets",
                  ["budget", "censored % by scale, ascending", "of those that escaped", "stderr",
                   "censored fit", "stderr"], rows)], \
        draw(measured, len(groups(tables[f"steps-{BUDGETS[0]}"])[0].seed))
