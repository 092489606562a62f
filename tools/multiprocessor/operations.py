# SPDX-License-Identifier: Apache-2.0
"""Instructions as functions of a warp (warp.Warp): each returns what its access costs, wavefronts
of shared memory or sectors of global memory, else None."""
import re

import numpy as np

from .memory import lanes_of, matrix_wavefronts, sectors, shared_wavefronts
from .operands import (CONSTANT_WINDOW, address, constant_source, forget, is_predicate, merged,
                       predicate, register_index, result_count, set_predicate, set_register, source,
                       source_pair, stripped, width)
from .values import (CONSTANT, M32, both, compare, high_product, lookup, lookup_known, negated,
                     permute, select, shift, signed, uniform_bool, wrap64)

SPILL_SLOT = re.compile(r"\[R1(?:\+(0x[0-9a-f]+))?\]")

# Each makes a function out of an instruction.

def make_move(i, memory):
    write, read = set_register(register_index(i.arguments[0])), source(i.arguments[1], memory)

    def run(w):
        write(w, read(w))
    return run


def make_to_uniform(i, memory):
    write, read = set_register(register_index(i.arguments[0])), source(i.arguments[1], memory)

    def run(w):
        value = read(w)
        if value is not None and not isinstance(value, int):
            value = int(value[0] if w.on is None else value[w.on][0])
        write(w, value)
    return run


def make_special(i, _memory):
    write, name = set_register(register_index(i.arguments[0])), i.arguments[1]
    if name == "SR_TID.X":
        return lambda w: write(w, w.threads)
    if name == "SR_LANEID":
        return lambda w: write(w, w.threads % 32)
    if name == "SR_CTAID.X":
        return lambda w: write(w, w.block)
    return lambda w: write(w, 0)


def make_zero(i, _memory):
    first = register_index(i.arguments[0])
    writes = [set_register(first + n) for n in range(result_count(i))]
    if i.arguments[1] != "SRZ":
        return forget(i)

    def run(w):
        for write in writes:
            write(w, 0)
    return run


def make_half_constant(i, _memory):
    """HFMA2 as nvcc uses it: two halves of a constant, added to 0."""
    if stripped(i.arguments[1]).lstrip("-") != "RZ" or len(i.arguments) < 5:
        return forget(i)
    low, high = (int(np.array(float(a.replace("INF", "inf")), np.float16).view(np.uint16))
                 for a in (i.arguments[4], i.arguments[3]))
    write = set_register(register_index(i.arguments[0]))
    return lambda w: write(w, high << 16 | low)


def make_add(i, memory):
    """IADD3, UIADD3, VIADD, IADD: sums with carries out and, .X, in."""
    arguments = list(i.arguments)
    write = set_register(register_index(arguments.pop(0)))
    carries = []
    while is_predicate(arguments[0]):
        carries.append(set_predicate(arguments.pop(0)))
    values = [source(a, memory) for a in arguments[:3] if not is_predicate(a)]
    carries_in = [predicate(a) for a in arguments[2:] if is_predicate(a)] \
        if ".X" in i.opcode else []

    def run(w):
        total = 0
        for read in values:
            value = read(w)
            if value is None:
                total = None
                break
            total = total + value
        for read in carries_in:
            carry = read(w)
            total = None if carry is None or total is None else total + carry
        write(w, None if total is None else total & M32)
        for n, carry in enumerate(carries):
            carry(w, None if total is None else uniform_bool(total >> 32 > n))
    return run


def make_multiply(i, memory):
    """IMAD and UIMAD in all forms."""
    arguments = [a for a in i.arguments if not is_predicate(a)]
    carry = predicate(i.arguments[-1]) if ".X" in i.opcode else lambda w: False
    first = register_index(arguments[0])
    a, b = source(arguments[1], memory), source(arguments[2], memory)
    is_signed = ".U32" not in i.opcode
    if ".WIDE" in i.opcode:
        return multiply_wide(first, a, b, source_pair(arguments[3], memory), is_signed)
    write = set_register(first)
    if ".HI" in i.opcode:
        c = source_pair(arguments[3], memory)

        def run_high(w):
            x, y, z = a(w), b(w), c(w)
            known = x is not None and y is not None and z is not None
            write(w, high_product(x, y, z, is_signed) if known else None)
        return run_high
    c = source(arguments[3], memory)

    def run(w):
        x, y, z, more = a(w), b(w), c(w), carry(w)
        if z is None or more is None or (x is None or y is None) and not (
                isinstance(x, int) and x == 0 or isinstance(y, int) and y == 0):
            write(w, None)
        elif x is None or y is None:
            write(w, z + more & M32)
        else:
            write(w, wrap64(x) * wrap64(y) + z + more & M32)
    return run


def multiply_wide(first, a, b, c, is_signed):
    """A product of 64 bits and a sum, into two registers."""
    low, high = set_register(first), set_register(None if first is None else first + 1)

    def run(w):
        x, y, z = a(w), b(w), c(w)
        if x is None or y is None or z is None:
            low(w, None)
            high(w, None)
            return
        if is_signed:
            x, y = signed(x), signed(y)
        total = wrap64(x * y) + wrap64(z)
        low(w, total & M32)
        high(w, total >> 32 & M32)
    return run


def make_shifted_add(i, memory):
    """LEA: (a << n) + b; .HI: the upper word of a 64-bit a, shifted, + b."""
    arguments = list(i.arguments)
    write = set_register(register_index(arguments.pop(0)))
    carry_out = set_predicate(arguments.pop(0)) if is_predicate(arguments[0]) else None
    carry_in = predicate(arguments.pop()) if is_predicate(arguments[-1]) else None
    if ".X" not in i.opcode:
        carry_in = None
    a, b = source(arguments[0], memory), source(arguments[1], memory)
    count = int(arguments[-1], 0)
    is_high = ".HI" in i.opcode
    above = source(arguments[2], memory) if is_high and ".SX32" not in i.opcode else None

    def run(w):
        x, y = a(w), b(w)
        more = carry_in(w) if carry_in else False
        if x is not None and is_high:
            top = above(w) if above else signed(x) >> 31 & M32
            x = None if top is None else (top << count | x >> 32 - count) & M32
        elif x is not None:
            x = x << count & M32
        total = None if x is None or y is None or more is None else x + y + more
        write(w, None if total is None else total & M32)
        if carry_out:
            carry_out(w, None if total is None else uniform_bool(total >> 32 > 0))
    return run


def make_shift(i, memory):
    write = set_register(register_index(i.arguments[0]))
    low, count, high = (source(a, memory) for a in i.arguments[1:4])
    return lambda w: write(w, shift(i.opcode, low(w), count(w), high(w)))


def make_logic(i, memory):
    """LOP3: a predicate, if there is one, says whether the result is not 0."""
    arguments = list(i.arguments)
    out = set_predicate(arguments.pop(0)) if is_predicate(arguments[0]) else None
    write = set_register(register_index(arguments[0]))
    a, b, c = (source(x, memory) for x in arguments[1:4])
    table = int(arguments[4], 0)

    def run(w):
        x, y, z = a(w), b(w), c(w)
        known = x is not None and y is not None and z is not None
        value = lookup(table, x, y, z) if known else lookup_known(table, (x, y, z))
        write(w, value)
        if out:
            out(w, None if value is None else uniform_bool(value != 0))
    return run


def make_predicate_logic(i, _memory):
    """PLOP3: two predicates by two tables from three."""
    first, second = set_predicate(i.arguments[0]), set_predicate(i.arguments[1])
    reads = [predicate(a) for a in i.arguments[2:5]]
    tables = [int(a, 0) for a in i.arguments[5:7]]

    def run(w):
        values = [read(w) for read in reads]
        words = [None if v is None else (M32 if v else 0) if isinstance(v, bool)
                 else np.where(v, M32, 0) for v in values]
        for write, table in zip((first, second), tables):
            value = lookup_known(table, words)
            write(w, None if value is None else uniform_bool(value != 0))
    return run


def make_compare(i, memory):
    kind = re.search(r"\.(EQ|NE|LT|LE|GT|GE)\b", i.opcode)[1]
    first, second = set_predicate(i.arguments[0]), set_predicate(i.arguments[1])
    a, b, other = (source(i.arguments[2], memory), source(i.arguments[3], memory),
                   predicate(i.arguments[4]))
    low = predicate(i.arguments[5]) if ".EX" in i.opcode else None
    is_signed, with_or = ".U32" not in i.opcode, ".OR" in i.opcode

    def run(w):
        x, y = a(w), b(w)
        below = low(w) if low else None
        known = x is not None and y is not None and (low is None or below is not None)
        result = uniform_bool(compare(kind, x, y, is_signed, below)) if known else None
        more = other(w)
        first(w, both(result, more, with_or))
        second(w, both(negated(result), more, with_or))
    return run


def make_select(i, memory):
    write = set_register(register_index(i.arguments[0]))
    a, b, which = source(i.arguments[1], memory), source(i.arguments[2], memory), \
        predicate(i.arguments[3])
    return lambda w: write(w, select(which(w), a(w), b(w)))


def make_extreme(i, memory):
    """VIMNMX, IMNMX: the smaller where the predicate is true; VIADDMNMX adds first."""
    write = set_register(register_index(i.arguments[0]))
    values = [source(a, memory) for a in i.arguments[1:-1] if not is_predicate(a)]
    smaller = predicate(i.arguments[-1])
    is_signed = ".U32" not in i.opcode

    def run(w):
        got, which = [read(w) for read in values], smaller(w)
        if which is None or any(v is None for v in got):
            write(w, None)
            return
        if len(got) == 3:
            got = [got[0] + got[1] & M32, got[2]]
        x, y = (signed(v) if is_signed else v for v in got)
        smallest, largest = np.minimum(x, y), np.maximum(x, y)
        if np.ndim(smallest) == 0:
            smallest, largest = int(smallest), int(largest)
        write(w, select(which, smallest, largest) & M32)
    return run


def make_absolute(i, memory):
    write, read = set_register(register_index(i.arguments[0])), source(i.arguments[1], memory)

    def run(w):
        value = read(w)
        write(w, None if value is None else abs(signed(value)))
    return run


def make_permute(i, memory):
    write = set_register(register_index(i.arguments[0]))
    a, selector, b = (source(x, memory) for x in i.arguments[1:4])

    def run(w):
        x, s, y = a(w), selector(w), b(w)
        write(w, None if x is None or s is None or y is None else permute(x, s, y))
    return run


def make_predicates_to_register(i, memory):
    write, kept = set_register(register_index(i.arguments[0])), source(i.arguments[3], memory)

    def run(w):
        bits, total = kept(w), 0
        for n in range(7):
            if isinstance(bits, int) and bits >> n & 1 and total is not None:
                total = None if w.p[n] is None else total + (np.asarray(w.p[n]) * (1 << n))
        write(w, int(total) if np.ndim(total) == 0 and total is not None else total)
    return run


def make_constant_load(i, memory):
    first = register_index(i.arguments[0])
    match = CONSTANT.match(i.arguments[1])
    reads = [(set_register(first + n), constant_source(match, memory, 4 * n))
             for n in range(width(i.opcode))]
    mask = 255 if ".U8" in i.opcode else M32

    def run(w):
        values = [read(w) for _, read in reads]  # the address may be overwritten
        for (write, _), value in zip(reads, values):
            write(w, None if value is None else value & mask)
    return run


def make_float_check(i, _memory):
    """FCHK: whether a division needs its slow path. It does not."""
    write = set_predicate(i.arguments[0])
    return lambda w: write(w, False)


def memory_operand(i):
    return next(a for a in reversed(i.arguments) if "[" in a)


def make_shared(i, memory):
    """LDS, STS, ATOMS, LDSM, STSM. What is in shared memory is not known."""
    places, clear = address(memory_operand(i), memory), forget(i)
    words = width(i.opcode)
    if i.base in ("LDSM", "STSM"):
        count = int(i.opcode[-1])

        def run_matrix(w):
            at = places(w)
            clear(w)
            return matrix_wavefronts(at, w.active(), count)
        return run_matrix

    def run(w):
        at = places(w)
        clear(w)
        return shared_wavefronts(at, w.active(), words)
    return run


def make_global(i, memory):
    """LDG, STG, LD, ST and atomics: sectors; the value is known within an image. Constants are
    read without the L2."""
    places, clear, words = address(memory_operand(i), memory), forget(i), width(i.opcode)
    is_load = i.base in ("LDG", "LD")
    first = register_index(i.arguments[0]) if is_load else None
    writes = [set_register(first + n) for n in range(words)] if first is not None else []

    def run(w):
        at, mask = places(w), w.active()
        clear(w)
        for n, write in enumerate(writes):
            value = memory.load(at, 4 * n)
            if value is not None:
                write(w, value)
        if i.base == "LD" and at is not None and int(lanes_of(at)[0]) >> 32 == \
                CONSTANT_WINDOW >> 32:
            return 0
        return sectors(at, mask, words)
    return run


def make_local(i, memory):
    """LDL, STL: registers that were spilled. A slot is known by its offset from the stack pointer,
    which a kernel sets once; a store through another register may be to any slot."""
    slot, words = SPILL_SLOT.fullmatch(memory_operand(i)), width(i.opcode)
    offsets = [int(slot[1] or "0", 16) + 4 * n for n in range(words)] if slot else []
    if i.base == "LDL":
        clear, first = forget(i), register_index(i.arguments[0])
        writes = [set_register(first + n) for n in range(words)] if first is not None else []

        def load(w):
            clear(w)
            for write, offset in zip(writes, offsets):
                if w.stack.get(offset) is not None:
                    write(w, w.stack[offset])
        return load
    first = register_index(i.arguments[-1])
    values = [source(i.arguments[-1] if first is None else f"R{first + n}", memory)
              for n in range(words)]

    def store(w):
        if not offsets:
            w.stack.clear()
        for read, offset in zip(values, offsets):
            w.stack[offset] = merged(w, w.stack.get(offset), read(w))
    return store


OPERATIONS = {
    "MOV": make_move, "UMOV": make_move, "R2UR": make_to_uniform, "S2R": make_special,
    "S2UR": make_special, "CS2R": make_zero, "HFMA2": make_half_constant,
    "IADD3": make_add, "UIADD3": make_add, "VIADD": make_add, "IADD": make_add, "UIADD": make_add,
    "IMAD": make_multiply, "UIMAD": make_multiply, "LEA": make_shifted_add,
    "ULEA": make_shifted_add, "SHF": make_shift, "USHF": make_shift, "LOP3": make_logic,
    "ULOP3": make_logic, "PLOP3": make_predicate_logic, "UPLOP3": make_predicate_logic,
    "ISETP": make_compare, "UISETP": make_compare, "SEL": make_select, "USEL": make_select,
    "FSEL": make_select, "VIMNMX": make_extreme, "IMNMX": make_extreme, "UIMNMX": make_extreme,
    "VIADDMNMX": make_extreme, "IABS": make_absolute, "PRMT": make_permute, "UPRMT": make_permute,
    "P2R": make_predicates_to_register, "LDC": make_constant_load, "ULDC": make_constant_load,
    "LDCU": make_constant_load, "FCHK": make_float_check,
    "LDL": make_local, "STL": make_local,
    **dict.fromkeys(("LDS", "STS", "ATOMS", "LDSM", "STSM"), make_shared),
    **dict.fromkeys(("LDG", "STG", "LD", "ST", "RED", "ATOM", "ATOMG", "LDGSTS"), make_global),
}


def operation(i, memory):
    """The effect of an instruction; one that is not listed makes its results unknown."""
    return OPERATIONS.get(i.base, lambda i, memory: forget(i))(i, memory)
