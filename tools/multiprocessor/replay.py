# SPDX-License-Identifier: Apache-2.0
"""The cycles that the resident warps of a multiprocessor need for what they execute.

Each of four schedulers issues one instruction a cycle: greedily of the warp that it issued
from last, else of the youngest that is ready [cores]. A warp is ready when the stall count of
its last instruction has passed and the scoreboards that its next one waits for are free; the
instruction then needs its pipe. Accesses to shared memory and shuffles of all four schedulers
queue for one path, a wavefront a cycle; those to global memory for the share of the L2.
"""
import collections
import math

from . import cards
from .cubin import NO_SCOREBOARD

NEVER = 1 << 60
REASONS = ("issued", "fixed latency", "short scoreboard", "long scoreboard", "barrier",
           "memory queue", "busy pipe", "not selected")
(ISSUED, FIXED, SHORT, LONG, BARRIER, QUEUE, PIPE, NOT_SELECTED) = range(len(REASONS))
PIPES = ("fma", "imad", "alu", "double", "convert", "xu", "tensor", "uniform", "slow", "shared",
         "global", "shuffle", "control")
QUEUED = range(PIPES.index("shared"), PIPES.index("shuffle") + 1)
GLOBAL, FMA, IMAD = (PIPES.index(name) for name in ("global", "fma", "imad"))
IDEALS = {"lds": "accesses to shared memory have no wavefronts",
          "l2": "global memory answers like the L1, without limit",
          "bar": "no warp waits at a barrier",
          "div": "divisions are not executed",
          "int": "integer instructions and moves without a scoreboard are not executed",
          "issue": "a scheduler issues of every ready warp in a cycle",
          "fixed": "stall counts are 1, a taken branch included",
          "short": "results of all but global memory have no latency, but queue",
          "fma": "the FMA pipe has no limit, for floats and integers",
          "alu": "the ALU has no limit",
          "tensor": "matrix instructions have no limit and no latency",
          "xu": "transcendental functions have no limit and no latency",
          "double": "doubles and their conversions have no limit and no latency"}
FREE_PIPES = {"fma": ("fma", "imad"), "alu": ("alu",), "tensor": ("tensor",), "xu": ("xu",),
              "double": ("double", "convert")}  # by the name of the cost


def intervals(card):
    """{pipe: cycles of a scheduler for one instruction}."""
    return {"fma": cards.FMA_CYCLES, "imad": cards.IMAD_CYCLES, "alu": cards.ALU_CYCLES,
            "double": card.double_cycles, "convert": card.convert_cycles, "xu": cards.XU_CYCLES,
            "tensor": card.tensor_cycles, "uniform": cards.UNIFORM_CYCLES,
            "slow": cards.SLOW_CYCLES, "shared": cards.MEMORY_ISSUE_CYCLES,
            "global": cards.MEMORY_ISSUE_CYCLES, "shuffle": cards.MEMORY_ISSUE_CYCLES,
            "control": 1}


def latencies(card):
    """{pipe: cycles until a scoreboard is free}; those of memory come on top of its queues."""
    return {"double": card.double_latency, "convert": cards.CONVERT_LATENCY,
            "xu": cards.MUFU_LATENCY, "tensor": card.tensor_latency,
            "uniform": cards.UNIFORM_LATENCY, "slow": cards.CONSTANT_LATENCY,
            "shared": card.shared_latency - 1, "shuffle": cards.SHUFFLE_LATENCY - 1}


def pipe_on(card, pipe):
    """A multiplication of floats may go to either half of the FMA pipe, one of integers to the
    first (named imad) alone, which is the only one of a card with 64 lanes."""
    return "imad" if pipe == "fma" and card.fma_lanes == 64 else pipe


class Counts:
    """Counts of a replay: the cycles of a step, by warp, and of every entry of a trace (an
    instruction, in a phase) how often it was issued, its wavefronts, its bytes of L2, and the
    cycles that warps waited before it, by reason."""

    def __init__(self, entries):
        self.cycles = 0      # of what is counted, the mean over warps
        self.total = 0       # of the whole replay
        self.issued = [0] * entries
        self.wavefronts = [0] * entries
        self.l2_bytes = [0] * entries
        self.waited = [[0] * entries for _ in REASONS]

    def drop(self, entries):
        """Forgets all entries from a number on."""
        for row in (self.issued, self.wavefronts, self.l2_bytes, *self.waited):
            del row[entries:]


class Multiprocessor:
    """Replays traces. `code` has the instructions; entries of a trace are numbers of
    instructions modulo its length (warp.Warp.run)."""

    def __init__(self, card, code, ideal=()):
        self.card, self.code, self.ideal = card, code, frozenset(ideal)
        by_pipe, latency = intervals(card), latencies(card)
        numbers = {name: n for n, name in enumerate(PIPES)}
        self.free = {pipe for name in self.ideal for pipe in FREE_PIPES.get(name, ())}
        self.pipe = [numbers[pipe_on(card, i.pipe)] for i in code]
        self.interval = [0 if i.pipe in self.free else by_pipe[i.pipe] for i in code]
        self.latency = [0 if i.pipe in self.free or "short" in self.ideal else
                        latency.get(i.pipe, 0) for i in code]
        # ptxas writes the latency of a matrix product into stall counts where no scoreboard has it.
        self.stall = [1 if "fixed" in self.ideal or (i.pipe == "tensor" and i.pipe in self.free) else
                      max(i.stall, 1) for i in code]
        self.branch_cycles = 1 if "fixed" in self.ideal else cards.BRANCH_CYCLES
        self.issue_cycles = 0 if "issue" in self.ideal else 1
        self.boards = [[b for b in range(6) if i.wait >> b & 1] for i in code]
        self.write = [None if i.write == NO_SCOREBOARD else i.write for i in code]
        self.read = [None if i.read == NO_SCOREBOARD else i.read for i in code]
        self.is_load = [i.base.startswith("LD") or i.base.startswith("ATOM") for i in code]
        self.is_jump = [i.pipe == "control" and i.base != "BAR" for i in code]
        self.is_barrier = [i.base == "BAR" and "bar" not in self.ideal for i in code]

    def run(self, blocks, entries):
        """blocks: the traces of the warps of every resident block, each with the position from
        which on it is counted; entries: how many are told apart. Returns Counts of what is
        counted."""
        blocks = [[mark(trace, start, entries) for trace, start in block] for block in blocks]
        state = State(self, blocks, Counts(2 * entries))
        due, left = state.due, len(state.trace)
        while left:
            cycle = min(due)
            if cycle >= NEVER:
                raise RuntimeError("the warps of a block wait for each other")
            scheduler = due.index(cycle)
            warp, at = state.pick(scheduler, cycle)
            if at > cycle:
                due[scheduler] = at
                continue
            due[scheduler] = cycle + self.issue_cycles
            if state.issue(warp, scheduler, cycle):
                left -= 1
                state.members[scheduler].remove(warp)
        state.counts.total = max(state.last) + 1
        state.counts.cycles = (sum(state.last) - sum(state.began)) / len(state.began)
        state.counts.drop(entries)
        return state.counts


def mark(trace, start, entries):
    """(trace, start), the entries before `start` having numbers from `entries` on."""
    return [(entry + entries, extra) for entry, extra in trace[:start]] + trace[start:], start


class State:
    """Of one replay."""

    def __init__(self, model, blocks, counts):
        self.model, self.counts = model, counts
        self.trace = [trace for block in blocks for trace, _ in block]
        self.start = [start for block in blocks for _, start in block]
        self.block = [n for n, block in enumerate(blocks) for _ in block]
        count = len(self.trace)
        self.at = [0] * count
        self.ready = [0] * count          # cycle from which stall and scoreboards allow an issue
        self.fixed = [0] * count          # of these, the stall count alone
        self.last = [-1] * count          # cycle of the last issue
        self.began = [0] * count          # cycle of the first issue that is counted
        self.is_long = [False] * count    # whether global memory is what the warp waits for
        self.free = [[0] * 6 for _ in range(count)]         # by scoreboard
        self.of_memory = [[False] * 6 for _ in range(count)]
        self.arrived = [0] * count        # at a barrier, the cycle; 0: at none
        self.waiting = collections.defaultdict(list)        # (block, barrier): warps
        self.running = collections.Counter(self.block)      # warps of a block
        # Warps are dealt to the schedulers in turn, block after block.
        self.members = [[w for w in range(count) if w % cards.SCHEDULERS == s]
                        for s in range(cards.SCHEDULERS)]
        self.due = [0 if members else NEVER for members in self.members]
        self.favourite = [-1] * cards.SCHEDULERS
        self.pipes = [[0] * len(PIPES) for _ in range(cards.SCHEDULERS)]
        self.shared_free = self.double_free = 0
        self.l2_free = 0.0
        self.next = [trace[0][0] % len(model.code) for trace in self.trace]
        self.size = len(model.code)

    def pick(self, scheduler, cycle):
        """(warp, cycle) of what the scheduler issues next, as things are."""
        model, pipes, ready, upcoming = self.model, self.pipes[scheduler], self.ready, self.next
        queue = self.shared_free - cards.MEMORY_QUEUE_CYCLES
        favourite, best, soonest = self.favourite[scheduler], -1, NEVER
        for warp in self.members[scheduler]:
            at, pipe = ready[warp], model.pipe[upcoming[warp]]
            free = pipes[pipe]
            if pipe == FMA and pipes[IMAD] < free:
                free = pipes[IMAD]
            if free > at:
                at = free
            if pipe in QUEUED and queue > at:
                at = queue
            if at < cycle:
                at = cycle
            if at < soonest or at == soonest and (warp == favourite or best != favourite):
                best, soonest = warp, at
        return best, soonest

    def issue(self, warp, scheduler, cycle):
        """Issues the warp's next instruction; True where that was its last."""
        model, code_size = self.model, self.size
        entry, extra = self.trace[warp][self.at[warp]]
        k = entry % code_size
        pipe, pipes = model.pipe[k], self.pipes[scheduler]
        if pipe == FMA and pipes[FMA] > cycle:
            pipe = IMAD
        self.account(warp, entry, cycle, pipes[pipe], pipe)
        pipes[pipe] = cycle + model.interval[k]
        self.favourite[scheduler] = warp
        done, read = cycle + model.latency[k], cycle + cards.READ_CYCLES
        if pipe in SPECIAL:
            done, read = SPECIAL[pipe](self, k, entry, extra, cycle)
        free = self.free[warp]
        board = model.write[k]
        if board is not None:
            if done > free[board]:
                free[board] = done
            self.of_memory[warp][board] = pipe == GLOBAL
        board = model.read[k]
        if board is not None and read > free[board]:
            free[board] = read
        fixed = cycle + model.stall[k]
        if extra and model.is_jump[k]:
            fixed = max(fixed, cycle + model.branch_cycles)
        self.last[warp], self.fixed[warp] = cycle, fixed
        if self.at[warp] == self.start[warp]:
            self.began[warp] = cycle
        self.at[warp] += 1
        has_ended = self.at[warp] == len(self.trace[warp])
        if has_ended:
            self.running[self.block[warp]] -= 1
            self.release_where_complete(self.block[warp], cycle)
            return True
        self.next[warp] = self.trace[warp][self.at[warp]][0] % code_size
        self.set_ready(warp, fixed)
        if extra and model.is_barrier[k]:
            self.arrive(warp, extra, cycle)
        return False

    def set_ready(self, warp, fixed):
        """From the stall count and the scoreboards that the next instruction waits for."""
        ready, free, is_long = fixed, self.free[warp], False
        for board in self.model.boards[self.next[warp]]:
            if free[board] > ready:
                ready, is_long = free[board], self.of_memory[warp][board]
        self.ready[warp], self.is_long[warp] = ready, is_long

    def account(self, warp, entry, cycle, pipe_free, pipe):
        """The cycles since the warp's last issue, by reason."""
        waited, last = self.counts.waited, self.last[warp]
        self.counts.issued[entry] += 1
        waited[ISSUED][entry] += 1
        if cycle == last + 1:
            return
        fixed, ready = self.fixed[warp], self.ready[warp]
        if self.arrived[warp]:
            waited[BARRIER][entry] += ready - self.arrived[warp]
            self.arrived[warp] = 0
        else:
            waited[FIXED][entry] += fixed - last - 1
            if ready > fixed:
                waited[LONG if self.is_long[warp] else SHORT][entry] += ready - fixed
        if cycle > ready:
            busy = min(max(pipe_free - ready, 0), cycle - ready)
            waited[PIPE][entry] += busy
            rest = cycle - ready - busy
            if pipe in QUEUED:
                full = min(max(self.shared_free - cards.MEMORY_QUEUE_CYCLES - ready, 0), rest)
                waited[QUEUE][entry] += full
                rest -= full
            waited[NOT_SELECTED][entry] += rest

    # Barriers

    def arrive(self, warp, extra, cycle):
        number, threads = (extra - 1) % 16, (extra - 1) // 16
        self.arrived[warp] = cycle + 1
        self.ready[warp] = NEVER
        self.waiting[self.block[warp], number, threads // cards.LANES].append(warp)
        self.release_where_complete(self.block[warp], cycle)

    def release_where_complete(self, block, cycle):
        for (of, _, count), warps in self.waiting.items():
            if of == block and warps and len(warps) == (count or self.running[block]):
                for warp in warps:
                    self.set_ready(warp, cycle + self.model.card.barrier_latency)
                    scheduler = warp % cards.SCHEDULERS
                    self.due[scheduler] = min(self.due[scheduler], cycle + 1)
                warps.clear()

    # Pipes that all schedulers share: (cycle of the result, cycle at which sources are free).

    def use_shared(self, k, entry, wavefronts, cycle):
        self.counts.wavefronts[entry] += wavefronts
        if "lds" in self.model.ideal:
            return cycle + self.model.latency[k], cycle + cards.READ_CYCLES
        start = max(self.shared_free, cycle)
        self.shared_free = start + wavefronts * cards.SHARED_WAVEFRONT_CYCLES
        return (self.shared_free + self.model.latency[k],
                max(self.shared_free, cycle + cards.READ_CYCLES))

    def use_shuffle(self, k, entry, _extra, cycle):
        return self.use_shared(k, entry, 1, cycle)

    def use_global(self, k, entry, sectors, cycle):
        card, is_load = self.model.card, self.model.is_load[k]
        read = cycle + cards.READ_CYCLES
        if not sectors or "l2" in self.model.ideal:
            return cycle + (cards.L1_LATENCY if is_load else cards.STORE_LATENCY), read
        size = sectors * cards.SECTOR_BYTES
        self.counts.l2_bytes[entry] += size
        self.l2_free = max(self.l2_free, cycle) + size / card.l2_bytes
        if is_load:
            return math.ceil(self.l2_free) + card.l2_latency, read
        return cycle + cards.STORE_LATENCY, read

    def use_double(self, k, _entry, _extra, cycle):
        card, wait = self.model.card, 0
        if card.double_is_shared and "double" not in self.model.free:
            wait = max(self.double_free - cycle, 0)
            self.double_free = cycle + wait + card.double_cycles
        done = cycle + wait + self.model.latency[k]
        return done, cycle + wait + cards.READ_CYCLES


SPECIAL = {PIPES.index("shared"): State.use_shared, PIPES.index("shuffle"): State.use_shuffle,
           PIPES.index("global"): State.use_global, PIPES.index("double"): State.use_double,
           PIPES.index("convert"): State.use_double}
