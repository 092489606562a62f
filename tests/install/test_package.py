# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: what they name, what they hold, and that they install over this machine's own
system, seen through an overlay so that nothing of it changes.

Usage: test_package.py CPACK BUILD_FOLDER C_COMPILER
Exit status 77 where the tools that make packages are not installed.
"""
import glob
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

CPACK, BUILD, CC = sys.argv[1:4]
HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = ["dpkg", "dpkg-deb", "dpkg-shlibdeps", "file"]
# A root whose lower layer is this machine's; $1: a folder for it, $2: what becomes /packages in it,
# $3: what to do there.
OVERLAY = """
set -e
mount -t tmpfs none "$1" && cd "$1" && mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount --rbind /dev root/dev
cp -r "$2" root/packages
chroot root sh -ec "cd /packages; $3"
"""


def run(*command, **options):
    return subprocess.run(command, text=True, capture_output=True, check=False, **options)


def printed(*command):
    done = run(*command)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def in_overlay(packages, commands):
    """What `commands` print; None where this machine allows no overlay."""
    with tempfile.TemporaryDirectory() as folder:
        call = ["unshare", "--mount", "sh", "-c", OVERLAY, "sh", folder, packages]
        return None if run(*call, "true").returncode != 0 else printed(*call, commands)


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        printed(CPACK, "--config", f"{BUILD}/CPackConfig.cmake", "-B", folder.name)
        cls.folder = folder.name
        files = glob.glob(f"{folder.name}/*.deb")
        cls.debs = {printed("dpkg-deb", "-f", path, "Package").strip(): path for path in files}
        cls.library = next(name for name in cls.debs if name[-1].isdigit())

    def field(self, package, name):
        return printed("dpkg-deb", "-f", self.debs[package], name).strip()

    def files(self, package):
        return {line.split()[5].removeprefix("./") for line in
                printed("dpkg-deb", "-c", self.debs[package]).splitlines() if not line.startswith("d")}

    def test_there_is_one_for_the_program_the_library_and_building_with_it(self):
        self.assertEqual(set(self.debs), {"escapement", self.library, "libescapement-dev"})

    def test_dependencies_are_packages_of_this_system(self):
        for package in ("escapement", self.library):
            depends = [d.split()[0] for d in self.field(package, "Depends").split(", ")]
            self.assertIn("libc6", depends)
            self.assertIn("libhdf5-103-1", depends)
            for name in set(depends) - {self.library}:
                self.assertIn("installed", printed("dpkg-query", "-W", "-f", "${Status}", name))
        version = self.field(self.library, "Version")
        self.assertEqual(self.field("libescapement-dev", "Depends"), f"{self.library} (= {version})")

    def test_no_file_is_in_two(self):
        files = [self.files(package) for package in self.debs]
        self.assertEqual(sum(map(len, files)), len(set.union(*files)))

    def test_files_are_where_debian_looks_for_them(self):
        for package, path in (("escapement", "usr/bin/escapement"),
                              ("escapement", "usr/share/zsh/vendor-completions/_escapement"),
                              (self.library, f"usr/lib/libescapement.so.{self.library[13:]}"),
                              ("libescapement-dev", "usr/lib/pkgconfig/escapement.pc"),
                              ("libescapement-dev", "usr/include/escapement/status.h")):
            self.assertIn(path, self.files(package))

    def test_they_install_and_leave_nothing_when_removed(self):
        shutil.copy(f"{HERE}/program.c", self.folder)
        names = " ".join(self.debs)
        out = in_overlay(
            self.folder, "dpkg --no-triggers -i *.deb >/dev/null; escapement classify tanh --json;"
            f" {CC} program.c -o program $(pkg-config --cflags --libs escapement); ./program result.h5;"
            f" dpkg --no-triggers -r {names} >/dev/null;"
            " find /usr /etc -path /usr/local -prune -o -name '*escapement*' -print")
        if out is None:
            self.skipTest("this machine allows no overlay of its root")
        self.assertIn('"class"', out)
        version = self.field(self.library, "Version")
        self.assertRegex(out.splitlines()[-1], rf"^libescapement {version}: 4 members, cancelled: ")


if __name__ == "__main__":
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        print(f"skipped: {', '.join(missing)} not installed")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
