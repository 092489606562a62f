# SPDX-License-Identifier: Apache-2.0
"""The instructions that one warp of a kernel executes.

Integers, addresses and predicates are computed exactly. For the cost of a kernel floats are not
computed at all, which is enough to follow loops, branches and barriers and to know every address: a
branch that depends on a float goes as Program.choose says, and is counted. For the bits of its
results (bits.py) memory has contents, and floats are computed too.
"""
import collections

import numpy as np

from . import operands
from .cards import LANES
from .cubin import CubinError
from .operations import operation
from .values import M32, both, mask_array, mask_bits
from .phases import OUTSIDE

FULL = M32
LIMIT = 8_000_000  # instructions of a warp: a loop without end is a fault of the model
# Asynchronous copies and what waits for them: refused, because their time would be left out.
NOT_MODELLED = ("LDGDEPBAR", "DEPBAR", "SYNCS", "UBLKCP", "UTMALDG", "HGMMA", "WARPGROUP")
LOOP_END = 8  # instructions at the end of a loop may differ in its last repetition
FUNCTION = "`($"  # in the text of a call of a function, not of a far jump
SUBROUTINE = "$__internal_"  # nvcc's own, such as the slow path of a division


class Program:
    """A kernel, its constants, and what its instructions do: shared by all warps."""

    def __init__(self, code, phase_of, constants, images=(), effect=operation):
        """phase_of: of an instruction's stack; constants: {bank: bytes}; images:
        [(address, bytes)] of global memory that is known and does not change; effect: the effect of
        an instruction, without floats or (float_operations) with them."""
        for i in code:
            if i.base in NOT_MODELLED:
                raise CubinError(f"{i.text} at {i.address:#x}: {i.base} is not modelled")
        self.code = code
        self.index = {i.address: k for k, i in enumerate(code)}
        self.phase = [phase_of(i.stack) for i in code]
        memory = operands.Memory(constants, images)
        self.execute = [effect(i, memory) for i in code]
        self.forget = [operands.forget(i) for i in code]
        self.guard = [operands.predicate(i.guard) if i.guard else None for i in code]
        self.control = [i.pipe == "control" for i in code]
        self.is_barrier = [i.base == "BAR" for i in code]
        self.unknown = collections.Counter()  # branches that depend on floats
        self.sizes = {}

    def phase_names(self):
        """The first is of no phase."""
        return [OUTSIDE, *sorted(set(self.phase) - {OUTSIDE})]

    def successors(self, k):
        i = self.code[k]
        after = [k + 1] if k + 1 < len(self.code) else []
        to = [self.index[target] for target in i.targets]
        if i.base in ("BRA", "BRX", "JMP"):
            is_conditional = i.guard or len(i.arguments) > 1
            return to + after if is_conditional and i.base != "BRX" else to
        if i.base in ("EXIT", "RET"):
            return after if i.guard else []
        return to + after

    def size_from(self, k):
        """How many instructions can be reached from one."""
        if k not in self.sizes:
            seen, todo = {k}, [k]
            while todo:
                for n in self.successors(todo.pop()):
                    if n not in seen:
                        seen.add(n)
                        todo.append(n)
            self.sizes[k] = len(seen)
        return self.sizes[k]

    def calls_subroutine(self, k):
        """Whether nvcc's own subroutine is called before the next branch."""
        for i in self.code[k:k + 8]:
            if i.base == "CALL" and not i.guard:
                return SUBROUTINE in i.text
            if i.base in ("BRA", "BRX", "RET", "EXIT"):
                return False
        return False

    def choose(self, k, target):
        """Whether a branch is taken that depends on a float: not to a subroutine for special
        cases; not back to the beginning of a loop that has no barrier, such as one around an
        atomic operation; else to where more of the kernel can be reached, so that the loop over
        steps does not end; else not."""
        self.unknown[k] += 1
        slow, slow_after = self.calls_subroutine(target), self.calls_subroutine(k + 1)
        if slow != slow_after:
            return slow_after
        if target <= k and not any(i.base == "BAR" for i in self.code[target:k]):
            return False
        return self.size_from(target) > self.size_from(k + 1)


class Warp:
    """Registers and threads of a warp; run() gives its trace. contents: of memory (contents.py),
    where floats are followed."""

    def __init__(self, program, first_thread, block=0, contents=None):
        self.program, self.contents = program, contents
        self.threads = np.arange(first_thread, first_thread + LANES, dtype=np.int64)
        self.block = block
        # What ptxas lets be read before it is written is partly written predicates, bit by bit.
        self.r = [0] * (256 + 256)
        self.p = [False] * 7 + [True] + [False] * 7 + [True]
        self.stack = {}       # offset from the stack pointer: spilled register
        self.on = None        # bool array of the lanes that an instruction works on; None: all
        self.mask = FULL      # lanes of the current path
        self.live = FULL      # lanes that have not left
        self.paths = []       # others: (index, mask, calls)
        self.waiting = {}     # barrier: [(index, mask, calls)]
        self.barrier = {}     # its lanes
        self.calls = ()       # (return index, offset of trace entries) of the current path
        self.offset = 0       # of trace entries: names the phase that a subroutine works for
        self.arrays = {FULL: None}

    def active(self):
        """Lanes that the current instruction works on, as bits."""
        return self.mask if self.on is None else mask_bits(self.on)

    def set_mask(self, mask):
        self.mask = mask
        if mask not in self.arrays:
            self.arrays[mask] = mask_array(mask)
        self.on = self.arrays[mask]

    def run(self):
        """[(instruction, extra)]: extra is the wavefronts or sectors of an access, 1 for a
        branch that is taken, and the barrier of a BAR. In a subroutine the number of the phase
        that called it, times the length of the code, is added to the instruction's."""
        trace = []
        for _ in self.parts(trace):
            pass
        return trace

    def parts(self, trace):
        """Appends to the trace, and stops after each barrier of the block, with its `extra`."""
        program, k = self.program, 0
        execute, guards, control = program.execute, program.guard, program.control
        plain = [(n, 0) for n in range(len(program.code))]
        while k is not None:
            guard = guards[k]
            if control[k]:
                entry = k + self.offset
                is_barrier = program.is_barrier[k]
                k, extra = self.step_control(k, True if guard is None else guard(self))
                trace.append((entry, extra))
                if len(trace) > LIMIT:
                    raise CubinError("a warp does not come to its end")
                if is_barrier and extra:
                    yield extra
                continue
            extra = execute[k](self) if guard is None else self.guarded(k, guard(self))
            if extra or self.offset:
                trace.append((k + self.offset, extra or 0))
            else:
                trace.append(plain[k])
            k += 1

    def guarded(self, k, guard):
        """An instruction with a predicate."""
        if guard is True:
            return self.program.execute[k](self)
        if guard is False:
            return 0
        if guard is None:
            if self.contents:
                raise CubinError(f"the predicate of {self.program.code[k].text} is not known")
            extra = self.program.execute[k](self)
            self.program.forget[k](self)
            return extra
        before, on = self.on, guard if self.on is None else guard & self.on
        if not on.any():
            return 0
        self.on = on
        extra = self.program.execute[k](self)
        self.on = before
        return extra

    # Control flow. Each returns the next instruction (None: the warp has ended) and `extra`.

    def step_control(self, k, guard):
        i = self.program.code[k]
        method = getattr(self, "do_" + i.base.lower(), None)
        if method is None or guard is False and i.base not in ("BRA", "BRX"):
            return k + 1, 0
        return method(i, k, guard)

    def lanes(self, predicate):
        """Of the current path, those with a predicate, as bits."""
        return mask_bits(predicate) & self.mask

    def split(self, k, target, taken):
        """Goes to `target` with some lanes, the others go on."""
        rest = self.mask & ~taken
        if rest:
            self.paths.append((k + 1, rest, self.calls))
            self.set_mask(taken)
        return target, 1

    def do_bra(self, i, k, guard):
        if ".DIV" in i.opcode:
            if self.contents and self.mask != self.live:
                raise CubinError(f"{i.text} at {i.address:#x}: the lanes of a warp have parted")
            return k + 1, 0  # where lanes have parted before a shuffle: compiled, never reached
        target = self.program.index[i.targets[0]]
        if len(i.arguments) > 1 and ".CONV" not in i.opcode:
            more = operands.predicate(i.arguments[0])(self)
            guard = both(guard, more, False)
        if guard is None:
            return (target, 1) if self.program.choose(k, target) else (k + 1, 0)
        taken = self.lanes(guard)
        return self.split(k, target, taken) if taken else (k + 1, 0)

    def do_brx(self, i, k, guard):
        target = operands.source(i.arguments[0].split()[0], None)(self)
        if not isinstance(target, int) and target is not None:
            target = int(target[mask_array(self.mask)][0])
        if target is None:
            self.program.unknown[k] += 1
            target = i.targets[0]
        return self.program.index[target], 1

    def do_call(self, i, k, guard):
        if guard is None:
            self.program.unknown[k] += 1
            return k + 1, 0
        taken = self.lanes(guard)
        if not taken:
            return k + 1, 0
        target, extra = self.split(k, self.program.index[i.targets[0]], taken)
        if FUNCTION not in i.text:
            return target, extra  # a far jump
        self.calls += ((k + 1, self.offset),)
        if not self.offset:
            names = self.program.phase_names()
            self.offset = len(self.program.code) * (1 + names.index(self.program.phase[k]))
        return target, extra

    def do_ret(self, _i, _k, _guard):
        (k, self.offset), self.calls = self.calls[-1], self.calls[:-1]
        return k, 1

    def do_exit(self, _i, k, guard):
        gone = self.lanes(guard if guard is not None else False)
        self.live &= ~gone
        if self.mask & ~gone:
            self.set_mask(self.mask & ~gone)
            return k + 1, 0
        return self.switch(), 0

    def do_bssy(self, i, k, _guard):
        self.barrier[i.arguments[0]] = self.mask
        return k + 1, 0

    def do_break(self, i, k, guard):
        if guard is not None:
            self.barrier[i.arguments[-1]] &= ~self.lanes(guard)
        return k + 1, 0

    def do_bsync(self, i, k, _guard):
        return self.wait(i.arguments[0], k), 0

    def do_warpsync(self, i, k, _guard):
        if "COLLECTIVE" in i.opcode:
            return k + 1, 0
        self.barrier["warp"] = FULL
        return self.wait("warp", k), 0

    def do_bar(self, i, k, _guard):
        """extra: 1 + the barrier's number + 16 times the threads that it waits for (0: all)."""
        numbers = [operands.source(a, None)(self) for a in i.arguments if a[0] in "0R"]
        known = [n if isinstance(n, int) else 0 for n in numbers] + [0, 0]
        if "ARV" in i.opcode:
            raise CubinError("BAR.ARV is not modelled")
        if self.contents and self.mask != self.live:
            raise CubinError(f"{i.text} at {i.address:#x}: only a part of a warp is at a barrier")
        return k + 1, 1 + known[0] + 16 * known[1]

    def wait(self, name, k):
        """The current path waits at a barrier of the warp until all of its lanes are there."""
        need = self.barrier.get(name, self.mask) & self.live
        if need & ~self.mask == 0:
            return k + 1
        self.waiting.setdefault(name, []).append((k + 1, self.mask, self.calls))
        return self.switch()

    def switch(self):
        """Continues with another path; None where there is none."""
        for name, paths in self.waiting.items():
            mask = 0
            for _, part, _ in paths:
                mask |= part
            if paths and not self.barrier[name] & self.live & ~mask:
                self.waiting[name] = []
                return self.take_up(paths[0][0], mask & self.live, paths[0][2])
        if self.paths:
            return self.take_up(*self.paths.pop())
        if self.live:
            raise CubinError("the threads of a warp wait for each other")
        return None

    def take_up(self, k, mask, calls):
        self.set_mask(mask)
        self.calls = calls
        if not calls:
            self.offset = 0
        return k


def step_bounds(trace):
    """(begin, length) of the first of two steps in the trace of a launch. Instructions that a
    launch has exactly twice are those of a step that are in no loop of it, and lie as far apart
    as a step is long."""
    places = collections.defaultdict(list)
    for at, (entry, _) in enumerate(trace):
        places[entry].append(at)
    twice = [found for found in places.values() if len(found) == 2]
    lengths = collections.Counter(b - a for a, b in twice)
    for length, _ in lengths.most_common(3):
        begin, end = repetition(trace, next(a for a, b in twice if b - a == length), length)
        if end - begin >= length - LOOP_END:
            return begin, length
    raise CubinError("the two steps of a launch were not found in its trace")


def repetition(trace, inside, length):
    """(begin, end) of what is repeated after `length` entries, around a position."""
    begin = end = inside
    while begin > 0 and trace[begin - 1] == trace[begin - 1 + length]:
        begin -= 1
    while end + length < len(trace) and trace[end] == trace[end + length]:
        end += 1
    return begin, end
