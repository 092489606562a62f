"""The shared library exports what the public headers declare with ESC_API, and nothing else.

Usage: test_symbols.py LIBRARY SONAME HEADER...
"""
import pathlib
import re
import subprocess
import sys
import unittest

LIBRARY, SONAME, *HEADERS = sys.argv[1:]
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


def printed(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


class Symbols(unittest.TestCase):
    def test_exported_are_the_declared(self):
        table = printed("nm", "-D", "--defined-only", LIBRARY).splitlines()
        exported = {line.split()[-1].split("@")[0] for line in table}
        names = {name for path in HEADERS for name in declared(path)}
        self.assertEqual(sorted(exported - names), [], "exported, in no public header")
        self.assertEqual(sorted(names - exported), [], "in a public header, not exported")

    def test_names_begin_with_the_prefix(self):
        for path in HEADERS:
            for name in declared(path):
                self.assertTrue(name.startswith("esc_"), f"{path}: {name}")

    def test_code_has_no_relocations_and_the_name_its_version(self):
        dynamic = printed("readelf", "-dW", LIBRARY)
        self.assertNotIn("TEXTREL", dynamic)
        self.assertIn(f"soname: [{SONAME}]", dynamic)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
