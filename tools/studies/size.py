"""How times and slopes depend on width, batch and rate, and what part of the spread is the noise of
SGD: the same initial networks, trained on other samples."""
import numpy as np

from .sheet import bootstrap, canvas, groups, mark, mean_slope, table

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


def draw(all_families):
    sheet, places = canvas(6, columns=3)
    for column, (what, values, runs, rates) in enumerate(all_families):
        time, slopes = places[column], places[column + 3]
        for i in range(2):
            g = [groups(run)[i] for run in runs]
            mean = np.array([e * h.t[:, 1].mean() for e, h in zip(rates, g)])
            error = [2 * e * h.t[:, 1].std(ddof=1) / len(h.seed)**0.5 for e, h in zip(rates, g)]
            time.errorbar(values, mean, error, label=f"r = {g[0].r}", **mark(i))
            off = [mean_slope(h.t, h.scale) + h.r - 2 for h in g]
            errors = [2 * bootstrap(h.t, lambda t, h=h: mean_slope(t, h.scale)).std() for h in g]
            slopes.errorbar(values, off, errors, label=f"r = {g[0].r}", **mark(i))
        time.set(xscale="log", ylim=(0, 140), xlabel=what, ylabel=r"$\eta t^*$",
                 title=f"({'abc'[column]}) time at the middle scale")
        slopes.set(xscale="log", ylim=(-0.023, 0.018), xlabel=what, ylabel="slope $+ (r-2)$",
                   title=f"({'def'[column]}) deviation of the slope")
        slopes.axhline(0, color="black", lw=0.6)
        for place in (time, slopes):
            place.set_xticks(values, [f"{v:g}" for v in values])
            place.minorticks_off()
        time.legend()
    return sheet


def analyse(tables, _fit):
    all_families = families(tables)
    rows = [row for family in all_families for row in rows_of(*family)]
    batches, rates = all_families[1], all_families[2]
    noise = (noise_rows("batch", batches[1], batches[2], batches[2][-1]) +
             noise_rows("rate", rates[1], rates[2], rates[2][-1]))
    slopes = table("Slope over each window (three scales), time at the middle scale, its spread",
                   ["varied", "value", "r", "seeds", "censored", "slope", "stderr",
                             "eta t*", "sd log t*"], rows)
    spread = table("The same initial networks against batch 1024 and against rate 0.0125: sd of "
                   "the log ratio of times, and its variance over that of log t*",
                   ["varied", "value", "r", "sd log ratio", "share of variance"], noise)
    return [slopes, spread], draw(all_families)
