# SPDX-License-Identifier: Apache-2.0
"""Draws escape times t* against the small initialisation scale epsilon, log-log.

    python3 -c SCRIPT FIG [WIDTH [CAPTION]] < OBJECT

FIG ends in .png, .svg or .pdf; WIDTH is single, double or inches; CAPTION, a text file for the
picture's caption. OBJECT is what the command `plot` writes: a title and a group for every bottleneck
r, set of small layers and threshold, with the escape step of each seed (-1: censored). Thresholds
are a panel each, or one for all where their times are alike; a bottleneck is a colour (of a grid: the
first swept key a colour, the second a marker, others and bottlenecks a panel each): seeds
faint, their means bold, the least-squares line solid, theory's law dashed from the mean at the
smallest epsilon, where theory is most accurate, members that did not escape as carets at the steps they
ran. If the fit has limits at epsilon -> 0, one more panel has the local slopes and the limits.

Exit status: 0 drawn; 2 FIG cannot be written or has another ending, or there is
nothing to draw; 3 anything else. A failure is one line on stderr, and FIG is then
as it was before. The same OBJECT gives the same bytes. Plain ASCII, so that -c
means the same everywhere.
"""
import json
import math
import sys
import textwrap

if __package__:  # escapement._draw, of the Python package
    from . import house_style
else:
    import house_style

DrawingError, guarded, publish = house_style.DrawingError, house_style.guarded, house_style.publish
activation_name, figure_format = house_style.activation_name, house_style.figure_format
plain, signed = house_style.plain, house_style.signed

PANELS_MAX = 4
GRID_PANELS_MAX = 12
ALIKE = 0.05  # means that differ by less, relatively, are the same mark in a picture


# --- Swept keys --------------------------------------------------------------


def point_of(group, keys=None):
    """The group's values of the swept keys (all, or these); () without a grid."""
    values = group.get("grid") or {}
    return tuple(values[key] for key in (values if keys is None else keys))


def varied_keys(groups):
    """Swept keys with more than one value, in the order of the grid."""
    keys = list(groups[0].get("grid") or {})
    return [key for key in keys if len({g["grid"][key] for g in groups}) > 1]


def value_words(key, value):
    """`width = 16`, `tanh`."""
    name = key.rsplit(".", 1)[-1]
    if name == "activation":
        return activation_name(value)
    return f"{name} = " + (f"{value:g}" if isinstance(value, float) else str(value))


def point_words(group, keys):
    return ", ".join(value_words(key, group["grid"][key]) for key in keys)


def set_looks(groups, keys):
    """A colour for each value of the first key, a marker for each of the second."""
    seen = [sorted_values(groups, key) for key in keys[:2]]
    for group in groups:
        index = [values.index(group["grid"][key]) for values, key in zip(seen, keys)]
        group["look"] = {"colour": index[0] % len(house_style.PALETTE) if index else 0,
                         "marker": index[1] if len(index) > 1 else index[0] if index else 0}


def sorted_values(groups, key):
    """Values of a key in the order of the groups."""
    return list(dict.fromkeys(g["grid"][key] for g in groups))


# --- What to draw ------------------------------------------------------------


def read_object(stream):
    try:
        sheet = json.load(stream)
    except ValueError as error:
        raise DrawingError(3, f"standard input is not a JSON object: {error}") from error
    if not isinstance(sheet, dict) or not isinstance(sheet.get("groups"), list):
        raise DrawingError(3, "standard input holds no groups")
    return sheet


def drawable(point):
    """Has members that did not diverge, and a point on a logarithmic axis."""
    scale = point["scale"]
    return bool(point["steps"]) and scale is not None and 0 < scale < math.inf


def groups_to_draw(sheet):
    """All groups, with the points that can be drawn; a group may be left with none."""
    groups = [{**g, "points": [p for p in g["points"] if drawable(p)]} for g in sheet["groups"]]
    if not any(g["points"] for g in groups):
        raise DrawingError(2, "nothing to draw: no member that did not diverge, at a scale above 0")
    return groups


def thresholds_of(groups):
    """Those at which something is drawn."""
    return sorted({g["threshold"] for g in groups if g["points"]})


def chosen_thresholds(thresholds):
    """All, or the first, the last and some evenly between."""
    if len(thresholds) <= PANELS_MAX:
        return thresholds
    last = len(thresholds) - 1
    return [thresholds[round(i * last / (PANELS_MAX - 1))] for i in range(PANELS_MAX)]


def difference(groups):
    """The largest relative difference between thresholds of a mean at one (layers, scale);
    infinite where they differ in what is drawn at all."""
    times, worst = {}, 0.0
    for g in groups:
        key = g["bottleneck"], tuple(g.get("small_layers") or []), *point_of(g)
        for p in g["points"]:
            times.setdefault((*key, p["scale"]), []).append((p["mean"], missing(p)))
    counts = {len(found) for found in times.values()}
    for found in times.values():
        known = [mean for mean, lacks in found if mean and not lacks]
        if len(known) < len(found) or len(counts) > 1:
            return math.inf
        worst = max(worst, max(known) / min(known) - 1)
    return worst


def missing(point):
    """Members that are missing from the point's mean; of an unfinished run also those in training or waiting."""
    return point["censored"] + point.get("running", 0) + point.get("waiting", 0)


def layers_words(layers):
    """`layer 3`, `layers 1-3`, `layers 1, 4-6`, with en dashes: as in the figures' captions."""
    runs = []
    for layer in layers:
        if runs and runs[-1][-1] == layer - 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    words = ", ".join(f"{run[0]}" + (f"\u2013{run[-1]}" if len(run) > 1 else "") for run in runs)
    return f"layer{'s' if len(layers) > 1 else ''} " + \
        textwrap.shorten(words, 24, placeholder=" \u2026") if layers else ""


def named(groups):
    """Marks what tells the groups of a panel apart: groups of one r differ in which layers
    are small, and so does one whose layers are not simply the first."""
    bottlenecks = [g["bottleneck"] for g in groups]
    for i, (group, r) in enumerate(zip(groups, bottlenecks)):
        layers = group.get("small_layers") or []
        same = {tuple(g.get("small_layers") or []) for g in groups if g["bottleneck"] == r}
        telling = len(same) > 1 or layers != list(range(1, len(layers) + 1))
        group["layers"] = layers_words(layers) if telling else ""
        group["repeat"] = bottlenecks[:i].count(r)
    return groups


def drawn(step):
    """A logarithmic axis has no point for step 0: as in the fits, it is half a step."""
    return max(step, 0.5)


def escaped(point):
    return [drawn(step) for step in point["steps"] if step >= 0]


def budgets(point):
    """Steps that the censored members of the point ran."""
    return [drawn(run) for step, run in zip(point["steps"], point["steps_run"]) if step < 0]


def known_points(group):
    """Points at which some member escaped, by ascending scale."""
    return sorted((p for p in group["points"] if p["mean"] is not None), key=lambda p: p["scale"])


def whole_points(group):
    """Those from whose mean no member is missing; all that are known where there are none."""
    known = known_points(group)
    return [p for p in known if not missing(p)] or known


def spread_width(group):
    """Half the width, in decades, over which the seeds of one scale are spread out."""
    logs = sorted(math.log10(p["scale"]) for p in group["points"])
    gaps = [b - a for a, b in zip(logs, logs[1:]) if b > a]
    return min([0.03] + [0.25 * gap for gap in gaps])


def spread_out(scale, count, half_width):
    """`count` offsets around `scale`, evenly filling the width, neighbours far apart."""
    golden = (math.sqrt(5) - 1) / 2
    return [scale * 10 ** (half_width * (2 * (i * golden % 1) - 1)) for i in range(count)]


def curve_scales(group):
    """Scales of a curve: a tenth of a decade beyond the group's."""
    logs = [math.log10(p["scale"]) for p in group["points"]]
    low, high = min(logs) - 0.1, max(logs) + 0.1
    return [10 ** (low + (high - low) * i / 120) for i in range(121)]


def logarithmic_rate(points):
    """Least squares of mean t* on log(1/epsilon), through the mean at the smallest epsilon."""
    decays = [(math.log(points[0]["scale"] / p["scale"]), drawn(p["mean"]) - drawn(points[0]["mean"]))
              for p in points]
    weight = sum(x * x for x, _ in decays)
    return sum(x * y for x, y in decays) / weight if weight > 0 else 0.0


def law_line(group):
    """Theory's law through the mean at the smallest epsilon, where theory is best. For r = 2
    theory gives t* = a + b log(1/epsilon) but not b, which is fitted."""
    points, scales = whole_points(group), curve_scales(group)
    anchor_scale, anchor = points[0]["scale"], drawn(points[0]["mean"])
    if group["law"] == "logarithmic":
        rate = logarithmic_rate(points)
        steps = [anchor + rate * math.log(anchor_scale / scale) for scale in scales]
    else:
        steps = [anchor * (scale / anchor_scale) ** group["predicted"] for scale in scales]
    return scales, [step if step > 0 else None for step in steps]


def fit_line(group):
    """The power law of the fitted slope through the middle of the means."""
    points = whole_points(group)
    x = sum(math.log(p["scale"]) for p in points) / len(points)
    y = sum(math.log(drawn(p["mean"])) for p in points) / len(points)
    ends = [min(p["scale"] for p in group["points"]), max(p["scale"] for p in group["points"])]
    return ends, [math.exp(y + group["slope"] * (math.log(end) - x)) for end in ends]


# --- Words -------------------------------------------------------------------


def half_interval(fitted):
    """Half of the 95% interval; from the standard error where the fit gives no interval."""
    if fitted.get("lower") is not None and fitted.get("upper") is not None:
        return (fitted["upper"] - fitted["lower"]) / 2
    return None if fitted.get("stderr") is None else 1.96 * fitted["stderr"]


def measured_words(slope, error):
    """`-1.00 +- 0.01`: two decimals, more where the error would read 0.00."""
    if slope is None:
        return "no slope"
    if error is None:
        return signed(f"{slope:.2f}")
    decimals = 2 if error <= 0 else min(6, max(2, -math.floor(math.log10(2 * error))))
    rounded = round(slope, decimals) + 0.0  # not minus zero
    return signed(f"{rounded:.{decimals}f}") + f" \u00b1 {error:.{decimals}f}"


def bound_words(group):
    """Where only budgets bound the slope, on one side: `slope <= 0.22 (95%)`; else `no slope`."""
    for side, sign in (("upper", "\u2264"), ("lower", "\u2265")):
        if group.get(side) is not None:
            return f"slope {sign} " + signed(f"{group[side]:.4g}") + " (95%)"
    return "no slope"


def limit_of(group):
    """The slope's limit at epsilon -> 0, where the fit has one."""
    limit = group.get("limit")
    return limit if isinstance(limit, dict) and limit.get("slope") is not None else None


def slope_words(group):
    """What is fitted, and the law: of r = 2 steps a decade, else the slope."""
    rate = group.get("steps_per_decade")
    if group["law"] == "logarithmic" and rate is not None:
        return signed(f"{rate:.4g}") + " steps a decade (law: logarithmic)"
    law = "log" if group["law"] == "logarithmic" else signed(f"{group['predicted']:g}")
    if group["slope"] is None:
        return f"{bound_words(group)}, law {law}"
    return f"slope {measured_words(group['slope'], half_interval(group))} (law {law})"


def limit_words(limit):
    """The limit with what there is of its interval and its goodness of fit (Hotelling's T^2)."""
    words = measured_words(limit["slope"], half_interval(limit))
    if limit.get("chi2") is None or not limit.get("dof"):
        return words
    return f"{words} (T\u00b2 = {limit['chi2']:.1f}, {limit['dof']} degree" \
        f"{'s' if limit['dof'] > 1 else ''} of freedom)"


def anchor_words(groups):
    """Which mean theory's law goes through: the smallest scale's may be missing or not whole."""
    groups = [g for g in groups if known_points(g)]
    if all(whole_points(g)[0]["scale"] == min(p["scale"] for p in g["points"]) for g in groups):
        return r"the smallest $\varepsilon$"
    if any(missing(whole_points(g)[0]) for g in groups):
        return r"the smallest $\varepsilon$ with a mean"
    return r"the smallest $\varepsilon$ where all escaped"


def group_words(group):
    """The lines of a group's legend."""
    yield f"{group.get('name') or '$r$ = ' + str(group['bottleneck'])}: {slope_words(group)}"
    if limit_of(group):
        limit = limit_of(group)
        yield f"  limit {measured_words(limit['slope'], half_interval(limit))}"
    if group["layers"]:
        yield f"  small {group['layers']}"
    if group["censored"]:
        yield f"  {group['censored']} of {group['n']} censored"
    if missing(group) > group["censored"]:
        yield f"  {missing(group) - group['censored']} not known yet"
    if group.get("diverged"):
        yield f"  {group['diverged']} diverged, not drawn"


# --- Series ------------------------------------------------------------------


def look(group):
    if "look" in group:
        return group["look"]
    index = group["bottleneck"] - 3
    return {"colour": index % len(house_style.PALETTE), "marker": index + 3 * group["repeat"]}


def seed_series(group):
    """The more seeds, the fainter."""
    half_width = spread_width(group)
    for point in group["points"]:
        for role, steps in (("faint", escaped(point)), ("carets", budgets(point))):
            if steps:
                yield {"role": role, **look(group), "many": len(steps), "y": steps,
                       "x": spread_out(point["scale"], len(steps), half_width)}


def mean_series(group, label):
    """With two standard errors; hollow where members are missing from the mean."""
    for hollow in (False, True):
        points = [p for p in known_points(group) if bool(missing(p)) == hollow]
        means = [drawn(p["mean"]) for p in points]
        errors = [2 * (p.get("sd") or 0) / math.sqrt(max(p["n"] - p["censored"], 1))
                  for p in points]
        if points or not hollow:
            yield {"role": "marks", **look(group), "hollow": hollow, "label": "" if hollow else label,
                   "x": [p["scale"] for p in points], "y": means,
                   "low": [max(m - e, m / 100) for m, e in zip(means, errors)],
                   "high": [m + e for m, e in zip(means, errors)]}


def line_series(group):
    if not known_points(group):
        return
    if group["slope"] is not None and group["law"] == "power":
        x, y = fit_line(group)
        yield {"role": "line", **look(group), "x": x, "y": y}
    x, y = law_line(group)
    yield {"role": "dash", "colour": -1, "x": x, "y": y}


def key(role, label, colour=-2, **more):
    return {"role": role, "label": label, "colour": colour, "x": [], "y": [], "key": True, **more}


def key_series(groups):
    """What the marks mean that the panels' legends do not name, where there are such."""
    points = [p for g in groups for p in g["points"] if p["mean"] is not None]
    if points:
        yield key("faint", "one seed, jittered sideways")
    if any(not missing(p) for p in points):
        yield key("marks", "mean over seeds \u00b1 2 s.e.", marker=0, low=[], high=[])
    if any(missing(p) for p in points):
        yield key("marks", "mean of the escaped only", hollow=True, marker=0, low=[], high=[])
    if any(g["slope"] is not None and g["law"] == "power" and known_points(g) for g in groups):
        yield key("line", "least-squares line; slope \u00b1 half of 95% interval")
    if points:
        yield key("dash", f"law, through {anchor_words(groups)}", -1)
    if any(missing(g) for g in groups):
        more = "" if all(missing(g) == g["censored"] for g in groups) else " or in training"
        yield key("carets", f"censored{more}, at the steps run")


# --- Panels ------------------------------------------------------------------


def ends(values):
    """Ends of a logarithmic axis that holds `values` with some air."""
    low, high = math.log10(min(values)), math.log10(max(values))
    air = max(0.07 * (high - low), 0.08, 0.2 - (high - low) / 2)
    return [10 ** (low - air), 10 ** (high + air)]


def time_panel(title, groups, limits):
    series = [s for g in groups for s in seed_series(g)]
    for g in groups:
        series += [*mean_series(g, "\n".join(group_words(g))), *line_series(g)]
    return {"title": title, "x": r"initialisation scale $\varepsilon$",
            "y": "escape time $t^*$ (steps)", "scale": "loglog", **limits,
            "series": series + list(key_series(groups))}


def local_slopes(group):
    """(scale at the middle over the largest, local slope, ends of its interval), the slopes less
    the law's, between neighbours: the fit's own."""
    largest = max(p["scale"] for p in group["points"])
    scales = sorted(p["scale"] for p in group["points"])
    found = [group.get(name) or [] for name in ("local", "local_lower", "local_upper")]
    if len(found[0]) != len(scales) - 1:
        return
    none = [None] * len(found[0])
    ends_or_none = (f or none for f in found[1:])
    for a, b, slope, low, high in zip(scales, scales[1:], found[0], *ends_or_none):
        if slope is not None:
            ends = [slope if end is None else end for end in (low, high)]
            yield [math.sqrt(a * b) / largest, *(v - group["predicted"] for v in (slope, *ends))]


def slope_series(group, sideways):
    """Local slopes, the window's slope and the limit of one group, less the law's slope."""
    limit, law = limit_of(group), group["predicted"]
    scales = [p["scale"] for p in group["points"]]
    x, y, low, high = zip(*local_slopes(group)) if list(local_slopes(group)) else [()] * 4
    yield {"role": "marks", **look(group), "x": list(x), "y": list(y), "low": list(low),
           "high": list(high)}
    if group["slope"] is not None:
        yield {"role": "line", **look(group), "y": [group["slope"] - law] * 2,
               "x": [min(scales) / max(scales), 1]}
    width = half_interval(limit) or 0
    yield {"role": "marks", **look(group), "hollow": True, "x": [sideways],
           "y": [limit["slope"] - law], "low": [limit["slope"] - width - law],
           "high": [limit["slope"] + width - law]}


def slope_panel(groups):
    """Local slopes over the window, the fitted slope, and the limit at epsilon -> 0."""
    groups = [g for g in groups if limit_of(g)]
    series = [s for i, g in enumerate(groups) for s in slope_series(g, -0.02 * i)]
    grey = {"colour": -2, "x": [], "y": [], "marker": look(groups[0])["marker"]}
    bars = {"low": [], "high": []}
    series += [{"role": "marks", "label": "local slope, 95% interval", **grey, **bars},
               {"role": "marks", "label": r"limit at $\varepsilon\to 0$, 95% interval",
                "hollow": True, **grey, **bars}]
    if any(g["slope"] is not None for g in groups):
        series.append({"role": "line", "label": "slope of the whole window", **grey})
    return {"title": "local slopes, their limit", "scale": "linear", "zero": 0, "series": series,
            "x": r"$\varepsilon$ / largest $\varepsilon$ of the group",
            "y": "slope \u2212 law's slope"}


class Drawing:
    """The sheet of an OBJECT, and what its caption tells."""

    def __init__(self, given):
        self.given, everything = given, groups_to_draw(given)
        self.unfinished = given.get("unfinished") or []
        self.thresholds = thresholds_of(everything)
        self.difference = difference(everything)
        self.alike = len(self.thresholds) > 1 and self.difference < ALIKE
        middle = self.thresholds[(len(self.thresholds) - 1) // 2]
        self.shown = [middle] if self.alike else chosen_thresholds(self.thresholds)
        self.keys = varied_keys(everything)
        self.panels = [named([g for g in everything if g["threshold"] == t]) for t in self.shown]
        self.titles = [self.title(t) for t in self.shown]
        self.left_out = 0
        if everything[0].get("grid"):
            self.divide(everything)
        self.groups = [g for panel in self.panels for g in panel]
        self.others = [g for g in everything if g["threshold"] not in self.shown]

    def divide(self, everything):
        """Panels of a grid: the first two varied keys are colour and marker, the others and the
        small layers, where they vary, have a panel each."""
        set_looks(everything, self.keys)
        rest = self.keys[2:]
        small = {(g["bottleneck"], tuple(g.get("small_layers") or [])) for g in everything}
        several = len({r for r, _ in small}) > 1
        panels = {}
        for title, groups in zip(self.titles, self.panels):
            for g in groups:
                g["name"] = point_words(g, self.keys[:2])
                words = [title, f"$r$ = {g['bottleneck']}" if several else "",
                         g["layers"] if len(small) > 1 else "", point_words(g, rest)]
                panels.setdefault(", ".join(w for w in words if w), []).append(g)
        self.left_out = max(len(panels) - GRID_PANELS_MAX, 0)
        self.titles = list(panels)[:GRID_PANELS_MAX]
        self.panels = list(panels.values())[:GRID_PANELS_MAX]

    def title(self, threshold):
        words = []
        if self.alike:
            words.append(f"loss threshold {threshold:g} (others alike)")
        elif len(self.thresholds) > 1 or self.limits():
            words.append(f"loss threshold {threshold:g}")
        if self.unfinished:
            finished, members = (sum(u[k] for u in self.unfinished) for k in ("finished", "members"))
            words.append(f"unfinished: {finished} of {members} members")
        return "; ".join(words)

    def limits(self):
        """The groups of the panel of local slopes."""
        if len(self.panels) > len(self.shown):
            return []  # of a grid with several panels
        return [g for g in self.panels[(len(self.shown) - 1) // 2] if limit_of(g)]

    def sheet(self):
        points = [p for g in self.groups for p in g["points"]]
        limits = {"xlim": ends([p["scale"] for p in points]),
                  "ylim": ends([s for p in points for s in escaped(p) + budgets(p)])}
        titles = self.titles if self.left_out or len(self.panels) > len(self.shown) else \
            [self.title(t) for t in self.shown]
        panels = [time_panel(t, g, limits) for t, g in zip(titles, self.panels)]
        if self.limits():
            panels.append(slope_panel(self.panels[(len(self.shown) - 1) // 2]))
        return {"panels": panels, "caption": "\n".join(self.caption())}

    def caption(self):
        yield " ".join(self.sentences())
        yield "Slopes of log t* on log \u03b5, \u00b1 half of their 95% interval over seeds. " + \
            self.slopes(self.groups)
        if self.others:
            yield "At thresholds that are not drawn. " + self.slopes(self.others)
        if self.given.get("command"):
            yield f"Made by: {self.given['command']}"

    def slopes(self, groups):
        """A sentence for each group."""
        return " ".join(self.slope_sentence(g) for g in groups)

    def slope_sentence(self, group):
        layers = layers_words(group.get("small_layers") or [])
        threshold = f"threshold {group['threshold']:g}" if len(self.thresholds) > 1 else ""
        point = point_words(group, group.get("grid") or {})
        who = ", ".join(w for w in (point, f"r = {group['bottleneck']}", layers, threshold) if w)
        limit = limit_of(group)
        more = f", limit at \u03b5 \u2192 0 {limit_words(limit)}" if limit else ""
        return f"{who}: {slope_words(group)}{more}."

    def sentences(self):
        title = "".join(c if c.isprintable() else " " for c in str(self.given.get("title", "")))
        if title.strip():
            yield "Sweep " + title.strip().replace("$", r"\$") + ":"
        yield "Escape time t*, in steps of gradient descent, against the initialisation scale \u03b5 " \
            "of the small layers; both axes logarithmic."
        if self.given.get("setup"):
            yield setup_sentence(self.given["setup"])
        yield from self.threshold_sentences()
        yield from self.key_sentences()
        yield from self.mark_sentences()

    def threshold_sentences(self):
        if self.alike:
            rest = ", ".join(f"{t:g}" for t in self.thresholds if t not in self.shown)
            yield f"Loss threshold {self.shown[0]:g}; times at {rest} differ by at most " \
                f"{100 * self.difference:.1f}% and are not drawn."
        elif len(self.shown) < len(self.thresholds):
            yield f"{len(self.shown)} of {len(self.thresholds)} thresholds."
        elif len(self.shown) == 1:
            yield f"Loss threshold {self.shown[0]:g}."

    def key_sentences(self):
        shown = list(zip(("Colours", "Markers"), self.keys))
        for what, key in shown:
            values = ", ".join(value_words(key, v).split(" = ")[-1] for v in sorted_values(self.groups, key))
            yield f"{what}: {key} ({values})."
        if self.keys[2:]:
            yield f"Panels: {', '.join(self.keys[2:])}."
        if self.left_out:
            yield f"{self.left_out} more panels are not drawn."

    def mark_sentences(self):
        seeds = sorted({p["n"] for g in self.groups for p in g["points"]})
        many = f"{seeds[0]}" if seeds[0] == seeds[-1] else f"{seeds[0]} to {seeds[-1]}"
        jitter = 10 ** max(spread_width(g) for g in self.groups if g["points"]) - 1
        yield f"Dots: single seeds, {many} at each scale, spread sideways by up to " \
            f"{100 * jitter:.0f}% so that they can be seen (jitter). Marks: means over seeds with " \
            "two standard errors."
        if any(missing(p) and p["mean"] is not None for g in self.groups for p in g["points"]):
            yield "Hollow: mean of those that escaped, where some did not."
        if any(missing(g) for g in self.groups):
            yield "Carets: networks that did not escape, at the steps that they ran."
        for run in self.unfinished:
            yield run["text"].replace("$", r"\$") + "."
        if any(g["slope"] is not None and g["law"] == "power" for g in self.groups):
            yield "Solid: least-squares line."
        yield "Dashed: theory's law t* ~ \u03b5^-(r-2) through the mean at " \
            f"{anchor_words(self.groups)}, towards which theory gets better (r = 2: a + b log(1/\u03b5) with b fitted)."
        if self.limits():
            yield from self.limit_sentences()

    def limit_sentences(self):
        apart = "; set apart sideways" if len(self.limits()) > 1 else ""
        letter = chr(ord("a") + len(self.shown))
        yield f"({letter}): local slopes between neighbouring scales less the law's slope, with " \
            "their 95% intervals; the slope of the whole window (line); its limit at " \
            f"\u03b5 \u2192 0 with its 95% interval (hollow{apart})."
        without = [g for g in self.panels[(len(self.shown) - 1) // 2] if not limit_of(g)]
        if without:
            names = ", ".join(sorted({g.get("name") or f"r = {g['bottleneck']}" for g in without}))
            yield f"Not in ({letter}), because the fit has no limit of a slope there: {names}."


def setup_sentence(setup):
    """The properties that all networks share; swept keys are omitted."""
    words = {"layers": "L = {} layers", "width": "width N = {}", "init": "initialised {}",
             "batch": "batch B = {}", "rate": "rate \u03b7 = {:g}"}
    parts = [form.format(setup[name]) for name, form in words.items() if setup.get(name) is not None]
    known = setup.get("activation")
    who = f"{activation_name(known)} networks" if known else "Networks"
    return f"{who} of " + ", ".join(parts) + "." if parts and parts[0].startswith("L") else \
        f"{who}" + (": " + ", ".join(parts) if parts else "") + "."


def plot(arguments):
    if not 1 <= len(arguments) <= 3:
        raise DrawingError(2, "usage: python3 plot.py FIG [WIDTH [CAPTION]] < OBJECT")
    figure, width, caption = (arguments + ["", ""])[:3]
    form = figure_format(figure)
    sheet = Drawing(read_object(sys.stdin.buffer)).sheet()
    image = house_style.render(sheet, form, width)
    if caption:
        publish(caption, house_style.caption_text(sheet).encode())
    publish(figure, image)


def main():
    return guarded("plot", lambda: plot(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
