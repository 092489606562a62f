"""A mutation applies to one place, or the list is refused."""
import unittest

import mutate

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
        with self.assertRaisesRegex(mutate.Refused, "no file src/b.c"):
            mutate.apply(FILES, {"m": {"file": "src/b.c"}})


if __name__ == "__main__":
    unittest.main()
