"""The mutation test: verify passes over the code as it is, and fails over every mutant,
each of which has one wrong sign (include/escapement/internal/mutant.h). Prints which check caught
which mutant. Errors of the reference engine must be found by its training rows too, which
compare it with an evaluation that shares no code with it.

Usage: test_mutants.py MUTANTS SOURCE [NAME ...]
"""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

PROGRAM, SOURCE, *CHOSEN = sys.argv[1:]
FOLDERS = ("include", "src", "host", "kernels")


def in_reference(mutant):
    return mutant is not None and mutant.startswith("REFERENCE_")


def verify(mutant=None):
    """Exit status, the checks that failed, what went to stderr."""
    environment = {k: v for k, v in os.environ.items() if k != "ESCAPEMENT_MUTANT"}
    if mutant:
        environment["ESCAPEMENT_MUTANT"] = mutant
    scope = ["--backend", "reference"] if in_reference(mutant) else ["--fail-fast"]
    done = subprocess.run([PROGRAM, "--quick", *scope, "--threads", "1", "--json"],
                          capture_output=True, text=True, env=environment, timeout=600,
                          check=False)
    failed = []
    if done.stdout:
        failed = [c for c in json.loads(done.stdout)["checks"] if not c["pass"]]
    return done.returncode, failed, done.stderr.strip()


def places():
    """Where each family's sign stands: {name: [file, ...]}."""
    found = {}
    for folder in FOLDERS:
        for path in sorted(pathlib.Path(SOURCE, folder).rglob("*")):
            if path.name == "mutant.h" or not path.is_file():
                continue
            for name in re.findall(r"ESC_FLIP\((\w+)\)", path.read_text(encoding="utf-8")):
                found.setdefault(name, []).append(path.name)
    return found


def main():
    names = subprocess.run([PROGRAM, "--list"], capture_output=True, text=True,
                           check=True).stdout.split()
    where, wrong = places(), []
    wrong += [f"{name}: stands nowhere in the code" for name in names if name not in where]
    wrong += [f"{name}: not in the list" for name in where if name not in names]
    code, failed, errors = verify()
    if code != 0 or failed:
        print(f"without a mutant verify must pass: exit status {code}, {failed}, {errors}")
        return 1
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, (code, failed, errors) in zip(CHOSEN or names,
                                                pool.map(verify, CHOSEN or names)):
            by = "; ".join(f"{c['name']}: {c['at']}" for c in failed)
            print(f"{name:24} {by or errors}")
            if code != 1 or not failed:
                wrong.append(f"{name}: not caught (exit status {code})")
            if in_reference(name) and not any(c["name"].startswith("reference: ")
                                              for c in failed):
                wrong.append(f"{name}: not caught by the training of the reference")
    print(*wrong, sep="\n")
    print(f"{len(CHOSEN or names)} mutants, {len(wrong)} faults")
    return 1 if wrong else 0


sys.exit(main())
