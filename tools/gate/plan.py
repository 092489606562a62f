# SPDX-License-Identifier: Apache-2.0
"""The order of the stages, most important first, their shares of the time, and their expected
times."""
import dataclasses
import sys
import time
import typing

from .calls import FAIL, NOT_REACHED
from .stages import read_model, run_bench, run_main_job, run_ncu, run_peers, run_tests, sanitize


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of the gate. share: seconds of a gate of 9 minutes; unused time is added to the later
    stages. expected: seconds on an H100 or H200, estimated from the harness (CPU seconds of a test)
    and starts of programs, or a function of the modelled table. An optional stage may be missing."""
    name: str
    work: typing.Callable
    share: float
    expected: typing.Any
    optional: bool = False


# Of a call of the program: it starts, and loads driver and cuBLAS [estimated].
START = 1.5
# The main job, as trained on a CPU: steps of all 192 networks and of the longest; microseconds of a
# network-step and thread of a processor (runs/bench); kernels of a step on path cublas, at 2.5 us.
STEPS, LONGEST_STEPS, CPU_US, CUBLAS_STEP_US = 1470135, 46723, 28, 100


def main_job_seconds(modelled, threads):
    """On the CPU, and on each path twice; with 192 networks the longest decides."""
    us = {path: 132 * 2 * modelled.get((path, 32, 6, 32, 64, "tanh"), 0.125)
          for path in ("fused", "fused-3xtf32")}  # a network-step, two blocks a multiprocessor
    gpu = LONGEST_STEPS * (sum(us.values()) + CUBLAS_STEP_US) * 1e-6
    return STEPS * CPU_US * 1e-6 / threads + 2 * gpu + 19 * START  # with compare and fit


def bench_seconds(_modelled, _threads):
    """13 calls: a start, the ceilings, and two rows (the CPU: four) of a second, with their set-up
    and the check against the reference."""
    return 13 * (START + 1.5) + 28 * 2


STAGES = (
    Stage("gpu tests", run_tests, 90, 45),
    Stage("bench", run_bench, 110, bench_seconds),
    Stage("main job", run_main_job, 60, main_job_seconds),
    Stage("peers", run_peers, 110, 160, optional=True),
    Stage("memcheck", sanitize("memcheck"), 45, 40),
    Stage("racecheck", sanitize("racecheck"), 45, 60),
    Stage("ncu", run_ncu, 30, 25, optional=True),
    Stage("synccheck", sanitize("synccheck"), 25, 20),
    Stage("initcheck", sanitize("initcheck"), 25, 20),
)
LEAST = 3  # seconds with which a stage is begun


def choose(names):
    """The stages of these names, in their order; all of them for None."""
    return [stage for stage in STAGES if names is None or stage.name in names]


def ends(stages, minutes):
    """Seconds from the gate's begin at which each stage ends at the latest."""
    total, end, found = sum(stage.share for stage in stages), 0, []
    for stage in stages:
        end += 60 * minutes * stage.share / total
        found.append(end)
    return found


def plan_text(stages, minutes, device, threads):
    """The time budget: each stage's latest end, and what it should need."""
    modelled, _ = read_model(device)
    lines = [f"{'stage':<12}{'ends by':>9}{'should need':>13}"]
    for stage, end in zip(stages, ends(stages, minutes)):
        need = stage.expected(modelled, threads) if callable(stage.expected) else stage.expected
        lines.append(f"{stage.name:<12}{end:7.0f} s{need:11.0f} s" + "  optional" * stage.optional)
    return "\n".join(lines)


def run_stage(gate, stage, end):
    """Runs one stage, which ends at a time of the monotonic clock; whatever goes wrong in it is its
    result."""
    result = gate.report.begin(stage.name, stage.optional)
    began = time.monotonic()
    gate.stage_end = end
    if gate.left() < LEAST:
        result.update(status=NOT_REACHED, why="no time was left")
    else:
        print(f"gpu_gate: {stage.name} (at most {gate.left():.0f} s)", file=sys.stderr, flush=True)
        try:
            stage.work(gate, result)
        except Exception as error:
            result.update(status=FAIL, why=f"{type(error).__name__}: {error}")
    result["seconds"] = round(time.monotonic() - began, 1)
    gate.report.save()
