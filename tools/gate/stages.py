# SPDX-License-Identifier: Apache-2.0
"""The work of a gate: a function a stage, which fills the stage's result as it goes, so that a
report of any moment has what is known, and sets its status last."""
import glob
import json
import os
import re
import time

from multiprocessor.cards import card_of
from multiprocessor.sources import source_hash

from .calls import CUT, FAIL, PASS, ROOT, UNAVAILABLE, Outcome, call, read_text, tail
from .machine import find_tool, query_device

MODELLED = os.path.join(ROOT, "runs", "gpu", "modelled.json")  # of tools/gpu_model --table
MAIN_JOB = os.path.join(ROOT, "runs", "he-normal-slopes.yaml")

# Whole training runs have too many launches for a sanitizer; small_training replaces them there.
LONG_TESTS = ("test_engine", "test_cuda_engine", "test_optimizer")
SANITIZER_FAILED = 86
NCU_SECTIONS = ("SpeedOfLight", "Occupancy", "MemoryWorkloadAnalysis", "LaunchStats")
REFUSED = re.compile(r"^.*(Device not supported|LibraryNotLoaded|ERR_NVGPUCTRPERM|"
                     r"[Uu]nable to find injection|profiler is not supported).*$", re.M)
NO_CUBLAS = "cuBLAS cannot be loaded"

# Float engines whose sums have another order: 64 seeds did not part by more than two
# steps on the CPU between float and double (tests/cuda/test_cuda_engine.c). A ledger
# off by more than 1e-6 of what it balances is one that `run` warns of.
STEPS_APART, SLOPE_APART, LEDGER = 2, 0.002, 1e-6


class Gate:
    """What the stages share: programs, report, a scratch folder, sizes (sizes.Size), and the time
    at which the present stage ends."""

    def __init__(self, programs, report, scratch, size):
        self.programs, self.report, self.scratch, self.size = programs, report, scratch, size
        self.stage_end = time.monotonic() + 60
        self.program_help = self.escapement("--help").output
        has_paths = "--path" in self.escapement("run", "--help").output
        self.paths = ("fused", "fused-3xtf32", "cublas") if has_paths else (None,)

    def left(self):
        """Seconds that this stage still has."""
        return self.stage_end - time.monotonic()

    def call(self, command, parts=1, **environment):
        """Runs a command, the first of `parts` that the stage still has. It may take about twice its
        share of the time that is left, so that one that hangs does not take the others' too. With no
        time left it is not started."""
        if self.left() <= 0:
            return Outcome(command, None, 0, "", "no time was left")
        return call(command, self.left() * 2 / (parts + 1), {**self.programs.environment, **environment})

    def escapement(self, *arguments, **environment):
        return self.call([self.programs.program, *arguments], **environment)

    def path(self, name):
        return os.path.join(self.scratch, name)


def on_path(path):
    return ["--path", path] if path else []


def run_tests(gate, result):
    """Every test with the label gpu. A skipped one has not passed: there is a GPU."""
    result["tests"] = {}
    for n, test in enumerate(gate.programs.tests):
        done = gate.call(test["command"], len(gate.programs.tests) - n, **test["environment"])
        row = {"status": PASS if done.code == 0 else CUT if done.code is None else
               "skipped" if done.code == 77 else FAIL, "seconds": done.seconds}
        if row["status"] != PASS:
            row["output"] = tail(done.output + done.errors)
        result["tests"][test["name"]] = row
        gate.report.save()
    result["status"] = worst([FAIL if row["status"] == "skipped" else row["status"]
                              for row in result["tests"].values()])


def small_training(gate, path, name):
    """A short run of few small networks, its graphs of one and of many steps included."""
    return [gate.programs.program, "run", MAIN_JOB, "--backend", "cuda", *on_path(path), "--quiet",
            "--force", "-o", gate.path(name), "network.layers=4", "network.width=16",
            "network.inputs=5", "train.batch=33", "train.steps=20", "sweep.seeds=3",
            "sweep.groups=[{bottleneck: 2, scales: [0.5]}]", "escape.false_escapes=allow"]


def sanitized(gate):
    """What goes under the sanitizers: (name, command, environment)."""
    runs = [(f"run {path or ''}".strip(), small_training(gate, path, "small.h5"), {})
            for path in gate.paths]
    tests = [t for t in gate.programs.tests if t["name"].rpartition("_")[0] not in LONG_TESTS]
    tests.sort(key=lambda test: test["name"].startswith("test_kernels"))  # the longest last
    return runs + [(t["name"], t["command"], t["environment"]) for t in tests]


def judge_sanitizer(done):
    """The status of a sanitizer's run, and why."""
    text = done.output + done.errors
    refused = REFUSED.search(text)
    if refused:
        return UNAVAILABLE, refused.group(0).strip()
    if done.code is None:
        return CUT, "ran out of time; reported until then: " + tail(text, 5)
    if done.code != 0:
        return FAIL, f"exit status {done.code}: " + tail(text)
    if not re.search(r"(ERROR SUMMARY: 0 errors|RACECHECK SUMMARY: 0 hazards)", text):
        return FAIL, "no summary: " + tail(text)
    return PASS, None


def worst(statuses):
    """Of several parts; none at all is none that passed."""
    order = (FAIL, CUT, UNAVAILABLE, PASS)
    return next((status for status in order if status in statuses), FAIL)


def sanitize(tool):
    """A stage: one of compute-sanitizer's tools over the tests and a short training."""
    def stage(gate, result):
        sanitizer = find_tool("compute-sanitizer")
        if not sanitizer:
            result.update(status=UNAVAILABLE, why="compute-sanitizer is not installed")
            return
        result.update(runs={}, left_out=sorted(LONG_TESTS))
        runs = sanitized(gate)
        for n, (name, command, environment) in enumerate(runs):
            done = gate.call([sanitizer, "--tool", tool, "--error-exitcode", str(SANITIZER_FAILED),
                              *command], len(runs) - n,
                             **{"ESCAPEMENT_CUDA_CHUNK": "2", **environment})
            status, why = judge_sanitizer(done)
            result["runs"][name] = {"status": status, "seconds": done.seconds,
                                    **({"why": why} if why else {})}
            gate.report.save()
            if status == UNAVAILABLE:  # the others would be refused too, after seconds each
                break
        result["status"] = worst([run["status"] for run in result["runs"].values()])
        if result["status"] == UNAVAILABLE:
            result["why"] = next(run["why"] for run in result["runs"].values() if "why" in run)
    return stage


class OutOfTime(Exception):
    """The stage's time ended within a command."""


class Checks:
    """Named checks of a stage, each with what was got and what is allowed."""

    def __init__(self, result):
        self.rows = result["checks"] = []

    def at_most(self, name, got, allowed):
        """NaN and None fail."""
        good = isinstance(got, (int, float)) and got <= allowed
        self.rows.append({"check": name, "pass": good, "got": got, "allowed": allowed})

    def status(self):
        return PASS if self.rows and all(row["pass"] for row in self.rows) else FAIL


def train(gate, name, *arguments):
    """Trains the main job into `name`; its summary, or why there is none."""
    done = gate.escapement("run", MAIN_JOB, "--quiet", "--json", "--force", "-o", gate.path(name),
                           *arguments, *gate.size.training)
    if done.code is None:
        raise OutOfTime
    summary = done.json() if done.code == 0 else None
    if summary is None:
        return {"failed": f"{done.words()}: {tail(done.errors, 3)}"}
    return {key: value for key, value in summary.items() if key != "output"}


def compare(gate, first, second):
    """The JSON of `compare`; {} if it failed."""
    return gate.escapement("compare", gate.path(first), gate.path(second), "--json").json() or {}


def fit(gate, name):
    """Slopes by (bottleneck, threshold)."""
    groups = (gate.escapement("fit", gate.path(name), "--json").json() or {}).get("groups", [])
    return {f"r={g['bottleneck']} threshold={g['threshold']}":
            {key: g[key] for key in ("predicted", "slope", "stderr", "n", "censored")}
            for g in groups}


def check_summary(checks, name, summary):
    checks.at_most(f"{name}: members that did not escape",
                   summary.get("members", 1) - summary.get("escaped", 0), 0)
    checks.at_most(f"{name}: the ledger's residual", summary.get("ledger_residual_max"), LEDGER)


def largest_slope_difference(fits, other):
    """Over all groups of both; None where they have not the same."""
    if not fits or fits.keys() != other.keys():
        return None
    apart = [abs(fits[key]["slope"] - other[key]["slope"])
             if None not in (fits[key]["slope"], other[key]["slope"]) else None for key in fits]
    return None if None in apart else max(apart)


def check_beside_cpu(checks, name, got, fits, cpu_fits):
    """Equal precision promises equal bits; otherwise steps and slopes may differ slightly."""
    steps = got.get("escape_step", {})
    if got and got["first"]["precision"] == got["second"]["precision"]:
        checks.at_most(f"{name}: variables with other bits than the CPU's", got["different"], 0)
    checks.at_most(f"{name}: escape steps apart from the CPU's", steps.get("largest_absolute"),
                   STEPS_APART)
    checks.at_most(f"{name}: members censored in one alone", steps.get("censored_in_one"), 0)
    checks.at_most(f"{name}: slopes apart from the CPU's",
                   largest_slope_difference(fits, cpu_fits), SLOPE_APART)


def train_path(gate, result, checks, path):
    """The main job on a path of the GPU, compared with the CPU's, and again in few slots."""
    name, file = f"cuda {path or ''}".strip(), f"{path}.h5"
    runs, fits = result["runs"], result["fits"]
    where = ["--backend", "cuda", *on_path(path)]
    runs[name] = train(gate, file, *where)
    if NO_CUBLAS in runs[name].get("failed", ""):
        result.setdefault("left_out", {})[name] = runs[name]["failed"]
        return
    check_summary(checks, name, runs[name])
    beside = compare(gate, "cpu.h5", file)
    fits[name] = fit(gate, file)
    check_beside_cpu(checks, name, beside, fits[name], fits["cpu"])
    result["compared"][name] = beside
    gate.report.save()
    runs[f"{name}, few slots"] = train(gate, "few.h5", *where, "--slots", gate.size.few_slots)
    checks.at_most(f"{name}: variables with other bits in few slots",
                   compare(gate, file, "few.h5").get("different"), 0)
    gate.report.save()


def run_main_job(gate, result):
    """The main job on the CPU and on each path of the GPU, there also in few slots."""
    checks = Checks(result)
    result.update(runs={}, fits={}, compared={})
    try:
        result["runs"]["cpu"] = train(gate, "cpu.h5", "--backend", "cpu")
        check_summary(checks, "cpu", result["runs"]["cpu"])
        result["fits"]["cpu"] = fit(gate, "cpu.h5")
        for path in gate.paths:
            train_path(gate, result, checks, path)
        result["status"] = checks.status()
    except OutOfTime:
        result["status"] = CUT if checks.status() == PASS or not checks.rows else FAIL
        result["why"] = "ran out of time after " + (", ".join(result["runs"]) or "nothing")


def judge_bench(done):
    """A path that the GPU refuses for a shape (exit status 2), and one without cuBLAS, is left out;
    another failure fails."""
    if done.code == 2 and "--path " in done.errors or NO_CUBLAS in done.errors:
        return UNAVAILABLE
    rows = (done.json() or {}).get("rows")
    return PASS if done.code == 0 and rows else CUT if done.code is None else FAIL


SHAPE = ("path", "width", "layers", "inputs", "batch", "activation")


def read_model(device):
    """Modelled microseconds of a network-step on the device's card, by shape, and the table's commit
    and whether it is of this tree's kernels; nothing where the card or the table is missing."""
    try:
        with open(MODELLED, encoding="utf-8") as file:
            table = json.load(file)
    except (OSError, ValueError):
        return {}, {}
    card = card_of(device)
    return ({tuple(row[key] for key in SHAPE): 1e3 * row["ms"] / row["networks"]
             for row in table["rows"] if row["card"] == card and "ms" in row},
            {"commit": table.get("commit"),
             "is_of_this_tree": table.get("kernels") == source_hash(ROOT)})


def beside_model(device, rows):
    """Measured and modelled time of each row that the table has."""
    modelled, source = read_model(device)
    found = []
    for row in rows:
        shape = tuple(row.get(key) for key in SHAPE)
        if shape in modelled:
            found.append({**dict(zip(SHAPE, shape)), "measured_us": row["us_per_step"],
                          "modelled_us": modelled[shape], "modelled_commit": source["commit"],
                          "is_of_this_tree": source["is_of_this_tree"],
                          "ratio": row["us_per_step"] / modelled[shape]})
    return found


def run_bench(gate, result):
    """Throughput of each backend, on every path; a row that is wrong fails."""
    if not re.search(r"^  bench ", gate.program_help, re.M):
        result.update(status=UNAVAILABLE, why="this build has no command bench")
        return
    statuses, rows, device = [], [], gate.report.content["device"]
    result.update(benches={}, seconds_of={})
    for n, (name, options) in enumerate(gate.size.benches):
        done = gate.call([gate.programs.program, "bench", "--json", *options],
                         len(gate.size.benches) - n)
        statuses.append(judge_bench(done))
        result["benches"][name] = done.json() or {"status": statuses[-1]}
        rows += result["benches"][name].get("rows", [])
        if statuses[-1] != PASS:
            result["why"] = f"{name}: {done.words()}: {tail(done.errors, 3)}"
        result["seconds_of"][name] = done.seconds
        result["device_after"] = query_device(device["pci.bus_id"])
        result["modelled"] = beside_model(device["name"], rows)
        gate.report.save()
    measured = [status for status in statuses if status != UNAVAILABLE]
    result["status"] = worst(measured or statuses)


def ncu_command(ncu, gate, path, log):
    """One training step, every kernel of it, without change of clocks."""
    sections = [word for name in NCU_SECTIONS for word in ("--section", name)]
    return [ncu, "--clock-control", "none", "--nvtx", "--nvtx-include", "escapement@step block/",
            *sections, "--log-file", log, gate.programs.program, "run", MAIN_JOB, "--backend",
            "cuda", *on_path(path), "--quiet", "--force", "-o", gate.path("ncu.h5"),
            *gate.size.training, "train.steps=1"]


def run_ncu(gate, result):
    """One step of the main job under ncu, as text beside the report."""
    ncu = find_tool("ncu")
    if not ncu:
        result.update(status=UNAVAILABLE, why="ncu is not installed")
        return
    stem = os.path.splitext(gate.report.path)[0]
    result["logs"], statuses = {}, []
    for n, path in enumerate(gate.paths):
        log = f"{stem}-ncu{'-' + path if path else ''}.txt"
        done = gate.call(ncu_command(ncu, gate, path, log), len(gate.paths) - n,
                         ESCAPEMENT_CUDA_GRAPHS="0")
        text = read_text(log)
        refused = REFUSED.search(text + done.output + done.errors)
        kernels = text.count("Section: GPU Speed Of Light Throughput")
        statuses.append(UNAVAILABLE if refused else CUT if done.code is None else
                        PASS if done.code == 0 and kernels else FAIL)
        result["logs"][path or "cuda"] = {"file": os.path.basename(log), "kernels": kernels,
                                          "seconds": done.seconds}
        if statuses[-1] != PASS:
            result["why"] = refused.group(0).strip() if refused else (
                f"{done.words()}: {tail(text + done.errors, 5)}")
        gate.report.save()
        if refused:
            break
    result["status"] = worst(statuses)


def run_peers(gate, result):
    """tools/bench_peers, for as long as there is time; it writes after every shape. Nothing is
    installed: that takes minutes, and a GPU node may reach no registry."""
    peers, folder = os.path.join(ROOT, "tools", "bench_peers"), gate.path("peers")
    if not os.path.exists(peers):
        result.update(status=UNAVAILABLE, why="there is no tools/bench_peers")
        return
    done = gate.call([peers, "--escapement", gate.programs.program, "--device", "cuda",
                      *gate.size.peers, "--output", folder], ESCAPEMENT_PEERS_INSTALL="no")
    for path in glob.glob(os.path.join(folder, "*.json")):
        result["measured"] = json.loads(read_text(path))
    result["status"] = (CUT if done.code is None else UNAVAILABLE if done.code == 3 else
                        PASS if done.code == 0 and "measured" in result else FAIL)
    if result["status"] != PASS:
        result["why"] = f"{done.words()}: {tail(done.errors, 1)}"
