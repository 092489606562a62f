# SPDX-License-Identifier: Apache-2.0
"""The spread of t* over seeds at one epsilon, and what of the initial network explains it: linear
regression of log t*, judged on seeds it has not seen."""
import numpy as np
from scipy import stats

from .sheet import caption, colour_of, groups, panel, series, table

NAME = "prefactor"
TITLE = "The prefactor: its distribution over seeds, and what explains it"
RUNS = [("prefactor", "prefactor", [])]
FOLDS = 8


def columns_of(run, g):
    """Features of the initial networks, by name; each (seeds, some)."""
    at = {v: run[v].values[g.member[:, 0], 0] for v in
          ("signal", "signal_gradient2", "frobenius_norm", "operator_norm", "forward_chain",
           "backward_chain", "signal_gradient_norm")}
    signal = at["signal"] / g.scale[0]**g.r
    small = [layer for layer in range(run.sizes["layer"]) if g.small_layers >> layer & 1]
    return {
        "sign of S(0)": np.sign(signal)[:, None],
        "S(0)": np.stack([signal, np.log(np.abs(signal))], axis=1),
        "|grad S|^2": np.log(at["signal_gradient2"])[:, None],
        "|grad S| by layer": np.log(at["signal_gradient_norm"]),
        "norms of layers": np.log(np.concatenate([at["frobenius_norm"], at["operator_norm"]], 1)),
        "of them, small layers": np.log(at["operator_norm"][:, small]),
        "forward chains": np.log(at["forward_chain"]),
        "backward chains": np.log(at["backward_chain"]),
    }


def usable(x):
    """Columns that vary, standardised."""
    x = x[:, x.std(axis=0) > 1e-9 * np.abs(x.mean(axis=0)).clip(1e-30)]
    return (x - x.mean(axis=0)) / x.std(axis=0)


def explained(x, y):
    """1 - mean square prediction error / variance, each fold predicted from the others."""
    x = np.column_stack([np.ones(len(y)), usable(x)])
    error = 0.0
    for fold in range(FOLDS):
        held = np.arange(len(y)) % FOLDS == fold
        fit = np.linalg.lstsq(x[~held], y[~held], rcond=None)[0]
        error += ((y[held] - x[held] @ fit)**2).sum()
    return 1 - error / ((y - y.mean())**2).sum()


def regressions(run):
    rows, best = [], {}
    for g in groups(run):
        y = np.log(g.t[:, 0])
        features = columns_of(run, g)
        for name, x in features.items():
            rows.append([g.r, name, usable(x).shape[1], f"{explained(x, y):.3f}"])
        signed = np.concatenate([features[k] for k in
                                 ("sign of S(0)", "S(0)", "backward chains")], axis=1)
        everything = np.concatenate(list(features.values()), axis=1)
        for name, x in (("S(0), its sign, backward chains", signed), ("all of these", everything)):
            rows.append([g.r, name, usable(x).shape[1], f"{explained(x, y):.3f}"])
        best[g.r] = everything
    return rows, best


def distribution(run):
    rows = []
    for g in groups(run):
        y = np.log(g.t[:, 0])
        signal = run.signal_initial.values[g.member[:, 0]]
        late = np.exp(y[signal < 0].mean() - y[signal > 0].mean())
        normal = stats.shapiro((y - y.mean()) / y.std()).pvalue
        quantiles = np.quantile(g.t[:, 0], [0.05, 0.5, 0.95]) / g.t[:, 0].mean()
        rows.append([g.r, f"{g.scale[0]:g}", len(y), f"{g.t[:, 0].mean():.0f}",
                     f"{g.t[:, 0].std(ddof=1) / g.t[:, 0].mean():.3f}", f"{y.std(ddof=1):.3f}",
                     *(f"{q:.3f}" for q in quantiles), f"{stats.skew(g.t[:, 0]):.2f}",
                     f"{stats.skew(y):.2f}", f"{normal:.1g}", f"{(signal < 0).mean():.2f}",
                     f"{late:.2f}"])
    return rows


CAPTION = r"""Escape times over their mean, {seeds} seeds at one $\varepsilon$ for each $r$. (a) Share of
the seeds that escape earlier. (b) to (d), a mark a seed: against the initial signal $S(0)$ over its
standard deviation; against the backward chain behind layer $r$ over its mean; and against the linear
regression of $\log t^*$ on all recorded features of the initial network, fitted to the same seeds
(line: equality). Nothing is averaged: there are no error bars.

He-normal tanh networks, $L = 6$, width $N = 32$."""


def draw(run, features):
    shares, signals, chains, fitted = [], [], [], []
    for g, role in zip(groups(run), ("line", "dash", "dot", "dashdot")):
        colour, label = colour_of(g.r), f"$r = {g.r}$"
        y = g.t[:, 0] / g.t[:, 0].mean()
        shares.append(series(role, colour, np.sort(y), (np.arange(len(y)) + 0.5) / len(y), label))
        signal = run.signal_initial.values[g.member[:, 0]]
        signals.append(series("cloud", colour, signal / signal.std(), y, label))
        chain = run.backward_chain.values[g.member[:, 0], 0][:, g.r - 1]
        chains.append(series("cloud", colour, chain / chain.mean(), y, label))
        x = np.column_stack([np.ones(len(g.seed)), usable(features[g.r])])
        told = np.exp(x @ np.linalg.lstsq(x, np.log(y), rcond=None)[0])
        fitted.append(series("cloud", colour, told, y, label))
    fitted.append(series("line", -1, [0.4, 2], [0.4, 2], "equality"))
    relative = "$t^*$ / mean"
    return {"caption": caption(CAPTION, seeds=len(groups(run)[0].seed)), "panels": [
        panel("distribution", relative, "share of seeds", "linear", *shares),
        panel("initial signal", "$S(0)$ / standard deviation", relative, "linear", *signals),
        panel("layers behind the small ones", "backward chain behind layer $r$ / mean", relative,
              "linear", *chains),
        panel("all of the initial network", "fitted $t^*$ / mean", relative, "linear", *fitted)]}


def analyse(tables, _fit):
    run = tables["prefactor"]
    rows, features = regressions(run)
    spread = table("$t^*$ over 512 seeds: spread, quantiles over the mean, skewness of $t^*$ and of "
                   r"$\log t^*$, Shapiro-Wilk p of $\log t^*$, share of $S(0) < 0$ and how much later "
                   "those are",
                   ["r", r"$\varepsilon$", "seeds", "mean", "sd/mean", "sd log", "5%", "50%", "95%",
                    "skew", "skew log", "p", "$S(0) < 0$", "later"], distribution(run))
    fits = table(rf"Variance of $\log t^*$ explained, {FOLDS}-fold cross-validated",
                 ["r", "of the initial network", "columns", "$R^2$"], rows)
    return [spread, fits], draw(run, features)
