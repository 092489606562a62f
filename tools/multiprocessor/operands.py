# SPDX-License-Identifier: Apache-2.0
"""Operands of instructions as functions of a warp (warp.Warp) that read or write them."""
import re

import numpy as np

from .values import (CONSTANT, INTEGER, M32, PREDICATE, REGISTER, UNIFORM, ZERO_REGISTERS, negated,
                     pair, signed, uniform_bool, wrap64)

# Addresses of the constant banks in the address space of generic loads: bank 0 on sm_80 and 89,
# its arguments on sm_90 (constants c[0x0][0x40] and c[0x0][0x198]).
CONSTANT_WINDOW = 0x6F0000000000
TRUE, UNIFORM_TRUE = 7, 15
NO_RESULT = ("STS", "STG", "ST", "STL", "STSM", "RED", "LDGSTS")


class Memory:
    """The known part of memory: constant banks, and images of global memory."""

    def __init__(self, constants, images):
        self.constants, self.images = constants, list(images)

    def constant(self, bank, address):
        """A word, or an array of them by lane; None beyond the bank."""
        data = self.constants.get(bank, b"")
        if isinstance(address, int):
            word = data[address:address + 4]
            return int.from_bytes(word, "little") if len(word) == 4 else None
        if address is None or address.min() < 0 or address.max() + 4 > len(data):
            return None
        return np.frombuffer(data[:len(data) // 4 * 4], np.uint32)[address // 4].astype(np.int64)

    def load(self, address, offset):
        """The word at an address of global or generic memory; None where it is not known."""
        if not isinstance(address, int):
            if address is None or (address != address[0]).any():
                return None
            address = int(address[0])
        address += offset
        for base, data in self.images:
            if base <= address <= base + len(data) - 4:
                return int.from_bytes(data[address - base:address - base + 4], "little")
        return None


# Operands

def register_index(name):
    """Of R or UR; None for those that are zero."""
    match = REGISTER.match(name)
    if not match or match[2] == "Z":
        return None
    return int(match[2]) + (UNIFORM if match[1] == "UR" else 0)


def stripped(text):
    return re.sub(r"\.(reuse|H\d_H\d)", "", text)


def source(text, memory):
    """A function that reads an operand."""
    text = stripped(text)
    if text[0] in "-~" and not INTEGER.match(text):
        inner = source(text[1:], memory)
        return negation(inner) if text[0] == "-" else inversion(inner)
    if INTEGER.match(text):
        value = int(text, 0) & M32
        return lambda w: value
    if text in ZERO_REGISTERS:
        return lambda w: 0
    n = register_index(text)
    if n is not None:
        return lambda w: w.r[n]
    match = CONSTANT.match(text)
    if match and memory:
        return constant_source(match, memory, 0)
    return lambda w: None


def negation(inner):
    def read(w):
        value = inner(w)
        return None if value is None else -value & M32
    return read


def inversion(inner):
    def read(w):
        value = inner(w)
        return None if value is None else ~value & M32
    return read


def constant_source(match, memory, more):
    """c[bank][register + offset], `more` bytes on."""
    bank, offset = int(match[1], 16), int(match[3] or "0", 16) + more
    if not match[2]:
        value = memory.constant(bank, offset)
        return lambda w: value
    index = source(match[2], memory)

    def read(w):
        at = index(w)
        if w.on is not None and isinstance(at, np.ndarray):
            at = np.where(w.on, at, at[w.on][0])  # other lanes have any index
        return None if at is None else memory.constant(bank, signed(at) + offset)
    return read


def source_pair(text, memory):
    """Of 64 bits: a register and the one after it, or two words of a constant bank."""
    text = stripped(text)
    low = source(text, memory)
    match = CONSTANT.match(text)
    if match:
        high = constant_source(match, memory, 4)
    else:
        n = register_index(text)
        if n is None:
            value = int(text, 0) if INTEGER.match(text) else 0
            return lambda w: value
        high = lambda w: w.r[n + 1]
    return lambda w: pair(low(w), high(w))


def predicate(text):
    """A function that reads a predicate."""
    match = PREDICATE.match(text)
    n = predicate_index(match[2] + match[3])
    if match[1]:
        return lambda w: negated(w.p[n])
    return lambda w: w.p[n]


def predicate_index(name):
    if name[-1] == "T":
        return UNIFORM_TRUE if name[0] == "U" else TRUE
    return int(name[-1]) + (8 if name[0] == "U" else 0)


def is_predicate(text):
    return bool(PREDICATE.match(text))


def set_register(n):
    """A function that writes a register in the lanes that are on."""
    if n is None:
        return lambda w, value: None

    def write(w, value):
        w.r[n] = value if n >= UNIFORM else merged(w, w.r[n], value)
    return write


def merged(w, old, value):
    """`value` in the lanes that are on, `old` in the others."""
    if w.on is None or value is None or old is None:
        return value
    return np.where(w.on, value, old)


def set_predicate(name):
    n = predicate_index(name)
    if n in (TRUE, UNIFORM_TRUE):
        return lambda w, value: None

    def write(w, value):
        if w.on is not None and value is not None and w.p[n] is not None and n < TRUE:
            value = uniform_bool(np.where(w.on, value, w.p[n]))
        w.p[n] = value
    return write


def address(text, memory):
    """A function that computes the byte addresses of a memory operand."""
    inner = text[text.rindex("[") + 1:text.rindex("]")]
    parts = []
    for part in re.findall(r"-?[^+]+", inner):
        if INTEGER.match(part):
            offset = int(part, 0)
            parts.append(lambda w, offset=offset: offset)
            continue
        name, *marks = part.split(".")
        wide = "64" in marks or name.startswith("UR") and ".64" in inner
        value = source_pair(name, memory) if wide else source(name, memory)
        scale = next((int(m[1:]) for m in marks if re.match(r"X\d+$", m)), 1)
        parts.append(scaled(value, scale) if scale > 1 else value)
    is_wide = ".64" in inner

    def compute(w):
        total = 0
        for part in parts:
            value = part(w)
            if value is None:
                return None
            total = total + wrap64(value)
        return total if is_wide else total & M32
    return compute


def scaled(inner, scale):
    def read(w):
        value = inner(w)
        return None if value is None else value * scale
    return read


# Results

def width(opcode):
    """Words of a register operand of a load or store."""
    return 4 if ".128" in opcode else 2 if ".64" in opcode else 1


def result_count(i):
    """Registers that an instruction writes."""
    if i.base in NO_RESULT or i.pipe == "control" or i.base.endswith("SETP") or i.base == "FCHK":
        return 0
    if i.base in ("LDS", "LDG", "LD", "LDL", "LDC", "ULDC", "ATOMS", "ATOMG"):
        return width(i.opcode)
    if i.base == "LDSM":
        return int(i.opcode[-1])
    if i.base == "HMMA":
        return 4 if ".F32" in i.opcode else 2
    is_wide = i.base in ("DADD", "DMUL", "DFMA") or ".WIDE" in i.opcode or \
        i.base in ("FFMA2", "FADD2", "FMUL2") or \
        i.opcode.startswith(("F2F.F64", "I2F.F64")) or i.base == "CS2R" and ".32" not in i.opcode
    return 2 if is_wide else 1


def forget(i):
    """A function that makes all results unknown."""
    names = [a for a in i.arguments[:2] if is_predicate(a) and a[0] != "!"]
    predicates = [predicate_index(a) for a in names if a[-1] != "T"]
    count = result_count(i)
    first = next((register_index(a) for a in i.arguments if REGISTER.match(a)), None) \
        if count else None
    registers = range(first, first + count) if first is not None else ()

    def run(w):
        for n in registers:
            w.r[n] = None
        for n in predicates:
            w.p[n] = None
    if len(registers) == 1 and not predicates:
        def run_one(w):
            w.r[first] = None
        return run_one
    return run
