"""Reading a journal from outside: the number of members that it holds."""
import os
import struct

HEADER, HEAD, RECORD, MAGIC = 48, 16, 1, b"EPRT"


def parts(path):
    """(kind, payload) of every whole part behind the header and the first identity."""
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        data = file.read()
    at = HEADER + (struct.unpack_from("<I", data, 20)[0] if len(data) >= HEADER else 0)
    while at + HEAD + 8 <= len(data) and data[at:at + 4] == MAGIC:
        kind, size = struct.unpack_from("<II", data, at + 4)
        if at + HEAD + size + 8 > len(data):
            return
        yield kind, data[at + HEAD:at + HEAD + size]
        at += HEAD + size + 8


def members(path):
    return sum(kind == RECORD for kind, _ in parts(path))
