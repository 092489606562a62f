# SPDX-License-Identifier: Apache-2.0
"""Weight decay: the critical decay, and the divergence of t* there (docs/theory, section 4.11).

At leading order W = exp(-lambda t) Omega, with Omega the network without decay at the time
(1 - exp(-(L-2) lambda t)) / ((L-2) lambda), on the manifold and off it: the gradient is homogeneous of
degree L-1 in all weights. So a network that takes t_0 without decay takes
  t* = -t_0 ln(1 - x) / x,  x = (L-2) lambda t_0,
and does not escape where x > 1: each seed's critical decay follows from its time without decay."""
import numpy as np

from .sheet import bootstrap, caption, colour_of, groups, key, panel, series, slope, table
from .theory import scale_at_loss

NAME = "decay"
TITLE = r"Weight decay: the critical decay $\lambda_c \sim \varepsilon^{r-2}$, and $t^*$ near it"
LAYERS, RATE = 6, 0.05
MANIFOLD_LAYERS, MANIFOLD_RATE, MANIFOLD_CRITICAL = 4, 0.1, 0.005984
FRACTIONS = (0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 1.02, 1.1)
# Of x by the mean time: (L-2) lambda t_0.
GRID = (0.5, 0.7, 0.85, 1, 1.2, 1.5, 2)
# r: scales, and steps t_0 times epsilon^{r-2} at the rate of the spec, rounded.
SCALES = {3: (0.02, 0.01, 0.005), 4: (0.1, 0.07, 0.05)}
STEPS = {3: 10.4, 4: 5.25}
BUDGET = 6  # of t_0


def decay_of(r, scale, x):
    return float(f"{x * scale**(r - 2) / ((LAYERS - 2) * STEPS[r] * RATE):.4g}")


def run_of(r, scale, x):
    return (f"r{r}-{scale:g}-{x:g}", "he-normal",
            [f"train.weight_decay={decay_of(r, scale, x):g}",
             f"train.steps={round(BUDGET * STEPS[r] / scale**(r - 2), -2):.0f}",
             f"sweep.groups=[{{bottleneck: {r}, scales: [{scale:g}]}}]"])


RUNS = [run_of(r, scale, x) for r in SCALES for scale in SCALES[r] for x in (0, *GRID)]
RUNS += [(f"manifold-{f:g}", "manifold", [f"train.weight_decay={f * MANIFOLD_CRITICAL:.6g}"])
         for f in FRACTIONS]
USES_THEORY = True


class Seeds:
    """The steps of every seed at one r and scale: t_0 (seeds), t (decays, seeds), NaN where it does not
    escape; decay (decays)."""

    def __init__(self, tables, r, scale):
        steps = lambda x: groups(tables[run_of(r, scale, x)[0]])[0].t[:, 0]  # noqa: E731
        self.r, self.scale = r, scale
        self.t_0, self.t = steps(0), np.stack([steps(x) for x in GRID])
        self.decay = np.array([decay_of(r, scale, x) for x in GRID])
        self.x = (LAYERS - 2) * RATE * self.decay[:, None] * self.t_0
        self.critical = self.half_way()

    def half_way(self):
        """Each seed's critical decay: the geometric middle of its largest decay with an escape and the
        next one; ends of the grid count as half a step beyond."""
        step = np.log(self.decay[1:] / self.decay[:-1]).mean()
        grid = np.concatenate([[np.log(self.decay[0]) - step], np.log(self.decay),
                               [np.log(self.decay[-1]) + step]])
        last = np.isfinite(self.t).cumprod(axis=0).sum(axis=0).astype(int)
        return np.exp((grid[last] + grid[last + 1]) / 2)

    @property
    def told(self):
        """Share of seeds and decays whose end is the one that x tells."""
        return (np.isfinite(self.t) == (self.x < 1)).mean()

    @property
    def product(self):
        """(L-2) lambda_c t_0, 1 at leading order."""
        return (LAYERS - 2) * RATE * self.critical * self.t_0


def all_seeds(tables):
    return [Seeds(tables, r, scale) for r in SCALES for scale in SCALES[r]]


def geometric(values):
    return np.exp(np.log(values).mean())


def interval(values):
    return np.quantile(bootstrap(values, geometric), [0.025, 0.975])


def rows_of_critical(seeds):
    rows = []
    for s in seeds:
        low, high = interval(s.product)
        rows.append([s.r, f"{s.scale:g}", f"{np.nanmean(s.t_0):.0f}", f"{geometric(s.critical):.3g}",
                     f"{geometric(s.product):.3f}", f"[{low:.3f}, {high:.3f}]",
                     f"{np.log(s.product).std(ddof=1):.3f}", f"{np.log(s.critical).std(ddof=1):.3f}",
                     f"{s.told:.2f}"])
    return rows


def rows_of_exponents(seeds, theory):
    rows = []
    for r in SCALES:
        mine = [s for s in seeds if s.r == r]
        scale = np.log([s.scale for s in mine])
        fit = lambda t, x=scale: slope(x, np.log(t).mean(axis=0))  # noqa: E731
        both = np.stack([s.critical for s in mine], axis=1)
        low, high = np.quantile(bootstrap(both, fit), [0.025, 0.975])
        ode = [theory.escape([s.scale] * r + [1] * (LAYERS - r), 0.5, decay=1e-9)["critical_decay"]
               for s in mine]
        rows.append([r, r - 2, f"{fit(both):.3f}", f"[{low:.3f}, {high:.3f}]",
                     f"{slope(scale, np.log(ode)):.4f}"])
    return rows


def ode_critical(theory, r):
    """lambda_c of the reduced ODE and of the leading order over (r-2)/(L-2) D epsilon^{r-2}."""
    drive, scale = 0.605705509602, 10.0**-np.arange(1, 5)
    found = [theory.escape([e] * r + [1] * (LAYERS - r), 0.5, decay=1e-12) for e in scale]
    unit = (r - 2) / (LAYERS - 2) * drive * scale**(r - 2)
    return scale, [np.array([f[k] for f in found]) / unit for k in ("critical_decay",
                                                                    "critical_decay_closed")]


def rows_of_ode(theory):
    rows = []
    for r in (3, 4, 5, 6):
        scale, (ode, closed) = ode_critical(theory, r)
        rows += [[r, f"{e:g}", f"{o:.5f}", f"{c:.5f}"] for e, o, c in zip(scale, ode, closed)]
    return rows


def divergence(theory, r, scale, missing):
    """t* of the reduced ODE where lambda = (1 - missing) lambda_c, and lambda_c."""
    start = [scale] * r + [1] * (LAYERS - r)
    critical = theory.escape(start, 0.5, decay=1e-9)["critical_decay"]
    return critical, np.array([theory.escape(start, 0.5, decay=critical * (1 - m))["ode"]
                               for m in missing])


def rows_of_divergence(theory):
    rows, missing = [], np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
    for r, scale in ((3, 0.01), (3, 0.001), (4, 0.01), (6, 0.1)):
        critical, time = divergence(theory, r, scale, missing)
        per_decade = np.diff(time) / np.log(10) * (LAYERS - 2) * critical
        rows.append([r, f"{scale:g}", f"{critical:.6g}", *(f"{v:.4f}" for v in per_decade)])
    return rows


def manifold_of(tables, theory):
    """Fractions of lambda_c; steps trained (fractions, seeds); steps of the ODE."""
    trained = np.stack([groups(tables[f"manifold-{f:g}"])[0].t[:, 0] for f in FRACTIONS])
    threshold = tables["manifold-0"].threshold.values[0]
    to = scale_at_loss(MANIFOLD_LAYERS, threshold)
    ode = [theory.steps([0.1] * MANIFOLD_LAYERS, to, MANIFOLD_RATE, decay=f * MANIFOLD_CRITICAL)
           for f in FRACTIONS]
    return trained, ode


def rows_of_manifold(trained, ode):
    rows = []
    for f, t, o in zip(FRACTIONS, trained, ode):
        escaped = t[np.isfinite(t)]
        mean = f"{escaped.mean():.0f}" if len(escaped) else "-"
        error = f"{escaped.std(ddof=1) / np.sqrt(len(escaped)):.0f}" if len(escaped) > 1 else "-"
        rows.append([f"{f:g}", f"{len(escaped)} of {len(t)}", mean, error,
                     f"{o:.0f}" if np.isfinite(o) else "-"])
    return rows


CAPTION = r"""(a) Critical decay of the reduced ODE over $(r-2)/(L-2)\,D\,\varepsilon^{{r-2}}$
for $r$ small layers of {layers}: 1 for $\varepsilon \to 0$ (dashed: the leading order). (b) He-normal
networks: time with decay over the time of the same seed without, against $x = (L-2)\lambda t_0$, a mark a
seed that escaped; line: $-\log(1-x)/x$, nothing is fitted; no bars, because nothing is averaged.
(c) Share of the seeds that escape within {budget} times the mean time without decay, against the
same $x$ in bins; dotted: the critical $x = 1$.

(b), (c): tanh, $L = {layers}$, width 32, batch 64, rate {rate}."""


def draw(seeds, theory):
    critical, times, shares = [], [], []
    for r in (3, 4, 5, 6):
        scale, (ode, closed) = ode_critical(theory, r)
        critical += [series("joined", colour_of(r), scale, ode, f"$r = {r}$"),
                     series("dash", -1, scale, closed)]
    critical.append(key("dash", "leading order", -1))
    edges = np.linspace(0.2, 2.2, 11)
    for r in SCALES:
        mine = [s for s in seeds if s.r == r]
        x = np.concatenate([s.x.ravel() for s in mine])
        ratio = np.concatenate([(s.t / s.t_0).ravel() for s in mine])
        escaped = np.isfinite(ratio)
        times.append(series("cloud", colour_of(r), x[escaped], ratio[escaped], f"$r = {r}$"))
        bin_of = np.digitize(x, edges)
        filled = [b for b in range(1, len(edges)) if (bin_of == b).sum() > 3]
        shares.append(series("joined", colour_of(r), [edges[b - 1:b + 1].mean() for b in filled],
                             [escaped[bin_of == b].mean() for b in filled], f"$r = {r}$"))
    line = np.linspace(0.01, 0.999, 200)
    times.append(series("line", -1, line, -np.log1p(-line) / line, r"$-\log(1-x)/x$"))
    shares.append(series("dot", -2, [1, 1], [0, 1]))
    x = r"$x = (L-2)\,\lambda\, t_0$"
    return {"caption": caption(CAPTION, layers=LAYERS, rate=RATE, budget=BUDGET), "panels": [
        panel("critical decay, reduced ODE", r"initialisation scale $\varepsilon$",
              r"$\lambda_c$ / law", "semilogx", *critical),
        panel("time with decay", x, r"$t^*/t_0$", "linear", *times),
        panel("which seeds escape", x, "share that escapes", "linear", *shares)]}


def analyse(tables, _fit, theory):
    seeds = all_seeds(tables)
    return [
        table("Each seed's critical decay: mean over seeds, and $(L-2)\\lambda_c t_0$ (1 at leading order) with its "
              "95% interval; relative spread of both over seeds; share of ends that $x < 1$ tells",
              ["r", r"$\varepsilon$", "$t_0$ (steps)", r"$\lambda_c$", r"$(L-2)\lambda_c t_0$", "95%",
               "spread", r"spread of $\lambda_c$", "told"], rows_of_critical(seeds)),
        table("Exponent of $\\lambda_c$ in $\\varepsilon$: He-normal with 95% interval over seeds; reduced ODE",
              ["r", "law", "He-normal", "95%", "reduced ODE"], rows_of_exponents(seeds, theory)),
        table(r"Reduced ODE: $\lambda_c$ over $(r-2)/(L-2)\,D\,\varepsilon^{r-2}$, and of the leading order",
              ["r", r"$\varepsilon$", "reduced ODE", "leading order"], rows_of_ode(theory)),
        table("Reduced ODE: $(L-2)\\lambda_c\\; dt^*/d\\log(1/(1-\\lambda/\\lambda_c))$, a column for each decade from "
              "$10^{-1}$ to $10^{-5}$ (1 at leading order)",
              ["r", r"$\varepsilon$", r"$\lambda_c$", "-1", "-2", "-3", "-4"],
              rows_of_divergence(theory)),
        table("Symmetric starts, four layers at 0.1: escaped, mean steps and stderr of those, reduced ODE",
              [r"$\lambda/\lambda_c$", "escaped", "steps", "stderr", "ODE"],
              rows_of_manifold(*manifold_of(tables, theory))),
    ], draw(seeds, theory)
