# SPDX-License-Identifier: Apache-2.0
"""Fits of escape times, and what the theory assumes of a plateau, measured."""
from __future__ import annotations

import contextlib
import json
from typing import Any, Iterator

import pandas

from ._library import array, check, constants, encoded, ffi, fields, lib, printed, text
from .results import Results, Several, name_of, results_of


def small_layers(mask: int) -> tuple[int, ...]:
    """Layers of a mask, counted from 1.

    >>> small_layers(0b1101)
    (1, 3, 4)
    """
    return tuple(layer + 1 for layer in range(lib.ESC_LAYERS_MAX) if mask >> layer & 1)


@contextlib.contextmanager
def fitted(data: tuple[Results, ...]) -> Iterator[Any]:
    """The library's groups, until the end of the block."""
    several, out = Several(data), ffi.new("esc_fit *")
    check(lib.esc_results_fit(several.count, several.pointer, several.name, out))
    try:
        yield [out.group + i for i in range(out.groups)]
    finally:
        lib.esc_fit_free(out)


def swept_values(group: Any) -> dict[str, Any]:
    """The group's value of each swept key of the sweep's grid, as ``network_width``."""
    found = {}
    for key in (group.key[i] for i in range(group.keys)):
        value = text(key.value)
        found[text(key.name).replace(".", "_")] = json.loads(value) if key.is_number else value
    return found


def group_key(group: Any) -> dict[str, Any]:
    """The values that identify a group."""
    return {**swept_values(group), "bottleneck": group.bottleneck, "small_layers": small_layers(group.small_layers),
            "threshold": group.threshold}


def group_warnings(group: Any) -> tuple[str, ...]:
    """The sentences of a group's warnings."""
    found = (printed(lib.esc_fit_warning_print, group, warning)
             for warning in range(lib.ESC_FIT_WARNINGS))
    return tuple(filter(None, found))


def limit_terms(limit: Any) -> tuple[str, ...]:
    """The correction terms of a limit."""
    return tuple(printed(lib.esc_correction_print, limit.term + i) for i in range(limit.terms))


def _group_row(group: Any) -> dict[str, Any]:
    values = fields(group)
    limit = fields(group.limit)
    limit["terms"] = limit_terms(group.limit)
    del limit["term"]
    for name in ("limit", "points", "warnings", "keys"):
        del values[name]
    values["law"] = text(lib.esc_law_name(group.law))
    values["estimator"] = text(lib.esc_estimator_name(group.estimator))
    return {**values, **group_key(group), **{f"limit_{name}": value for name, value in limit.items()},
            "warnings": group_warnings(group)}


def fit(*data: Results) -> pandas.DataFrame:
    """Slopes of log t* on log epsilon with 95% intervals, a row for each bottleneck, set of small
    layers and threshold, and each point of a grid.

    Members that did not escape count as censored, diverged ones are left out.

    Parameters
    ----------
    *data : Dataset or path
        Results of one experiment; what a selection leaves of them is fitted.

    Returns
    -------
    pandas.DataFrame
        The swept keys of a grid (network_width), bottleneck, small_layers (from 1), threshold, law, predicted, slope, standard_error, lower,
        upper, ..., the limit at epsilon -> 0 as limit_slope, limit_lower, limit_upper, ..., and
        warnings. The C API describes each (``esc_fit_group``, ``esc_limit``).
    """
    with fitted(data) as groups:
        return pandas.DataFrame([_group_row(group) for group in groups])


def points(group: Any) -> list[dict[str, Any]]:
    """The scales of a group, ascending, with the local slope to the next one."""
    found = [fields(group.point[i]) for i in range(group.points)]
    for name in ("local", "local_lower", "local_upper"):
        slopes = array(getattr(group, name), ffi.typeof("double"), max(group.points - 1, 0))
        for point, slope in zip(found, [*slopes.tolist(), float("nan")]):
            point[name] = slope
    return found


def fit_points(*data: Results) -> pandas.DataFrame:
    """The points of `fit`: a row for each group and scale.

    Returns
    -------
    pandas.DataFrame
        bottleneck, small_layers, threshold, scale, n, censored, mean, sd, median (steps), and the
        local slope to the next larger scale with its 95% interval.
    """
    with fitted(data) as groups:
        return pandas.DataFrame([{**group_key(group), **point} for group in groups
                                 for point in points(group)])


# ---- plateaus ----


# Parts of an exponent that are columns.
EXPONENT = ("error", "curvature", "next_order", "low", "high", "snapshots")


def _exponents(plateau_table: Any, index: int) -> dict[str, Any]:
    """Each exponent of a network, and theory's verdict on it."""
    row = {}
    for which in range(lib.ESC_PLATEAU_EXPONENTS):
        name = text(lib.esc_plateau_exponent_name(which))
        network = plateau_table.network + index
        parts = fields(lib.esc_plateau_exponent(ffi.addressof(network, "plateau"), which))
        row[name] = parts["value"]
        row |= {f"{name}_{part}": parts[part] for part in EXPONENT}
        row[f"{name}_verdict"] = printed(lib.esc_plateau_verdict_print, plateau_table, index, which)
    return row


def _network_row(plateau_table: Any, index: int) -> dict[str, Any]:
    network = plateau_table.network[index]
    key = {name: value for name, value in fields(network).items() if name != "plateau"}
    numbers = {name: value for name, value in fields(network.plateau).items()
               if not name.endswith("_exponent")}
    return {**key, **numbers, **_exponents(plateau_table, index)}


@contextlib.contextmanager
def _measured(data: Results, window: float) -> Iterator[Any]:
    results, out = results_of(data), ffi.new("esc_plateau_table *")
    check(lib.esc_plateau_table_measure(results, encoded(name_of(data)), window, out))
    try:
        yield out
    finally:
        lib.esc_plateau_table_free(out)


def plateau(data: Results, window: float = constants["ESC_PLATEAU_WINDOW"]) -> pandas.DataFrame:
    """The theory's assumptions on a plateau, measured from the snapshots of each network.

    Parameters
    ----------
    data : Dataset or path
        A result with snapshots (``record={"every": 100}``).
    window : float
        Of m, the largest operator norm of the small layers.

    Returns
    -------
    pandas.DataFrame
        A row for each network: the numbers of ``esc_plateau``; of an exponent its value as
        ``self_exponent`` (NaN: it cannot be measured), its parts as ``self_exponent_error``, ..., and
        ``self_exponent_verdict``: theory's, or why there is none.
    """
    with _measured(data, window) as out:
        return pandas.DataFrame([_network_row(out, i) for i in range(out.members)])


def plateau_verdicts(data: Results, window: float = constants["ESC_PLATEAU_WINDOW"]) -> pandas.DataFrame:
    """Each number of a plateau over the networks of a group, beside theory's.

    Returns
    -------
    pandas.DataFrame
        A row for each number of each group and scale, then of each group over its scales (scale is
        NaN): name, theory, predicted, networks, measured, min, median, max, estimate,
        estimate_error, ..., verdict.
    """
    with _measured(data, window) as out:
        groups = [out.set[i] for i in range(out.sets)] + [out.group[i] for i in range(out.groups)]
        return pandas.DataFrame([_verdict_row(group, group.row[i]) for group in groups
                                 for i in range(group.rows)])


def _verdict_row(group: Any, row: Any) -> dict[str, Any]:
    values = fields(row)
    estimate = vars(values.pop("estimate"))
    return {"bottleneck": group.bottleneck, "small_layers": small_layers(group.small_layers),
            "scale": group.scale, **values,
            **{"estimate" if name == "value" else f"estimate_{name}": number
               for name, number in estimate.items() if name != "networks"}}
