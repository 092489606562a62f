# SPDX-License-Identifier: Apache-2.0
"""tools/gpu_gate without a GPU: contents of a bundle, the report after every kind of end, criteria of the
checks, the gate with fake programs and tools, and its rehearsal with the programs on the SIMT harness; and
the command lines of tools/profile.

Usage: test_gpu_gate.py TOOLS BUILD_FOLDER [unittest arguments]
"""
import argparse
import contextlib
import dataclasses
import importlib.machinery
import importlib.util
import io
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

sys.dont_write_bytecode = True
TOOLS, BUILD = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))


def load_gate():
    loader = importlib.machinery.SourceFileLoader("gpu_gate", os.path.join(TOOLS, "gpu_gate"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_gate", loader))
    loader.exec_module(module)
    return module


main = load_gate()
from gate import bundle, calls, machine, plan, rehearsal, report, sizes, stages  # noqa: E402

SMI = """#!/bin/sh
echo "smi $*" >> "$LOG"
echo "Made Up 9, 00000000:1B:00.0, GPU-1, 580.1, 80000 MiB, 9.0, 345 MHz, 2619 MHz, 1980 MHz, 2619 MHz, 700 W, 31"
"""

# Stands for escapement: prints the file named after its command, if there is one, and has the exit
# status in COMMAND.code; hangs where there is COMMAND.hang.
PROGRAM = """#!/bin/sh
case "$*" in
  --help) echo "  bench    throughput"; exit ;;
  run*--help) echo "  --path NAME"; exit ;;
esac
while [ -e "{answers}/$1.hang" ]; do sleep 0.05; done
case "$*" in *"$(cat "{answers}/refused")"*) cat "{answers}/reason" >&2; exit 2 ;; esac
case "$*" in compare*few.h5*) cat "{answers}/same" ;; *) cat "{answers}/$1" ;; esac
"""

ANSWERS = {
    "run": {"members": 4, "escaped": 4, "ledger_residual_max": 1e-9, "output": "x"},
    "compare": {"different": 0, "first": {"precision": "float32"}, "second": {"precision": "float32"},
                "escape_step": {"largest_absolute": 0, "censored_in_one": 0}},
    "same": {"different": 0},
    "fit": {"groups": [{"bottleneck": 3, "threshold": 0.1, "predicted": -1, "slope": -1.01,
                        "stderr": 0.01, "n": 4, "censored": 0}]},
    "bench": {"rows": [{"us_per_step": 1.0}]},
    "info": {"cuda_bus_ids": ["00000000:1B:00.0", "00000000:2C:00.0"]}}

SANITIZER = """#!/bin/sh
echo "$@" >> "$LOG"
echo "========= {summary}"
exit {code}
"""

NCU = """#!/bin/sh
echo "ncu $*" >> "$LOG"
while [ "$1" != --log-file ]; do shift; done
echo "    Section: GPU Speed Of Light Throughput" > "$2"
"""


class Scratch(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name

    def path(self, *names):
        return os.path.join(self.scratch, *names)

    def write(self, name, text, mode=0o755):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def on_path(self, **scripts):
        """Puts scripts before all others on PATH."""
        for name, text in scripts.items():
            self.write(f"bin/{name.replace('_', '-')}", text)
        change = mock.patch.dict(os.environ, PATH=f"{self.path('bin')}:{os.environ['PATH']}",
                                 LOG=self.path("log"))
        change.start()
        self.addCleanup(change.stop)


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


class Whole(Scratch):
    """The gate with fake programs."""

    def setUp(self):
        super().setUp()
        self.on_path(nvidia_smi=SMI, ncu=NCU, compute_sanitizer=SANITIZER.format(
            summary="ERROR SUMMARY: 0 errors", code=0))
        self.program = self.write("escapement", PROGRAM.format(answers=self.path("answers")))
        self.tell()
        self.tests = [{"name": "good", "command": ["true"], "environment": {"A": "1"}}]
        change = mock.patch.object(main, "find_programs", lambda ask, scratch: bundle.Programs(
            self.program, self.tests, {"commit": "c0ffee"}))
        change.start()
        self.addCleanup(change.stop)

    def tell(self, **told):
        """Answers of the fake program that are not those of ANSWERS."""
        self.write("answers/refused", "nothing is refused")
        for name, answer in ANSWERS.items():
            self.write(f"answers/{name}", json.dumps({**answer, **told.get(name, {})}))

    def hang(self, command):
        """For good, but not longer than the test."""
        self.write(f"answers/{command}.hang", "")

    def run_gate(self, code, *names, minutes=1.0):
        """The report of a gate of the stages named, or of all but the peers."""
        ask = argparse.Namespace(minutes=minutes, output=self.path("out", "report.json"), rehearse=None,
                                 only=names or [s.name for s in plan.STAGES if s.name != "peers"])
        with mock.patch("sys.stderr"), mock.patch("builtins.print"):
            self.assertEqual(main.run_gate(ask, tempfile.mkdtemp(dir=self.scratch)), code)
        return self.read()

    def run_until(self, is_enough, *names):
        """The report of a failing gate with so little time that a part of it is cut off; with more if
        the machine is too busy for the other parts."""
        for minutes in (0.04, 0.4, 4):
            with mock.patch.object(plan, "LEAST", 0):
                report = self.run_gate(1, *names, minutes=minutes)
            if is_enough(report["stages"]):
                break
        return report

    def read(self):
        with open(self.path("out", "report.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_all_stages_pass(self):
        report = self.run_gate(0)
        self.assertEqual(report["verdict"], {"ok": True, "failed": [], "left_out": {}})
        self.assertEqual(report["commit"], "c0ffee")
        self.assertEqual(report["device"]["name"], "Made Up 9")
        self.assertEqual({s["status"] for s in report["stages"].values()}, {"pass"})
        self.assertEqual(set(report["stages"]["main job"]["runs"]), {
            "cpu", *(f"cuda {path}{slots}" for path in ("fused", "fused-3xtf32", "cublas")
                     for slots in ("", ", few slots"))})
        self.assertEqual({len(r) for r in report["stages"]["main job"]["runs"].values()}, {3})
        self.assertEqual(report["stages"]["bench"]["benches"]["cuda fused, N=32"]["rows"][0]["us_per_step"], 1)
        self.assertEqual(report["stages"]["ncu"]["logs"]["fused"],
                         {**report["stages"]["ncu"]["logs"]["fused"], "kernels": 1,
                          "file": "report-ncu-fused.txt"})
        self.assertTrue(os.path.exists(self.path("out", "report-ncu-cublas.txt")))

    def test_tools_receive_their_arguments(self):
        self.run_gate(0, "memcheck", "racecheck", "initcheck", "synccheck", "ncu")
        with open(self.path("log"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        for tool in ("memcheck", "racecheck", "initcheck", "synccheck"):
            calls = [line for line in lines if f"--tool {tool} --error-exitcode 86" in line]
            self.assertEqual(len(calls), 4)  # three paths and a test
            self.assertTrue(calls[3].endswith(" true"))
        ncu = [line for line in lines if line.startswith("ncu ")]
        self.assertEqual(len(ncu), 3)
        for line in ncu:
            self.assertIn(" --clock-control none --nvtx ", line)
            self.assertIn(" --nvtx-include escapement@step block/ ", line)
            self.assertIn("--section SpeedOfLight --section Occupancy", line)
            self.assertTrue(line.endswith("train.steps=1"))

    def test_failing_and_skipped_tests_fail_the_gate_and_say_why(self):
        self.tests += [{"name": "bad", "command": ["sh", "-c", "echo broken; exit 1"],
                        "environment": {}},
                       {"name": "skips", "command": ["sh", "-c", "exit 77"], "environment": {}}]
        report = self.run_gate(1, "gpu tests")
        tests = report["stages"]["gpu tests"]["tests"]
        self.assertEqual([t["status"] for t in tests.values()], ["pass", "fail", "skipped"])
        self.assertEqual(tests["bad"]["output"], "broken")
        self.tests.clear()
        self.assertEqual(self.run_gate(1, "gpu tests")["verdict"]["failed"], ["gpu tests"])

    def test_different_bits_lost_members_and_a_wrong_ledger_fail_the_main_job(self):
        for told, words in (({"compare": {"different": 3}}, "variables with other bits than the CPU's"),
                            ({"run": {"escaped": 3}}, "members that did not escape"),
                            ({"run": {"ledger_residual_max": None}}, "the ledger's residual"),
                            ({"fit": {"groups": []}}, "slopes apart from the CPU's")):
            with self.subTest(words):
                self.tell(**told)
                report = self.run_gate(1, "main job")
                failed = [row["check"] for row in report["stages"]["main job"]["checks"]
                          if not row["pass"]]
                self.assertIn("cuda fused: " + words, failed)

    def test_a_run_that_fails_is_named_with_its_reason(self):
        self.program = self.write("broken", "#!/bin/sh\necho no device >&2; exit 3\n")
        runs = self.run_gate(1, "main job")["stages"]["main job"]["runs"]
        self.assertEqual(runs["cpu"], {"failed": "broken: exit status 3: no device"})

    def test_a_missing_tool_is_reported_as_skipped_and_a_broken_one_fails(self):
        with mock.patch.object(stages, "find_tool", lambda name: None):
            report = self.run_gate(0, "memcheck", "ncu")
        self.assertEqual(report["verdict"]["left_out"], {
            "memcheck": "compute-sanitizer is not installed", "ncu": "ncu is not installed"})
        self.on_path(compute_sanitizer=SANITIZER.format(summary="Error: Device not supported",
                                                        code=1))
        report = self.run_gate(0, "memcheck")
        self.assertIn("Device not supported", report["verdict"]["left_out"]["memcheck"])
        self.on_path(compute_sanitizer=SANITIZER.format(summary="ERROR SUMMARY: 1 error", code=86))
        self.assertEqual(self.run_gate(1, "memcheck")["verdict"]["failed"], ["memcheck"])

    def test_a_stage_past_its_time_is_stopped_and_the_next_is_run(self):
        self.hang("bench")
        report = self.run_until(lambda stages: stages["ncu"]["status"] == "pass", "bench", "ncu")
        self.assertEqual(report["stages"]["bench"]["status"], "cut off", report["stages"]["bench"])
        self.assertEqual(len(report["stages"]["bench"]["seconds_of"]), len(sizes.FULL.benches))
        self.assertEqual(report["stages"]["ncu"]["status"], "pass")
        self.assertEqual(report["verdict"]["failed"], ["bench"])

    def test_a_stage_has_its_share_and_what_those_before_it_left(self):
        chosen = plan.choose(["bench", "ncu", "memcheck"])
        self.assertEqual([stage.name for stage in chosen], ["bench", "memcheck", "ncu"])
        shares = [stage.share for stage in chosen]
        ends = plan.ends(chosen, 9)
        self.assertAlmostEqual(ends[0], 540 * shares[0] / sum(shares))
        self.assertAlmostEqual(ends[-1], 540)
        self.assertAlmostEqual(sum(stage.share for stage in plan.STAGES), 540)

    def test_a_part_that_hangs_leaves_time_to_the_others(self):
        self.tests[:0] = [{"name": "hangs", "command": ["sleep", "1000000"], "environment": {}}]
        report = self.run_until(
            lambda stages: "pass" in [t["status"] for t in stages["gpu tests"].get("tests", {}).values()],
            "gpu tests")
        self.assertEqual([t["status"] for t in report["stages"]["gpu tests"]["tests"].values()],
                         ["cut off", "pass"])
        self.assertEqual(report["stages"]["gpu tests"]["status"], "cut off")

    def test_a_main_job_out_of_time_is_cut_off_and_not_wrong(self):
        self.hang("run")
        report = self.run_until(lambda stages: stages["main job"]["status"] == "cut off", "main job")
        self.assertEqual(report["stages"]["main job"]["status"], "cut off")
        self.assertIn("ran out of time", report["stages"]["main job"]["why"])

    def test_without_time_required_stages_fail_and_optional_ones_are_skipped(self):
        report = self.run_gate(1, "bench", "ncu", minutes=0.01)
        self.assertEqual(report["verdict"], {"ok": False, "failed": ["bench"],
                                             "left_out": {"ncu": "no time was left"}})

    def test_what_was_measured_is_beside_what_is_modelled(self):
        shape = {"path": "fused", "width": 32, "layers": 6, "inputs": 32, "batch": 64,
                 "activation": "tanh"}
        rows = [{**shape, "us_per_step": 2.0}, {**shape, "batch": 128, "us_per_step": 3.0}]
        model = [{**shape, "card": "h100", "ms": 1.6, "networks": 1000}, {**shape, "card": "a100"},
                 {**shape, "card": "l40s", "ms": 9, "networks": 1000}]
        table = self.write("modelled.json", json.dumps({"commit": "d0d0", "rows": model}))
        self.tell(bench={"rows": rows})
        self.on_path(nvidia_smi=SMI.replace("Made Up 9", "NVIDIA H200"))
        with mock.patch.object(stages, "MODELLED", table):
            found = self.run_gate(0, "bench")["stages"]["bench"]["modelled"]
        self.assertEqual([{k: v for k, v in row.items() if k not in shape} for row in found], [
            {"measured_us": 2.0, "modelled_us": 1.6, "modelled_commit": "d0d0",
             "is_of_this_tree": False, "ratio": 1.25}] * len(sizes.FULL.benches))
        with mock.patch.object(stages, "MODELLED", self.path("none.json")):
            self.assertEqual(self.run_gate(0, "bench")["stages"]["bench"]["modelled"], [])

    def test_the_device_described_is_cudas_device_0(self):
        self.run_gate(0, "bench")
        with open(self.path("log"), encoding="utf-8") as file:
            queries = [line for line in file if line.startswith("smi ")]
        self.assertEqual(["--id=00000000:1B:00.0" in line for line in queries],
                         [False] + [True] * (len(queries) - 1))
        self.assertGreater(len(queries), 2)

    def test_a_path_that_the_gpu_refuses_is_left_out_and_another_failure_fails(self):
        self.write("answers/refused", "fused-3xtf32 --width 64")
        self.write("answers/reason", "--path fused-3xtf32: needs more shared memory")
        benches = self.run_gate(0, "bench")["stages"]["bench"]["benches"]
        self.assertIn("rows", benches["cuda fused-3xtf32, N=32"])
        self.assertEqual(benches["cuda fused-3xtf32, N=64"], {"status": "unavailable"})
        self.write("answers/refused", "fused --width 48")
        self.write("answers/reason", "no CUDA device can be used")
        self.assertEqual(self.run_gate(1, "bench")["verdict"]["failed"], ["bench"])

    def test_a_build_takes_none_of_the_gates_time(self):
        now = [0.0]

        def build(ask, scratch):
            now[0] += 1000
            return bundle.Programs(self.program, self.tests, {"commit": "c0ffee"})

        def stage(gate, result):
            result.update(status=calls.PASS, left=gate.left())

        ask = argparse.Namespace(minutes=100.0, output=self.path("out", "report.json"), rehearse=None,
                                 only=None)
        with mock.patch.object(plan, "STAGES", [plan.Stage("x", stage, 1, 1)]), \
                mock.patch.object(main, "find_programs", build), mock.patch("builtins.print"), \
                mock.patch.object(main.time, "monotonic", lambda: now[0]):
            self.assertEqual(main.run_gate(ask, self.path("scratch")), 0)
        self.assertEqual(self.read()["stages"]["x"]["left"], 6000)

    def test_the_model_is_printed(self):
        row = {"path": "fused", "width": 32, "batch": 64, "measured_us": 2.0, "modelled_us": 1.6,
               "modelled_commit": "d0d0", "is_of_this_tree": True, "ratio": 1.25}
        made = mock.Mock(path="x", content={
            "stages": {"bench": {"status": "pass", "modelled": [row]}},
            "verdict": {"ok": True, "failed": []}})
        with contextlib.redirect_stdout(io.StringIO()) as out:
            report.print_table(made)
        self.assertIn("fused N=32 B=64: 2.000 us a network-step, modelled 1.600 at d0d0, ratio 1.25",
                      out.getvalue())

    def test_the_committed_table_can_be_read(self):
        modelled, source = stages.read_model("NVIDIA H100 80GB HBM3")
        self.assertTrue(source["commit"])
        self.assertGreater(modelled["fused", 32, 6, 32, 512, "tanh"],
                           modelled["fused", 32, 6, 32, 64, "tanh"])
        self.assertEqual(stages.read_model("Made Up 9")[0], {})

    def test_peers_keep_their_results_when_stopped(self):
        script = """#!/bin/sh
for folder; do :; done
mkdir "$folder" && echo "{\\"called\\": \\"$*\\"}" > "$folder/peers-x.json"
"""
        with mock.patch.object(stages, "ROOT", self.scratch), mock.patch.object(plan, "LEAST", 0):
            for end, code, status in (("", 0, "pass"), ("exit 3", 0, "unavailable"),
                                      ("exit 1", 1, "fail"), ("sleep 1000000", 0, "cut off")):
                self.write("tools/bench_peers", script + end)
                for limit in (1.5, 12, 96) if "sleep" in end else (600,):  # under load it begins late
                    found = self.run_gate(code, "peers", minutes=limit / 60)["stages"]["peers"]
                    if found.get("measured"):
                        break
                self.assertEqual(found["status"], status)
                self.assertIn(f"--escapement {self.program} --device cuda",
                              found["measured"]["called"])
            self.write("tools/bench_peers", "#!/bin/sh\n")
            self.run_gate(1, "peers")

    def test_an_exception_in_a_stage_is_a_failure_of_that_stage(self):
        stage = plan.Stage("crash", lambda gate, result: result["none"], 10, 1)
        with mock.patch.object(plan, "STAGES", (stage,)):
            self.assertIn("KeyError", self.run_gate(1, "crash")["stages"]["crash"]["why"])

    def test_a_killed_gate_leaves_a_report(self):
        self.hang("bench")
        child = os.fork()
        if child == 0:
            os.setpgrp()
            self.run_gate(0, "gpu tests", "bench", "memcheck")
            os._exit(0)
        try:
            self.wait_for_stage("bench")
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.remove(self.path("answers/bench.hang"))
        report = self.read()
        self.assertEqual({name: s["status"] for name, s in report["stages"].items()}, {
            "gpu tests": "pass", "bench": "cut off", "memcheck": "not reached"})
        self.assertEqual(report["verdict"]["failed"], ["bench", "memcheck"])
        self.assertFalse(report["verdict"]["ok"])

    def wait_for_stage(self, name):
        while not os.path.exists(self.path("out", "report.json")) or \
                self.read()["stages"][name]["status"] != "cut off":
            time.sleep(0.05)


class Rehearsal(Scratch):
    """The gate's real work on small shapes, with the programs on the SIMT harness: without the CPU's
    bench and with the shortest test, as both take seconds of a processor."""

    def test_every_stage_is_run_by_the_programs_on_the_harness(self):
        for program in ("escapement_simt", "test_cuda_machine_simt"):
            if not os.path.exists(os.path.join(BUILD, "tests", "cuda", program)):
                self.skipTest(f"{program} is not built")
        ask = argparse.Namespace(minutes=60.0, output=self.path("report.json"), rehearse=BUILD, only=None)
        benches = [row for row in sizes.SMALL.benches if row[0] != "cpu"]
        with mock.patch.object(rehearsal, "TESTS", ("test_cuda_machine",)), \
                mock.patch.object(sizes, "SMALL", dataclasses.replace(sizes.SMALL, benches=benches)), \
                mock.patch.dict(os.environ, ESCAPEMENT_PEERS_PYTHON=self.path("none")), \
                mock.patch("sys.stderr"), mock.patch("builtins.print"):
            main.run_gate(ask, self.path("scratch"))
        with open(self.path("report.json"), encoding="utf-8") as file:
            found = json.load(file)
        self.assertTrue(found["rehearsal"])
        self.assertEqual({name: stage["status"] for name, stage in found["stages"].items()},
                         {stage.name: "unavailable" if stage.name == "peers" else "pass"
                          for stage in plan.STAGES}, found["stages"])
        main_job = found["stages"]["main job"]
        self.assertEqual(main_job["compared"]["cuda fused"]["different"], 0)
        self.assertEqual(len(main_job["runs"]), 7)
        benches = found["stages"]["bench"]["benches"]
        self.assertEqual([row["path"] for bench in benches.values() for row in bench["rows"]],
                         ["fused", "fused-3xtf32", "cublas"])
        self.assertTrue(os.path.getsize(self.path("report-ncu-cublas.txt")))

    def test_what_is_not_built_is_named(self):
        with self.assertRaisesRegex(calls.Refusal, "has no test with the label simt"):
            rehearsal.open_harness(self.scratch)


class CommandLine(Scratch):
    def call(self, *arguments):
        return subprocess.run([sys.executable, os.path.join(TOOLS, "gpu_gate"), *arguments],
                              capture_output=True, text=True, check=False,
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})

    def test_without_a_gpu_nothing_is_run(self):
        for smi in ("echo 'NVIDIA-SMI has failed'; exit 9", "exit 0"):
            self.on_path(nvidia_smi=f"#!/bin/sh\n{smi}\n")
            done = self.call("-o", self.path("out.json"))
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertRegex(done.stderr, r"\Agpu_gate: no GPU: [^\n]+\n\Z")
            self.assertFalse(os.path.exists(self.path("out.json")))

    def test_a_dry_run_prints_the_budget_of_each_stage(self):
        lines = self.call("--dry-run", "--only", "ncu,bench", "--minutes", "2").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["stage", "bench", "ncu"])
        self.assertIn(" 120 s", lines[2])

    def test_an_invalid_bundle_is_refused(self):
        self.on_path(nvidia_smi=SMI)
        done = self.call("--bundle-from", self.path("none"))
        self.assertEqual(done.returncode, 3)
        self.assertIn("is no bundle", done.stderr)

    def test_invalid_arguments(self):
        for arguments in (("--minutes", "0"), ("--minutes", "nan"), ("--nothing",), ("x",),
                          ("--bundle", self.scratch, "-o", "x.json"), ("--only", "benches")):
            self.assertEqual(self.call(*arguments).returncode, 2, arguments)


class Profile(Scratch):
    """tools/profile with fake profilers."""

    def setUp(self):
        super().setUp()
        echo = '#!/bin/sh\nprintf "%s|" "$ESCAPEMENT_CUDA_GRAPHS" "$@"\n'
        self.on_path(nsys=echo, ncu=echo)
        change = mock.patch.dict(os.environ, ESCAPEMENT=self.write("escapement", "#!/bin/sh\n"))
        change.start()
        self.addCleanup(change.stop)

    def call(self, *arguments, code=0):
        tool = os.path.join(TOOLS, "profile")
        if code == 0:
            arguments = ("--dry-run", *arguments)
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def words(self, *arguments):
        """Words of the printed command line, as a shell reads them, and as the profiler receives
        them (its ESCAPEMENT_CUDA_GRAPHS first)."""
        line = self.call(*arguments)
        got = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
        return got.split("|")[:-1]

    def test_nsys_captures_rounds_of_our_domain_by_plain_strings(self):
        graphs, *words = self.words("-c", "2", "nsys", "a/b.yaml", "--slots", "8", "train.steps=9")
        self.assertEqual(graphs, "")
        self.assertEqual(words[0], "profile")
        for word in ("--capture-range=nvtx", "--nvtx-capture=round@escapement",
                     "--env-var=NSYS_NVTX_PROFILER_REGISTER_ONLY=0", "--cuda-graph-trace=node",
                     "--capture-range-end=repeat:2", "--trace=cuda,nvtx,cublas", "--kill=none"):
            self.assertIn(word, words)
        self.assertEqual(words[words.index("run"):][:4], ["run", "a/b.yaml", "--backend", "cuda"])
        self.assertEqual(words[-3:], ["--slots", "8", "train.steps=9"])

    def test_ncu_profiles_a_range_without_graphs_and_leaves_the_clocks(self):
        for name in ("forward", "backward", "update", "step block"):
            graphs, *words = self.words("ncu", name, "b.yaml", "sweep.seeds=64")
            self.assertEqual(graphs, "0")
            self.assertEqual(words[:2], ["--clock-control", "none"])
            self.assertEqual(words[words.index("--nvtx-include") + 1], f"escapement@{name}/")
            self.assertEqual("--path" in words, name != "step block")
            self.assertEqual(words[-1], "sweep.seeds=64")

    def test_ranges_are_those_that_the_program_pushes(self):
        with open(os.path.join(TOOLS, "profile"), encoding="utf-8") as file:
            text = file.read()
        root = os.path.dirname(TOOLS)
        pushed = subprocess.run(
            ["grep", "-rhoE", 'esc_trace_begin\\("[^"]+"', os.path.join(root, "host")],
            capture_output=True, text=True, check=True).stdout
        ranges = {line.split('"')[1] for line in pushed.splitlines()}
        self.assertEqual(ranges, {"engine state", "round", "step block", "forward", "backward", "update",
                                  "read-back", "checkpoint", "store"})
        for name in ranges:
            self.assertIn(name, text)

    def test_invalid_arguments_are_refused_in_one_line(self):
        for arguments in ((), ("nsys",), ("ncu", "forward"), ("ncu", "store", "b.yaml"),
                          ("ncu", "nothing", "b.yaml"), ("-c", "0", "nsys", "b.yaml"), ("-c",),
                          ("other", "b.yaml"), ("-x", "nsys", "b.yaml"),
                          ("ncu", "forward", "b.yaml", "--path", "fused")):
            with self.subTest(arguments):
                self.assertRegex(self.call(*arguments, code=2), r"\Aprofile: [^\n]+\n\Z")


if __name__ == "__main__":
    unittest.main()
