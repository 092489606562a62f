# SPDX-License-Identifier: Apache-2.0
"""Bounds of a run, before anything is trained: members, memory, devices, threads."""
import os
import subprocess
import unittest

import cli_case

PROGRAM = cli_case.PROGRAM

SPEC = """name: small
network: {layers: 3, width: 8, inputs: 8, activation: tanh}
train: {rate: 0.05, batch: 32, steps: 400}
escape: {thresholds: [0.05], smoothing: 0.9, false_escapes: allow}
sweep: {seeds: 4, groups: [{bottleneck: 3, scales: [0.1]}]}
"""


class Bounds(cli_case.Case):
    SPEC = SPEC

    def test_too_many_members_are_refused_before_allocation(self):
        # 1e8 members took 5.2 GiB before the refusal; the address space is 3 GiB here. The
        # sanitizers reserve more than that for themselves.
        limit = [] if cli_case.SANITIZED else ["prlimit", "--as=3000000000"]
        done = subprocess.run([*limit, PROGRAM, "run", "small.yaml", "--dry-run",
                               "sweep.seeds=100000000"],
                              cwd=self.scratch, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("100000000 members need", done.stderr)

    def test_a_missing_device_is_refused(self):
        for backend in ("auto", "cpu", "reference"):
            with self.subTest(backend):
                if backend == "auto" and "cuda: none" not in self.call("info", "--devices").stdout:
                    continue
                said = self.refused("run", "small.yaml", "--backend", backend, "--device", "3")
                self.assertIn("--device 3: the backend", said)
        said = self.refused("bench", "--backend", "cpu", "--device", "0", "--width", "16")
        self.assertIn("--device 0: the backend cpu has no devices", said)

    def test_threads_that_cannot_start_leave_no_journal(self):
        for name, value in (("OMP_STACKSIZE", "100000G"), ("OMP_THREAD_LIMIT", "1")):
            self.assertIn("continue with --threads 1",
                          self.refused("run", "small.yaml", "--threads", "2", code=3,
                                      **{name: value}))
        self.assertIn("OMP_STACKSIZE", self.refused("run", "small.yaml", code=3, OMP_STACKSIZE="16k"))

    def test_report_of_a_result_file_names_the_commands_that_show_it(self):
        with open(self.path("my.h5"), "w", encoding="utf-8"):
            pass
        said = self.call("report", "my.h5", "-o", "x.html", code=2).stderr
        self.assertIn("my.h5 is a file", said)
        self.assertIn("escapement fit", said)


if __name__ == "__main__":
    unittest.main()
