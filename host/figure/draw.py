"""Draws a figure of the paper: reads {"title", "panels": [...]} as JSON from standard input and
writes the files named on the command line (.png, .pdf), each whole or not at all."""
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

# Okabe and Ito: told apart with any colour vision; markers differ too.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#5D3A9B"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
LINES = {"line": "-", "dash": "--", "dot": ":"}


def numbers(values):
    return [float("nan") if v is None else v for v in values]


def draw_series(axes, series, bars):
    place = series["colour"]
    colour = "black" if place < 0 else PALETTE[place % len(PALETTE)]
    marker = MARKERS[place % len(MARKERS)]
    x, y, role = numbers(series["x"]), numbers(series["y"]), series["role"]
    label = series["label"] or None
    if role in LINES:
        axes.plot(x, y, LINES[role], color=colour, lw=1.2, label=label, zorder=2)
    elif role == "band":
        axes.fill_between(x, numbers(series["low"]), numbers(series["high"]), color=colour,
                          alpha=0.25, lw=0, zorder=1)
    elif role == "bars":
        width = 0.8 / bars
        axes.bar([v + (place - (bars - 1) / 2) * width for v in x], y, width, color=colour,
                 label=label)
        axes.set_xticks(x)
    else:
        error = None
        if "low" in series:
            error = [[b - a for a, b in zip(numbers(series["low"]), y)],
                     [b - a for a, b in zip(y, numbers(series["high"]))]]
        many = len(x) > 12
        axes.errorbar(x, y, yerr=error, fmt=marker, color=colour, ms=2.5 if many else 4.5,
                      mew=0.6, mec="white" if not many else colour, elinewidth=0.9, capsize=2,
                      ls="none", label=label, zorder=3, markevery=2 if many else 1)


def draw_panel(axes, panel):
    bars = sum(s["role"] == "bars" for s in panel["series"])
    for series in panel["series"]:
        draw_series(axes, series, bars)
    if panel["scale"] in ("loglog", "semilogx"):
        axes.set_xscale("log")
    if panel["scale"] in ("loglog", "semilogy"):
        axes.set_yscale("log")
    if bars:
        axes.axhline(0, color="black", lw=0.6)
    axes.set(xlabel=panel["x"], ylabel=panel["y"])
    axes.set_title(panel["title"], fontsize=9, loc="left")
    if any(s["label"] for s in panel["series"]):
        axes.legend(fontsize=6.5, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.02),
                    borderaxespad=0)


def main():
    figure = json.load(sys.stdin)
    panels = figure["panels"]
    plt.rcParams.update({"font.size": 8.5, "axes.linewidth": 0.7, "pdf.fonttype": 42,
                         "axes.spines.top": False, "axes.spines.right": False})
    columns = 2
    rows = (len(panels) + 1) // 2
    sheet, axes = plt.subplots(rows, columns, figsize=(10.2, 3.1 * rows), squeeze=False,
                               layout="constrained")
    for place, panel in zip(axes.flat, panels):
        draw_panel(place, panel)
    for place in list(axes.flat)[len(panels):]:
        place.set_visible(False)
    for path in sys.argv[1:]:
        kind = path.rsplit(".", 1)[-1]
        stamp = {"Software": None} if kind == "png" else {"CreationDate": None}
        temporary = f"{path}.{os.getpid()}.tmp"
        try:
            sheet.savefig(temporary, format=kind, dpi=200, metadata=stamp)
            os.replace(temporary, path)
        finally:
            if os.path.exists(temporary):
                os.remove(temporary)


main()
