# SPDX-License-Identifier: Apache-2.0
"""Results as xarray.Datasets: the variables, coordinates and attributes of the result file."""
from __future__ import annotations

import functools
import json
import os
from typing import Any, Iterable, Mapping, NamedTuple, Sequence, Union

import numpy as np
import pandas
import xarray

from ._library import InputError, check, encoded, ffi, lib, record, released, text, warn

Results = Union[xarray.Dataset, str, os.PathLike]

DTYPE = {value: np.dtype(name.removeprefix("ESC_TYPE_").lower())
         for value, name in ffi.typeof("esc_type").elements.items()}
TYPE = {dtype: number for number, dtype in DTYPE.items()}
# Of record.weights, with the dimension along which each has entries.
MOMENTS = {"start": (), "snapshots": ("snapshot",), "escape": ("threshold",), "end": ()}
OWN = ("Conventions", "members", "digest")  # attributes that the library makes itself


def owned(out: Any) -> Any:
    """The results behind an esc_results **, freed with the last reference to them."""
    return ffi.gc(out[0], lib.esc_results_free)


# ---- results to Dataset ----


class _Memory:
    """Memory of the library that NumPy looks at; it keeps the results alive."""

    def __init__(self, owner: Any, column: Any) -> None:
        dtype = DTYPE[column.type]
        self.owner = owner
        self.__array_interface__ = {
            "version": 3, "typestr": dtype.str, "shape": tuple(column.length[0:column.rank]),
            "data": (int(ffi.cast("uintptr_t", column.data)), False)}


def _values(results: Any, column: Any) -> np.ndarray:
    """(length of each dimension) the column's own memory, not a copy."""
    if 0 in column.length[0:column.rank]:
        return np.empty(tuple(column.length[0:column.rank]), DTYPE[column.type])
    return np.asarray(_Memory(results, column))


def _flags() -> dict[str, Any]:
    """CF's attributes of the variable `status`."""
    statuses = sorted(ffi.typeof("esc_member_status").elements.items())
    return {"flag_values": np.array([value for value, _ in statuses], np.int32),
            "flag_meanings": " ".join(name.removeprefix("ESC_MEMBER_").lower() for _, name in statuses)}


def _digest(results: Any) -> str:
    digest = ffi.new("char[]", lib.ESC_CHECKSUM_TEXT_SIZE)
    check(lib.esc_results_checksum(results, digest))
    return text(digest)


def _attributes(results: Any) -> dict[str, Any]:
    names = [lib.esc_results_attribute_name(results, i) for i in range(lib.esc_results_count_attributes(results))]
    return {"Conventions": "CF-1.10",
            **{text(name): text(lib.esc_results_attribute_text(results, name)) for name in names},
            "members": np.int64(lib.esc_results_count_members(results)), "digest": _digest(results)}


def _columns(results: Any) -> Iterable[Any]:
    for index in range(lib.esc_results_count_columns(results)):
        column = ffi.new("esc_column *")
        check(lib.esc_results_column(results, index, column))
        yield column


def _swept(attributes: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """A variable for each key of the sweep's grid, as in the result file: network_width(member)."""
    if "point" not in variables:
        return {}
    grid, point = json.loads(attributes["grid"]), variables["point"][1]
    columns = zip(*grid["points"])
    found = {}
    for key, values in zip(grid["keys"], columns):
        kinds = {type(value) for value in values}
        dtype = object if str in kinds else np.float64 if float in kinds else np.int64
        about = {"long_name": f"{key} of the member's point of the grid"}
        if dtype is not object:
            about["units"] = "1"
        found[key.replace(".", "_")] = (["member"], np.array(values, dtype)[point], about)
    return found


def dataset_of(results: Any) -> xarray.Dataset:
    """A Dataset whose arrays are the memory of `results` (from `owned`)."""
    coordinates, variables = {}, {}
    for column in _columns(results):
        name = text(column.name)
        attributes = {"units": text(column.units), "long_name": text(column.long_name)}
        if name == "status":
            attributes.update(_flags())
        into = coordinates if column.coordinate else variables
        into[name] = ([text(d) for d in column.dimension[0:column.rank]], _values(results, column),
                      attributes)
    attributes = _attributes(results)
    variables.update(_swept(attributes, variables))
    return xarray.Dataset(variables, coordinates, attributes)


# ---- Dataset to results ----


class _Layout(NamedTuple):
    dimensions: tuple[str, ...]
    dtype: np.dtype


@functools.cache
def _layouts(layers: int) -> Mapping[str, _Layout]:
    """Dimensions and dtype of every variable that a result with so many layers can have."""
    one = {name: np.ones(1, dtype) for name, dtype in (
        ("threshold", np.float64), ("seed", np.int64), ("bottleneck", np.int32), ("scale", np.float64),
        ("steps_run", np.int64), ("snapshot", np.int64))}
    one["escape_step"] = np.ones((1, 1), np.int64)
    one["point"] = np.zeros(1, np.int32)
    one["layer"] = np.arange(1, layers + 1, dtype=np.int32)
    for moment, along in MOMENTS.items():
        for layer in one["layer"]:
            one[f"weights_{moment}_{layer}"] = np.ones((1,) * (3 + len(along)), np.float32)
    grid = {"grid": json.dumps({"keys": ["network.width"], "points": [[1]]})}
    return {text(column.name): _Layout(tuple(text(d) for d in column.dimension[0:column.rank]),
                                       DTYPE[column.type]) for column in _columns(_build(one, grid))}


def _build(arrays: Mapping[str, np.ndarray], attributes: Mapping[str, str]) -> Any:
    """esc_results of arrays, which are copied."""
    columns, keep = ffi.new("esc_column[]", len(arrays)), []
    for column, (name, values) in zip(columns, arrays.items()):
        keep.append(ffi.new("char[]", encoded(name)))
        column.name, column.type, column.rank = keep[-1], TYPE[values.dtype], values.ndim
        column.data = ffi.cast("void *", values.ctypes.data)
        column.length[0:values.ndim] = list(values.shape)
    texts = ffi.new("esc_text_attribute[]", len(attributes))
    for attribute, (name, value) in zip(texts, attributes.items()):
        keep += [ffi.new("char[]", encoded(name)), ffi.new("char[]", encoded(value))]
        attribute.name, attribute.text = keep[-2:]
    out = ffi.new("esc_results **")
    check(lib.esc_results_build(len(columns), columns, len(texts), texts, out))
    return owned(out)


def _array(variable: xarray.DataArray, layout: _Layout) -> np.ndarray:
    """The variable's numbers in a result's layout. A dimension that a selection took away comes back
    with length 1; whole numbers that a selection made floats become whole again."""
    name = variable.name
    for dimension in layout.dimensions:
        if dimension not in variable.dims:
            variable = variable.expand_dims(dimension)
    if set(variable.dims) != set(layout.dimensions):
        raise InputError(f"results: variable {name} has the dimensions {', '.join(variable.dims)}; "
                         f"allowed: {', '.join(layout.dimensions)}")
    values = variable.transpose(*layout.dimensions).values
    if values.dtype.kind not in "biufO":
        raise InputError(f"results: variable {name} has the type {values.dtype}; allowed: numbers")
    if layout.dtype.kind == "i" and values.dtype.kind == "f":
        missing = np.isnan(values)
        if missing.any() and name != "escape_step":
            raise InputError(f"results: variable {name} has missing values; select members with "
                             "drop=True")
        values = np.where(missing, -1, values)
        if not np.array_equal(values, np.trunc(values)):
            raise InputError(f"results: variable {name} has values that are not whole numbers")
    converted = np.ascontiguousarray(values, layout.dtype)
    if layout.dtype == np.float32 and values.dtype == np.float64:
        exact = np.array_equal(converted, values, equal_nan=True)
    else:
        exact = layout.dtype.kind == "f" or np.array_equal(converted, values)
    if not exact:
        raise InputError(f"results: variable {name} has values that {layout.dtype} does not hold")
    return converted


def _in_order(data: xarray.Dataset) -> xarray.Dataset:
    """The Dataset with snapshots, layers and interfaces ascending, as results have them. Layers and
    interfaces are numbered from 1 without a gap."""
    for name in ("snapshot", "layer", "interface"):
        if name not in data.indexes:
            continue
        if not data.indexes[name].is_monotonic_increasing:
            data = data.sortby(name)
        if name != "snapshot" and not np.array_equal(data[name], np.arange(1, data.sizes[name] + 1)):
            raise InputError(f"results: {name} is {data[name].values.tolist()}; allowed: 1, 2, ...")
    return data


def results_of(data: Results) -> Any:
    """The library's results: of a file, or of a Dataset that has (at least) what fits need."""
    if isinstance(data, (str, os.PathLike)):
        out, verified = ffi.new("esc_results **"), ffi.new("bool *")
        check(lib.esc_results_read(encoded(data), verified, out))
        if not verified[0]:
            warn(f"{os.fspath(data)}: the checksum is missing or wrong, so the numbers are not verified")
        return owned(out)
    if not isinstance(data, xarray.Dataset):
        raise TypeError(f"results are an xarray.Dataset or a file, not {type(data).__name__}")
    layouts, data = _layouts(max(2, data.sizes.get("layer", 0))), _in_order(data)
    arrays = {name: _array(data[name], layouts[name]) for name in layouts if name in data.variables}
    return _build(arrays, {name: value for name, value in data.attrs.items()
                           if isinstance(value, str) and name not in OWN})


def weights(data: Results, moment: str = "end") -> list[np.ndarray]:
    """Recorded weights of all networks (``record={"weights": ["end"]}``), layer by layer.

    Parameters
    ----------
    data : Dataset or path
    moment : {"start", "snapshots", "escape", "end"}
        When they were recorded.

    Returns
    -------
    list of numpy.ndarray
        For each layer, from the input, (member, row, column) in float32: the matrices W_l, whose rows are
        the layer's units. "snapshots" has (member, snapshot, row, column), "escape" (member, threshold,
        row, column), NaN where there are none; a dimension that ``sel`` took away is absent. They are
        the memory of a Dataset, not a copy.
    """
    if not isinstance(data, xarray.Dataset):
        data = open(data)
    found = [word for word in MOMENTS if f"weights_{word}_1" in data.variables]
    if moment not in found:
        raise InputError(f"weights: is {moment!r}; recorded: {', '.join(found) or 'none'} (record.weights)")
    layers = []
    while f"weights_{moment}_{len(layers) + 1}" in data.variables:
        layers.append(data[f"weights_{moment}_{len(layers) + 1}"].values)
    return layers


def name_of(data: Results) -> str:
    """The results' name in messages: their file, if there is one."""
    if isinstance(data, xarray.Dataset):
        return str(data.encoding.get("source") or data.attrs.get("name") or "results")
    return os.fspath(data)


class Several:
    """Results as the library takes several of them."""

    def __init__(self, data: Sequence[Results]) -> None:
        self.names = [ffi.new("char[]", encoded(name_of(one))) for one in data]
        self.results = [results_of(one) for one in data]
        self.count = len(data)
        self.name = ffi.new("char *[]", self.names)
        self.pointer = ffi.new("esc_results *[]", self.results)


# ---- files, shards, differences ----


def open(path: Union[str, os.PathLike, Sequence[Union[str, os.PathLike]]]) -> xarray.Dataset:
    """A result file, or the shards of one sweep joined.

    The file's checksum is verified; of a file that another program wrote or changed the variables
    that fits need are read.

    Parameters
    ----------
    path : path or sequence of paths

    Returns
    -------
    xarray.Dataset
        With the names, types and attributes of ``xarray.open_dataset(path)``, in memory.
    """
    if isinstance(path, (str, os.PathLike)):
        found = dataset_of(results_of(path))
        found.encoding["source"] = os.path.abspath(path)
        return found
    return merge(*path)


def merge(*parts: Results, output: Union[str, os.PathLike, None] = None,
          force: bool = False) -> xarray.Dataset:
    """The shards of one sweep joined to the result of the whole, equal to it in every bit.

    Parameters
    ----------
    *parts : Dataset or path
        All shards, in any order.
    output : path
        A file for the result.
    force : bool
        Replace a file that is there.
    """
    if output is not None and not force and os.path.lexists(encoded(output)):
        raise InputError(f"{os.fspath(output)}: exists already; force=True replaces it")
    several, out = Several(parts), ffi.new("esc_results **")
    check(lib.esc_results_merge(several.count, several.pointer, several.name, out))
    results = owned(out)
    if output is not None:
        check(lib.esc_results_write(results, encoded(output)))
    return dataset_of(results)


def save(data: xarray.Dataset, path: Union[str, os.PathLike]) -> None:
    """Writes results as a result file, or replaces it, in one step: a crash leaves the old file or
    the new one."""
    check(lib.esc_results_write(results_of(data), encoded(path)))


def compare(first: Results, second: Results) -> pandas.DataFrame:
    """Differences of two results of one sweep, variable by variable.

    Returns
    -------
    pandas.DataFrame
        name, values, equal (the same bits), censored_in_one (of escape_step: censored in one result alone), absolute and
        relative (the largest difference). ``attrs["different"]``: variables that are not equal.
    """
    several, out = Several((first, second)), ffi.new("esc_comparison *")
    check(lib.esc_results_compare(several.results[0], several.results[1], several.name, out))
    with released(out, lib.esc_comparison_free):
        rows = pandas.DataFrame([vars(record(out.row[i])) for i in range(out.rows)])
        rows.attrs["different"] = out.different
        return rows
