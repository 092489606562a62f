# SPDX-License-Identifier: Apache-2.0
"""tools/toolkit_matrix with an nvcc and a gcc that print as told.

Usage: test_toolkit_matrix.py TOOLS [unittest arguments]
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = os.path.join(os.path.abspath(sys.argv.pop(1)), "toolkit_matrix")

NVCC = """#!/bin/sh
echo "$*" >> "$LOG"
case "$*" in
  --version) echo 'Cuda compilation tools, release 13.0, V13.0.88' ;;
  --list-gpu-code) echo sm_75 sm_87 sm_90 sm_90a ;;
  *sm_90*update.cu*) [ "$FAIL" ] && echo 'kernels/update.cu(3): error: no such thing' && exit 1 ;;
esac
echo "ptxas info    : Compiling entry function 'two' for 'sm_90'"
echo "    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads"
echo "ptxas info    : Used 40 registers, 1024 bytes smem, 400 bytes cmem[0]"
echo "ptxas info    : Compiling entry function 'one' for 'sm_90'"
echo "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
echo "ptxas info    : Used 24 registers, 400 bytes cmem[0]"
"""


class Matrix(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "bin").mkdir()
        nvcc = self.folder / "bin/nvcc"
        nvcc.write_text(NVCC)
        nvcc.chmod(0o755)

    def run_tool(self, code, *arguments, **environment):
        done = subprocess.run(
            [sys.executable, "-I", TOOL, "--only", "nvcc-13.0", "--source", "update,ledger", "-o",
             self.folder / "out.json", *arguments], capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{self.folder}/bin:/bin", "LOG": str(self.folder / "log"),
                 **environment})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        with open(self.folder / "out.json", encoding="utf-8") as file:
            return json.load(file)["rows"]

    def compiled(self):
        return (self.folder / "log").read_text().count(" -c ")

    def test_a_row_has_the_resources_of_every_kernel(self):
        rows = self.run_tool(0, "--arch", "90", "--source", "ledger")
        self.assertEqual([(row["toolkit"], row["architecture"], row["source"], row["ok"])
                          for row in rows], [("nvcc-13.0", 90, "kernels/ledger.cu", True)])
        self.assertEqual(rows[0]["kernels"], [
            {"kernel": "one", "registers": 24, "stack": 0, "spill_stores": 0, "spill_loads": 0,
             "shared": 0},
            {"kernel": "two", "registers": 40, "stack": 8, "spill_stores": 4, "spill_loads": 12,
             "shared": 1024}])

    def test_architectures_are_those_that_the_toolkit_knows_of_the_supported_ones(self):
        rows = [row for row in self.run_tool(0) if not row["compiler"]]
        self.assertEqual([row["architecture"] for row in rows], [75, 90] * 2)

    def test_an_error_fails_the_matrix_and_the_other_rows_are_kept(self):
        rows = self.run_tool(1, "--arch", "90", FAIL="1")
        self.assertEqual([row["ok"] for row in rows], [True, False])
        self.assertEqual(rows[1]["error"], "update.cu(3): error: no such thing")

    def test_a_matrix_without_rows_has_not_passed(self):
        done = subprocess.run([sys.executable, "-I", TOOL, "--only", "nvcc-1.0", "-o",
                               self.folder / "out.json"], capture_output=True, text=True,
                              env={**os.environ, "PATH": f"{self.folder}/bin:/bin",
                                   "LOG": str(self.folder / "log")}, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, r"\Atoolkit_matrix: [^\n]+\n\Z")

    def test_rows_of_the_same_sources_are_not_compiled_again(self):
        self.run_tool(0, "--arch", "90")
        before = self.compiled()
        self.assertGreater(before, 0)
        self.run_tool(0, "--arch", "90")
        self.assertEqual(self.compiled(), before)
        whole = json.loads((self.folder / "out.json").read_text())
        (self.folder / "out.json").write_text(json.dumps({**whole, "sources": "others"}))
        self.run_tool(0, "--arch", "90")
        self.assertEqual(self.compiled(), 2 * before)


if __name__ == "__main__":
    unittest.main()
