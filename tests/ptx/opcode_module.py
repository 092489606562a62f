# SPDX-License-Identifier: Apache-2.0
"""Makes a kernel of each case of opcode_cases.txt, and the table that test_ptx.cc runs.

usage: opcode_module.py CASES.txt MODULE.ptx TABLE.h

A case is a line "instruction : operands -> results": bits in hexadecimal, whose number of digits
says how wide the register is, or true and false. Results and operands follow the opcode in that
order; an instruction that is written otherwise names them, $0, $1 and so on. A # begins a
remark."""
import pathlib
import re
import sys

HEAD = ".version 7.0\n.target sm_80\n.address_size 64\n"
KINDS = {4: "b16", 8: "b32", 16: "b64"}


def kind(value):
    return "pred" if value in ("true", "false") else KINDS[len(value)]


def number(value):
    return {"true": 1, "false": 0}.get(value) if kind(value) == "pred" else int(value, 16)


class Case:
    def __init__(self, line):
        code, _, values = line.partition(" : ")
        operands, _, results = values.partition("->")
        self.code, self.text = code.strip(), line
        self.results, self.operands = results.split(), operands.split()
        if not self.results:
            sys.exit(f"no result: {line}")

    def instruction(self):
        names = [f"%x{i}" for i in range(len(self.results) + len(self.operands))]
        if "$" not in self.code:
            return f"{self.code} {', '.join(names)};"
        return re.sub(r"\$(\d+)", lambda digit: names[int(digit[1])], self.code) + ";"

    def kernel(self, index):
        """Reads its operands from the words at its argument, and writes its results there."""
        lines = [f".visible .entry case_{index}(.param .u64 case_{index}_words)", "{",
                 ".reg .b64 %words;", ".reg .pred %is_set;", ".reg .b32 %flag;"]
        values = self.results + self.operands
        lines += [f".reg .{kind(value)} %x{i};" for i, value in enumerate(values)]
        lines += [f"ld.param.u64 %words, [case_{index}_words];"]
        for i, value in list(enumerate(values))[len(self.results):]:
            lines += self.read(i, kind(value))
        lines.append(self.instruction())
        for i, value in enumerate(self.results):
            lines += self.write(i, kind(value))
        return "\n".join(lines + ["ret;", "}"])

    @staticmethod
    def read(i, t):
        if t == "pred":
            return [f"ld.global.b32 %flag, [%words+{8 * i}];", f"setp.ne.b32 %x{i}, %flag, 0;"]
        return [f"ld.global.{t} %x{i}, [%words+{8 * i}];"]

    @staticmethod
    def write(i, t):
        if t == "pred":
            return [f"selp.b32 %flag, 1, 0, %x{i};", f"st.global.b32 [%words+{8 * i}], %flag;"]
        return [f"st.global.{t} [%words+{8 * i}], %x{i};"]

    def row(self, i):
        values = ", ".join(f"{hex(number(value))}ull" for value in self.results + self.operands)
        return f'  {{"{self.text}", case_{i}, {len(self.results)}, {{{values}}}}},'


def main(source, module, table):
    lines = (line.split("#")[0].strip() for line in pathlib.Path(source).read_text().splitlines())
    cases = [Case(line) for line in lines if line]
    kernels = [case.kernel(i) for i, case in enumerate(cases)]
    pathlib.Path(module).write_text("\n\n".join([HEAD, *kernels]) + "\n")
    declared = [f'extern "C" void case_{i}(uint64_t words);' for i in range(len(cases))]
    rows = [case.row(i) for i, case in enumerate(cases)]
    pathlib.Path(table).write_text("\n".join(
        [*declared, "static const Case cases[] = {", *rows, "};"]) + "\n")


main(*sys.argv[1:])
