# SPDX-License-Identifier: Apache-2.0
"""The modelled multiprocessor of tools/gpu_model: its rules on listings written by hand, and,
where nvcc and nvdisasm are, kernels whose cycles are known (gpu_model_micro.cu), and the bits of the
smallest of the project's kernels.

    python3 test_gpu_model.py ROOT [EXPECTED]

EXPECTED: tools/multiprocessor/expected.cc, built; else the test builds it.
"""
import dataclasses
import functools
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

try:
    import numpy as np
except ImportError:
    print("numpy is not installed", file=sys.stderr)
    sys.exit(77)

sys.dont_write_bytecode = True
ROOT = os.path.abspath(sys.argv.pop(1))
EXPECTED = os.path.abspath(sys.argv.pop(1)) if sys.argv[1:] and os.path.exists(sys.argv[1]) else None
sys.path[:0] = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "tests")]
from machine_code import listing  # noqa: E402
from multiprocessor import (bits, cards, cubin, launch, memory, model, phases,  # noqa: E402
                            replay, report, sources, values, warp)

H100, A100, ADA = (cards.CARDS[name] for name in ("h100", "a100", "rtx4090"))
FULL = memory.ALL
ENTRY = "kernel"


def program(rows, constants=b"", images=()):
    code = cubin.read_listing(ENTRY, listing(rows))
    return warp.Program(code, lambda stack: phases.OUTSIDE, {0: constants}, images)


def trace(rows, first_thread=0, **known):
    return warp.Warp(program(rows, **known), first_thread).run()


def cycles(rows, warps=1, card=H100, ideal=(), blocks=1):
    """Of a whole replay, from the first issue to the last."""
    made = program(rows)
    block = [(warp.Warp(made, 32 * n).run(), 0) for n in range(warps)]
    return replay.Multiprocessor(card, made.code, ideal).run(
        [block] * blocks, 2 * len(made.code)).total


def addresses(of_lane):
    return np.array([of_lane(n) for n in range(32)], np.int64)


class Wavefronts(unittest.TestCase):
    def count(self, of_lane, words=1, mask=FULL):
        return memory.shared_wavefronts(addresses(of_lane), mask, words)

    def test_words_conflict_where_a_bank_has_several(self):
        self.assertEqual(self.count(lambda n: 4 * n), 1)
        self.assertEqual(self.count(lambda n: 64), 1)
        self.assertEqual(self.count(lambda n: 8 * n), 2)
        self.assertEqual(self.count(lambda n: 32 * n), 8)
        self.assertEqual(self.count(lambda n: 128 * n), 32)
        self.assertEqual(self.count(lambda n: 128 * n, mask=0xF), 4)
        self.assertEqual(self.count(lambda n: 4 * n + 4096 * 7), 1)
        self.assertEqual(self.count(lambda n: 0, mask=0), 0)

    def test_wide_accesses_are_made_in_parts_that_pair(self):
        self.assertEqual(self.count(lambda n: 8 * n, 2), 2)
        self.assertEqual(self.count(lambda n: 8 * (n // 2), 2), 1)
        self.assertEqual(self.count(lambda n: 16 * n, 4), 4)
        self.assertEqual(self.count(lambda n: 16 * (n // 2), 4), 2)
        self.assertEqual(self.count(lambda n: 16 * (n % 2 + n // 4 * 2), 4), 2)
        self.assertEqual(self.count(lambda n: 16 * (n % 4 + n // 8 * 4), 4), 4)
        self.assertEqual(self.count(lambda n: 128 * n, 4), 32)

    def test_sectors_of_the_l2(self):
        self.assertEqual(memory.sectors(addresses(lambda n: 4 * n), FULL, 1), 4)
        self.assertEqual(memory.sectors(addresses(lambda n: 4 * n + 4), FULL, 1), 5)
        self.assertEqual(memory.sectors(addresses(lambda n: 16 * n), FULL, 4), 16)
        self.assertEqual(memory.sectors(addresses(lambda n: 1024 * n), 0xFF, 1), 8)
        self.assertEqual(memory.sectors(5, FULL, 1), 1)

    def test_matrices(self):
        self.assertEqual(memory.matrix_wavefronts(addresses(lambda n: 16 * n), FULL, 4), 4)
        self.assertEqual(memory.matrix_wavefronts(addresses(lambda n: 128 * n), FULL, 1), 8)


class Integers(unittest.TestCase):
    """Registers after a few instructions, against numbers that were worked out by other means."""

    def registers(self, rows, **known):
        one = warp.Warp(program([*rows, "EXIT"], **known), 0)
        one.run()
        return one

    def check(self, rows, register, expected, **known):
        value = self.registers(rows, **known).r[register]
        np.testing.assert_array_equal(np.broadcast_to(value, 32), np.broadcast_to(expected, 32))

    def test_products_and_sums_wrap(self):
        lanes = np.arange(32)
        tid = "S2R R0, SR_TID.X"
        self.check([tid, "IMAD R1, R0, 0x7, R0"], 1, 8 * lanes)
        self.check([tid, "IMAD R1, R0, -0x1, RZ"], 1, -lanes & 0xFFFFFFFF)
        self.check(["MOV R2, 0xffffffff", "IADD3 R1, R2, 0x2, RZ"], 1, 1)
        self.check([tid, "LEA R1, R0, 0x100, 0x4"], 1, 16 * lanes + 256)
        self.check([tid, "IADD3 R1, -R0, 0x5, RZ"], 1, 5 - lanes & 0xFFFFFFFF)

    def test_sixty_four_bits(self):
        wide = ["MOV R2, 0xfffffff0", "MOV R3, 0x1", "S2R R0, SR_TID.X"]
        total = np.uint64(0x1FFFFFFF0) + np.arange(32, dtype=np.uint64) * np.uint64(0xFFFFFFF0)
        self.check([*wide, "IMAD.WIDE.U32 R4, R0, 0xfffffff0, R2"], 4,
                   (total & np.uint64(0xFFFFFFFF)).astype(np.int64))
        self.check([*wide, "IMAD.WIDE.U32 R4, R0, 0xfffffff0, R2"], 5,
                   (total >> np.uint64(32)).astype(np.int64))
        self.check([*wide, "IMAD.WIDE R4, R0, -0x2, R2"], 5,
                   np.array([(0x1FFFFFFF0 - 2 * n) >> 32 for n in range(32)]))
        carry = ["MOV R2, 0xffffffff", "IADD3 R4, P0, R2, 0x1, RZ",
                 "IADD3.X R5, R2, RZ, RZ, P0, !PT"]
        self.check(carry, 5, 0)
        self.check(["MOV R1, 0x80000000", "SHF.L.U64.HI R2, R1, 0x1, RZ"], 2, 1)
        self.check(["MOV R1, 0x80000000", "SHF.R.S32.HI R2, RZ, 0x1f, R1"], 2, 0xFFFFFFFF)
        self.check(["MOV R1, 0x9", "IMAD.HI.U32 R2, R1, 0x40000000, RZ"], 2, 2)

    def test_logic_and_bytes(self):
        lanes = np.arange(32)
        tid = "S2R R0, SR_TID.X"
        self.check([tid, "LOP3.LUT R1, R0, 0x6, RZ, 0xc0, !PT"], 1, lanes & 6)
        self.check([tid, "LOP3.LUT R1, R0, 0x6, RZ, 0x3c, !PT"], 1, lanes ^ 6)
        self.check(["MOV R2, 0x11223344", "PRMT R1, R2, 0x4321, RZ"], 1, 0x00112233)
        self.check([tid, "VIMNMX R1, R0, 0x5, PT"], 1, np.minimum(lanes, 5))
        uniform = self.registers(["MOV R2, 0x9", "VIMNMX.U32 R1, R2, 0x5, PT"])
        self.assertIs(type(uniform.r[1]), int)
        self.assertEqual(uniform.r[1], 5)
        self.check([tid, "IABS R1, R0"], 1, lanes)
        self.check([tid, "ISETP.GT.AND P0, PT, R0, 0x9, PT", "SEL R1, R0, RZ, P0"], 1,
                   np.where(lanes > 9, lanes, 0))
        self.check(["HFMA2.MMA R1, -RZ, RZ, 1, 2"], 1, 0x3C004000)

    def test_constants_and_known_memory(self):
        bank = struct.pack("<4I", 7, 8, 9, 0x1000)
        self.check(["LDC R1, c[0x0][0x8]"], 1, 9, constants=bank)
        self.check(["MOV R2, 0x4", "LDC R1, c[0x0][R2]"], 1, 8, constants=bank)
        image = [(0x1000, struct.pack("<2I", 21, 22))]
        load = ["ULDC UR4, c[0x0][0xc]", "MOV R2, UR4", "MOV R3, RZ",
                "LDG.E R1, desc[UR6][R2.64+0x4]"]
        self.check(load, 1, 22, constants=bank, images=image)
        self.assertIsNone(self.registers([*load, "FADD R1, R1, R1"], constants=bank,
                                         images=image).r[1])

    def test_a_spilled_register_keeps_its_value(self):
        lanes = np.arange(32)
        spill = ["S2R R2, SR_TID.X", "MOV R3, 0x5", "STL.64 [R1+0x8], R2", "FADD R2, R2, R2"]
        self.check([*spill, "LDL.LU R4, [R1+0x8]    (*\"SpillRefill\"*)"], 4, lanes)
        self.check([*spill, "LDL.64 R4, [R1+0x8]"], 5, 5)
        self.check([*spill, "STL [R1+0xc], RZ", "LDL R4, [R1+0xc]"], 4, 0)
        self.check([*spill, "S2R R6, SR_TID.X",
                    "ISETP.GT.AND P0, PT, R6, 0x9, PT", "@P0 STL [R1+0x8], R3",
                    "LDL R4, [R1+0x8]"], 4, np.where(lanes > 9, 5, lanes))
        elsewhere = self.registers([*spill, "STL [R3], R3", "LDL R4, [R1+0x8]"])
        self.assertIsNone(elsewhere.r[4])

    def test_a_float_makes_unknown_what_depends_on_it(self):
        rows = ["MOV R1, 0x1", "FADD R2, R1, R1", "IADD3 R3, R2, R1, RZ",
                "LOP3.LUT R4, R2, RZ, RZ, 0xc0, !PT"]
        done = self.registers(rows)
        self.assertEqual((done.r[1], done.r[2], done.r[3], done.r[4]), (1, None, None, 0))

    def test_tables_are_those_of_the_operators(self):
        a, b, c = 0xF0, 0xCC, 0xAA
        for table in range(256):
            self.assertEqual(values.lookup(table, a, b, c) & 0xFF, table)


class ControlFlow(unittest.TestCase):
    def executed(self, rows, **known):
        return [entry for entry, _ in trace(rows, **known)]

    def test_a_loop_is_followed(self):
        rows = ["MOV R0, RZ", ".L:", "IADD3 R0, R0, 0x1, RZ", "ISETP.LT.AND P0, PT, R0, 0x3, PT",
                "@P0 BRA `(.L)", "EXIT"]
        self.assertEqual(self.executed(rows), [0, *[1, 2, 3] * 3, 4])

    def test_lanes_part_and_meet_again(self):
        rows = ["S2R R0, SR_TID.X", "BSSY B0, `(.M)", "ISETP.LT.AND P0, PT, R0, 0x8, PT",
                "@P0 BRA `(.T)", "STS [R0], R1", "BRA `(.M)", ".T:", "STS [R0], R1", ".M:",
                "BSYNC B0", "STS [R0], R1", "EXIT"]
        done = self.executed(rows)
        self.assertEqual([done.count(n) for n in range(10)], [1, 1, 1, 1, 1, 1, 1, 2, 1, 1])
        self.assertLess(max(done.index(4), done.index(6)), done.index(8))

    def test_a_branch_on_a_float_stays_in_the_kernel(self):
        rows = [".L:", "BAR.SYNC.DEFER_BLOCKING 0x0", "FSETP.GT.AND P0, PT, R1, RZ, PT",
                "@P0 BRA `(.O)", "IADD3 R0, R0, 0x1, RZ", "ISETP.LT.AND P1, PT, R0, 0x3, PT",
                "@P1 BRA `(.L)", ".O:", "EXIT"]
        made = program(rows)
        done = [k for k, _ in warp.Warp(made, 0).run()]
        self.assertEqual(done.count(3), 3)
        self.assertEqual(dict(made.unknown), {2: 3})

    def test_a_loop_around_an_atomic_operation_ends(self):
        rows = [".L:", "ATOMS.CAST.SPIN R2, [R0], R2, R3", "ISETP.EQ.U32.AND P0, PT, R2, 0x1, PT",
                "@!P0 BRA `(.L)", "EXIT"]
        self.assertEqual(self.executed(rows), [0, 1, 2, 3])

    def test_a_subroutine_counts_to_the_phase_that_calls_it(self):
        rows = ["CALL.REL.NOINC `($F)", "EXIT", "$F:", "FADD R0, R0, R0", "RET.REL.NODEC R2 `(.L)"]
        self.assertEqual(self.executed(rows), [0, 4 + 2, 4 + 3, 1])

    def test_what_is_not_modelled_is_refused(self):
        with self.assertRaisesRegex(cubin.CubinError, "LDGDEPBAR is not modelled"):
            program(["LDGDEPBAR", "EXIT"])

    def test_a_step_is_found(self):
        loop = [(n, 0) for n in range(10, 15)] * 4
        body = [*loop, *((n, 0) for n in range(20, 60)), *loop, (60, 1)]
        whole = [(1, 0), (2, 0), *body, *body[:-1], (60, 0), (3, 0), (4, 0)]
        self.assertEqual(warp.step_bounds(whole), (2, len(body)))
        with self.assertRaises(cubin.CubinError):
            warp.step_bounds([(n, 0) for n in range(50)])

    def test_steps_of_all_warps_begin_between_the_same_barriers(self):
        step = [(1, 0), (50, 1), (2, 0), (3, 0), (50, 1), (4, 0), (51, 1), (5, 0)]
        places = [1, 4, 6]
        self.assertEqual(model.rotated(step, places, [50, 50, 51]), step)
        self.assertEqual(model.rotated(step, places, [50, 51, 50]), step[2:] + step[:2])
        self.assertEqual(model.rotated(step, places, [51, 50, 50]), step[5:] + step[:5])
        with self.assertRaises(cubin.CubinError):
            model.rotated(step, places, [51, 51, 50])

    def test_a_far_jump_is_no_call(self):
        rows = ["CALL.REL.NOINC `(.F)", "EXIT", ".F:", "FADD R0, R0, R0", "EXIT"]
        self.assertEqual(self.executed(rows), [0, 2, 3])


class Scheduler(unittest.TestCase):
    def chain(self, count, stall):
        return [*[("FFMA R1, R1, R2, R3", {"stall": stall})] * count, "EXIT"]

    def test_stall_counts_are_kept(self):
        self.assertEqual(cycles(self.chain(16, 4)), 65)
        self.assertEqual(cycles(self.chain(16, 1)), 17)

    def test_warps_of_a_scheduler_share_its_issue_slots(self):
        self.assertEqual(cycles(self.chain(16, 1), warps=4), 17)
        self.assertEqual(cycles(self.chain(16, 1), warps=16), 4 * 17)
        self.assertEqual(cycles(self.chain(16, 4), warps=16), 64 + 4)

    def test_half_an_fma_pipe_takes_two_cycles(self):
        self.assertEqual(cycles(self.chain(16, 1), card=A100), 32)
        products = [*[("IMAD R1, R1, R2, R3", {"stall": 1})] * 16, "EXIT"]
        self.assertEqual(cycles(products), 32)
        mixed = [row for _ in range(8) for row in (products[0], self.chain(1, 1)[0])]
        self.assertEqual(cycles([*mixed, "EXIT"]), 17)

    def test_a_scoreboard_is_waited_for(self):
        rows = [("LDS R1, [RZ]", {"write": 0}), ("FADD R2, R1, R1", {"wait": 1}), "EXIT"]
        self.assertEqual(cycles(rows), 1 + 1 + H100.shared_latency - 1 + 1)
        self.assertEqual(cycles(rows, ideal=("lds",)), H100.shared_latency + 1)
        rows[1] = ("FADD R2, R1, R1", {"wait": 2})
        self.assertEqual(cycles(rows), 3)

    def test_conflicts_fill_the_queue(self):
        rows = ["S2R R0, SR_TID.X", "IMAD R0, R0, 0x80, RZ",
                *[("LDS R1, [R0]", {"stall": 2})] * 32, "EXIT"]
        self.assertAlmostEqual(cycles(rows), 31 * 32 - cards.MEMORY_QUEUE_CYCLES, delta=8)
        self.assertLess(cycles(rows, ideal=("lds",)), 80)

    def test_doubles_of_ada_have_one_unit(self):
        rows = [*[("DFMA R2, R2, R4, R6", {"stall": 1})] * 16, "EXIT"]
        self.assertEqual(cycles(rows, warps=4), 32)
        self.assertEqual(cycles(rows, warps=4, card=A100), 62)
        self.assertEqual(cycles([*[("DFMA R2, R2, R4, R6", {"write": 0, "wait": 1})] * 16, "EXIT"],
                                warps=4, card=ADA) // 100, 9)

    def test_a_barrier_holds_all_warps_of_a_block_and_no_others(self):
        rows = ["S2R R0, SR_TID.X", "ISETP.GE.AND P0, PT, R0, 0x20, PT", "@P0 BRA `(.B)",
                *self.chain(25, 4)[:-1], ".B:", "BAR.SYNC.DEFER_BLOCKING 0x0", "FADD R1, R1, R1",
                "EXIT"]
        alone = cycles(rows)
        self.assertEqual(cycles(rows, warps=2), alone)
        self.assertEqual(cycles(rows, warps=2, blocks=2), alone)
        made = program(rows)
        block = [(warp.Warp(made, 32 * n).run(), 0) for n in range(2)]
        counts = replay.Multiprocessor(H100, made.code).run([block], len(made.code))
        self.assertGreater(sum(counts.waited[replay.BARRIER]), 90)
        free = replay.Multiprocessor(H100, made.code, ["bar"]).run([block], len(made.code))
        self.assertEqual(sum(free.waited[replay.BARRIER]), 0)

    def test_a_barrier_whose_predicate_is_false_is_none(self):
        rows = ["ISETP.GE.AND P0, PT, RZ, 0x1, PT", "@P0 BAR.SYNC.DEFER_BLOCKING 0x0", "EXIT"]
        self.assertEqual(cycles(rows, warps=2), 3)

    def test_a_pipe_without_cost_takes_an_instruction_a_cycle(self):
        for cost, text in (("fma", "IMAD R1, R1, R2, R3"), ("alu", "LOP3.LUT R1, R0, R2, RZ, 0xc0, !PT"),
                           ("xu", "MUFU.RCP R1, R1"), ("double", "DFMA R2, R2, R4, R6"),
                           ("tensor", "HMMA.1688.F32.TF32 R4, R8, R10, R4")):
            with self.subTest(cost):
                rows = [*[(text, {"stall": 1})] * 16, "EXIT"]
                self.assertGreater(cycles(rows), 30)
                self.assertEqual(cycles(rows, ideal=(cost,)), 17)

    def test_waits_without_cost_take_no_time(self):
        self.assertEqual(cycles(self.chain(16, 4), ideal=("fixed",)), 17)
        rows = [("LDS R1, [RZ]", {"write": 0}), ("FADD R2, R1, R1", {"wait": 1}), "EXIT"]
        self.assertEqual(cycles(rows, ideal=("short",)), 3)

    def test_issue_slots_without_cost_serve_all_warps_at_once(self):
        self.assertLessEqual(cycles(self.chain(16, 1), warps=16, ideal=("issue", "fma")), 17 + 3)

    def test_integer_instructions_are_those_that_no_scoreboard_orders(self):
        made = program(["IADD3 R1, R2, R3, RZ", "IMAD R1, R2, R3, R4", "FSETP.GT.AND P0, PT, R1, RZ, PT",
                        ("IADD3 R1, R2, R3, RZ", {"wait": 1}), "FFMA R1, R1, R2, R3", "EXIT"])
        self.assertEqual([model.is_integer(i) for i in made.code], [True, True, False, False, False, False])

    def test_every_cycle_of_a_warp_has_a_reason(self):
        rows = [("LDG.E R1, desc[UR4][R2.64]", {"write": 0}), ("LDS R4, [RZ]", {"write": 1}),
                ("FADD R1, R1, R4", {"wait": 3, "stall": 4}), "BAR.SYNC.DEFER_BLOCKING 0x0",
                *[("MUFU.RCP R1, R1", {"write": 2, "wait": 4})] * 8, "EXIT"]
        made = program(rows)
        block = [(warp.Warp(made, 32 * n).run(), 0) for n in range(8)]
        counts = replay.Multiprocessor(H100, made.code).run([block] * 2, len(made.code))
        state_cycles = sum(map(sum, counts.waited))
        self.assertAlmostEqual(state_cycles / 16, counts.cycles + 1, delta=12)
        self.assertEqual(sum(counts.waited[replay.ISSUED]), 16 * len(made.code))

    def test_only_what_comes_after_the_start_is_counted(self):
        made = program(self.chain(16, 4))
        one = warp.Warp(made, 0).run()
        counts = replay.Multiprocessor(H100, made.code).run([[(one, 8)]], len(made.code))
        self.assertEqual((counts.cycles, sum(counts.issued)), (32, 9))


class Sources(unittest.TestCase):
    def test_the_digest_is_of_the_kernels_and_headers(self):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "kernels", "part"))
            digests = [sources.source_hash(root)]
            for name, text in (("kernels/part/a.cuh", "1"), ("kernels/part/a.cuh", "2"), ("kernels/b.cu", "2"),
                               ("notes.md", "3")):
                with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                    file.write(text)
                digests.append(sources.source_hash(root))
        self.assertEqual(len(set(digests)), 4)
        self.assertEqual(digests[3], digests[4])


class Launch(unittest.TestCase):
    def test_blocks_that_fit(self):
        self.assertEqual(launch.resident_blocks(H100, 128, 168, 95104), 2)
        self.assertEqual(launch.resident_blocks(H100, 256, 255, 232448), 1)
        self.assertEqual(launch.resident_blocks(H100, 256, 255, 232449), 0)
        self.assertEqual(launch.resident_blocks(H100, 1024, 32, 0), 2)
        self.assertEqual(launch.resident_blocks(H100, 128, 255, 1024), 2)
        self.assertEqual(launch.resident_blocks(ADA, 64, 32, 1024), 24)

    def test_arguments_are_those_of_the_kernels(self):
        with tempfile.TemporaryDirectory() as scratch:
            made = launch.compile_arguments(ROOT, scratch)
            shape = launch.Shape(32, 20, 6, 100)
            got = launch.read_arguments(made, shape, "fused", 2)
            self.assertEqual(struct.unpack_from("<4i", got.parameters), (6, 32, 20, 100))
            self.assertEqual(struct.unpack_from("<q", got.parameters[-8:]), (2,))
            self.assertGreater(got.shared_bytes, 4 * 5 * 32 * 32)
            self.assertEqual(struct.unpack_from("<qi", got.track), (7, 0))
            with self.assertRaisesRegex(cubin.CubinError, "no activation is named none"):
                launch.read_arguments(made, dataclasses.replace(shape, activation="none"), "fused", 2)

    def test_the_kernel_is_the_one_that_pads_least(self):
        kernels = launch.Kernels.__new__(launch.Kernels)
        kernels.listings = [f"esc_fused_kernel_ILi{width}EELi2EE" for width in (8, 12, 16, 32)]
        for width, padded in ((1, 8), (8, 8), (9, 12), (13, 16), (17, 32)):
            self.assertIn(f"ILi{padded}E", kernels.find(launch.Shape(width, width, 2, 64), 2))
        with self.assertRaisesRegex(cubin.CubinError, "no kernel for width 33"):
            kernels.find(launch.Shape(33, 33, 2, 64), 2)

    def test_a_network_without_padding_has_a_kernel_of_its_own(self):
        kernels = launch.Kernels.__new__(launch.Kernels)
        padded, unpadded = "esc_fused_kernelI8productsILi16EELi2EE", \
            "esc_fused_kernelI18esc_fused_unpaddedI8productsILi16EEELi2EE"
        kernels.listings = [padded, unpadded]
        for width, inputs, found in ((16, 16, unpadded), (16, 15, padded), (15, 15, padded)):
            self.assertEqual(kernels.find(launch.Shape(width, inputs, 2, 64), 2), found)

    def test_functions_are_found_in_formatted_sources(self):
        spans = phases.function_spans(os.path.join(ROOT, "kernels", "fused_step.cuh"))
        names = {name: (first, last) for first, last, name in spans}
        with open(os.path.join(ROOT, "kernels", "fused_step.cuh"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        first, last = names["esc_fused_step"]
        self.assertIn("esc_fused_step(", "".join(lines[first - 1:first + 2]))
        self.assertEqual(lines[last - 1], "}")
        self.assertIn("return true;", lines[last - 2])

    def test_every_phase_has_a_function_in_the_sources(self):
        found = phases.Phases(ROOT)
        names = {name for spans in found.spans.values() for _, _, name in spans}
        for pattern, phase in phases.PHASES[:-1]:
            with self.subTest(pattern):
                self.assertTrue([n for n in names if found.find([n]) == phase])


def find_tools():
    """nvcc and nvdisasm; the tests that need them are skipped where one is missing."""
    nvcc = launch.find_nvcc()
    if not nvcc:
        raise unittest.SkipTest("nvcc was not found")
    try:
        return nvcc, cubin.find_nvdisasm(os.environ.get("NVDISASM_FOLDER"))
    except cubin.CubinError as error:
        raise unittest.SkipTest(str(error)) from error


class CommandLine(unittest.TestCase):
    def test_two_tables_are_compared_row_by_row(self):
        def row(ms, **changes):
            return {"path": "fused", "width": 32, "batch": 64, "card": "h100", "fits": True, "ms": ms,
                    "cycles": 28200, "fp32_fraction": 0.26, **changes}

        def rows(*given):
            return {(r["path"], r["width"], r["batch"], r["card"]): r for r in given}

        lines = report.compare(rows(row(0.2)), rows(row(0.1), row(1, card="l40s", fits=False),
                                                    row(0.3, width=8))).splitlines()
        self.assertEqual(lines[2:], ["| fused | 32 | 64 | 0.200 → 0.100 | – | 2.00 | 28.2 | 26% |",
                                     "| fused | 8 | 64 | 0.300 | – |  | 28.2 | 26% |"])
        self.assertEqual({line.count("|") for line in lines}, {9})

    def test_costs_are_listed_by_what_they_shorten(self):
        def row(ms, *ideal):
            return {"path": "fused", "card": "h100", "width": 32, "inputs": 32, "layers": 6, "batch": 64,
                    "activation": "tanh", "networks": 1024, "fits": True, "ideal": list(ideal), "ms": ms}

        lines = report.binding([row(0.2), row(0.19, "lds"), row(0.1, "bar")]).splitlines()
        self.assertEqual([line.split()[:3] for line in lines[2:]],
                         [["0.200"], ["bar", "0.100", "-50.0%"], ["lds", "0.190", "-5.0%"]])

    def test_what_cannot_be_modelled_or_written_is_refused_before_the_work(self):
        with tempfile.TemporaryDirectory() as folder:
            for arguments, words in (
                    (["--lines", "-3"], "lines at least 0"), (["-L", "9999999"], "at most 64"),
                    (["-B", "1025"], "at most 1024"),
                    (["--binding", "--table"], "of one shape"), (["--networks", "0"], "at least 1"),
                    (["--bits", "--binding"], "without costs"), (["--steps", "2"], "are of --bits"),
                    (["--json", os.path.join(folder, "none", "x")], "No such file"),
                    (["--json", folder], "Is a directory")):
                done = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "gpu_model"), *arguments],
                                      capture_output=True, text=True, check=False)
                with self.subTest(arguments):
                    self.assertEqual((done.returncode, done.stdout), (2, ""))
                    self.assertIn(words, done.stderr)
            self.assertEqual(os.listdir(folder), [])


class Micro(unittest.TestCase):
    """Kernels whose cycles are known, through nvcc."""

    @classmethod
    def setUpClass(cls):
        nvcc, nvdisasm = find_tools()
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.kernels = {}
        for card in (H100, A100):
            out = os.path.join(cls.scratch.name, f"{card.architecture}.cubin")
            source = os.path.join(ROOT, "tests", "gpu_model_micro.cu")
            subprocess.run([nvcc, "-std=c++17", "-O3", f"-arch=sm_{card.architecture}", "-cubin",
                            "-o", out, source], check=True)
            cls.kernels[card] = launch.Kernels(out, nvdisasm, ROOT)

    def total(self, card, name, repetitions, threads):
        numbers = struct.pack("<4xdd" if "dfma" in name else "<ff", 0.5, 0.25)
        given = struct.pack("<Qi", 1 << 44, repetitions) + numbers
        arguments = launch.Arguments(65536, 0, given, b"")
        made = self.kernels[card].program(name, arguments, threads)
        block = [(one, 0) for one in launch.traces(made, threads)]
        return replay.Multiprocessor(card, made.code, ["l2"]).run([block], 4 * len(made.code)).total

    def repetition(self, card, name, threads):
        """Cycles of one of the kernel's repetitions, of 64 operations a warp."""
        return (self.total(card, name, 12, threads) - self.total(card, name, 4, threads)) / 8

    def test_known_cycles(self):
        for card, name, threads, known in (
                (H100, "dependent_ffma", 128, 64 * 4), (A100, "dependent_ffma", 128, 64 * 4),
                (H100, "independent_ffma", 128, 64), (H100, "independent_ffma", 512, 4 * 64),
                (A100, "independent_ffma", 512, 4 * 128), (H100, "independent_dfma", 512, 4 * 128),
                (A100, "independent_dfma", 512, 4 * 256), (H100, "load_neighbours", 512, 16 * 64),
                (H100, "load_conflicts", 512, 16 * 64 * 8), (H100, "load_wide", 512, 16 * 64 * 4)):
            with self.subTest(name, architecture=card.architecture, threads=threads):
                got = self.repetition(card, name, threads)
                self.assertGreaterEqual(got, 0.99 * known)
                self.assertLessEqual(got, 1.3 * known)

    def test_a_barrier_costs_its_latency(self):
        got = self.repetition(H100, "barriers", 128) / 64
        self.assertAlmostEqual(got, H100.barrier_latency, delta=2)


@functools.lru_cache
def build_of_the_tree():
    _, nvdisasm = find_tools()
    return model.Build(ROOT, os.path.dirname(nvdisasm), expected=EXPECTED)


class Whole(unittest.TestCase):
    """The model of the project's kernel."""

    @classmethod
    def setUpClass(cls):
        cls.build = build_of_the_tree()
        cls.shape = launch.Shape(16, 16, 3, 64)
        cls.result = cls.model()

    @classmethod
    def model(cls, *ideal):
        return model.model(cls.build, cls.shape, "fused", "h100", ideal)

    def test_a_step_is_within_its_bounds(self):
        got = self.result
        multiply_adds = self.shape.multiply_adds() / 32
        self.assertGreater(got["instructions"], multiply_adds)
        self.assertGreater(got["cycles"], got["instructions"] / 4)
        self.assertGreater(got["cycles"], got["wavefronts"])
        self.assertGreater(got["fp32_fraction"], 0.05)
        for share in (got["issue_slots"], got["shared_memory"], got["l2"], *got["pipes"].values()):
            self.assertTrue(0 <= share <= 1)
        for rows in (got["phases"], got["lines"]):
            self.assertAlmostEqual(sum(row["share"] for row in rows.values()), 1, 6)
            self.assertAlmostEqual(sum(row["instructions"] for row in rows.values()),
                                   got["instructions"], delta=len(rows))
        self.assertAlmostEqual(sum(got["stalls"].values()), 1, 6)

    def test_every_phase_has_instructions(self):
        self.assertEqual(set(self.result["phases"]), set(phases.NAMES))
        forward = self.shape.batch * 2 * 16 * 16 / 32
        self.assertGreaterEqual(self.result["phases"]["forward: products"]["instructions"], forward)
        self.assertLess(self.result["phases"]["rest"]["share"], 0.15)

    def test_a_row_of_kernels_is_what_the_model_takes(self):
        row = model.kernel_row(self.build, self.shape, "fused", "h100")
        for key in ("threads", "registers", "shared_bytes", "blocks"):
            self.assertEqual(row[key], self.result[key], key)
        self.assertEqual((row["stack"], row["local_accesses"]), (0, 0))

    def test_a_cost_that_vanishes_makes_a_step_shorter(self):
        for ideal in ("lds", "l2", "bar", "div"):
            with self.subTest(ideal):
                self.assertLess(self.model(ideal)["cycles"], self.result["cycles"])
        self.assertLess(self.model("lds", "l2", "bar", "div")["cycles"],
                        0.9 * self.result["cycles"])
        self.assertLess(self.model("div", "int")["instructions"], 0.95 * self.result["instructions"])


class Bits(unittest.TestCase):
    """What the machine code of the project's smallest kernel leaves in memory."""

    @classmethod
    def setUpClass(cls):
        cls.build = build_of_the_tree()
        cls.shape = launch.Shape(8, 8, 2, 5)

    def test_results_are_the_harnesss_whatever_the_last_bit_of_reciprocals_and_roots(self):
        for ulps in (-1, 0, 1):
            row = bits.check(self.build, self.shape, "fused", ulps=ulps)
            self.assertEqual(set(row["differences"].values()), {0}, row["differences"])
            self.assertGreater(row["changed"]["weights"], 100)

    def test_a_flipped_bit_of_the_expected_weights_is_one_difference(self):
        read = bits.read_expected

        def flipped(*arguments):
            expected = read(*arguments)
            weights = next(a for a in expected.arrays if a.name == "weights")
            weights.after[3] ^= 1
            return expected
        with unittest.mock.patch.object(bits, "read_expected", flipped):
            row = bits.check(self.build, self.shape, "fused")
        self.assertEqual({name: n for name, n in row["differences"].items() if n}, {"weights": 1})


if __name__ == "__main__":
    unittest.main(verbosity=2)
