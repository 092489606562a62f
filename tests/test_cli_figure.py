"""The verb figure: data, pictures and checks, and that planted errors fail them.

Usage: test_cli_figure.py PROGRAM [unittest arguments]
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import h5py

PROGRAM = os.path.abspath(sys.argv.pop(1))


class Figure(unittest.TestCase):
    def setUp(self):
        room = tempfile.TemporaryDirectory()
        self.addCleanup(room.cleanup)
        self.room = room.name

    def call(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, "figure", *arguments, "-o", self.room, "--json"],
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stdout[-3000:] + done.stderr)
        return json.loads(done.stdout)["figures"][0]["checks"] if done.stdout else done.stderr

    def test_a_figure_is_data_pictures_and_checks_and_a_wrong_exponent_fails(self):
        self.call("4", "sweep.seeds=4", "network.width=16", "network.inputs=16", "--quiet")
        for name in ("figure4.png", "figure4.pdf", "figure4.json", "checks.txt"):
            self.assertGreater(os.path.getsize(os.path.join(self.room, name)), 500, name)
        before = self.call("4", "--replot")
        self.assertTrue(all(check["pass"] for check in before), before)
        self.assertGreater(len(before), 10)
        with h5py.File(os.path.join(self.room, "figure4-slopes.h5"), "r+") as file:
            small = file["scale"][:] < 0.0015
            steps = file["escape_step"][:]
            steps[small] *= 2  # of the smallest scale of r = 3: a slope of -1.3
            file["escape_step"][:] = steps
        after = self.call("4", "--replot", code=1)
        wrong = [check["name"] for check in after if not check["pass"]]
        self.assertTrue(any("r = 3" in name and "slope" in name for name in wrong), wrong)

    def test_what_cannot_be_drawn_is_refused(self):
        self.assertIn("allowed: 1 to 5", self.call("6", code=2))
        self.assertIn("figure2-L2.h5", self.call("2", "--replot", code=2))
        self.assertIn("--scale", self.call("1", "--scale", "huge", code=2))


if __name__ == "__main__":
    unittest.main()
