# SPDX-License-Identifier: Apache-2.0
"""tools/gpu_gate without a GPU: the report after every kind of end, the gate with fake programs and tools, and
its rehearsal with the programs on the SIMT harness.

Usage: test_gpu_gate.py TOOLS BUILD_FOLDER [unittest arguments]
"""
import argparse
import contextlib
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

from gate_case import BUILD, SMI, Scratch, TOOLS, main
from gate import bundle, calls, plan, rehearsal, report, sizes, stages  # in tools/, which gate_case loads

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


if __name__ == "__main__":
    unittest.main()
