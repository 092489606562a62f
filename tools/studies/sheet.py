# SPDX-License-Identifier: Apache-2.0
"""What the studies share: escape times out of a result file, the bootstrap over seeds, tables and
the pieces of pictures. Labels and captions have mathematics between dollars."""
import house_style
import numpy as np
from house_style import plain


class Group:
    """Members of one bottleneck and set of small layers: t (seeds, scales), NaN where censored."""

    def __init__(self, table, group, threshold):
        index = int(np.argmin(np.abs(table.threshold.values - threshold)))
        mine = np.flatnonzero(table.group.values == group)
        self.r = int(table.bottleneck.values[mine[0]])
        self.small_layers = int(table.small_layers.values[mine[0]])
        self.scale, column = np.unique(table.scale.values[mine], return_inverse=True)
        self.seed, row = np.unique(table.seed.values[mine], return_inverse=True)
        shape = len(self.seed), len(self.scale)
        self.member = np.empty(shape, int)
        self.member[row, column] = mine
        step = table.escape_step.values[self.member, index].astype(float)
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
    lines = [plain(result["title"]),
             f"{result['command']}, commit {result['commit']}, {result['date']}",
             f"{result['device']} ({result['engine']}): {result['members']} network"
             f"{'s' if result['members'] != 1 else ''}, {result['network_steps']} network-steps in {result['seconds']:.0f} s"]
    for t in result["tables"]:
        rows = [[plain(cell) for cell in row] for row in (t["columns"], *t["rows"])]
        width = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
        lines += ["", plain(t["caption"])]
        lines += ["  ".join(c.rjust(w) for c, w in zip(r, width)) for r in rows]
    return "\n".join(lines) + "\n"


def caption(text, **values):
    """Its lines joined to paragraphs, which blank lines divide, and `values` filled in."""
    filled = text.format(**values)
    return "\n".join(" ".join(paragraph.split()) for paragraph in filled.split("\n\n"))


def rounded(values):
    """Six digits are enough for a picture, and keep result.json small."""
    return [None if v is None or not np.isfinite(v) else float(f"{v:.6g}") for v in values]


def series(role, colour, x, y, label="", error=None, **more):
    """A series of a panel (host/draw/house_style.py); `error`: half the bar, on either side."""
    y = np.asarray(y, float)
    bars = {} if error is None else {"low": rounded(y - error), "high": rounded(y + error)}
    return {"role": role, "colour": colour, "label": label, "x": rounded(x), "y": rounded(y),
            **bars, **more}


def key(role, label, colour=-2, **more):
    """What marks of several colours mean: an entry of the legend without data."""
    return {"role": role, "colour": colour, "label": label, "x": [], "y": [], "key": True, **more}


def panel(title, x, y, scale, *all_series, **more):
    return {"title": title, "x": x, "y": y, "scale": scale, "series": list(all_series), **more}


def colour_of(r):
    """A bottleneck looks the same in every picture."""
    return (r - 3) % len(house_style.PALETTE)
