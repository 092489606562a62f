# SPDX-License-Identifier: Apache-2.0
"""Machine code executed with its floats: a launch of a fused kernel, whose results are compared with
those of the same launch on the SIMT harness (expected.cc), bit by bit.

The warps of a block go from barrier to barrier one after another, the blocks of the grid one after
another. Approximations of the device (MUFU) are correctly rounded, or wrong by `ulps`.
"""
import collections
import dataclasses
import glob
import hashlib
import os

import numpy as np

from . import cards
from .contents import Contents, Segment
from .cubin import CubinError
from .float_operations import operation
from .launch import HERE, call, compile_arguments, part_of, read_arguments
from .operands import CONSTANT_WINDOW
from .warp import Program, Warp

OPTIMIZERS = ("sgd", "momentum", "decay", "adam")
LOSSES = ("squared", "logistic", "huber")  # in the order of esc_loss_kind
KERNEL_SOURCES = ("fused.cu", "fused_3xtf32.cu")
ARCHITECTURE = 90


@dataclasses.dataclass
class Array:
    """Device memory before a launch and, unless it is a workspace, after it: uint32 words."""
    name: str
    address: int
    before: np.ndarray
    after: np.ndarray = None


@dataclasses.dataclass
class Expected:
    """A launch on the harness, a block for each network."""
    kernel: str
    networks: int
    shared_bytes: int
    parameters: bytes
    arrays: list


def compile_expected(root, folder):
    """The program expected.cc, with the harness and the kernels compiled by the host's compiler."""
    simt = os.path.join(root, "tests", "simt")
    harness = sorted(path for path in glob.glob(os.path.join(simt, "*.cc"))
                     if not os.path.basename(path).startswith("test_"))
    ours = os.path.join(HERE, "expected.cc")
    headers = glob.glob(os.path.join(simt, "**", "*.h"), recursive=True)
    total = hashlib.sha256()
    for path in [*harness, *sorted(headers), ours]:
        with open(path, "rb") as file:
            total.update(file.read())
    out = os.path.join(folder, f"expected-{total.hexdigest()[:16]}")
    if not os.path.exists(out):
        call([os.environ.get("CXX", "c++"), "-std=c++17", "-O1", "-ffp-contract=off", "-w",
              "-D_GNU_SOURCE", *(f"-I{os.path.join(root, *parts)}" for parts in
                                 (("include",), ("kernels",), ("tests", "simt", "include"))),
              "-x", "c++", ours, *(os.path.join(root, "kernels", name) for name in KERNEL_SOURCES), *harness,
              "-Wl,--wrap=cudaFuncSetAttribute", "-rdynamic", "-pthread", "-ldl", "-o", part_of(out)])
        os.replace(part_of(out), out)
    return out


def words(digits):
    data = bytes.fromhex(digits)
    return np.frombuffer(data + bytes(-len(data) % 4), np.uint32).copy()


def read_expected(program, shape, activation, path, steps, optimizer, loss):
    """activation: its number."""
    numbers = (shape.width, shape.layers, shape.inputs, shape.batch, activation, steps)
    text = call([program, *map(str, numbers), path, optimizer, str(LOSSES.index(loss))]).decode()
    rows = [line.split(" ") for line in text.splitlines()]
    named = {row[0]: row[1] for row in rows if row[0] != "array"}
    arrays = [Array(name, int(address), words(before), None if after == "-" else words(after))
              for _, name, address, before, after in (row for row in rows if row[0] == "array")]
    return Expected(named["kernel"], int(named["networks"]), int(named["shared"]),
                    bytes.fromhex(named["arguments"]), arrays)


def run_block(program, threads, block, contents):
    """All warps of a block to their end; the number of their instructions."""
    starts, waiting = range(0, threads, cards.LANES), collections.defaultdict(list)
    traces = [[] for _ in starts]
    ready = [Warp(program, first, block, contents).parts(trace) for first, trace in zip(starts, traces)]
    left = len(ready)
    while left:
        for warp in ready:
            at = next(warp, None)
            if at is None:
                left -= 1
            else:
                waiting[at].append(warp)
        ready = []
        for at, warps in waiting.items():
            if warps and len(warps) == ((at - 1) // 16 // cards.LANES or left):
                ready += warps
                warps.clear()
        if left and not ready:
            raise CubinError("the warps of a block wait at different barriers")
    return sum(map(len, traces))


def execute(kernels, expected, ulps=0):
    """The launch by machine code: ({array: words}, instructions of all warps)."""
    if expected.kernel not in kernels.listings:
        raise CubinError(f"the cubin has no kernel {expected.kernel}")
    threads = kernels.elf.threads(expected.kernel)
    constants = kernels.constants(expected.kernel, expected.parameters, threads)
    program = Program(kernels.instructions(expected.kernel), lambda stack: "", constants, (), operation)
    results = {a.name: a.before.copy() for a in expected.arrays}
    segments = [Segment(a.name, a.address, results[a.name]) for a in expected.arrays]
    segments.append(Segment("constants", CONSTANT_WINDOW, words(constants[0].hex()), False))
    count = 0
    with np.errstate(all="ignore"):
        for block in range(expected.networks):
            count += run_block(program, threads, block, Contents(expected.shared_bytes, segments, ulps))
    if program.unknown:
        raise CubinError("a branch depends on what is not known")
    return results, count


def differences(expected, results):
    """{array: words that differ}, of all arrays but workspaces."""
    return {a.name: int((results[a.name] != a.after).sum()) for a in expected.arrays if a.after is not None}


def changes(expected):
    """{array: words that the launch changed}: a comparison of others says nothing."""
    return {a.name: int((a.before != a.after).sum()) for a in expected.arrays if a.after is not None}


def check(build, shape, path, steps=1, optimizer="sgd", loss="squared", ulps=0):
    """A dictionary for --json."""
    activation = read_arguments(compile_arguments(build.root, build.folder), shape, path, steps).activation
    program = build.expected or compile_expected(build.root, build.folder)
    expected = read_expected(program, shape, activation, path, steps, optimizer, loss)
    results, count = execute(build.kernels_of(path, ARCHITECTURE), expected, ulps)
    return {"executed": True, "path": path, "architecture": ARCHITECTURE, **dataclasses.asdict(shape),
            "steps": steps, "optimizer": optimizer, "loss": loss, "mufu_error": ulps, "networks": expected.networks,
            "kernel": expected.kernel, "instructions": count, "changed": changes(expected),
            "differences": differences(expected, results)}
