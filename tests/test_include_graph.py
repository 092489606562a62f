# SPDX-License-Identifier: Apache-2.0
"""Errors that tools/include_graph must find, each planted in a tree of a few files.

Usage: test_include_graph.py SOURCE_FOLDER [unittest arguments]
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.abspath(sys.argv.pop(1))


def check(root):
    """The exit status and the output for the tree at `root`."""
    done = subprocess.run([os.path.join(SOURCE, "tools", "include_graph"), root], text=True,
                          stdout=subprocess.PIPE, check=False)
    return done.returncode, done.stdout


def check_files(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return check(root)


class IncludeGraph(unittest.TestCase):
    def assert_found(self, files, *lines):
        status, output = check_files(files)
        self.assertEqual(status, 1, output)
        for line in lines:
            self.assertIn(line, output)

    def assert_clean(self, files):
        status, output = check_files(files)
        self.assertEqual(status, 0, output)

    def test_the_repository_respects_its_layers(self):
        status, output = check(SOURCE)
        self.assertEqual(status, 0, output)

    def test_a_dependency_on_a_lower_layer_is_allowed(self):
        self.assert_clean({"host/store/a.c": '#include "base/b.h"\n', "host/base/b.h": ""})

    def test_a_dependency_on_a_higher_layer_is_named(self):
        self.assert_found({"host/base/a.c": '#include "store/b.h"\n', "host/store/b.h": ""},
                          "forbidden: host/base may not depend on host/store:\n"
                          '    host/base/a.c includes "store/b.h" (host/store/b.h)')

    def test_a_call_counts_without_an_include(self):
        self.assert_found({"src/model/a.c": "void f(void) { esc_b_do(1); }\n",
                           "src/theory/b.c": "void esc_b_do(int n) {\n}\n"},
                          "src/model/a.c uses esc_b_do (src/theory/b.c)")

    def test_a_table_counts_as_a_call_does(self):
        self.assert_found({"src/model/a.c": "int f(void) { return esc_rows[0]; }\n",
                           "src/theory/b.c": "const int esc_rows[] = {1};\n"},
                          "src/model/a.c uses esc_rows (src/theory/b.c)")

    def test_names_in_comments_and_declarations_do_not_count(self):
        self.assert_clean({"src/model/a.c": '/* esc_b_do, #include "b.h" */\n',
                           "src/model/a.h": "void esc_b_do(int n);\n",
                           "src/theory/b.c": "void esc_b_do(int n) {\n}\n"})

    def test_headers_in_a_cycle_are_shown_as_a_chain(self):
        self.assert_found({"src/model/a.h": '#include "b.h"\n', "src/model/b.h": '#include "c.h"\n',
                           "src/model/c.h": '#include "a.h"\n'},
                          "cycle of files: src/model/a.h -> src/model/b.h -> src/model/c.h -> "
                          "src/model/a.h",
                          'src/model/c.h includes "a.h" (src/model/a.h)')

    def test_sources_that_call_each_other_are_a_cycle(self):
        self.assert_found({"src/model/a.c": "void esc_a(void) { esc_b(); }\n",
                           "src/model/b.c": "void esc_b(void) { esc_a(); }\n"},
                          "cycle of files: src/model/a.c -> src/model/b.c -> src/model/a.c")

    def test_a_cycle_of_folders_over_any_files_is_named(self):
        self.assert_found({"host/base/a.c": '#include "machine/m.h"\n', "host/base/b.h": "",
                           "host/machine/m.h": "", "host/machine/n.c": '#include "base/b.h"\n'},
                          "cycle of folders: host/base -> host/machine -> host/base")

    def test_a_folder_without_a_layer_is_named(self):
        self.assert_found({"host/new/a.c": '#include "base/b.h"\n', "host/base/b.h": ""},
                          "unknown folder: host/new")


if __name__ == "__main__":
    unittest.main()
