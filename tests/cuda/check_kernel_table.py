# SPDX-License-Identifier: Apache-2.0
"""Every kernel of the sources has a test, and every tested kernel a source.

Usage: check_kernel_table.py KERNELS_FOLDER TEST_PROGRAM...
"""
import pathlib
import re
import subprocess
import sys

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
ATTRIBUTE = re.compile(r"__(?:launch_bounds|cluster_dims|maxnreg)__\s*\((?:[^()]|\([^()]*\))*\)")
KERNEL = re.compile(r"__global__\b[^;{}()]*?\b(\w+)\s*\(")


def kernels(path):
    """Names of the __global__ functions of one source."""
    text = ATTRIBUTE.sub(" ", COMMENT.sub(" ", path.read_text()))
    names = KERNEL.findall(text)
    if len(names) != text.count("__global__"):
        sys.exit(f"{path}: a __global__ function whose name this script cannot read")
    return names


def main(folder, *programs):
    sources = [p for p in sorted(pathlib.Path(folder).iterdir()) if p.suffix in (".cu", ".cuh", ".h")]
    written = {name for path in sources for name in kernels(path)}
    tested = [name for program in programs
              for name in subprocess.run([program, "--list"], check=True, text=True,
                                         stdout=subprocess.PIPE).stdout.split()]
    faults = [f"no test for kernel {name}" for name in sorted(written - set(tested))]
    faults += [f"test for {name}, which is no kernel" for name in sorted(set(tested) - written)]
    faults += [f"{name} is in the table twice" for name in sorted(set(tested))
               if tested.count(name) > 1]
    if not written:
        faults.append(f"no kernels in {folder}")
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(written)} kernels, all with a test")


main(*sys.argv[1:])
