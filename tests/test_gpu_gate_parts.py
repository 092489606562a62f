# SPDX-License-Identifier: Apache-2.0
"""Parts of tools/gpu_gate without a GPU: contents of a bundle, calls of programs with a time limit, criteria
of the checks.

Usage: test_gpu_gate_parts.py TOOLS BUILD_FOLDER [unittest arguments]
"""
import math
import os
import subprocess
import time
import unittest
from unittest import mock

from gate_case import Scratch
from gate import bundle, calls, machine, stages  # in tools/, which gate_case loads


class Bundle(Scratch):
    def compile(self, name, text, *options):
        source = self.write(f"{name}.c", text, 0o644)
        subprocess.run(["cc", source, "-o", self.path(name), *options], check=True)
        return self.path(name)

    def program(self, *options):
        """A program linked with a private library, libtwo.so."""
        self.compile("libtwo.so", "int two(void) { return 2; }", "-shared", "-fPIC")
        return self.compile("program", "int two(void); int main(void) { return two(); }",
                            "-L" + self.scratch, "-ltwo", *options)

    def make(self):
        program = self.program(f"-Wl,-rpath,$ORIGIN/../lib:{self.scratch},--disable-new-dtags")
        os.rename(program, self.path("escapement"))
        bundle.copy_all(self.path("bundle"), [self.path("escapement")])
        tests = [{"name": "t", "command": [self.path("escapement"), "-x"], "environment": {}}]
        return bundle.write_manifest(self.path("bundle"), tests, ["left"])

    def test_the_closure_holds_libraries_of_libraries_and_where_they_are(self):
        libraries = bundle.shared_libraries("/bin/ls")
        self.assertTrue(os.path.isabs(libraries["libc.so.6"]))
        self.assertIn("ld-linux-x86-64.so.2" if os.uname().machine == "x86_64" else "libc.so.6",
                      libraries)
        own = bundle.shared_libraries(self.program("-Wl,-rpath," + self.scratch))
        self.assertEqual(own["libtwo.so"], self.path("libtwo.so"))
        self.assertIsNone(bundle.shared_libraries(self.program())["libtwo.so"])

    def test_libraries_of_the_driver_are_not_bundled(self):
        carried = bundle.libraries_to_carry(["/bin/ls"])
        self.assertNotIn("libc.so.6", carried)
        for name, stays in (
                ("libc.so.6", True), ("libm.so.6", True), ("ld-linux-x86-64.so.2", True),
                ("libstdc++.so.6", True), ("libcublas.so.13", True), ("libcublasLt.so.13", True),
                ("libcudart.so.13", True), ("libcuda.so.1", True), ("libgcc_s.so.1", True),
                ("libgomp.so.1", False), ("libcurl.so.4", False), ("libcrypto.so.3", False),
                ("libmpi.so.40", False), ("libhdf5_serial.so.103", False), ("libgsl.so.27", False)):
            self.assertEqual(bool(bundle.FROM_NODE.match(name)), stays, name)

    def test_a_library_that_is_not_found_is_named(self):
        self.on_path(ldd='#!/bin/sh\necho "\tlibnone.so.1 => not found"\n')
        with self.assertRaisesRegex(calls.Refusal, r"program: libnone\.so\.1 is not on"):
            bundle.libraries_to_carry(["program"])

    def test_a_bundle_is_independent_of_the_build_machine(self):
        manifest = self.make()
        os.remove(self.path("libtwo.so"))
        self.assertEqual(subprocess.run([self.path("bundle/bin/escapement")],
                                        check=False).returncode, 2)
        self.assertEqual(sorted(manifest["files"])[0], "bin/escapement")
        self.assertEqual(manifest["bytes"], sum(
            os.path.getsize(self.path("bundle", name)) for name in manifest["files"]))

    def test_a_program_that_would_not_load_from_the_bundle_is_refused(self):
        with self.assertRaisesRegex(calls.Refusal, "libtwo.so from .*, not from the bundle"):
            bundle.copy_all(self.path("bundle"), [self.program("-Wl,-rpath," + self.scratch)])

    def test_the_bundled_files_are_the_ones_run(self):
        self.make()
        programs = bundle.open_bundle(self.path("bundle"), self.scratch)
        self.assertEqual(programs.tests[0]["command"], [self.path("bundle/bin/escapement"), "-x"])
        self.assertEqual(programs.facts["left_out"], ["left"])
        with open(self.path("bundle/bin/escapement"), "ab") as file:
            file.write(b"\0")
        with self.assertRaisesRegex(calls.Refusal, "bin/escapement: is not the file"):
            bundle.open_bundle(self.path("bundle"), self.scratch)

    def test_an_archive_is_the_bundle(self):
        self.make()
        os.makedirs(self.path("elsewhere"))
        bundle.pack(self.path("bundle"))
        programs = bundle.open_bundle(self.path("bundle.tar.xz"), self.path("elsewhere"))
        self.assertEqual(subprocess.run([programs.program], check=False).returncode, 2)
        self.write("bundle.tar.xz", "no archive")
        with self.assertRaisesRegex(calls.Refusal, "is no bundle"):
            bundle.open_bundle(self.path("bundle.tar.xz"), self.path("elsewhere"))

    def test_a_file_that_the_bundle_does_not_name_is_not_deleted_with_it(self):
        self.make()
        with open(self.path("bundle/lib/notes.txt"), "w") as file:
            file.write("mine")
        with self.assertRaisesRegex(calls.Refusal, r"lib/notes\.txt"):
            bundle.make(self.path("bundle"), "90")
        self.assertTrue(os.path.exists(self.path("bundle/lib/notes.txt")))

    def test_a_folder_without_a_bundle_is_not_replaced(self):
        self.write("precious", "x")
        with self.assertRaisesRegex(calls.Refusal, "holds something else"):
            bundle.make(self.scratch, "90")
        with self.assertRaisesRegex(calls.Refusal, "is no bundle"):
            bundle.open_bundle(self.scratch, self.scratch)
        self.assertTrue(os.path.exists(self.path("precious")))

    def test_tests_are_those_with_the_label_and_programs_alone(self):
        build = self.path("build")
        for name in ("a", "b"):
            self.write(f"build/{name}", "\x7fELF")
        listing = {"tests": [
            {"name": "a", "command": [f"{build}/a", "--all"], "properties": [
                {"name": "LABELS", "value": ["gpu"]},
                {"name": "ENVIRONMENT", "value": ["LOT=2", "X=a=b"]}]},
            {"name": "b", "command": [f"{build}/b", f"{build}/data"],
             "properties": [{"name": "LABELS", "value": ["slow", "gpu"]}]},
            {"name": "script", "command": ["/bin/sh", "x"],
             "properties": [{"name": "LABELS", "value": ["gpu"]}]},
            {"name": "other", "command": [f"{build}/a"], "properties": []}]}
        tests = bundle.labelled_tests(listing, "gpu")
        self.assertEqual([t["name"] for t in tests], ["a", "b", "script"])
        self.assertEqual(tests[0]["environment"], {"LOT": "2", "X": "a=b"})
        with mock.patch.object(bundle, "BUILD", build):
            travel, left = bundle.split_tests(tests)
        self.assertEqual(([t["name"] for t in travel], left), (["a"], ["b", "script"]))

    def test_the_toolkits_libraries_are_looked_for_and_named_where_they_are_not(self):
        self.on_path(ldd='#!/bin/sh\ncase "$LD_LIBRARY_PATH" in *toolkit*) ;; *)\n'
                         'echo "\tlibcublas.so.13 => not found";; esac\n')
        programs = bundle.Programs("program", [], {})
        programs.environment["LD_LIBRARY_PATH"] = "/first"
        with self.assertRaisesRegex(calls.Refusal, "libcublas.so.13 not found"):
            with mock.patch.object(bundle, "toolkit_folders", lambda: [self.scratch]):
                bundle.find_toolkit(programs)
        self.write("toolkit/libcublas.so.13", "")
        with mock.patch.object(bundle, "toolkit_folders", lambda: [self.path("toolkit")]):
            bundle.find_toolkit(programs)
        self.assertEqual(programs.environment["LD_LIBRARY_PATH"],
                         "/first:" + self.path("toolkit"))


    def test_cublas_is_looked_for_by_the_name_that_the_program_loads(self):
        program = self.write("program", "\x7fELF libcublas.so.99 ")
        programs = bundle.Programs(program, [], {})
        with mock.patch.object(bundle, "toolkit_folders", lambda: [self.path("none"), self.path("toolkit")]):
            self.assertIsNone(bundle.find_cublas(programs))
            self.write("toolkit/libcublas.so.99", "")
            self.assertEqual(bundle.find_cublas(programs), self.path("toolkit"))
        self.assertIn(self.path("toolkit"), programs.environment["LD_LIBRARY_PATH"])

    def test_a_program_that_does_not_start_is_refused_with_its_reason(self):
        program = self.write("escapement", "#!/bin/sh\necho \"version GLIBC_9 not found\" >&2\nexit 1\n")
        with self.assertRaisesRegex(calls.Refusal, "escapement: exit status 1: version GLIBC_9"):
            bundle.check_start(bundle.Programs(program, [], {}))


class Calls(Scratch):
    def test_a_command_past_its_limit_ends_with_its_children_and_keeps_its_output(self):
        script = self.write("slow", "#!/bin/sh\nsleep 1000000 &\necho $!\necho why >&2\nwait\n")
        for limit in (0.5, 4, 32, 256):  # on a loaded machine the script may not have begun
            done = calls.call([script], limit)
            if done.errors:
                break
        self.assertIsNone(done.code)
        self.assertEqual(done.errors, "why\n")
        child = int(done.output)
        while running(child):
            time.sleep(0.05)

    def test_exit_status_json_and_missing_programs(self):
        done = calls.call(["sh", "-c", "echo '{\"a\": 1}'; exit 7"], 10)
        self.assertEqual((done.code, done.json()), (7, {"a": 1}))
        self.assertIsNone(calls.call(["echo", "no json"], 10).json())
        self.assertEqual(calls.call([self.path("none")], 10).code, 127)


def running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Judgement(unittest.TestCase):
    def test_nan_and_missing_values_fail_checks(self):
        for got, good in ((0, True), (2, True), (2.1, False), (math.nan, False), (None, False)):
            result = {}
            checks = stages.Checks(result)
            checks.at_most("steps", got, 2)
            self.assertEqual(checks.status() == calls.PASS, good, got)
        self.assertEqual(stages.Checks({}).status(), calls.FAIL)

    def test_equal_precision_promises_equal_bits(self):
        def status(**changes):
            checks = stages.Checks({})
            got = {"first": {"precision": "float32"}, "second": {"precision": "float32"},
                   "different": 0, "escape_step": {"largest_absolute": 0, "censored_in_one": 0},
                   **changes}
            fits = {"r=3": {"slope": -1.0}}
            stages.check_beside_cpu(checks, "x", got, fits, {"r=3": {"slope": -1.001}})
            return checks.status()

        self.assertEqual(status(), calls.PASS)
        self.assertEqual(status(different=1), calls.FAIL)
        other = {"second": {"precision": "float32, cuBLAS"}}
        self.assertEqual(status(different=9, **other), calls.PASS)
        for steps in ({"largest_absolute": 3, "censored_in_one": 0},
                      {"largest_absolute": None, "censored_in_one": 0},
                      {"largest_absolute": 0, "censored_in_one": 1}, {}):
            self.assertEqual(status(escape_step=steps, **other), calls.FAIL, steps)
        checks = stages.Checks({})
        stages.check_beside_cpu(checks, "x", {}, {}, {})
        self.assertEqual(checks.status(), calls.FAIL)

    def test_slopes_are_compared_group_by_group(self):
        apart = stages.largest_slope_difference
        self.assertAlmostEqual(apart({"a": {"slope": 1}, "b": {"slope": 2}},
                                     {"a": {"slope": 1.5}, "b": {"slope": 2.25}}), 0.5)
        self.assertIsNone(apart({"a": {"slope": 1}}, {"b": {"slope": 1}}))
        self.assertIsNone(apart({"a": {"slope": None}}, {"a": {"slope": 1}}))
        self.assertIsNone(apart({}, {}))

    def test_a_sanitizer_must_report_zero_errors(self):
        for code, text, status in (
                (0, "========= ERROR SUMMARY: 0 errors", calls.PASS),
                (0, "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors)", calls.PASS),
                (86, "========= ERROR SUMMARY: 3 errors", calls.FAIL),
                (0, "========= ERROR SUMMARY: 10 errors", calls.FAIL),
                (0, "", calls.FAIL), (None, "", calls.CUT),
                (1, "========= Error: Device not supported. See", calls.UNAVAILABLE)):
            done = calls.Outcome(["x"], code, 1, text, "")
            self.assertEqual(stages.judge_sanitizer(done)[0], status, (code, text))

    def test_the_status_of_several_parts_is_the_worst(self):
        self.assertEqual(stages.worst([calls.PASS, calls.CUT, calls.UNAVAILABLE]), calls.CUT)
        self.assertEqual(stages.worst([calls.PASS, calls.PASS]), calls.PASS)
        self.assertEqual(stages.worst([calls.CUT, calls.FAIL]), calls.FAIL)
        self.assertEqual(stages.worst([]), calls.FAIL)

    def test_reports_have_unique_names(self):
        with mock.patch.object(machine.os.path, "exists", lambda path: path.endswith("-01.json")):
            self.assertTrue(machine.default_output("NVIDIA H100 80GB HBM3", "2026-01-01").endswith(
                "runs/gpu/nvidia-h100-80gb-hbm3-2026-01-01-2.json"))


if __name__ == "__main__":
    unittest.main()
