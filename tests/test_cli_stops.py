# SPDX-License-Identifier: Apache-2.0
"""Stops of a run and interference of other runs: signals, closed pipes, limits on file sizes, the lock of an
output, unrelated files, resubmitted tasks of a Slurm array.

Usage: test_cli_stops.py PROGRAM [unittest arguments]
"""
import glob
import os
import re
import resource
import signal
import subprocess
import unittest

import cli_case
import hold

PROGRAM = cli_case.PROGRAM

# Nothing escapes: every network makes all its steps.
SPEC = """\
name: stops
network: {layers: 3, width: 4, inputs: 4, activation: tanh}
train: {rate: 0.05, batch: 4, steps: 50}
escape: {thresholds: [1e-9], false_escapes: allow}
sweep: {seeds: 4, groups: [{bottleneck: 2, scales: [0.1]}]}
"""
ENDLESS = "train.steps=1000000000"
OFTEN = ("--checkpoint", "0.0001")


class Scratch(cli_case.Case):
    SPEC = SPEC

    def run_it(self, *arguments, **options):
        """Standard error of a run."""
        return self.run_spec(*arguments, **options).stderr

    def contents(self):
        """{name: bytes} of all files, without those of paused processes."""
        found = {}
        for path in glob.glob(self.path("*")) + glob.glob(self.path(".*.tmp")):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    found[os.path.basename(path)] = file.read()
        return found


class Signals(Scratch):
    def start(self, *arguments, signals=1):
        return self.hold.start(self.command(ENDLESS, *hold.CHECKPOINTS, *arguments), self.scratch,
                               env=cli_case.ENVIRONMENT, signals=signals)

    def assert_stopped(self, child):
        said = child.communicate()[1]
        self.assertEqual(child.returncode, 143, said)
        self.assertIn("networks in flight are saved", said)

    def test_a_second_term_does_not_interrupt_the_checkpoint(self):
        child = self.start(signals=2)
        child.terminate()
        self.hold.wait(lambda: self.hold.handled(child.pid) == 1, child)
        child.terminate()
        self.assert_stopped(child)

    def test_hup_stops_with_a_checkpoint(self):
        child = self.start()
        child.send_signal(signal.SIGHUP)
        self.assert_stopped(child)

    def test_xcpu_stops_with_a_checkpoint(self):
        child = self.start()
        child.send_signal(signal.SIGXCPU)
        self.assert_stopped(child)

    def test_a_signal_to_the_whole_job_counts_once_in_a_worker(self):
        child = subprocess.Popen(
            self.command(ENDLESS, *OFTEN, "--devices", "cpu,cpu"), cwd=self.scratch, text=True,
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            env={**cli_case.ENVIRONMENT, **self.hold.environment(signals=2)})
        self.hold.wait(lambda: len(self.hold.held()) == 2, child)
        first, second = self.hold.held()
        os.kill(first, signal.SIGTERM)  # directly, then from its parent
        self.hold.wait(lambda: self.hold.handled(first) == 1, child)
        child.terminate()
        self.hold.wait(lambda: self.hold.handled(second) == 1, child)
        os.kill(second, signal.SIGTERM)  # the other way round
        said = child.communicate()[1]
        self.assertEqual(child.returncode, 143, said)
        self.assertEqual(said.count("networks in flight are saved"), 2, said)

    def test_a_closed_stderr_does_not_end_a_run(self):
        ends = os.pipe()
        os.close(ends[0])
        array = {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "2"}  # which is told there
        done = subprocess.run(self.command(name="a.%a.h5"), cwd=self.scratch, stderr=ends[1],
                              stdout=subprocess.DEVNULL, env={**cli_case.ENVIRONMENT, **array})
        os.close(ends[1])
        self.assertEqual(done.returncode, 0)

    def test_a_closed_stdout_does_not_end_a_run_and_is_reported(self):
        ends = os.pipe()
        os.close(ends[0])
        done = subprocess.run(self.command(), cwd=self.scratch, stdout=ends[1], stderr=subprocess.PIPE,
                              text=True, env=cli_case.ENVIRONMENT)
        os.close(ends[1])
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("output files are complete", done.stderr)
        self.assertIn("complete", self.run_it("--resume"))

    def test_a_limit_of_file_sizes_is_reported_as_a_full_disk(self):
        done = subprocess.run(self.command(), cwd=self.scratch, capture_output=True, text=True,
                              env=cli_case.ENVIRONMENT, preexec_fn=lambda: resource.setrlimit(
                                  resource.RLIMIT_FSIZE, (4096, 4096)))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("File too large", done.stderr)
        self.assertIn("--resume", done.stderr)
        self.run_it("--resume")

    def test_where_a_journal_fails_the_log_has_the_retirements_of_saved_members_only(self):
        done = subprocess.run(self.command("sweep.seeds=40", "--slots", "7", "--log", "/dev/stdout"),
                              cwd=self.scratch, capture_output=True, text=True,
                              env=cli_case.ENVIRONMENT, preexec_fn=lambda: resource.setrlimit(
                                  resource.RLIMIT_FSIZE, (4096, 4096)))
        saved = int(re.search(r"; (\d+) finished members are saved", done.stderr)[1])
        self.assertIn(saved, range(1, 40))
        self.assertEqual(done.stdout.count('"event":"retirement"'), saved)


class Outputs(Scratch):
    def test_the_files_of_an_active_run_are_protected(self):
        self.run_it()
        self.run_it(name="shard.h5")
        unrelated = {"a.h5.part-0-of-2.notes.txt": b"notes", "a.h5.part-1-of-2~": b"",
                     "a.h5.part-00-of-2": b"", "a.h5.journal.bak": b"copy", ".a.h5.notes.tmp": b"mine"}
        for name, text in unrelated.items():
            with open(self.path(name), "wb") as file:
                file.write(text)
        child = subprocess.Popen(
            self.command("--devices", "cpu,cpu", "--force", *OFTEN),
            cwd=self.scratch, stdout=subprocess.DEVNULL, text=True, stderr=subprocess.PIPE,
            env={**cli_case.ENVIRONMENT, **self.hold.environment()})
        self.hold.wait(lambda: len(self.hold.held()) == 2, child)
        before = self.contents()
        for other in (self.command("--devices", "cpu,cpu", "--force"),
                      self.command("--devices", "cpu", "--resume"),  # beside a complete file
                      self.command("--devices", "cpu,cpu,cpu", "--resume", "sweep.seeds=8"),
                      self.command("--force"), self.command("--resume"),
                      self.command("--force", name="a.h5.part-0-of-2"),
                      self.command("--force", name="a.h5.part-2-of-3"),
                      [PROGRAM, "merge", "-o", "a.h5", "shard.h5", "--force"]):
            said = self.call(*other[1:], code=2).stderr
            self.assertIn(f"another run is writing this output: process {child.pid} on ", said, other)
            self.assertEqual(self.contents(), before, other)
        for own in ("a.h5.part-0-of-2.journal", "a.h5.part-0-of-2.checkpoint", "a.h5.lock"):
            self.assertIn("is reserved for internal files of a run", self.run_it("--force", name=own, code=2))
        self.assertEqual(self.contents(), before)
        self.hold.release()
        said = child.communicate()[1]
        self.assertEqual(child.returncode, 0, said)
        after = self.contents()
        self.assertEqual({name: after.get(name) for name in unrelated}, unrelated)
        self.assertEqual([n for n in after if n.startswith("a.h5") and n not in unrelated], ["a.h5"])

    def test_a_run_after_a_kill_waits_for_remaining_workers(self):
        child = subprocess.Popen(
            self.command("--devices", "cpu,cpu", *OFTEN), cwd=self.scratch, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**cli_case.ENVIRONMENT, **self.hold.environment(signals=2)})
        self.hold.wait(lambda: len(self.hold.held()) == 2, child)
        child.kill()
        child.wait()
        again = subprocess.Popen(self.command("--devices", "cpu,cpu", "--resume"), cwd=self.scratch, text=True,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=cli_case.ENVIRONMENT)
        self.assertIn(f"process {child.pid} has ended, but its workers are still saving",
                      again.stderr.readline())
        self.hold.release()
        said = again.communicate()[1]
        self.assertEqual(again.returncode, 0, said)
        self.assertEqual([n for n in self.contents() if n.startswith("a.h5")], ["a.h5"])


class Arrays(Scratch):
    @staticmethod
    def task(number, count=1, first=None, last=None):
        return {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": str(count),
                "SLURM_ARRAY_TASK_MIN": str(number if first is None else first),
                "SLURM_ARRAY_TASK_MAX": str(number if last is None else last),
                "SLURM_ARRAY_JOB_ID": "70", "SLURM_JOB_ID": "73"}

    def test_a_resubmitted_task_trains_its_own_shard_only(self):
        alone = self.run_it(name="my.%a.h5", code=2, **self.task(3))
        self.assertIn("--shard %a/N", alone)
        self.assertEqual(glob.glob(self.path("my.*")), [])
        named = self.run_it("--shard", "%a/4", name="my.%a.h5", **self.task(2))
        self.assertEqual(named, "")
        self.assertIn("--shard 3/4, as in ./my.2.h5", self.run_it(name="my.%a.h5", **self.task(3)))
        self.assertIn("has 4 shards", self.run_it(name="my.%a.h5", code=2, **self.task(4)))
        for shard in (0, 1):
            self.run_it(name="my.%a.h5", **self.task(shard, count=2, first=0, last=1))
        self.call("merge", "-o", "whole.h5", *(f"my.{i}.h5" for i in range(4)))

    def test_an_array_other_than_0_to_n_minus_1_needs_the_number(self):
        for first, last, count in ((1, 4, 4), (0, 15, 4)):
            said = self.run_it(name="my.%a.h5", code=2, **self.task(0, count, first, last))
            self.assertIn("--shard %a/N", said)
        said = self.run_it(name="my.%a.h5", code=2, **self.task(4, count=4, first=0, last=3))
        self.assertIn("the array has 4 shards, 0 to 3; give", said)
        self.assertIn("0 to N-1", self.run_it("--shard", "%a/4", name="my.%a.h5", code=2,
                                              **self.task(4, 4, 1, 4)))

    def test_the_journal_of_another_task_needs_the_number(self):
        self.run_it("--shard", "0/3", "--max-time", "0.000001", ENDLESS, name="my.0.h5", code=143)
        said = self.run_it(name="my.%a.h5", **self.task(2))
        self.assertIn("--shard 2/3, as in ./my.0.h5.journal", said)

    def test_placeholders_are_replaced_by_slurm_numbers_or_refused(self):
        self.run_it("--shard", "%a/4", name="m%A.%j.%a.h5", **self.task(1))
        self.assertTrue(os.path.exists(self.path("m70.73.1.h5")))
        for name, what in (("m.%A.h5", "Slurm array"), ("m.%j.h5", "Slurm job"), ("m.%a.h5", "--shard")):
            self.assertIn(what, self.run_it(name=name, code=2))


if __name__ == "__main__":
    unittest.main()
