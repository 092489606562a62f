# SPDX-License-Identifier: Apache-2.0
"""sweep.grid and sweep.zip: a grid equals the sum of its single sweeps bit by bit, also killed, resumed, sharded
and merged, by several processes, and grown.

Usage: test_cli_grid.py PROGRAM [unittest arguments]
"""
import itertools
import json
import os
import unittest

import h5py
import numpy

import cli_case
import hold

SPEC = """\
name: small
network: {layers: 3, width: 5, activation: tanh}
train: {rate: 0.05, batch: 16, steps: 60}
escape: {thresholds: [0.06, 1e-9], false_escapes: allow}
sweep:
  seeds: 2
  groups: [{bottleneck: 2, scales: [0.4, 0.2]}]
  grid:
    network.layers: [2, 4]
    network.activation: [tanh, gelu]
    train.batch: {from: 4, to: 8, count: 2}
record: {every: 10}
"""
KEYS = ("network.layers", "network.activation", "train.batch")
POINTS = list(itertools.product([2, 4], ["tanh", "gelu"], [4, 8]))
MEMBERS = 4 * len(POINTS)
NO_GRID = "    network.layers: [2, 4]\n    network.activation: [tanh, gelu]\n" \
    "    train.batch: {from: 4, to: 8, count: 2}\n"


def padded(values, shape):
    """`values` with NaN up to `shape`."""
    out = numpy.full(shape, numpy.nan)
    out[tuple(slice(n) for n in values.shape)] = values
    return out


class Grid(cli_case.Case):
    SPEC = SPEC
    whole = None  # bytes of the grid trained in one piece

    def setUp(self):
        super().setUp()
        self.write("single.yaml", SPEC.replace("  grid:\n" + NO_GRID, ""))

    def variables(self, name):
        with h5py.File(self.path(name)) as file:
            return {key: file[key][()] for key in file}

    def point(self, name, *values):
        """The sweep of one point on its own."""
        pairs = [f"{key}={value}" for key, value in zip(KEYS, values)]
        self.call("run", "single.yaml", "-o", name, "--force", *self.RUN, *pairs)
        return self.variables(name)

    def assert_only(self, name):
        self.assertEqual([n for n in os.listdir(self.scratch) if n.startswith(name)], [name])

    def train_whole(self):
        """whole.h5: the grid trained in one piece, once for all tests."""
        if Grid.whole is None:
            with open(self.path(self.train("whole.h5")), "rb") as file:
                Grid.whole = file.read()
        with open(self.path("whole.h5"), "wb") as file:
            file.write(Grid.whole)
        return "whole.h5"

    def assert_whole(self, name):
        """Equal in every bit to the grid trained in one piece."""
        self.train_whole()
        self.call("compare", "--exact", "whole.h5", name)
        self.assert_only(name)


class SumOfItsSweeps(Grid):
    def test_every_variable_of_every_point(self):
        grid = self.variables(self.train_whole())
        self.assertEqual(len(grid["member"]), MEMBERS)
        for number, values in enumerate(POINTS):
            rows = numpy.flatnonzero(grid["point"] == number)
            single = self.point("single.h5", *values)
            self.assertEqual(len(rows), len(single["member"]))
            steps = numpy.isin(grid["snapshot"], single["snapshot"])
            for name, alone in single.items():
                if name in ("member", "threshold", "layer", "interface", "snapshot"):
                    continue
                inside = grid[name][rows]
                if alone.ndim > 1 and inside.shape[1] == len(steps):
                    self.assertTrue(numpy.isnan(inside[:, ~steps]).all(), name)
                    inside = inside[:, steps]
                if alone.dtype.kind == "f":
                    alone = padded(alone, inside.shape)
                self.assertEqual(inside.tobytes(), alone.tobytes(), (name, values))

    def test_swept_keys_are_variables(self):
        grid = self.variables(self.train_whole())
        for key, column in zip(KEYS, zip(*POINTS)):
            found = grid[key.replace(".", "_")]
            found = [v.decode() if isinstance(v, bytes) else v for v in found]
            self.assertEqual(found, [column[p] for p in grid["point"]])

    def test_the_resolved_spec_is_the_same_grid(self):
        with h5py.File(self.path(self.train_whole())) as file:
            spec = file.attrs["spec"]
        self.write("resolved.yaml", spec)
        self.call("run", "resolved.yaml", "-o", "b.h5", *self.RUN)
        self.call("compare", "--exact", "whole.h5", "b.h5")
        with h5py.File(self.path("b.h5")) as file:
            self.assertEqual(file.attrs["spec"], spec)


class Interrupted(Grid):
    def stop(self, *arguments, name="a.h5"):
        """A run that stops after a block of steps; what it says."""
        return self.run_spec("--max-time", "0.000001", *arguments, name=name, code=143).stderr

    def test_no_point_begins_after_the_time(self):
        for point in (2, 3):  # each ends in its first block
            self.assertIn(f"at point {point} of 8", self.stop("--resume", "train.steps=1"))

    def kill(self, *arguments, name="a.h5"):
        """A run that is killed at its first checkpoint."""
        child = self.hold.start(self.command(*hold.CHECKPOINTS, *arguments, name=name), self.scratch,
                                env=cli_case.ENVIRONMENT)
        self.hold.kill(child)

    def test_killed_resumed_sharded_and_merged(self):
        self.kill("--shard", "0/3", name="s0.h5")
        self.assertIn("at point", self.stop("--resume", "--shard", "0/3", name="s0.h5"))
        for shard in range(3):
            self.run_spec("--resume", "--shard", f"{shard}/3", name=f"s{shard}.h5")
        self.call("merge", "-o", "a.h5", "s2.h5", "s0.h5", "s1.h5")
        self.assert_whole("a.h5")

    def test_several_processes(self):
        self.run_spec("--devices", "cpu,cpu", name="a.h5")
        self.assert_whole("a.h5")


class Grown(Grid):
    FEW = "sweep.grid={network.layers: [2, 4], train.batch: [4]}"
    MORE = ("sweep.grid={network.layers: [2, 3, 4], train.batch: [4]}", "sweep.seeds=3")

    def test_points_and_seeds_are_added(self):
        self.run_spec(self.FEW)
        told = json.loads(self.run_spec("--resume", "--json", *self.MORE).stdout)
        self.assertEqual((told["members_kept"], told["members"]), (8, 18))
        self.assertEqual(told["steps"], 18 * 60)
        self.run_spec(*self.MORE, name="b.h5")
        self.call("compare", "--exact", "a.h5", "b.h5")
        self.assert_only("a.h5")
        self.assertIn("network.layers = 3, train.batch = 4 is not a point",
                      self.refused("run", "small.yaml", "-o", "a.h5", *self.RUN, "--resume", self.FEW,
                                   "sweep.seeds=3"))

    def test_one_point_is_copied_from_a_grid_and_into_it(self):
        self.run_spec(self.FEW)
        one = ("network.layers=4", "train.batch=4")
        self.call("run", "single.yaml", "-o", "single.h5", *self.RUN, *one)
        for arguments in (["single.yaml", "-o", "b.h5", "--from", "a.h5", *one],
                          ["small.yaml", "-o", "c.h5", "--from", "single.h5", self.FEW]):
            told = self.call_json("run", *arguments, *self.RUN)
            self.assertEqual(told["members_kept"], 4)
        self.call("compare", "--exact", "single.h5", "b.h5")
        self.call("compare", "--exact", "a.h5", "c.h5")

    def test_other_kinds_of_runs_are_not_continued(self):
        self.run_spec("--max-time", "0.000001", self.FEW, code=143)
        self.assertIn("belong to a run with a grid", self.call("run", "single.yaml", "-o", "a.h5", *self.RUN,
                                                               code=2).stderr)
        self.assertIn("that the sweep no longer has", self.run_spec("--resume", "train.rate=0.04", self.FEW, code=2).stderr)
        self.call("run", "single.yaml", "-o", "b.h5", *self.RUN, "--max-time", "0.000001", code=143)
        self.assertIn("belongs to a run without a grid",
                      self.run_spec("--resume", self.FEW, name="b.h5", code=2).stderr)

    def test_force_removes_every_file_of_a_run_without_a_grid(self):
        files = [self.path("b.h5" + suffix) for suffix in (".journal", ".snapshots", ".weights", ".checkpoint")]
        for file in files:
            open(file, "wb").close()
        self.run_spec("--force", self.FEW, name="b.h5")
        self.assertEqual([file for file in files if os.path.exists(file)], [])


class Logged(Grid):
    FEW = Grown.FEW

    def events(self):
        with open(self.path("log.jsonl"), encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
        return [e for e in events if e["event"] != "warning"]

    def assert_members_of(self, result, events):
        """The retirements name the members of the result."""
        rows = self.variables(result)
        names = ("member", "point", "seed", "scale")
        self.assertEqual(sorted(tuple(e[n] for n in names) for e in events if e["event"] == "retirement"),
                         sorted(zip(*(rows[n].tolist() for n in names))))

    def test_events_have_the_point_and_the_member_of_the_result(self):
        self.run_spec("--log", "log.jsonl", self.FEW)
        events = self.events()
        self.assertEqual(events[0]["event"], "start")
        self.assertEqual(events[0]["members"], 8)
        self.assertEqual((events[-1]["event"], events[-1]["members"], events[-1]["finished"]), ("end", 8, 8))
        self.assertEqual([(e["point"], e["grid"]["network.layers"], e["members"]) for e in events
                          if e["event"] == "point"], [(0, 2, 4), (1, 4, 4)])
        self.assert_members_of("a.h5", events)

    def test_the_end_of_a_stopped_run_has_the_counts_of_the_whole(self):
        self.run_spec("--log", "log.jsonl", "--max-time", "0.000001", self.FEW, code=143)
        end = self.events()[-1]
        self.assertEqual((end["ended"], end["members"]), ("max-time", 8))
        self.assertGreater(end["network_steps"], 0)


class Read(Grid):
    def test_fit_groups_by_the_swept_keys(self):
        groups = self.call_json("fit", self.train_whole())["groups"]
        self.assertEqual([tuple(g["grid"].values()) for g in groups[::2]], POINTS)
        self.assertEqual(list(groups[0]["grid"]), list(KEYS))
        self.point("single.h5", *POINTS[3])
        alone = self.call_json("fit", "single.h5")["groups"]
        grid = [g for g in groups if tuple(g.pop("grid").values()) == POINTS[3]]
        self.assertEqual(grid, alone)

    def test_a_member_given_twice_is_refused_with_its_point(self):
        self.assertIn("fit: network.layers = 2, network.activation = tanh, train.batch = 4, bottleneck 2",
                      self.refused("fit", self.train_whole(), "whole.h5"))

    def test_the_dry_run_has_the_cost_of_every_point(self):
        told = self.call_json("run", "small.yaml", "-o", "a.h5", *self.RUN, "--dry-run")
        self.assertEqual([p["members"] for p in told["points"]], [4] * len(POINTS))
        self.assertEqual(told["members"], MEMBERS)
        self.assertLess(sum(p["seconds_max"] for p in told["points"]), 1.001 * told["seconds_max"])

    def test_info_lists_the_points(self):
        told = self.call("info", self.train_whole()).stdout
        self.assertIn("grid of 8 points", told)
        self.assertIn("network.layers = 4, network.activation = gelu, train.batch = 8: 4 members", told)


if __name__ == "__main__":
    unittest.main()
