# SPDX-License-Identifier: Apache-2.0
"""Machine code written by hand, for tests of tools/multiprocessor."""


def listing(rows):
    """nvdisasm's text: a row is (instruction, {stall, write, read, wait, at, immediate}) or a label."""
    lines, address = [], 0
    for row in rows:
        if isinstance(row, str) and row.endswith(":"):
            lines.append(row)
            continue
        text, control = (row, {}) if isinstance(row, str) else row
        for file, line in control.get("at", []):
            lines.append(f'\t//## File "/x/{file}", line {line}')
        low = control.get("immediate", 0) << 32
        high = (control.get("stall", 1) << 41 | control.get("write", 7) << 46 |
                control.get("read", 7) << 49 | control.get("wait", 0) << 52)
        lines.append(f"        /*{address:04x}*/    {text} ;    /* 0x{low:016x} */")
        lines.append(f"                            /* 0x{high:016x} */")
        address += 16
    return "\n".join(lines)
