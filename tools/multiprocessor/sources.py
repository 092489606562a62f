# SPDX-License-Identifier: Apache-2.0
"""The sources of a model, which its table names. Without numpy, which a GPU node may lack."""
import glob
import hashlib
import os

HERE = os.path.dirname(os.path.abspath(__file__))
# As cmake/parts.cmake has them.
NVCC_FLAGS = ("-std=c++17", "-O3", "-fmad=false", "-lineinfo", "-cubin")


def source_hash(root):
    """Of the files that a kernel and its arguments are made of, and the compiler's options."""
    total = hashlib.sha256(" ".join(NVCC_FLAGS).encode())
    paths = [path for folder in ("include", "kernels") for path in
             sorted(glob.glob(os.path.join(root, folder, "**", "*.*"), recursive=True))]
    for path in [*paths, os.path.join(HERE, "arguments.cc")]:
        with open(path, "rb") as file:
            total.update(os.path.relpath(path, root).encode() + file.read())
    return total.hexdigest()[:16]
