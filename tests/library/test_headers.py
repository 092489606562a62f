# SPDX-License-Identifier: Apache-2.0
"""Each public header compiles alone, twice in one file, as C17 and as C++17, without a warning, and
where the internal headers are not.

Usage: test_headers.py C_COMPILER CXX_COMPILER HEADER...
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

C, CXX, *HEADERS = sys.argv[1:]
STRICT = ["-Wall", "-Wextra", "-Wstrict-prototypes", "-Werror", "-pedantic-errors", "-fsyntax-only"]
LANGUAGES = {"C17": [C, "-std=c17", "-xc", *STRICT],
             "C++17": [CXX, "-std=c++17", "-xc++", *[w for w in STRICT if "prototypes" not in w]]}


class Headers(unittest.TestCase):
    def test_each_compiles_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(f"{folder}/escapement")
            for path in HEADERS:
                shutil.copy(path, f"{folder}/escapement")
            for name in sorted(map(os.path.basename, HEADERS)):
                for language, compiler in LANGUAGES.items():
                    with self.subTest(header=name, language=language):
                        done = subprocess.run(
                            [*compiler, f"-I{folder}", "-"], stderr=subprocess.PIPE, text=True,
                            input=f'#include "escapement/{name}"\n' * 2 + "typedef int not_empty;\n")
                        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
