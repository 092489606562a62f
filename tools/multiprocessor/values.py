# SPDX-License-Identifier: Apache-2.0
"""Integers and predicates of the 32 lanes of a warp.

A value is None where it is not known (every float, unless an execution follows them: then a float
is the integer with its bits), an int where all lanes have the same, else an int64 array by lane;
always 0 to 2^32 - 1. A predicate is None, a bool or a
bool array. Operations on None give None, unless the result does not depend on it.
"""
import itertools
import re

import numpy as np

from .cards import LANES

M32, M64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
SIGN = 0x80000000
REGISTER = re.compile(r"(U?R)(\d+|Z)$")
PREDICATE = re.compile(r"(!?)(U?P)([\dT])$")
INTEGER = re.compile(r"[+-]?(0x[0-9a-f]+|\d+)$")
CONSTANT = re.compile(r"c\[0x([0-9a-f]+)\]\[(?:(U?R\w+)(?:\.\w+)?\+?)?(-?0x[0-9a-f]+)?\]$")
UNIFORM = 256     # index of UR0 among the registers of a warp
ZERO_REGISTERS = ("RZ", "URZ", "SRZ")


def signed(value):
    """32 bits as a two's complement."""
    return (value ^ SIGN) - SIGN


def select(predicate, yes, no):
    """By lane; None where it is not known."""
    if predicate is None:
        return yes if isinstance(yes, int) and isinstance(no, int) and yes == no else None
    if predicate is True:
        return yes
    if predicate is False:
        return no
    return None if yes is None or no is None else np.where(predicate, yes, no)


def wrap64(value):
    """64 bits such that int64 arrays can be added to it."""
    if isinstance(value, int):
        value &= M64
        return value - (1 << 64) if value >> 63 else value
    return value


def pair(low, high):
    """A 64-bit value of two registers."""
    if low is None or high is None:
        return None
    if isinstance(low, int) and isinstance(high, int):
        return low | high << 32
    return wrap64(low) + wrap64(np.asarray(high, np.int64) << 32)


def high_product(a, b, addend, is_signed):
    """Bits 32 to 63 of a b + addend."""
    def big(value):
        array = np.broadcast_to(np.asarray(value).astype(object), (LANES,))
        return array
    if is_signed:
        a, b = signed(a), signed(b)
    if all(isinstance(v, int) for v in (a, b, addend)):
        return (a * b + addend) >> 32 & M32
    total = big(a) * big(b) + big(addend)
    return np.array([int(v) >> 32 & M32 for v in total], np.int64)


def lookup(table, a, b, c):
    """LOP3: the bit of `table` that the bits of a, b and c name, for each of 32 bits."""
    result = 0
    for n in range(8):
        if table >> n & 1:
            result = result | ((a if n & 4 else ~a) & (b if n & 2 else ~b) & (c if n & 1 else ~c))
    return result & M32


def lookup_known(table, values):
    """LOP3 with operands that may be unknown: known where the result is the same whether their
    bits are 0 or 1."""
    results = [lookup(table, *operands) for operands in
               itertools.product(*(((0, M32) if v is None else (v,)) for v in values))]
    same = all(np.array_equal(result, results[0]) for result in results)
    return results[0] if same else None


def permute(a, selector, b):
    """PRMT: four bytes out of the eight of b:a, sign-extended where a nibble has its top bit."""
    if not isinstance(selector, int):
        return None
    data = [a >> 8 * n & 255 for n in range(4)] + [b >> 8 * n & 255 for n in range(4)]
    result = 0
    for n in range(4):
        nibble = selector >> 4 * n & 15
        byte = data[nibble & 7]
        result = result | ((byte >> 7 & 1) * 255 if nibble & 8 else byte) << 8 * n
    return result


def shift(opcode, low, count, high):
    """SHF of high:low."""
    if low is None or high is None or count is None:
        return None
    parts = opcode.split(".")
    bits = 64 if "U64" in parts or "S64" in parts else 32
    if isinstance(count, int):
        count = min(count & 255, bits) if "W" not in parts else count & (bits - 1)
    if parts[1] == "L":
        if "HI" in parts:
            return shifted(pair(low, high), count) >> 32 & M32
        return shifted(low, count) & M32
    if "HI" in parts and bits == 32:
        value = signed(high) if "S32" in parts else high
        return value >> count & M32
    value = pair(low, high)
    return value >> count >> (32 if "HI" in parts else 0) & M32


def shifted(value, count):
    """To the left, in 64 bits."""
    return wrap64(value) << count if not isinstance(value, int) or not isinstance(count, int) \
        else (value << count) & M64


COMPARISONS = {"EQ": lambda a, b: a == b, "NE": lambda a, b: a != b, "LT": lambda a, b: a < b,
               "LE": lambda a, b: a <= b, "GT": lambda a, b: a > b, "GE": lambda a, b: a >= b}


def compare(kind, a, b, is_signed, low=None):
    """Of ISETP; `low` is the comparison of the lower halves where this is of the upper ones
    (.EX), else None."""
    if is_signed:
        a, b = signed(a), signed(b)
    result = COMPARISONS[kind](a, b)
    if low is None:
        return result if isinstance(result, bool) else np.asarray(result)
    equal = np.asarray(a == b)
    strict = np.asarray(COMPARISONS[{"LE": "LT", "GE": "GT"}.get(kind, kind)](a, b))
    if kind == "EQ":
        return uniform_bool(equal & low)
    if kind == "NE":
        return uniform_bool(strict | low)
    return uniform_bool(strict | equal & low)


def uniform_bool(value):
    """A bool where all lanes agree."""
    value = np.asarray(value)
    if value.ndim == 0:
        return bool(value)
    return bool(value[0]) if value.all() or not value.any() else value


def both(a, b, with_or):
    """a & b, or a | b; known where one of them decides."""
    if a is None or b is None:
        known = b if a is None else a
        return known if isinstance(known, bool) and known == with_or else None
    return uniform_bool(np.asarray(a) | b if with_or else np.asarray(a) & b)


def negated(predicate):
    if predicate is None:
        return None
    return not predicate if isinstance(predicate, bool) else ~predicate


def mask_array(bits):
    """A bool array by lane."""
    return (bits >> np.arange(LANES) & 1).astype(bool)


def mask_bits(predicate):
    """A bool or an array as bits."""
    if isinstance(predicate, bool):
        return M32 if predicate else 0
    return int(np.packbits(predicate, bitorder="little").view(np.uint32)[0])
