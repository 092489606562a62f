# SPDX-License-Identifier: Apache-2.0
"""Reads journals and checkpoints, independently of the program."""
import os
import struct

HEADER = 48  # bytes of a journal or a checkpoint, before the identity
PART = 24    # bytes of a journal's part, beside its payload
RECORD = 1   # kind of the journal's parts that hold a member


def parts_of(data):
    """(offset, end, kind, payload) of each intact part of a journal, including the copy of its header."""
    offset = HEADER + (struct.unpack_from("<I", data, 20)[0] if len(data) >= HEADER else 0)
    while offset + PART <= len(data):
        magic, kind, size = struct.unpack_from("<4sII", data, offset)
        if magic != b"EPRT" or offset + PART + size > len(data):
            return
        yield offset, offset + PART + size, kind, data[offset + 16:offset + 16 + size]
        offset += PART + size


def records_of(data):
    """Payloads of the members in a journal."""
    return [payload for _, _, kind, payload in parts_of(data) if kind == RECORD]


def members(path):
    """Number of members in a journal, 0 if it does not exist."""
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as file:
        return len(records_of(file.read()))


def in_flight(data):
    """(key, step) of each network in a checkpoint; a key is unpacked as <QQd: seed, layers, scale."""
    identity, = struct.unpack_from("<I", data, 12)
    state, count = struct.unpack_from("<QQ", data, 24)
    for i in range(count):
        offset = HEADER + identity + i * (state + 32)
        yield data[offset:offset + 24], struct.unpack_from("<q", data, offset + 24)[0]


def count_in_flight(data):
    """Number of networks according to the header of a checkpoint."""
    return struct.unpack_from("<Q", data, 32)[0] if len(data) >= HEADER else 0
