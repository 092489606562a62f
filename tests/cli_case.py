# SPDX-License-Identifier: Apache-2.0
"""What the tests of the program from outside share: the program, a folder for each test with a spec in it,
and calls whose exit status is checked.

    class Merge(cli_case.Case):
        SPEC = "..."    # small.yaml of each test's folder

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
    """The program's end, with that exit status; `changes` of the environment."""
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, cwd=cwd, check=False,
                          env={**ENVIRONMENT, **changes})
    assert done.returncode == code, f"{arguments}: exit status {done.returncode}, not {code}\n" \
        f"{done.stdout[-3000:]}{done.stderr}"
    return done


def ask(*arguments, **options):
    """What it answers in JSON."""
    return json.loads(call(*arguments, "--json", **options).stdout)


class Case(unittest.TestCase):
    SPEC = None
    RUN = ("--quiet", "--backend", "cpu")  # options of each run of small.yaml

    def setUp(self):
        room = tempfile.TemporaryDirectory()
        self.addCleanup(room.cleanup)
        self.room = room.name
        self.hold = hold.Hold(PROGRAM, self.room)
        self.addCleanup(self.hold.release)
        if self.SPEC:
            self.write("small.yaml", self.SPEC)

    def path(self, name):
        return os.path.join(self.room, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return name

    def call(self, *arguments, **options):
        return call(*arguments, cwd=self.room, **options)

    def ask(self, *arguments, **options):
        return ask(*arguments, cwd=self.room, **options)

    def command(self, *arguments, name="a.h5"):
        return [PROGRAM, "run", "small.yaml", "-o", name, *self.RUN, *arguments]

    def run_spec(self, *arguments, name="a.h5", **options):
        return self.call(*self.command(*arguments, name=name)[1:], **options)

    def train(self, name, *arguments):
        self.run_spec(*arguments, name=name)
        return name

    def refused(self, *arguments, code=2, **options):
        """One line on stderr, nothing on stdout, nothing left behind."""
        before = sorted(os.listdir(self.room))
        done = self.call(*arguments, code=code, **options)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Aescapement: [^\n]+\n\Z")
        self.assertEqual(sorted(os.listdir(self.room)), before)
        return done.stderr
