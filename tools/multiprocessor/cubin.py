# SPDX-License-Identifier: Apache-2.0
"""A kernel's machine code out of a cubin: nvdisasm's listing, and what the ELF file says."""
import importlib.util
import os
import re
import shutil
import struct
import subprocess

FRAME = re.compile(r'//## File "([^"]+)", line (\d+)( inlined at)?')
GUARD = re.compile(r"@(!?U?P[T\d])\s+(.*)")
REMARK = re.compile(r"\(\*.*?\*\)")  # such as (*"SpillRefill"*)

NO_SCOREBOARD = 7  # in the fields `write` and `read` of an instruction

# By the first part of the opcode. What is not listed goes to the ALU, opcodes with U to the
# uniform datapath.
PIPES = {
    "fma": ("FFMA", "FADD", "FMUL", "FFMA2", "FADD2", "FMUL2"),
    "imad": ("IMAD", "HFMA2", "HADD2", "HMUL2", "IDP"),
    "double": ("DADD", "DMUL", "DFMA", "DSETP"),
    "xu": ("MUFU", "FCHK", "F2F", "I2F", "F2I", "POPC", "FLO", "BREV"),
    "shared": ("LDS", "STS", "ATOMS", "LDSM", "STSM"),
    "global": ("LDG", "STG", "LD", "ST", "ATOMG", "ATOM", "RED", "LDGSTS", "LDL", "STL"),
    "shuffle": ("SHFL",),
    "tensor": ("HMMA", "IMMA", "BMMA", "DMMA"),
    "slow": ("LDC", "S2R", "S2UR", "CS2R"),
    "control": ("BRA", "BSSY", "BSYNC", "CALL", "RET", "EXIT", "BAR", "WARPSYNC", "NOP", "BREAK",
                "BRX", "ENDCOLLECTIVE", "YIELD", "MEMBAR", "DEPBAR", "LDGDEPBAR", "ERRBAR", "JMP",
                "NANOSLEEP", "CCTL", "BMOV", "KILL", "PREEXIT", "ACQBULK"),
}
PIPE_OF = {opcode: pipe for pipe, opcodes in PIPES.items() for opcode in opcodes}


class CubinError(Exception):
    """One line for the user."""


class Instruction:
    """One instruction: its text taken apart, the control code that ptxas gave it, and the
    source lines that it stems from, innermost first. immediate: the 32 bits of an immediate operand,
    if it has one."""
    __slots__ = ("address", "text", "guard", "opcode", "base", "arguments", "stall", "write",
                 "read", "wait", "stack", "pipe", "targets", "immediate")

    def __init__(self, address, text, stack, immediate=0):
        self.address, self.text, self.stack, self.immediate = address, text, stack, immediate
        guard = GUARD.match(text)
        self.guard = guard[1] if guard else None
        self.opcode, _, rest = (guard[2] if guard else text).partition(" ")
        self.base = self.opcode.split(".")[0]
        self.arguments = split_arguments(rest)
        self.pipe = pipe_of(self.opcode, self.base)
        self.targets = []

    def set_control(self, high):
        """high: the upper 64 bits of the encoding."""
        self.stall, self.write = high >> 41 & 15, high >> 46 & 7
        self.read, self.wait = high >> 49 & 7, high >> 52 & 63


def split_arguments(text):
    """Operands, separated by commas outside of brackets."""
    parts = re.findall(r"(?:\[[^\]]*\]|\{[^}]*\}|\([^)]*\)|[^,])+", text)
    return [part.strip() for part in parts if part.strip()]


def pipe_of(opcode, base):
    if base in ("F2F", "I2F", "F2I") and "64" in opcode:
        return "convert"
    if base == "CS2R":
        return "alu"
    if base in PIPE_OF:
        return PIPE_OF[base]
    return "uniform" if base.startswith("U") or base in ("R2UR", "VOTE", "VOTEU") else "alu"


def find_nvdisasm(folder=None):
    """nvdisasm in `folder`, on PATH, in the CUDA toolkit, or of PyPI's nvidia-cuda-nvdisasm."""
    places = [folder] if folder else [*os.environ.get("PATH", "").split(os.pathsep),
                                      "/usr/local/cuda/bin", *packaged_folders()]
    found = shutil.which("nvdisasm", path=os.pathsep.join(places))
    if not found:
        raise CubinError("nvdisasm was not found: install the CUDA toolkit's, or "
                         "`pip install nvidia-cuda-nvdisasm` and give its folder with --bin")
    return found


def packaged_folders():
    """The folder in which pip puts programs of NVIDIA's packages."""
    spec = importlib.util.find_spec("nvidia")
    roots = list(spec.submodule_search_locations) if spec else []
    return [os.path.join(root, version, "bin") for root in roots
            for version in sorted(os.listdir(root), reverse=True)]


def disassemble(nvdisasm, path):
    """nvdisasm's listing of a cubin, by kernel: {mangled name: text}."""
    done = subprocess.run([nvdisasm, "-hex", "-c", "-gi", path], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise CubinError(f"nvdisasm {path}: {done.stderr.strip()}")
    parts = re.split(r"^\.text\.(\S+):$", done.stdout, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def read_listing(name, text):
    """[Instruction] of a kernel's listing."""
    code, labels, stack, open_stack = [], {name: 0}, [], False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("/* 0x"):
            code[-1].set_control(int(line[3:-3], 16))
        elif line.startswith("/*"):
            address, _, rest = line[2:].partition("*/")
            rest, _, low = REMARK.sub("", rest).rpartition("/*")
            body, low = rest.strip().rstrip(";").strip(), int(low.partition("*/")[0], 16)
            code.append(Instruction(int(address, 16), body, stack, low >> 32))
            open_stack = False
        elif line.startswith("//##"):
            frame = FRAME.match(line)
            stack = [*(stack if open_stack else []),
                     (os.path.basename(frame[1]), int(frame[2]))]
            open_stack = bool(frame[3])
        elif line.endswith(":"):
            labels[line[:-1]] = 16 * len(code)
    for instruction in code:
        find_targets(instruction, labels)
    return code


def find_targets(instruction, labels):
    """Byte addresses that the instruction may jump to, and its text without a comment."""
    text = instruction.arguments[-1] if instruction.arguments else ""
    if "BRANCH_TARGETS" in instruction.text:
        instruction.targets = [labels[x] for x in re.findall(r"\.L_x_\d+", instruction.text)]
        instruction.text = instruction.text.partition("(*")[0].strip()
    elif instruction.base in ("BRA", "CALL", "JMP") and "`(" in text:
        instruction.targets = [labels[text[text.index("`(") + 2:text.rindex(")")]]]


class Elf:
    """The sections of a cubin."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        if self.bytes[:4] != b"\x7fELF":
            raise CubinError(f"{path} is not a cubin")
        headers, = struct.unpack_from("<Q", self.bytes, 40)
        size, count, names = struct.unpack_from("<HHH", self.bytes, 58)
        rows = [struct.unpack_from("<IIQQQQIIQQ", self.bytes, headers + size * n)
                for n in range(count)]
        self.sections = {self.string(rows[names][4] + row[0]): row for row in rows}

    def string(self, offset):
        return self.bytes[offset:self.bytes.index(b"\0", offset)].decode()

    def section(self, name):
        """Its bytes; none where there is no such section."""
        row = self.sections.get(name)
        return self.bytes[row[4]:row[4] + row[5]] if row else b""

    def attributes(self, name):
        """[(attribute, bytes)] of a section .nv.info: EIFMT_SVAL is followed by its size."""
        data, at, found = self.section(name), 0, []
        while at + 4 <= len(data):
            form, attribute, value = struct.unpack_from("<BBH", data, at)
            length = value if form == 4 else 0
            found.append((attribute, data[at + 4:at + 4 + length]))
            at += 4 + length
        return found

    def parameter_offset(self, kernel):
        """Offset of the kernel's arguments in constant bank 0 (EIATTR_PARAM_CBANK)."""
        for attribute, data in self.attributes(".nv.info." + kernel):
            if attribute == 0x0A:
                return struct.unpack_from("<IHH", data)[1]
        raise CubinError(f"no arguments of {kernel} in the cubin")

    def threads(self, kernel):
        """Threads of a block, by the kernel's launch bounds (EIATTR_MAX_THREADS)."""
        for attribute, data in self.attributes(".nv.info." + kernel):
            if attribute == 0x05:
                return struct.unpack_from("<I", data)[0]
        raise CubinError(f"no launch bounds of {kernel} in the cubin")

    def registers(self, kernel):
        """Registers of a thread (EIATTR_REGCOUNT)."""
        return self.by_symbol(0x2F, kernel)

    def stack(self, kernel):
        """Bytes of a thread's stack frame (EIATTR_FRAME_SIZE), spilled registers among them."""
        return self.by_symbol(0x11, kernel)

    def by_symbol(self, wanted, kernel):
        """The value of an attribute that .nv.info has for each symbol."""
        symbols = self.section(".symtab")
        strings = self.sections[".strtab"][4]
        names = [self.string(strings + struct.unpack_from("<I", symbols, at)[0])
                 for at in range(0, len(symbols), 24)]
        for attribute, data in self.attributes(".nv.info"):
            if attribute == wanted:
                symbol, count = struct.unpack("<II", data)
                if names[symbol] == kernel:
                    return count
        raise CubinError(f"no attribute {wanted:#x} of {kernel} in the cubin")
