# SPDX-License-Identifier: Apache-2.0
"""The reference has all that the tables have; the schema accepts the repository's specs; the picture of a
run's path is that of the sources.

Usage: test_reference.py PROGRAM FOLDER SOURCE
FOLDER is what tools/guide wrote.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM, FOLDER, SOURCE = map(os.path.abspath, sys.argv[1:4])
REFERENCE = pathlib.Path(FOLDER, "reference")
SCHEMA = json.loads((REFERENCE / "spec.schema.json").read_text())


def tables():
    return json.loads(subprocess.run([PROGRAM, "--help=json"], check=True, capture_output=True).stdout)


def page(name):
    return (REFERENCE / f"{name}.md").read_text()


class Pages(unittest.TestCase):
    def test_keys_variables_statuses_and_environment_have_their_rows(self):
        found = tables()
        for name, rows, column in [("spec", found["spec"], "path"), ("results", found["variables"], "name"),
                                   ("environment", found["environment"], "name")]:
            for row in rows:
                if row.get("type") != "section" or "list" in row["shapes"]:
                    self.assertIn(f"| `{row[column]}` |", page(name))
        for row in found["exit_statuses"]:
            self.assertRegex(page("status"), rf"(?m)^\| {row['status']} \| .*{row['meaning'].split(';')[0]}")

    def test_every_public_function_has_a_heading(self):
        for header in pathlib.Path(SOURCE, "include/escapement").glob("*.h*"):
            headings = "\n".join(re.findall(r"^## .*", page(f"api-{header.name.split('.')[0]}"), re.M))
            code = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
            for name in re.findall(r"ESC_API [^;]*?\b(esc_\w+)\(", code):
                self.assertIn(name, headings.replace("\\", ""), header.name)

    def test_the_picture_of_a_runs_path_is_that_of_its_script(self):
        inside = pathlib.Path(SOURCE, "docs/inside")
        with tempfile.TemporaryDirectory() as folder:
            made = pathlib.Path(folder, "made.svg")
            subprocess.run([sys.executable, "-I", inside / "path_of_a_run.py", made], check=True)
            self.assertEqual(made.read_text(), (inside / "path-of-a-run.svg").read_text())


def at(path):
    """The schema of "sweep.groups[].layers"."""
    found = SCHEMA
    for name in re.findall(r"[^.\[\]]+|\[\]", path):
        forms = found.get("anyOf", [found])
        found = next(f["items"] for f in forms if "items" in f) if name == "[]" else \
            next(f["properties"][name] for f in forms if name in f.get("properties", {}))
    return found


class Schema(unittest.TestCase):
    def test_has_every_key_and_no_other(self):
        paths = {key["path"] for key in tables()["spec"]}
        for path in paths:
            self.assertIn("description", at(path), path)
        self.assertEqual(json.dumps(SCHEMA).count('"description"'), len(paths))

    def test_requires_what_has_no_default(self):
        without_grid = SCHEMA["else"]
        self.assertEqual(set(without_grid["required"]), {"network", "train", "escape", "sweep"})
        self.assertEqual(without_grid["properties"]["train"]["required"], ["rate", "batch", "steps"])

    def test_a_grid_gives_what_is_required(self):
        self.assertEqual(SCHEMA["required"], ["sweep"])
        self.assertNotIn("required", at("train"))

    def test_activations_in_either_case_with_coefficients_or_by_another_name(self):
        pattern = at("network.activation")["anyOf"][1]["pattern"]
        for name in ["tanh", "GELU", "silu", "poly:0,1,0,-0.1", "softplus-raw"]:
            self.assertRegex(name, pattern)
        for name in ["tahn", "poly", "tanh2"]:
            self.assertNotRegex(name, pattern)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
