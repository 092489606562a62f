# SPDX-License-Identifier: Apache-2.0
"""Common parts of the tests of the Python package: the program, a folder for each test, a small sweep.

Each script is called with PROGRAM [unittest arguments], and finds the package in PYTHONPATH.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import escapement

PROGRAM = os.path.abspath(sys.argv.pop(1))

SPEC = {"name": "small",
        "network": {"layers": 4, "width": 8, "activation": "tanh"},
        "train": {"rate": 0.05, "batch": 32, "steps": 300},
        "escape": {"thresholds": [0.1, 0.08], "smoothing": 0.9, "false_escapes": "allow"},
        "sweep": {"seeds": 3, "groups": [{"bottleneck": 3, "scales": [0.3, 0.2, 0.1]},
                                         {"bottleneck": 2, "scales": [0.3, 0.1]}]}}
# Minutes, unless it is stopped; the step costs about what the calls around it do.
LONG = {**SPEC, "name": "long", "train": {"rate": 0.0001, "batch": 32, "steps": 10**9},
        "escape": {"thresholds": [1e-9], "false_escapes": "allow"}}

# Little more than the calls around the training.
SHORT = {**SPEC, "name": "short", "train": {"rate": 0.05, "batch": 512, "steps": 2},
         "escape": {"thresholds": [1e-4]},
         "sweep": {"seeds": 2, "groups": [{"bottleneck": 2, "scales": [0.3, 0.1]}]}}


def program(*arguments, code=0, **options):
    """The program's end, with that exit status."""
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False, **options)
    assert done.returncode == code, f"{arguments}: {done.returncode}, not {code}: {done.stderr}"
    return done


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def path(self, name):
        return str(self.folder / name)

    def spec(self, keys=SPEC):
        """The spec as a file."""
        (self.folder / "spec.yaml").write_text(escapement.Sweep(**keys).to_yaml())
        return self.path("spec.yaml")

    def python(self, script, *arguments, **options):
        """A Python process with the package, in the test's folder."""
        return subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=self.folder, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
