# SPDX-License-Identifier: Apache-2.0
"""Results written by xarray, packed, with fill values or in other types: `fit` gives the same output as for
the original, or refuses with the name of the variable.

Usage: test_packed.py PROGRAM [unittest arguments]
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import xarray

PROGRAM = os.path.abspath(sys.argv.pop(1))
SCALES = np.repeat([0.1, 0.2, 0.4], 4)
STEPS = np.rint(20 / SCALES * np.tile([1, 1.1, 1.2, 1.3], 3)).astype(int)  # 50 to 260
CENSORED = STEPS > 230  # two of the smallest scale


def table():
    """A result with a censored member, slope near -1."""
    steps = np.where(CENSORED, -1, STEPS)
    return xarray.Dataset(
        {"seed": ("member", np.tile([1, 2, 3, 4], 3)), "bottleneck": ("member", [3] * 12),
         "small_layers": ("member", [7] * 12), "scale": ("member", SCALES),
         "status": ("member", CENSORED.astype(int)),
         "steps_run": ("member", np.where(CENSORED, 230, STEPS)),
         "escape_step": (("member", "threshold"), steps[:, None], {"units": "step"})},
        {"threshold": [0.1]})


class Packed(unittest.TestCase):
    original = None  # what the table gives as it is

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = os.path.join(scratch.name, "a.h5")

    def call(self, data, engine="h5netcdf", **encoding):
        data.to_netcdf(self.path, engine=engine, encoding=encoding)
        return subprocess.run([PROGRAM, "fit", "--json", self.path], capture_output=True, text=True,
                              timeout=60)

    def fit(self, data, *engine, **encoding):
        done = self.call(data, *engine, **encoding)
        self.assertEqual(done.returncode, 0, done.stderr)
        group = json.loads(done.stdout)["groups"][0]
        return group["slope"], group["censored"], group["n"]

    def refused(self, data, *words, **encoding):
        done = self.call(data, **encoding)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr.splitlines()[-1])

    def assert_same(self, data, *engine, within=0.0, **encoding):
        slope, *counts = self.fit(data, *engine, **encoding)
        Packed.original = want, *wanted = Packed.original or self.fit(table())
        self.assertEqual(counts, wanted)
        self.assertLessEqual(abs(slope - want), within)

    def test_axes_in_another_order_are_refused_by_their_names(self):
        self.refused(table().transpose("threshold", "member"),
                     "axis 1 of escape_step is threshold; allowed: member")

    def test_netcdf_of_the_classic_formats_is_refused_by_its_name(self):
        for magic in (b"CDF\1", b"CDF\2", b"CDF\5"):
            with open(self.path, "wb") as file:
                file.write(magic + bytes(60))
            done = subprocess.run([PROGRAM, "fit", self.path], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn("is a netCDF-3 file, not an HDF5 file", done.stderr)

    def test_packed_floats_are_unpacked(self):
        # 16 bits over 0.4 round the smallest scale, 0.1, by 3e-5 of it: 5e-5 of a slope of 1.
        self.assert_same(table(), within=1e-4,
                         scale={"dtype": "int16", "scale_factor": 0.4 / 65000, "add_offset": 0.2,
                                "_FillValue": -32768})

    def test_steps_of_any_sufficient_type_are_equal(self):
        for kind in ("int16", "int32", "int64", "uint16", "float32", "float64"):
            data = table()
            if kind == "uint16":  # which has no -1
                data["escape_step"] = data.escape_step.where(data.escape_step >= 0)
                self.assert_same(data, escape_step={"dtype": kind, "_FillValue": 65535})
            else:
                self.assert_same(data, escape_step={"dtype": kind})

    def test_missing_steps_are_censored(self):
        data = table()
        data["escape_step"] = data.escape_step.where(data.escape_step >= 0)  # NaN, as the README has it
        self.assert_same(data)
        self.assert_same(data, escape_step={"dtype": "int32", "_FillValue": -9999})
        self.assert_same(data, escape_step={"dtype": "int16", "_FillValue": 0, "scale_factor": 0.5})
        self.assert_same(data, "netcdf4", escape_step={"dtype": "uint8", "_FillValue": 255})
        self.assert_same(data, escape_step={"dtype": "int32", "missing_value": 7})

    def test_packed_steps_are_unpacked(self):
        self.assert_same(table(), escape_step={"dtype": "int16", "scale_factor": 0.5, "add_offset": 3.0})

    def test_files_of_netcdf4_are_read(self):
        self.assert_same(table(), "netcdf4", scale={"zlib": True, "dtype": "float64"},
                         escape_step={"zlib": True, "shuffle": True, "fletcher32": True})

    def test_steps_as_times_are_refused(self):
        data = table()
        data["escape_step"] = data.escape_step.astype("timedelta64[s]").astype("timedelta64[ns]")
        data["escape_step"].attrs.clear()
        self.refused(data, "escape_step", "units", "allowed: 'step'")

    def test_invalid_integers_are_refused(self):
        half = table()
        half["escape_step"] = half.escape_step + 0.5
        self.refused(half, "escape_step", "not an integer")
        gone = table()
        gone["seed"] = gone.seed.where(gone.seed != 2)
        self.refused(gone, "seed", "missing")
        wide = table()
        wide["bottleneck"] = wide.bottleneck * 2 ** 40
        self.refused(wide, "bottleneck", "range")
        unsigned = table()
        unsigned["steps_run"] = unsigned.steps_run.astype("uint64") + np.uint64(2**63)
        self.refused(unsigned, "steps_run", "range")

    def test_unknown_conventions_are_refused(self):
        for name, value in (("valid_range", [0, 100]), ("valid_max", 3), ("_Unsigned", "true")):
            data = table()
            data["escape_step"].attrs[name] = value
            self.refused(data, "escape_step", name)

    def test_a_missing_scale_is_refused(self):
        data = table()
        data["scale"] = data.scale.where(data.seed != 3)
        self.refused(data, "scale", "is NaN")

    def test_axes_in_another_order_are_refused(self):
        data = table().isel(member=[0, 4, 8])
        square = data.reindex(threshold=[0.1, 0.2, 0.3], fill_value=-1)
        self.assertEqual(self.call(square).returncode, 0)
        square["escape_step"] = square.escape_step.transpose("threshold", "member")
        self.refused(square, "escape_step", "member")


if __name__ == "__main__":
    unittest.main()
