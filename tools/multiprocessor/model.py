# SPDX-License-Identifier: Apache-2.0
"""The modelled cost of a training step, of a launch of two."""
import dataclasses
import os
import re

from . import cards
from .cubin import NO_SCOREBOARD, CubinError, find_nvdisasm
from .launch import (Kernels, compile_arguments, compile_cubin, read_arguments, resident_blocks,
                     traces)
from .replay import IDEALS, PIPES, REASONS, Multiprocessor, intervals, pipe_on
from .sources import source_hash
from .warp import step_bounds

DIVISIONS = ("esc_div_f32", "esc_div_normal_f32")
WARM_UP = 8  # the eighth part of a step is replayed before the one that is counted


@dataclasses.dataclass
class Build:
    """Source of the kernels: compiled in `folder`, or a given cubin. expected: the program
    expected.cc, if it has been built."""
    root: str
    bin: str = None
    cubin: str = None
    expected: str = None

    def __post_init__(self):
        self.kernels, self.runs = {}, {}
        self.folder = os.path.join(self.root, "build", "gpu_model", source_hash(self.root))
        os.makedirs(self.folder, exist_ok=True)
        self.nvdisasm = find_nvdisasm(self.bin)

    def kernels_of(self, path, architecture):
        key = (path, architecture)
        if key not in self.kernels:
            cubin = self.cubin or compile_cubin(self.root, path, architecture, self.folder)
            self.kernels[key] = Kernels(cubin, self.nvdisasm, self.root)
        return self.kernels[key]

    def run_of(self, path, architecture, shape):
        """The traces of the latest shape are kept: other cards may have the same machine code."""
        key = (path, architecture, shape)
        if key not in self.runs:
            self.runs = {key: Run(self.kernels_of(path, architecture),
                                  compile_arguments(self.root, self.folder), shape, path)}
        return self.runs[key]


class Run:
    """The instructions that the warps of a block execute in a launch of two steps."""

    def __init__(self, kernels, program, shape, path):
        arguments = read_arguments(program, shape, path, 2)
        self.kernel = kernels.find(shape, arguments.activation)
        self.threads = kernels.elf.threads(self.kernel)
        self.registers = kernels.elf.registers(self.kernel)
        self.shared_bytes = arguments.shared_bytes
        self.program = kernels.program(self.kernel, arguments, self.threads)
        self.phases, self.steps_made = kernels.phases, None

    def steps(self):
        """Of each warp, the trace of the first step, twice, without prologue and epilogue, and the
        position of every barrier in it."""
        if self.steps_made is None:
            self.steps_made, order = [], None
            for trace in traces(self.program, self.threads):
                begin, length = step_bounds(trace)
                step = trace[begin:begin + length]
                places = self.barriers(step)
                order = order or [step[at][0] for at in places]
                step = rotated(step, places, order)
                self.steps_made.append((2 * step, self.barriers(step)))
        return self.steps_made

    def barriers(self, trace):
        """Positions in a trace of those that the warp comes to."""
        code = self.program.code
        return [at for at, (entry, extra) in enumerate(trace)
                if extra and code[entry % len(code)].base == "BAR"]

    def blocks(self, count):
        """The traces of all warps of `count` blocks: (trace, position from which on it is counted).
        Each is a step and, before it, a part of one to warm up, from a barrier on, the same one in
        all warps of a block. Blocks are at different points of a step, evenly spaced."""
        made = []
        for number in range(count):
            block = []
            for steps, places in self.steps():
                warm_up = len(places) // WARM_UP
                first = number * (len(places) - warm_up) // count
                begin = places[first] + 1
                start = places[first + warm_up] + 1
                block.append((steps[begin:start + len(steps) // 2], start - begin))
            made.append(block)
        return made

    def is_dropped(self, ideal):
        """Of each instruction, whether a cost that vanishes takes it out of the traces."""
        return ["div" in ideal and self.is_division(i) or "int" in ideal and is_integer(i)
                for i in self.program.code]

    def is_division(self, instruction):
        """Whether it was inlined from a division."""
        return any(name in DIVISIONS for name in self.phases.functions(instruction.stack))

    def entries(self):
        return len(self.program.code) * (1 + len(self.program.phase_names()))


def is_integer(instruction):
    """Integer arithmetic, a comparison of integers or a move, that no scoreboard orders."""
    i = instruction
    return i.pipe in ("alu", "imad", "uniform") and not i.base.startswith("F") and \
        i.wait == 0 and i.write == NO_SCOREBOARD and i.read == NO_SCOREBOARD


def rotated(step, places, order):
    """A step, which is repeated, so that its barriers come in the same order as another warp's:
    where it was found to begin may lie on either side of a barrier."""
    for n, cut in enumerate([0, *(at + 1 for at in places)]):
        if [step[at][0] for at in places[n:] + places[:n]] == order:
            return step[cut:] + step[:cut]
    raise CubinError("the warps of a block come to different barriers")


def model(build, shape, path, card_name, ideal=(), networks=1024, blocks=None):
    """A dictionary for --json. `fits` is false where the card cannot hold a block."""
    card = cards.CARDS[card_name]
    run = build.run_of(path, card.architecture, shape)
    resident = resident_blocks(card, run.threads, run.registers, run.shared_bytes)
    result = {"modelled": True, "path": path, "card": card_name, **dataclasses.asdict(shape),
              "ideal": sorted(ideal), "kernel": run.kernel, "threads": run.threads,
              "registers": run.registers, "shared_bytes": run.shared_bytes,
              "blocks": blocks or resident, "networks": networks, "fits": resident > 0}
    if not result["blocks"]:
        return result
    step = replay(run, card, ideal, result["blocks"])
    result.update(summary(step, card, shape, result["blocks"], networks, run.program.code))
    result["phases"] = by_phase(step, run.program, result["blocks"])
    result["lines"] = by_line(step, run.program, result["blocks"])
    result["unknown_branches"] = unknown_branches(run.program)
    return result


def binding(build, shape, path, card_name, networks=1024, blocks=None):
    """Rows of `model`: of all costs, then without each of them, one at a time."""
    return [model(build, shape, path, card_name, ideal, networks, blocks)
            for ideal in ((), *((name,) for name in IDEALS))]


def kernel_row(build, shape, path, card_name):
    """What ptxas made of a kernel, and how many of its blocks a card's multiprocessor holds."""
    card = cards.CARDS[card_name]
    kernels = build.kernels_of(path, card.architecture)
    arguments = read_arguments(compile_arguments(build.root, build.folder), shape, path, 1)
    kernel = kernels.find(shape, arguments.activation)
    threads, registers = kernels.elf.threads(kernel), kernels.elf.registers(kernel)
    accesses = re.findall(r"\b(?:LDL|STL)\b", kernels.listings[kernel])
    return {"modelled": True, "path": path, "card": card_name, **dataclasses.asdict(shape),
            "threads": threads, "registers": registers, "stack": kernels.elf.stack(kernel),
            "local_accesses": len(accesses), "shared_bytes": arguments.shared_bytes,
            "blocks": resident_blocks(card, threads, registers, arguments.shared_bytes)}


def replay(run, card, ideal, count):
    blocks = run.blocks(count)
    dropped = run.is_dropped(ideal)
    if any(dropped):
        blocks = [[without(trace, start, dropped) for trace, start in block] for block in blocks]
    return Multiprocessor(card, run.program.code, ideal).run(blocks, run.entries())


def without(trace, start, dropped):
    """A trace without some instructions."""
    def kept(part):
        return [entry for entry in part if not dropped[entry[0] % len(dropped)]]
    before = kept(trace[:start])
    return before + kept(trace[start:]), len(before)


def summary(step, card, shape, blocks, networks, code):
    """Of the whole step: what a multiprocessor does for one step of each of its networks."""
    cycles = step.cycles
    seconds = cycles / (card.gigahertz * 1e9)
    warp_cycles = sum(map(sum, step.waited))
    issued = sum(step.issued)
    return {
        "cycles": round(cycles / blocks), "us_step": 1e6 * seconds,
        "ms": 1e3 * seconds / blocks * networks / card.multiprocessors,
        "fp32_fraction": blocks * shape.multiply_adds() / card.fma_lanes / cycles,
        "instructions": round(issued / blocks),
        "wavefronts": round(sum(step.wavefronts) / blocks),
        "l2_bytes": round(sum(step.l2_bytes) / blocks),
        "issue_slots": issued / cards.SCHEDULERS / cycles,
        "shared_memory": sum(step.wavefronts) * cards.SHARED_WAVEFRONT_CYCLES / cycles,
        "l2": sum(step.l2_bytes) / card.l2_bytes / cycles,
        "pipes": pipe_use(step, card, code),
        "stalls": {name: sum(row) / warp_cycles for name, row in zip(REASONS, step.waited)}}


def pipe_use(step, card, code):
    """{pipe: the share of the time that it is busy}; imad is part of fma."""
    cycles = intervals(card)
    busy = dict.fromkeys(PIPES, 0)
    for entry, count in enumerate(step.issued):
        pipe = code[entry % len(code)].pipe
        busy[pipe] += count * cycles[pipe_on(card, pipe)]
    halves = card.fma_lanes / 64
    busy["fma"] = (busy["fma"] + busy["imad"]) / halves
    for pipe in ("double", "convert"):
        busy[pipe] *= cards.SCHEDULERS if card.double_is_shared else 1
    return {pipe: count / cards.SCHEDULERS / step.cycles for pipe, count in busy.items()
            if pipe != "control"}


def collect(step, names, blocks):
    """Sums of a step's counts by a name of each entry: {name: row}, the dearest first."""
    rows = {}
    total = sum(map(sum, step.waited))
    for entry, name in enumerate(names):
        if not any(row[entry] for row in (step.issued, *step.waited)):
            continue
        row = rows.setdefault(name, {"share": 0, "instructions": 0, "wavefronts": 0,
                                     "l2_bytes": 0, "stalls": dict.fromkeys(REASONS, 0)})
        row["instructions"] += step.issued[entry] / blocks
        row["wavefronts"] += step.wavefronts[entry] / blocks
        row["l2_bytes"] += step.l2_bytes[entry] / blocks
        for reason, waited in zip(REASONS, step.waited):
            row["stalls"][reason] += waited[entry] / total
            row["share"] += waited[entry] / total
    for row in rows.values():
        for key in ("instructions", "wavefronts", "l2_bytes"):
            row[key] = round(row[key])
    return dict(sorted(rows.items(), key=lambda item: -item[1]["share"]))


def by_phase(step, program, blocks):
    """Subroutines count to the phase that called them."""
    names = program.phase_names()
    called = [name for name in names for _ in program.code]
    return collect(step, program.phase + called, blocks)


def by_line(step, program, blocks):
    lines = [line_of(i.stack) for i in program.code]
    return collect(step, lines * (1 + len(program.phase_names())), blocks)


def line_of(stack):
    """The innermost of kernels/; else the innermost."""
    inside = [frame for frame in stack if frame[0].endswith((".cu", ".cuh"))]
    return "{}:{}".format(*(inside or stack)[0]) if stack else "?"


def unknown_branches(program):
    """Branches that depend on floats: [where, how often]."""
    return [{"address": f"{program.code[k].address:#x}", "times": count,
             "line": line_of(program.code[k].stack),
             "phase": program.phase[k]} for k, count in program.unknown.most_common()]
