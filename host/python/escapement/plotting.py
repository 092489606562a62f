# SPDX-License-Identifier: Apache-2.0
"""Pictures of results in the program's style: its drawing scripts, in this process."""
from __future__ import annotations

import math
from typing import Any, Union

import numpy as np
import xarray

from ._library import InputError, fields, lib, text
from .analysis import fitted, group_key, points, swept_values
from .results import Results, dataset_of, results_of


def _none(value: Any) -> Any:
    """As JSON has it: a number that is not defined is None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _limit(group: Any) -> dict[str, Any]:
    """The limit of a slope; of r = 2 it is none, but steps per decade."""
    limit = fields(group.limit)
    is_slope = group.law != lib.ESC_LAW_LOGARITHMIC
    return {"slope": _none(limit["slope"]) if is_slope else None, "dof": limit["dof"],
            "stderr": _none(limit["standard_error"]),
            **{name: _none(limit[name]) for name in ("lower", "upper", "chi2")}}


def _steps(data: list[xarray.Dataset], group: Any, scale: float) -> dict[str, list[int]]:
    """Escape steps (-1: none) and steps of the members at one point of a fit."""
    steps, steps_run = [], []
    for one in data:
        chosen = (one.bottleneck.values == group.bottleneck) & \
            (one.small_layers.values == group.small_layers) & \
            (abs(one.scale.values - scale) <= 1e-12 * scale) & \
            (one.status.values != lib.ESC_MEMBER_DIVERGED)
        for name, value in swept_values(group).items():
            chosen &= one[name].values == value
        column = np.flatnonzero(one.threshold.values == group.threshold)[0]
        steps += one.escape_step.values[chosen, column].tolist()
        steps_run += one.steps_run.values[chosen].tolist()
    return {"steps": steps, "steps_run": steps_run}


def _group(data: list[xarray.Dataset], group: Any) -> dict[str, Any]:
    """A group as the drawing script knows it: the numbers of `fit --json`, and each member's steps."""
    found = points(group)
    numbers = {name: _none(value) for name, value in fields(group).items()}
    local = {name: [_none(point.pop(name)) for point in found][:-1]
             for name in ("local", "local_lower", "local_upper")}
    key = group_key(group)
    swept = {text(group.key[i].name): value for i, value in enumerate(swept_values(group).values())}
    return {**numbers, **key, "grid": swept, "small_layers": list(key["small_layers"]), **local,
            "law": text(lib.esc_law_name(group.law)), "stderr": numbers["standard_error"], "limit": _limit(group),
            "points": [{name: _none(value) for name, value in point.items()}
                       | _steps(data, group, point["scale"]) for point in found]}


def sheet(*data: Results, title: str = "") -> dict[str, Any]:
    """The picture as data, with its caption: what ``escapement plot`` draws."""
    from ._draw import plot as script
    shown = [dataset_of(results_of(one)) for one in data]
    with fitted(data) as groups:
        given = {"title": title, "groups": [_group(shown, group) for group in groups]}
    try:
        return script.Drawing(given).sheet()
    except script.DrawingError as error:
        raise InputError(str(error)) from error


def plot(*data: Results, width: Union[str, float] = "", figure: Any = None) -> Any:
    """Draws t* against epsilon on logarithmic axes: seeds, seed means, least-squares and predicted
    slopes; a panel for each threshold where their times differ, and one of the local slopes.

    Needs matplotlib, whose settings are the program's while it draws.

    Parameters
    ----------
    *data : Dataset or path
        Results of one experiment.
    width : {"single", "double"} or float
        One or two columns of a journal (3.4, 7.0), or inches.
    figure : matplotlib.figure.Figure
        An empty one to draw on; None: a new one of pyplot.

    Returns
    -------
    matplotlib.axes.Axes or numpy.ndarray of Axes
        One for each panel; ``axes.figure.savefig("slopes.png")`` writes the picture.
    """
    import matplotlib
    from matplotlib import pyplot

    from ._draw import house_style
    picture = sheet(*data)
    with matplotlib.rc_context():
        house_style.set_style()
        figure = pyplot.figure() if figure is None else figure
        canvas = figure.canvas
        try:
            house_style.draw(picture, house_style.width_of(picture, str(width)), figure)
        except house_style.DrawingError as error:
            raise InputError(str(error)) from error
        finally:
            figure.set_canvas(canvas)  # that of pyplot, or of a program's window
    axes = np.array(figure.axes)
    return axes[0] if axes.size == 1 else axes
