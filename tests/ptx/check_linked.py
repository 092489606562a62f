# SPDX-License-Identifier: Apache-2.0
"""Every kernel of a program is the translated one of its PTX.

usage: check_linked.py OBJDUMP PROGRAM MODULE.ptx...

A translated kernel is in the section esc_ptx_text; the host compiler's kernels are not."""
import pathlib
import re
import subprocess
import sys

from ptx_text import Module

SECTION = "esc_ptx_text"
SYMBOL = re.compile(r"^[0-9a-f]+ .{7} (\S+)\t[0-9a-f]+\s+(?:\.hidden )?(\S+)$", re.M)


def kernel_name(symbol):
    """Name of the function of a mangled symbol if it is named as kernels are."""
    match = re.match(r"_Z(\d+)", symbol)
    name = symbol[match.end():match.end() + int(match[1])] if match else ""
    return name if name.endswith("_kernel") else None


def main(objdump, program, *modules):
    table = subprocess.run([objdump, "-t", program], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    section = {symbol: where for where, symbol in SYMBOL.findall(table)}
    functions = [function for module in modules
                 for function in Module(pathlib.Path(module).read_text()).functions]
    entries = {function.name for function in functions if function.is_entry}
    faults = [f"{entry} is in {section.get(entry, 'no section')}: not the translation"
              for entry in sorted(entries) if section.get(entry) != SECTION]
    faults += [f"{symbol} is in {where}, and in no module"
               for symbol, where in sorted(section.items())
               if kernel_name(symbol) and symbol not in entries]
    if not entries:
        faults.append("no kernels in the modules")
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(entries)} kernels, all translated from PTX")


main(*sys.argv[1:])
