# SPDX-License-Identifier: Apache-2.0
"""Common parts of the tests of the command line: the program, a scratch directory with a spec for each test,
and calls with a checked exit status.

    class Merge(cli_case.Case):
        SPEC = "..."    # small.yaml in the scratch directory of each test

Each script is called with PROGRAM [unittest arguments].
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import hold

PROGRAM = os.path.abspath(sys.argv.pop(1))
with open(PROGRAM, "rb") as program:
    SANITIZED = b"__asan_init" in program.read()
# The tests may run in a job of Slurm, whose variables name a shard.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}


def call(*arguments, code=0, cwd=None, **changes):
    """Runs the program and checks its exit status; `changes` are environment variables."""
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, cwd=cwd, check=False,
                          env={**ENVIRONMENT, **changes})
    assert done.returncode == code, f"{arguments}: exit status {done.returncode}, not {code}\n" \
        f"{done.stdout[-3000:]}{done.stderr}"
    return done


def call_json(*arguments, **options):
    """Runs the program with --json; the parsed output."""
    return json.loads(call(*arguments, "--json", **options).stdout)


class Case(unittest.TestCase):
    SPEC = None
    RUN = ("--quiet", "--backend", "cpu")  # options of each run of small.yaml

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name
        self.hold = hold.Hold(PROGRAM, self.scratch)
        self.addCleanup(self.hold.release)
        if self.SPEC:
            self.write("small.yaml", self.SPEC)

    def path(self, name):
        return os.path.join(self.scratch, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return name

    def call(self, *arguments, **options):
        return call(*arguments, cwd=self.scratch, **options)

    def call_json(self, *arguments, **options):
        return call_json(*arguments, cwd=self.scratch, **options)

    def command(self, *arguments, name="a.h5"):
        return [PROGRAM, "run", "small.yaml", "-o", name, *self.RUN, *arguments]

    def run_spec(self, *arguments, name="a.h5", **options):
        return self.call(*self.command(*arguments, name=name)[1:], **options)

    def train(self, name, *arguments):
        self.run_spec(*arguments, name=name)
        return name

    def refused(self, *arguments, code=2, **options):
        """Checks for one line on standard error, an empty standard output and no new files."""
        before = sorted(os.listdir(self.scratch))
        done = self.call(*arguments, code=code, **options)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Aescapement: [^\n]+\n\Z")
        self.assertEqual(sorted(os.listdir(self.scratch)), before)
        return done.stderr
