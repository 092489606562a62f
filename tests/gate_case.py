# SPDX-License-Identifier: Apache-2.0
"""Common parts of the tests of the scripts for a GPU: the modules of tools/gpu_gate, a scratch directory
for each test, and programs that stand in for others on PATH.

Each script is called with TOOLS BUILD_FOLDER [unittest arguments].
"""
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
TOOLS, BUILD = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))


def load_gate():
    loader = importlib.machinery.SourceFileLoader("gpu_gate", os.path.join(TOOLS, "gpu_gate"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_gate", loader))
    loader.exec_module(module)
    return module


main = load_gate()  # makes the package `gate` importable
SMI = """#!/bin/sh
echo "smi $*" >> "$LOG"
echo "Made Up 9, 00000000:1B:00.0, GPU-1, 580.1, 80000 MiB, 9.0, 345 MHz, 2619 MHz, 1980 MHz, 2619 MHz, 700 W, 31"
"""


class Scratch(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name

    def path(self, *names):
        return os.path.join(self.scratch, *names)

    def write(self, name, text, mode=0o755):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def on_path(self, **scripts):
        """Puts scripts before all others on PATH."""
        for name, text in scripts.items():
            self.write(f"bin/{name.replace('_', '-')}", text)
        change = mock.patch.dict(os.environ, PATH=f"{self.path('bin')}:{os.environ['PATH']}",
                                 LOG=self.path("log"))
        change.start()
        self.addCleanup(change.stop)
