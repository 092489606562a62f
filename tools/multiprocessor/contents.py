# SPDX-License-Identifier: Apache-2.0
"""What is in memory, where an execution follows floats: shared memory of a block, device memory, and
the instructions that read and write them. memory.py has what an access costs."""
import numpy as np

from .cards import LANES
from .cubin import CubinError
from .operands import address, register_index, set_register, source, source_pair, width

SHARED_BASE = 0x400        # of a block's dynamic shared memory, on sm_90
UNWRITTEN = 0x7FFFFFFF     # a NaN


class Segment:
    """An array of 32-bit words in memory."""

    def __init__(self, name, base, words, is_writable=True):
        self.name, self.base, self.words, self.is_writable = name, base, words, is_writable

    def index(self, addresses, count):
        """Of the first word of an access of `count` words a lane."""
        offset = addresses - self.base
        low, high = int(offset.min()), int(offset.max())
        if low < 0 or high + 4 * count > 4 * len(self.words):
            raise CubinError(f"an access to {self.name} is {-low} bytes before its begin" if low < 0 else
                             f"an access to {self.name} ends at byte {high + 4 * count} of "
                             f"{4 * len(self.words)}")
        if (addresses % (4 * count)).any():
            raise CubinError(f"an access to {self.name} is not aligned")
        return offset >> 2


class Contents:
    """Of the memory that a block's threads see. ulps: by which approximations are wrong."""

    def __init__(self, shared_bytes, segments, ulps=0):
        words = np.full((SHARED_BASE + shared_bytes) // 4, UNWRITTEN, np.uint32)
        self.shared = Segment("shared memory", SHARED_BASE, words[SHARED_BASE // 4:])
        self.segments, self.ulps = segments, ulps

    def find(self, addresses):
        """The segment of device memory that an access is to."""
        first = int(addresses[0])
        for segment in self.segments:
            if segment.base <= first < segment.base + 4 * len(segment.words):
                return segment
        raise CubinError(f"an access to {first:#x}, where no device memory is")


def lanes(w, value):
    """`value` in the lanes that are on."""
    if value is None:
        raise CubinError("an address or a value is not known")
    if isinstance(value, int):
        value = np.full(LANES, value, np.int64)
    return value if w.on is None else value[w.on]


def spread(w, loaded):
    """A register of what the lanes that are on have loaded; the others are not written."""
    if w.on is None:
        return loaded
    value = np.zeros(LANES, np.int64)
    value[w.on] = loaded
    return value


def find_shared(w, _addresses):
    return w.contents.shared


def find_device(w, addresses):
    return w.contents.find(addresses)


def make_load(i, memory, find):
    places, words = address(i.arguments[-1], memory), width(i.opcode)
    first = register_index(i.arguments[0])
    writes = [] if first is None else [set_register(first + n) for n in range(words)]

    def run(w):
        at = lanes(w, places(w))
        segment = find(w, at)
        index = segment.index(at, words)
        values = [segment.words[index + n].astype(np.int64) for n in range(words)]
        for write, value in zip(writes, values):
            write(w, spread(w, value))
    return run


def make_store(i, memory, find):
    places, words = address(i.arguments[0], memory), width(i.opcode)
    first = register_index(i.arguments[1])
    values = [source(i.arguments[1] if first is None else f"R{first + n}", memory) for n in range(words)]

    def run(w):
        at = lanes(w, places(w))
        segment = find(w, at)
        if not segment.is_writable:
            raise CubinError(f"a store to {segment.name}")
        index = segment.index(at, words)
        for n, read in enumerate(values):
            segment.words[index + n] = lanes(w, read(w))
    return run


def make_compare_and_swap(i, memory):
    """ATOMS.CAST.SPIN.64: stores the fourth operand where memory equals the third, lane after lane;
    the result is 1 in the lanes that have stored."""
    if i.opcode != "ATOMS.CAST.SPIN.64":
        return make_unknown(i)
    places = address(i.arguments[1], memory)
    expected, wanted = source_pair(i.arguments[2], memory), source_pair(i.arguments[3], memory)
    first = register_index(i.arguments[0])
    write_low, write_high = set_register(first), set_register(first + 1)

    def run(w):
        at = lanes(w, places(w))
        segment = w.contents.shared
        memory_of = segment.words.view(np.uint64)
        index = segment.index(at, 2) >> 1
        old, new = (lanes(w, read(w)).astype(np.uint64) for read in (expected, wanted))
        has_stored = np.zeros(len(index), np.int64)
        for lane, place in enumerate(index):
            if memory_of[place] == old[lane]:
                memory_of[place], has_stored[lane] = new[lane], 1
        write_low(w, spread(w, has_stored))
        write_high(w, 0)
    return run


def make_unknown(i):
    """Of an instruction that is not computed: an execution may not come to it."""
    def run(_w):
        raise CubinError(f"{i.text} at {i.address:#x} is not computed")
    return run


OPERATIONS = {
    "LDS": lambda i, memory: make_load(i, memory, find_shared),
    "STS": lambda i, memory: make_store(i, memory, find_shared),
    "ATOMS": make_compare_and_swap,
    **dict.fromkeys(("LDG", "LD"), lambda i, memory: make_load(i, memory, find_device)),
    **dict.fromkeys(("STG", "ST"), lambda i, memory: make_store(i, memory, find_device)),
}
