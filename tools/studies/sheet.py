"""What the studies share: escape times out of a result file, the bootstrap over seeds, tables and
pictures."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

# Okabe and Ito: told apart with any colour vision; markers differ too.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31"]
MARKERS = "os^DvPX"


class Group:
    """Members of one bottleneck and set of small layers: t (seeds, scales), NaN where censored."""

    def __init__(self, table, group, threshold):
        place = int(np.argmin(np.abs(table.threshold.values - threshold)))
        mine = np.flatnonzero(table.group.values == group)
        self.r = int(table.bottleneck.values[mine[0]])
        self.small_layers = int(table.small_layers.values[mine[0]])
        self.scale, column = np.unique(table.scale.values[mine], return_inverse=True)
        self.seed, row = np.unique(table.seed.values[mine], return_inverse=True)
        shape = len(self.seed), len(self.scale)
        self.member = np.empty(shape, int)
        self.member[row, column] = mine
        step = table.escape_step.values[self.member, place].astype(float)
        self.t = np.where(step >= 0, step, np.nan)

    @property
    def log_mean(self):
        return np.log(self.t.mean(axis=0))


def middle_threshold(table):
    return table.threshold.values[table.sizes["threshold"] // 2]


def groups(table, threshold=None):
    """All groups at a threshold (the middle one)."""
    if threshold is None:
        threshold = middle_threshold(table)
    return [Group(table, g, threshold) for g in np.unique(table.group.values)]


def bootstrap(t, statistic, replicates=2000):
    """statistic(t) (an array or a number) for seeds drawn with replacement, rows of t together."""
    draw = np.random.default_rng(1)
    return np.array([statistic(t[draw.integers(0, len(t), len(t))]) for _ in range(replicates)])


def slope(x, y):
    return np.polyfit(x, y, 1)[0]


def mean_slope(t, scale):
    """Slope of log seed mean on log scale, as `escapement fit` has it."""
    return slope(np.log(scale), np.log(t.mean(axis=0)))


def table(caption, columns, rows):
    return {"caption": caption, "columns": columns, "rows": [[str(v) for v in r] for r in rows]}


def text_of(result):
    """The study as text: where it was made, then its tables."""
    lines = [result["title"],
             f"{result['command']}, commit {result['commit']}, {result['date']}",
             f"{result['device']} ({result['engine']}): {result['members']} networks, "
             f"{result['network_steps']} network-steps in {result['seconds']:.0f} s"]
    for t in result["tables"]:
        rows = [t["columns"], *t["rows"]]
        width = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
        lines += ["", t["caption"]]
        lines += ["  ".join(c.rjust(w) for c, w in zip(r, width)) for r in rows]
    return "\n".join(lines) + "\n"


def canvas(panels, columns=2):
    plt.rcParams.update({"font.size": 8.5, "axes.linewidth": 0.7, "axes.spines.top": False,
                         "axes.spines.right": False, "axes.titlesize": 9,
                         "axes.titlelocation": "left", "legend.frameon": False,
                         "legend.fontsize": 6.5})
    rows = (panels + columns - 1) // columns
    sheet, axes = plt.subplots(rows, columns, figsize=(4.6 * columns, 3.1 * rows), squeeze=False,
                               layout="constrained")
    for place in list(axes.flat)[panels:]:
        place.set_visible(False)
    return sheet, list(axes.flat)


def mark(place):
    """Colour and marker of the place-th series."""
    return {"color": PALETTE[place % len(PALETTE)], "marker": MARKERS[place % len(MARKERS)],
            "ms": 4, "capsize": 2, "elinewidth": 0.9, "lw": 1}
