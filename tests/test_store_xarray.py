# SPDX-License-Identifier: Apache-2.0
"""Checks that xarray opens a result file with both of its engines.

Usage: test_store_xarray.py FILE.h5 (as `test_store --write FILE.h5` makes it).
"""

import csv
import pathlib
import re
import sys
import tempfile

import numpy
import xarray

ENGINES = ("h5netcdf", "netcdf4")
MEMBER = ("member",)

# name: (dimensions, type, units)
VARIABLES = {
    "member": (MEMBER, "int64", "1"),
    "threshold": (("threshold",), "float64", "1"),
    "layer": (("layer",), "int32", "1"),
    "interface": (("interface",), "int32", "1"),
    "seed": (MEMBER, "int64", "1"),
    "group": (MEMBER, "int32", "1"),
    "bottleneck": (MEMBER, "int32", "1"),
    "scale": (MEMBER, "float64", "1"),
    "status": (MEMBER, "int32", "1"),
    "escape_step": (("member", "threshold"), "int64", "step"),
    "steps_run": (MEMBER, "int64", "step"),
    "final_loss": (MEMBER, "float64", "1"),
    "norm2_initial": (("member", "layer"), "float64", "1"),
    "norm2_final": (("member", "layer"), "float64", "1"),
    "ledger_sum": (("member", "interface"), "float64", "1"),
    "ledger_residual": (("member", "interface"), "float64", "1"),
}
COORDINATES = {"member", "threshold", "layer", "interface"}

failures = []


def check(condition, message):
    if not condition:
        failures.append(message)


def check_variable(engine, data, name):
    dimensions, kind, units = VARIABLES[name]
    if name not in data.variables:
        failures.append(f"{engine}: there is no variable {name}")
        return
    variable = data.variables[name]
    check(variable.dims == dimensions, f"{engine}: {name} has dimensions {variable.dims}")
    check(variable.dtype == kind, f"{engine}: {name} has type {variable.dtype}, not {kind}")
    check(variable.attrs.get("units") == units,
          f"{engine}: {name} has units {variable.attrs.get('units')!r}, not {units!r}")


def check_all_described(engine, data):
    for name, variable in data.variables.items():
        check(isinstance(variable.attrs.get("units"), str), f"{engine}: {name} has no units")
        check(isinstance(variable.attrs.get("long_name"), str) and variable.attrs["long_name"],
              f"{engine}: {name} has no long_name")
        check(set(variable.dims) <= COORDINATES, f"{engine}: {name} lies along {variable.dims}")


def check_coordinates(engine, data):
    check(set(data.coords) == COORDINATES, f"{engine}: the coordinates are {sorted(data.coords)}")
    layers = data.sizes["layer"]
    check(data.sizes["interface"] == layers - 1, f"{engine}: interfaces are not one less than layers")
    for name, count in (("layer", layers), ("interface", layers - 1)):
        check(data[name].values.tolist() == list(range(1, count + 1)),
              f"{engine}: {name} does not count from 1")
    check((numpy.diff(data["member"].values) > 0).all(), f"{engine}: members do not ascend")


def check_flags(engine, data):
    values = numpy.asarray(data["status"].attrs.get("flag_values"))
    check(values.tolist() == [0, 1, 2], f"{engine}: status has flag_values {values}")
    check(values.dtype == data["status"].dtype,
          f"{engine}: flag_values have type {values.dtype}, status {data['status'].dtype}")
    check(data["status"].attrs.get("flag_meanings") == "escaped censored diverged",
          f"{engine}: status has flag_meanings {data['status'].attrs.get('flag_meanings')!r}")


def check_escape_step(engine, data):
    step = data["escape_step"]
    check("_FillValue" not in step.encoding and "_FillValue" not in step.attrs,
          f"{engine}: escape_step has a _FillValue")
    check((step.values == -1).any(), f"{engine}: the sample's -1 did not come through")


def check_attributes(engine, data):
    check(data.attrs.get("Conventions") == "CF-1.10",
          f"{engine}: Conventions is {data.attrs.get('Conventions')!r}")
    check(data.attrs.get("members") == data.sizes["member"],
          f"{engine}: members is {data.attrs.get('members')!r}")
    digest = data.attrs.get("digest", "")
    check(isinstance(digest, str) and len(digest) == 16 and set(digest) <= set("0123456789abcdef"),
          f"{engine}: digest is {digest!r}")
    check(len(data.attrs.get("spec", "")) == 200000, f"{engine}: spec did not come whole")
    check(data.attrs.get("command_line", "").startswith('escapement run "größe ε.yaml"'),
          f"{engine}: command_line is {data.attrs.get('command_line')!r}")
    check(data.attrs.get("commit") == "", f"{engine}: commit is {data.attrs.get('commit')!r}")


def check_table(data):
    """The line of docs/start/reading.md that writes a table."""
    page = pathlib.Path(__file__).resolve().parents[1] / "docs/start/reading.md"
    line, = re.findall(r'^run\.drop_dims.*to_csv\("first\.csv"\)$', page.read_text(), re.M)
    with tempfile.TemporaryDirectory() as folder:
        made = f"{folder}/first.csv"
        exec(line.replace("first.csv", made), {"run": data})
        with open(made, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    check(len(rows) == data.sizes["member"] * data.sizes["threshold"], f"the table has {len(rows)} rows")
    for row in rows[:: len(rows) // 50]:
        one = data.sel(member=int(row["member"]), threshold=float(row["threshold"]))
        for name in ("seed", "scale", "escape_step", "final_loss"):
            read, expected = float(row[name] or "nan"), float(one[name])
            check(read == expected or (numpy.isnan(read) and numpy.isnan(expected)),
                  f"table: {name} is {row[name]}, not {expected}")


def check_engine(path, engine):
    with xarray.open_dataset(path, engine=engine) as data:
        data.load()
        for name in VARIABLES:
            check_variable(engine, data, name)
        check_all_described(engine, data)
        check_coordinates(engine, data)
        check_flags(engine, data)
        check_escape_step(engine, data)
        check_attributes(engine, data)
        return data


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    try:
        opened = [check_engine(sys.argv[1], engine) for engine in ENGINES]
        check_table(opened[0])
        check(opened[0].equals(opened[1]), "the engines read different numbers")
        with xarray.open_dataset(sys.argv[1]) as data:
            check(data.load().equals(opened[0]), "without an engine named the numbers differ")
    except Exception as error:  # any way in which opening fails is a failure of the file
        failures.append(f"{type(error).__name__}: {error}")
    for failure in failures:
        print(f"{sys.argv[1]}: {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


main()
