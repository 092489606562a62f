# SPDX-License-Identifier: Apache-2.0
"""Execution of machine code with its floats (tools/gpu_model --bits): arithmetic against the C
library's, instructions and memory on listings written by hand. Kernels are in test_gpu_model.py.

    python3 test_machine_code.py ROOT
"""
import ctypes
import ctypes.util
import os
import sys
import unittest
from fractions import Fraction

try:
    import numpy as np
except ImportError:
    print("numpy is not installed", file=sys.stderr)
    sys.exit(77)

sys.dont_write_bytecode = True
ROOT = os.path.abspath(sys.argv.pop(1))
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "tests")]
from machine_code import listing  # noqa: E402
from multiprocessor import bits, contents, cubin, floats, warp  # noqa: E402
from multiprocessor.float_operations import operation  # noqa: E402

LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
RANDOM = np.random.default_rng(20)
BASE = 0x7000000000  # of device memory
LANES = np.arange(32)


def libm(name, kind, c_kind):
    function = getattr(LIBM, name)
    function.restype, function.argtypes = c_kind, [c_kind] * 3
    return lambda *arrays: np.array([function(*map(float, row)) for row in zip(*arrays)], kind)


def any_floats(count, kind=np.float32):
    """Of any bits: subnormal, infinite and NaN among them."""
    unsigned = np.uint32 if kind is np.float32 else np.uint64
    return RANDOM.integers(0, np.iinfo(unsigned).max, count, unsigned).view(kind)


def near_floats(count, kind=np.float32):
    """Of similar size, so that sums cancel and round."""
    return kind(RANDOM.standard_normal(count) * 2.0 ** RANDOM.integers(-12, 12, count))


def almost_ties(count):
    """a b + c just below or above the middle of two floats, by less than float64 keeps."""
    k = RANDOM.integers(1, 64, count)
    a, b = np.float32(2.0 ** -12 * (1 + k * 2.0 ** -23)), np.float32(2.0 ** -12 * (1 - k * 2.0 ** -23))
    c = np.float32(1 + 2.0 ** -23 * (2 * RANDOM.integers(0, 99, count) + 1))
    sign = np.float32(RANDOM.choice([-1, 1], (2, count)))
    return a * sign[0], b, c * sign[1]


class Arithmetic(unittest.TestCase):
    def check_equal(self, got, expected):
        """In every bit; any NaN equals any."""
        both_nan = np.isnan(got) & np.isnan(expected)
        unsigned = np.uint32 if got.dtype == np.float32 else np.uint64
        np.testing.assert_array_equal(got.view(unsigned)[~both_nan], expected.view(unsigned)[~both_nan])

    def setUp(self):
        warnings = np.errstate(all="ignore")
        warnings.__enter__()
        self.addCleanup(warnings.__exit__, None, None, None)

    def test_ffma_is_the_c_librarys(self):
        fmaf = libm("fmaf", np.float32, ctypes.c_float)
        tiny = [near_floats(2000) * np.float32(2.0 ** -70) for _ in range(2)] + \
            [near_floats(2000) * np.float32(2.0 ** -140)]
        for a, b, c in ([any_floats(4000) for _ in range(3)], [near_floats(4000) for _ in range(3)], tiny,
                        almost_ties(2000)):
            self.check_equal(floats.fma32(a, b, c), fmaf(a, b, c))

    def test_almost_ties_are_rounded_wrongly_by_two_roundings(self):
        a, b, c = almost_ties(2000)
        twice = np.float32(a.astype(np.float64) * b + c)
        self.assertGreater((twice != floats.fma32(a, b, c)).sum(), 500)

    def test_dfma_is_the_c_librarys(self):
        fma = libm("fma", np.float64, ctypes.c_double)
        for make in (any_floats, near_floats):
            a, b, c = (make(1000, np.float64) for _ in range(3))
            self.check_equal(floats.fma64(a, b, c), fma(a, b, c))
            self.check_equal(floats.fma64(a, b, -a * b), fma(a, b, -a * b))

    def test_a_directed_rounding_is_the_next_number_on_its_side(self):
        cases = [near_floats(300) for _ in range(3)]
        for kind, function in ((np.float32, floats.fma32), (np.float64, floats.fma64)):
            a, b, c = map(kind, cases)
            exact = [Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)) for x, y, z in zip(a, b, c)]
            down, up, inward = (function(a, b, c, mode) for mode in ("RM", "RP", "RZ"))
            for n, value in enumerate(exact):
                low, high = Fraction(float(down[n])), Fraction(float(up[n]))
                self.assertTrue(low <= value <= high and (high == value) == (low == value))
                self.assertIn(up[n], (down[n], np.nextafter(down[n], kind(np.inf))))
                self.assertEqual(Fraction(float(inward[n])), low if value > 0 else high)

    def test_a_nan_of_single_precision_has_the_devices_bits(self):
        nan, one = np.float32([np.nan]), np.float32([1])
        for got in (floats.fma32(nan, one, one), floats.add32(nan, one), floats.multiply32(nan, one)):
            self.assertEqual(got.view(np.uint32)[0], 0x7FFFFFFF)

    def test_the_smaller_of_zeros_is_negative_and_of_a_nan_the_number(self):
        a, b = np.float32([0, -0.0, np.nan, 2]), np.float32([-0.0, 0, 1, np.nan])
        np.testing.assert_array_equal(np.signbit(floats.smaller32(a, b, True, False)[:2]), True)
        np.testing.assert_array_equal(np.signbit(floats.smaller32(a, b, False, False)[:2]), False)
        np.testing.assert_array_equal(floats.smaller32(a, b, True, False)[2:], [1, 2])
        self.assertTrue(np.isnan(floats.smaller32(a, b, True, True)[2:]).all())

    def test_comparisons_with_u_are_true_of_a_nan(self):
        nan, one = np.float32(np.nan), np.float32(1)
        for name, compare in floats.COMPARISONS.items():
            self.assertEqual(bool(compare(nan, one)), name.endswith("U") or name == "NAN", name)

    def test_quotients_of_the_fast_path_are_rounded_once_whatever_the_reciprocals_last_bit(self):
        a, b = (np.concatenate([any_floats(20000), near_floats(20000)]) for _ in range(2))
        is_fast = ~floats.needs_slow_division(a, b)
        self.assertGreater(is_fast.sum(), 20000)
        a, b = a[is_fast], b[is_fast]
        for ulps in (-1, 0, 1):  # as nvcc divides
            y = floats.reciprocal32(b, ulps)
            y = floats.fma32(y, floats.fma32(-b, y, np.float32(1)), y)
            q = floats.fma32(y, a, np.float32(0))
            q = floats.fma32(y, floats.fma32(-b, q, a), q)
            self.check_equal(q, a / b)


def program(rows):
    return warp.Program(cubin.read_listing("kernel", listing([*rows, "EXIT"])), lambda stack: "", {0: bytes(64)},
                        (), operation)


def execute(rows, threads=32, shared=256, device=64):
    """Words of device memory after a block."""
    words = np.zeros(device, np.uint32)
    memory = contents.Contents(shared, [contents.Segment("results", BASE, words)])
    bits.run_block(program(rows), threads, 0, memory)
    return words


# R0: the thread; R2, R3: the address of its word in device memory; R4: in shared memory.
PLACES = ["S2R R0, SR_TID.X", f"MOV R6, {BASE & 0xffffffff:#x}", f"MOV R7, {BASE >> 32:#x}",
          "IMAD.WIDE.U32 R2, R0, 0x4, R6", "LEA R4, R0, 0x400, 0x2"]
STORE = "STG.E desc[UR4][R2.64], R1"


class Instructions(unittest.TestCase):
    def result(self, rows, threads=32):
        return execute([*PLACES, *rows, STORE], threads)[:threads]

    def check_floats(self, rows, expected):
        np.testing.assert_array_equal(self.result(rows).view(np.float32), np.float32(expected))

    def test_operands_have_signs_magnitudes_and_immediates(self):
        number = ["I2FP.F32.U32 R8, R0"]
        self.check_floats([*number, "FFMA R1, -R8.reuse, |R8|, 0.5"], 0.5 - LANES * LANES)
        self.check_floats([*number, "FADD R1, -|R8|, -1.5"], -LANES - 1.5)
        self.check_floats([*number, "ISETP.GE.AND P0, PT, R0, 0x2, PT", "FSEL R1, -R8, 2, P0"],
                          np.where(LANES >= 2, -LANES, 2))
        self.check_floats([*number, "FMNMX.NAN R1, R8, 4, PT"], np.minimum(LANES, 4))
        self.assertEqual(self.result([("FSEL R1, RZ, +QNAN , !PT", {"immediate": 0x7FFFFFFF})])[0], 0x7FFFFFFF)

    def test_doubles_are_two_registers(self):
        self.check_floats(["I2F.F64.U32 R8, R0", "DADD R8, R8, 0.25", "DMUL R8, R8, -R8", "F2F.F32.F64 R1, R8"],
                          -(LANES + 0.25) ** 2)

    def test_a_predicate_of_floats_guards_lanes(self):
        self.check_floats(["I2FP.F32.U32 R1, R0", "FSETP.GT.AND P0, PT, R1, 7.5, PT", "@P0 FMUL R1, R1, 2"],
                          np.where(LANES > 7.5, 2 * LANES, LANES))

    def test_a_shuffle_ends_at_its_segment(self):
        got = self.result(["SHFL.DOWN PT, R1, R0, 0x2, 0x101f"])
        np.testing.assert_array_equal(got, [n + 2 if n % 16 < 14 else n for n in range(32)])

    def test_warps_exchange_shared_memory_at_a_barrier(self):
        # Each thread reads what the thread 32 further wrote, the last warp zeros of the first.
        got = self.result(["STS [R4], R0", "BAR.SYNC.DEFER_BLOCKING 0x0", "LOP3.LUT R5, R4, 0x80, RZ, 0x3c, !PT",
                           "LDS R1, [R5]"], 64)
        np.testing.assert_array_equal(got, np.arange(64) ^ 32)

    def test_sums_by_compare_and_swap_lose_no_lane(self):
        got = self.result(["STS.64 [RZ+0x400], RZ", ".AGAIN:", "LDS.64 R10, [RZ+0x400]",
                           "IADD3 R12, P0, R0, R10, RZ", "IADD3.X R13, RZ, R11, RZ, P0, !PT",
                           "ATOMS.CAST.SPIN.64 R12, [RZ+0x400], R10, R12", "ISETP.EQ.U32.AND P0, PT, R12, 0x1, PT",
                           "@!P0 BRA `(.AGAIN)", "WARPSYNC.ALL", "LDS R1, [RZ+0x400]"])
        np.testing.assert_array_equal(got, 31 * 32 // 2)

    def test_a_matrix_product_of_small_integers_is_exact(self):
        a, b, c = (RANDOM.integers(-9, 9, shape).astype(np.float32) for shape in ((16, 8), (8, 8), (16, 8)))
        np.testing.assert_array_equal(floats.matrix_product(a, b, c), a @ b + c)

    def test_a_matrix_product_is_rounded_toward_zero(self):
        a, b = np.zeros((16, 8), np.float32), np.zeros((8, 8), np.float32)
        a[:, 0], b[0] = 1, np.float32(0.75 * 2.0 ** -23)
        for sign in (1, -1):
            got = floats.matrix_product(sign * a, b, np.full((16, 8), sign, np.float32))
            np.testing.assert_array_equal(got, sign)

    def test_what_no_device_would_do_is_refused(self):
        half = ["ISETP.GE.AND P0, PT, R0, 0x10, PT"]
        for rows, words in (
                (["LDG.E R1, desc[UR4][R2.64+0xc0]"], "ends at byte 320 of 256"),
                (["LDG.E R1, desc[UR4][R2.64+-0x10]"], "where no device memory is"),
                (["LDS R1, [R4+0x2]"], "not aligned"), (["STS [R4+0x100], R0"], "ends at byte 384 of 256"),
                ([*half, "@P0 BRA `(.THERE)", "MOV R1, RZ", ".THERE:", "BAR.SYNC.DEFER_BLOCKING 0x0"],
                 "a part of a warp"),
                ([*half, "@P0 BRA `(.OVER)", "SHFL.DOWN PT, R1, R0, 0x2, 0x1f", ".OVER:"], "lanes of the warp are"),
                (["MUFU.EX2 R1, R0"], "MUFU.EX2 R1, R0 at 0x50 is not computed")):
            with self.subTest(rows), self.assertRaisesRegex(cubin.CubinError, words):
                self.result(rows)

    def test_an_instruction_that_is_not_reached_may_be_unknown(self):
        self.assertEqual(self.result(["BRA `(.OVER)", "MUFU.EX2 R1, R0", ".OVER:", "MOV R1, 0x5"])[0], 5)


class Comparison(unittest.TestCase):
    def test_one_flipped_bit_is_one_difference(self):
        words = RANDOM.integers(0, 2 ** 32, 100, np.uint32)
        expected = bits.Expected("", 1, 0, b"", [bits.Array("weights", BASE, words, words.copy()),
                                              bits.Array("track", BASE, words, words.copy()),
                                              bits.Array("workspace", BASE, words)])
        self.assertEqual(bits.differences(expected, {"weights": words, "track": words, "workspace": words}),
                         {"weights": 0, "track": 0})
        expected.arrays[0].after[17] ^= 1 << 30
        self.assertEqual(bits.differences(expected, {"weights": words, "track": words, "workspace": words}),
                         {"weights": 1, "track": 0})


if __name__ == "__main__":
    unittest.main(verbosity=2)
