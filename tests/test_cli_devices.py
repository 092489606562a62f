# SPDX-License-Identifier: Apache-2.0
"""run --devices: one worker process per device, supervised, restarted and merged. The devices are
processors.

Usage: test_cli_devices.py PROGRAM [unittest arguments]
"""
import contextlib
import glob
import os
import signal
import subprocess
import time
import unittest

import cli_case
import hold

PROGRAM = cli_case.PROGRAM

# Nothing escapes at the second threshold: every network makes all its steps.
SPEC = """\
name: dev
network: {layers: 4, width: 8, inputs: 6, activation: tanh}
train: {rate: 0.05, batch: 16, steps: 1000}
escape: {thresholds: [0.06, 1e-9], smoothing: 0.9}
sweep: {seeds: 4, groups: [{bottleneck: 3, scales: [0.3, 0.1]}]}
record: {every: 1000}
"""


class Devices(cli_case.Case):
    SPEC = SPEC
    RUN = ("--quiet", "--checkpoint", "0.02")

    def said(self, *arguments, **options):
        """Standard error of a run."""
        return self.run_spec(*arguments, **options).stderr

    def start(self, *arguments):
        """Starts a run with two workers; returns it and their process ids once both are paused."""
        child = subprocess.Popen(self.command("--devices", "cpu,cpu", *hold.CHECKPOINTS, *arguments),
                                 cwd=self.scratch, text=True, stderr=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL,
                                 env={**os.environ, **self.hold.environment()})
        self.hold.wait(lambda: len(self.hold.held()) == 2, child)
        return child, self.hold.held()

    def assert_as_one_process(self):
        self.said("--backend", "cpu", name="whole.h5")
        done = subprocess.run([PROGRAM, "compare", "--exact", "whole.h5", "a.h5"],
                              capture_output=True, text=True, cwd=self.scratch)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual([n for n in os.listdir(self.scratch) if n.startswith("a.h5")], ["a.h5"])

    def test_the_result_does_not_depend_on_the_number_of_devices(self):
        self.said("--devices", "cpu,cpu,cpu")
        self.assert_as_one_process()
        self.assertIn("nothing to do", self.said("--devices", "cpu,cpu", "--resume"))

    def test_a_worker_that_dies_is_restarted_from_its_checkpoint(self):
        child, workers = self.start()
        os.kill(workers[0], signal.SIGKILL)
        self.hold.release()
        said = child.communicate()[1]
        self.assertEqual(child.returncode, 0, said)
        self.assertIn("killed by signal 9", said)
        self.assert_as_one_process()

    def test_after_repeated_failures_the_run_resumes_with_another_number_of_devices(self):
        child, _ = self.start()
        while child.poll() is None:
            for pid in self.hold.held():
                with contextlib.suppress(ProcessLookupError):  # its mark outlives it
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)
        self.hold.release()
        self.assertEqual(child.returncode, 3)
        self.assertIn("the same command and --resume", child.communicate()[1].splitlines()[-1])
        self.assertIn("continue with --resume", self.said("--devices", "cpu", code=2))
        self.said("--devices", "cpu,cpu,cpu", "--resume")
        self.assert_as_one_process()

    def test_a_signal_to_the_parent_stops_all_workers_with_checkpoints(self):
        child, _ = self.start()
        child.terminate()
        said = child.communicate()[1]
        self.assertEqual(child.returncode, 143, said)
        self.assertIn("saved in a.h5.part-*: 0 of 8 members, 8 networks in flight;", said)
        self.assertEqual(len(glob.glob(self.path("a.h5.part-*.checkpoint"))), 2)
        self.assertIn("--devices", self.said("--backend", "cpu", "--resume", code=2))
        self.said("--devices", "cpu", "--resume")
        self.assert_as_one_process()

    def test_a_run_started_without_devices_is_not_restarted_with_devices(self):
        self.said("--backend", "cpu", "--max-time", "0.000001", code=143)
        self.assertIn("without --devices", self.said("--devices", "cpu", "--resume", code=2))

    def test_workers_end_with_their_parent(self):
        child, workers = self.start()
        child.kill()
        child.communicate()
        while any(map(hold.Hold.is_alive, workers)):
            time.sleep(0.002)
        self.said("--devices", "cpu,cpu", "--resume")
        self.assert_as_one_process()

    def test_max_time_stops_all_workers(self):
        said = self.said("--devices", "cpu,cpu", "--max-time", "0.01", "train.steps=1000000000",
                         code=143)
        self.assertIn("the same command and --resume", said)

    def test_a_name_may_begin_with_a_dash(self):
        os.rename(self.path("small.yaml"), self.path("-small.yaml"))
        done = subprocess.run([PROGRAM, "run", "-q", "--devices=cpu", "-o", "-a.h5", "--", "-small.yaml", "train.steps=2"],
                              capture_output=True, text=True, cwd=self.scratch)
        self.assertEqual((done.returncode, os.listdir(self.scratch).count("-a.h5")), (0, 1), done.stderr)

    def test_a_refusal_in_a_worker_is_an_error_of_the_run(self):
        os.mkdir(self.path("a.h5.part-0-of-2.lock"))
        said = self.said("--devices", "cpu,cpu", "--resume", "--max-time", "0.000001", code=2)
        self.assertIn("saved in a.h5.part-*: 0 of 8 members, ", said)

    def test_an_empty_journal_is_started_as_without_devices(self):
        for name in ("a.h5.part-0-of-1.journal", "a.h5.part-0-of-1.snapshots"):
            open(self.path(name), "w").close()
        self.said("--devices", "cpu", "--resume", "train.steps=2")

    def test_an_invalid_list_of_devices_is_refused(self):
        for text in ("0,0", "cpu,0", "", ",", "one", "-1", "0,"):
            self.assertIn("devices", self.said(f"--devices={text}", code=2), text)
        self.assertIn("--shard", self.said("--devices", "cpu", "--shard", "0/2", code=2))


if __name__ == "__main__":
    unittest.main()
