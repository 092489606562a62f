# SPDX-License-Identifier: Apache-2.0
"""A mutation applies to one place, or the list is refused; and the lists apply to the sources.

Usage: test_mutate.py SOURCE LIST.toml ...
"""
import pathlib
import sys
import unittest

import mutate

SOURCE, *LISTS = sys.argv[1:]

FILES = {"src/a.c": "x = a + b;\ny = a + b + c;\n#define M(z) f(z, \\\n    z)\n"}


def apply(**entries):
    """Entries are (code, error)."""
    return mutate.apply(FILES, {name: {"file": "src/a.c", "code": code, "error": error}
                                for name, (code, error) in entries.items()})["src/a.c"]


class Applies(unittest.TestCase):
    def test_an_expression_becomes_a_switch(self):
        self.assertIn("y = a + (ESC_MUTATED(m) ? (b) : (b + c));", apply(m=("b + c", "b")))

    def test_a_statement_becomes_a_branch(self):
        self.assertIn("{ if (ESC_MUTATED(m)) { x = a; } else { x = a + b; } }",
                      apply(m=("x = a + b;", "x = a;")))

    def test_mutations_of_the_same_code_share_a_switch(self):
        self.assertIn("a + (ESC_MUTATED(m) ? (b) : ESC_MUTATED(n) ? (c) : (b + c));",
                      apply(m=("b + c", "b"), n=("b + c", "c")))

    def test_line_breaks_do_not_matter(self):
        self.assertIn("(ESC_MUTATED(m) ? (f(z, 0)) : (f(z, \\\n    z)))", apply(m=("f(z, z)", "f(z, 0)")))

    def test_context_tells_equal_expressions_apart(self):
        self.assertIn("x = (ESC_MUTATED(m) ? (b) : (a)) + b;", apply(m=("x = @a@ +", "b")))


class Lists(unittest.TestCase):
    def test_they_apply_to_the_sources(self):
        mutate.apply(mutate.sources(pathlib.Path(SOURCE)), mutate.read(LISTS))

    def test_training_catches_the_errors_of_the_reference(self):
        for name, entry in mutate.read(LISTS).items():
            if entry["file"].startswith("src/reference/reference"):
                with self.subTest(name):
                    self.assertTrue(all(c.startswith("reference: ") for c in entry["caught_by"]))


class Refuses(unittest.TestCase):
    def refuse(self, message, **entries):
        with self.assertRaisesRegex(mutate.Refused, message):
            apply(**entries)

    def test_code_that_is_not_there(self):
        self.refuse("m: found 0 times", m=("b - c", "b"))

    def test_code_that_is_there_twice(self):
        self.refuse("m: found 2 times", m=("a + b", "b"))

    def test_a_context_without_its_second_mark(self):
        self.refuse("m: one @ before", m=("x = @a", "b"))

    def test_mutations_that_overlap(self):
        self.refuse("n: overlaps m", m=("a + b + c", "b"), n=("b + c", "b"))

    def test_a_file_that_is_not_there(self):
        with self.assertRaisesRegex(mutate.Refused, "src/b.c: there is no such file"):
            mutate.apply(FILES, {"m": {"file": "src/b.c"}})

    def test_every_fault_is_named(self):
        self.refuse("m: found 0 times(.|\\n)*n: found 2 times", m=("b - c", "b"), n=("a + b", "b"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
