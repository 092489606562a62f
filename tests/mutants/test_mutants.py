# SPDX-License-Identifier: Apache-2.0
"""The mutation test: every check of `verify` passes over the unchanged code, and for each mutation
of the lists the checks that its entry names fail.

Usage: test_mutants.py MUTANTS LIST.toml ... [NAME ...]

With names: those mutations alone, over all checks; prints every check that fails.
"none" is the unchanged code.
"""
import concurrent.futures
import os
import subprocess
import sys

import mutate

PROGRAM, *ARGUMENTS = sys.argv[1:]
LISTS = [a for a in ARGUMENTS if a.endswith(".toml")]
CHOSEN = [a for a in ARGUMENTS if not a.endswith(".toml")]


def run(name, checks):
    """What is wrong with the run itself (None: nothing), and {check that failed: where}."""
    done = subprocess.run([PROGRAM, name, *checks], capture_output=True, text=True,
                          timeout=600, check=False)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    missing = set(checks) - {check for _, check, _ in rows}
    if done.returncode != 0:
        return f"exit status {done.returncode}: {done.stderr.strip()}", {}
    if missing or not rows:
        return f"verify has no check {sorted(missing)}", {}
    return None, {check: at for verdict, check, at in rows if verdict == "fail"}


def judge(name, entry):
    """(line of the report, fault or None) of one mutation; of none, without an entry."""
    named = entry["caught_by"] if entry else []
    fault, failed = run(name, [] if CHOSEN else named)
    line = "; ".join(f"{check}: {at}" for check, at in failed.items())
    survived = [check for check in named if check not in failed]
    if not fault and survived:
        fault = f"not caught by {survived}"
    if not fault and bool(failed) != bool(named):
        fault = "names no check" if entry else "every check must pass"
    return f"{name:32} {line}", fault and f"{name}: {fault}"


def main():
    jobs = {"none": None, **mutate.read(LISTS)}
    if CHOSEN:
        jobs = {name: jobs[name] for name in CHOSEN}
    faults = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for line, fault in pool.map(judge, jobs, jobs.values()):
            print(line)
            faults += [fault] if fault else []
    print(*faults, sep="\n")
    print(f"{len(jobs)} runs, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
