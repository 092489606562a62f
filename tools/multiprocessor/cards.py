# SPDX-License-Identifier: Apache-2.0
"""Every assumption of the model about hardware, as named constants with the source of each.

Sources:
  [guide]   CUDA C++ Programming Guide, "Throughput of Native Arithmetic Instructions"
  [card]    NVIDIA's architecture white paper or data sheet of the card
  [hopper]  Luo et al., "Benchmarking and Dissecting the Nvidia Hopper GPU Architecture via
            Microbenchmarking", arXiv 2402.13499
  [ampere]  Abdelkhalik et al., "Demystifying the Nvidia Ampere Architecture", arXiv 2208.11174
  [cores]   Huerta et al., "Analyzing Modern NVIDIA GPU cores", arXiv 2503.20481
  [forum]   forums.developer.nvidia.com, threads 77228 and 373160, on wide shared loads
  [assumed] no source: a plausible value; the totals move by a few per cent with it
Latencies are of the size that these papers report; they were not read anew from their tables,
and no device has confirmed them. Latencies of arithmetic are not here: ptxas writes them into the stall counts of the
instructions. Not modelled: misses of the instruction cache, register bank conflicts, clocks
that fall under load, and the tail of a grid that does not fill its last wave.
"""
import dataclasses

SCHEDULERS = 4  # of a multiprocessor, each with its own warps and pipes [card]
LANES = 32

# Cycles from the issue of an instruction to its result, where a scoreboard guards it.
MUFU_LATENCY = 22      # [ampere] 18 to 24 by function
CONVERT_LATENCY = 28   # to and from double [assumed]
SHUFFLE_LATENCY = 24   # [ampere] 23
CONSTANT_LATENCY = 30  # LDC and S2R [assumed]
L1_LATENCY = 38        # of a global load that hits the L1 [hopper] 38 to 41
STORE_LATENCY = 20     # of a store, until its scoreboard is free [assumed]
UNIFORM_LATENCY = 12   # vector register to uniform register, R2UR and VOTE [assumed]
BRANCH_CYCLES = 9      # from a taken branch to the next instruction of the warp [assumed]
READ_CYCLES = 8        # until the registers of a store or a load's address are free [cores] 9 to 13

# The path of memory instructions.
SHARED_WAVEFRONT_CYCLES = 1  # 128 bytes a cycle and multiprocessor [guide]
MEMORY_ISSUE_CYCLES = 2      # between two memory instructions of one scheduler [cores]
MEMORY_QUEUE_CYCLES = 24     # of wavefronts that may wait before issue stalls [assumed]
SECTOR_BYTES = 32            # of the L2 [guide]

# Cycles of one scheduler for one warp instruction, the same on all cards: 16 lanes for the ALU
# and for each half of the FMA pipe, of which the first also multiplies integers; 4 for
# transcendental functions [guide].
ALU_CYCLES = 2
FMA_CYCLES = 2
IMAD_CYCLES = 2
XU_CYCLES = 8
UNIFORM_CYCLES = 2  # [cores]
SLOW_CYCLES = 2     # LDC, S2R [assumed]


@dataclasses.dataclass(frozen=True)
class Card:
    """One GPU. The default values are those of the H100."""
    architecture: int = 90
    multiprocessors: int = 132         # [card] SXM5
    gigahertz: float = 1.755           # [card] boost clock of the 59 TFLOP/s figure, not the
    #                                    1.98 of a cool card: what long kernels sustain [assumed]
    fma_lanes: int = 128               # FP32 fused multiply-adds a cycle [guide]
    double_cycles: int = 2             # of a scheduler for a double instruction [guide] 64 a cycle
    double_is_shared: bool = False     # whether the four schedulers have one unit together
    double_latency: int = 16           # [assumed]
    convert_cycles: int = 8            # of a conversion to or from double [guide] 16 a cycle
    tensor_cycles: int = 6             # of a scheduler for HMMA.1688.TF32, 1024 products: mma.sync
    #                                    has 62% of the rate of wgmma [hopper]
    tensor_latency: int = 33           # [hopper]
    shared_latency: int = 29           # [hopper]
    l2_latency: int = 273              # [hopper]
    l2_bytes: float = 28.0             # a cycle and multiprocessor, where all of them read [hopper]
    barrier_latency: int = 12          # from the last arrival to the next issue [assumed]
    shared_bytes: int = 233472         # of a multiprocessor [guide]
    block_shared_bytes: int = 232448   # the most of one block [guide]
    registers: int = 65536             # of a multiprocessor [guide]
    warps: int = 64                    # resident on a multiprocessor [guide]
    blocks: int = 32                   # resident on a multiprocessor [guide]


RESERVED_SHARED_BYTES = 1024  # of the system, for each resident block [guide]
REGISTER_UNIT = 256           # registers of a warp are given out in such units [guide]

ADA = {"architecture": 89, "double_cycles": 16, "double_is_shared": True, "double_latency": 40,
       "convert_cycles": 16, "tensor_latency": 34, "shared_latency": 29, "l2_latency": 260, "l2_bytes": 16.0,
       "shared_bytes": 102400, "block_shared_bytes": 101376, "warps": 48, "blocks": 24}

CARDS = {
    "h100": Card(),
    "a100": Card(architecture=80, multiprocessors=108, gigahertz=1.41, fma_lanes=64,
                 double_cycles=4, tensor_cycles=8, tensor_latency=26, l2_latency=230,
                 shared_bytes=167936, block_shared_bytes=166912),
    # Half the tensor rate of the L40S where sums are float: 83 and 183 TFLOP/s of TF32 [card].
    "rtx4090": Card(multiprocessors=128, gigahertz=2.52, tensor_cycles=32, **ADA),
    "l40s": Card(multiprocessors=142, gigahertz=2.3, tensor_cycles=16, **ADA),
}

# Of nvidia-smi's names; an H200 has the multiprocessors of an H100.
CARD_NAMES = (("H100", "h100"), ("H200", "h100"), ("A100", "a100"), ("RTX 4090", "rtx4090"),
              ("L40S", "l40s"))


def card_of(device):
    """The name in CARDS of a device by nvidia-smi; None where it is not among them."""
    return next((card for part, card in CARD_NAMES if part in device), None)
