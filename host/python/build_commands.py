# SPDX-License-Identifier: Apache-2.0
"""How setuptools builds the Python package: CMake makes it with the library, and it is copied.

Variables of the environment:
  ESCAPEMENT_BUILD       a build tree of CMake to take it from (build/wheel, made where it is missing)
  ESCAPEMENT_CMAKE_ARGS  more arguments when that tree is configured: -DESCAPEMENT_CUDA=OFF
  CMAKE_PREFIX_PATH      where CMake looks for SUNDIALS and others, beside the system's folders
"""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

try:
    from setuptools.command.bdist_wheel import bdist_wheel  # since 70.1
except ImportError:
    from wheel.bdist_wheel import bdist_wheel

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = re.search(r"project\(escapement VERSION ([0-9.]+)",
                    (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))[1]


def cmake(*arguments):
    subprocess.run(["cmake", *map(str, arguments)], check=True)


def built():
    """The build tree, with the package in its folder python."""
    tree = pathlib.Path(os.environ.get("ESCAPEMENT_BUILD", ROOT / "build/wheel")).resolve()
    if not (tree / "CMakeCache.txt").exists():
        cmake("-S", ROOT, "-B", tree, "-GNinja", "-DBUILD_TESTING=OFF",
              f"-DPython3_EXECUTABLE={sys.executable}",
              *shlex.split(os.environ.get("ESCAPEMENT_CMAKE_ARGS", "")))
    cmake("--build", tree, "--target", "escapement_python")
    return tree


def copy_library(tree, package):
    """The installed library, stripped, under the name that programs load it by."""
    with tempfile.TemporaryDirectory() as prefix:
        cmake("--install", tree, "--prefix", prefix, "--component", "library", "--strip")
        for link in pathlib.Path(prefix).rglob("libescapement.so.*"):
            if link.is_symlink():
                shutil.copy(link, package / link.name)


class BuildPackage(build_py):
    """build/lib/escapement as the build tree has it, with a library that stands alone."""

    def run(self):
        tree, package = built(), pathlib.Path(self.build_lib, "escapement")
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(tree / "python/escapement", package,
                        ignore=shutil.ignore_patterns("__pycache__", "libescapement.so*"))
        copy_library(tree, package)


class Wheel(bdist_wheel):
    """One wheel for every Python 3 of a platform: cffi loads the library without compiled Python code."""

    def finalize_options(self):
        self.distribution.has_ext_modules = lambda: True  # the library is of a platform
        super().finalize_options()

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class SourceDistribution(sdist):
    """All files of the repository, or without git all that are here but those of builds."""

    def make_distribution(self):
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=ROOT, capture_output=True, text=True)
        names = listed.stdout.split("\0")[:-1] if listed.returncode == 0 else [
            str(path.relative_to(ROOT)) for path in ROOT.rglob("*")
            if path.is_file() and path.relative_to(ROOT).parts[0] not in ("build", ".git", "dist")]
        self.filelist.extend(name for name in names if (ROOT / name).is_file())
        super().make_distribution()
