# SPDX-License-Identifier: Apache-2.0
"""--help of every command: width of its lines, words, form of its descriptions.

Usage: test_help.py PROGRAM [unittest arguments]
"""
import json
import re
import unittest

import cli_case

COLUMNS = 80
# Former names, which no help may bring back.
RETIRED = re.compile(
    r"\b(verbs?|chip|chip-tf32x3|gemm|crews?|rooms?|lots?|lanes?|cohorts?|doubts?|remarks?|foreign|seals?|digests?|"
    r"storms?|twins?|scenes?|shifts|strips?|stretch|laws? of a|patience|pace|responders?|shortfall|put_in|take_out|"
    r"members in flight|networks in flight)\b|--scale (small|large)")
# Data do not act as people do, and a sentence begins with its subject.
PROSE = re.compile(
    r"\b(comes?|waits?|lies?|stands?|says?|minds?)\b|(?:^|[.;:] )(?:what|who|where)\b|, for (?:it|they)\b",
    re.I | re.M)


def helps():
    """{command: its help}; "" is the program."""
    names = [row["name"] for row in json.loads(cli_case.call("--help=json").stdout)["commands"]]
    return {name: cli_case.call(*filter(None, [name]), "--help").stdout for name in ["", *names]}


class Help(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.helps = helps()

    def test_covers_every_command(self):
        self.assertGreater(len(self.helps), 10)
        for name, text in self.helps.items():
            self.assertTrue(text.startswith(f"Usage: escapement {name}"), name)

    def test_lines_fit_a_terminal(self):
        for name, text in self.helps.items():
            for line in text.splitlines():
                self.assertLessEqual(len(line), COLUMNS, f"{name}: {line}")

    def test_former_names_are_gone(self):
        for name, text in self.helps.items():
            self.assertIsNone(RETIRED.search(text), f"{name}: {RETIRED.search(text)}")

    def test_prose_is_plain(self):
        for name, text in self.helps.items():
            self.assertIsNone(PROSE.search(text), f"{name}: {PROSE.search(text)}")

    def test_a_summary_is_one_or_more_sentences(self):
        for name, text in self.helps.items():
            summary = re.split(r"\n(?=\S)", text.split("\n\n")[0], maxsplit=1)[1]
            self.assertRegex(summary, r"(?s)\A[A-Z].*\.\Z", name)


if __name__ == "__main__":
    unittest.main()
