# SPDX-License-Identifier: Apache-2.0
"""Writes the Python package's view of the C API: the public headers, as the C compiler's preprocessor
gives them, in the form that cffi loads without a compiler (out-of-line, ABI mode).

Usage: declare.py C_COMPILER OUTPUT.py INCLUDE_FOLDER...
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import cffi

STANDARD = ("stdbool.h", "stddef.h", "stdint.h")  # whose types cffi knows itself
NUMBER = re.compile(r"#define (ESC_\w+) (\(?-?[0-9.][0-9.e+-]*\)?|\"[^\"]*\")$", re.M)


def preprocess(compiler, folders, *options):
    """The text of escapement.h without the standard headers and without compiler extensions."""
    with tempfile.TemporaryDirectory() as empty:
        for name in STANDARD:
            pathlib.Path(empty, name).touch()
        command = [compiler, "-E", "-undef", "-nostdinc", *options, f"-I{empty}",
                   *(f"-I{folder}" for folder in folders), "-"]
        return subprocess.run(command, input='#include "escapement/escapement.h"\n', text=True,
                              stdout=subprocess.PIPE, check=True).stdout


def soname(constants):
    """As cmake/library.cmake has it: before 1.0 a minor version may change the ABI."""
    major, minor = constants["ESC_VERSION_MAJOR"], constants["ESC_VERSION_MINOR"]
    return f"libescapement.so.{major}" if major else f"libescapement.so.0.{minor}"


def main(compiler, output, *folders):
    ffi = cffi.FFI()
    ffi.cdef(preprocess(compiler, folders, "-P"))
    ffi.cdef("void free(void *);")  # of texts that the library hands out
    ffi.set_source("_declarations", None)
    ffi.emit_python_code(output)
    macros = preprocess(compiler, folders, "-dM")
    constants = {name: eval(value, {}) for name, value in NUMBER.findall(macros)}  # literals
    with open(output, "a", encoding="utf-8") as file:
        file.write(f"constants = {constants!r}\nsoname = {soname(constants)!r}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
