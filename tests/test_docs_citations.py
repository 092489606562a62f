# SPDX-License-Identifier: Apache-2.0
"""Citations between the sources and docs: every section of docs/theory that a comment cites exists, and
every file and function that a page of the manual names exists. Each kind of wrong citation is planted, too.

Usage: test_docs_citations.py SOURCE_FOLDER [unittest arguments]
"""
import pathlib
import re
import sys
import unittest

SOURCE = pathlib.Path(sys.argv.pop(1)).resolve()
MANUAL = SOURCE / "docs" / "theory"
FOLDERS = ("host", "include", "kernels", "src", "tests", "tools", "cmake", "docs")
SUFFIXES = {".c", ".h", ".cc", ".cu", ".cuh", ".py", ".txt", ".cmake", ".in", ".md", ".sh", ""}

NUMBER = r"\d+(?:\.\d+)?"
CITATION = re.compile(rf"docs/theory, sections? ({NUMBER}(?:(?:, and|,| and| to) {NUMBER})*)")
HEADING = re.compile(rf"^\((theory-[\d-]+)\)=\n#+ ({NUMBER}) ", re.MULTILINE)
STRAY = re.compile(r"theory sheet|sheet's section|(?<!docs/)\btheory, (?:sections? )?\d", re.IGNORECASE)
NAMED = re.compile(r"`((?:cmake|docs|host|include|kernels|runs|src|tests|tools)/[\w./-]*\w)(?:: ([^`]*))?`")
EXAMPLE = re.compile(r"NAME|figure6")  # a file that a recipe of docs/inside/adding.md creates


def joined(text):
    """The text with line breaks and comment markers replaced by single spaces."""
    return re.sub(r"\s*\n\s*(?:\*(?!/)|//|#)?\s*", " ", text)


def sections(pages):
    """The numbers of the labelled headings of the pages' texts."""
    found = set()
    for text in pages:
        for label, number in HEADING.findall(text):
            if label == "theory-" + number.replace(".", "-"):
                found.add(number)
    return found


def wrong_citations(text, known):
    """Missing sections cited by a text, and citations of the theory by another name."""
    text = joined(text)
    wrong = [number for cited in CITATION.findall(text)
             for number in re.findall(NUMBER, cited) if number not in known]
    return wrong + STRAY.findall(text)


def missing_names(text, root):
    """Missing files and functions named by a page of the manual, without a recipe's examples."""
    missing = []
    for path, names in NAMED.findall(joined(text)):
        file = root / path
        if EXAMPLE.search(path):
            continue
        if not file.exists():
            missing.append(path)
            continue
        content = file.read_text(encoding="utf-8") if names else ""
        missing += [f"{path}: {name}" for name in re.findall(r"\w+", names)
                    if not re.search(rf"\b{name}\b", content)]
    return missing


def tree():
    for folder in FOLDERS:
        for path in sorted((SOURCE / folder).rglob("*")):
            own = path.name == pathlib.Path(__file__).name or "__pycache__" in path.parts
            if path.is_file() and path.suffix in SUFFIXES and not own and "corpus" not in path.parts:
                yield path, path.read_text(encoding="utf-8", errors="replace")


def texts(paths):
    return [path.read_text(encoding="utf-8") for path in sorted(paths)]


def manual():
    return texts(MANUAL.glob("*.md"))


def pages():
    """The whole manual, and the pages in the root of the repository."""
    return texts(SOURCE.glob("*.md")) + texts((SOURCE / "docs").rglob("*.md"))


class Planted(unittest.TestCase):
    KNOWN = {"1", "1.4", "5.6"}

    def test_existing_sections_are_right(self):
        for text in ("docs/theory, section 1.4", "docs/theory, sections 1 and 5.6",
                     "(docs/theory,\n * section 5.6)", "# docs/theory, sections 1,\n# 1.4 and 5.6"):
            self.assertEqual(wrong_citations(text, self.KNOWN), [], text)

    def test_a_missing_section_is_found(self):
        for text in ("docs/theory, section 1.5", "docs/theory, sections 1 and 1.5",
                     "(docs/theory,\n * sections 1.4, 1.5)"):
            self.assertEqual(wrong_citations(text, self.KNOWN), ["1.5"], text)

    def test_other_names_of_the_theory_are_found(self):
        for text in ("the theory\n * sheet", "(theory, section 1)", "(theory, 1.4)"):
            self.assertEqual(len(wrong_citations(text, self.KNOWN)), 1, text)

    def test_a_heading_is_cited_by_its_label_only(self):
        self.assertEqual(sections(["(theory-1-4)=\n## 1.4 Step\n"]), {"1.4"})
        self.assertEqual(sections(["## 1.4 Step\n", "(theory-1-5)=\n## 1.4 Step\n"]), set())

    def test_a_missing_file_or_function_is_found(self):
        here = f"tests/{pathlib.Path(__file__).name}"
        self.assertEqual(missing_names(f"`{here}: wrong_citations,\njoined`", SOURCE), [])
        self.assertEqual(missing_names(f"`{here}: no{'_'}such_name`", SOURCE),
                         [f"{here}: no{'_'}such_name"])
        self.assertEqual(missing_names("`src/theory/none.c`", SOURCE), ["src/theory/none.c"])
        self.assertEqual(missing_names("`kernels/NAME.cu`", SOURCE), [])


class Tree(unittest.TestCase):
    def test_every_cited_section_exists(self):
        known = sections(manual())
        wrong = {str(path.relative_to(SOURCE)): found
                 for path, text in tree() if (found := wrong_citations(text, known))}
        self.assertEqual(wrong, {})

    def test_the_sources_cite_the_manual(self):
        cited = sum(len(CITATION.findall(joined(text))) for _, text in tree())
        self.assertGreater(cited, 50)

    def test_files_and_functions_of_the_manual_exist(self):
        self.assertEqual([name for text in pages() for name in missing_names(text, SOURCE)], [])


if __name__ == "__main__":
    unittest.main()
