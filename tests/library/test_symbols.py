# SPDX-License-Identifier: Apache-2.0
"""The shared library exports what the public headers declare with ESC_API, and nothing else.

Usage: test_symbols.py SHARED STATIC HEADER...
"""
import pathlib
import re
import subprocess
import sys
import unittest

SHARED, STATIC, *HEADERS = sys.argv[1:]
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
DECLARED = re.compile(r"^ESC_API\b[^;()]*?\b(\w+)\s*\(", re.M)


def declared(path):
    """Names of the functions that a header declares with ESC_API."""
    text = COMMENT.sub(" ", pathlib.Path(path).read_text())
    text = re.sub(r"^\s*#.*", "", text, flags=re.M)  # export.h defines the mark
    names = DECLARED.findall(text)
    if len(names) != text.count("ESC_API"):
        sys.exit(f"{path}: an ESC_API declaration whose name this script cannot read")
    return names


def abi_version():
    """What the SONAME ends with: before 1.0 the minor version may break programs too."""
    text = pathlib.Path(next(path for path in HEADERS if path.endswith("/version.h"))).read_text()
    major, minor = (re.search(rf"define ESC_VERSION_{part} (\d+)", text)[1]
                    for part in ("MAJOR", "MINOR"))
    return major if int(major) > 0 else f"{major}.{minor}"


def printed(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


class Symbols(unittest.TestCase):
    def test_exported_are_the_declared(self):
        table = printed("nm", "-D", "--defined-only", SHARED).splitlines()
        exported = {line.split()[-1].split("@")[0] for line in table}
        names = {name for path in HEADERS for name in declared(path)}
        self.assertEqual(sorted(exported - names), [], "exported, in no public header")
        self.assertEqual(sorted(names - exported), [], "in a public header, not exported")

    def test_names_begin_with_the_prefix_in_the_archive_too(self):
        table = printed("nm", "-g", "--defined-only", STATIC).splitlines()
        # Weak ones are of headers that define functions (NVTX) and of C++; they clash with nobody's.
        names = {line.split()[-1] for line in table if len(line.split()) == 3 and line.split()[1] not in "VW"}
        self.assertIn("esc_status_text", names)
        # Of names that begin with "_" the compilers of CUDA make some.
        self.assertEqual([name for name in sorted(names) if not name.startswith(("esc_", "_"))], [])

    def test_code_has_no_relocations_and_the_name_its_version(self):
        dynamic = printed("readelf", "-dW", SHARED)
        self.assertNotIn("TEXTREL", dynamic)
        self.assertIn(f"soname: [libescapement.so.{abi_version()}]", dynamic)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
