# SPDX-License-Identifier: Apache-2.0
"""The statements of one PTX function as statements of C++.

Registers are variables: .f32 a float, .b32 a uint32_t, .pred a bool. Memory is plain memory;
shared memory alone has addresses that begin at 0. What the statements call is in ptx_threads.h, or
the SIMT harness's."""
import re
import struct
from collections import namedtuple

from ptx_operations import C_TYPE, OPERATIONS
from ptx_text import BYTES, PARAMETER, Parameter, Refused, split_operands

REGISTER_TYPE = {"pred": "pred", "f32": "f32", "f64": "f64"}
REGISTER_TYPE.update({f"{kind}{bits}": f"b{bits}" for kind in "bus" for bits in (16, 32, 64)})
INDEX = {"%tid": "thread", "%ctaid": "block", "%ntid": "block_size", "%nctaid": "grid_size"}
SPACES = ("global", "shared", "param", "local")
CACHE_HINTS = ("nc", "ca", "cg", "cs")
# Operations to which the bits of a NaN make no difference.
ARITHMETIC = ("add", "sub", "mul", "div", "fma", "rcp", "rsqrt", "sqrt", "min", "max", "setp",
              "cvt")

# rest: the operands' text.
Instruction = namedtuple("Instruction", "opcode modifiers operands rest")


def unknown(instruction):
    if re.fullmatch(r"(add|sub|mul)\.f(32|64)", instruction.opcode):
        return Refused(f"{instruction.opcode} without .rn, which ptxas may fuse: "
                       "is -fmad=false missing?")
    return Refused(f"unknown instruction {instruction.opcode} {instruction.rest}")


def cc_name(name):
    """A name of PTX as one of C++."""
    return re.sub(r"[%$]", "", name)


def float_literal(bits, t):
    """A NaN or an infinity by its bits."""
    layout, suffix, bits_suffix = ("<f", "f", "u") if t == "f32" else ("<d", "", "ull")
    value = struct.unpack(layout, bits.to_bytes(BYTES[t], "little"))[0]
    if value != value or abs(value) == float("inf"):
        return f"{t}_of_bits({hex(bits)}{bits_suffix})"
    return f"({value.hex()}{suffix})"


def integer_literal(value, t):
    """`value` modulo 2^bits."""
    bits = 8 * BYTES[t]
    suffix = "ull" if bits == 64 else "u"
    value %= 1 << bits
    if t[0] != "s":
        return f"{value}{suffix}"
    return f"{C_TYPE[t]}({hex(value)}{suffix})" if value >> (bits - 1) else str(value)


def parts_of(operand):
    """The operands in braces."""
    return split_operands(re.fullmatch(r"\{(.*)\}", operand)[1])


def observed_registers(body):
    """Registers that are an operand of anything but arithmetic. In the others a NaN may keep the
    host's bits, which spares most results the test."""
    found = set()
    for _, kind, text in body:
        opcode, _, rest = re.sub(r"^@!?%\w+ ", "", text).partition(" ")
        if kind == "statement" and opcode.split(".")[0] not in ARITHMETIC:
            found.update(re.findall(r"%\w+", rest))
    return found


class Body:
    """The translation of one function's body; its lines of C++."""

    def __init__(self, module, function):
        self.module = module
        self.registers = {}  # name: type as in REGISTER_TYPE's values
        self.arrays = {p.name for p in function.parameters + function.returns}
        self.line = function.line
        self.observed = observed_registers(function.body)
        self.lines = [self.translated(*statement) for statement in function.body]

    def translated(self, line, kind, text):
        self.line = line
        if kind == "label":
            return f"{cc_name(text)}:;"
        if kind != "statement":
            return text
        try:
            return self.statement(text)
        except (Refused, ValueError, IndexError, KeyError, TypeError) as refused:
            raise Refused(f"{line}: {refused}: {text}") from None

    # --- Operands.
    def value(self, operand, t, widths_may_differ=False):
        """Operand as an expression of PTX's type t."""
        if operand in self.registers:
            return self.register_value(operand, t, widths_may_differ)
        if match := re.fullmatch(r"0[fFdD]([0-9a-fA-F]+)", operand):
            return self.literal(int(match[1], 16), t)
        if match := re.fullmatch(r"(-?(?:0[xX][0-9a-fA-F]+|\d+))U?", operand):
            return self.literal(int(match[1], 0), t)
        if match := re.fullmatch(r"(%n?(?:cta|t)id)\.([xyz])", operand):
            return f"esc_simt::position.{INDEX[match[1]]}.{match[2]}"
        if operand == "%laneid":
            return "uint32_t(esc_simt::lane())"
        if operand in self.arrays and BYTES[t] == 8:
            return f"uint64_t({cc_name(operand)})"
        if operand in self.module.shared and t[0] != "f":
            return "0"
        raise Refused(f"operand {operand} as .{t}")

    @staticmethod
    def literal(bits, t):
        if t == "pred":
            return "true" if bits else "false"
        return float_literal(bits, t) if t[0] == "f" else integer_literal(bits, t)

    def register_value(self, register, t, widths_may_differ):
        own, name = self.registers[register], cc_name(register)
        if own == t:
            return name
        if "pred" in (own, t) or (BYTES[own] != BYTES[t] and not widths_may_differ):
            raise Refused(f"{register}, a .{own}, as .{t}")
        if t[0] == "f":
            return f"{t}_of_bits({name})"
        if own[0] == "f":
            name = f"bits_of_{own}({name})"
        return f"{C_TYPE[t]}({name})" if t[0] == "s" or BYTES[own] != BYTES[t] else name

    def assign(self, register, t, expression, widths_may_differ=False):
        """A statement. A register wider than t gets zeros, or the sign of a signed value."""
        if register == "_":
            return f"(void)({expression});"
        if register not in self.registers:
            raise Refused(f"{register}, which is no register, as a result")
        own, name = self.registers[register], cc_name(register)
        if own == t:
            return f"{name} = {expression};"
        wider = widths_may_differ and t[0] != "f"
        if "pred" in (own, t) or (BYTES[own] < BYTES[t] if wider else BYTES[own] != BYTES[t]):
            raise Refused(f"{register}, a .{own}, for a .{t}")
        if own[0] == "f":
            return f"{name} = {own}_of_bits({expression});"
        if t[0] == "f":
            return f"{name} = bits_of_{t}({expression});"
        if BYTES[own] > BYTES[t]:
            expression = f"{C_TYPE[t]}({expression})"
        return f"{name} = {expression};"

    def site(self):
        return f"Site{{module_name, {self.line}}}"

    # --- Statements.
    def statement(self, text):
        if text.startswith("."):
            return self.declaration(text)
        guard = ""
        if match := re.match(r"@(!?)(%\w+)\s+", text):
            guard = f"if ({match[1]}{self.value(match[2], 'pred')}) "
            text = text[match.end():]
        opcode, _, rest = text.partition(" ")
        code = self.instruction(opcode, rest)
        return f"{guard}{{ {code} }}" if guard else code

    def declaration(self, text):
        if text.startswith(".pragma "):
            return ""
        if match := re.fullmatch(r"\.reg \.(\w+) (.*)", text):
            return self.declare_registers(match[1], match[2])
        match = PARAMETER.fullmatch(re.sub(r"^\.local\b", ".param", text))
        if not match:
            raise Refused("unknown declaration")
        array = Parameter(match)
        self.arrays.add(array.name)
        return f"alignas({max(array.align, 8)}) char {cc_name(array.name)}[{array.bytes}];"

    def declare_registers(self, t, names):
        if t not in REGISTER_TYPE:
            raise Refused(f"registers of type .{t}")
        t, new = REGISTER_TYPE[t], []
        for name in split_operands(names):
            many = re.fullmatch(r"(%?\w+)<(\d+)>", name)
            new += [f"{many[1]}{i}" for i in range(int(many[2]))] if many else [name]
        self.registers.update(dict.fromkeys(new, t))
        return f"{C_TYPE[t]} {', '.join(map(cc_name, new))};"

    def instruction(self, opcode, rest):
        name, *modifiers = opcode.split(".")
        instruction = Instruction(opcode, modifiers, split_operands(rest), rest)
        if opcode in OPERATIONS and "{" not in rest:
            return self.operation(instruction)
        if opcode in EXACT:
            return EXACT[opcode](self, instruction)
        if name in FAMILIES:
            return FAMILIES[name](self, instruction)
        raise unknown(instruction)

    def operation(self, instruction):
        """One of the table's."""
        opcode, _, operands, _ = instruction
        (result, *types), expression = OPERATIONS[opcode]
        if len(operands) != 1 + len(types):
            raise Refused(f"{len(operands)} operands of {opcode}")
        converts = opcode.startswith("cvt.")
        if operands[0] not in self.observed:
            expression = expression.replace("canonical", "")
        values = {"line": self.site()}
        for letter, operand, t in zip("abcd", operands[1:], types):
            values[letter] = self.value(operand, t, converts)
        code = re.sub(r"\b(?:[abcd]|line)\b", lambda word: values[word[0]], expression)
        return self.assign(operands[0], result, code, converts)

    def move_parts(self, instruction):
        """mov between a register and the halves or quarters of it."""
        t, (result, source) = instruction.modifiers[-1], instruction.operands
        splits = result.startswith("{")
        parts = parts_of(result if splits else source)
        bits = 8 * BYTES[t] // len(parts)
        part = f"b{bits}"
        if splits:
            whole = self.value(source, t)
            return " ".join(self.assign(name, part, f"{C_TYPE[part]}({whole} >> {bits * i})")
                            for i, name in enumerate(parts) if name != "_")
        shifted = [f"{C_TYPE[t]}({self.value(name, part)}) << {bits * i}"
                   for i, name in enumerate(parts)]
        return self.assign(result, t, " | ".join(shifted))

    # --- Memory.
    def address(self, operand, space):
        """A char pointer."""
        match = re.fullmatch(r"\[\s*([%\w$]+)\s*(?:\+\s*(-?\w+))?\s*\]", operand)
        if not match:
            raise Refused(f"address {operand}")
        base, offset = match[1], int(match[2] or "0", 0)
        if base in self.arrays:
            return f"{cc_name(base)} + {offset}"
        if base in self.module.shared:
            return f"shared + {offset}"
        if base not in self.registers:
            raise Refused(f"address {operand}")
        if space == "shared":
            t = "u32" if self.registers[base] == "b32" else "u64"
            return f"shared + uint32_t({self.value(base, t)} + {integer_literal(offset, t)})"
        return f"(char *)({self.value(base, 'u64')} + {integer_literal(offset, 'u64')})"

    def aligned_address(self, operand, space, size):
        """Checked where the address of a word may be wrong: of vectors and double words. To check
        every access would take a third of the compiler's time."""
        address = self.address(operand, space)
        return address if size <= 4 else f"aligned({address}, {size}, {self.site()})"

    def access(self, instruction):
        """Space, number of values and type of a load or store; the rest are hints."""
        *modifiers, t = instruction.modifiers
        count, space = 1, "generic"
        for modifier in modifiers:
            if modifier in SPACES:
                space = modifier
            elif modifier in ("v2", "v4"):
                count = int(modifier[1])
            elif modifier not in CACHE_HINTS:
                raise unknown(instruction)
        if t not in BYTES:
            raise unknown(instruction)
        return space, count, t

    def load(self, instruction):
        space, count, t = self.access(instruction)
        target, source = instruction.operands
        place = self.aligned_address(source, space, count * BYTES[t])
        if count == 1:
            return self.assign(target, t, f"load_{t}({place})", True)
        loads = [self.assign(result, t, f"load_{t}(m + {i * BYTES[t]})", True)
                 for i, result in enumerate(self.vector(target, count))]
        return f"{{ const char *const m = {place}; {' '.join(loads)} }}"

    def store(self, instruction):
        space, count, t = self.access(instruction)
        target, source = instruction.operands
        place = self.aligned_address(target, space, count * BYTES[t])
        if count == 1:
            return f"store_{t}({place}, {self.value(source, t, True)});"
        stores = [f"store_{t}(m + {i * BYTES[t]}, {self.value(part, t, True)});"
                  for i, part in enumerate(self.vector(source, count))]
        return f"{{ char *const m = {place}; {' '.join(stores)} }}"

    @staticmethod
    def vector(operand, count):
        parts = parts_of(operand) if operand.startswith("{") else []
        if len(parts) != count:
            raise Refused(f"{operand}, not {count} values")
        return parts

    def atomic(self, instruction):
        """One thread runs at a time, so plain code is atomic. red is atom without a result."""
        match = re.fullmatch(r"(atom|red)\.(global|shared)\.add\.([us]32|u64|f32|f64)",
                             instruction.opcode)
        if not match:
            raise unknown(instruction)
        name, space, t = match.groups()
        t = "u32" if t == "s32" else t
        result, place, added = ["_"] * (name == "red") + instruction.operands
        total = f"old + {self.value(added, t)}"
        return (f"{{ char *const m = {self.aligned_address(place, space, BYTES[t])}; "
                f"const {C_TYPE[t]} old = load_{t}(m); "
                f"store_{t}(m, {f'canonical({total})' if t == 'f32' else total}); "
                f"{self.assign(result, t, 'old')} }}")

    # --- Other threads.
    def block_barrier(self, instruction):
        if instruction.operands != ["0"]:
            raise Refused(f"a barrier other than 0 of the whole block: {instruction.rest}")
        return f'esc_simt::sync_block("bar.sync", {self.site()});'

    def warp_barrier(self, instruction):
        mask = self.value(instruction.operands[0], "u32")
        return f'esc_simt::sync_warp("bar.warp.sync", {self.site()}, {mask});'

    def vote(self, instruction):
        opcode, (result, predicate, mask) = instruction.opcode, instruction.operands
        mask = self.value(mask, "u32")
        lanes = (f'esc_simt::sync_warp("{opcode}", {self.site()}, {mask}, '
                 f'{self.value(predicate, "pred")})')
        outcomes = {"vote.sync.all.pred": f"{lanes} == {mask}",
                    "vote.sync.any.pred": f"{lanes} != 0",
                    "vote.sync.ballot.b32": lanes}
        if opcode not in outcomes:
            raise unknown(instruction)
        return self.assign(result, instruction.modifiers[-1], outcomes[opcode])

    def shuffle(self, instruction):
        functions = {"shfl.sync.up.b32": "lane_up", "shfl.sync.down.b32": "lane_down",
                     "shfl.sync.bfly.b32": "lane_across", "shfl.sync.idx.b32": "lane_indexed"}
        opcode, operands = instruction.opcode, instruction.operands
        if opcode not in functions:
            raise unknown(instruction)
        result, _, inside = operands[0].partition("|")
        value, b, c, mask = (self.value(operand, "u32") for operand in operands[1:])
        shuffled = f'shuffled("{opcode}", {self.site()}, {mask}, {value}, from)'
        return (f"{{ const Source from = {functions[opcode]}({b}, {c}); "
                + (self.assign(inside, "pred", "from.inside") if inside else "")
                + f" {self.assign(result, 'b32', shuffled)} }}")

    def matrix_product(self, instruction):
        """mma.m16n8k8 of TF32: kernels/mma.cuh says which lane has what."""
        result, *matrices = instruction.operands
        a, b, c = (", ".join(self.value(part, "f32") for part in self.vector(matrix, count))
                   for matrix, count in zip(matrices, (4, 2, 4)))
        parts = [self.assign(part, "f32", f"mc[{i}]")
                 for i, part in enumerate(self.vector(result, 4))]
        return (f"{{ const float ma[] = {{{a}}}, mb[] = {{{b}}}; float mc[] = {{{c}}}; "
                f"esc_simt::mma_m16n8k8_tf32(ma, mb, mc, {self.site()}); {' '.join(parts)} }}")

    # --- Control.
    def branch(self, instruction):
        return f"goto {cc_name(instruction.operands[0])};"

    def leave(self, _):
        return "return;"

    def call(self, instruction):
        """(result), function, (arguments): arrays, all."""
        match = re.fullmatch(r"(?:\(([\w$]+)\)\s*,\s*)?([\w$]+)\s*(?:,\s*\(([^)]*)\))?",
                             instruction.rest)
        if not match:
            raise unknown(instruction)
        result, name, arguments = match[1], match[2], split_operands(match[3] or "")
        if not any(f.name == name and f.body and not f.is_entry for f in self.module.functions):
            raise Refused(f"call of {name}, which is not in this module")
        arrays = [result] * bool(result) + arguments
        return f"{cc_name(name)}({', '.join(map(cc_name, arrays))});"


EXACT = {
    "bra": Body.branch,
    "bra.uni": Body.branch,
    "ret": Body.leave,
    "exit": Body.leave,
    "call": Body.call,
    "call.uni": Body.call,
    "bar.sync": Body.block_barrier,
    "barrier.sync": Body.block_barrier,
    "bar.warp.sync": Body.warp_barrier,
    "mov.b32": Body.move_parts,
    "mov.b64": Body.move_parts,
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32": Body.matrix_product,
}
FAMILIES = {"ld": Body.load, "st": Body.store, "atom": Body.atomic, "red": Body.atomic,
            "vote": Body.vote, "shfl": Body.shuffle}
