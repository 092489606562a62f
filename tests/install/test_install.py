# SPDX-License-Identifier: Apache-2.0
"""An installed tree, moved to another place, is complete: the program runs, and C and C++ programs
are built with it by pkg-config and by CMake.

Usage: test_install.py CMAKE BUILD_FOLDER SOURCE_FOLDER C_COMPILER CXX_COMPILER
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

CMAKE, BUILD, SOURCE, CC, CXX = sys.argv[1:6]
HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = [(CC, "program.c"), (CXX, "program.cc")]


def printed(*command, **environment):
    done = subprocess.run(command, text=True, capture_output=True,
                          env={**os.environ, **environment})
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.scratch = pathlib.Path(folder.name)
        printed(CMAKE, "--install", BUILD, "--prefix", "/opt/escapement",
                DESTDIR=f"{cls.scratch}/staged")
        cls.prefix = cls.scratch / "moved"
        os.rename(cls.scratch / "staged/opt/escapement", cls.prefix)
        cls.program = cls.prefix / "bin/escapement"
        cls.packages = next(cls.prefix.rglob("escapement.pc")).parent

    def package(self, *options):
        return printed("pkg-config", *options, "escapement", PKG_CONFIG_PATH=str(self.packages)).split()

    def run_program(self, path):
        version = self.package("--modversion")[0]
        output = self.scratch / "result.h5"
        told = printed(str(path), str(output))
        self.assertRegex(told, rf"^libescapement {re.escape(version)}: 4 members, cancelled: (yes|no), "
                               r"steps of the last: 400\n$")
        self.assertIn("4 members", printed(str(self.program), "info", str(output)))
        output.unlink()

    def test_program_runs(self):
        self.assertIn('"class"', printed(str(self.program), "classify", "tanh", "--json"))

    def test_an_example_is_a_spec(self):
        spec = next((self.prefix / "share/escapement/examples").iterdir())
        printed(str(self.program), "run", str(spec), "--dry-run", "-o", f"{self.scratch}/x.h5")

    def test_manual_and_completions_are_where_they_are_looked_for(self):
        share = self.prefix / "share"
        self.assertIn("sweep", printed("man", "-M", str(share / "man"), "escapement-run"))
        for path in ("bash-completion/completions/escapement", "zsh/site-functions/_escapement",
                     "fish/vendor_completions.d/escapement.fish"):
            self.assertTrue((share / path).is_file(), path)

    def test_no_file_names_the_source_or_the_build_folder(self):
        for path in self.prefix.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.suffix != ".a":
                content = path.read_bytes()
                if content.startswith(b"\x7fELF"):
                    content = printed("readelf", "-dW", str(path)).encode()
                self.assertNotIn(SOURCE.encode(), content, path)
                self.assertNotIn(BUILD.encode(), content, path)

    def test_program_looks_for_libraries_beside_itself(self):
        paths = re.search(r"runpath: \[(.*)\]", printed("readelf", "-dW", str(self.program)))[1]
        self.assertRegex(paths, r"^\$ORIGIN/\.\./lib\b")

    def test_pkg_config_shared(self):
        for compiler, source in PROGRAMS:
            with self.subTest(source):
                output = self.scratch / "shared"
                printed(compiler, f"{HERE}/{source}", "-o", str(output),
                        *self.package("--cflags", "--libs"),
                        f"-Wl,-rpath,{self.package('--variable=libdir')[0]}")
                self.run_program(output)

    def test_pkg_config_static(self):
        for compiler, source in PROGRAMS:
            with self.subTest(source):
                output = self.scratch / "static"
                libraries = ["-l:libescapement.a" if word == "-lescapement" else word
                             for word in self.package("--static", "--cflags", "--libs")]
                printed(compiler, f"{HERE}/{source}", "-o", str(output), *libraries)
                self.assertNotIn("libescapement", printed("readelf", "-dW", str(output)))
                self.run_program(output)

    def test_cmake(self):
        build = self.scratch / "build"
        printed(CMAKE, "-S", HERE, "-B", str(build), f"-DCMAKE_PREFIX_PATH={self.prefix}",
                f"-DCMAKE_C_COMPILER={CC}", f"-DCMAKE_CXX_COMPILER={CXX}", "-DCMAKE_C_COMPILER_WORKS=1",
                "-DCMAKE_CXX_COMPILER_WORKS=1")
        printed(CMAKE, "--build", str(build))
        for name in ("shared_c", "shared_cc", "static_c", "static_cc"):
            with self.subTest(name):
                self.run_program(build / name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
