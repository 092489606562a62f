"""What a small step budget does to the slope: left out or counted, the networks that did not
escape."""
import numpy as np

from .sheet import bootstrap, canvas, groups, mark, table

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


def draw(measured):
    sheet, (place,) = canvas(1, columns=1)
    share = np.array([100 * m[0].mean() for m in measured.values()])
    for i, (name, column) in enumerate((("those that escaped", 1), ("censored fit", 3))):
        values = [m[column] for m in measured.values()]
        errors = [2 * m[column + 1] for m in measured.values()]
        place.errorbar(share, values, errors, label=name, **mark(i))
    place.axhline(-2, color="black", lw=0.6)
    place.set(xlabel="members that did not escape (%)", ylabel="slope, r = 4",
              title="Slope against the share that was censored")
    place.legend()
    return sheet


def analyse(tables, fit):
    measured = measure(tables, fit)
    rows = []
    for budget, (share, slope, error, counted, counted_error) in measured.items():
        rows.append([budget, " ".join(f"{100 * s:.0f}" for s in share), f"{slope:.3f}",
                     f"{error:.3f}", f"{counted:.3f}", f"{counted_error:.3f}"])
    return [table("Slope of r = 4 (law: -2) with smaller and smaller budgets",
                  ["budget", "censored % by scale, ascending", "of those that escaped", "stderr",
                   "censored fit", "stderr"], rows)], draw(measured)
