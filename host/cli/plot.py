"""Draws escape steps t* against the small initialisation scale epsilon, log-log.

    python3 -c SCRIPT FIG < OBJECT

FIG ends in .png, .svg or .pdf. OBJECT is what the verb `plot` writes: a title
and a group for every bottleneck r, set of small layers and threshold, with the
escape step of each seed (-1: censored). A threshold is a panel, a bottleneck a colour:
seeds faint, their means bold, the predicted law dashed from the mean at the
largest epsilon, members that did not escape as carets at the steps they ran.

Exit status: 0 drawn; 2 FIG cannot be written or has another ending, or there is
nothing to draw; 3 anything else. A failure is one line on stderr, and FIG is then
as it was before. The same OBJECT gives the same bytes. Plain ASCII, so that -c
means the same everywhere.
"""
import sys

# With -c the first entry is the working directory: a user's random.py or
# json.py there must not stand in for Python's.
sys.path[:] = [entry for entry in sys.path if entry]

import atexit
import errno
import io
import json
import math
import os
import shutil
import tempfile
import textwrap
import warnings

# Before matplotlib is loaded: no display, no need of a home directory, and no
# words of its own on stderr.
warnings.simplefilter("ignore")
os.environ["MPLBACKEND"] = "Agg"
if "MPLCONFIGDIR" not in os.environ and not os.access(os.path.expanduser("~"), os.W_OK | os.X_OK):
    os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="plot-")
    atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)
try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter
except ImportError as failure:
    print(f"plot: {sys.executable} cannot load matplotlib: {failure}", file=sys.stderr)
    sys.exit(3)

FORMATS = ("png", "svg", "pdf")
MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
PANELS_MAX = 4

# Okabe and Ito's colours without black, which is theory's, and yellow, too pale
# on white. A bottleneck looks the same in every figure; r = 3, 4, 5 come first.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osDvPXh"
DASHES = (0, (4, 2.5))
KEY_COLOUR = "#555555"

STYLE = {
    "font.family": "DejaVu Sans", "font.size": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False, "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 0.5,
    "legend.frameon": False,
    **{"legend.borderpad": 0, "legend.borderaxespad": 0},
    "legend.handlelength": 1.5,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.6,
    "legend.labelspacing": 0.35,
    **{f"{axis}tick.{rank}.width": 0.5 for axis in "xy" for rank in ("major", "minor")},
    "savefig.dpi": 200,
    "svg.fonttype": "none", "svg.hashsalt": "escapement",
    "pdf.fonttype": 42,
}

# Inches; widths by the number of panels.
LEFT, RIGHT, GAP = 0.66, 0.14, 0.2
PANEL_WIDTHS, PANEL_HEIGHT = {1: 2.8, 2: 2.3, 3: 2.12, 4: 2.12}, 2.1
AXIS_LABELS_HEIGHT, PANEL_TITLE_HEIGHT, SPACE, LINE_HEIGHT = 0.46, 0.22, 0.1, 0.155
KEY_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 5}


class PlotError(Exception):
    """A failure with the exit status that tells it apart and one line of text."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


# --- The figure's file -------------------------------------------------------


def figure_format(path):
    ending = os.path.splitext(path)[1].lower().lstrip(".")
    if ending not in FORMATS:
        raise PlotError(2, f"cannot draw '{path}': its name must end in .png, .svg or .pdf")
    return ending


def open_beside(path):
    """A new file in the directory of `path`, with the mode a plain open would give."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    directory = os.path.dirname(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(prefix=".plot-", dir=directory)
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(descriptor, 0o666 & ~mask)
    return os.fdopen(descriptor, "wb"), temporary


def publish(path, image):
    """Puts `image` at `path` whole or not at all."""
    temporary = None
    try:
        file, temporary = open_beside(path)
        with file:
            file.write(image)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        status = 3 if error.errno in MACHINE_ERRORS else 2
        raise PlotError(status, f"cannot write '{path}': {error.strerror}") from error
    finally:
        if temporary is not None:
            os.unlink(temporary)


# --- What to draw ------------------------------------------------------------


def read_object(stream):
    try:
        sheet = json.load(stream)
    except ValueError as error:
        raise PlotError(3, f"standard input is not a JSON object: {error}") from error
    if not isinstance(sheet, dict) or not isinstance(sheet.get("groups"), list):
        raise PlotError(3, "standard input holds no groups")
    return sheet


def drawable(point):
    """Has members that did not diverge, and a place on a logarithmic axis."""
    scale = point["scale"]
    return bool(point["steps"]) and scale is not None and 0 < scale < math.inf


def groups_to_draw(sheet):
    """All groups, with the points that can be drawn; a group may be left with none."""
    groups = [{**g, "points": [p for p in g["points"] if drawable(p)]} for g in sheet["groups"]]
    if not any(g["points"] for g in groups):
        raise PlotError(2, "nothing to draw: no member that did not diverge, at a scale above 0")
    return groups


def chosen_thresholds(groups):
    """Those at which something is drawn: all, or the first, the last and some evenly between."""
    thresholds = sorted({g["threshold"] for g in groups if g["points"]})
    if len(thresholds) <= PANELS_MAX:
        return thresholds
    last = len(thresholds) - 1
    return [thresholds[round(i * last / (PANELS_MAX - 1))] for i in range(PANELS_MAX)]


def layers_words(layers):
    """`1-3`, `3 4`, `1 4-6`: as the table of the verb `fit` has them."""
    runs = []
    for layer in layers:
        if runs and runs[-1][-1] == layer - 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    words = [f"{run[0]}\u2013{run[-1]}" if len(run) > 2 else " ".join(map(str, run))
             for run in runs]
    return textwrap.shorten(" ".join(words), 24, placeholder=" \u2026")


def named(groups):
    """Marks what tells the groups of a panel apart: groups of one r differ in which layers
    are small, and so does one whose layers are not simply the first."""
    bottlenecks = [g["bottleneck"] for g in groups]
    for i, (group, r) in enumerate(zip(groups, bottlenecks)):
        layers = group.get("small_layers") or []
        telling = bottlenecks.count(r) > 1 or layers != list(range(1, len(layers) + 1))
        group["layers"] = layers_words(layers) if telling else ""
        group["twin"] = bottlenecks[:i].count(r)
    return groups


def drawn(step):
    """A logarithmic axis has no place for step 0: as in the fits, it is half a step."""
    return max(step, 0.5)


def escaped(point):
    return [drawn(step) for step in point["steps"] if step >= 0]


def budgets(point):
    """Steps that the censored members of the point ran."""
    return [drawn(run) for step, run in zip(point["steps"], point["steps_run"]) if step < 0]


def means(group):
    """(scale, mean, censored) of the points where some member escaped, ascending."""
    known = [p for p in group["points"] if p["mean"] is not None]
    return sorted((p["scale"], drawn(p["mean"]), p["censored"]) for p in known)


def spread_width(group):
    """Half the width, in decades, over which the seeds of one scale are spread out."""
    logs = sorted(math.log10(p["scale"]) for p in group["points"])
    gaps = [b - a for a, b in zip(logs, logs[1:]) if b > a]
    return min([0.03] + [0.25 * gap for gap in gaps])


def spread_out(scale, count, half_width):
    """`count` places round `scale`, evenly filling the width, neighbours far apart."""
    golden = (math.sqrt(5) - 1) / 2
    return [scale * 10 ** (half_width * (2 * (i * golden % 1) - 1)) for i in range(count)]


def logarithmic_rate(known):
    """Least squares of mean t* on log(1/epsilon), through the mean at the largest epsilon."""
    anchor_scale, anchor, _ = known[-1]
    decays = [(math.log(anchor_scale / scale), mean - anchor) for scale, mean, _ in known]
    weight = sum(x * x for x, _ in decays)
    return sum(x * y for x, y in decays) / weight if weight > 0 else 0.0


def predicted_line(group, known):
    """Scales and steps of the predicted law, anchored at the largest epsilon's mean.

    The line goes a tenth of a decade beyond the group's scales. For r = 2 theory
    gives the law t* = a + b log(1/epsilon) but not b, which is fitted.
    """
    logs = [math.log10(p["scale"]) for p in group["points"]]
    low, high = min(logs) - 0.1, max(logs) + 0.1
    scales = [10 ** (low + (high - low) * i / 64) for i in range(65)]
    anchor_scale, anchor, _ = known[-1]
    if group["law"] == "logarithmic":
        rate = logarithmic_rate(known)
        steps = [anchor + rate * math.log(anchor_scale / scale) for scale in scales]
    else:
        steps = [anchor * (scale / anchor_scale) ** group["predicted"] for scale in scales]
    return scales, [step if step > 0 else math.nan for step in steps]


# --- Words -------------------------------------------------------------------


def title_lines(sheet, shown, width):
    """The title on at most three lines, free of mathematics and of unprintable characters."""
    title = str(sheet.get("title", ""))
    thresholds = len({g["threshold"] for g in sheet["groups"]})
    if shown < thresholds:
        title += f" ({shown} of {thresholds} thresholds)"
    kept = "".join(c if c.isprintable() else " " for c in title)
    lines = textwrap.wrap(kept, int(width / 0.068), max_lines=3, placeholder="\u2026")
    return [line.replace("$", r"\$") for line in lines]


def signed(text):
    return text.replace("-", "\u2212")


def measured_words(slope, error):
    """`-1.00 +- 0.01`: two decimals, more where the error would read 0.00."""
    if slope is None:
        return "no slope"
    if error is None:
        return signed(f"{slope:.2f}")
    decimals = 2 if error <= 0 else min(6, max(2, -math.floor(math.log10(2 * error))))
    return signed(f"{slope:.{decimals}f}") + f" \u00b1 {error:.{decimals}f}"


def group_words(group):
    measured = measured_words(group["slope"], group["stderr"])
    logarithmic = group["law"] == "logarithmic"
    theory = "log" if logarithmic else signed(f"{group['predicted']:g}")
    return f"r = {group['bottleneck']}: {measured} (theory {theory})"


def power_words(value):
    """`10^3`, `2 10^3`: a tick where plain numbers would be long."""
    exponent = math.floor(math.log10(value) + 1e-9)
    leading = round(value / 10**exponent)
    factor = "" if leading == 1 else rf"{leading}\times"
    return rf"${factor}10^{{{exponent}}}$"


# --- Marks and their legends -------------------------------------------------


def look(group):
    place = group["bottleneck"] - 3
    return {"color": COLOURS[place % len(COLOURS)],
            "marker": MARKERS[(place + group["twin"]) % len(MARKERS)]}


def hollow(colour):
    return {"markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 1}


def draw_seeds(axes, group):
    """The more seeds, the fainter; many thousands as pixels, or no viewer opens the file."""
    colour, half_width = look(group)["color"], spread_width(group)
    marks = {"color": colour, "markeredgewidth": 0, "rasterized": group["n"] > 5000}
    for point in group["points"]:
        steps, runs = escaped(point), budgets(point)
        faint = min(0.5, max(0.08, 8 / max(len(steps), 1)))
        axes.plot(spread_out(point["scale"], len(steps), half_width), steps, ".", markersize=3.4,
                  alpha=faint, **marks)
        axes.plot(spread_out(point["scale"], len(runs), half_width), runs, "^", markersize=4,
                  alpha=0.8, zorder=5, **marks)


def draw_means(axes, group):
    """Hollow, and off the line, where censored members are missing from the mean."""
    colours = look(group)
    whole = [k for k in means(group) if not k[2]]
    partial = [k for k in means(group) if k[2]]
    axes.plot([k[0] for k in whole], [k[1] for k in whole], "-", zorder=3,
              markeredgecolor="white", **colours)
    axes.plot([k[0] for k in partial], [k[1] for k in partial], linestyle="", zorder=3, **colours,
              **hollow(colours["color"]))


def draw_prediction(axes, group):
    known = means(group)
    if known:
        axes.plot(*predicted_line(group, known), color="black", linewidth=0.8, linestyle=DASHES,
                  zorder=4)


def group_handles(group):
    colours = look(group)
    yield Line2D([], [], markeredgecolor="white", label=group_words(group), **colours)
    if group["layers"]:
        yield Line2D([], [], linestyle="", label=f"small layers {group['layers']}")
    if group["censored"]:
        yield Line2D([], [], color=colours["color"], linestyle="", marker="^", markersize=4,
                     markeredgewidth=0, label=f"{group['censored']} of {group['n']} censored")
    if group.get("diverged"):
        yield Line2D([], [], linestyle="", label=f"{group['diverged']} diverged, not drawn")


def key_handles(groups):
    """What the marks mean that the panels' legends do not name, where there are such."""
    points = [p for g in groups for p in g["points"] if p["mean"] is not None]
    if points:
        yield Line2D([], [], color=KEY_COLOUR, linestyle="", marker=".", markersize=4,
                     markeredgewidth=0, label="one seed")
    if any(not p["censored"] for p in points):
        yield Line2D([], [], color=KEY_COLOUR, marker="o", markeredgecolor="white",
                     label="mean over seeds")
    if any(p["censored"] for p in points):
        yield Line2D([], [], color=KEY_COLOUR, linestyle="", marker="o",
                     label="mean of the escaped only", **hollow(KEY_COLOUR))
    if points:
        yield Line2D([], [], color="black", linewidth=0.8, linestyle=DASHES,
                     label="theory, anchored at largest \u03b5")
    if any(g["censored"] for g in groups):
        yield Line2D([], [], color=KEY_COLOUR, linestyle="", marker="^", markersize=4,
                     markeredgewidth=0, label="censored, at the steps run")


# --- Axes and page -----------------------------------------------------------


def limits(values):
    """Ends, in decades, of a logarithmic axis that holds `values` with some air."""
    low, high = math.log10(min(values)), math.log10(max(values))
    air = max(0.07 * (high - low), 0.08, 0.4 - (high - low) / 2)
    return low - air, high + air


def scale_axis(axis, low, high):
    """Ticks at decades, or at 1, 2, 5 where there are less than two of them."""
    if high - low < 2:
        ticks = [m * 10.0**e for e in range(math.floor(low), math.ceil(high)) for m in (1, 2, 5)]
        axis.set_major_locator(FixedLocator([t for t in ticks if low <= math.log10(t) <= high]))
    else:
        axis.set_major_locator(LogLocator(base=10, numticks=9))
    words = "{:g}".format if low > -3.1 and high < 5 else power_words
    axis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))
    axis.set_minor_locator(LogLocator(base=10, subs=range(1, 10), numticks=12))
    axis.set_minor_formatter(NullFormatter())


def scale_axes(all_axes, groups):
    """The same for all panels, from the data alone: predictions may run out of them."""
    points = [p for g in groups for p in g["points"]]
    x = limits([p["scale"] for p in points])
    y = limits([step for p in points for step in escaped(p) + budgets(p)])
    for axes in all_axes:
        axes.set(xscale="log", yscale="log", xlim=(10 ** x[0], 10 ** x[1]),
                 ylim=(10 ** y[0], 10 ** y[1]), xlabel="initialisation scale \u03b5")
        scale_axis(axes.xaxis, *x)
        scale_axis(axes.yaxis, *y)
        axes.tick_params(labelleft=axes is all_axes[0])
    all_axes[0].set_ylabel("escape step t*")


def draw_panel(axes, threshold, groups, handles):
    for group in groups:
        draw_seeds(axes, group)
        draw_means(axes, group)
        draw_prediction(axes, group)
    axes.set_title(f"loss threshold {threshold:g}", loc="left")
    axes.legend(handles=handles, loc="upper left",
                bbox_to_anchor=(0, -(AXIS_LABELS_HEIGHT + SPACE) / PANEL_HEIGHT))


def draw(sheet):
    """The figure: panels in a row, each over its legend, and the key below them all."""
    everything = groups_to_draw(sheet)
    thresholds = chosen_thresholds(everything)
    panels = [named([g for g in everything if g["threshold"] == t]) for t in thresholds]
    handles = [[h for g in panel for h in group_handles(g)] for panel in panels]
    groups = [g for panel in panels for g in panel]
    key, columns = list(key_handles(groups)), KEY_COLUMNS[len(panels)]

    panel_width = PANEL_WIDTHS[len(panels)]
    width = LEFT + len(panels) * (panel_width + GAP) - GAP + RIGHT
    title = title_lines(sheet, len(panels), width - LEFT)
    key_height = SPACE + LINE_HEIGHT * math.ceil(len(key) / columns)
    legend_height = AXIS_LABELS_HEIGHT + 2 * SPACE + LINE_HEIGHT * max(map(len, handles))
    bottom = key_height + legend_height
    height = bottom + PANEL_HEIGHT + PANEL_TITLE_HEIGHT + LINE_HEIGHT * len(title) + SPACE

    figure = Figure(figsize=(width, height))
    all_axes = []
    for i, threshold in enumerate(thresholds):
        left = LEFT + i * (panel_width + GAP)
        all_axes.append(figure.add_axes((left / width, bottom / height, panel_width / width,
                                         PANEL_HEIGHT / height)))
        draw_panel(all_axes[i], threshold, panels[i], handles[i])
    scale_axes(all_axes, groups)
    figure.legend(handles=key, loc="upper left", ncol=columns,
                  bbox_to_anchor=(LEFT / width, key_height / height))
    figure.text(LEFT / width, 1 - SPACE / 2 / height, "\n".join(title), size=9, va="top")
    return figure


def render(sheet, form):
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(STYLE)
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    image = io.BytesIO()
    draw(sheet).savefig(image, format=form, metadata=undated[form])
    return image.getvalue()


def plot(arguments):
    if len(arguments) != 1:
        raise PlotError(2, "usage: python3 plot.py FIG < OBJECT")
    form = figure_format(arguments[0])
    publish(arguments[0], render(read_object(sys.stdin.buffer), form))


def main():
    try:
        plot(sys.argv[1:])
        return 0
    except KeyboardInterrupt:
        return 130
    except PlotError as error:
        status, message = error.status, str(error)
    except Exception as error:  # a line for the user, whatever it is
        status, message = 3, f"cannot draw: {type(error).__name__}: {error}"
    print("plot: " + " ".join(message.split()), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
