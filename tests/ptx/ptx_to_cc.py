# SPDX-License-Identifier: Apache-2.0
"""Translates nvcc's PTX into C++ for the SIMT harness, one statement an instruction.

usage: ptx_to_cc.py MODULE.ptx OUTPUT.cc

Each .entry becomes a function with the kernel's own mangled name and parameters, and so takes the
place of the kernel that a host compiler made of the same source. An instruction that is not known
is refused with its line, never guessed."""
import pathlib
import sys

from ptx_body import Body, cc_name
from ptx_operations import C_TYPE
from ptx_text import Module, Refused

HEAD = '''/* Made of {name} by ptx_to_cc.py. */
#include "ptx_threads.h"

using namespace esc_ptx;
[[maybe_unused]] static constexpr const char *module_name = "{name}";
'''


def entry_parameter(parameter, number):
    """C++ type of a kernel's parameter. An array of bytes stands for a structure, which calling
    conventions pass alike if it is too large for registers."""
    if not parameter.count:
        if parameter.type[0] == "b":
            raise Refused(f"parameter {parameter.name}: a float or an integer?")
        return f"{C_TYPE[parameter.type]} argument{number}"
    if parameter.bytes <= 16:
        raise Refused(f"parameter {parameter.name}: a structure that is passed in registers")
    return f"Structure<{parameter.bytes}, {parameter.align}> argument{number}"


def entry_head(function):
    types = [entry_parameter(parameter, i) for i, parameter in enumerate(function.parameters)]
    arrays = [f"char *const {cc_name(parameter.name)} = (char *)&argument{i};"
              for i, parameter in enumerate(function.parameters)]
    return [f'extern "C" ESC_PTX_ENTRY void {function.name}({", ".join(types)}) {{', *arrays]


def function_head(function, end=" {"):
    arrays = ", ".join(f"char *{cc_name(p.name)}" for p in function.returns + function.parameters)
    return [f"static __attribute__((noinline)) void {cc_name(function.name)}({arrays}){end}"]


def translate(name, text):
    module = Module(text)
    lines = [HEAD.format(name=name)]
    for function in module.functions:
        if function.body is None:
            lines += [*function_head(function, ";"), ""]
            continue
        head = entry_head(function) if function.is_entry else function_head(function)
        lines += [*head, "char *const shared = (char *)esc_simt::position.shared;"]
        lines += [*filter(None, Body(module, function).lines), "}", ""]
    return "\n".join(lines)


def main(source, output):
    source = pathlib.Path(source)
    try:
        translated = translate(source.name, source.read_text())
    except Refused as refused:
        sys.exit(f"ptx_to_cc.py: refused: {source}:{refused}")
    pathlib.Path(output).write_text(translated)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: ptx_to_cc.py MODULE.ptx OUTPUT.cc")
    main(*sys.argv[1:])
