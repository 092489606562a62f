# SPDX-License-Identifier: Apache-2.0
"""Changes by other programs to the files of a run: lost data are never reported as saved, and unrelated
files are not changed.

Usage: test_cli_files.py PROGRAM
"""
import os
import pathlib
import re
import signal
import unittest

import cli_case
import hold
from journal_file import members

SPEC = """\
name: small
network: {layers: 3, width: 8, inputs: 6, activation: tanh}
train: {rate: 0.05, batch: 16, steps: 200}
escape: {thresholds: [1.0e-9], smoothing: 0.9}
sweep: {seeds: 6, groups: [{bottleneck: 2, scales: [0.4]}]}
record: {every: 50}
"""


class Files(cli_case.Case):
    SPEC = SPEC
    RUN = ("--quiet", "--backend", "cpu", "--threads", "1", "--slots", "2")

    def setUp(self):
        super().setUp()
        self.scratch = pathlib.Path(self.scratch)
        self.journal = self.scratch / "a.h5.journal"

    def held(self):
        """A paused run with at least two finished members."""
        return self.hold.start(self.command(*hold.CHECKPOINTS), self.scratch, members=1,
                               journal=str(self.journal))

    def end(self, child):
        errors = child.communicate()[1]
        self.hold.release()
        return child.returncode, errors

    def test_a_truncated_journal_ends_the_run_and_nothing_is_reported_as_saved(self):
        child = self.held()
        os.truncate(self.journal, 0)
        child.send_signal(signal.SIGTERM)
        code, errors = self.end(child)
        self.assertEqual(code, 3, errors)
        self.assertRegex(errors, r"another program changed its length from \d+ to 0 bytes.*; 0 "
                                 r"(of \d )?finished members are saved")
        self.run_spec("--resume")

    def test_a_removed_journal_is_rewritten_before_anything_is_reported_as_saved(self):
        child = self.held()
        had = members(self.journal)
        self.journal.unlink()
        child.send_signal(signal.SIGTERM)
        code, errors = self.end(child)
        self.assertEqual(code, 143, errors)
        self.assertIn("a.h5.journal: was removed during the run", errors)
        self.assertGreaterEqual(members(self.journal), had)
        self.assertEqual(int(re.search(r"(\d+) of 6 members are saved", errors)[1]), members(self.journal))

    def test_a_removed_checkpoint_is_not_reported_as_saved(self):
        self.hold.interrupt(self.command(*hold.CHECKPOINTS), self.scratch, signal.SIGKILL)
        for name in ("a.h5.checkpoint", "a.h5.checkpoint.previous"):
            (self.scratch / name).unlink(missing_ok=True)
            (self.scratch / name).symlink_to(self.scratch / "victim")
        (self.scratch / "victim").write_text("precious")
        done = self.run_spec("--resume", code=2)
        self.assertIn("a.h5.checkpoint: is a symbolic link", done.stderr)
        self.assertEqual((self.scratch / "victim").read_text(), "precious")

    def test_an_output_that_is_no_result_is_refused_with_a_remedy(self):
        (self.scratch / "a.h5").touch()
        done = self.run_spec("--resume", code=2)
        self.assertIn("a.h5: the file is empty, not a result; move the file away", done.stderr)

    def test_no_link_beside_the_output_is_followed(self):
        (self.scratch / "victim").write_text("precious")
        for suffix in ("journal", "snapshots", "checkpoint"):
            link = self.scratch / f"a.h5.{suffix}"
            link.symlink_to(self.scratch / "victim")
            done = self.run_spec("--force", "--max-time", "0.000001", code=2)
            self.assertIn("symbolic link", done.stderr)
            self.assertEqual((self.scratch / "victim").read_text(), "precious")
            link.unlink()

    def test_an_output_with_a_path_too_long_for_its_checkpoints_is_refused(self):
        self.run_spec(name="n" * 232 + ".h5")
        for length in (236, 237, 247, 255):
            done = self.run_spec(name="n" * (length - 3) + ".h5", code=2)
            self.assertIn(f"{length - 235} bytes too long", done.stderr)
        done = self.run_spec("--devices", "cpu,cpu", name="n" * 222 + ".h5", code=2)
        self.assertIn(".part-", done.stderr)
        self.assertEqual(sorted(p.name for p in self.scratch.iterdir()),
                         sorted(["n" * 232 + ".h5", "small.yaml"]))


if __name__ == "__main__":
    unittest.main()
