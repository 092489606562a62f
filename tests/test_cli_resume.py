# SPDX-License-Identifier: Apache-2.0
"""Runs interrupted by a signal, --max-time or a kill resume from their checkpoint and give the same file as
an uninterrupted run.

Usage: test_cli_resume.py PROGRAM [unittest arguments]
"""
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

import cli_case
import hold
from journal_file import members

PROGRAM = cli_case.PROGRAM

# No member finishes early, so all progress is in the checkpoint.
SPEC = """\
name: small
network: {layers: 4, width: 8, inputs: 6, activation: tanh}
teacher: {amplitudes: [1.0]}
train: {rate: 0.05, batch: 16, steps: 1000}
escape: {thresholds: [0.06, 1e-9], smoothing: 0.9}
sweep: {seeds: 3, groups: [{bottleneck: 3, scales: [0.3, 0.1]}]}
record: {every: 150}
"""
STEPS = 6 * 1000
ENDLESS = "train.steps=1000000000"
A_BLOCK = ("--max-time", "0.000001")  # a part of a run makes one block of 16 steps, then it stops


class Resume(cli_case.Case):
    SPEC = SPEC

    def files(self, name="a.h5"):
        return sorted(n for n in os.listdir(self.scratch) if name in n)

    def compare(self, a, b):
        done = subprocess.run([PROGRAM, "compare", "--exact", a, b], capture_output=True,
                              text=True, cwd=self.scratch)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def assert_done_as_in_one_piece(self, *arguments):
        self.run_spec(*arguments, name="whole.h5")
        self.compare("whole.h5", "a.h5")
        self.assertEqual(self.files(), ["a.h5"])

    def start_held(self, *arguments, **condition):
        """A run paused at its first checkpoint."""
        return self.hold.start(self.command(*hold.CHECKPOINTS, *arguments), self.scratch,
                               env=cli_case.ENVIRONMENT, **condition)

    def interrupt(self, number, *arguments, **condition):
        return self.hold.interrupt(self.command(*hold.CHECKPOINTS, *arguments), self.scratch, number,
                                   env=cli_case.ENVIRONMENT, **condition)

    def leave_checkpoint(self, *arguments):
        """Leaves two intact checkpoints of different steps and no finished member."""
        for _ in range(2):
            self.run_spec("--resume", *A_BLOCK, "--threads", "1", *arguments, code=143)
        self.assertEqual(self.files()[:2], ["a.h5.checkpoint", "a.h5.checkpoint.previous"])

    def test_a_run_stopped_by_max_time_resumes(self):
        for extra in ((), ("--backend", "reference")):
            short = ("train.steps=60", "record.every=20", *extra)
            shapes = [("--slots", "6"), ("--slots", "4", "--threads", "2"),
                      ("--slots", "3", "--threads", "1"), ("--slots", "1")]
            paths = ("auto",) if extra else ("interleaved", "padded", "auto")
            parts = 0
            while not os.path.exists(self.path("a.h5")):
                parts += 1
                done = subprocess.run(
                    self.command("--resume", *A_BLOCK, "--json", *short, *shapes[parts % 4],
                                 "--path", paths[parts % len(paths)]),
                    cwd=self.scratch, capture_output=True, text=True, env=cli_case.ENVIRONMENT)
                if done.returncode != 0:
                    self.assertEqual(done.returncode, 143, done.stderr)
                    self.assertRegex(done.stderr, r"\Aescapement: stopped at --max-time: .*in "
                                     r"flight are saved in .*the same command and --resume\n\Z")
            self.assertGreaterEqual(parts, 4)  # of 60 steps, 16 or fewer a part
            self.assertLess(json.loads(done.stdout)["steps_made"], 6 * 60)
            self.assert_done_as_in_one_piece(*short)
            os.remove(self.path("a.h5"))
            os.remove(self.path("whole.h5"))

    def test_a_signal_saves_the_running_networks(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143)):
            ended, errors = self.interrupt(number, "--slots", "6", "--resume")
            self.assertEqual(ended, code, errors)
            self.assertIn("; 6 networks in flight are saved in", errors)
            self.assertEqual(len(errors.splitlines()), 1)
        self.run_spec("--resume")
        self.assert_done_as_in_one_piece()

    def test_a_run_killed_at_any_time_resumes_from_its_last_checkpoint(self):
        draw = random.Random(1)
        for _ in range(3):
            ended, _ = self.interrupt(signal.SIGKILL, "--resume", "--slots",
                                      str(draw.randint(1, 7)))
            self.assertEqual(ended, -signal.SIGKILL)
        for _ in range(9):  # at any moment, the end too
            child = self.start("--resume", "--checkpoint", "0.01", "--slots",
                               str(draw.randint(1, 7)))
            time.sleep(draw.uniform(0, 0.1))
            child.kill()
            self.assertIn(child.wait(), (0, -signal.SIGKILL))
        self.run_spec("--resume")
        self.run_spec("--resume")  # clears what a kill behind the publication left
        self.assert_done_as_in_one_piece()

    def start(self, *arguments):
        return subprocess.Popen(self.command(*arguments), cwd=self.scratch, stderr=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, env=cli_case.ENVIRONMENT)

    def test_a_member_that_finished_after_the_checkpoint_is_not_trained_again(self):
        some = ("escape.thresholds=[0.1]", "train.steps=10000", "train.rate=0.02",
                "sweep.seeds=6", "sweep.groups=[{bottleneck: 4, scales: [0.3, 0.15]}]",
                "record.every=0", "--slots", "4")
        self.assertEqual(self.interrupt(signal.SIGKILL, *some)[0], -signal.SIGKILL)
        shutil.copy(self.path("a.h5.checkpoint"), self.path("old"))
        journal = self.path("a.h5.journal")
        ended, errors = self.interrupt(signal.SIGTERM, "--resume", *some, journal=journal,
                                       members=members(journal))
        self.assertEqual(ended, 143)
        self.assertIn("members are saved", errors)
        os.rename(self.path("old"), self.path("a.h5.checkpoint"))
        self.run_spec("--resume", *some)
        self.assert_done_as_in_one_piece(*some)

    def test_a_damaged_checkpoint_is_replaced_by_the_previous_one_with_a_message(self):
        self.leave_checkpoint()
        with open(self.path("a.h5.checkpoint"), "r+b") as file:
            file.seek(3000)
            file.write(b"\xff\x00\xff\x00")
        done = self.run_spec("--resume", "--json")
        self.assertRegex(done.stderr, r"\Aescapement: warning: [^\n]*a.h5.checkpoint: damaged"
                         r"[^\n]*a.h5.checkpoint.previous, which is intact\n\Z")
        self.assertLess(json.loads(done.stdout)["steps_made"], STEPS)
        self.assert_done_as_in_one_piece()

    def test_two_damaged_checkpoints_are_refused(self):
        self.leave_checkpoint()
        for name in self.files()[:2]:
            os.truncate(self.path(name), 1000)
        before = self.files()
        self.assertIn("damaged", self.run_spec("--resume", code=2).stderr)
        self.assertEqual(self.files(), before)

    def test_another_spec_or_precision_is_refused_by_name(self):
        self.leave_checkpoint("record.every=0")
        before = self.files()
        for other in ("train.rate=0.04", "--backend=reference", "--shard=0/2"):
            said = self.run_spec("--resume", "record.every=0", other, code=2).stderr
            self.assertRegex(said, r"a.h5.journal: (train.rate was 0.05 and is now 0.04|belongs to )")
        self.assertEqual(self.files(), before)

    def test_an_unfinished_run_needs_resume_or_force(self):
        self.leave_checkpoint("record.every=0")
        self.assertIn("continue with --resume", self.run_spec("record.every=0", code=2).stderr)
        told = json.loads(self.run_spec("--force", "--json", "record.every=0").stdout)
        self.assertEqual(told["steps"], STEPS)
        self.assert_done_as_in_one_piece("record.every=0")

    def test_a_network_without_its_snapshots_restarts(self):
        self.leave_checkpoint()
        os.remove(self.path("a.h5.snapshots"))
        self.assertEqual(json.loads(self.run_spec("--resume", "--json").stdout)["steps_made"], STEPS)
        self.assert_done_as_in_one_piece()

    def test_files_left_by_a_kill_after_publication_are_removed(self):
        self.leave_checkpoint()
        left = self.files()
        os.mkdir(self.path("left"))
        for name in left:
            shutil.copy(self.path(name), self.path("left"))
        self.run_spec("--resume")
        for name in left:
            shutil.copy(os.path.join(self.path("left"), name), self.scratch)
        self.assertIn("complete", self.run_spec("--resume").stderr)
        self.assert_done_as_in_one_piece()

    def test_unrelated_files_next_to_a_result_are_kept(self):
        self.run_spec("record.every=0")
        with open(self.path("a.h5.checkpoint"), "w") as file:
            file.write("mine")
        self.run_spec("--resume", "record.every=0")
        self.assertIn("a.h5.checkpoint", self.files())

    def test_a_second_run_on_one_output_is_refused(self):
        child = self.start_held(ENDLESS)
        for way in ("--resume", "--force"):
            self.assertIn("another run is writing this output",
                          self.run_spec(ENDLESS, way, code=2).stderr)
        child.terminate()
        child.communicate()
        self.assertEqual(child.returncode, 143)

    def test_times_are_seconds_or_hh_mm_ss(self):
        for option in ("--max-time", "--checkpoint"):
            for wrong in ("x", "", "-1", "1:2", "0:60:00", "nan", "1:2:3:4", "1e3"):
                self.assertIn(option, self.run_spec(f"{option}={wrong}", code=2).stderr)
        self.run_spec("--max-time", "0", code=2)
        self.run_spec("--max-time", "0:00:01", ENDLESS, code=143)

    def test_a_slurm_array_is_sharded_by_the_placeholder_of_the_output(self):
        for task in range(2):
            array = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "2",
                     "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "1"}
            said = self.run_spec("train.steps=50", code=2, **array).stderr
            self.assertIn("%a", said)
            said = self.run_spec("train.steps=50", name="part.%a.h5", **array).stderr
            self.assertIn(f"--shard {task}/2", said)
            self.run_spec("train.steps=50", "--shard", f"{task}/2", name=f"named.{task}.h5", **array)
            self.compare(f"part.{task}.h5", f"named.{task}.h5")
        array["SLURM_ARRAY_TASK_MAX"] = "7"  # tasks 0 and 7 of eight, submitted again
        self.assertIn("--shard %a/N", self.run_spec(code=2, name="b.%a.h5", **array).stderr)
        self.assertNotIn("b.1.h5", self.files("b."))


if __name__ == "__main__":
    unittest.main()
