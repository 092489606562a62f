# SPDX-License-Identifier: Apache-2.0
"""The backend `reference` against NumPy's evaluation of the same random numbers and equations, and the
layouts of C's structs against the compiler's.

Usage: test_reference.py PROGRAM C_COMPILER INCLUDE_FOLDER... -- [unittest arguments]
"""
import subprocess
import sys
import unittest

import numpy

import escapement
from case import SPEC, Case
from escapement import numpy_reference
from escapement._library import ffi

END = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
COMPILER, *FOLDERS = sys.argv[1:END]


class Reference(Case):
    def test_a_member_in_numpy_is_that_of_the_backend(self):
        """Inputs that fill no block of four normals; escapes, and a budget that ends first."""
        sweep = escapement.Sweep(**SPEC).replace("network.inputs=6", "sweep.seed=4294967295",
                                                 "train.steps=60")
        data = sweep.run(backend="reference")
        self.assertEqual(set(data.status.values), {0, 1})
        for i in range(data.sizes["member"]):
            member = data.isel(member=i)
            scales = [float(member.scale) if layer in range(int(member.bottleneck)) else 1.0
                      for layer in range(4)]
            found = numpy_reference.train(
                int(member.seed), scales, width=8, inputs=6, batch=32, rate=0.05, steps=60,
                thresholds=[0.1, 0.08], smoothing=0.9)
            for name, value in vars(found).items():
                with self.subTest(member=i, variable=name):
                    tolerance = 0 if name in ("escape_step", "steps_run") else 2e-6
                    numpy.testing.assert_allclose(value, member[name].values, rtol=tolerance)

    def test_normals_are_standard(self):
        drawn = numpy_reference.normals(7, numpy_reference.DATA, 3, 0, 25000).astype(float)
        self.assertLess(abs(drawn.mean()), 4 / drawn.size**0.5)
        self.assertLess(abs(drawn.var() - 1), 4 * (2 / drawn.size)**0.5)


class Layouts(Case):
    def structs(self):
        """The complete ones, by their typedefs."""
        for name in ffi.list_types()[0]:
            try:
                kind = ffi.typeof(name)
            except ffi.error:  # of a function
                continue
            if kind.kind == "struct" and kind.fields:
                yield name, kind

    def test_structs_and_enumerators_are_the_compilers(self):
        checks, fields = [], 0
        for name, struct in self.structs():
            checks.append(f"sizeof({name}) == {ffi.sizeof(struct)}")
            for field, where in struct.fields:
                fields += 1
                checks.append(f"offsetof({name}, {field}) == {where.offset}")
        for name in ("esc_status", "esc_type", "esc_member_status", "esc_law", "esc_block_level"):
            checks += [f"{word} == {value}" for value, word in ffi.typeof(name).elements.items()]
        self.assertGreater(fields, 200)
        text = "#include <stddef.h>\n#include <escapement/escapement.h>\n" + "".join(
            f'_Static_assert({check}, "{check}");\n' for check in checks)
        done = subprocess.run([COMPILER, "-std=c17", "-fsyntax-only", "-xc", *FOLDERS, "-"], input=text,
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[END + 1:]])
