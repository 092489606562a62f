"""The spread of t* over seeds at one epsilon, and what of the initial network explains it: linear
regression of log t*, judged on seeds it has not seen."""
import numpy as np
from scipy import stats

from .sheet import canvas, groups, mark, table

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


def draw(run, features):
    sheet, places = canvas(4)
    for i, g in enumerate(groups(run)):
        y = np.sort(g.t[:, 0] / g.t[:, 0].mean())
        places[0].plot(y, (np.arange(len(y)) + 0.5) / len(y), color=mark(i)["color"], lw=1.2,
                       label=f"r = {g.r}")
        signal = run.signal_initial.values[g.member[:, 0]]
        places[1].plot(signal / signal.std(), g.t[:, 0] / g.t[:, 0].mean(), mark(i)["marker"],
                       color=mark(i)["color"], ms=2, alpha=0.6)
        chain = run.backward_chain.values[g.member[:, 0], 0][:, g.r - 1]
        places[2].plot(chain / chain.mean(), g.t[:, 0] / g.t[:, 0].mean(), mark(i)["marker"],
                       color=mark(i)["color"], ms=2, alpha=0.6)
        x = np.column_stack([np.ones(len(g.seed)), usable(features[g.r])])
        logs = np.log(g.t[:, 0] / g.t[:, 0].mean())
        places[3].plot(np.exp(x @ np.linalg.lstsq(x, logs, rcond=None)[0]), np.exp(logs),
                       mark(i)["marker"], color=mark(i)["color"], ms=2, alpha=0.6)
    relative = "$t^*$ / mean"
    places[0].set(xlabel=relative, ylabel="share of seeds", title="(a) distribution")
    places[1].set(xlabel="$S(0)$ / its sd", ylabel=relative, title="(b) signal")
    places[2].set(xlabel="backward chain behind layer r / mean", ylabel=relative,
                  title="(c) the layers behind the small ones")
    places[3].plot([0.4, 2], [0.4, 2], "k-", lw=0.6)
    places[3].set(xlabel="fitted to all features", ylabel=relative,
                  title="(d) what the initial network explains")
    places[0].legend()
    return sheet


def analyse(tables, _fit):
    run = tables["prefactor"]
    rows, features = regressions(run)
    spread = table("t* over 512 seeds: spread, quantiles over the mean, skewness of t* and of log "
                   "t*, Shapiro-Wilk p of log t*, share of S(0) < 0 and how much later those are",
                   ["r", "epsilon", "seeds", "mean", "sd/mean", "sd log", "5%", "50%", "95%",
                    "skew", "skew log", "p", "S(0)<0", "later"], distribution(run))
    fits = table(f"Variance of log t* explained, {FOLDS}-fold cross-validated",
                 ["r", "of the initial network", "columns", "R2"], rows)
    return [spread, fits], draw(run, features)
