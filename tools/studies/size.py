# SPDX-License-Identifier: Apache-2.0
"""How times and slopes depend on width, batch and rate, and what part of the spread is the noise of
SGD: the same initial networks, trained on other samples."""
import numpy as np

from .sheet import bootstrap, caption, colour_of, groups, mean_slope, panel, series, table

NAME = "size"
TITLE = "Dependence on width, batch and rate"
WIDTHS = (16, 32, 64, 128, 256)
BATCHES = (32, 64, 256, 1024)
RATES = (0.2, 0.1, 0.05, 0.025, 0.0125)
# Wide networks cost as the square of the width: fewer seeds.
SEEDS = {128: 16, 256: 8}
RUNS = ([(f"width-{n}", "size", [f"network.width={n}", f"network.inputs={n}",
                                 f"sweep.seeds={SEEDS.get(n, 32)}"]) for n in WIDTHS] +
        [(f"batch-{b}", "size", [f"train.batch={b}"]) for b in BATCHES] +
        [(f"rate-{e:g}", "size", [f"train.rate={e:g}"]) for e in RATES])


def families(tables):
    """(what, its values, its tables, the rate of each)."""
    return [("width", WIDTHS, [tables[f"width-{n}"] for n in WIDTHS], [0.05] * len(WIDTHS)),
            ("batch", BATCHES, [tables[f"batch-{b}"] for b in BATCHES], [0.05] * len(BATCHES)),
            ("rate", RATES, [tables[f"rate-{e:g}"] for e in RATES], RATES)]


def rows_of(what, values, runs, rates):
    rows = []
    for value, run, rate in zip(values, runs, rates):
        for g in groups(run):
            error = bootstrap(g.t, lambda t, g=g: mean_slope(t, g.scale)).std()
            middle = g.t[:, 1]
            rows.append([what, f"{value:g}", g.r, len(g.seed), int(np.isnan(g.t).sum()),
                         f"{mean_slope(g.t, g.scale):.4f}", f"{error:.4f}",
                         f"{rate * middle.mean():.3f}",
                         f"{np.log(middle).std(ddof=1):.3f}"])
    return rows


def noise_rows(what, values, runs, reference):
    """Variance over seeds of log(eta t* / that of `reference`), the same initial network: noise."""
    rows = []
    for value, run in zip(values, runs):
        if run is reference:
            continue
        for g, base in zip(groups(run), groups(reference)):
            log_ratio = np.log(g.t[:, 1]) - np.log(base.t[:, 1])
            share = log_ratio.var(ddof=1) / np.log(g.t[:, 1]).var(ddof=1)
            rows.append([what, f"{value:g}", g.r, f"{log_ratio.std(ddof=1):.4f}", f"{share:.2%}"])
    return rows


CAPTION = r"""Varying the width $N$, the batch $B$ and the rate $\eta$, one at a time. (a) to (c): escape
time in flow time $\eta t^*$ at the middle of three scales, mean over seeds; bars: two standard errors (from
the spread of $\log t^*$). (d) to (f): slope of $\log t^*$ on $\log\varepsilon$ over the window, less
the law's; bars: two standard errors (bootstrap over seeds). $r = 4$ is set apart sideways by 7%.

He-normal tanh networks; where it is not varied, $N = 32$, $B = 64$, $\eta = 0.05$; 32 seeds, fewer for
widths above 64."""
NAMES = {"width": "width $N$", "batch": "batch $B$", "rate": r"rate $\eta$"}


def panels_of(what, rows):
    """Times and slopes over one of width, batch, rate, from its rows of the table."""
    times, slopes = [], []
    for i, r in enumerate(sorted({int(row[2]) for row in rows})):
        look, label = colour_of(r), f"$r = {r}$"
        of_r = [row for row in rows if int(row[2]) == r]
        values, seeds, slope, error, mean, spread = (
            np.array([float(row[c]) for row in of_r]) for c in (1, 3, 5, 6, 7, 8))
        x = values * (1, 1.07)[i]
        times.append(series("marks", look, x, mean, label, 2 * mean * spread / seeds**0.5))
        slopes.append(series("marks", look, x, slope + r - 2, label, 2 * error))
    values = sorted({float(row[1]) for row in rows})
    every = 1 if what != "rate" else 2  # of the words: those of rates are long
    ticks = [[v, f"{v:g}"] for v in values[::every]]
    return (panel("time over " + what, NAMES[what], r"$\eta t^*$ (flow time)", "semilogx", *times, xticks=ticks),
            panel("slope over " + what, NAMES[what], "slope $+ (r-2)$", "semilogx", *slopes, xticks=ticks,
                  zero=0))


def share_ends(panels, low=None):
    """The same ends of the y axis for all, with some air."""
    ends = [v for p in panels for s in p["series"] for v in s["low"] + s["high"] if v is not None]
    air = 0.06 * (max(ends) - min(ends))
    for p in panels:
        p["ylim"] = [min(ends) - air if low is None else low, max(ends) + air]


def draw(rows):
    times, slopes = zip(*(panels_of(what, [row for row in rows if row[0] == what])
                          for what in NAMES))
    share_ends(times, low=0)
    share_ends(slopes)
    return {"caption": caption(CAPTION), "columns": 3, "panels": [*times, *slopes]}


def analyse(tables, _fit):
    all_families = families(tables)
    rows = [row for family in all_families for row in rows_of(*family)]
    batches, rates = all_families[1], all_families[2]
    noise = (noise_rows("batch", batches[1], batches[2], batches[2][-1]) +
             noise_rows("rate", rates[1], rates[2], rates[2][-1]))
    slopes = table("Slope over each window (three scales), time at the middle scale, its spread",
                   ["varied", "value", "r", "seeds", "censored", "slope", "stderr",
                    r"$\eta t^*$", r"sd $\log t^*$"], rows)
    spread = table("The same initial networks against batch 1024 and against rate 0.0125: sd of "
                   r"the log ratio of times, and its variance over that of $\log t^*$",
                   ["varied", "value", "r", "sd log ratio", "share of variance"], noise)
    return [slopes, spread], draw(rows)
