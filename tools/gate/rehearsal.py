# SPDX-License-Identifier: Apache-2.0
"""A rehearsal of the gate without a GPU: the programs of a build on the SIMT harness, which run
every kernel on the CPU, and stand-ins for NVIDIA's tools, which start the programs as the tools
would. It finds faults of the gate; its times have no meaning."""
import os

from .bundle import Programs, built_tests, commit, output_of
from .calls import Refusal

DEVICE = "SIMT harness"

# Each starts the program that it is given.
STAND_INS = {
    "nvidia-smi": '''#!/bin/sh
echo "SIMT harness, 00000000:01:00.0, none, none, 0 MiB, 9.0, 0 MHz, 0 MHz, 0 MHz, 0 MHz, 0 W, 0"
''',
    "compute-sanitizer": '''#!/bin/sh
# --tool NAME --error-exitcode CODE PROGRAM ...
shift 4
"$@" || exit
echo "========= ERROR SUMMARY: 0 errors (a stand-in)"
''',
    "ncu": '''#!/bin/sh
# OPTIONS --log-file LOG PROGRAM ...
while [ "$1" != --log-file ]; do shift; done
log=$2
shift 2
"$@" || exit
echo "    Section: GPU Speed Of Light Throughput (a stand-in)" >"$log"
'''}

# Of the tests of label simt, those that also run on a device.
TESTS = ("test_kernels", "test_cuda_engine", "test_engine", "test_optimizer", "test_fused_products")


def write_stand_ins(folder):
    """Puts them before all other programs on PATH."""
    os.makedirs(folder)
    for name, text in STAND_INS.items():
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
    os.environ["PATH"] = folder + os.pathsep + os.environ["PATH"]


def open_harness(build_folder):
    """Programs of a build, in place of those for a device."""
    folder = os.path.abspath(build_folder)
    program = os.path.join(folder, "tests", "cuda", "escapement_simt")
    tests = [test for test in built_tests(folder, "simt")
             if test["name"] in [name + "_simt" for name in TESTS]]
    for path in (program, *(test["command"][0] for test in tests)):
        if not os.path.exists(path):
            raise Refusal(f"{path}: not built; cmake --build {build_folder} --target "
                          + os.path.basename(path))
    return Programs(program, tests, {
        "bundle": False, "harness": True, "version": output_of(program, "--version"),
        "commit": commit(program), "toolkit": "none", "left_out": []})
