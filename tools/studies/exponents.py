"""Exponents of t* ~ epsilon^-(r-2), r = 3..6: local slopes and their limit at epsilon -> 0.

log mean t* = a + p log epsilon + corrections. The flow's first one is of relative order
s^(q-1) = s^2 (theory, section 4); the time from a fixed scale on, the moving average's lag
included, is a constant, of relative order epsilon^(r-2). At r = 4 they coincide and make the resonance's
epsilon^2 log epsilon beside epsilon^2. Generalised least squares with the covariance of the points,
which share their seeds; the limit with one more term says how far the choice matters."""
import numpy as np

from .sheet import bootstrap, canvas, groups, mark, mean_slope, middle_threshold, table

NAME = "exponents"
TITLE = "Exponents for r = 3 to 6, extrapolated to epsilon = 0"
RUNS = [("exponents", "exponents", [])]


# Corrections by r, and one more term: functions of epsilon.
TERMS = {
    3: ("e", "e^2"),
    4: ("e^2, e^2 log e", ""),
    5: ("e^2", "e^3"),
    6: ("e^2", "e^4"),
}
TERM = {
    "e": lambda e: e,
    "e^2": lambda e: e**2,
    "e^2 log e": lambda e: e**2 * np.log(e),
    "e^3": lambda e: e**3,
    "e^4": lambda e: e**4,
}


def corrections(names):
    return [TERM[name] for name in names.split(", ") if name]


class Limit:
    """p and its error, and chi^2 with its degrees of freedom, with the terms named."""

    def __init__(self, g, names):
        self.terms = corrections(names)
        replicates = bootstrap(g.t, lambda t: np.log(t.mean(axis=0)))
        inverse = np.linalg.inv(np.cov(replicates.T))
        columns = self.columns(g.scale)
        solve = np.linalg.inv(columns.T @ inverse @ columns) @ columns.T @ inverse
        self.fit = solve @ g.log_mean
        residual = g.log_mean - columns @ self.fit
        self.p, self.error = self.fit[1], (replicates @ solve[1]).std()
        self.low, self.high = self.p + 1.96 * self.error * np.array([-1, 1])
        self.chi2 = residual @ inverse @ residual
        self.freedom = len(g.scale) - len(self.fit)

    def columns(self, scale):
        return np.stack([np.ones(len(scale)), np.log(scale), *(f(scale) for f in self.terms)], 1)

    def slope(self, scale):
        """d log t* / d log epsilon."""
        ends = [self.columns(scale * f) @ self.fit for f in (0.999, 1.001)]
        return (ends[1] - ends[0]) / np.log(1.001 / 0.999)


def local(t, scale):
    return np.diff(np.log(t.mean(axis=0))) / np.diff(np.log(scale))


def rows_of_limits(run):
    rows = []
    for threshold in run.threshold.values:
        for g in groups(run, threshold):
            first, more = TERMS[g.r]
            limit = Limit(g, first)
            other = Limit(g, f"{first}, {more}") if more else None
            plain = mean_slope(g.t, g.scale)
            rows.append([g.r, f"{threshold:g}", 2 - g.r, f"{plain:.4f}", f"{limit.p:.4f}",
                         f"{limit.error:.4f}", f"[{limit.low:.4f}, {limit.high:.4f}]", first,
                         f"{limit.chi2:.1f}/{limit.freedom}",
                         f"{other.p:.4f} ({other.error:.4f}) with {more}" if more else "-"])
    return rows


def rows_of_locals(run):
    rows = []
    for g in groups(run):
        slopes = local(g.t, g.scale)
        errors = bootstrap(g.t, lambda t, g=g: local(t, g.scale)).std(axis=0)
        for i, (s, e) in enumerate(zip(slopes, errors)):
            rows.append([g.r, f"{g.scale[i]:g} - {g.scale[i + 1]:g}", f"{g.t[:, i].mean():.1f}",
                         f"{s:.4f}", f"{e:.4f}", f"{s - (2 - g.r):+.4f}"])
    return rows


def draw(run):
    sheet, (times, slopes) = canvas(2)
    for i, g in enumerate(groups(run)):
        mean, error = g.t.mean(axis=0), g.t.std(axis=0, ddof=1) / np.sqrt(len(g.seed))
        times.errorbar(g.scale, mean, 2 * error, label=f"r = {g.r}", ls="none", **mark(i))
        times.plot(g.scale, mean[0] * (g.scale / g.scale[0])**(2 - g.r), "--",
                   color=mark(i)["color"], lw=1)
        limit = Limit(g, TERMS[g.r][0])
        middle = np.sqrt(g.scale[1:] * g.scale[:-1])
        errors = bootstrap(g.t, lambda t, g=g: local(t, g.scale)).std(axis=0)
        slopes.errorbar(middle / g.scale[-1], local(g.t, g.scale) - (2 - g.r), 2 * errors,
                        label=f"r = {g.r}", ls="none", **mark(i))
        x = np.linspace(0.01, 1, 60)
        slopes.plot(x, limit.slope(x * g.scale[-1]) - (2 - g.r), lw=1,
                    color=mark(i)["color"])
        slopes.errorbar([0], [limit.p - (2 - g.r)], 1.96 * limit.error, **mark(i), ls="none")
    times.set(xscale="log", yscale="log", xlabel=r"$\varepsilon$", ylabel="$t^*$ (steps)",
              title="(a) mean over 200 seeds; dashed: the law")
    slopes.axhline(0, color="black", lw=0.6)
    slopes.set(xlabel=r"$\varepsilon$ / largest $\varepsilon$ of the window",
               ylabel=r"local slope $+ (r-2)$", title=r"(b) local slopes and their limit")
    for place in (times, slopes):
        place.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), borderaxespad=0)
    return sheet


def analyse(tables, _fit):
    run = tables["exponents"]
    limits = table("Slope over the window, and its limit at epsilon = 0: log t* = a + p log e + "
                   "corrections, 95% interval over seeds",
                   ["r", "threshold", "law", "window", "limit", "stderr", "95%",
                    "corrections", "chi2/dof", "limit (stderr) with one more"], rows_of_limits(run))
    steps = table(f"Local slopes at threshold {middle_threshold(run):g}",
                  ["r", "scales", "mean t*", "slope", "stderr", "off the law"],
                  rows_of_locals(run))
    return [limits, steps], draw(run)
