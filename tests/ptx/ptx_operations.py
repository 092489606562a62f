# SPDX-License-Identifier: Apache-2.0
"""PTX's arithmetic, logic, comparisons and conversions, one C++ expression each.

OPERATIONS maps an opcode to (types, expression): the types of the result and of the operands
a, b, c, d, and the result in terms of these. Only opcodes in the table are translated. Left out
on purpose, therefore refused:
  - add, sub and mul of floats without .rn: ptxas may fuse a product with the sum that takes it;
  - .ftz, .sat and roundings other than to nearest: the kernels must not have them;
  - .approx and .full, but for rcp and rsqrt, from which the kernels compute correctly rounded
    quotients and roots. These two have an error as large as the manual allows.
The functions in the expressions are in ptx_threads.h."""
import itertools

C_TYPE = {f"{kind}{bits}": f"{'' if kind == 's' else 'u'}int{bits}_t"
          for kind in "bus" for bits in (8, 16, 32, 64)}
C_TYPE.update(f32="float", f64="double", pred="bool")

OPERATIONS = {}


def define(opcode, types, expression):
    """`types` is "result: a b c", or one type for all."""
    result, _, operands = types.partition(":")
    operands = operands.split() or [result] * 4
    count = max((i + 1 for i, letter in enumerate("abcd") if uses(expression, letter)), default=0)
    OPERATIONS[opcode] = ([result, *operands[:count]], expression)


def uses(expression, letter):
    words = "".join(c if c.isalnum() or c == "_" else " " for c in expression).split()
    return letter in words


def define_floats():
    """A NaN that single precision computes has the bits 0x7fffffff; double precision leaves
    its bits open."""
    for t, result in ("f32", "canonical(%s)"), ("f64", "%s"):
        for name, sign in ("add", "+"), ("sub", "-"), ("mul", "*"), ("div", "/"):
            define(f"{name}.rn.{t}", t, result % f"a {sign} b")
        define(f"fma.rn.{t}", t, result % "fused(a, b, c)")
        define(f"rcp.rn.{t}", t, result % "1 / a")
        define(f"sqrt.rn.{t}", t, result % "square_root(a)")
        define(f"min.{t}", t, "least(a, b)")
        define(f"max.{t}", t, "greatest(a, b)")
        define(f"neg.{t}", t, "-a")
        define(f"abs.{t}", t, "absolute(a)")
    define("rcp.approx.ftz.f32", "f32", "canonical(reciprocal_approximation(a))")
    define("rsqrt.approx.ftz.f32", "f32", "canonical(reciprocal_root_approximation(a))")


def define_integers():
    """Sums and products wrap, so they are made of unsigned numbers."""
    for bits in (16, 32, 64):
        u = f"u{bits}"
        for t in u, f"s{bits}":
            define(f"add.{t}", u, "a + b")
            define(f"sub.{t}", u, "a - b")
            define(f"mul.lo.{t}", u, "uint32_t(a) * b" if bits == 16 else "a * b")
            define(f"mad.lo.{t}", u, "uint32_t(a) * b + c" if bits == 16 else "a * b + c")
            define(f"min.{t}", t, "least(a, b)")
            define(f"max.{t}", t, "greatest(a, b)")
            define(f"div.{t}", t, "quotient(a, b, line)")
            define(f"rem.{t}", t, "remainder(a, b, line)")
            if bits > 16:
                define(f"mul.hi.{t}", t, "high_half(a, b)")
        define(f"neg.s{bits}", u, "0 - a")
        define(f"abs.s{bits}", f"{u}: s{bits}", "magnitude(a)")
    for kind, bits in itertools.product("us", (16, 32)):
        t, wide = f"{kind}{bits}", f"{kind}{2 * bits}"
        product = f"{C_TYPE[wide]}(a) * {C_TYPE[wide]}(b)"
        define(f"mul.wide.{t}", f"{wide}: {t} {t}", product)
        define(f"mad.wide.{t}", f"u{2 * bits}: {t} {t} u{2 * bits}",
               f"{C_TYPE[f'u{2 * bits}']}({product}) + c")


def define_bits():
    for bits in (16, 32, 64):
        t = f"b{bits}"
        for name, sign in ("and", "&"), ("or", "|"), ("xor", "^"):
            define(f"{name}.{t}", t, f"a {sign} b")
        define(f"not.{t}", t, "~a")
        define(f"shl.{t}", f"{t}: {t} u32", "shift_left(a, b)")
        for kind in "bus":
            define(f"shr.{kind}{bits}", f"{kind}{bits}: {kind}{bits} u32", "shift_right(a, b)")
    for bits in (32, 64):
        t = f"b{bits}"
        define(f"popc.{t}", f"u32: {t}", "__builtin_popcountll(a)")
        define(f"clz.{t}", f"u32: {t}", "leading_zeros(a)")
        define(f"brev.{t}", t, "reversed(a)")
        define(f"bfi.{t}", f"{t}: {t} {t} u32 u32", "insert_bits(a, b, c, d)")
        for kind in "us":
            define(f"bfe.{kind}{bits}", f"{kind}{bits}: {kind}{bits} u32 u32",
                   "extract_bits(a, b, c)")
    define("prmt.b32", "b32", "permute_bytes(a, b, c)")
    define("lop3.b32", "b32: b32 b32 b32 u32", "logic3(a, b, c, d)")
    for direction, mode in itertools.product(("left", "right"), ("wrap", "clamp")):
        amount = "c & 31" if mode == "wrap" else "least(c, 32u)"
        define(f"shf.{direction[0]}.{mode}.b32", "b32: b32 b32 u32",
               f"funnel_{direction}(a, b, {amount})")


def define_predicates():
    for name, sign in ("and", "&&"), ("or", "||"), ("xor", "!="):
        define(f"{name}.pred", "pred", f"a {sign} b")
    define("not.pred", "pred", "!a")


def comparisons(t):
    """Name and expression of each comparison that a type has."""
    ordered = dict(eq="a == b", lt="a < b", le="a <= b", gt="a > b", ge="a >= b")
    if t[0] == "b":
        return dict(eq="a == b", ne="a != b")
    if t[0] in "us":
        names = dict(ordered, ne="a != b")
        if t[0] == "u":
            names.update(lo="a < b", ls="a <= b", hi="a > b", hs="a >= b")
        return names
    # Of floats, those with a u at their end are true where an operand is a NaN.
    opposite = dict(equ="a < b || a > b", neu="a == b", ltu="a >= b", leu="a > b", gtu="a <= b",
                    geu="a < b")
    names = dict(ordered, ne="a < b || a > b", num="a == a && b == b", nan="a != a || b != b")
    names.update((name, f"!({expression})") for name, expression in opposite.items())
    return names


def define_comparisons():
    for t in C_TYPE:
        if t == "pred" or t.endswith("8"):
            continue
        for name, expression in comparisons(t).items():
            define(f"setp.{name}.{t}", f"pred: {t} {t}", expression)
            for word, sign in ("and", "&&"), ("or", "||"), ("xor", "!="):
                define(f"setp.{name}.{word}.{t}", f"pred: {t} {t} pred", f"({expression}) {sign} c")


def define_moves():
    for t in C_TYPE:
        if not t.endswith("8"):
            define(f"mov.{t}", t, "a")
            define(f"selp.{t}", f"{t}: {t} {t} pred", "c ? a : b")
    # One address space: only shared memory (and it alone) has addresses that start at 0.
    for space in ("global", "local", "param", "const"):
        define(f"cvta.{space}.u64", "u64", "a")
        define(f"cvta.to.{space}.u64", "u64", "a")


ROUNDINGS = dict(rni="nearest", rzi="truncated", rmi="rounded_down", rpi="rounded_up")


def define_conversions():
    integers = [t for t in C_TYPE if t[0] in "us"]
    for result, a in itertools.product(integers, integers):
        define(f"cvt.{result}.{a}", f"{result}: {a}", "a")
    for real, integer in itertools.product(("f32", "f64"), integers):
        define(f"cvt.rn.{real}.{integer}", f"{real}: {integer}", f"{C_TYPE[real]}(a)")
        if integer.endswith("8"):
            continue
        for mode, function in ROUNDINGS.items():
            define(f"cvt.{mode}.{integer}.{real}", f"{integer}: {real}",
                   f"to_integer<{C_TYPE[integer]}>({function}(a))")
    for mode, function in ROUNDINGS.items():
        define(f"cvt.{mode}.f32.f32", "f32", f"canonical({function}(a))")
        define(f"cvt.{mode}.f64.f64", "f64", f"{function}(a)")
    define("cvt.rn.f32.f64", "f32: f64", "canonical(float(a))")
    define("cvt.f64.f32", "f64: f32", "a")


for definitions in (define_floats, define_integers, define_bits, define_predicates,
                    define_comparisons, define_moves, define_conversions):
    definitions()
