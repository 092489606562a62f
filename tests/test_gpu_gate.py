# SPDX-License-Identifier: Apache-2.0
"""tools/gpu_gate without a GPU: contents of a bundle, the report after every kind of end, criteria of the
checks, and the gate with fake programs and tools; and the command lines of tools/profile.

Usage: test_gpu_gate.py TOOLS [unittest arguments]
"""
import argparse
import contextlib
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
TOOLS = os.path.abspath(sys.argv.pop(1))
HERE = os.path.abspath(__file__)


def load_gate():
    loader = importlib.machinery.SourceFileLoader("gpu_gate", os.path.join(TOOLS, "gpu_gate"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_gate", loader))
    loader.exec_module(module)
    return module


gate = load_gate()
bundle = gate.gpu_bundle

SMI = """#!/bin/sh
echo "smi $*" >> "$LOG"
echo "Made Up 9, 00000000:1B:00.0, GPU-1, 580.1, 80000 MiB, 9.0, 345 MHz, 2619 MHz, 1980 MHz, 2619 MHz, 700 W, 31"
"""

# Stands for escapement: answers as told by $FAKE, a JSON object.
PROGRAM = """#!/bin/sh
exec {python} {here} {tools} --fake "$@"
"""

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


def fake(arguments):
    """The fake program."""
    told = json.loads(os.environ.get("FAKE", "{}"))
    command = arguments[0]
    if "--help" in arguments:
        print("  bench    throughput" if command == "--help" else "  --path NAME" * (command == "run"))
        return 0
    if command in told.get("hang", []):
        while os.path.exists(told["scratch"]):  # for good, but not longer than the test
            time.sleep(0.05)
    slots = "few.h5" in " ".join(arguments)
    answers = {
        "run": {"members": 4, "escaped": 4, "ledger_residual_max": 1e-9, "output": "x"},
        "compare": {"different": 0 if slots else told.get("different", 0),
                    "first": {"precision": "float32"}, "second": {"precision": "float32"},
                    "escape_step": {"largest_absolute": 0, "censored_in_one": 0}},
        "fit": {"groups": [{"bottleneck": 3, "threshold": 0.1, "predicted": -1, "slope": -1.01,
                            "stderr": 0.01, "n": 4, "censored": 0}]},
        "bench": {"rows": [{"us_per_step": 1.0}]},
        "info": {"cuda_bus_ids": ["00000000:1B:00.0", "00000000:2C:00.0"]}}
    if command == "bench" and told.get("refuses", "none") in " ".join(arguments):
        return 2
    print(json.dumps({**answers[command], **told.get(command, {})}))
    return 0


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
        with self.assertRaisesRegex(bundle.BundleError, r"program: libnone\.so\.1 is not on"):
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
        with self.assertRaisesRegex(bundle.BundleError, "libtwo.so from .*, not from the bundle"):
            bundle.copy_all(self.path("bundle"), [self.program("-Wl,-rpath," + self.scratch)])

    def test_the_bundled_files_are_the_ones_run(self):
        self.make()
        programs = bundle.open_bundle(self.path("bundle"))
        self.assertEqual(programs.tests[0]["command"], [self.path("bundle/bin/escapement"), "-x"])
        self.assertEqual(programs.facts["left_out"], ["left"])
        with open(self.path("bundle/bin/escapement"), "ab") as file:
            file.write(b"\0")
        with self.assertRaisesRegex(bundle.BundleError, "bin/escapement: is not the file"):
            bundle.open_bundle(self.path("bundle"))

    def test_a_file_that_the_bundle_does_not_name_is_not_deleted_with_it(self):
        self.make()
        with open(self.path("bundle/lib/notes.txt"), "w") as file:
            file.write("mine")
        with self.assertRaisesRegex(bundle.BundleError, r"lib/notes\.txt"):
            bundle.make(self.path("bundle"))
        self.assertTrue(os.path.exists(self.path("bundle/lib/notes.txt")))

    def test_a_folder_without_a_bundle_is_not_replaced(self):
        self.write("precious", "x")
        with self.assertRaisesRegex(bundle.BundleError, "holds something else"):
            bundle.make(self.scratch)
        with self.assertRaisesRegex(bundle.BundleError, "is no bundle"):
            bundle.open_bundle(self.scratch)
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
        tests = bundle.gpu_tests(listing)
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
        with self.assertRaisesRegex(bundle.BundleError, "libcublas.so.13 not found"):
            with mock.patch.object(bundle, "toolkit_folders", lambda: [self.scratch]):
                bundle.find_toolkit(programs)
        self.write("toolkit/libcublas.so.13", "")
        with mock.patch.object(bundle, "toolkit_folders", lambda: [self.path("toolkit")]):
            bundle.find_toolkit(programs)
        self.assertEqual(programs.environment["LD_LIBRARY_PATH"],
                         "/first:" + self.path("toolkit"))


class Calls(Scratch):
    def test_a_command_past_its_limit_ends_with_its_children_and_keeps_its_output(self):
        script = self.write("slow", "#!/bin/sh\nsleep 1000000 &\necho $!\necho why >&2\nwait\n")
        for limit in (0.5, 4, 32, 256):  # on a loaded machine the script may not have begun
            done = gate.call([script], limit)
            if done.errors:
                break
        self.assertIsNone(done.code)
        self.assertEqual(done.errors, "why\n")
        child = int(done.output)
        while running(child):
            time.sleep(0.05)

    def test_exit_status_json_and_missing_programs(self):
        done = gate.call(["sh", "-c", "echo '{\"a\": 1}'; exit 7"], 10)
        self.assertEqual((done.code, done.json()), (7, {"a": 1}))
        self.assertIsNone(gate.call(["echo", "no json"], 10).json())
        self.assertEqual(gate.call([self.path("none")], 10).code, 127)


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
            checks = gate.Checks(result)
            checks.at_most("steps", got, 2)
            self.assertEqual(checks.status() == gate.PASS, good, got)
        self.assertEqual(gate.Checks({}).status(), gate.FAIL)

    def test_equal_precision_promises_equal_bits(self):
        def status(**changes):
            checks = gate.Checks({})
            got = {"first": {"precision": "float32"}, "second": {"precision": "float32"},
                   "different": 0, "escape_step": {"largest_absolute": 0, "censored_in_one": 0},
                   **changes}
            fits = {"r=3": {"slope": -1.0}}
            gate.check_beside_cpu(checks, "x", got, fits, {"r=3": {"slope": -1.001}})
            return checks.status()

        self.assertEqual(status(), gate.PASS)
        self.assertEqual(status(different=1), gate.FAIL)
        other = {"second": {"precision": "float32, cuBLAS"}}
        self.assertEqual(status(different=9, **other), gate.PASS)
        for steps in ({"largest_absolute": 3, "censored_in_one": 0},
                      {"largest_absolute": None, "censored_in_one": 0},
                      {"largest_absolute": 0, "censored_in_one": 1}, {}):
            self.assertEqual(status(escape_step=steps, **other), gate.FAIL, steps)
        checks = gate.Checks({})
        gate.check_beside_cpu(checks, "x", {}, {}, {})
        self.assertEqual(checks.status(), gate.FAIL)

    def test_slopes_are_compared_group_by_group(self):
        apart = gate.largest_slope_difference
        self.assertAlmostEqual(apart({"a": {"slope": 1}, "b": {"slope": 2}},
                                     {"a": {"slope": 1.5}, "b": {"slope": 2.25}}), 0.5)
        self.assertIsNone(apart({"a": {"slope": 1}}, {"b": {"slope": 1}}))
        self.assertIsNone(apart({"a": {"slope": None}}, {"a": {"slope": 1}}))
        self.assertIsNone(apart({}, {}))

    def test_a_sanitizer_must_report_zero_errors(self):
        for code, text, status in (
                (0, "========= ERROR SUMMARY: 0 errors", gate.PASS),
                (0, "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors)", gate.PASS),
                (86, "========= ERROR SUMMARY: 3 errors", gate.FAIL),
                (0, "========= ERROR SUMMARY: 10 errors", gate.FAIL),
                (0, "", gate.FAIL), (None, "", gate.CUT),
                (1, "========= Error: Device not supported. See", gate.UNAVAILABLE)):
            done = gate.Outcome(["x"], code, 1, text, "")
            self.assertEqual(gate.judge_sanitizer(done)[0], status, (code, text))

    def test_the_status_of_several_parts_is_the_worst(self):
        self.assertEqual(gate.worst([gate.PASS, gate.CUT, gate.UNAVAILABLE]), gate.CUT)
        self.assertEqual(gate.worst([gate.PASS, gate.PASS]), gate.PASS)
        self.assertEqual(gate.worst([gate.CUT, gate.FAIL]), gate.FAIL)
        self.assertEqual(gate.worst([]), gate.FAIL)

    def test_reports_have_unique_names(self):
        with mock.patch.object(gate.os.path, "exists", lambda path: path.endswith("-01.json")):
            self.assertTrue(gate.default_output("NVIDIA H100 80GB HBM3", "2026-01-01").endswith(
                "runs/gpu/nvidia-h100-80gb-hbm3-2026-01-01-2.json"))


class Whole(Scratch):
    """The gate with fake programs."""

    def setUp(self):
        super().setUp()
        self.on_path(nvidia_smi=SMI, ncu=NCU, compute_sanitizer=SANITIZER.format(
            summary="ERROR SUMMARY: 0 errors", code=0))
        self.program = self.write("escapement", PROGRAM.format(
            python=sys.executable, here=HERE, tools=TOOLS))
        self.tests = [{"name": "good", "command": ["true"], "environment": {"A": "1"}}]
        change = mock.patch.object(gate, "find_programs", lambda ask: bundle.Programs(
            self.program, self.tests, {"commit": "c0ffee"}))
        change.start()
        self.addCleanup(change.stop)

    def tell(self, **told):
        change = mock.patch.dict(os.environ, FAKE=json.dumps({"scratch": self.scratch, **told}))
        change.start()
        self.addCleanup(change.stop)

    def run_gate(self, code, *stages, minutes=1.0):
        """The report of a gate of the stages named, or of all but the peers."""
        chosen = [s for s in gate.STAGES if s.name in stages or not stages and s.name != "peers"]
        ask = argparse.Namespace(minutes=minutes, output=self.path("out", "report.json"))
        with mock.patch.object(gate, "STAGES", chosen), mock.patch("sys.stderr"), \
                mock.patch("builtins.print"):
            self.assertEqual(gate.run_gate(ask), code)
        return self.read()

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
                     for slots in ("", ", 64 slots"))})
        self.assertEqual({len(r) for r in report["stages"]["main job"]["runs"].values()}, {3})
        self.assertEqual(report["stages"]["bench"]["benches"]["cuda"]["rows"][0]["us_per_step"], 1)
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
        for told, words in (({"different": 3}, "variables with other bits than the CPU's"),
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
        with mock.patch.object(gate, "find_tool", lambda name: None):
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
        self.tell(hang=["bench"])
        bench = next(stage for stage in gate.STAGES if stage.name == "bench")
        with mock.patch.object(bench, "limit", 1.5), mock.patch.object(bench, "least", 0):
            report = self.run_gate(1, "bench", "ncu")
        self.assertEqual(report["stages"]["bench"]["status"], "cut off", report["stages"]["bench"])
        self.assertEqual(report["stages"]["ncu"]["status"], "pass")
        self.assertEqual(report["verdict"]["failed"], ["bench"])

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
        with mock.patch.object(gate, "MODELLED", table):
            found = self.run_gate(0, "bench")["stages"]["bench"]["modelled"]
        self.assertEqual([{k: v for k, v in row.items() if k not in shape} for row in found], [
            {"measured_us": 2.0, "modelled_us": 1.6, "modelled_commit": "d0d0", "ratio": 1.25}] *
            len(gate.BENCHES))
        with mock.patch.object(gate, "MODELLED", self.path("none.json")):
            self.assertEqual(self.run_gate(0, "bench")["stages"]["bench"]["modelled"], [])

    def test_the_device_described_is_cudas_device_0(self):
        self.run_gate(0, "bench")
        with open(self.path("log"), encoding="utf-8") as file:
            queries = [line for line in file if line.startswith("smi ")]
        self.assertEqual(["--id=00000000:1B:00.0" in line for line in queries],
                         [False] + [True] * (len(queries) - 1))
        self.assertGreater(len(queries), 2)

    def test_a_path_that_the_gpu_refuses_is_left_out_and_another_failure_fails(self):
        self.tell(refuses="fused-3xtf32 --width 64")
        benches = self.run_gate(0, "bench")["stages"]["bench"]["benches"]
        self.assertIn("rows", benches["cuda fused-3xtf32, N=32"])
        self.assertEqual(benches["cuda fused-3xtf32, N=64"], {"status": "unavailable"})
        self.tell(refuses="--backend cpu")
        self.assertEqual(self.run_gate(1, "bench")["verdict"]["failed"], ["bench"])

    def test_a_build_takes_none_of_the_gates_time(self):
        now = [0.0]

        def build(ask):
            now[0] += 1000
            return bundle.Programs(self.program, self.tests, {"commit": "c0ffee"})

        def stage(gate_run, result):
            result.update(status=gate.PASS, left=gate_run.deadline - now[0])

        ask = argparse.Namespace(minutes=100.0, output=self.path("out", "report.json"))
        with mock.patch.object(gate, "STAGES", [gate.Stage("x", stage, 1e9)]), \
                mock.patch.object(gate, "find_programs", build), mock.patch("builtins.print"), \
                mock.patch.object(gate.time, "monotonic", lambda: now[0]):
            self.assertEqual(gate.run_gate(ask), 0)
        self.assertEqual(self.read()["stages"]["x"]["left"], 6000)

    def test_the_model_is_printed(self):
        row = {"path": "fused", "width": 32, "batch": 64, "measured_us": 2.0, "modelled_us": 1.6,
               "modelled_commit": "d0d0", "ratio": 1.25}
        report = mock.Mock(path="x", content={
            "stages": {"bench": {"status": "pass", "modelled": [row]}},
            "verdict": {"ok": True, "failed": []}})
        with contextlib.redirect_stdout(io.StringIO()) as out:
            gate.print_table(report)
        self.assertIn("fused N=32 B=64: 2.000 us a network-step, modelled 1.600 at d0d0, ratio 1.25",
                      out.getvalue())

    def test_the_committed_table_can_be_read(self):
        modelled, commit = gate.read_model("NVIDIA H100 80GB HBM3")
        self.assertTrue(commit)
        self.assertGreater(modelled["fused", 32, 6, 32, 512, "tanh"],
                           modelled["fused", 32, 6, 32, 64, "tanh"])
        self.assertEqual(gate.read_model("Made Up 9")[0], {})

    def test_peers_keep_their_results_when_stopped(self):
        script = """#!/bin/sh
for folder; do :; done
mkdir "$folder" && echo "{\\"called\\": \\"$*\\"}" > "$folder/peers-x.json"
"""
        peers = next(stage for stage in gate.STAGES if stage.name == "peers")
        with mock.patch.object(gate, "ROOT", self.scratch), mock.patch.object(peers, "least", 0):
            for end, code, status in (("", 0, "pass"), ("exit 3", 0, "unavailable"),
                                      ("exit 1", 1, "fail"), ("sleep 1000000", 0, "cut off")):
                self.write("tools/bench_peers", script + end)
                for limit in (1.5, 12, 96) if "sleep" in end else (600,):  # under load it begins late
                    with mock.patch.object(peers, "limit", limit):
                        report = self.run_gate(code, "peers")["stages"]["peers"]
                    if report.get("measured"):
                        break
                self.assertEqual(report["status"], status)
                self.assertIn(f"--escapement {self.program} --device cuda",
                              report["measured"]["called"])
            self.write("tools/bench_peers", "#!/bin/sh\n")
            self.run_gate(1, "peers")

    def test_an_exception_in_a_stage_is_a_failure_of_that_stage(self):
        stage = gate.Stage("crash", lambda gate_, result: result["none"], 10)
        with mock.patch.object(gate, "STAGES", (stage,)):
            self.assertIn("KeyError", self.run_gate(1, "crash")["stages"]["crash"]["why"])

    def test_a_killed_gate_leaves_a_report(self):
        self.tell(hang=["bench"])
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
        report = self.read()
        self.assertEqual({name: s["status"] for name, s in report["stages"].items()}, {
            "gpu tests": "pass", "bench": "cut off", "memcheck": "not reached"})
        self.assertEqual(report["verdict"]["failed"], ["bench", "memcheck"])
        self.assertFalse(report["verdict"]["ok"])

    def wait_for_stage(self, name):
        while not os.path.exists(self.path("out", "report.json")) or \
                self.read()["stages"][name]["status"] != "cut off":
            time.sleep(0.05)


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

    def test_an_invalid_bundle_is_refused(self):
        self.on_path(nvidia_smi=SMI)
        done = self.call("--bundle-from", self.path("none"))
        self.assertEqual(done.returncode, 3)
        self.assertIn("is no bundle", done.stderr)

    def test_invalid_arguments(self):
        for arguments in (("--minutes", "0"), ("--minutes", "nan"), ("--nothing",), ("x",),
                          ("--bundle", self.scratch, "-o", "x.json")):
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

    def test_nsys_captures_step_blocks_of_our_domain_by_plain_strings(self):
        graphs, *words = self.words("-c", "2", "nsys", "a/b.yaml", "--slots", "8", "train.steps=9")
        self.assertEqual(graphs, "")
        self.assertEqual(words[0], "profile")
        for word in ("--capture-range=nvtx", "--nvtx-capture=step block@escapement",
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
        self.assertEqual(ranges, {"engine state", "step block", "forward", "backward", "update",
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
    if sys.argv[1:2] == ["--fake"]:
        sys.exit(fake(sys.argv[2:]))
    unittest.main()
