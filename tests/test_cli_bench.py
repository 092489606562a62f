# SPDX-License-Identifier: Apache-2.0
"""The command bench: complete and consistent JSON, the table, and refusals.

Usage: test_cli_bench.py PROGRAM [unittest arguments]
"""
import itertools
import signal
import subprocess
import unittest

import cli_case

PROGRAM = cli_case.PROGRAM
QUICK = ["--seconds", "0.02", "--width", "8", "--batch", "16", "--slots", "3", "--threads", "1"]


def call(*arguments, **options):
    return cli_case.call("bench", *arguments, **options)


def call_json(*arguments, **options):
    return cli_case.call_json("bench", *arguments, **options)


def flop(row):
    n, d, deep = row["width"], row["inputs"], (row["layers"] - 2) * row["width"] ** 2 + row["width"]
    return 2 * row["batch"] * (2 * (n * d + deep) + deep)


class Json(unittest.TestCase):
    def check_row(self, row):
        for key in ("us_per_step", "flop_per_s", "ceiling_flop_per_s", "fraction"):
            self.assertGreater(row[key], 0, key)
        self.assertEqual(row["flop_per_step"], flop(row))
        self.assertAlmostEqual(row["flop_per_s"] * row["us_per_step"] / 1e6 / flop(row), 1, 9)
        self.assertAlmostEqual(row["fraction"] * row["ceiling_flop_per_s"] / row["flop_per_s"], 1, 9)
        self.assertLessEqual(row["us_per_step_least"], row["us_per_step"])
        self.assertLessEqual(row["us_per_step"], row["us_per_step_most"])
        self.check_repeats(row)
        self.assertEqual(row["wrong"], 0)
        self.assertLessEqual(row["error"], row["tolerance"])
        self.assertGreater(row["compared"], 0)
        self.assertGreater(row["host_bytes"], 0)
        self.assertTrue(row["path"])

    def check_repeats(self, row):
        repeats = row["us_per_step_repeats"]
        self.assertEqual(repeats, sorted(repeats))
        self.assertEqual((repeats[0], repeats[4], repeats[-1]), (
            row["us_per_step_least"], row["us_per_step"], row["us_per_step_most"]))
        if repeats[-1] > 2 * repeats[4] or repeats[4] > 2 * repeats[0]:
            self.assertTrue(row["disturbed"])

    def test_a_row_for_every_combination(self):
        lists = {"width": [8, 12], "layers": [2, 3], "inputs": [5, 6], "batch": [4, 8],
                 "members": [1, 3], "activation": ["tanh", "relu"]}
        options = {"members": "slots"}  # --slots N trains N members
        rows = []
        for pair in (("width", "layers", "members"), ("inputs", "batch", "activation")):
            words = [w for key, values in lists.items() for w in (
                f"--{options.get(key, key)}", ",".join(map(str, values[:2 if key in pair else 1])))]
            got = call_json("--backend", "cpu", "--threads", "2", "--seconds", "0.01", *words)
            shapes = {tuple(row[key] for key in pair) for row in got["rows"]}
            self.assertEqual(shapes, set(itertools.product(*(lists[key] for key in pair))))
            self.assertEqual((len(got["rows"]), got["rows_wrong"]), (8, 0))
            self.assertEqual(got["rows_disturbed"], sum(row["disturbed"] for row in got["rows"]))
            rows += got["rows"]
        for row in rows:
            self.check_row(row)
        (backend,) = got["backends"]
        self.assertEqual(backend["backend"], "cpu")
        self.assertIn("2 threads", backend["ceiling"])
        self.assertGreater(backend["copy_bytes_per_s"], 0)

    def test_defaults_of_inputs_and_slots(self):
        got = call_json("--backend", "cpu", "--width", "16", "--batch", "16", "--threads", "2",
                  "--seconds", "0.02")
        (row,) = got["rows"]
        self.check_row(row)
        self.assertEqual((row["inputs"], row["layers"], row["threads"]), (16, 6, 2))
        self.assertGreaterEqual(row["members"], 2)

    def test_the_reference_has_a_row(self):
        rows = call_json("--backend", "reference,cpu", *QUICK)["rows"]
        self.assertEqual([row["backend"] for row in rows], ["reference", "cpu"])
        self.assertEqual([row["precision"] for row in rows], ["float64", "float32"])
        for row in rows:
            self.check_row(row)
        self.assertEqual(rows[0]["error"], 0)

    def test_a_polynomial_contains_commas_and_the_path_is_the_instruction_set(self):
        (row,) = call_json("--path", "padded", "--activation", "poly:0,1,0,-0.1", *QUICK,
                     ESCAPEMENT_ISA="generic")["rows"]
        self.assertEqual((row["activation"], row["path"]), ("poly:0,1,0,-0.1", "generic"))
        self.check_row(row)

    def test_each_path_of_the_cpu_has_a_row_where_it_supports_the_width(self):
        got = call_json("--path", "padded,interleaved", *QUICK, "--width", "64,65", "--layers", "2")
        self.assertEqual([(row["backend"], row["width"], row["path"] == "interleaved")
                          for row in got["rows"]],
                         [("cpu", 64, False), ("cpu", 64, True), ("cpu", 65, False)])
        for row in got["rows"]:
            self.check_row(row)
        (skip,) = got["skipped"]
        self.assertEqual([skip[key] for key in ("backend", "path", "width", "batch", "members")],
                         ["cpu", "interleaved", 65, 16, 3])
        self.assertIn("needs networks of width 64 or less", skip["reason"])

    def test_the_backends_are_those_of_all_paths(self):
        got = call_json("--path", "fused,padded", *QUICK)
        self.assertIn("cpu", [row["backend"] for row in got["rows"]])
        self.assertIn("cuda", [row["backend"] for row in got["rows"] + got["skipped"]])


class Table(unittest.TestCase):
    def test_the_table_explains_its_columns_and_has_errors(self):
        done = call("--path", "padded,interleaved", *QUICK, "--width", "65", "--layers", "2")
        comments = [line for line in done.stdout.splitlines() if line.startswith("#")]
        rows = [line.split() for line in done.stdout.splitlines() if not line.startswith("#")]
        self.assertTrue(any("2B(2(Nd + (L-2)N^2 + N) + (L-2)N^2 + N)" in c for c in comments))
        self.assertTrue(any("multiply-adds in registers" in c for c in comments))
        self.assertEqual(len(rows), 1)
        (skipped,) = [c for c in comments if c.startswith("# skipped")]
        self.assertRegex(skipped, "^# skipped: cpu, interleaved, tanh, N 65, .*: needs networks of width 64")
        columns = comments[-1][1:].split()
        self.assertEqual((columns[0], columns[-1]), ("backend", "#wrong"))
        for row in rows:
            self.assertEqual(len(row), len(columns))
            self.assertIn(row[columns.index("disturbed")], ("yes", "no"))
            self.assertEqual(row[-1], "0")


class Refusals(unittest.TestCase):
    def test_bad_options_are_one_line(self):
        for words in (["--width", "0"], ["--width", "8,"], ["--width", "4097"], ["--width", "8.5"],
                      ["--width", ",".join(["8"] * 33)], ["--layers", "1"], ["--batch", "x"],
                      ["--inputs", "-1"], ["--slots", "1e7"], ["--activation", "tahn"],
                      ["--activation", "tanh,"], ["--activation", "poly:"], ["--activation", "poly:0,1e200"], ["--seconds", "0"],
                      ["--seconds", "nan"], ["--backend", "gpu"], ["--backend", "cpu,"],
                      ["--backend", ""], ["--precision", "fp16"],
                      ["--backend", "cpu", "--precision", "tf32"], ["--threads", "0"],
                      ["extra"], ["--wdth", "8"]):
            with self.subTest(words=words):
                done = call(*words, "--json", code=2)
                self.assertEqual(done.stdout, "")
                self.assertRegex(done.stderr, r"\Aescapement: [^\n]+\n\Z")

    def test_a_request_of_which_nothing_can_run_or_a_name_is_unknown_is_refused(self):
        for words in (["--path", "interleaved", "--width", "65,66"],
                      ["--path", "padded,interleafed", "--width", "64,65"],
                      ["--backend", "cpu,gpu", "--width", "8"]):
            with self.subTest(words=words):
                done = call(*words, "--json", code=2)
                self.assertEqual(done.stdout, "")
                self.assertRegex(done.stderr, r"\Aescapement: --(path inter|backend gpu)[^\n]+\n\Z")

    def test_an_unknown_instruction_set_is_refused(self):
        done = call("--backend", "cpu", *QUICK, ESCAPEMENT_ISA="sse9", code=2)
        self.assertIn("ESCAPEMENT_ISA", done.stderr)

    def test_lack_of_memory_is_a_system_failure(self):
        done = call("--backend", "cpu", "--width", "4096", "--slots", "1000000", "--json", code=3)
        self.assertEqual(done.stdout, "")
        self.assertIn("more than there is", done.stderr)

    def test_an_interrupt_ends_the_measurement(self):
        with subprocess.Popen([PROGRAM, "bench", "--backend", "cpu", "--seconds", "3600",
                               "--width", "8", "--batch", "16"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as running:
            for line in running.stdout:  # the columns' names: rows come next
                if line.startswith("# backend"):
                    break
            running.send_signal(signal.SIGINT)
            _, errors = running.communicate()
        self.assertEqual(running.returncode, 130)
        self.assertIn("interrupted", errors)


if __name__ == "__main__":
    unittest.main()
