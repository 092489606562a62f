# SPDX-License-Identifier: Apache-2.0
"""Recorded weights (record.weights) and training on from them, against NumPy.

Usage: test_cli_weights.py PROGRAM [unittest arguments]
"""
import csv
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
import zipfile

import numpy
import xarray

import cli_case
import hold
import network_oracle as oracle
from journal_file import members

PROGRAM = cli_case.PROGRAM
LAYERS, WIDTH, INPUTS, BATCH, RATE, STEPS = 4, 8, 6, 64, 0.05, 600

SPEC = f"""\
network: {{layers: {LAYERS}, width: {WIDTH}, inputs: {INPUTS}, activation: tanh}}
train: {{rate: {RATE}, batch: {BATCH}, steps: {STEPS}}}
escape: {{thresholds: [0.1, 0.15, 0.12], smoothing: 0.9, false_escapes: allow}}
sweep:
  seeds: 3
  groups:
    - {{bottleneck: 3, scales: [0.4, 0.1]}}
record: {{every: 20, weights: [start, snapshots, escape, end]}}
"""


class Weights(cli_case.Case):
    SPEC = SPEC

    @classmethod
    def setUpClass(cls):
        """The run that most tests read, trained once."""
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.recorded = os.path.join(folder.name, "a.h5")
        with open(os.path.join(folder.name, "small.yaml"), "w", encoding="utf-8") as file:
            file.write(SPEC)
        cli_case.call("run", "small.yaml", "-o", "a.h5", *cls.RUN, cwd=folder.name)

    def get_recorded(self):
        shutil.copy(self.recorded, self.path("a.h5"))
        return "a.h5"

    def open(self, name, engine="h5netcdf"):
        return xarray.load_dataset(self.path(name), engine=engine)

    @staticmethod
    def network(run, kind, member, **at):
        """Layers of one network, as matrices in double."""
        return [run[f"weights_{kind}_{l + 1}"].isel(member=member, **at).values.astype(float)
                for l in range(LAYERS)]

    def assert_near(self, got, want, tolerance):
        for l, (a, b) in enumerate(zip(got, want, strict=True)):
            numpy.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * numpy.abs(b).max(),
                                          err_msg=f"layer {l + 1}")

    def assert_same_bits(self, one, kind, other, other_kind):
        for l in range(LAYERS):
            self.assertEqual(one[f"weights_{kind}_{l + 1}"].values.tobytes(),
                             other[f"weights_{other_kind}_{l + 1}"].values.tobytes(), l)

    def test_every_layer_is_an_array_with_named_dimensions(self):
        for engine in ("h5netcdf", "netcdf4"):
            run = self.open(self.get_recorded(), engine)
            self.assertEqual(run.weights_start_1.dims, ("member", "unit", "input"))
            self.assertEqual(run.weights_snapshots_2.dims, ("member", "snapshot", "unit", "unit_below"))
            self.assertEqual(run.weights_escape_3.dims, ("member", "threshold", "unit", "unit_below"))
            self.assertEqual(run.weights_end_4.dims, ("member", "output", "unit_below"))
            self.assertEqual(run.weights_end_4.dtype, numpy.float32)
            self.assertEqual(run.unit.values.tolist(), list(range(1, WIDTH + 1)))

    def test_numpy_draws_the_initial_weights(self):
        run = self.open(self.get_recorded())
        for m in range(run.sizes["member"]):
            scales = [float(run.scale[m])] * 3 + [1]
            want = [scale * oracle.he_normal(int(run.seed[m]), l, w.shape)
                    for l, (scale, w) in enumerate(zip(scales, self.network(run, "start", m), strict=True))]
            self.assert_near(self.network(run, "start", m), want, 1e-6)

    def test_numpy_trains_from_the_initial_weights_to_the_final_ones(self):
        run = self.open(self.get_recorded())
        for m in range(run.sizes["member"]):
            weights, seed = self.network(run, "start", m), int(run.seed[m])
            for k in range(int(run.steps_run[m]) + 1):
                snapshot = numpy.flatnonzero(run.snapshot.values == k)
                if snapshot.size:
                    self.assert_near(self.network(run, "snapshots", m, snapshot=snapshot[0]), weights, 2e-4)
                for t in numpy.flatnonzero(run.escape_step.values[m] == k):
                    self.assert_near(self.network(run, "escape", m, threshold=t), weights, 2e-4)
                if k < int(run.steps_run[m]):
                    weights = oracle.step(weights, oracle.minibatch(seed, k, BATCH, INPUTS), RATE)
            self.assert_near(self.network(run, "end", m), weights, 2e-4)

    def test_numpy_trains_with_momentum_decay_and_adam(self):
        sgd, adam, steps = oracle.Sgd, oracle.Adam, 40
        batches = [oracle.minibatch(1, k, BATCH, INPUTS) for k in range(steps)]
        for make, *keys in (
                (lambda: sgd(0.05, 0.9), "momentum=0.9"),
                (lambda: sgd(0.05, 0.9, nesterov=True), "momentum=0.9", "nesterov=true"),
                (lambda: sgd(0.05, 0.9, True, 0.01), "momentum=0.9", "nesterov=true", "weight_decay=0.01"),
                (lambda: adam(0.003), "optimizer=adam", "rate=0.003"),
                (lambda: adam(0.003, 0.1), "optimizer=adam", "rate=0.003", "weight_decay=0.1", "decoupled_decay=true")):
            ends = {}
            for backend in ("reference", "cpu"):
                run = self.open(self.train("a.h5", *[f"train.{key}" for key in keys], "sweep.seeds=1",
                                           f"train.steps={steps}", "escape.thresholds=[1e-9]", "record.every=0",
                                           "record.weights=[start, end]", "--backend", backend, "--force"))
                ends[backend] = [self.network(run, "end", m) for m in range(2)]
            for m in range(2):
                weights, optimizer = self.network(run, "start", m), make()
                for x in batches:
                    weights = optimizer.step(weights, x)
                for backend, end in ends.items():
                    with self.subTest(keys=keys, backend=backend, member=m):
                        self.assert_near(end[m], weights, 5e-6)

    def test_numpy_computes_loss_and_signal_from_the_weights(self):
        run = self.open(self.get_recorded())
        fresh = numpy.random.default_rng(1).standard_normal((40000, INPUTS))
        for m in range(run.sizes["member"]):
            weights = self.network(run, "end", m)
            x = oracle.evaluation_sample(int(run.seed[m]), 128, INPUTS)
            f = oracle.forward(weights, x)[1]
            loss, overlap = numpy.mean((f - oracle.target(x)) ** 2) / 2, numpy.mean(x[:, 0] * f)
            numpy.testing.assert_allclose(run.evaluation_loss_end[m], loss, rtol=1e-5)
            numpy.testing.assert_allclose(run.signal_end[m], overlap, rtol=1e-5)
            f = oracle.forward(weights, fresh)[1]
            apart = numpy.mean(fresh[:, 0] * f) - float(run.signal_end[m])
            self.assertLess(abs(apart), 5 * float(run.signal_error_end[m]) + 0.01)

    def test_an_escape_has_the_weights_of_a_run_that_ends_there(self):
        run = self.open(self.get_recorded())
        for i, threshold in enumerate((0.1, 0.15, 0.12)):
            one = self.open(self.train(f"{i}.h5", f"escape.thresholds=[{threshold}]", "record.weights=[end]"))
            self.assert_same_bits(run.isel(threshold=i), "escape", one, "end")

    def test_without_a_crossing_weights_are_nan(self):
        run = self.open(self.train("a.h5", "escape.thresholds=[0.1, 1e-9]"))
        self.assertTrue(numpy.isfinite(run.weights_escape_1.sel(threshold=0.1)).all())
        self.assertTrue(numpy.isnan(run.weights_escape_1.sel(threshold=1e-9)).all())
        self.assertTrue(numpy.isfinite(run.weights_end_1).all())

    def test_recording_does_not_change_training(self):
        recorded, plain = self.open(self.get_recorded()), self.open(self.train("b.h5", "record.weights=[]"))
        for name in plain.variables:
            self.assertEqual(recorded[name].values.tobytes(), plain[name].values.tobytes(), name)

    def test_weights_do_not_depend_on_threads_slots_and_shards(self):
        whole = self.train("a.h5", "--threads", "1", "--slots", "1")
        self.call("compare", "--exact", whole, self.train("b.h5", "--threads", "2", "--slots", "5"))
        parts = [self.train(f"{i}.h5", "--shard", f"{i}/2") for i in range(2)]
        self.call("merge", "-o", "merged.h5", *parts)
        self.call("compare", "--exact", whole, "merged.h5")
        parts = ("sweep.seeds=2", "sweep.groups=[{bottleneck: 3, scales: [0.4]}]")
        self.train("c.h5", *parts)
        self.run_spec("--resume", name="c.h5")
        self.call("compare", "--exact", whole, "c.h5")

    def test_a_killed_run_resumes_to_the_same_weights(self):
        slow = ("train.steps=200", "escape.thresholds=[0.1, 0.15, 1e-9]", "--threads", "1")
        whole = self.train("a.h5", *slow)
        command = [*self.command(*slow, "--slots", "2", name="b.h5"), *hold.CHECKPOINTS, "--resume"]
        journal = self.path("b.h5.journal")
        for again in range(2):
            self.hold.interrupt(command, self.scratch, signal.SIGKILL, journal=journal, members=members(journal))
            if again:  # some weights are lost, so that their members are trained again
                os.truncate(self.path("b.h5.weights"), 30000)
        self.assertIn("records of weights", self.call("info", "b.h5.weights").stdout)
        self.call(*[word for word in command[1:] if word not in hold.CHECKPOINTS])
        self.call("compare", "--exact", whole, "b.h5")
        self.assertEqual([n for n in os.listdir(self.scratch) if "b.h5." in n and "lock" not in n], [])

    def test_compare_finds_a_changed_weight(self):
        self.train("a.h5", "train.steps=20")
        self.train("b.h5", "train.steps=20", "train.rate=0.051")
        said = self.call("compare", "--exact", "a.h5", "b.h5", code=1).stdout
        self.assertRegex(said, r"weights_end_3 +384 +\d ")
        self.train("c.h5", "train.steps=20", "record.weights=[end]")
        self.assertIn("record.weights is start, snapshots, escape, end in the first and end in the second",
                      self.refused("compare", "a.h5", "c.h5"))

    def test_the_dry_run_states_the_bytes(self):
        told = json.loads(self.call("run", "small.yaml", "--dry-run", "--json").stdout)
        weights = INPUTS * WIDTH + 2 * WIDTH ** 2 + WIDTH
        networks = 1 + STEPS / 20 + 1 + 3 + 1
        self.assertEqual(told["weights_bytes_max"], 6 * networks * weights * 4)
        self.assertGreater(told["memory_bytes"], told["weights_bytes_max"])
        self.assertGreater(told["result_bytes_max"], os.path.getsize(self.recorded))

    def test_what_is_refused(self):
        for argument, word in (("record.weights=[finish]", "none of the words"),
                               ("record.weights=[end, end]", "appears twice"), ("record.weights=end", "list"),
                               ("record.every=0", "snapshots without record.every")):
            self.assertIn(word, self.refused("run", "small.yaml", "-o", "x.h5", argument))

    def start_from(self, name, file, *arguments, **options):
        return self.run_spec("init.scheme=file", f"init.file={file}", *arguments, name=name, **options)

    @staticmethod
    def arrays(run, kind, names=("seed", "small_layers", "scale")):
        layers = {f"weights_{kind}_{l + 1}": run[f"weights_{kind}_{l + 1}"].values for l in range(LAYERS)}
        return {**layers, **{name: run[name].values for name in names}}

    def assert_same_run(self, first, second):
        """Same bits, but for the drift from initial weights that a file has rounded to float32."""
        one, other = self.open(first), self.open(second)
        for name in one.variables:
            if name.startswith("layer_drift"):
                numpy.testing.assert_allclose(one[name], other[name], atol=1e-6)
            else:
                self.assertEqual(one[name].values.tobytes(), other[name].values.tobytes(), name)

    def test_a_run_from_recorded_initial_weights_is_the_same_run(self):
        """Of a result and of a NumPy archive, in any order of its networks."""
        run = self.open(self.get_recorded())
        self.start_from("b.h5", "a.h5", "init.weights=start")
        self.assert_same_run("a.h5", "b.h5")
        numpy.savez(self.path("start.npz"), **self.arrays(run.isel(member=[3, 1, 0, 5, 4, 2]), "start"))
        self.start_from("c.h5", "start.npz", "init.weights=start")
        self.assert_same_run("a.h5", "c.h5")

    def test_training_on_is_that_of_numpy_with_the_minibatches_of_steps_from_0(self):
        for steps, kind in ((40, ("end",)), (90, ("escape", "init.threshold=0.15")),
                            (20, ("snapshots", "init.step=10"))):
            first = self.open(self.train(f"{kind[0]}.h5", "train.steps=400", "record.every=5"))
            self.start_from("on.h5", f"{kind[0]}.h5", f"init.weights={kind[0]}", *kind[1:], "--force",
                            f"train.steps={steps}", "escape.thresholds=[1e-9]")
            run = self.open("on.h5")
            at = {"escape": {"threshold": 1}, "snapshots": {"snapshot": 2}}.get(kind[0], {})
            for m in (1, 3):
                weights = self.network(first, kind[0], m, **at)
                self.assert_near(self.network(run, "start", m), weights, 0)
                for k in range(steps):
                    weights = oracle.step(weights, oracle.minibatch(int(run.seed[m]), k, BATCH, INPUTS), RATE)
                self.assert_near(self.network(run, "end", m), weights, 2e-4)

    def test_a_network_starts_the_members_that_init_match_states(self):
        run = self.open(self.train("a.h5", "train.steps=20"))
        one = run.isel(member=[4])
        numpy.savez(self.path("one.npz"), **self.arrays(one, "end", ()))
        self.start_from("b.h5", "one.npz", "init.match=single", "train.steps=1")
        began = self.open("b.h5")
        for m in range(6):
            self.assert_near(self.network(began, "start", m), self.network(one, "end", 0), 0)
        turned = self.arrays(run.isel(member=slice(None, None, -1)), "end", ())
        numpy.savez(self.path("all.npz"), **turned)
        self.start_from("c.h5", "all.npz", "init.match=index", "train.steps=1")
        began = self.open("c.h5")
        for l in range(LAYERS):
            numpy.testing.assert_array_equal(began[f"weights_start_{l + 1}"], turned[f"weights_end_{l + 1}"])

    def test_resume_accepts_the_same_file_only(self):
        self.train("a.h5", "train.steps=40")
        os.link(self.path("a.h5"), self.path("copy.h5"))
        slow = ("train.steps=90", "escape.thresholds=[1e-9]", "--threads", "1", "--slots", "2")
        self.start_from("whole.h5", "a.h5", *slow)
        command = [*self.command("init.scheme=file", "init.file=a.h5", *slow, name="b.h5"), *hold.CHECKPOINTS]
        self.hold.interrupt(command, self.scratch, signal.SIGKILL, members=1, journal=self.path("b.h5.journal"))
        os.remove(self.path("a.h5"))
        self.train("a.h5", "train.steps=41")
        said = self.start_from("b.h5", "a.h5", *slow, "--resume", code=2).stderr
        self.assertRegex(said, 'init.checksum was "[0-9a-f]{16}" and is now')
        self.start_from("b.h5", "copy.h5", *slow, "--resume")
        self.call("compare", "--exact", "whole.h5", "b.h5")
        digest = self.open("copy.h5").digest
        self.assertIn(f'checksum: "{digest}"', self.open("b.h5").spec)
        said = self.start_from("c.h5", "a.h5", f"init.checksum='{digest}'", code=2).stderr
        self.assertIn("it is not the file that the spec names", said)

    def test_files_that_cannot_start_a_sweep_are_refused(self):
        run = self.open(self.train("a.h5", "train.steps=2", "record.weights=[end]"))
        good = self.arrays(run, "end")
        def refuse(word, *arguments, file="x.npz", **changes):
            numpy.savez(self.path("x.npz"), **{**good, **changes})
            said = self.refused("run", "small.yaml", "-o", "x.h5", "init.scheme=file", f"init.file={file}", *arguments)
            self.assertIn(word, said)
        last = f"weights_end_{LAYERS}"
        refuse("has the wrong shape; allowed: (networks, 1, 8)", **{last: good[last][:, :, :7]})
        refuse("has the wrong shape", **{last: good[last][:5]})
        refuse("holds integers", **{last: good[last].astype(int)})
        refuse("another type", **{last: good[last].astype(">f4")})
        refuse("another type", **{last: good[last].astype(object)})
        refuse("Fortran's order", weights_end_2=numpy.asfortranarray(good["weights_end_2"]))
        refuse("not finite for the member of seed 2, bottleneck 3 and scale 0.4", **{
            last: numpy.where(numpy.arange(6)[:, None, None] == 1, numpy.nan, good[last])})
        refuse("not finite", **{last: good[last].astype(float) * 1e300})
        refuse("two networks of seed 1", seed=numpy.ones(6, int), scale=numpy.ones(6))
        refuse("seed has the wrong type or shape", seed=good["seed"].astype(float))
        refuse("has no network for the member of seed 4", "sweep.seeds=4")
        refuse("has 6 networks, but the sweep has 3", "init.match=index", "sweep.seeds=1",
               "sweep.groups=[{bottleneck: 3, scales: [1, 0.1, 0.2]}]")
        refuse("has 6 networks; allowed: 1", "init.match=single")
        refuse("has no array weights_start_1", "init.weights=start")
        refuse("holds no weights of the kind start", "init.weights=start", file="a.h5")
        refuse("has networks of 4 layers, width 8", "network.width=4", file="a.h5")
        refuse("without init.step", "init.weights=snapshots")
        refuse("allowed: 1 with scheme file", "init.scales=0.5")
        refuse("allowed: 1 with scheme file", "init.scales=[1, 1, 0.5, 1]")
        refuse("init.file: given, but init.scheme is not file", "init.scheme=he-normal")
        refuse("missing.npz", file="missing.npz")
        refuse("small.yaml", file="small.yaml")
        refuse("No such file", file="missing.npz")
        numpy.savez_compressed(self.path("packed.npz"), **good)
        refuse("numpy.savez_compressed", file="packed.npz")

    def test_observe_gives_the_bits_of_the_snapshots(self):
        run = self.open(self.get_recorded())
        for one in self.call_json("observe", "a.h5")["networks"]:
            m, kind = one["member"], one["weights"]
            self.assertEqual(one["seed"], int(run.seed[m]))
            if kind == "escape":
                self.assertEqual(one["step"], int(run.escape_step.sel(threshold=one["threshold"])[m]))
                continue
            for name, got in one["observables"].items():
                want = run[f"{name}_end"] if kind == "end" else run[name].sel(snapshot=one["step"])
                numpy.testing.assert_array_equal(numpy.array(got, float), want[m], f"{kind} {name}")
        self.assertEqual(self.call("observe", "a.h5", "-o", "a.csv").stdout, "")
        with open(self.path("a.csv"), encoding="utf-8") as file:
            ends = [row for row in csv.DictReader(file) if row["weights"] == "end"]
        self.assertEqual([float(row["signal"]) for row in ends], run.signal_end.values.tolist())
        self.assertEqual([float(row["operator_norm_2"]) for row in ends], run.operator_norm_end[:, 1].values.tolist())

    def test_observe_reads_an_archive_with_a_spec(self):
        run = self.open(self.train("a.h5", "train.steps=20"))
        numpy.savez(self.path("w.npz"), **self.arrays(run, "end"))
        for one in self.call_json("observe", "w.npz", "--spec", "small.yaml")["networks"]:
            numpy.testing.assert_allclose(one["observables"]["signal"], run.signal_end[one["member"]], rtol=1e-5)
        self.assertIn("needs --spec", self.refused("observe", "w.npz"))
        self.train("b.h5", "record.weights=[]", "train.steps=20")
        self.assertIn("holds no weights", self.refused("observe", "b.h5"))
        self.assertIn("allowed: one of key, index, single",
                      self.refused("observe", "w.npz", "--spec", "small.yaml", "--match", "x"))

    def test_damaged_archives_are_refused(self):
        run = self.open(self.train("a.h5", "train.steps=2"))
        numpy.savez(self.path("good.npz"), **self.arrays(run, "end"))
        with open(self.path("good.npz"), "rb") as file:
            good = file.read()
        directory = len(good) - 22 - sum(46 + len(name) + 4 for name in zipfile.ZipFile(self.path("good.npz")).namelist())
        for at in (1, 27, 33, 80, len(good) // 2, directory + 11, directory + 21, directory + 43, len(good) - 20,
                   len(good) - 5):
            for data in (good[:at], good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1:]):
                with open(self.path("x.npz"), "wb") as file:
                    file.write(data)
                done = subprocess.run([PROGRAM, "observe", "x.npz", "--spec", "small.yaml"], cwd=self.scratch,
                                      capture_output=True, check=False)
                self.assertIn(done.returncode, (0, 2), (at, done.stderr))
                self.assertEqual(done.returncode == 2, b"x.npz" in done.stderr)


if __name__ == "__main__":
    unittest.main()
