# SPDX-License-Identifier: Apache-2.0
"""Snapshots of observables: their steps, no effect on training, and the same values in an interrupted run.

Usage: test_cli_record.py PROGRAM [unittest arguments]
"""
import json
import os
import signal
import unittest

import numpy
import xarray

import cli_case
import hold
from journal_file import members

PROGRAM = cli_case.PROGRAM

SPEC = """\
name: small
network: {layers: 4, width: 8, inputs: 6, activation: tanh}
teacher: {amplitudes: [1.0]}
train: {rate: 0.05, batch: 64, steps: 600}
escape: {thresholds: [0.1], smoothing: 0.9}
sweep:
  seeds: 3
  groups:
    - {bottleneck: 3, scales: [0.4, 0.1]}
record: {every: 50}
"""


class Record(cli_case.Case):
    SPEC = SPEC

    def open(self, name, engine="h5netcdf"):
        return xarray.load_dataset(self.path(name), engine=engine)

    def test_a_member_has_snapshots_up_to_its_end_then_nan(self):
        for engine in ("h5netcdf", "netcdf4"):
            run = self.open(self.train(f"{engine}.h5"), engine)
            self.assertEqual(run.signal.dims, ("member", "snapshot"))
            self.assertEqual(run.operator_norm.dims, ("member", "snapshot", "layer"))
            self.assertEqual(run.alignment.dims, ("member", "snapshot", "interface"))
            self.assertTrue((run.snapshot.values == 50 * numpy.arange(run.sizes["snapshot"])).all())
            there = run.snapshot.values[None, :] <= run.steps_run.values[:, None]
            self.assertTrue((numpy.isfinite(run.signal.values) == there).all())
            self.assertGreater(there.sum(), there.shape[0])
            self.assertLess(there.sum(), there.size)

    def test_the_first_snapshot_is_the_initial_network(self):
        run = self.open(self.train("a.h5"))
        first = run.frobenius_norm.values[:, 0] ** 2
        numpy.testing.assert_allclose(first, run.norm2_initial.values, rtol=1e-12)

    def test_the_last_snapshot_of_a_censored_member_is_the_final_network(self):
        run = self.open(self.train("a.h5", "escape.thresholds=[1e-9]"))
        last = run.frobenius_norm.sel(snapshot=600).values ** 2
        numpy.testing.assert_allclose(last, run.norm2_final.values, rtol=1e-6)

    def test_means_have_standard_errors(self):
        run = self.open(self.train("a.h5", "network.activation=gelu", "escape.false_escapes=allow"))
        there = run.snapshot.values[None, :] <= run.steps_run.values[:, None]
        for name in ("signal", "evaluation_loss", "output_mean", "output_variance"):
            self.assertTrue((run[name + "_error"].values[there] > 0).all(), name)
            self.assertEqual(run[name + "_error_end"].dims, ("member",))
        self.assertTrue((run.signal_initial_error.values > 0).all())
        first = run.signal.values[:, 0] / run.scale.values ** 3
        apart = numpy.abs(first - run.signal_initial.values)
        error = run.signal_error.values[:, 0] / run.scale.values ** 3 + run.signal_initial_error.values
        self.assertTrue((apart <= 4 * error).all(), apart / error)

    def test_a_sample_that_is_too_small_has_no_errors(self):
        run = self.open(self.train("a.h5", "record.samples=16"))
        self.assertTrue(numpy.isnan(run.signal_error.values).all())
        self.assertIn("NaN where record.samples", run.signal_error.long_name)

    def test_every_curve_ends_with_its_event(self):
        """The last snapshot is at the escape or at train.steps, on or off the grid."""
        for i, (steps, grid) in enumerate((("600", "record.every=50"), ("599", "record.per_decade=4"),
                                           ("600", "record.every=600"))):
            run = self.open(self.train(f"{i}.h5", "record.every=0", grid, f"train.steps={steps}",
                                       "sweep.groups=[{bottleneck: 3, scales: [0.4, 0.001]}]"))
            self.assertEqual(run.signal_end.dims, ("member",))
            self.assertEqual(run.operator_norm_end.dims, ("member", "layer"))
            self.assertEqual(run.alignment_end.dims, ("member", "interface"))
            self.assertEqual(set(run.status.values), {0, 1})
            numpy.testing.assert_allclose(run.frobenius_norm_end.values ** 2, run.norm2_final.values, rtol=1e-6)
            # the loss that crossed was evaluated on these weights, on other inputs
            escaped = run.status.values == 0
            self.assertLess(run.evaluation_loss_end.values[escaped].max(), 0.14)
            self.assertGreater(run.evaluation_loss_end.values[~escaped].min(), 0.14)

    def test_a_snapshot_at_the_last_step_equals_the_end(self):
        run = self.open(self.train("a.h5", "escape.thresholds=[1e-9]"))
        for name in ("signal", "operator_norm", "alignment", "evaluation_loss"):
            numpy.testing.assert_array_equal(run[name].sel(snapshot=600), run[name + "_end"])

    def test_the_curve_of_the_readme_ends_at_the_escape(self):
        network = self.open(self.train("a.h5")).isel(member=0)
        grid = network.snapshot[network.snapshot <= network.steps_run]
        steps = [*grid.values, int(network.steps_run)]
        signal = [*network.signal.sel(snapshot=grid).values, float(network.signal_end)]
        self.assertEqual(steps[-1], int(network.escape_step[0]))
        self.assertTrue(numpy.isfinite(signal).all())
        self.assertGreater(abs(signal[-1]), abs(signal[-2]))

    def test_snapshots_do_not_change_training(self):
        with_, without = self.open(self.train("a.h5")), self.open(self.train("b.h5", "record.every=0"))
        self.assertNotIn("snapshot", without.dims)
        for name in without.data_vars:
            self.assertEqual(with_[name].values.tobytes(), without[name].values.tobytes(), name)

    def test_bits_do_not_depend_on_threads_slots_and_shards(self):
        whole = self.train("a.h5", "--threads", "1", "--slots", "1")
        self.call("compare", "--exact", whole, self.train("b.h5", "--threads", "2", "--slots", "5"))
        part = self.open(self.train("c.h5", "--shard", "1/2"))
        numpy.testing.assert_array_equal(
            part.signal.values, self.open(whole).signal.values[1::2, :part.sizes["snapshot"]])

    def test_the_reference_agrees_to_rounding(self):
        fast = self.open(self.train("a.h5", "train.steps=200", "escape.thresholds=[1e-9]"))
        self.call("run", "small.yaml", "-o", "b.h5", "--quiet", "--backend", "reference",
                  "train.steps=200", "escape.thresholds=[1e-9]")
        exact = self.open("b.h5")
        for name in ("evaluation_loss", "signal_gradient2", "operator_norm", "bottleneck_norm"):
            numpy.testing.assert_allclose(fast[name], exact[name], rtol=1e-3, err_msg=name)

    def test_the_norm_of_the_output_row_is_finite(self):
        """At 0513306 the norm of seeds 10 and 11 was NaN: GELU, two modes, one row of 24."""
        run = self.open(self.train(
            "a.h5", "network.activation=gelu", "network.width=24", "network.inputs=12",
            "teacher.amplitudes=[2, 1.2]", "teacher.directions=random", "train.batch=128",
            "train.steps=4", "record.every=1", "escape.thresholds=[1e-9]", "sweep.seeds=11",
            "sweep.groups=[{bottleneck: 3, scales: [0.2, 0.1]}]"))
        numpy.testing.assert_allclose(run.operator_norm.values[:, :, -1],
                                      run.frobenius_norm.values[:, :, -1], rtol=1e-12)
        for name in ("operator_norm", "bottleneck_norm", "forward_chain", "backward_chain", "alignment"):
            self.assertTrue(numpy.isfinite(run[name].values).all(), name)

    def test_terms_of_other_losses_are_nan_with_a_reason(self):
        run = self.open(self.train("a.h5", "train.loss=huber", "train.steps=50", "escape.thresholds=[1e-9]"))
        for name in ("drive", "orthogonal", "self_interaction"):
            self.assertTrue(numpy.isnan(run[name].values).all(), name)
            self.assertIn("NaN for another loss than squared", run[name].long_name)
        self.assertTrue(numpy.isfinite(run.signal.values).all())

    def test_log_spaced_snapshots(self):
        run = self.open(self.train("a.h5", "record.every=0", "record.per_decade=3"))
        self.assertEqual(run.snapshot.values.tolist()[:8], [0, 1, 2, 5, 10, 22, 46, 100])

    def test_a_killed_run_resumes_to_the_same_file(self):
        slow = ("train.steps=400", "record.every=50", "escape.thresholds=[1e-9]", "sweep.seeds=4",
                "--threads", "1")
        whole = self.train("a.h5", *slow)
        command = self.held_command("b.h5", "--slots", "2", *slow, "--resume")
        for _ in range(3):  # each time with some more members in the journal
            journal = self.path("b.h5.journal")
            self.assertEqual(self.hold.interrupt(command, self.scratch, signal.SIGKILL, journal=journal,
                                                 members=members(journal))[0], -signal.SIGKILL)
        self.call(*[word for word in command[1:] if word not in hold.CHECKPOINTS])
        self.call("compare", "--exact", whole, "b.h5")
        self.assertEqual([n for n in os.listdir(self.scratch) if "journal" in n or "snapshots" in n], [])

    def test_two_layers_of_few_inputs_have_the_same_snapshots_in_any_slots(self):
        wide = ("network.layers=2", "network.width=96", "network.inputs=8", "record.every=20",
                "sweep.groups=[{bottleneck: 2, scales: [0.1, 0.5]}]", "escape.false_escapes=allow")
        self.call("compare", "--exact", self.train("a.h5", *wide, "--slots", "1"),
                  self.train("b.h5", *wide, "--slots", "4"))

    def held_command(self, name, *arguments):
        return [PROGRAM, "run", "small.yaml", "-o", name, "--quiet", "--backend", "cpu",
                *hold.CHECKPOINTS, *arguments]

    def test_a_member_without_its_snapshots_is_trained_again(self):
        slow = ("train.steps=400", "record.every=12", "escape.thresholds=[1e-9]", "sweep.seeds=3", "--threads", "1",
                "--slots", "1")
        whole = self.train("a.h5", *slow)
        command = self.held_command("b.h5", *slow)
        self.hold.interrupt(command, self.scratch, signal.SIGKILL, members=1,
                            journal=self.path("b.h5.journal"))
        os.truncate(self.path("b.h5.snapshots"), 5000)
        self.call(*[word for word in command[1:] if word not in hold.CHECKPOINTS], "--resume")
        self.call("compare", "--exact", whole, "b.h5")

    def test_the_dry_run_prints_the_cost_of_snapshots(self):
        told = json.loads(self.call("run", "small.yaml", "--dry-run", "--json").stdout)
        self.assertEqual(told["snapshots_max"], 13)
        self.assertGreater(told["seconds_per_snapshot"], 0)
        self.assertGreater(told["snapshot_bytes_max"], 13 * 6 * 8 * 20)

    def test_the_plateau_of_every_network_is_reported(self):
        name = self.train("a.h5", "record.every=5", "train.steps=2000")
        told = json.loads(self.call("plateau", name, "--window", "0.8", "--json").stdout)
        self.assertEqual([m["seed"] for m in told["members"]], [1, 2, 3, 1, 2, 3])
        for member in told["members"][3:]:
            self.assertGreater(member["growth"], 0)
            self.assertGreater(member["snapshots"], 10)
            self.assertLessEqual(member["exit_bound"], 1)
        self.assertIn("Q in |S|", self.call("plateau", name).stdout)
        said = self.call("plateau", self.train("b.h5", "record.every=0"), code=2).stderr
        self.assertIn("record.every", said)
        self.call("plateau", name, "--window", "-1", code=2)

    def test_impossible_recordings_are_refused(self):
        for argument, word in (("record.samples=13", "even number"), ("record.samples=8", "even number"),
                               ("record.per_decade=4", "one of them"), ("record.every=-1", "range")):
            said = self.call("run", "small.yaml", argument, code=2).stderr
            self.assertIn(word, said)
            self.assertEqual(len(said.splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
