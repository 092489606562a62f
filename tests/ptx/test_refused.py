# SPDX-License-Identifier: Apache-2.0
"""What must not be translated is refused, with its line and what it is."""
import unittest

from ptx_text import Refused
from ptx_to_cc import translate

HEAD = ".version 7.0\n.target sm_80\n.address_size 64\n"
KERNEL = HEAD + """.visible .entry kernel(.param .u64 kernel_out)
{
.reg .pred %p<4>; .reg .b16 %rs<4>; .reg .b32 %r<4>; .reg .b64 %rd<4>; .reg .f32 %f<4>;
.reg .f64 %fd<4>;
INSTRUCTION
ret;
}
"""

UNKNOWN = (
    "tanh.approx.f32 %f1, %f2", "ex2.approx.ftz.f32 %f1, %f2", "div.full.f32 %f1, %f2, %f3",
    "add.sat.s32 %r1, %r2, %r3", "add.rz.f32 %f1, %f2, %f3", "fma.rn.ftz.f32 %f1, %f2, %f3, %f1",
    "dp4a.u32.u32 %r1, %r2, %r3, %r1", "brx.idx %r1, table", "shfl.up.b32 %r1, %r2, %r3, 0",
    "ld.volatile.global.u32 %r1, [%rd1]", "ld.global.v8.f32 %f1, [%rd1]",
    "atom.global.cas.b32 %r1, [%rd1], %r2, %r3")


class Refusals(unittest.TestCase):
    def refuse(self, instruction, message):
        with self.assertRaises(Refused) as caught:
            translate("x.ptx", KERNEL.replace("INSTRUCTION", instruction))
        self.assertTrue(str(caught.exception).startswith("8: "), caught.exception)
        self.assertIn(message, str(caught.exception))

    def refuse_module(self, text, message):
        with self.assertRaises(Refused) as caught:
            translate("x.ptx", text)
        self.assertIn(message, str(caught.exception))

    def test_the_kernel_without_a_fault_is_translated(self):
        text = KERNEL.replace("INSTRUCTION", "add.u32 %r1, %r2, %r3;")
        self.assertIn("r1 = r2 + r3;", translate("x.ptx", text))

    def test_unknown_instructions(self):
        for instruction in UNKNOWN:
            with self.subTest(instruction):
                self.refuse(f"{instruction};", f"unknown instruction {instruction.split()[0]}")
        self.refuse("setp.lt.f32 %p1|%p2, %f1, %f2;", "%p1|%p2")
        self.refuse("ld.global.v4.f32 {%f1, %f2}, [%rd1];", "not 4 values")

    def test_sums_that_ptxas_may_fuse(self):
        for opcode in ("add.f32", "mul.f32", "sub.f32", "add.f64", "mul.f64", "sub.f64"):
            self.refuse(f"{opcode} %f1, %f2, %f3;", "without .rn, which ptxas may fuse")

    def test_operands_that_do_not_fit(self):
        self.refuse("add.s32 %r1, %r2, %rd3;", "%rd3, a .b64, as .u32")
        self.refuse("mov.f32 %f1, %rd3;", "%rd3, a .b64, as .f32")
        self.refuse("add.s32 %rs1, %r2, %r3;", "%rs1, a .b16, for a .u32")
        self.refuse("selp.b32 %r1, %r2, %r3, %r1;", "as .pred")
        self.refuse("mov.u32 %r1, %unknown;", "operand %unknown")
        self.refuse("mov.u32 %r1, %clock;", "operand %clock")
        self.refuse("mov.u32 %r9, 0;", "%r9, which is no register")
        self.refuse("add.s32 %r1, %r2;", "operands of add.s32")
        self.refuse("ld.global.f32 %rd1, [%rd2];", "%rd1, a .b64, for a .f32")
        self.refuse("ld.global.u32 %r1, [nowhere];", "address [nowhere]")

    def test_other_threads(self):
        self.refuse("bar.sync 1;", "a barrier other than 0")
        self.refuse("bar.sync 0, 64;", "a barrier other than 0")
        self.refuse("call.uni elsewhere, ();", "elsewhere, which is not in this module")

    def test_modules(self):
        outside = "4: not known outside of functions: "
        self.refuse_module(HEAD + ".global .align 4 .u32 counter;\n", outside + ".global")
        self.refuse_module(HEAD + ".extern .func (.param .b32 r) f(.param .b64 a);\n", outside)
        self.refuse_module(HEAD + ".entry kernel()\n{\nret;\n", "4: a brace that is not closed")
        self.refuse_module(KERNEL.replace(".u64 kernel", ".b32 kernel"), "a float or an integer?")
        self.refuse_module(KERNEL.replace(".u64 kernel_out", ".align 4 .b8 kernel_out[8]"),
                           "passed in registers")


unittest.main()
