# SPDX-License-Identifier: Apache-2.0
"""A kernel with a product that is rounded before its sum fails its test of bits, and no other
kernel does.

usage: test_planted.py PROGRAM KERNEL

PROGRAM: test_kernels, linked with the translation of what plant_fma.py made of KERNEL's module."""
import re
import subprocess
import sys


def main(program, kernel):
    done = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    failed = set(re.findall(r"\[  FAILED  \] (?!.*test\(s\))(.+)", done.stdout))
    passed = re.findall(r"\[       OK \] (.+)", done.stdout)
    if done.returncode == 0 or not failed:
        sys.exit(f"the planted error is not noticed:\n{done.stdout}")
    others = [line for line in failed if not line.startswith(kernel)]
    if others or not passed:
        sys.exit(f"other tests failed: {others}\n{done.stdout}")
    print(f"noticed by: {', '.join(sorted(failed))}")


main(*sys.argv[1:])
