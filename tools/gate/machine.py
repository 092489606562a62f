# SPDX-License-Identifier: Apache-2.0
"""The GPU and the processor of a report."""
import glob
import os
import re
import shutil

from .calls import ROOT, call


def find_tool(name):
    """Path of an NVIDIA tool, from PATH or its installers' folders; None if it is not found."""
    folders = ["/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer",
               *sorted(glob.glob("/opt/nvidia/nsight-compute/*"), reverse=True)]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))


def find_bus_id(programs):
    """PCI bus id of CUDA's device 0, which the programs use; nvidia-smi's first GPU may be
    another (CUDA_VISIBLE_DEVICES; CUDA's order is by speed). None where it is unknown."""
    done = call([programs.program, "info", "--devices", "--json"], 60, programs.environment)
    found = (done.json() or {}).get("cuda_bus_ids") if done.code == 0 else None
    return found[0] if found else None


def query_device(bus_id=None):
    """The GPU of this PCI bus id, else the first one, by nvidia-smi: {name, driver, ...}; None
    where there is none."""
    fields = ("name", "pci.bus_id", "uuid", "driver_version", "memory.total", "compute_cap", "clocks.sm", "clocks.mem",
              "clocks.max.sm", "clocks.max.mem", "power.limit", "temperature.gpu")
    which = ["--id=" + bus_id] if bus_id else []
    done = call(["nvidia-smi", *which, f"--query-gpu={','.join(fields)}", "--format=csv,noheader"],
                30)
    rows = [row for row in done.output.splitlines() if row.count(",") == len(fields) - 1]
    if done.code != 0 or not rows:
        return None
    return dict(zip(fields, (value.strip() for value in rows[0].split(","))))


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = re.search(r"model name\s*: (.*)", file.read())
    except OSError:
        found = None
    return found.group(1) if found else "unknown"


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def default_output(device, today):
    """runs/gpu/<device>-<date>.json, or with a number where that exists."""
    stem = os.path.join(ROOT, "runs", "gpu", f"{slug(device)}-{today}")
    path, count = stem + ".json", 1
    while os.path.exists(path):
        count += 1
        path = f"{stem}-{count}.json"
    return path
