# SPDX-License-Identifier: Apache-2.0
"""Floats of a warp's lanes, with the bits that a device computes: arrays of numpy's float32 and
float64, each operation with one rounding.

A NaN that single precision computes is 0x7fffffff. `mode`: "RN" (to nearest, ties to even), "RZ",
"RM", "RP", as in opcodes. Comparisons of numpy are those of IEEE 754.
"""
from fractions import Fraction

import numpy as np

NAN32 = np.uint32(0x7FFFFFFF).view(np.float32)
SMALLEST_NORMAL32 = np.float32(2.0 ** -126)
INFINITE = {"RM": -np.inf, "RP": np.inf}  # the direction in which a mode rounds


def rounded_to_odd(product, addend):
    """product + addend in float64: where the sum is not exact, that of the two neighbours of the
    exact sum whose last bit is 1. Rounded once more, to float32, it gives what the exact sum
    would: 53 bits are more than two beyond 24, and the last bit says that there are more
    (Boldo and Melquiond, IEEE Transactions on Computers 57, 2008)."""
    total = product + addend
    part = total - product
    error = (product - (total - part)) + (addend - part)  # exact (Knuth)
    bits = total.view(np.int64)
    outward = (error > 0) == (total > 0)
    is_moved = ((error > 0) | (error < 0)) & (bits & 1 == 0)
    return np.where(is_moved, np.where(outward, bits + 1, bits - 1), bits).view(np.float64)


def to_float32(value, mode="RN"):
    """A float64, rounded to odd or exact, as a float32."""
    near = value.astype(np.float32)
    if mode == "RN":
        return near
    wide = near.astype(np.float64)
    if mode == "RZ":
        is_beyond, to = np.abs(wide) > np.abs(value), np.float32(0)
    else:
        is_beyond = wide > value if mode == "RM" else wide < value
        to = np.float32(INFINITE[mode])
    return np.where(is_beyond, np.nextafter(near, to), near)


def canonical(value):
    is_nan = value != value
    return np.where(is_nan, NAN32, value) if is_nan.any() else value


def fma32(a, b, c, mode="RN"):
    """a b + c, rounded once: the product of two float32 is exact in float64."""
    product = a.astype(np.float64) * b.astype(np.float64)
    return canonical(to_float32(rounded_to_odd(product, c.astype(np.float64)), mode))


def add32(a, b, mode="RN"):
    return canonical(a + b) if mode == "RN" else fma32(a, np.float32(1), b, mode)


def multiply32(a, b, mode="RN"):
    return canonical(a * b) if mode == "RN" else \
        canonical(to_float32(a.astype(np.float64) * b.astype(np.float64), mode))


def flushed(value):
    """.FTZ: a subnormal number is 0 with its sign."""
    return np.where(np.abs(value) < SMALLEST_NORMAL32, np.copysign(np.float32(0), value), value)


def fma64_scalar(a, b, c, mode):
    a, b, c = float(a), float(b), float(c)
    if not np.isfinite(c):
        return c if np.isfinite([a, b]).all() else a * b + c
    if not np.isfinite([a, b]).all():
        return a * b
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c
    try:
        near = exact.numerator / exact.denominator  # Python rounds a quotient of integers once
    except OverflowError:
        near = np.inf if exact > 0 else -np.inf
    if mode == "RN" or np.isfinite(near) and Fraction(near) == exact:
        return near
    is_above = near > 0 if np.isinf(near) else Fraction(near) > exact
    if mode == "RZ":
        return np.nextafter(near, 0.0) if is_above == (exact > 0) else near
    return np.nextafter(near, INFINITE[mode]) if is_above == (mode == "RM") else near


def fma64(a, b, c, mode="RN"):
    """a b + c, rounded once, in rational numbers: few instructions need it."""
    a, b, c = np.broadcast_arrays(a, b, c)
    flat = [fma64_scalar(*three, mode) for three in zip(a.flat, b.flat, c.flat)]
    return np.array(flat, np.float64).reshape(a.shape)


def add64(a, b, mode="RN"):
    return a + b if mode == "RN" else fma64(a, np.float64(1), b, mode)


def multiply64(a, b, mode="RN"):
    return a * b if mode == "RN" else fma64(a, b, np.copysign(np.float64(0), a * b), mode)


COMPARISONS = {
    "EQ": np.equal, "LT": np.less, "LE": np.less_equal, "GT": np.greater, "GE": np.greater_equal,
    "NE": lambda a, b: (a < b) | (a > b), "NUM": lambda a, b: (a == a) & (b == b)}
# With U a comparison is true of a NaN.
COMPARISONS.update({
    "EQU": lambda a, b: ~((a < b) | (a > b)), "NEU": np.not_equal, "LTU": lambda a, b: ~(a >= b),
    "LEU": lambda a, b: ~(a > b), "GTU": lambda a, b: ~(a <= b), "GEU": lambda a, b: ~(a < b),
    "NAN": lambda a, b: (a != a) | (b != b)})


def smaller32(a, b, is_smaller, keeps_nan):
    """FMNMX: the smaller of two, or the larger; -0 is smaller than 0. Of a number and a NaN the
    number, with .NAN the NaN."""
    is_first = (a < b) | (a == b) & np.signbit(a)
    first = np.where(is_first, a, b)
    last = np.where(is_first, b, a)
    result = np.where(is_smaller, first, last)
    a_is_nan, b_is_nan = a != a, b != b
    if keeps_nan:
        return np.where(a_is_nan | b_is_nan, NAN32, result)
    return canonical(np.where(a_is_nan, b, np.where(b_is_nan, a, result)))


# Approximations: NVIDIA states their errors, not their bits. Here they are correctly rounded, and
# then moved by `ulps`: the kernels correct them, so that results do not depend on it.

def moved(value, ulps, bits):
    """A finite number but 0 by units in the last place."""
    is_fixed = ~np.isfinite(value) | (value == 0)
    return np.where(is_fixed, value.view(bits), value.view(bits) + bits(ulps)).view(value.dtype)


def reciprocal32(x, ulps=0):
    """MUFU.RCP, which takes and gives 0 for subnormal numbers."""
    return moved(flushed(canonical((1 / flushed(x).astype(np.float64)).astype(np.float32))), ulps,
                 np.int32)


def reciprocal_root32(x, ulps=0):
    """MUFU.RSQ."""
    root = 1 / np.sqrt(flushed(x).astype(np.float64))
    return moved(canonical(root.astype(np.float32)), ulps, np.int32)


def upper_half(function, high, ulps=0):
    """MUFU.RCP64H and RSQ64H: the upper 32 bits of a function of a float64 whose lower ones
    are 0."""
    x = (np.asarray(high, np.uint32).astype(np.uint64) << np.uint64(32)).view(np.float64)
    value = function(x)
    result = (np.asarray(value).view(np.uint64) >> np.uint64(32)).astype(np.int64)
    is_fixed = ~np.isfinite(value) | (value == 0)
    return np.where(is_fixed, result, result + ulps)


def reciprocal(x):
    return 1 / x


def reciprocal_root(x):
    return 1 / np.sqrt(x)


EXPONENT_SLACK = 120  # of a quotient that is far from the largest and the smallest numbers


def needs_slow_division(a, b):
    """FCHK: whether a / b by a reciprocal and residuals may leave the normal numbers. Which
    quotients a device sends to the slow path is not published; either path gives the quotient
    correctly rounded."""
    x, y = (np.asarray(v).view(np.uint32) >> np.uint32(23) & np.uint32(255) for v in (a, b))
    x, y = x.astype(np.int64), y.astype(np.int64)
    return (x == 255) | (x < 30) | (y < 4) | (y > 250) | (np.abs(x - y) > EXPONENT_SLACK)


def matrix_product(a, b, c):
    """HMMA.1688.F32.TF32: c + a b of (16, 8), (8, 8) and (16, 8). As the SIMT harness has it
    (tests/simt/mma.cc): c, then the eight products in ascending order, added in float64; the sum
    is rounded toward zero. The tensor cores' own order and width are not published."""
    total = c.astype(np.float64)
    for k in range(a.shape[1]):
        total = total + np.multiply.outer(a[:, k].astype(np.float64), b[k].astype(np.float64))
    near = total.astype(np.float32)
    is_beyond = np.isfinite(near) & (np.abs(near.astype(np.float64)) > np.abs(total))
    return np.where(is_beyond, np.nextafter(near, np.float32(0)), near)
