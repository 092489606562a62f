# SPDX-License-Identifier: Apache-2.0
"""Exponents of t* ~ epsilon^-(r-2), r = 3..6: local slopes and their limit at epsilon -> 0.

log mean t* = a + p log epsilon + corrections. The flow's first one is of relative order
s^(q-1) = s^2 (docs/theory, section 11.4); the time from a fixed scale on, the moving average's lag
included, is a constant, of relative order epsilon^(r-2). At r = 4 they coincide and make the resonance's
epsilon^2 log epsilon beside epsilon^2. Generalised least squares with the covariance of the points,
which share their seeds; the limit with one more term says how far the choice matters."""
import numpy as np

from .sheet import bootstrap, caption, colour_of, groups, key, mean_slope, middle_threshold, \
    panel, series, table

NAME = "exponents"
TITLE = r"Exponents for $r = 3$ to 6, extrapolated to $\varepsilon = 0$"
CAPTION = r"""(a) Escape time in steps against the initialisation scale $\varepsilon$ of the first $r$
layers, both axes logarithmic. Marks: means over {seeds} seeds at the middle threshold; bars: two
standard errors, hidden by the mark where they are smaller. Dashed: the law
$t^* \sim \varepsilon^{{-(r-2)}}$ through the mean at the smallest $\varepsilon$. (b) Local slopes
between neighbouring scales, less the law's, at the middle of the two scales; bars: two standard
errors (bootstrap over seeds). Lines: the fit of $\log t^*$ with the corrections that theory
expects. Hollow: its limit at $\varepsilon \to 0$ with its 95% interval, in a strip left of the dotted
line, set apart sideways there: positions in the strip have no meaning.

He-normal tanh networks, $L = 6$, width $N = 32$, batch $B = 64$, rate $\eta = 0.05$."""
RUNS = [("exponents", "exponents", [])]


# Corrections by r, and one more term: functions of epsilon.
TERMS = {
    3: ("e", "e^2"),
    4: ("e^2, e^2 log e", ""),
    5: ("e^2", "e^3"),
    6: ("e^2", "e^4"),
}
NAMES = {"e": r"$\varepsilon$", "e^2": r"$\varepsilon^2$", "e^3": r"$\varepsilon^3$",
         "e^4": r"$\varepsilon^4$", "e^2 log e": r"$\varepsilon^2 \log\varepsilon$"}
TERM = {
    "e": lambda e: e,
    "e^2": lambda e: e**2,
    "e^2 log e": lambda e: e**2 * np.log(e),
    "e^3": lambda e: e**3,
    "e^4": lambda e: e**4,
}


def typeset(names):
    return ", ".join(NAMES[name] for name in names.split(", "))


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
                         f"{limit.error:.4f}", f"[{limit.low:.4f}, {limit.high:.4f}]", typeset(first),
                         f"{limit.chi2:.1f}/{limit.freedom}",
                         f"{other.p:.4f} ({other.error:.4f}) with {typeset(more)}" if more else "-"])
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


def ends_of(all_series):
    """The least and the most of what has bars."""
    return [f(v for s in all_series for v in s.get(name, [])) for f, name in ((min, "low"),
                                                                              (max, "high"))]


def draw(run):
    times, slopes, r_minus_2 = [], [], lambda g: 2 - g.r
    for g in groups(run):
        colour, law, label = colour_of(g.r), r_minus_2(g), f"$r = {g.r}$"
        mean, error = g.t.mean(axis=0), g.t.std(axis=0, ddof=1) / np.sqrt(len(g.seed))
        times += [series("marks", colour, g.scale, mean, label, 2 * error),
                  series("dash", -1, g.scale, mean[0] * (g.scale / g.scale[0])**law)]
        limit, top = Limit(g, TERMS[g.r][0]), g.scale[-1]
        errors = bootstrap(g.t, lambda t, g=g: local(t, g.scale)).std(axis=0)
        x = np.linspace(0.005, 1, 120)
        slopes += [series("marks", colour, np.sqrt(g.scale[1:] * g.scale[:-1]) / top,
                          local(g.t, g.scale) - law, label, 2 * errors),
                   series("line", colour, x, limit.slope(x * top) - law),
                   series("marks", colour, [-0.06 - 0.05 * colour], [limit.p - law], "",
                          1.96 * limit.error, hollow=True)]
    times.append(key("dash", r"law, through the smallest $\varepsilon$", -1))
    slopes.append(series("dot", -2, [-0.03] * 2, ends_of(slopes)))
    slopes += [key("line", "fit with corrections"),
               key("marks", r"limit at $\varepsilon \to 0$, 95% interval", hollow=True, marker=0,
                   low=[], high=[])]
    return {"caption": caption(CAPTION, seeds=len(groups(run)[0].seed)), "common_legend": True,
            "panels": [panel("means over seeds", r"initialisation scale $\varepsilon$",
                             "escape time $t^*$ (steps)", "loglog", *times),
                       panel("local slopes and their limit",
                             r"$\varepsilon$ / largest $\varepsilon$ of the window",
                             "local slope $+ (r-2)$", "linear", *slopes, zero=0,
                             xticks=[[v, f"{v:g}"] for v in (0, 0.25, 0.5, 0.75, 1)])]}


def analyse(tables, _fit):
    run = tables["exponents"]
    limits = table("Slope over the window, and its limit at $\\varepsilon = 0$: $\\log t^* = a + p\\log\\varepsilon$ + "
                   "corrections, 95% interval over seeds",
                   ["r", "threshold", "law", "window", "limit", "stderr", "95%",
                    "corrections", "$\\chi^2$/dof", "limit (stderr) with one more"], rows_of_limits(run))
    steps = table(f"Local slopes at threshold {middle_threshold(run):g}",
                  ["r", "scales", "mean $t^*$", "slope", "stderr", "off the law"],
                  rows_of_locals(run))
    return [limits, steps], draw(run)
