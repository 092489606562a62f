# SPDX-License-Identifier: Apache-2.0
"""A launch of a fused kernel: the kernel compiled, its arguments, and how many of its blocks a
multiprocessor holds."""
import dataclasses
import os
import re
import shutil
import subprocess

from . import cards
from .cubin import CubinError, Elf, disassemble, read_listing
from .operands import CONSTANT_WINDOW
from .phases import Phases
from .sources import NVCC_FLAGS
from .warp import Program, Warp

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = {"fused": "fused.cu", "fused-3xtf32": "fused_3xtf32.cu"}
TRACK = 0x7100000000  # address of the modelled network's track
SPECIAL_CONSTANTS = {0x40: CONSTANT_WINDOW}  # sm_80, sm_89: where bank 0 is in generic memory
PARAMETER_WINDOW = 0x198                     # sm_90: where the arguments are


@dataclasses.dataclass(frozen=True)
class Shape:
    """Of networks and their minibatches."""
    width: int
    inputs: int
    layers: int
    batch: int
    activation: str = "tanh"

    def multiply_adds(self):
        """Useful ones of a step: the forward pass, the gradient of the weights, and that of the
        inputs of all layers but the first."""
        deep = (self.layers - 2) * self.width ** 2 + self.width
        return self.batch * (2 * (self.width * self.inputs + deep) + deep)


def find_nvcc():
    return os.environ.get("CUDACXX") or shutil.which("nvcc") or \
        shutil.which("nvcc", path="/usr/local/cuda/bin")


def call(command):
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise CubinError(f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        text = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise CubinError(f"{os.path.basename(command[0])}: exit status {done.returncode}: "
                         + text.partition("\n")[0])
    return done.stdout


def compiler_version():
    """As nvcc states it, such as "release 13.0, V13.0.88"; None where there is none."""
    nvcc = find_nvcc()
    found = nvcc and re.search(r"release .*", call([nvcc, "--version"]).decode())
    return found.group(0).strip() if found else None


def compile_cubin(root, path, architecture, folder):
    """The cubin of a path's kernels, in `folder`; made once."""
    out = os.path.join(folder, f"{path}-{architecture}.cubin")
    if not os.path.exists(out):
        nvcc = find_nvcc()
        if not nvcc:
            raise CubinError("nvcc was not found: put it on PATH, set CUDACXX, or give --cubin")
        kernels = os.path.join(root, "kernels")
        call([nvcc, *NVCC_FLAGS, f"-arch=sm_{architecture}", "-I", os.path.join(root, "include"),
              "-I", kernels, os.path.join(kernels, SOURCES[path]), "-o", part_of(out)])
        os.replace(part_of(out), out)
    return out


def part_of(path):
    """Name of this process for a file that is being made: another model may make the same one."""
    return f"{path}.{os.getpid()}.part"


def compile_arguments(root, folder):
    """The program arguments.cc, compiled with the headers of the SIMT harness."""
    out = os.path.join(folder, "arguments")
    if not os.path.exists(out):
        call([os.environ.get("CXX", "c++"), "-std=c++17", *(
            f"-I{os.path.join(root, *parts)}" for parts in
            (("include",), ("kernels",), ("tests", "simt", "include"))),
            os.path.join(HERE, "arguments.cc"), "-o", part_of(out)])
        os.replace(part_of(out), out)
    return out


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Of a launch: what the kernel is given, and the network's track in device memory."""
    shared_bytes: int
    activation: int
    parameters: bytes
    track: bytes


def read_arguments(program, shape, path, steps):
    text = call([program, *(str(n) for n in (shape.width, shape.layers, shape.inputs, shape.batch)),
                 shape.activation, str(steps), str(TRACK), path]).decode()
    numbers, parameters, track = text.splitlines()
    shared, activation = map(int, numbers.split())
    return Arguments(shared, activation, bytes.fromhex(parameters), bytes.fromhex(track))


class Kernels:
    """All kernels of a cubin."""

    def __init__(self, path, nvdisasm, root):
        self.elf = Elf(path)
        self.listings = disassemble(nvdisasm, path)
        self.code = {}
        self.phases = Phases(root)

    def find(self, shape, activation):
        """The kernel of a shape: made for exactly this one, else padded as little as the cubin's
        kernels allow, made for the activation or for all."""
        width = shape.width
        for name in self.listings if shape.inputs == width else ():
            if re.search(rf"esc_fused_unpadded.*ILi{width}EEELi{activation}EE", name):
                return name
        for kind in (str(activation), "n1"):
            names = [(int(found[1]), name) for name in self.listings if
                     (found := re.search(rf"esc_fused_kernel.*ILi(\d+)EELi{kind}EE", name))]
            if fitting := [pair for pair in names if pair[0] >= width]:
                return min(fitting)[1]
        raise CubinError(f"the cubin has no kernel for width {width}")

    def constants(self, name, parameters, threads):
        """{bank: bytes} of a launch."""
        offset = self.elf.parameter_offset(name)
        bank = bytearray(max(len(self.elf.section(".nv.constant0." + name)), offset + len(parameters)))
        bank[offset:offset + len(parameters)] = parameters
        bank[0:4] = threads.to_bytes(4, "little")
        special = {PARAMETER_WINDOW: CONSTANT_WINDOW + offset} if offset > PARAMETER_WINDOW else \
            SPECIAL_CONSTANTS
        for at, value in special.items():
            bank[at:at + 8] = value.to_bytes(8, "little")
        return {0: bytes(bank), 2: self.elf.section(".nv.constant2." + name)}

    def instructions(self, name):
        if name not in self.code:
            self.code[name] = read_listing(name, self.listings[name])
        return self.code[name]

    def program(self, name, arguments, threads):
        """The kernel with its constants."""
        constants = self.constants(name, arguments.parameters, threads)
        images = [(TRACK, arguments.track), (CONSTANT_WINDOW, constants[0])]
        return Program(self.instructions(name), self.phases.of, constants, images)


def resident_blocks(card, threads, registers, shared_bytes):
    """Blocks that a multiprocessor of the card holds; 0 where not even one fits."""
    if shared_bytes > card.block_shared_bytes:
        return 0
    warps = -(-threads // cards.LANES)
    unit = cards.REGISTER_UNIT
    of_warp = -(-registers * cards.LANES // unit) * unit
    return min(card.shared_bytes // (shared_bytes + cards.RESERVED_SHARED_BYTES),
               card.registers // (of_warp * warps), card.warps // warps, card.blocks)


def traces(program, threads):
    """Of the warps of one block."""
    return [Warp(program, first).run() for first in range(0, threads, cards.LANES)]
