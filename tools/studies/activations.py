"""Does c_1 a_1^(L-1) put the escape times of He-normal networks with different activations on one
curve, as it does on the symmetric manifold?"""

import numpy as np
from scipy.special import ndtr, erf
from scipy.stats import norm

from .sheet import canvas, groups, mark, table

NAME = "activations"
TITLE = "Activations off the manifold: does c_1 a_1^(L-1) collapse the times?"
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
    """c_1 a_1^(L-1), and a_1^(L-2) |E[T h_1]| for layer 1 at its He scale."""
    a_1 = (SIGMA[name](1e-5) - SIGMA[name](-1e-5)) / 2e-5
    c_1 = (WEIGHT * SIGMA[name](G) * G).sum()
    return c_1 * a_1**(layers - 1), a_1**(layers - 2) * drive_behind(name)


GROUPS = ("all four small", "1-3 small", "2-4 small")


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


def draw(all_ratios):
    sheet, places = canvas(3, columns=3)
    titles = ("raw", "times $c_1 a_1^{L-1}$", "times $a_1^{L-2}\\|E[T h_1]\\|$")
    for k, (place, title) in enumerate(zip(places, titles)):
        for i, group in enumerate(GROUPS):
            values = [np.exp(all_ratios[group, a][k]) for a in SIGMA]
            place.errorbar(np.arange(len(SIGMA)) + 0.2 * (i - 1), [v.mean() for v in values],
                           [v.std(ddof=1) for v in values], ls="none", label=group, **mark(i))
        place.set_xticks(range(len(SIGMA)), SIGMA)
        place.set(yscale="log", ylabel="$t^*$ / tanh's, same seed", title=title, ylim=(0.15, 14))
        place.set_yticks([0.2, 0.5, 1, 2, 5, 10], ["0.2", "0.5", "1", "2", "5", "10"])
        place.minorticks_off()
        place.axhline(1, color="black", lw=0.6)
    places[0].legend()
    return sheet


def analyse(tables, _fit):
    all_ratios = ratios(tables)
    rows = []
    for (group, name), (raw, plain, behind) in all_ratios.items():
        rows.append([group, name, f"{np.exp(raw.mean()):.3f}", f"{np.exp(plain.mean()):.3f}",
                     f"{np.exp(behind.mean()):.3f}", f"{raw.std(ddof=1):.3f}"])
    spread = []
    for group in GROUPS:
        mean = np.array([[all_ratios[group, a][k].mean() for a in SIGMA] for k in range(3)])
        spread.append([group, *(f"{m.std():.3f}" for m in mean)])
    return [table("t* over tanh's, geometric mean over seeds at the smaller scale: as it is, times "
                  "c_1 a_1^(L-1), and times a_1^(L-2) |E[T h_1]| with layer 1 at its He scale",
                  ["small layers", "activation", "raw", "c_1 a_1^(L-1)", "a_1^(L-2) |E[T h_1]|",
                   "sd over seeds of log"], rows),
            table("Spread over activations: sd of log", ["small layers", "raw", "c_1 a_1^(L-1)",
                                                         "a_1^(L-2) |E[T h_1]|"], spread)], \
        draw(all_ratios)
