# SPDX-License-Identifier: Apache-2.0
"""Does c_1 a_1^(L-1) put the escape times of He-normal networks with different activations on one
curve, as it does on the symmetric manifold?"""

import numpy as np
from scipy.special import ndtr, erf
from scipy.stats import norm

from house_style import activation_name

from .sheet import caption, groups, panel, rounded, series, table

NAME = "activations"
TITLE = "Activations off the manifold: does $c_1 a_1^{L-1}$ collapse the times?"
SIGMA = {
    "tanh": np.tanh,
    "erf": erf,
    "sin": np.sin,
    "gelu": lambda z: z * ndtr(z),
    "swish": lambda z: z / (1 + np.exp(-z)),
    "softplus": lambda z: np.logaddexp(0, z) - np.log(2),
}
G = np.arange(-10, 10.0001, 0.02)
WEIGHT = norm.pdf(G) * 0.02


def half_baseline(name):
    """Half of E[T^2]/2, T = sigma(g)."""
    return float(f"{(WEIGHT * SIGMA[name](G)**2).sum() / 4:.3g}")


RUNS = [(f"{layers}-{a}", layers, [f"network.activation={a}",
                                   f"escape.thresholds=[{half_baseline(a)}]"])
        for layers in ("four",) for a in SIGMA]


def drive_behind(name):
    """Root mean square over the units of layer 1, at its He scale, of E[T h_1]: what small layers 2
    to L learn from. A unit sees v.x = g with weight w ~ N(0, 2/inputs), and variance 2 in all."""
    sigma, inputs = SIGMA[name], 32
    w = np.sqrt(2 / inputs) * G[::10]
    weight = norm.pdf(G[::10]) * 0.2
    z = w[:, None, None] * G[::5, None] + np.sqrt(np.maximum(2 - w**2, 0))[:, None, None] * G[::5]
    plane = 25 * WEIGHT[::5, None] * WEIGHT[::5]
    product = (plane * sigma(G[::5, None]) * sigma(z)).sum(axis=(1, 2))
    return np.sqrt((weight * product**2).sum())


def factors(name, layers=4):
    """c_1 a_1^(L-1), and a_1^(L-2) ||E[T h_1]|| for layer 1 at its He scale."""
    a_1 = (SIGMA[name](1e-5) - SIGMA[name](-1e-5)) / 2e-5
    c_1 = (WEIGHT * SIGMA[name](G) * G).sum()
    return c_1 * a_1**(layers - 1), a_1**(layers - 2) * drive_behind(name)


GROUPS = ("all four small", "layers 1\u20133 small", "layers 2\u20134 small")


def ratios(tables):
    """log of t* x factor over tanh's, per seed at the smallest scale: by group and activation."""
    out = {}
    for i, group in enumerate(GROUPS):
        base = groups(tables["four-tanh"])[i].t[:, 0]
        for name in SIGMA:
            g = groups(tables[f"four-{name}"])[i]
            raw = np.log(g.t[:, 0] / base)
            plain, behind = (np.log(f / t) for f, t in zip(factors(name), factors("tanh")))
            out[group, name] = raw, raw + plain, raw + behind
    return out


CAPTION = r"""Escape times of He-normal networks over those of tanh networks with the same seed, at the
smaller of two scales: (a) as they are, (b) times $c_1 a_1^{{L-1}}$, (c) times
$a_1^{{L-2}} \|E[T h_1]\|$ with layer 1 at its He scale, both over tanh's. Marks: geometric means
over {seeds} seeds; bars: one standard deviation of the logarithm over seeds. Marks are set apart
sideways by which layers are small.
A factor that puts all activations on one curve gives 1 (line).

$L = 4$, thresholds at half of each activation's baseline."""


def draw(means, seeds):
    """means: by group and activation, three geometric means and the standard deviation of log."""
    titles = ("as they are", "times $c_1 a_1^{L-1}$", r"times $a_1^{L-2} \|E[T h_1]\|$")
    ticks = [[i, activation_name(a)] for i, a in enumerate(SIGMA)]
    panels = []
    for k, title in enumerate(titles):
        marks = []
        for i, group in enumerate(GROUPS):
            mean = np.array([means[group, a][k] for a in SIGMA])
            spread = np.exp([means[group, a][3] for a in SIGMA])
            marks.append(series("marks", i, np.arange(len(SIGMA)) + 0.2 * (i - 1), mean, group,
                                low=rounded(mean / spread), high=rounded(mean * spread)))
        panels.append(panel(title, "", ("$t^*$ over tanh's", "product over tanh's",
                                         "product over tanh's")[k], "semilogy", *marks, zero=1,
                            ylim=[0.12, 15], xlim=[-0.6, len(SIGMA) - 0.4], xticks=ticks,
                            rotate=45))
    return {"caption": caption(CAPTION, seeds=seeds), "columns": 3, "panels": panels}


def analyse(tables, _fit):
    all_ratios = ratios(tables)
    rows, means = [], {}
    for (group, name), logs in all_ratios.items():
        means[group, name] = [*(np.exp(x.mean()) for x in logs), logs[0].std(ddof=1)]
        rows.append([group, activation_name(name), *(f"{np.exp(x.mean()):.3f}" for x in logs),
                     f"{logs[0].std(ddof=1):.3f}"])
    spread = []
    for group in GROUPS:
        mean = np.array([[all_ratios[group, a][k].mean() for a in SIGMA] for k in range(3)])
        spread.append([group, *(f"{m.std():.3f}" for m in mean)])
    plain, behind = "$c_1 a_1^{L-1}$", r"$a_1^{L-2} \|E[T h_1]\|$"
    return [table("$t^*$ over tanh's, geometric mean over seeds at the smaller scale: as it is, "
                  f"times {plain}, and times {behind} with layer 1 at its He scale",
                  ["small layers", "activation", "raw", plain, behind, "sd over seeds of log"],
                  rows),
            table("Spread over activations: sd of log", ["small layers", "raw", plain, behind],
                  spread)], \
        draw(means, len(next(iter(all_ratios.values()))[0]))
