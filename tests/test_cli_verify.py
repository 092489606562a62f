# SPDX-License-Identifier: Apache-2.0
"""The command verify: complete and consistent JSON, reasons for skipped checks, and refusals.

Usage: test_cli_verify.py PROGRAM [unittest arguments]
"""
import json
import unittest

import cli_case

NO_DEVICE = {"CUDA_VISIBLE_DEVICES": ""}


def call(*arguments, **options):
    return cli_case.call("verify", *arguments, **NO_DEVICE, **options)


def call_json(*arguments, **options):
    done = call(*arguments, "--json", **options)
    assert done.stderr == "", done.stderr
    return json.loads(done.stdout)


class Json(unittest.TestCase):
    def check_ratio(self, check):
        """A tolerance a thousand times the error checks nothing; a row without an error
        demands equality."""
        if check["error"] == 0:
            self.assertIsNone(check["ratio"])
            self.assertIs(check["exact"], True)
            self.assertEqual(check["tolerance"], 0)
        else:
            self.assertIs(check["exact"], False)
            self.assertAlmostEqual(check["ratio"], check["tolerance"] / check["error"])
            self.assertLess(check["ratio"], 1000)

    def check(self, result):
        names = [check["name"] for check in result["checks"]]
        self.assertEqual(len(names), len(set(names)))
        for check in result["checks"]:
            with self.subTest(check["name"]):
                self.assertIs(check["pass"], True)
                self.assertLessEqual(check["error"], check["tolerance"])
                self.assertGreaterEqual(check["error"], 0)
                self.assertGreater(check["compared"], 0)
                self.check_ratio(check)
        self.assertEqual((result["passed"], result["failed"]), (len(names), 0))
        return names

    @unittest.skipIf(cli_case.SANITIZED, "minutes; --quick is the same code on fewer cases")
    def test_available_engines_pass_and_others_are_listed_as_skipped(self):
        result = call_json()
        names = self.check(result)
        for start in ("Philox", "gradients", "ledger", "matrix identity", "escape times",
                      "manifold", "reference: ", "cpu: ", "cpu interleaved: "):
            self.assertTrue(any(name.startswith(start) for name in names), start)
        self.assertFalse(any(name.startswith("cuda") for name in names))
        self.assertEqual([left["name"] for left in result["skipped"]], ["cuda"])
        self.assertTrue(result["skipped"][0]["reason"])
        self.assertFalse(result["quick"])
        self.assertLess(result["wall_s"], 200)

    def test_one_backend_only(self):
        result = call_json("--quick", "--backend", "cpu", "--threads", "1")
        names = self.check(result)
        self.assertTrue(any(name.startswith("cpu: ") for name in names))
        self.assertFalse(any(name.startswith("reference: ") for name in names))
        self.assertEqual(result["skipped"], [])
        self.assertTrue(result["quick"])

    def test_the_reference_is_compared_with_long_double_not_with_itself(self):
        result = call_json("--quick", "--backend", "reference")
        self.check(result)
        (shapes,) = (c for c in result["checks"]
                     if c["name"] == "reference: shapes against long double")
        self.assertGreater(shapes["error"], 0)

    def test_every_instruction_set_passes(self):
        self.check(call_json("--quick", "--backend", "cpu", ESCAPEMENT_ISA="generic"))


class Table(unittest.TestCase):
    def test_one_row_per_check_and_a_summary(self):
        done = call("--quick", "--backend", "cpu")
        self.assertEqual(done.stderr, "")
        head, *rows, last = done.stdout.splitlines()
        self.assertEqual(head.split(), ["check", "error", "allowed", "ratio", "location"])
        self.assertTrue(all("  pass  " in row for row in rows))
        self.assertRegex(rows[0], r" 0\.00e\+00 +0\.00e\+00 +exact  pass  ")
        (normals,) = (row for row in rows if row.startswith("normals: Box-Muller"))
        self.assertRegex(normals, r" +1\.\d+  pass  ")
        self.assertRegex(last, rf"\A{len(rows)} passed, 0 failed, 0 skipped in [0-9.]+ s\Z")


class Refusals(unittest.TestCase):
    def test_bad_options_are_one_line(self):
        for words in (["--backend", "gpu"], ["--backend", ""], ["--backend", "cuda"],
                      ["--path", "fused"], ["--backend", "cpu", "--path", "fused"],
                      ["--backend", "reference", "--path", "cublas"], ["--threads", "0"],
                      ["--threads", "many"], ["--device", "-1"], ["extra"], ["--qick"]):
            with self.subTest(words=words):
                done = call(*words, "--json", code=2)
                self.assertEqual(done.stdout, "")
                self.assertRegex(done.stderr, r"\Aescapement: [^\n]+\n\Z")

    def test_a_missing_instruction_set_fails_the_checks_that_use_it(self):
        done = call("--quick", "--backend", "cpu", "--json", ESCAPEMENT_ISA="sse9", code=1)
        failed = [c for c in json.loads(done.stdout)["checks"] if not c["pass"]]
        self.assertTrue(failed and all(
            c["name"].startswith(("cpu: ", "evaluation in float")) for c in failed))
        self.assertTrue(all(c["error"] is None for c in failed))
        self.assertIn("checks failed", done.stderr)

    def test_fail_fast_stops_at_the_first_failure(self):
        done = call("--quick", "--backend", "cpu", "--fail-fast", "--json", ESCAPEMENT_ISA="sse9", code=1)
        checks = json.loads(done.stdout)["checks"]
        self.assertEqual([c["pass"] for c in checks], [True] * (len(checks) - 1) + [False])

    def test_help_lists_the_options(self):
        done = call("--help")
        for option in ("--backend", "--quick", "--fail-fast", "--json"):
            self.assertIn(option, done.stdout)


if __name__ == "__main__":
    unittest.main()
