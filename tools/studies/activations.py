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


def factors(name, layers=4):
    """c_1 a_1^(L-1), and what replaces it where layer 1 has its He scale: hidden units of layer 1
    see inputs of variance 2, and sigma'(0) of that layer gives way to its linear gain there."""
    z = G * np.sqrt(2)
    slope = (WEIGHT * SIGMA[name](z) * G).sum() / np.sqrt(2)
    a_1 = (SIGMA[name](1e-5) - SIGMA[name](-1e-5)) / 2e-5
    c_1 = (WEIGHT * SIGMA[name](G) * G).sum()
    return c_1 * a_1**(layers - 1), c_1 * a_1**(layers - 2) * slope


GROUPS = ("all four small", "1-3 small", "2-4 small")


def ratios(tables):
    """log of t* x factor over tanh's, per seed at the smallest scale: by group and activation."""
    out = {}
    for i, group in enumerate(GROUPS):
        base = groups(tables["four-tanh"])[i].t[:, 0]
        for name in SIGMA:
            g = groups(tables[f"four-{name}"])[i]
            raw = np.log(g.t[:, 0] / base)
            plain, gain = (np.log(f / t) for f, t in zip(factors(name), factors("tanh")))
            out[group, name] = raw, raw + plain, raw + gain
    return out


def draw(all_ratios):
    sheet, places = canvas(3, columns=3)
    titles = ("raw", "times $c_1 a_1^{L-1}$", "times $c_1 a_1^{L-2}$ and layer 1's gain")
    for k, (place, title) in enumerate(zip(places, titles)):
        for i, group in enumerate(GROUPS):
            values = [np.exp(all_ratios[group, a][k]) for a in SIGMA]
            place.errorbar(np.arange(len(SIGMA)) + 0.2 * (i - 1), [v.mean() for v in values],
                           [v.std(ddof=1) for v in values], ls="none", label=group, **mark(i))
        place.set_xticks(range(len(SIGMA)), SIGMA)
        place.set(yscale="log", ylabel="$t^*$ / tanh's, same seed", title=title)
        place.axhline(1, color="black", lw=0.6)
    places[0].legend()
    return sheet


def analyse(tables, _fit):
    all_ratios = ratios(tables)
    rows = []
    for (group, name), (raw, plain, gain) in all_ratios.items():
        rows.append([group, name, f"{np.exp(raw.mean()):.3f}", f"{np.exp(plain.mean()):.3f}",
                     f"{np.exp(gain.mean()):.3f}", f"{raw.std(ddof=1):.3f}"])
    spread = []
    for group in GROUPS:
        mean = np.array([[all_ratios[group, a][k].mean() for a in SIGMA] for k in range(3)])
        spread.append([group, *(f"{m.std():.3f}" for m in mean)])
    return [table("t* over tanh's, geometric mean over seeds at the smaller scale: as it is, times "
                  "c_1 a_1^(L-1), and with layer 1's gain at its He scale for one a_1",
                  ["small layers", "activation", "raw", "c_1 a_1^(L-1)", "gain of layer 1",
                   "sd over seeds of log"], rows),
            table("Spread over activations: sd of log", ["small layers", "raw", "c_1 a_1^(L-1)",
                                                         "gain of layer 1"], spread)], \
        draw(all_ratios)
