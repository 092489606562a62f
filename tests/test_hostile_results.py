# SPDX-License-Identifier: Apache-2.0
"""Hostile result files (hostile.py) are refused by name, or read: no crash, bounded memory, no data of other
files, no control characters on the terminal.

Usage: test_hostile_results.py PROGRAM TEST_STORE [--all-commands] [unittest arguments]
"""
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import unittest

import hostile

PROGRAM, STORE = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))
ALL = "--all-commands" in sys.argv and not sys.argv.remove("--all-commands")
SANITIZED = b"__asan_init" in open(PROGRAM, "rb").read()
MEMORY = 1 << 30  # bytes of address space; of the small files here, a thousand times what they hold

SPEC = """\
name: small
network: {layers: 4, width: 8, inputs: 6, activation: tanh}
train: {rate: 0.05, batch: 64, steps: 600}
escape: {thresholds: [0.1, 0.06], smoothing: 0.9, false_escapes: allow}
sweep: {seeds: 3, groups: [{bottleneck: 3, scales: [0.3, 0.2]}]}
"""

# What the reader says of each file (without a valid checksum); those that are not here are read.
REFUSED = {
    "external_storage": "scale has its numbers in another file",
    "external_storage_of_steps": "steps_run has its numbers in another file",
    "virtual_dataset": "scale is a virtual dataset",
    "virtual_dataset_of_itself": "scale is a virtual dataset",
    "virtual_dataset_without_end": "scale is a virtual dataset",
    "external_link": "scale is an external link",
    "external_link_of_an_optional_variable": "final_loss is an external link",
    "soft_link": "scale is a soft link",
    "soft_link_to_itself": "seed is a soft link",
    "group_for_a_variable": "seed is a group",
    "named_type_for_a_variable": "seed is a named data type",
    "declared_endless": "declares 1152921504606846976 members",
    "declared_large": "declares 8589934592 members",
    "declared_long_thresholds": "1099511627776 thresholds",
    "sparse_variable": "scale declares 48 bytes",
    "contiguous_variable_without_data": "scale declares 48 bytes",
    "huge_chunk": "scale is stored in chunks of 4.29e+09 bytes",
    "filter_of_a_plugin": "filter 32000 (lzf)",
    "filter_that_is_known_but_not_used": "filter 6 (scaleoffset)",
    "too_many_texts": "more than 1000 text attributes",
    "unsigned_numbers_beyond_range": "steps_run is 9.2",
    "bottleneck_beyond_range": "bottleneck is 1099511627776",
    "scales_that_are_none": "scale is NaN",
    "status_of_no_kind": "status is 2147483647",
    "thresholds_that_are_none": "threshold is nan",
    **{name: "has the wrong type or rank" for name in (
        "compound_variable", "string_variable", "variable_of_lists", "variable_of_arrays",
        "boolean_variable", "variable_of_references", "opaque_variable", "wide_integers",
        "scalar_variable", "variable_without_space", "variable_of_many_axes")},
}
# Nothing is wrong with these but that another program changed a value: the digest tells.
VALUES = ("odd_integers", "negative_bottleneck", "steps_beyond_all", "scales_that_are_none",
          "thresholds_that_are_none", "status_of_no_kind", "layers_of_no_network", "no_members",
          "unsigned_numbers_beyond_range", "bottleneck_beyond_range")


def limit_memory():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not SANITIZED:  # whose shadow is larger than any limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = scratch.name
        cls.spec, cls.good = cls.scratch + "/small.yaml", cls.scratch + "/good.h5"
        with open(cls.spec, "w") as file:
            file.write(SPEC)
        subprocess.run([PROGRAM, "run", cls.spec, "-o", cls.good, "--quiet", "--threads", "1"],
                       check=True, stdout=subprocess.DEVNULL)
        cls.paths = hostile.make(cls.good, cls.scratch)

    def commands(self, path):
        other = self.scratch + "/other.h5"
        return {
            "info": ("info", path), "info --json": ("info", path, "--json"), "fit": ("fit", path),
            "merge": ("merge", "-o", other, path), "plateau": ("plateau", path),
            "compare": ("compare", self.good, path),
            "plot": ("plot", path, "-o", self.scratch + "/f.png"),
            "run --resume": ("run", self.spec, "-o", path, "--resume", "--dry-run"),
            "run --from": ("run", self.spec, "-o", other, "--from", path, "--dry-run"),
        }

    def call(self, *arguments):
        """Checks for exit status 0, or 2 with one line; the output."""
        done = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              preexec_fn=limit_memory, cwd=self.scratch, timeout=300)
        printed = done.stdout + done.stderr
        text = printed.decode()  # UTF-8, whatever the file holds
        self.assertIn(done.returncode, (0, 2), f"{arguments}: {text[-2000:]}")
        if done.returncode == 2:
            own = [line for line in done.stderr.decode().splitlines() if "warning: " not in line]
            self.assertEqual(len(own), 1, f"{arguments}: {text[-2000:]}")
        self.assertNotIn(hostile.MARKS["digits"], text, arguments)
        self.assertEqual(re.findall("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text),
                         [], arguments)
        return text

    def read(self, paths):
        """Results of reading each file, all in one process."""
        done = subprocess.run([STORE, "--read", *paths], capture_output=True,
                              preexec_fn=limit_memory, timeout=300)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return zip(paths, done.stdout.decode("latin-1").splitlines(), strict=True)

    def test_each_file_is_read_or_refused_by_name(self):
        for name, (path, line) in zip(self.paths, self.read(list(self.paths.values()))):
            case, with_checksum = name.removesuffix("+checksum"), name.endswith("+checksum")
            words = REFUSED.get(case, "")
            if with_checksum and case in VALUES:
                words = "digest" if "wrong type" not in line else "has the wrong type"
            with self.subTest(name):
                self.assertTrue(line.startswith(f"2 {path}: " if words else "0 "), line)
                self.assertIn(words, line)

    def test_every_command_ends_without_a_crash(self):
        names = self.paths if ALL else ("external_storage", "name_that_is_not_utf8",
                                        "texts_that_a_terminal_obeys+checksum")
        for name in names:
            for command, arguments in self.commands(self.paths[name]).items():
                if command != "plot" or ALL or name in REFUSED:  # a picture takes a second
                    with self.subTest(f"{command}: {name}"):
                        self.call(*arguments)

    def test_info_shows_texts_with_their_escapes(self):
        text = self.call("info", self.paths["texts_that_a_terminal_obeys"])
        self.assertIn(r"\x1b]0;owned\x07\x1b[2J\r\u009b31m\u202ereversed\u2066", text)
        self.assertIn(r"evil\x1b[31m", text)

    def test_paths_that_are_no_file_are_refused(self):
        os.mkfifo(self.scratch + "/fifo")
        with socket.socket(socket.AF_UNIX) as here:
            here.bind(self.scratch + "/socket")
            for path, line in self.read([self.scratch + "/fifo", self.scratch + "/socket", self.scratch,
                                         "/dev/zero", "/dev/null", "/dev/tty"]):
                with self.subTest(path):
                    self.assertTrue(line.startswith(f"2 {path}: "), line)


if __name__ == "__main__":
    unittest.main()
