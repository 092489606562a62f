# SPDX-License-Identifier: Apache-2.0
"""Command lines of tools/profile, with fake profilers.

Usage: test_profile.py TOOLS BUILD_FOLDER [unittest arguments]
"""
import os
import subprocess
import unittest
from unittest import mock

from gate_case import Scratch, TOOLS


class Profile(Scratch):
    """tools/profile with fake profilers."""

    def setUp(self):
        super().setUp()
        echo = '#!/bin/sh\nprintf "%s|" "$ESCAPEMENT_CUDA_GRAPHS" "$@"\n'
        self.on_path(nsys=echo, ncu=echo)
        change = mock.patch.dict(os.environ, ESCAPEMENT=self.write("escapement", "#!/bin/sh\n"))
        change.start()
        self.addCleanup(change.stop)

    def call(self, *arguments, code=0):
        tool = os.path.join(TOOLS, "profile")
        if code == 0:
            arguments = ("--dry-run", *arguments)
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def words(self, *arguments):
        """Words of the printed command line, as a shell reads them, and as the profiler receives
        them (its ESCAPEMENT_CUDA_GRAPHS first)."""
        line = self.call(*arguments)
        got = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
        return got.split("|")[:-1]

    def test_nsys_captures_rounds_of_our_domain_by_plain_strings(self):
        graphs, *words = self.words("-c", "2", "nsys", "a/b.yaml", "--slots", "8", "train.steps=9")
        self.assertEqual(graphs, "")
        self.assertEqual(words[0], "profile")
        for word in ("--capture-range=nvtx", "--nvtx-capture=round@escapement",
                     "--env-var=NSYS_NVTX_PROFILER_REGISTER_ONLY=0", "--cuda-graph-trace=node",
                     "--capture-range-end=repeat:2", "--trace=cuda,nvtx,cublas", "--kill=none"):
            self.assertIn(word, words)
        self.assertEqual(words[words.index("run"):][:4], ["run", "a/b.yaml", "--backend", "cuda"])
        self.assertEqual(words[-3:], ["--slots", "8", "train.steps=9"])

    def test_ncu_profiles_a_range_without_graphs_and_leaves_the_clocks(self):
        for name in ("forward", "backward", "update", "step block"):
            graphs, *words = self.words("ncu", name, "b.yaml", "sweep.seeds=64")
            self.assertEqual(graphs, "0")
            self.assertEqual(words[:2], ["--clock-control", "none"])
            self.assertEqual(words[words.index("--nvtx-include") + 1], f"escapement@{name}/")
            self.assertEqual("--path" in words, name != "step block")
            self.assertEqual(words[-1], "sweep.seeds=64")

    def test_ranges_are_those_that_the_program_pushes(self):
        with open(os.path.join(TOOLS, "profile"), encoding="utf-8") as file:
            text = file.read()
        root = os.path.dirname(TOOLS)
        pushed = subprocess.run(
            ["grep", "-rhoE", 'esc_trace_begin\\("[^"]+"', os.path.join(root, "host")],
            capture_output=True, text=True, check=True).stdout
        ranges = {line.split('"')[1] for line in pushed.splitlines()}
        self.assertEqual(ranges, {"engine state", "round", "step block", "forward", "backward", "update",
                                  "read-back", "checkpoint", "store"})
        for name in ranges:
            self.assertIn(name, text)

    def test_invalid_arguments_are_refused_in_one_line(self):
        for arguments in ((), ("nsys",), ("ncu", "forward"), ("ncu", "store", "b.yaml"),
                          ("ncu", "nothing", "b.yaml"), ("-c", "0", "nsys", "b.yaml"), ("-c",),
                          ("other", "b.yaml"), ("-x", "nsys", "b.yaml"),
                          ("ncu", "forward", "b.yaml", "--path", "fused")):
            with self.subTest(arguments):
                self.assertRegex(self.call(*arguments, code=2), r"\Aprofile: [^\n]+\n\Z")


if __name__ == "__main__":
    unittest.main()
