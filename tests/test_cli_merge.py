# SPDX-License-Identifier: Apache-2.0
"""The command merge: merged shards equal the undivided run; gaps, overlaps and mixed files are refused by
name.

Usage: test_cli_merge.py PROGRAM [unittest arguments]
"""
import json
import os
import unittest

import xarray

import cli_case

SPEC = """\
name: small
network: {layers: 4, width: 6, inputs: 6, activation: tanh}
teacher: {amplitudes: [1.0]}
train: {rate: 0.05, batch: 16, steps: 300}
escape: {thresholds: [0.1, 0.06], smoothing: 0.9, false_escapes: allow}
sweep: {seeds: 4, groups: [{bottleneck: 3, scales: [0.4, 0.2]}]}
record: {every: 50}
"""


class Merge(cli_case.Case):
    SPEC = SPEC

    def shards(self, count, *arguments):
        return [self.train("s.%a.h5", "--shard", f"{i}/{count}", *arguments) and f"s.{i}.h5"
                for i in range(count)]

    def refused(self, *files):
        return super().refused("merge", "-o", "m.h5", *files)

    def test_the_merged_file_is_the_run_in_one_piece(self):
        whole = self.train("whole.h5")
        for count in (1, 3, 8, 10):  # of ten, two hold nothing
            with self.subTest(count):
                files = self.shards(count)
                told = json.loads(self.call("merge", "-o", "m.h5", "--json",
                                            *reversed(files)).stdout)
                self.assertEqual((told["members"], told["shards"]), (8, count))
                self.call("compare", "--exact", whole, "m.h5")
                with xarray.open_dataset(self.path("m.h5")) as merged:
                    self.assertEqual(merged.attrs["shard"], "0/1")
                for name in (*files, "m.h5"):
                    os.remove(self.path(name))

    def test_the_merged_file_counts_as_the_runs_result(self):
        self.call("merge", "-o", "m.h5", *self.shards(2))
        self.assertIn("complete", self.call("run", "small.yaml", "-o", "m.h5", "--resume",
                                            "--backend", "cpu").stderr)

    def test_all_different_attributes_are_reported(self):
        self.call("merge", "-o", "m.h5", *self.shards(2))
        with xarray.open_dataset(self.path("m.h5")) as merged:
            for i in range(2):
                self.assertIn(f"--shard {i}/2", merged.attrs["command_line"])
            self.assertEqual(merged.attrs["backend"], "cpu")
            self.assertEqual(merged.attrs["merged_shards"], "2")
            self.assertLessEqual(merged.attrs["start_time"], merged.attrs["end_time"])

    def test_a_gap_is_named(self):
        files = self.shards(3)
        self.assertIn("shard 1 of 3 is missing", self.refused(files[0], files[2]))

    def test_an_overlap_is_named(self):
        files = self.shards(2)
        again = self.train("again.h5", "--shard", "1/2")
        self.assertIn("s.1.h5 and again.h5 are both shard 1 of 2", self.refused(*files, again))
        self.assertIn("both shard 0 of 2", self.refused(files[0], files[0]))

    def test_files_of_different_sweeps_are_named(self):
        first = self.train("a.h5", "--shard", "0/2")
        for name, other, word in (("spec.h5", ("--shard", "1/2", "train.rate=0.04"), "spec"),
                                  ("exact.h5", ("--shard", "1/2", "--backend", "reference"),
                                   "precision"),
                                  ("three.h5", ("--shard", "1/3"), "2 shards and 3 shards")):
            with self.subTest(name):
                said = self.refused(first, self.train(name, *other))
                self.assertIn(f"a.h5 and {name} belong to different runs", said)
                self.assertIn(word, said)

    def test_a_damaged_or_unverified_file_is_refused(self):
        files = self.shards(2)
        with open(self.path(files[1]), "r+b") as file:
            file.seek(5000)
            file.write(b"\xff\x00\xff")
        self.assertIn("s.1.h5", self.refused(*files))
        self.assertIn("small.yaml", self.refused(files[0], "small.yaml"))

    def test_an_existing_file_is_kept_unless_forced(self):
        files = self.shards(2)
        self.train("m.h5", "sweep.seeds=1")
        before = open(self.path("m.h5"), "rb")
        self.addCleanup(before.close)
        self.assertIn("--force", self.call("merge", "-o", "m.h5", *files, code=2).stderr)
        with open(self.path("m.h5"), "rb") as after:
            self.assertEqual(before.read(), after.read())
        self.call("merge", "-o", "m.h5", "--force", *files)
        self.call("merge", *files, code=2)
        self.call("merge", "-o", "n.h5", code=2)


if __name__ == "__main__":
    unittest.main()
