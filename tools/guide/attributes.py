# SPDX-License-Identifier: Apache-2.0
"""Attributes of a result file. `check` compares the table with the sources that set them."""
import re

ATTRIBUTES = {
    "Conventions": "conventions of the file's layout",
    "title": "kind of content",
    "name": "name of the sweep",
    "spec": "complete spec with all defaults, as YAML",
    "members": "number of members",
    "shard": "I/N: members I, I+N, ... of the sweep; 0/1: all",
    "grid": "swept keys and their values at each point, as JSON; only with sweep.grid or sweep.zip",
    "merged_shards": "shards that were joined to this file",
    "backend": "backend that trained",
    "engine": "instruction set and threads, or path, chunks and networks of a chunk on the device",
    "precision": "arithmetic and order of sums; a run is continued only with the same one",
    "device": "name of the processor or GPU",
    "ledger": "none, where the optimizer has no imbalance identity (adam)",
    "libraries": "versions of the CUDA driver, the runtime and, for path cublas, cuBLAS; GPU only",
    "false_escape_probability": "probability that noise alone crosses each threshold",
    "version": "version of the program",
    "commit": "commit that the program was built from",
    "compiler": "compiler, build type and flags",
    "command_line": "command that made the file",
    "host": "name of the machine",
    "environment": "variables that were set and can change speed or choice of device",
    "start_time": "start of the first segment, UTC",
    "end_time": "end of the last segment, UTC",
    "wall_s": "seconds of all segments",
    "network_steps": "network-steps of all segments",
    "segments": "each start of the program as JSON: times, backend, precision, device, how it ended",
    "ledger": "reason for which the imbalance ledger is not defined; absent where it is",
    "digest": "digest of names and values of all variables, to detect changes",
}
SET = re.compile(r'(?:esc_results_set_attribute\([^,]+|write_text\(h, h->file|write_attribute\(h, h->file), "(\w+)"')


def check(root):
    """Fails where an attribute of the sources is not in the table, or one of the table nowhere in them."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(root.glob("host/*/*.c")))
    missing = set(SET.findall(text)) - set(ATTRIBUTES)
    gone = {name for name in ATTRIBUTES if f'"{name}"' not in text}
    if missing or gone:
        raise SystemExit(f"tools/guide/attributes.py: without a meaning: {sorted(missing)}; "
                         f"not in the sources: {sorted(gone)}")
