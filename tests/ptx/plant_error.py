# SPDX-License-Identifier: Apache-2.0
"""Plants the error that the kernels must not have: another rounding than the source asks for.

usage: plant_error.py MODULE.ptx OUTPUT.ptx

Splits the first fused multiply-add of every function into the product and the sum. (The other
way round there is nothing to plant: the kernels' sources leave no sum of an inexact product that a
compiler could fuse.)"""
import pathlib
import re
import sys

FUSED = re.compile(r"fma\.rn\.f32\s+(%\w+), ([^,]+), ([^,]+), ([^;]+);")
SPLIT = r"{ .reg .f32 %product; mul.rn.f32 %product, \2, \3; add.rn.f32 \1, %product, \4; }"


def main(source, output):
    functions = pathlib.Path(source).read_text().split("\n}\n")
    planted = [FUSED.sub(SPLIT, function, count=1) for function in functions]
    if planted == functions:
        sys.exit(f"{source}: no fused multiply-add")
    pathlib.Path(output).write_text("\n}\n".join(planted))


main(*sys.argv[1:])
