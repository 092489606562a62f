# SPDX-License-Identifier: Apache-2.0
"""Heavy-ball momentum beta and the exponent r-2 (docs/theory, section 4.10).

In the plateau F = D s^{r-1}. With t_0 the time without momentum, time in units of (1-beta) t_0 and s in
units of epsilon, m s'' + (1-beta) s' = F is  mu x'' + x' = x^{r-1} / (r-2),  mu = m / ((1-beta)^2 t_0): the
ratio t* / ((1-beta) t_0) is a function of mu alone, 1 for mu -> 0 and ~ sqrt(mu) for mu -> infinity, where
half of the exponent is left. t_0 is measured, so that the function has no parameter to fit."""
import numpy as np
from scipy.integrate import solve_ivp

from .sheet import bootstrap, caption, groups, key, panel, series, table
from .theory import scale_at_loss

NAME = "momentum"
TITLE = r"Momentum: time scales by $1-\beta$, and the exponent $r-2$ survives where friction is large"
RATE, MANIFOLD_RATE, MANIFOLD_LAYERS = 0.02, 0.05, 3
# name: beta, rate
HE_NORMAL = {"plain": (0, RATE), "heavy-0.9": (0.9, RATE), "heavy-0.99": (0.99, RATE),
             "slow-0.9": (0.9, RATE / 10)}
MANIFOLD = {"manifold-0": 0, "manifold-0.9": 0.9, "manifold-0.99": 0.99}
RUNS = [(name, "he-normal", [f"train.momentum={beta}", f"train.rate={rate}"])
        for name, (beta, rate) in HE_NORMAL.items()]
RUNS += [(name, "manifold", [f"train.momentum={beta}"]) for name, beta in MANIFOLD.items()]
USES_THEORY = True


def inertia_over_friction(beta, rate, steps):
    """mu, of a start that takes `steps` without momentum."""
    return rate * (1 + beta) / 2 / ((1 - beta)**2 * steps * rate)


def slowdown(r, mu, end):
    """t* / ((1-beta) t_0) to x = end."""
    reached = lambda t, y: y[0] - end  # noqa: E731
    reached.terminal = True
    found = solve_ivp(lambda t, y: [y[1], (y[0]**(r - 1) / (r - 2) - y[1]) / mu], (0, 1e6), [1, 0],
                      method="Radau", events=reached, rtol=1e-8, atol=1e-10)
    return found.t_events[0][0] / (1 - end**(2.0 - r))


def interval(t, statistic):
    return np.quantile(bootstrap(t, statistic), [0.025, 0.975], axis=0)


def rows_of_slopes(tables, fit):
    rows = []
    for name, (beta, rate) in HE_NORMAL.items():
        for g, found in zip(groups(tables[name]), fit(name)["groups"]):
            rows.append([g.r, beta, f"{rate:g}", 2 - g.r, f"{found['slope']:.3f}",
                         f"[{found['lower']:.3f}, {found['upper']:.3f}]", found["censored"]])
    return rows


def ratios(tables):
    """Of every group with momentum: what is drawn and what is printed."""
    plain = {g.r: g for g in groups(tables["plain"])}
    for name, (beta, rate) in HE_NORMAL.items():
        for g in groups(tables[name]) if beta else []:
            t_0 = plain[g.r].t.mean(axis=0) * RATE
            both = np.hstack([g.t * rate, plain[g.r].t * RATE])
            ratio = lambda t, n=len(g.scale): t[:, :n].mean(axis=0) / t[:, n:].mean(axis=0)  # noqa: E731
            low, high = interval(both, ratio) / (1 - beta)
            mu = inertia_over_friction(beta, rate, t_0 / rate)
            told = [slowdown(g.r, m, 1 / e) for m, e in zip(mu, g.scale)]
            yield g, beta, rate, mu, ratio(both) / (1 - beta), low, high, told


def rows_of_ratios(tables):
    return [[g.r, beta, f"{rate:g}", f"{g.scale[i]:g}", f"{g.t[:, i].mean():.1f}", f"{mu[i]:.3g}",
             f"{ratio[i]:.3f}", f"[{low[i]:.3f}, {high[i]:.3f}]", f"{told[i]:.3f}"]
            for g, beta, rate, mu, ratio, low, high, told in ratios(tables)
            for i in range(len(g.scale))]


def rows_of_manifold(tables, theory):
    rows = []
    for name, beta in MANIFOLD.items():
        g = groups(tables[name])[0]
        to = scale_at_loss(MANIFOLD_LAYERS, tables[name].threshold.values[0])
        low, high = interval(g.t, lambda t: t.mean(axis=0))
        for i, scale in enumerate(g.scale):
            steps = theory.escape([scale] * MANIFOLD_LAYERS, to, momentum=beta,
                                  rate=MANIFOLD_RATE)["steps"]
            first = theory.steps([scale] * MANIFOLD_LAYERS, to, MANIFOLD_RATE, momentum=beta)
            rows.append([beta, f"{scale:g}", f"{g.t[:, i].mean():.1f}",
                         f"[{low[i]:.1f}, {high[i]:.1f}]", f"{steps:.1f}", f"{first:.1f}"])
    return rows


def local_slopes(theory, beta):
    """d log t* / d log epsilon of the reduced ODE, three small layers of five, at the middles."""
    scale = 10.0**-np.arange(1, 5.1, 0.25)
    steps = [theory.escape([e, e, e, 1, 1], 0.5, momentum=beta, rate=RATE)["steps"] for e in scale]
    return np.sqrt(scale[1:] * scale[:-1]), np.diff(np.log(steps)) / np.diff(np.log(scale))


CAPTION = r"""(a) Escape time over $1-\beta$ in steps against $\varepsilon$, $r = 3$, He-normal; marks: means
over {seeds} seeds, bars: two standard errors; dashed: the law $\varepsilon^{{-1}}$ through the last mark
without momentum. (b) $t^*/((1-\beta)\,t_0)$ against $\mu = m/((1-\beta)^2 t_0)$, both measured against the
same seeds without momentum; bars: 95% intervals (bootstrap over seeds); lines: the equation
$\mu x'' + x' = x^{{r-1}}/(r-2)$, $x(0)=1$, up to $x = 1/\varepsilon$ at the middle of the window; nothing is
fitted. (c) Local slopes of the reduced ODE, three small layers of five, rate {rate}: from $-1/2$ where
inertia leads to $-1$.

(a), (b): tanh, $L = 6$, width 32, batch 64, rate {rate} (hollow: 0.002)."""


def draw(tables, theory):
    times, curves, slopes = [], [], []
    for colour, name in enumerate(n for n in HE_NORMAL if n != "slow-0.9"):
        beta = HE_NORMAL[name][0]
        g = groups(tables[name])[0]
        error = g.t.std(axis=0, ddof=1) / np.sqrt(len(g.seed)) / (1 - beta)
        times.append(series("marks", colour, g.scale, g.t.mean(axis=0) / (1 - beta),
                            rf"$\beta = {beta}$", 2 * error))
        if beta == 0:
            law = g.t[:, 0].mean() * (g.scale / g.scale[0])**(2 - g.r)
            times.append(series("dash", -1, g.scale, law, r"$\varepsilon^{-(r-2)}$"))
    for g, beta, rate, mu, ratio, low, high, _ in ratios(tables):
        curves.append({**series("marks", g.r - 3, mu, ratio, hollow=rate < RATE),
                       "low": low.tolist(), "high": high.tolist()})
    mu = np.geomspace(1e-3, 3e2, 20)
    for r, end in ((3, 300), (4, 17)):
        curves.append(series("line", r - 3, mu, [slowdown(r, m, end) for m in mu], f"$r = {r}$"))
    for role, beta in zip(("line", "dash", "dot", "dashdot"), (0, 0.9, 0.99, 0.999)):
        slopes.append(series(role, -1, *local_slopes(theory, beta), rf"$\beta = {beta}$"))
    return {"caption": caption(CAPTION, seeds=len(groups(tables["plain"])[0].seed), rate=RATE),
            "panels": [
                panel("time over $1-\\beta$", r"initialisation scale $\varepsilon$",
                      r"$t^*/(1-\beta)$ (steps)", "loglog", *times),
                panel("slowdown by inertia", r"$\mu = m/((1-\beta)^2\, t_0)$",
                      r"$t^*/((1-\beta)\,t_0)$", "loglog", *curves,
                      key("marks", "rate 0.002", hollow=True)),
                panel("exponent of the reduced ODE", r"initialisation scale $\varepsilon$",
                      "local slope", "semilogx", *slopes)]}


def analyse(tables, fit, theory):
    return [
        table("Slope of log mean steps on $\\log\\varepsilon$, 95% interval over seeds (escapement fit)",
              ["r", r"$\beta$", r"$\eta$", "law", "slope", "95%", "censored"],
              rows_of_slopes(tables, fit)),
        table("Time with momentum over $1-\\beta$ times the time without, same seeds, 95% interval; "
              r"$\mu x'' + x' = x^{r-1}/(r-2)$",
              ["r", r"$\beta$", r"$\eta$", r"$\varepsilon$", "steps", r"$\mu$", "ratio", "95%",
               "theory"], rows_of_ratios(tables)),
        table("Symmetric starts, three layers: mean steps trained, 95% interval; flow of second order; "
              "first-order limit",
              [r"$\beta$", r"$\varepsilon$", "trained", "95%", "second order", "first order"],
              rows_of_manifold(tables, theory)),
    ], draw(tables, theory)
