# SPDX-License-Identifier: Apache-2.0
"""Adam: the law that replaces r-2 (docs/theory, section 4.12).

Adam divides a gradient by its root mean square, so a coordinate whose gradient keeps its sign moves by
the rate at each step, whatever the gradient's size. In the time k eta every small weight moves by k eta:
the distance to the scale of the escape does not depend on epsilon. While gradients are below the addend of
the denominator (train.adam_epsilon), Adam is gradient descent with momentum and the rate eta over that
addend; that part has the law epsilon^{-(r-2)} and takes over below epsilon ~ addend^{1/(r-2)}."""
import numpy as np

from .sheet import bootstrap, caption, colour_of, groups, key, panel, series, slope, table

NAME = "adam"
TITLE = r"Adam: escape times do not depend on $\varepsilon$, and weakly on $r$"
ADDEND, FLOOR = 1e-16, 1e-8
RATES = (0.001, 0.0003, 0.0001, 0.00003)
RUNS = [("scales", "he-normal", [f"train.adam_epsilon={ADDEND:g}"]),
        ("floor", "floor", [])]
RUNS += [(f"rate-{rate:g}", "rates", [f"train.rate={rate:g}"]) for rate in RATES]


def path(r, steps):
    """s / eta of equal scales from near 0 under Adam with the gradient s^{r-1}."""
    s, first, second, out = 1e-6, 0.0, 0.0, []
    for k in range(1, steps + 1):
        g = s**(r - 1)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        s += first / (1 - 0.9**k) / np.sqrt(second / (1 - 0.999**k))
        out.append(s)
    return np.array(out)


def iterated(r, mean):
    """Steps at each rate by `path`, to the scale that it reaches in the steps at the last rate."""
    walked = path(r, 4 * int(mean[-1]))
    step = np.arange(1, len(walked) + 1)
    scale = np.interp(mean[-1], step, walked) * RATES[-1]
    return np.interp(scale / np.array(RATES), walked, step)


def interval(t, statistic):
    return np.quantile(bootstrap(t, statistic), [0.025, 0.975], axis=0)


def rows_of_scales(run):
    rows = []
    for g in groups(run):
        fit = lambda t, g=g: slope(np.log(g.scale), np.log(t.mean(axis=0)))  # noqa: E731
        low, high = interval(g.t, fit)
        means = ", ".join(f"{m:.1f}" for m in g.t.mean(axis=0))
        rows.append([g.r, f"{g.scale[0]:g} - {g.scale[-1]:g}", means, max(g.r - 2, 0),
                     f"{fit(g.t):+.4f}", f"[{low:+.4f}, {high:+.4f}]"])
    return rows


def rate_groups(tables):
    """By r: times (seeds, rates)."""
    columns = {}
    for rate in RATES:
        for g in groups(tables[f"rate-{rate:g}"]):
            columns.setdefault(g.r, []).append(g.t[:, 0])
    return {r: np.stack(c, axis=1) for r, c in columns.items()}


def rows_of_rates(tables):
    rows = []
    for r, t in rate_groups(tables).items():
        fit = lambda t: slope(np.log(RATES), np.log(t.mean(axis=0)))  # noqa: E731
        low, high = interval(t, fit)
        told = iterated(r, t.mean(axis=0))
        rows.append([r, *(", ".join(f"{m:.4f}" for m in steps * RATES)
                          for steps in (t.mean(axis=0), told)),
                     f"{fit(t):.3f}", f"[{low:.3f}, {high:.3f}]", f"{fit(told[None]):.3f}"])
    return rows


def rows_of_floor(run):
    rows = []
    for g in groups(run):
        mean = g.t.mean(axis=0)
        local = np.diff(np.log(mean)) / np.diff(np.log(g.scale))
        low, high = interval(g.t, lambda t, g=g: np.diff(np.log(t.mean(axis=0))) /
                             np.diff(np.log(g.scale)))
        for i, (a, b) in enumerate(zip(g.scale, g.scale[1:])):
            rows.append([g.r, f"{a:g} - {b:g}", f"{mean[i]:.1f}", f"{local[i]:.3f}",
                         f"[{low[i]:.3f}, {high[i]:.3f}]"])
    return rows


CAPTION = r"""(a) Escape time in steps against $\varepsilon$ for $r$ small layers of six; bars: two
standard errors over {seeds} seeds. Adam's addend is {addend:g}. (b) $t^* \eta$ against the rate $\eta$ at
$\varepsilon = 0.01$: constant where $t^* \propto 1/\eta$; lines: Adam's own iteration with the gradient
$s^{{r-1}}$, to the scale that it has at the smallest rate. (c) With the usual addend {floor:g}: at small
scales, $t^* \sim \varepsilon^{{-(r-2)}}$ again (dashed, through the last mark).

He-normal tanh networks, width 32, batch 64, Adam with $\beta_1 = 0.9$, $\beta_2 = 0.999$."""


def bars(t):
    return 2 * t.std(axis=0, ddof=1) / np.sqrt(len(t))


def draw(tables):
    times, rates, floor = [], [], []
    for g in groups(tables["scales"]):
        times.append(series("marks", colour_of(g.r), g.scale, g.t.mean(axis=0), f"$r = {g.r}$",
                            bars(g.t)))
    for r, t in rate_groups(tables).items():
        rates += [series("marks", colour_of(r), RATES, t.mean(axis=0) * RATES, f"$r = {r}$",
                         bars(t) * RATES),
                  series("line", colour_of(r), RATES, iterated(r, t.mean(axis=0)) * RATES)]
    for g in groups(tables["floor"]):
        mean = g.t.mean(axis=0)
        floor += [series("marks", colour_of(g.r), g.scale, mean, f"$r = {g.r}$", bars(g.t)),
                  series("dash", -1, g.scale[:3], mean[0] * (g.scale[:3] / g.scale[0])**(2 - g.r))]
    floor.append(key("dash", r"$\varepsilon^{-(r-2)}$", -1))
    seeds, scale = len(groups(tables["scales"])[0].seed), r"initialisation scale $\varepsilon$"
    return {"caption": caption(CAPTION, seeds=seeds, addend=ADDEND, floor=FLOOR),
            "common_legend": True, "panels": [
        panel("scale", scale, "escape time $t^*$ (steps)", "loglog", *times),
        panel("rate", r"rate $\eta$", r"$t^*\,\eta$", "semilogx", *rates),
        panel("below the addend", scale, "escape time $t^*$ (steps)", "loglog", *floor)]}


def analyse(tables, _fit):
    return [
        table("Mean steps at each scale, and the slope of their logarithm on $\\log\\varepsilon$, 95% interval over "
              "seeds; gradient descent has $-(r-2)$",
              ["r", "scales", "mean steps", "r-2", "slope", "95%"], rows_of_scales(tables["scales"])),
        table(r"$t^*\eta$ at the rates " + ", ".join(f"{r:g}" for r in RATES) +
              ", and the slope of $\\log t^*$ on $\\log\\eta$",
              ["r", r"$t^*\eta$", "of the iteration", "slope", "95%", "iteration"],
              rows_of_rates(tables)),
        table(f"Addend {FLOOR:g}: local slopes", ["r", "scales", "mean steps at the smaller", "slope",
                                                  "95%"], rows_of_floor(tables["floor"])),
    ], draw(tables)
