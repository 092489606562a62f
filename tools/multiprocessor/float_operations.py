# SPDX-License-Identifier: Apache-2.0
"""Instructions on floats as functions of a warp (warp.Warp), for executions that follow what is in
memory (contents.py). A float is the 32 bits of a register, a double those of two."""
import re

import numpy as np

from . import contents, floats
from .cards import LANES
from .cubin import CubinError
from .operands import predicate, register_index, set_predicate, set_register, source, stripped
from .operations import OPERATIONS as INTEGER_OPERATIONS
from .values import CONSTANT, M32, REGISTER, ZERO_REGISTERS, both, negated, uniform_bool

SIGNS = re.compile(r"([+-]?)(\|?)([^|]+)(\|?)$")
INFINITY = "INF"
NAN = "QNAN"  # its bits are not in the text
MODES = ("RZ", "RM", "RP")
TF32 = 0xFFFFE000  # the bits of a float that a tensor core reads
LANE = np.arange(LANES)


def bits32(value):
    """Registers as an array of 32-bit words; without axes where all lanes have the same."""
    if value is None:
        raise CubinError("a float is not known")
    return np.asarray(value).astype(np.uint32)


def as_register(bits):
    bits = np.asarray(bits)
    return int(bits) if bits.ndim == 0 else bits.astype(np.int64)


def operand(text, kind, i, memory):
    """A function that reads a float (kind np.float32) or a double (np.float64) of instruction i."""
    text = stripped(text)
    sign, bar, inner, _ = SIGNS.match(text).groups()
    if inner == NAN:
        value = immediate(i, kind)
        return lambda w: value
    read = (read_float if kind is np.float32 else read_double)(inner, memory) if is_register(inner) \
        else number(inner, kind)
    if bar:
        return lambda w: -abs(read(w)) if sign == "-" else abs(read(w))
    return (lambda w: -read(w)) if sign == "-" else read


def is_register(text):
    """Or in a constant bank."""
    return bool(REGISTER.match(text) or CONSTANT.match(text)) or text in ZERO_REGISTERS


def immediate(i, kind):
    """Of its 64 bits a double has the upper 32 in the instruction."""
    if kind is np.float32:
        return np.uint32(i.immediate).view(np.float32)
    return np.uint64(i.immediate << 32).view(np.float64)


def number(text, kind):
    value = kind(text.replace(INFINITY, "inf"))
    return lambda w: value


def read_float(text, memory):
    read = source(text, memory)
    return lambda w: bits32(read(w)).view(np.float32)


def read_double(text, memory):
    if text in ZERO_REGISTERS:
        return lambda w: np.float64(0)
    low = source(text, memory)
    found = CONSTANT.match(text)
    high = source(re.sub(r"0x([0-9a-f]+)\]$", lambda m: f"{int(m[1], 16) + 4:#x}]", text), memory) if found \
        else source(re.sub(r"\d+$", lambda m: str(int(m[0]) + 1), text), memory)

    def read(w):
        return (bits32(low(w)) | bits32(high(w)).astype(np.uint64) << np.uint64(32)).view(np.float64)
    return read


def set_float(text):
    write = set_register(register_index(text))
    return lambda w, value: write(w, as_register(np.asarray(value, np.float32).view(np.uint32)))


def set_double(text):
    n = register_index(text)
    low, high = set_register(n), set_register(None if n is None else n + 1)

    def write(w, value):
        bits = np.asarray(value, np.float64).view(np.uint64)
        low(w, as_register(bits & np.uint64(M32)))
        high(w, as_register(bits >> np.uint64(32)))
    return write


def parts_of(i):
    """The rounding mode, and whether subnormal numbers are 0."""
    marks = i.opcode.split(".")[1:]
    if "SAT" in marks:
        raise CubinError(f"{i.text}: .SAT is not computed")
    return next((mark for mark in marks if mark in MODES), "RN"), "FTZ" in marks


def make_arithmetic(function, kind):
    """FFMA, FADD, FMUL, DFMA, DADD, DMUL."""
    def make(i, memory):
        mode, flushes = parts_of(i)
        write = (set_float if kind is np.float32 else set_double)(i.arguments[0])
        reads = [operand(a, kind, i, memory) for a in i.arguments[1:]]
        if flushes:
            return lambda w: write(w, floats.flushed(
                function(*(floats.flushed(read(w)) for read in reads), mode)))
        return lambda w: write(w, function(*(read(w) for read in reads), mode))
    return make


def make_compare(kind):
    """FSETP, DSETP."""
    def make(i, memory):
        compare = floats.COMPARISONS[i.opcode.split(".")[1]]
        flushes, with_or = parts_of(i)[1], ".OR" in i.opcode
        first, second = set_predicate(i.arguments[0]), set_predicate(i.arguments[1])
        a, b = (operand(x, kind, i, memory) for x in i.arguments[2:4])
        other = predicate(i.arguments[4])

        def run(w):
            x, y = a(w), b(w)
            if flushes:
                x, y = floats.flushed(x), floats.flushed(y)
            result, more = uniform_bool(compare(x, y)), other(w)
            first(w, both(result, more, with_or))
            second(w, both(negated(result), more, with_or))
        return run
    return make


def make_set(i, memory):
    """FSET.BF: 1 where a comparison and a predicate are true, else 0."""
    compare = floats.COMPARISONS[i.opcode.split(".")[2]]
    if ".BF." not in i.opcode or not i.opcode.endswith(".AND"):
        return contents.make_unknown(i)
    write = set_float(i.arguments[0])
    a, b = (operand(x, np.float32, i, memory) for x in i.arguments[1:3])
    other = predicate(i.arguments[3])
    return lambda w: write(w, np.where(compare(a(w), b(w)) & other(w), np.float32(1), np.float32(0)))


def make_select(i, memory):
    """FSEL."""
    write, which = set_float(i.arguments[0]), predicate(i.arguments[3])
    a, b = (operand(x, np.float32, i, memory) for x in i.arguments[1:3])

    def run(w):
        chosen = which(w)
        write(w, np.where(chosen, a(w), b(w)) if not isinstance(chosen, bool) else (a if chosen else b)(w))
    return run


def make_extreme(i, memory):
    """FMNMX: the smaller where the predicate is true, else the larger."""
    write, smaller = set_float(i.arguments[0]), predicate(i.arguments[3])
    a, b = (operand(x, np.float32, i, memory) for x in i.arguments[1:3])
    keeps_nan = ".NAN" in i.opcode
    return lambda w: write(w, floats.smaller32(a(w), b(w), smaller(w), keeps_nan))


def make_check(i, memory):
    """FCHK."""
    write = set_predicate(i.arguments[0])
    a, b = (operand(x, np.float32, i, memory) for x in i.arguments[1:3])
    return lambda w: write(w, uniform_bool(floats.needs_slow_division(a(w), b(w))))


APPROXIMATIONS = {"RCP": floats.reciprocal32, "RSQ": floats.reciprocal_root32}
UPPER_HALVES = {"RCP64H": floats.reciprocal, "RSQ64H": floats.reciprocal_root}


def make_approximation(i, memory):
    """MUFU."""
    kind = i.opcode.split(".")[1]
    if kind in APPROXIMATIONS:
        write, read = set_float(i.arguments[0]), operand(i.arguments[1], np.float32, i, memory)
        return lambda w: write(w, APPROXIMATIONS[kind](np.asarray(read(w)), w.contents.ulps))
    if kind not in UPPER_HALVES:
        return contents.make_unknown(i)
    write_bits, read_bits = set_register(register_index(i.arguments[0])), source(i.arguments[1], memory)
    return lambda w: write_bits(w, as_register(floats.upper_half(
        UPPER_HALVES[kind], bits32(read_bits(w)), w.contents.ulps)))


def make_float_to_float(i, memory):
    """F2F."""
    if i.opcode == "F2F.F64.F32":
        write, read = set_double(i.arguments[0]), operand(i.arguments[1], np.float32, i, memory)
        return lambda w: write(w, read(w).astype(np.float64))
    if i.opcode == "F2F.F32.F64":
        write, read = set_float(i.arguments[0]), operand(i.arguments[1], np.float64, i, memory)
        return lambda w: write(w, floats.canonical(np.asarray(floats.to_float32(read(w)))))
    return contents.make_unknown(i)


def make_integer_to_float(i, memory):
    """I2F, I2FP."""
    mode, _ = parts_of(i)
    read, is_signed = source(i.arguments[1], memory), ".U32" not in i.opcode
    write = (set_double if ".F64" in i.opcode else set_float)(i.arguments[0])
    is_double = ".F64" in i.opcode

    def run(w):
        bits = bits32(read(w))
        value = np.asarray(bits.view(np.int32) if is_signed else bits).astype(np.float64)
        write(w, value if is_double else floats.to_float32(value, mode))
    return run


def make_float_to_integer(i, memory):
    """F2I.FTZ.U32.TRUNC.NTZ, of integer divisions: to the nearest integer that there is; 0 of a
    NaN."""
    if i.opcode != "F2I.FTZ.U32.TRUNC.NTZ":
        return contents.make_unknown(i)
    write, read = set_register(register_index(i.arguments[0])), operand(i.arguments[1], np.float32, i, memory)
    return lambda w: write(w, as_register(np.clip(np.nan_to_num(
        np.trunc(read(w).astype(np.float64)), nan=0), 0, M32).astype(np.int64)))


def make_shuffle(i, memory):
    """SHFL.DOWN: the register of the lane that is some lanes further, within a segment of lanes; the
    lane's own where that is beyond the segment."""
    if not i.opcode.startswith("SHFL.DOWN"):
        return contents.make_unknown(i)
    is_inside, write = set_predicate(i.arguments[0]), set_register(register_index(i.arguments[1]))
    value, distance, limits = (source(a, memory) for a in i.arguments[2:5])

    def run(w):
        got, by, limit = value(w), distance(w) & 31, limits(w)
        if w.active() != M32:
            raise CubinError(f"{i.text} at {i.address:#x}: some lanes of the warp are elsewhere")
        segment = limit >> 8 & 31
        last = LANE & segment | limit & 31 & ~segment
        inside = LANE + by <= last
        register = np.broadcast_to(np.asarray(got), LANES)
        write(w, register[np.where(inside, LANE + by, LANE) & 31])
        is_inside(w, uniform_bool(inside))
    return run


def make_vote(i, _memory):
    """VOTEU.ALL: whether a predicate is true in all lanes."""
    if i.opcode != "VOTEU.ALL":
        return contents.make_unknown(i)
    write, read = set_predicate(i.arguments[0]), predicate(i.arguments[1])

    def run(w):
        value = read(w)
        write(w, value if isinstance(value, bool) else bool(value[slice(None) if w.on is None else w.on].all()))
    return run


# Lane 4 r + q has the elements of kernels/mma.cuh, of which these are the rows and columns.
ROW, QUARTER = LANE // 4, LANE % 4
A_ELEMENTS = [(ROW + 8 * (n % 2), QUARTER + 4 * (n // 2)) for n in range(4)]
B_ELEMENTS = [(QUARTER + 4 * n, ROW) for n in range(2)]
C_ELEMENTS = [(ROW + 8 * (n // 2), 2 * QUARTER + n % 2) for n in range(4)]


def make_matrix_product(i, memory):
    """HMMA.1688.F32.TF32."""
    if i.opcode != "HMMA.1688.F32.TF32":
        return contents.make_unknown(i)

    def registers(text, count):
        n = register_index(stripped(text))
        return [source("RZ" if n is None else f"R{n + k}", memory) for k in range(count)]
    a, b, c = (registers(text, count) for text, count in zip(i.arguments[1:4], (4, 2, 4)))
    first = register_index(i.arguments[0])
    writes = [set_register(first + n) for n in range(4)]

    def matrix(w, shape, reads, elements, mask):
        bits = np.zeros(shape, np.uint32)
        for read, element in zip(reads, elements):
            bits[element] = bits32(read(w)) & np.uint32(mask)
        return bits.view(np.float32)

    def run(w):
        if w.active() != M32:
            raise CubinError(f"{i.text} at {i.address:#x}: some lanes of the warp are elsewhere")
        product = floats.matrix_product(matrix(w, (16, 8), a, A_ELEMENTS, TF32),
                                        matrix(w, (8, 8), b, B_ELEMENTS, TF32),
                                        matrix(w, (16, 8), c, C_ELEMENTS, M32)).view(np.uint32)
        for write, element in zip(writes, C_ELEMENTS):
            write(w, product[element].astype(np.int64))
    return run


OPERATIONS = {
    "FFMA": make_arithmetic(floats.fma32, np.float32), "FADD": make_arithmetic(floats.add32, np.float32),
    "FMUL": make_arithmetic(floats.multiply32, np.float32),
    "DFMA": make_arithmetic(floats.fma64, np.float64), "DADD": make_arithmetic(floats.add64, np.float64),
    "DMUL": make_arithmetic(floats.multiply64, np.float64),
    "FSETP": make_compare(np.float32), "DSETP": make_compare(np.float64), "FSET": make_set,
    "FSEL": make_select, "FMNMX": make_extreme, "FCHK": make_check, "MUFU": make_approximation,
    "F2F": make_float_to_float, "I2F": make_integer_to_float, "I2FP": make_integer_to_float,
    "F2I": make_float_to_integer, "SHFL": make_shuffle, "VOTEU": make_vote,
    "HMMA": make_matrix_product, **contents.OPERATIONS,
}


def operation(i, memory):
    """The effect of an instruction on registers and memory, floats among them."""
    make = OPERATIONS.get(i.base) or INTEGER_OPERATIONS.get(i.base)
    return make(i, memory) if make and i.base not in ("LDSM", "STSM", "RED", "ATOM", "ATOMG", "LDGSTS") \
        else contents.make_unknown(i)
