# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/guide/python.md and of docstrings run, and print what stands below them.

Usage: test_examples.py PROGRAM PAGE [unittest arguments]
"""
import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import sys
import unittest

import escapement
from case import Case

PAGE = os.path.abspath(sys.argv.pop(1))
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.M | re.S)


class Page(Case):
    def test_each_example_prints_the_text_below_it(self):
        with open(PAGE, encoding="utf-8") as page:
            blocks = [match.groups() for match in BLOCK.finditer(page.read())]
        self.assertGreater(len(blocks), 8)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        names = {}
        for (kind, code), (following, want) in zip(blocks, [*blocks[1:], ("", "")]):
            if kind == "python":
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    exec(compile(code, PAGE, "exec"), names)
                self.assertEqual(printed.getvalue(), want if following == "text" else "", code)


class Docstrings(unittest.TestCase):
    def test_examples_of_docstrings(self):
        modules = [module.name for module in pkgutil.iter_modules(escapement.__path__)
                   if module.name not in ("_declarations",)]
        results = [doctest.testmod(importlib.import_module(f"escapement.{name}")) for name in modules]
        results.append(doctest.testmod(escapement))
        self.assertEqual(sum(result.failed for result in results), 0)
        self.assertGreater(sum(result.attempted for result in results), 12)

    def test_what_is_public_is_described(self):
        for name in escapement.__all__:
            self.assertTrue(getattr(escapement, name).__doc__, name)


if __name__ == "__main__":
    unittest.main()
