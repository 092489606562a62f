# SPDX-License-Identifier: Apache-2.0
"""Parts of tools/bench_peers that need neither torch nor jax: the reference formulas for the peers, the
count of operations, and the table.

Usage: test_peers.py PROGRAM PEERS_FOLDER [unittest arguments]
"""
import json
import os
import subprocess
import sys
import unittest

import numpy as np

PROGRAM = os.path.abspath(sys.argv.pop(1))
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv.pop(1))

import bench  # noqa: E402
import problem  # noqa: E402

SHAPE = problem.Shape(width=6, layers=4, inputs=5, batch=9, members=3)


def stepped(factor=1.0):
    """Weights before and after one step in double, with the gradient multiplied by `factor`."""
    before, x = problem.initial_weights(SHAPE), problem.draw_inputs(SHAPE)
    after = [w.astype(np.float64) - factor * problem.RATE * g
             for w, g in zip(before, problem.gradient(before, x))]
    return before, after, x


class Problem(unittest.TestCase):
    def test_the_gradient_agrees_with_differences_of_the_loss(self):
        problem.check_gradient()

    def test_operations_are_counted_as_in_bench(self):
        done = subprocess.run(
            [PROGRAM, "bench", "--json", "--backend", "cpu", "--seconds", "0.01", "--width", "6",
             "--layers", "4", "--inputs", "5", "--batch", "9"], stdout=subprocess.PIPE, check=True)
        (row,) = json.loads(done.stdout)["rows"]
        self.assertEqual(row["flop_per_step"], SHAPE.flop())

    def test_a_correct_update_passes_and_a_wrong_one_fails(self):
        self.assertLess(problem.update_error(*stepped()), 1e-9)
        self.assertAlmostEqual(problem.update_error(*stepped(1.01)), 0.01, places=9)
        before, after, x = stepped()
        after[1][2, 3, 4] = np.nan
        self.assertFalse(problem.update_error(before, after, x) <= 1)


class Worker:
    """Returns the given answers in turn."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def ask(self, *_, **__):
        return self.answers.pop(0)


class Candidate(unittest.TestCase):
    shape = {"width": 6, "layers": 4, "inputs": 5, "batch": 9}

    def choose(self, *answers):
        candidate = bench.Candidate(Worker(*answers), "torch bmm", self.shape)
        candidate.choose_members([4, 16, 64, 256], 0.1)
        return candidate

    def test_the_fastest_number_of_networks_is_chosen(self):
        made, us = {"error": 1e-5}, [{"us_per_step": t} for t in (9, 5, 6, 7)]
        answers = [a for t in us for a in (made, t, t)]
        candidate = self.choose(*answers)
        self.assertEqual(candidate.members, 16)
        self.assertIsNone(candidate.failed)

    def test_a_wrong_or_missing_gradient_gives_no_time(self):
        for error in (0.5, None):
            candidate = self.choose({"error": error})
            self.assertIn("gradient is wrong", candidate.failed)
            self.assertIn("failed", candidate.row(1.0))

    def test_sizes_beyond_memory_are_skipped(self):
        made, us, no = {"error": 1e-5}, {"us_per_step": 9}, {"failed": "out of memory"}
        candidate = self.choose(made, us, us, no)
        self.assertEqual((candidate.members, candidate.failed), (4, None))


class Table(unittest.TestCase):
    def test_ratios_are_to_escapements_median(self):
        candidate = bench.Candidate(None, "jax vmap scan", Candidate.shape)
        candidate.members, candidate.error = 16, 1e-5
        candidate.times, candidate.times_fixed = [30.0, 10.0, 20.0], [8.0, 8.0, 9.0]
        row = candidate.row(4.0)
        self.assertEqual((row["us_per_step"], row["ratio"], row["ratio_inputs_free"]),
                         (20.0, 5.0, 2.0))
        rounds = [[{"path": p, "us_per_step": t, "precision": "float32", "members": 8,
                    "error": 1e-6, "flop_per_s": 1e9, "fraction": 0.5, "ceiling_flop_per_s": 2e9}
                   for p, t in (("fused", a), ("cublas", b))] for a, b in ((4, 5), (9, 5), (3, 6))]
        ours = bench.our_row(rounds, Candidate.shape)
        self.assertEqual((ours["what"], ours["us_per_step"]), ("escapement fused", 4))
        text = bench.table({"device": "a, b", "threads": 2, "date": "d", "escapement": "e",
                            "versions": {"jax": "1"}, "rounds": 3,
                            "rows": [{**r, "others": 0.01} for r in (ours, row)]})
        self.assertIn("others took 1% of the processors", text)
        self.assertEqual(len([line for line in text.splitlines() if line[:1] not in "#"]), 2)


if __name__ == "__main__":
    unittest.main()
