# SPDX-License-Identifier: Apache-2.0
"""Sweeps from Python: specs, runs, results, and that they are the program's.

Usage: test_sweep.py PROGRAM [unittest arguments]
"""
import json
import os
import pathlib
import pickle
import re
import unittest
import warnings

import numpy
import xarray

import escapement
from case import LONG, SPEC, Case, program
from escapement import numpy_reference


class Specs(Case):
    def test_a_sweep_of_keywords_is_that_of_the_file(self):
        sweep = escapement.Sweep(**SPEC)
        self.assertEqual(sweep.members, 15)
        self.assertEqual(sweep.name, "small")
        self.assertEqual(escapement.Sweep.from_yaml(self.spec()), sweep)
        self.assertEqual(escapement.Sweep.from_yaml(sweep.to_yaml()), sweep)
        self.assertEqual(pickle.loads(pickle.dumps(sweep)), sweep)
        self.assertIn("15 members", repr(sweep))
        self.assertIn("smoothing: 0.9", repr(sweep))

    def test_overrides_are_texts_or_keywords(self):
        sweep = escapement.Sweep.from_yaml(self.spec(), "train.batch=64", train={"rate": 1e-05})
        self.assertIn("batch: 64", repr(sweep))
        self.assertEqual(sweep.replace(train={"batch": 32, "rate": 0.05}), escapement.Sweep(**SPEC))

    def test_numpys_numbers_and_arrays_are_values(self):
        keys = {**SPEC, "escape": {**SPEC["escape"], "thresholds": numpy.array([0.1, 0.08])},
                "train": {"rate": numpy.float64(0.05), "batch": numpy.int32(32), "steps": 300}}
        self.assertEqual(escapement.Sweep(**keys), escapement.Sweep(**SPEC))

    def test_what_is_no_value_of_a_spec_is_a_type_error(self):
        with self.assertRaisesRegex(TypeError, "set is no value of a spec"):
            escapement.Sweep(escape={"thresholds": {0.1}})

    def test_every_key_is_described(self):
        found = {key.path: key for key in escapement.keys()}
        self.assertIn("a number", found["train.rate"].allowed)
        self.assertIn("learning rate", found["train.rate"].help)

    def test_errors_have_the_programs_words(self):
        """Of pairs, of a file with its line, of overrides."""
        spec, wrong = self.spec(), self.path("wrong.yaml")
        (self.folder / "wrong.yaml").write_text("network: {layers: 4, width: 8}\ntrain:\n  ratte: 1\n")
        for keys, arguments in (
                ({"network": {"layers": 1}}, ("network.layers=1",)),
                ({"network": {"depth": 3}}, ("network.depth=3",)),
                ({"train": {"rate": "fast"}}, ("train.rate=fast",)),
                ({"bogus": 3}, ("bogus=3",)),
                ({"escape": {"thresholds": [0.1, -1]}}, ("escape.thresholds=[0.1, -1]",))):
            done = program("run", spec, "--dry-run", *arguments, code=2)
            with self.subTest(arguments), self.assertRaises(escapement.InputError) as caught:
                escapement.Sweep.from_yaml(spec, **keys)
            self.assertEqual(f"escapement: {caught.exception}\n", done.stderr)
            self.assertEqual(caught.exception.status, escapement.Status.BAD_INPUT)
            words = str(caught.exception).removeprefix("argument 1: ")
            with self.assertRaisesRegex(ValueError, r"\Aargument \d+: " + re.escape(words) + r"\Z"):
                escapement.Sweep(**{**SPEC, **{section: {**SPEC[section], **value} if section in SPEC
                                               else value for section, value in keys.items()}})
        for path in (wrong, self.path("missing.yaml")):
            done = program("run", path, "--dry-run", code=2)
            with self.assertRaises(ValueError) as caught:
                escapement.Sweep.from_yaml(path)
            self.assertEqual(f"escapement: {caught.exception}\n", done.stderr)

    def test_a_dry_run_has_the_programs_numbers(self):
        found = escapement.Sweep(**SPEC).dry_run(backend="cpu", threads=1)
        want = json.loads(program("run", self.spec(), "--dry-run", "--json", "--backend", "cpu",
                                  "--threads", "1").stdout)
        self.assertEqual((found.members, found.threads, found.backend), (15, 1, "cpu"))
        self.assertEqual(found.host_bytes, want["memory_bytes"])
        self.assertEqual(len(found.cells), 5)
        for cell in found.cells:
            self.assertEqual(cell.threshold_step.shape, (2,))
            self.assertGreater(cell.step, 0)


class Results(Case):
    def test_a_run_gives_the_bits_of_the_program(self):
        ours, theirs = self.path("a.h5"), self.path("b.h5")
        escapement.Sweep(**SPEC).run(ours, backend="cpu", threads=2)
        program("run", self.spec(), "-o", theirs, "--backend", "cpu", "--quiet")
        program("compare", ours, theirs, "--exact")
        self.assertEqual(escapement.compare(ours, theirs).attrs["different"], 0)

    def test_a_dataset_is_what_xarray_opens(self):
        """Names, order, types and attributes, with snapshots; of the run and of open."""
        path = self.path("a.h5")
        sweep = escapement.Sweep(**SPEC, record={"every": 100})
        returned = sweep.run(path, backend="cpu")
        with xarray.open_dataset(path, engine="h5netcdf") as want:
            for found in (returned, escapement.open(path)):
                xarray.testing.assert_identical(found, want)
                self.assertEqual(list(found.data_vars), list(want.data_vars))
                self.assertEqual(list(found.coords), list(want.coords))
                self.assertEqual(list(found.attrs), list(want.attrs))
                for name, variable in want.variables.items():
                    self.assertEqual(found[name].dtype, variable.dtype, name)
                    self.assertEqual({k: type(v) for k, v in found[name].attrs.items()},
                                     {k: type(v) for k, v in variable.attrs.items()}, name)
                self.assertEqual(found.encoding["source"], path)
        self.assertIn("snapshot", returned.dims)

    def test_a_grid_has_its_swept_keys(self):
        grid = {"network.width": [4, 6], "network.activation": ["tanh", "gelu"]}
        swept = {**SPEC, "sweep": {**SPEC["sweep"], "seeds": 2, "grid": grid}}
        path = self.path("grid.h5")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", escapement.EscapementWarning)  # of false escapes
            found = escapement.Sweep(**swept).run(path, progress=False, backend="cpu")
        with xarray.open_dataset(path, engine="h5netcdf") as opened:
            xarray.testing.assert_identical(found, opened)
        table = escapement.fit(found.where(found.network_width == 6, drop=True))
        self.assertEqual(set(zip(table.network_width, table.network_activation)), {(6, "tanh"), (6, "gelu")})

    def test_arrays_are_the_librarys_memory_and_outlive_all_else(self):
        data = escapement.Sweep(**SPEC).run(backend="cpu")
        steps = data.escape_step.values
        self.assertFalse(steps.flags.owndata)
        want = steps.copy()
        del data
        escapement.Sweep(**SPEC).run(backend="cpu")
        numpy.testing.assert_array_equal(steps, want)

    def test_without_an_output_nothing_is_written(self):
        before, here = os.getcwd(), self.folder
        os.chdir(here)
        self.addCleanup(os.chdir, before)
        sweep = escapement.Sweep(**SPEC)
        data = sweep.run(backend="cpu")
        self.assertEqual(list(here.iterdir()), [])
        self.assertEqual(sweep.report.members, data.sizes["member"])
        self.assertLess(sweep.report.ledger_residual_max, sweep.report.ledger_bound)

    def test_a_dataset_comes_back_as_a_file_and_as_another_programs(self):
        data = escapement.Sweep(**SPEC).run(backend="cpu")
        escapement.save(data, self.path("a.h5"))
        program("info", self.path("a.h5"))
        xarray.testing.assert_identical(escapement.open(self.path("a.h5")), data)
        data.to_netcdf(self.path("b.h5"), engine="h5netcdf")
        with self.assertWarnsRegex(escapement.EscapementWarning, "b.h5: the checksum is missing") as caught:
            other = escapement.open(self.path("b.h5"))
        self.assertEqual(caught.filename, __file__)
        self.assertIn(str(caught.warning), program("fit", self.path("b.h5")).stderr)
        self.assertEqual(escapement.compare(other, data).attrs["different"], 0)

    def test_shards_are_joined_to_the_whole(self):
        sweep = escapement.Sweep(**SPEC)
        whole = sweep.run(backend="cpu")
        paths = [self.path(f"{i}.h5") for i in range(3)]
        parts = [sweep.run(path, backend="cpu", shard=(i, 3)) for i, path in enumerate(paths)]
        for joined in (escapement.open(paths), escapement.merge(*reversed(parts)),
                       escapement.merge(*paths, output=self.path("all.h5"))):
            self.assertEqual(escapement.compare(joined, whole).attrs["different"], 0)
        xarray.testing.assert_identical(escapement.open(self.path("all.h5")), escapement.open(paths))
        with self.assertRaisesRegex(escapement.InputError, "exists already"):
            escapement.merge(*paths, output=self.path("all.h5"))
        with self.assertRaisesRegex(escapement.InputError, "shard"):
            escapement.merge(*paths[:2])

    def test_weights_are_arrays_that_survive_files_shards_and_selections(self):
        sweep = escapement.Sweep(**SPEC).replace("record.per_decade=1", train={"momentum": 0.5},
                                                 record={"weights": ["start", "snapshots", "escape", "end"]})
        data = sweep.run(self.path("a.h5"), backend="cpu")
        self.assertGreater(sweep.dry_run().weights_bytes, 0)
        shapes = [w.shape for w in escapement.weights(data, "escape")]
        self.assertEqual(shapes, [(15, 2, 8, 8)] * 3 + [(15, 2, 1, 8)])
        self.assertEqual(data.weights_snapshots_4.dims, ("member", "snapshot", "output", "unit_below"))
        for member in (0, 14):
            scales = [float(data.scale[member])] * int(data.bottleneck[member]) + [1.0] * 4
            drawn = numpy_reference.initial_weights(int(data.seed[member]), scales[:4], 8, 8)
            for got, want in zip(escapement.weights(data.isel(member=member), "start"), drawn, strict=True):
                numpy.testing.assert_allclose(got, want, rtol=1e-6, atol=2e-6)
        parts = [sweep.run(backend="cpu", shard=(i, 2)) for i in range(2)]
        escapement.save(data, self.path("b.h5"))
        for same in (self.path("a.h5"), self.path("b.h5"), escapement.merge(*parts)):
            rows = escapement.compare(same, data)
            self.assertEqual(rows.attrs["different"], 0)
            self.assertEqual(rows.name.str.startswith("weights_").sum(), 16)
        escapement.save(data.isel(member=[0, 7], threshold=1, snapshot=slice(2)), self.path("c.h5"))
        kept = escapement.open(self.path("c.h5"))
        numpy.testing.assert_array_equal(kept.weights_escape_2[:, 0], data.weights_escape_2[[0, 7], 1])
        self.assertEqual(escapement.fit(data).to_csv(), escapement.fit(self.path("a.h5")).to_csv())
        on = sweep.replace(init={"scheme": "file", "file": self.path("b.h5"), "weights": "end"}).run(backend="cpu")
        self.assertTrue(numpy.array_equal(on.weights_start_1, data.weights_end_1))
        self.check_refused_weights(data)

    def check_refused_weights(self, data):
        for wrong, words in ((data.drop_vars("weights_end_2"), "weights_end_1 without weights_end_2"),
                             (data.isel(unit=slice(4)), "has not the type or shape"),
                             (data.isel(unit=slice(None, None, -1)), "unit is 8"),
                             (data.assign(weights_end_1=data.weights_end_1.astype(float) / 3), "float32 does not")):
            with self.assertRaisesRegex(escapement.InputError, words):
                escapement.save(wrong, self.path("d.h5"))
        with self.assertRaisesRegex(escapement.InputError, "'first'; recorded: start, snapshots, escape, end"):
            escapement.weights(data, "first")
        with self.assertRaisesRegex(escapement.InputError, "is not supported with record.weights"):
            escapement.Sweep.from_yaml(data.spec, sweep={"grid": {"train.rate": [0.05, 0.04]}})

    def test_what_is_no_result_is_refused(self):
        data = escapement.Sweep(**SPEC).run(backend="cpu")
        for wrong, words in ((data.drop_vars("escape_step"), "escape_step"),
                             (data.rename(member="seed_number"), "escape_step|dimension"),
                             (data.where(data.bottleneck == 3), "drop=True"),
                             (data.assign(seed=data.seed + 0.5), "whole")):
            with self.assertRaisesRegex(escapement.InputError, words):
                escapement.fit(wrong)
        with self.assertRaises(TypeError):
            escapement.fit(data.to_dataframe())
        (self.folder / "text.h5").write_text("no result")
        done = program("fit", self.path("text.h5"), code=2)
        with self.assertRaises(escapement.InputError) as caught:
            escapement.open(self.path("text.h5"))
        self.assertEqual(f"escapement: {caught.exception}\n", done.stderr)

    def test_layers_interfaces_and_snapshots_may_be_in_any_order(self):
        data = escapement.Sweep(**SPEC).replace(record={"every": 5}).run(backend="cpu")
        backward = data.isel({name: slice(None, None, -1) for name in ("layer", "interface", "snapshot")})
        escapement.save(data, self.path("a.h5"))
        escapement.save(backward, self.path("b.h5"))
        self.assertTrue(escapement.open(self.path("b.h5")).identical(escapement.open(self.path("a.h5"))))
        with self.assertRaisesRegex(escapement.InputError, "layer is"):
            escapement.fit(data.isel(layer=[0, 0, 1]))

    def test_numbers_that_a_result_cannot_hold_are_refused(self):
        data = escapement.Sweep(**SPEC).run(backend="cpu")
        for change in (lambda v: v + 2**32, lambda v: v + 0j, lambda v: v.astype(str)):
            wrong = data.assign(bottleneck=("member", change(data.bottleneck.values.astype("i8"))))
            with self.assertRaisesRegex(escapement.InputError, "bottleneck"):
                escapement.fit(wrong)

    def test_attributes_without_a_name_are_refused(self):
        data = escapement.Sweep(**SPEC).run(backend="cpu")
        for name in ("", "a" * 70000):
            with self.assertRaisesRegex(escapement.InputError, "name of attribute number"):
                escapement.save(data.assign_attrs({name: "text"}), self.path("a.h5"))

    def test_a_nul_byte_ends_no_path(self):
        data = escapement.Sweep(**SPEC).run(backend="cpu")
        escapement.save(data, self.path("a.h5"))
        before = pathlib.Path(self.path("a.h5")).read_bytes()
        for use in (lambda path: escapement.save(data, path),
                    lambda path: escapement.merge(data, output=path),
                    lambda path: escapement.Sweep(**SPEC).run(path),
                    escapement.open, escapement.Sweep.from_yaml):
            with self.assertRaisesRegex(escapement.InputError, "NUL"):
                use(self.path("a.h5") + "\0x")
        self.assertEqual(pathlib.Path(self.path("a.h5")).read_bytes(), before)

    def test_an_output_that_is_there_is_kept(self):
        path = self.path("a.h5")
        sweep = escapement.Sweep(**SPEC)
        sweep.run(path, backend="cpu")
        with self.assertRaisesRegex(escapement.InputError, "a.h5"):
            sweep.replace(train={"steps": 9}).run(path, backend="cpu")
        sweep.run(path, backend="cpu", resume=True)
        self.assertTrue(sweep.report.complete)

    def test_options_are_checked_by_the_library(self):
        sweep = escapement.Sweep(**SPEC)
        for options, words in (({"threads": -1}, "negative"), ({"backend": "tpu"}, "tpu"),
                               ({"resume": True}, "needs the output file"), ({"shard": (3, 2)}, "shard: is 3"),
                               ({"shard": (0, 0)}, "0 of 0"), ({"shard": 3}, r"allowed: \(i, n\)"),
                               ({"resume": 5}, "resume: is 5; allowed: True or False"),
                               ({"threads": 10**12}, "threads: is 10*, out of range")):
            with self.assertRaisesRegex(escapement.InputError, words):
                sweep.run(**options)
        for options in ({"threads": "2"}, {"progress": 5}, {"shard": (0.5, 2)}):
            with self.assertRaisesRegex(TypeError, f"{next(iter(options))}: is"):
                sweep.run(**options)
        with self.assertRaises(TypeError):
            sweep.dry_run(colour="red")

    def test_warnings_are_pythons(self):
        keys = {**SPEC, "escape": {"thresholds": [0.4], "smoothing": 0}}
        sweep = escapement.Sweep(**{**keys, "escape": {**keys["escape"], "false_escapes": "allow"}})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sweep.run(backend="cpu")
        self.assertEqual({w.category for w in caught}, {escapement.EscapementWarning})
        self.assertEqual({w.filename for w in caught}, {__file__})
        with warnings.catch_warnings():
            warnings.simplefilter("error", escapement.EscapementWarning)
            with self.assertRaises(escapement.EscapementWarning):
                escapement.Sweep(**{**LONG, "escape": sweep_escape(LONG)}).run(backend="cpu")


def sweep_escape(keys):
    """Thresholds that noise passes, which the library warns of, and one that nothing does."""
    return {**keys["escape"], "thresholds": [0.4, 1e-9], "smoothing": 0}


if __name__ == "__main__":
    unittest.main()
