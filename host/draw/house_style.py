# SPDX-License-Identifier: Apache-2.0
"""The house style: one look for every picture of the program, the studies and the benches.

A picture is described as data, a sheet: {"panels": [...], "caption"}, optionally with "columns"
(panels in a row) and "common_legend" (one for all panels). A panel has "title", the labels "x" and
"y", "scale" (linear, loglog, semilogx, semilogy) and "series"; optionally "xlim", "ylim", "xticks"
([[value, word], ...], turned by "rotate" degrees) and "zero" (a thin line at this y). A series has
"role", "colour" (index into the palette; -1: black, theory's; -2: grey), "label", "x", "y"; optionally
"low", "high", "xlow", "xhigh" (ends of error bars, or of a band), "marker", "hollow", "every" (each
n-th point is drawn) and "key" (an entry of the common legend). Roles: line, dash, dot, dashdot,
marks, joined (marks on a line), faint (small dots), cloud (small marks), carets, band, bars.

Labels and captions set mathematics between dollars, in the part of LaTeX that matplotlib knows;
plain() is the same for a terminal or a text file. The same sheet gives the same bytes. Plain
ASCII, so that python3 -c means the same everywhere.
"""
import atexit
import errno
import io
import math
import os
import re
import shutil
import sys
import tempfile
import warnings
import zlib

# A drawing script is a separate process, under this name; in the Python package this is
# escapement._draw.house_style, in a process that is another's.
ALONE = __name__ == "house_style"

# Before matplotlib is loaded: no display, no need of a home directory, and no
# words of its own on stderr.
if ALONE:
    warnings.simplefilter("ignore")
    os.environ["MPLBACKEND"] = "Agg"
    if "MPLCONFIGDIR" not in os.environ and not os.access(os.path.expanduser("~"), os.W_OK | os.X_OK):
        os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="plot-")
        atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)
try:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.textpath import TextPath
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, ScalarFormatter
    from matplotlib.transforms import ScaledTranslation
except ImportError as failure:
    if not ALONE:
        raise
    print(f"plot: {sys.executable} cannot load matplotlib: {failure}", file=sys.stderr)
    sys.exit(3)

FORMATS = ("png", "svg", "pdf")
MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
WIDTHS = {"single": 3.4, "double": 7.0}  # inches: one and two columns of a journal

# Okabe and Ito's colours without black, which is theory's, and yellow, too pale on white; then
# two more that stay apart from them. Markers differ too, so that none is known by colour alone.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#5D3A9B")
MARKERS = "os^DvP<h"
GREY = "#555555"
LINES = {"line": "-", "dash": (0, (4, 2)), "dot": (0, (1, 1.5)), "dashdot": (0, (5, 1.5, 1, 1.5))}
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oooo", "----")

RC = {
    "font.family": "DejaVu Sans", "mathtext.fontset": "dejavusans", "font.size": 7,
    "axes.titlesize": 7.5, "axes.labelsize": 7.5, "axes.titlepad": 5, "axes.labelpad": 2.5,
    "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.labelsize": 7, "ytick.labelsize": 7,
    **{f"{axis}tick.{rank}.width": 0.5 for axis in "xy" for rank in ("major", "minor")},
    **{f"{axis}tick.{rank}.size": size for axis in "xy" for rank, size in
       (("major", 3), ("minor", 1.7))},
    "lines.linewidth": 1, "lines.markersize": 4, "lines.markeredgewidth": 0.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False, "legend.fontsize": 6.5, "legend.borderpad": 0,
    "legend.borderaxespad": 0, "legend.handlelength": 2, "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2, "legend.labelspacing": 0.3,
    "savefig.dpi": 300, "svg.fonttype": "none", "svg.hashsalt": "escapement", "pdf.fonttype": 42,
}

# Inches.
TITLE, AXIS_LABEL, LINE, ENTRY, SPACE, EDGE, GAP = 0.2, 0.4, 0.108, 0.029, 0.08, 0.04, 0.14


class DrawingError(Exception):
    """A failure with the exit status that tells it apart and one line of text."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


# --- Words -------------------------------------------------------------------

ACTIVATIONS = {"gelu": "GELU", "relu": "ReLU", "swish": "Swish"}
SYMBOLS = {r"\varepsilon": "\u03b5", r"\epsilon": "\u03b5", r"\eta": "\u03b7", r"\ell": "\u2113",
           r"\beta": "\u03b2", r"\mu": "\u03bc", r"\lambda": "\u03bb", r"\gamma": "\u03b3",
           r"\chi": "\u03c7", r"\nabla": "\u2207", r"\sigma": "\u03c3", r"\Theta": "\u0398", r"\to": "\u2192",
           r"\times": "\u00d7", r"\propto": "\u221d",
           r"\pm": "\u00b1", r"\infty": "\u221e", r"\|": "\u2016", r"\log": " log ", r"\sim": "~",
           r"\geq": "\u2265", r"\leq": "\u2264", r"\sqrt": "sqrt", r"\,": " ", r"\;": " "}


def activation_name(name):
    """An activation as people write it."""
    return ACTIVATIONS.get(name, name)


def plain_math(found):
    """The text between two dollars without its marks: `$a_1^{L-1}$` is a_1^(L-1)."""
    text = found.group(1)
    for mark, word in sorted(SYMBOLS.items(), key=lambda item: -len(item[0])):
        text = re.sub(re.escape(mark) + (r"(?![A-Za-z])" if mark[-1].isalpha() else ""), word, text)
    text = re.sub(r"\\(?:mathrm|mathsf|text)\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"([_^])\{(.)\}", r"\1\2", text)
    text = re.sub(r"\^\*|\^\{\*\}", "*", text)
    text = re.sub(r"\^2(?![0-9])", "\u00b2", text)
    text = text.replace("{", "(").replace("}", ")").replace("-", "\u2212")
    return re.sub(" +", " ", text).replace("( ", "(").strip()


def plain(text):
    """`text` for where mathematics cannot be set."""
    return re.sub(r"(?<!\\)\$([^$]*)\$", plain_math, text).replace(r"\$", "$")


def signed(text):
    return text.replace("-", "\u2212")


# --- The picture's file ------------------------------------------------------


def figure_format(path):
    ending = os.path.splitext(path)[1].lower().lstrip(".")
    if ending not in FORMATS:
        raise DrawingError(2, f"cannot draw '{path}': its name must end in .png, .svg or .pdf")
    return ending


def temporary_prefix():
    """Of this machine, for directories that several share; a process number follows."""
    return f".plot-{zlib.crc32(os.uname().nodename.encode()):08x}-"


def is_alive(process):
    """Whether a process of this machine runs; one that has ended, but whose parent has not asked for it
    yet (in a container that can be for ever), does not."""
    try:
        os.kill(process, 0)
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except ProcessLookupError:
        return False
    except (OSError, IndexError):
        return True


def is_left_over(entry):
    """Whether a file is the temporary of a drawing of this user's whose process is gone."""
    process = re.fullmatch(temporary_prefix() + r"(\d{1,9})-[a-z0-9_]{8}", entry.name)
    try:
        if not process or not entry.is_file(follow_symlinks=False) or \
                entry.stat(follow_symlinks=False).st_uid != os.geteuid():
            return False
    except OSError:
        return False
    return not is_alive(int(process.group(1)))


def remove_left_over(directory):
    """What drawings that were killed left there; a process that draws there now keeps its own."""
    with os.scandir(directory) as entries:
        for entry in filter(is_left_over, entries):
            os.unlink(entry.path)


def open_beside(path):
    """A new file of a random name in the directory of `path` (never through a link: O_EXCL and
    O_NOFOLLOW), with the mode a plain open would give."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    directory = os.path.dirname(os.path.abspath(path))
    remove_left_over(directory)
    descriptor, temporary = tempfile.mkstemp(prefix=f"{temporary_prefix()}{os.getpid()}-", dir=directory)
    mask = os.umask(0)
    os.umask(mask)
    try:
        os.fchmod(descriptor, 0o666 & ~mask)
    except OSError:
        pass  # file systems without modes, such as vfat
    return os.fdopen(descriptor, "wb"), temporary


def publish(path, content):
    """Puts the bytes at `path` whole or not at all."""
    temporary = None
    try:
        file, temporary = open_beside(path)
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        status = 3 if error.errno in MACHINE_ERRORS else 2
        raise DrawingError(status, f"cannot write '{path}': {error.strerror}") from error
    finally:
        if temporary is not None:
            os.unlink(temporary)


def guarded(name, work):
    """Runs work(); its exit status, a failure being one line on stderr."""
    try:
        work()
        return 0
    except KeyboardInterrupt:
        return 130
    except DrawingError as error:
        status, message = error.status, str(error)
    except Exception as error:  # a line for the user, whatever it is
        status, message = 3, f"cannot draw: {type(error).__name__}: {error}"
    print(f"{name}: " + " ".join(message.split()), file=sys.stderr)
    return status


# --- Series ------------------------------------------------------------------


def numbers(values):
    return [math.nan if v is None else float(v) for v in values]


def colour_of(series):
    index = series.get("colour", -1)
    return {-1: "black", -2: GREY}.get(index) or PALETTE[index % len(PALETTE)]


def marker_of(series):
    index = series.get("marker", max(series.get("colour", 0), 0))
    return MARKERS[index % len(MARKERS)]


def mark_style(series):
    """How marks of a series look, in the panel and in its legend."""
    colour, role = colour_of(series), series["role"]
    if role == "faint":
        return {"marker": ".", "markersize": 3, "markeredgewidth": 0, "color": colour}
    if role == "carets":
        return {"marker": 6, "markersize": 3.6, "markeredgewidth": 0, "color": colour}
    if role == "cloud":
        return {"marker": marker_of(series), "markersize": 2, "markeredgewidth": 0, "color": colour}
    face = {"markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 0.9}
    filled = {"markeredgecolor": "white"}
    size = {"markersize": 2.8, "markeredgewidth": 0.3} if len(series["x"]) > 12 else {}
    return {"marker": marker_of(series), "color": colour, **size,
            **(face if series.get("hollow") else filled)}


def errors_of(series, low, high, values):
    """The two lengths that matplotlib wants, or None."""
    if low not in series:
        return None
    below = [v - a for a, v in zip(numbers(series[low]), values)]
    above = [b - v for b, v in zip(numbers(series[high]), values)]
    return [[max(e, 0) if e == e else 0 for e in side] for side in (below, above)]


def draw_marks(axes, series, x, y):
    bars = {"yerr": errors_of(series, "low", "high", y), "xerr": errors_of(series, "xlow", "xhigh", x)}
    if bars["yerr"] or bars["xerr"]:
        axes.errorbar(x, y, **bars, ls="none", ecolor=colour_of(series), elinewidth=0.8, capsize=1.6,
                      capthick=0.6, zorder=3)
    role = series["role"]
    seen = {"faint": {"alpha": min(0.6, max(0.08, 8 / max(series.get("many", 1), 1)))},
            "cloud": {"alpha": 0.45}, "carets": {"alpha": 0.8}}.get(role, {})
    axes.plot(x, y, ls="-" if role == "joined" else "none", zorder={"faint": 2, "cloud": 2}.get(role, 4),
              rasterized=len(x) > 5000, **mark_style(series), **seen)


def draw_bars(axes, series, x, y, bars, index):
    width = 0.8 / bars
    axes.bar([v + (index - (bars - 1) / 2) * width for v in x], y, width,
             facecolor=colour_of(series), edgecolor="white", linewidth=0.4,
             hatch=HATCHES[index % len(HATCHES)])


def thinned(series):
    """Every n-th point of a series that asks for it ("every")."""
    every = series.get("every", 1)
    lists = {k: v[::every] for k, v in series.items() if isinstance(v, list)}
    return {**series, **lists}


def draw_panel(axes, panel):
    bars, index = [s for s in panel["series"] if s["role"] == "bars"], 0
    for series in map(thinned, panel["series"]):
        x, y, role = numbers(series["x"]), numbers(series["y"]), series["role"]
        if role in LINES:
            axes.plot(x, y, ls=LINES[role], color=colour_of(series),
                      lw=1 if role == "line" else 0.9, zorder=2.5 if role == "line" else 3.5)
        elif role == "band":
            axes.fill_between(x, numbers(series["low"]), numbers(series["high"]),
                              color=colour_of(series), alpha=0.25, lw=0, zorder=1)
        elif role == "bars":
            draw_bars(axes, series, x, y, len(bars), index)
            index += 1
        else:
            draw_marks(axes, series, x, y)
    if "zero" in panel:
        axes.axhline(panel["zero"], color="black", lw=0.5, zorder=0.5)


# --- Axes --------------------------------------------------------------------

STEPS = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7), (1, 1.5, 2, 3, 4, 5, 7),
         tuple(1 + i / 10 for i in range(90)))


def ticks_between(low, high, steps):
    ends = math.floor(math.log10(low) - 1e-9), math.ceil(math.log10(high) + 1e-9)
    ticks = [float(f"{m}e{e}") for e in range(ends[0], ends[1] + 1) for m in steps]
    return [t for t in ticks if low * (1 - 1e-9) <= t <= high * (1 + 1e-9)]


def plain_number(value, _=None):
    return f"{value:.15f}".rstrip("0").rstrip(".") if value < 1 else f"{value:g}" \
        if value < 1e5 else f"{value:.0f}"


def power_number(value, _=None):
    exponent = math.floor(math.log10(value) + 1e-9)
    leading = value / 10**exponent
    factor = "" if abs(leading - 1) < 1e-9 else rf"{leading:g}\times "
    return rf"${factor}10^{{{exponent}}}$"


def log_ticks(low, high):
    """Ticks and their words: powers of ten where two or more are seen over one and a half
    decades, else plain numbers (powers again where these would be long); never both."""
    decades = ticks_between(low, high, (1,))
    if len(decades) >= 2 and math.log10(high / low) >= 1.5:
        skip = math.ceil(len(decades) / 7)
        return decades[::skip], power_number
    for steps in STEPS[1:]:
        ticks = ticks_between(low, high, steps)
        if len(ticks) >= 3:
            break
    ticks = ticks[::math.ceil(len(ticks) / 7)]
    short = ticks and min(ticks) >= 1e-4 and max(ticks) < 1e6
    return ticks, plain_number if short else power_number


def scale_log_axis(axis, limits):
    ticks, words = log_ticks(*limits)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(words))
    few = math.log10(limits[1] / limits[0]) < 7
    axis.set_minor_locator(FixedLocator(ticks_between(*limits, range(1, 10)) if few else []))
    axis.set_minor_formatter(NullFormatter())


def scale_linear_axis(axis):
    words = ScalarFormatter(useOffset=False, useMathText=True)
    words.set_powerlimits((-4, 6))
    axis.set_major_formatter(words)


def scale_axes(axes, panel):
    """Scales, ends and ticks; ends that the panel does not name follow what is drawn."""
    logarithmic = {"x": panel["scale"] in ("loglog", "semilogx"),
                   "y": panel["scale"] in ("loglog", "semilogy")}
    for name, is_log in logarithmic.items():
        axis = getattr(axes, f"{name}axis")
        getattr(axes, f"set_{name}scale")("log" if is_log else "linear")
        if f"{name}lim" in panel:
            getattr(axes, f"set_{name}lim")(panel[f"{name}lim"])
        if f"{name}ticks" in panel:
            getattr(axes, f"set_{name}ticks")([v for v, _ in panel[f"{name}ticks"]],
                                              [w for _, w in panel[f"{name}ticks"]])
            axis.set_minor_locator(FixedLocator([]))
            axis.set_tick_params(rotation=panel.get("rotate", 0) if name == "x" else 0)
        elif is_log:
            scale_log_axis(axis, getattr(axes, f"get_{name}lim")())
        else:
            scale_linear_axis(axis)
    axes.set(xlabel=panel["x"], ylabel=panel["y"])


# --- Legends -----------------------------------------------------------------


def looks(series):
    """Series that look alike and are called alike share an entry of a legend."""
    bars = "low" in series or "xlow" in series
    return (series["label"], series["role"], series.get("colour", -1), series.get("marker"),
            bool(series.get("hollow")), bars)


def handle_of(series, index=0):
    role, colour = series["role"], colour_of(series)
    if role in LINES:
        return Line2D([], [], ls=LINES[role], color=colour, lw=1)
    if role in ("band", "bars"):
        alpha = {"alpha": 0.25} if role == "band" else {"hatch": HATCHES[index % len(HATCHES)]}
        return Patch(facecolor=colour, edgecolor="white", linewidth=0, **alpha)
    marks = Line2D([], [], ls="-" if role == "joined" else "none", **mark_style(series))
    if "low" not in series:
        return marks
    caps = [Line2D([], [], marker="_", markersize=3.2, markeredgewidth=0.6, color=colour, ls="none")
            for _ in range(2)]
    return ErrorbarContainer((marks, caps, [LineCollection([], colors=colour, linewidths=0.8)]),
                             has_yerr=True)


def legends_of(sheet):
    """[(label, handle)] of each panel, and of what several panels share."""
    seen, counts = [], {}
    for panel in sheet["panels"]:
        bars = [s for s in panel["series"] if s["role"] == "bars"]
        entries = {}
        for series in panel["series"]:
            if series.get("label"):
                index = bars.index(series) if series in bars else 0
                entries.setdefault(looks(series), handle_of(series, index))
        for look in entries:
            counts[look] = counts.get(look, 0) + 1
        seen.append(entries)
    keys = {looks(s) for panel in sheet["panels"] for s in panel["series"] if s.get("key")}
    least = 0 if sheet.get("common_legend") else 1
    common = keys | {look for look, count in counts.items() if count > least}
    own = [[(look[0], h) for look, h in e.items() if look not in common] for e in seen]
    shared = {look: h for entries in seen for look, h in entries.items() if look in common}
    return own, [(look[0], h) for look, h in shared.items()]


def text_width(label):
    """Inches of a legend's entry: its widest line, handle and gaps."""
    size = RC["legend.fontsize"]
    lines = [TextPath((0, 0), line, size=size).get_extents().width for line in label.split("\n")]
    gaps = sum(RC[f"legend.{gap}"] for gap in ("handlelength", "handletextpad", "columnspacing"))
    return (max(lines) + size * gaps) / 72


def columns_for(entries, width):
    widest = max((text_width(label) for label, _ in entries), default=1)
    return max(1, min(len(entries), int(width / widest)))


def legend_height(entries, columns):
    heights = [ENTRY + LINE * (label.count("\n") + 1) for label, _ in entries]
    rows = math.ceil(len(heights) / columns)
    return max((sum(heights[c * rows:(c + 1) * rows]) for c in range(columns)), default=0)


def add_legend(container, entries, columns, **where):
    if entries:
        container.legend([h for _, h in entries], [label for label, _ in entries], ncol=columns,
                     loc="upper left", **where)


# --- The page ----------------------------------------------------------------


class Page:
    """Panels in rows of `columns`, each over its legend; what they share at the bottom."""

    def __init__(self, sheet, width):
        self.width, count = width, len(sheet["panels"])
        widest = 3 if width > 5.5 else 1
        self.columns = max(1, min(count, sheet.get("columns", 2), widest))
        self.rows = math.ceil(count / self.columns)
        self.left = [0.5] * self.columns
        self.own, self.shared = legends_of(sheet)
        inner = self.panel_width()
        words = [len(w) for p in sheet["panels"] if p.get("rotate") for _, w in p["xticks"]]
        self.label = AXIS_LABEL + max([0.04 * n - 0.1 for n in words], default=0)
        self.height = sheet.get("panel_height", max(1.35, min(2.1, 0.72 * inner)))
        self.own_columns = [columns_for(entries, inner) for entries in self.own]
        legends = [legend_height(e, c) for e, c in zip(self.own, self.own_columns)]
        row_legends = [max(legends[r * self.columns:(r + 1) * self.columns])
                       for r in range(self.rows)]
        titled = any(title_of(p, i, count) for i, p in enumerate(sheet["panels"]))
        self.head = TITLE if titled else SPACE
        self.row_heights = [self.head + self.height + self.label + (h + SPACE if h else 0)
                            for h in row_legends]
        self.shared_columns = columns_for(self.shared, width - self.left[0] - 2 * EDGE)
        self.foot = legend_height(self.shared, self.shared_columns)
        self.foot += SPACE if self.foot else 0
        self.total = sum(self.row_heights) + GAP / 2 * (self.rows - 1) + self.foot + 2 * EDGE

    def panel_width(self):
        free = self.width - 2 * EDGE - sum(self.left) - GAP * (self.columns - 1)
        return free / self.columns

    def box(self, index):
        """left, bottom, width, height of a panel, in parts of the page."""
        row, column = divmod(index, self.columns)
        inner = self.panel_width()
        left = EDGE + sum(self.left[:column + 1]) + column * (inner + GAP)
        top = self.total - EDGE - sum(self.row_heights[:row]) - GAP / 2 * row - self.head
        return (left / self.width, (top - self.height) / self.total, inner / self.width,
                self.height / self.total)

    def measure(self, figure, all_axes):
        """Sets each column's left margin from its widest numbers and label as drawn."""
        renderer = figure.canvas.get_renderer()
        for index, axes in enumerate(all_axes):
            reach = axes.yaxis.get_tightbbox(renderer)
            need = (axes.bbox.x0 - reach.x0) / figure.dpi + 0.02 if reach else 0.1
            column = index % self.columns
            self.left[column] = max(need, 0 if index < self.columns else self.left[column])


def title_of(panel, index, count):
    letter = f"({chr(ord('a') + index)})" if count > 1 else ""
    title = panel.get("title", "").replace(r"\|", r"\Vert ")  # which matplotlib draws as one bar
    return " ".join(word for word in (letter, title) if word)


def draw(sheet, width, figure=None):
    """The figure of a sheet, `width` inches wide: a new one, or `figure`, an empty one."""
    page, count = Page(sheet, width), len(sheet["panels"])
    figure = Figure() if figure is None else figure
    figure.set_size_inches(width, page.total)
    FigureCanvasAgg(figure)
    all_axes = []
    for index, panel in enumerate(sheet["panels"]):
        axes = figure.add_axes(page.box(index))
        all_axes.append(axes)
        draw_panel(axes, panel)
        scale_axes(axes, panel)
        axes.set_title(title_of(panel, index, count), loc="left")
        below = axes.transAxes + ScaledTranslation(0, -page.label - SPACE / 2,
                                                   figure.dpi_scale_trans)
        add_legend(axes, page.own[index], page.own_columns[index], bbox_to_anchor=(0, 0),
                   bbox_transform=below)
    figure.canvas.draw()
    page.measure(figure, all_axes)
    for index, axes in enumerate(all_axes):
        axes.set_position(page.box(index))
    add_legend(figure, page.shared, page.shared_columns,
               bbox_to_anchor=(page.box(0)[0], page.foot / page.total))
    return figure


def width_of(sheet, name):
    """Inches: `name` is single, double or a number; empty: single for one panel, else double."""
    if name in WIDTHS:
        return WIDTHS[name]
    try:
        return float(name) if name else WIDTHS["double" if len(sheet["panels"]) > 1 else "single"]
    except ValueError as error:
        raise DrawingError(2, f"--width {name}: allowed: single, double or inches") from error


def set_style():
    """Whatever matplotlib's settings were before."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(RC)


def render(sheet, form, width=""):
    """The picture's bytes."""
    set_style()
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    image = io.BytesIO()
    draw(sheet, width_of(sheet, width)).savefig(image, format=form, metadata=undated[form])
    return image.getvalue()


def caption_text(sheet, columns=100):
    """The caption for a file beside the picture: filled paragraphs, no marks of mathematics."""
    import textwrap
    shown = "".join(c if c.isprintable() or c == "\n" else " " for c in plain(sheet["caption"]))
    paragraphs = shown.split("\n")
    return "\n".join(textwrap.fill(p, columns, break_on_hyphens=False) for p in paragraphs) + "\n"
