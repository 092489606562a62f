# SPDX-License-Identifier: Apache-2.0
"""Cost of one access of a warp to the memory system, from the addresses of its lanes."""
import functools

import numpy as np

from .cards import LANES, SECTOR_BYTES

ALL = (1 << LANES) - 1
BANKS = 32


def lanes_of(addresses):
    """Addresses as an array; a single one stands for all lanes."""
    return np.full(LANES, addresses, np.int64) if isinstance(addresses, int) else addresses


def shared_wavefronts(addresses, mask, words):
    """Wavefronts of an access to shared memory with `words` 4-byte words a lane, as
    shared_rule counts them. Unknown addresses (None) are taken to be without conflicts."""
    if not mask:
        return 0
    if addresses is None:
        return words
    if isinstance(addresses, int):
        return 1
    # Only places relative to a row of banks matter.
    base = int(addresses.min()) // (4 * BANKS) * (4 * BANKS)
    return shared_rule((addresses - base).tobytes(), mask, words)


@functools.lru_cache(maxsize=1 << 16)
def shared_rule(offsets, mask, words):
    """An access of 32-bit words takes as many wavefronts as the fullest bank has different
    words. Wider ones are made in halves (64 bits) or quarters (128 bits) of a warp, and two
    parts go together where lanes n and n ^ 1, or n and n ^ 2, have the same address throughout
    (cards.py, [forum])."""
    places = np.frombuffer(offsets, np.int64) // 4
    if words == 1:
        return fullest_bank(places, mask, range(LANES), 1)
    if words == 2:
        parts = [range(LANES)] if is_paired(places, mask, range(LANES)) else \
            [range(16), range(16, LANES)]
    else:
        parts = []
        for first in (0, 16):
            half = range(first, first + 16)
            parts += [half] if is_paired(places, mask, half) else [half[:8], half[8:]]
    return sum(fullest_bank(places, mask, part, words) for part in parts)


def is_paired(places, mask, lanes):
    """Whether neighbours at distance 1, or those at distance 2, read the same words."""
    def same(distance):
        return all(places[n] == places[n ^ distance] for n in lanes
                   if mask >> n & 1 and mask >> (n ^ distance) & 1)
    return same(1) or same(2)


def fullest_bank(places, mask, lanes, words):
    """Different words of the bank that has most; 0 where no lane is active."""
    used = {int(places[n]) + w for n in lanes if mask >> n & 1 for w in range(words)}
    counts = [0] * BANKS
    for word in used:
        counts[word % BANKS] += 1
    return max(counts)


def matrix_wavefronts(addresses, mask, matrices):
    """Of LDSM and STSM: lanes 8 m to 8 m + 7 have the rows, of 16 bytes, of matrix m."""
    if addresses is None or isinstance(addresses, int):
        return matrices
    places = addresses // 4
    return sum(fullest_bank(places, mask, range(8 * m, 8 * m + 8), 4) for m in range(matrices))


def sectors(addresses, mask, words):
    """Sectors of the L2 that an access to global memory reads or writes. Unknown addresses are
    taken to lie side by side."""
    if not mask:
        return 0
    if addresses is None:
        return 4 * words
    places = lanes_of(addresses)
    active = places[[n for n in range(LANES) if mask >> n & 1]]
    first, last = active // SECTOR_BYTES, (active + 4 * words - 1) // SECTOR_BYTES
    return len(np.union1d(first, last))
