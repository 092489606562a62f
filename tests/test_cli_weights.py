# SPDX-License-Identifier: Apache-2.0
"""Recorded weights (record.weights) and training on from them, against NumPy.

Usage: test_cli_weights.py PROGRAM [unittest arguments]
"""
import json
import os
import signal
import unittest

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
            run = self.open(self.train(f"{engine}.h5"), engine)
            self.assertEqual(run.weights_start_1.dims, ("member", "unit", "input"))
            self.assertEqual(run.weights_snapshots_2.dims, ("member", "snapshot", "unit", "unit_below"))
            self.assertEqual(run.weights_escape_3.dims, ("member", "threshold", "unit", "unit_below"))
            self.assertEqual(run.weights_end_4.dims, ("member", "output", "unit_below"))
            self.assertEqual(run.weights_end_4.dtype, numpy.float32)
            self.assertEqual(run.unit.values.tolist(), list(range(1, WIDTH + 1)))

    def test_numpy_draws_the_initial_weights(self):
        run = self.open(self.train("a.h5"))
        for m in range(run.sizes["member"]):
            scales = [float(run.scale[m])] * 3 + [1]
            want = [scale * oracle.he_normal(int(run.seed[m]), l, w.shape)
                    for l, (scale, w) in enumerate(zip(scales, self.network(run, "start", m), strict=True))]
            self.assert_near(self.network(run, "start", m), want, 1e-6)

    def test_numpy_trains_from_the_initial_weights_to_the_final_ones(self):
        run = self.open(self.train("a.h5"))
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

    def test_numpy_computes_loss_and_signal_from_the_weights(self):
        run = self.open(self.train("a.h5"))
        fresh = numpy.random.default_rng(1).standard_normal((200000, INPUTS))
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
        run = self.open(self.train("a.h5"))
        for i, threshold in enumerate((0.1, 0.15, 0.12)):
            one = self.open(self.train(f"{i}.h5", f"escape.thresholds=[{threshold}]", "record.weights=[end]"))
            self.assert_same_bits(run.isel(threshold=i), "escape", one, "end")

    def test_without_a_crossing_weights_are_nan(self):
        run = self.open(self.train("a.h5", "escape.thresholds=[0.1, 1e-9]"))
        self.assertTrue(numpy.isfinite(run.weights_escape_1.sel(threshold=0.1)).all())
        self.assertTrue(numpy.isnan(run.weights_escape_1.sel(threshold=1e-9)).all())
        self.assertTrue(numpy.isfinite(run.weights_end_1).all())

    def test_recording_does_not_change_training(self):
        recorded, plain = self.open(self.train("a.h5")), self.open(self.train("b.h5", "record.weights=[]"))
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
        self.train("a.h5")
        self.assertGreater(told["result_bytes_max"], os.path.getsize(self.path("a.h5")))

    def test_what_is_refused(self):
        for argument, word in (("record.weights=[finish]", "none of the words"),
                               ("record.weights=[end, end]", "appears twice"), ("record.weights=end", "list"),
                               ("record.every=0", "snapshots without record.every")):
            self.assertIn(word, self.refused("run", "small.yaml", "-o", "x.h5", argument))


if __name__ == "__main__":
    unittest.main()
