# SPDX-License-Identifier: Apache-2.0
"""Members added to a finished or interrupted sweep: only new members are trained, the file equals that of
the larger sweep, and changes of old members are refused.

Usage: test_cli_grow.py PROGRAM [unittest arguments]
"""
import json
import os
import shutil
import unittest

import h5py

import cli_case

SPEC = """\
name: small
network: {layers: 4, width: 6, inputs: 6, activation: tanh}
teacher: {amplitudes: [1.0]}
train: {rate: 0.05, batch: 16, steps: 400}
escape: {thresholds: [0.1, 0.02], smoothing: 0.9, false_escapes: allow}
sweep: {seeds: 3, groups: [{bottleneck: 3, scales: [0.4, 0.1]}]}
record: {every: 90}
"""
SEEDS = "sweep.seeds=5"
GROUPS = "sweep.groups=[{bottleneck: 2, scales: [0.2]}, {bottleneck: 3, scales: [0.4, 0.25, 0.1]}]"
GROWN = ((SEEDS,), (GROUPS,), (GROUPS, SEEDS),
         ("sweep.groups=[{bottleneck: 3, layers: [2, 3, 4], scales: [0.4]}, "
          "{bottleneck: 3, scales: [0.1]}, {bottleneck: 3, layers: [1, 2, 3], scales: [0.4]}]",))
REFUSED = (("sweep.seeds=2", "sweep.seeds was 3 and is now 2"),
           ("sweep.seed=2", "sweep.seed was 1 and is now 2"),
           ("sweep.groups=[{bottleneck: 3, scales: [0.4]}]", "bottleneck 3 at scale 0.1"),
           ("sweep.groups=[{bottleneck: 3, scales: [0.4, 0.1], layers: [2, 3, 4]}]",
            "bottleneck 3 at scale 0.4"),
           ("train.rate=0.04", "train.rate was 0.05 and is now 0.04"),
           ("train.steps=500", "train.steps was 400 and is now 500, which would change"),
           ("record.every=100", "record.every was 90 and is now 100"),
           ("escape.thresholds=[0.1]", "escape.thresholds was [0.1, 0.02] and is now [0.1]"))


class Scratch(cli_case.Case):
    SPEC = SPEC

    def train(self, name, *arguments, code=0):
        done = self.call("run", "small.yaml", "-o", name, "-q", "--json", "--backend", "cpu",
                         *arguments, code=code)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def steps(self, name):
        with h5py.File(self.path(name)) as file:
            return int(file["steps_run"][:].sum())

    def assert_as_in_one_piece(self, name, *arguments):
        self.train("whole.h5", "--force", *arguments)
        self.call("compare", "--exact", "whole.h5", name)
        self.assertEqual([n for n in os.listdir(self.scratch) if name in n], [name])

    def interrupt(self, name, *arguments):
        """A run that leaves a journal, and a checkpoint with a network in flight."""
        self.train(name, "--max-time", "0.000001", "--slots", "3", *arguments, code=143)
        self.assertIn(f"{name}.journal", os.listdir(self.scratch))


class Grow(Scratch):
    def test_to_a_finished_sweep(self):
        before = self.train("old.h5")["steps"]
        for more in GROWN:
            with self.subTest(more):
                shutil.copy(self.path("old.h5"), self.path("a.h5"))
                told = self.train("a.h5", "--resume", *more)
                self.assertEqual(told["members_kept"], 6)
                self.assertEqual(before + told["steps_made"], self.steps("a.h5"))
                self.assertEqual(told["steps"], self.steps("a.h5"))
                self.assertEqual(len(told["segments"]), 2)
                self.assert_as_in_one_piece("a.h5", *more)

    def test_to_an_interrupted_sweep(self):
        for more in GROWN:
            with self.subTest(more):
                self.interrupt("a.h5")
                self.train("a.h5", "--resume", *more)
                self.assert_as_in_one_piece("a.h5", *more)
                os.remove(self.path("a.h5"))

    def test_interrupted_while_they_train_the_old_result_stays(self):
        self.train("a.h5")
        old = self.read("a.h5")
        self.interrupt("a.h5", "--resume", SEEDS)
        self.assertEqual(self.read("a.h5"), old)
        self.interrupt("a.h5", "--resume", SEEDS, GROUPS)
        told = self.train("a.h5", "--resume", SEEDS, GROUPS)
        self.assertEqual([s["ended"] for s in told["segments"]],
                         ["finished", "max-time", "max-time", "finished"])
        self.assertEqual(told["steps"], self.steps("a.h5"))
        self.assert_as_in_one_piece("a.h5", SEEDS, GROUPS)

    def test_an_interrupted_extension_leaves_the_smaller_sweep_complete(self):
        self.train("a.h5")
        self.interrupt("a.h5", "--resume", SEEDS)
        self.assertEqual(self.train("a.h5", "--resume")["steps_made"], 0)
        self.train("a.h5", "--resume", SEEDS)
        self.assert_as_in_one_piece("a.h5", SEEDS)

    def test_no_new_members(self):
        self.train("a.h5")
        old = self.read("a.h5")
        self.assertEqual(self.train("a.h5", "--resume")["steps_made"], 0)
        self.assertEqual(self.read("a.h5"), old)
        told = self.train("a.h5", "--resume", "name=other",
                          "sweep.groups=[{bottleneck: 3, scales: [0.1, 0.4]}]")
        self.assertEqual((told["steps_made"], told["members"]), (0, 6))
        self.assert_as_in_one_piece("a.h5", "name=other",
                                    "sweep.groups=[{bottleneck: 3, scales: [0.1, 0.4]}]")

    def test_changes_of_old_members_are_refused_also_by_the_dry_run(self):
        self.train("a.h5")
        self.interrupt("b.h5")
        files = {name: self.read(name) for name in os.listdir(self.scratch)}
        for argument, word in REFUSED:
            for name, file in (("a.h5", "a.h5"), ("b.h5", "b.h5.journal")):
                for dry in ((), ("--dry-run",)):
                    said = self.train(name, "--resume", argument, *dry, code=2)
                    self.assertIn(f"{file}: ", said)
                    self.assertIn(word, said)
        self.assertEqual({name: self.read(name) for name in os.listdir(self.scratch)}, files)

    def test_the_dry_run_counts_finished_members(self):
        self.train("a.h5")
        told = self.train("a.h5", "--resume", "--dry-run", SEEDS)
        self.assertEqual((told["members"], told["members_kept"]), (10, 6))

    def test_the_same_network_twice_is_refused(self):
        self.train("a.h5")
        self.assertIn("twice", self.train("a.h5", "--resume", "sweep.groups=[{bottleneck: 3, "
                                          "scales: [0.4, 0.1]}, {bottleneck: 3, scales: [0.4]}]",
                                          code=2))

    def test_on_several_devices(self):
        self.train("a.h5")
        told = self.call("run", "small.yaml", "-o", "a.h5", "-q", "--devices", "cpu,cpu",
                         "--resume", "--json", SEEDS, GROUPS).stdout
        self.assertEqual(json.loads(told)["members"], 20)
        self.assert_as_in_one_piece("a.h5", SEEDS, GROUPS)
        with h5py.File(self.path("a.h5")) as file:
            self.assertEqual(len(json.loads(file.attrs["segments"])), 3)
            self.assertEqual(int(file.attrs["network_steps"]), self.steps("a.h5"))

    def test_to_shards_that_keep_their_members(self):
        for i in range(2):
            self.train(f"s.{i}.h5", "--shard", f"{i}/2", "sweep.seeds=4")
            self.assertEqual(self.train(f"s.{i}.h5", "--shard", f"{i}/2", "--resume",
                                        "sweep.seeds=6")["members_kept"], 4)
        self.call("merge", "-o", "a.h5", "s.0.h5", "s.1.h5")
        self.assert_as_in_one_piece("a.h5", "sweep.seeds=6")
        said = self.train("s.0.h5", "--shard", "0/2", "--resume", "sweep.seeds=7", code=2)
        self.assertIn("belongs to another shard", said)

    def test_members_reused_from_another_file(self):
        self.train("old.h5", GROUPS)
        told = self.train("a.h5", "--from", "old.h5", SEEDS)
        self.assertEqual(told["members_kept"], 6)
        self.assert_as_in_one_piece("a.h5", SEEDS)
        self.assertIn("--from old.h5: train.rate is 0.05 in that file and 0.04 in this run",
                      self.train("b.h5", "--from", "old.h5", "train.rate=0.04", code=2))

    def test_a_result_of_another_precision_is_refused(self):
        self.train("a.h5")
        said = self.train("a.h5", "--resume", SEEDS, "--backend", "reference", code=2)
        self.assertIn("belongs to a run with precision float32, shard 0/1, but this run has precision float64", said)


class Segments(Scratch):
    def test_a_run_in_segments_reports_totals(self):
        self.interrupt("a.h5")
        self.interrupt("a.h5", "--resume")
        told = self.train("a.h5", "--resume", "--threads", "1")
        segments = told["segments"]
        self.assertEqual(len(segments), 3)
        self.assertEqual([s["ended"] for s in segments], ["max-time", "max-time", "finished"])
        self.assertEqual(told["steps"], self.steps("a.h5"))
        self.assertEqual(told["steps"], sum(s["steps"] for s in segments))
        self.assertAlmostEqual(told["wall_s"], sum(s["wall_s"] for s in segments))
        self.assertEqual(segments[2]["threads"], 1)
        with h5py.File(self.path("a.h5")) as file:
            self.assertEqual(file.attrs["start_time"], segments[0]["start_time"])
            self.assertEqual(file.attrs["end_time"], segments[2]["end_time"])
            self.assertAlmostEqual(float(file.attrs["wall_s"]), told["wall_s"], places=2)
            self.assertEqual(json.loads(file.attrs["segments"])[1]["ended"], "max-time")
        self.assertIn("3 segments from", self.call("run", "small.yaml", "-o", "a.h5",
                                                      "--resume", "--backend", "cpu").stdout)

    def test_merged_shards_state_all_segments(self):
        self.interrupt("s.0.h5", "--shard", "0/2")
        for i in range(2):
            self.train(f"s.{i}.h5", "--shard", f"{i}/2", "--resume")
        self.call("merge", "-o", "a.h5", "s.0.h5", "s.1.h5")
        with h5py.File(self.path("a.h5")) as file:
            self.assertEqual(len(json.loads(file.attrs["segments"])), 3)
            self.assertEqual(int(file.attrs["network_steps"]), self.steps("a.h5"))


if __name__ == "__main__":
    unittest.main()
