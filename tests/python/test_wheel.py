# SPDX-License-Identifier: Apache-2.0
"""The wheel, made from the build tree, trains in an interpreter that knows nothing of either; and the
source distribution has what a build needs.

Usage: test_wheel.py PROGRAM BUILD SOURCE [unittest arguments]

Exit status 77: setuptools or wheel is not installed.
"""
import os
import pathlib
import subprocess
import sys
import tarfile
import unittest
import zipfile

from case import SPEC, Case

BUILD, SOURCE = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(2))
try:
    import setuptools  # noqa: F401
    import wheel  # noqa: F401
except ImportError as missing:
    print(f"skipped: {missing}; tools/quickstart --setup-check installs it")
    sys.exit(77)

TRAIN = f"""
import sys
sys.path.insert(0, sys.argv[1])
import escapement
assert escapement.__file__.startswith(sys.argv[1]), escapement.__file__
results = escapement.Sweep(**{SPEC!r}).run(backend="cpu")
print(escapement.fit(results).shape[0], escapement.plotting.sheet(results)["panels"][0]["scale"])
"""


class Wheel(Case):
    def make(self, kind):
        """The wheel that setuptools makes of a folder of links, so that the source is not changed."""
        here = self.folder / "source"
        here.mkdir()
        for entry in SOURCE.iterdir():
            if entry.name not in ("build", ".git"):
                (here / entry.name).symlink_to(entry)
        done = subprocess.run(
            [sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_{kind}('..')"],
            cwd=here, capture_output=True, text=True, env={**os.environ, "ESCAPEMENT_BUILD": str(BUILD)})
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return next(path for path in self.folder.iterdir() if path.suffix in (".whl", ".gz"))

    def test_a_wheel_carries_the_library(self):
        path = self.make("wheel")
        self.assertRegex(path.name, r"\Aescapement-[0-9.]+-py3-none-linux_\w+\.whl\Z")
        installed = str(self.folder / "installed")
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            archive.extractall(installed)
        self.assertTrue(any(name.startswith("escapement/libescapement.so.") for name in names), names)
        self.assertTrue(any(name.endswith("LICENSE") for name in names), names)
        done = subprocess.run([sys.executable, "-I", "-c", TRAIN, installed], cwd=self.folder,
                              capture_output=True, text=True)
        self.assertEqual((done.stdout, done.stderr), ("4 loglog\n", ""))

    def test_a_source_distribution_has_what_a_build_needs(self):
        with tarfile.open(self.make("sdist")) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        for needed in ("pyproject.toml", "CMakeLists.txt", "cmake/python.cmake", "host/python/declare.py",
                       "host/python/build_commands.py", "host/draw/plot.py", "LICENSE",
                       "include/escapement/version.h.in", "docs/CMakeLists.txt"):
            self.assertIn(needed, names)


if __name__ == "__main__":
    unittest.main()
