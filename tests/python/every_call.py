# SPDX-License-Identifier: Apache-2.0
"""Calls every function of the package that reaches the library, for tools/deep_check under valgrind: small
runs to their end, stopped, and refused, on two threads at once too. Writes into the current folder.

Usage: every_call.py     (with the package in PYTHONPATH)
"""
import gc
import math
import threading

import escapement

SWEEP = escapement.Sweep(
    network={"layers": 3, "width": 6}, train={"rate": 0.05, "batch": 16, "steps": 30},
    escape={"thresholds": [1e-4], "smoothing": "none"}, record={"every": 10},
    sweep={"seeds": 2, "groups": [{"bottleneck": 2, "scales": [0.3, 0.1]}]})


def runs():
    returned = SWEEP.run("a.h5", backend="reference", threads=2, progress=lambda told: None)
    stopped = SWEEP.snapshots(backend="reference")
    next(stopped)
    stopped.close()
    assert sum(snapshot.is_end for snapshot in SWEEP.snapshots(backend="cpu")) == 4
    SWEEP.dry_run()
    threads = [threading.Thread(target=SWEEP.run, kwargs={"backend": "cpu"}) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return returned


def results(returned):
    read = escapement.open("a.h5")
    assert escapement.compare(read, returned).attrs["different"] == 0
    escapement.save(read, "b.h5")
    escapement.fit(read), escapement.fit_points(read)
    escapement.plateau(read), escapement.plateau_verdicts(read)
    halves = [SWEEP.run(backend="cpu", shard=(i, 2)) for i in range(2)]
    escapement.merge(*halves)


def theory():
    escapement.classify("gelu"), escapement.Activation("tanh").deficit([0.1, 0.2])
    escapement.escape_time("tanh", [0.2] * 3, [1.0, 2.0])
    escapement.trajectory("tanh", [0.2] * 3, [0.0, 1.0])
    escapement.classify(math.tanh), escapement.blocks(math.tanh, [1.0], [0.5] * 2)
    escapement.blocks("tanh", [1.0, 2.0], [0.5] * 3)
    escapement.plateau_spectrum("tanh", [1.0, 2.0], [0.5] * 3)
    escapement.attribution("tanh", [1.0, 2.0], [0.5] * 2, tolerance=0.1)


def refused(returned):
    for call in (lambda: escapement.Sweep(network={"layers": 1}), lambda: SWEEP.run(shard=(0, 0)),
                 lambda: SWEEP.run(backend="tpu"), lambda: escapement.open("none.h5"),
                 lambda: escapement.save(returned.assign_attrs({"": "text"}), "c.h5"),
                 lambda: escapement.attribution("relu", [1.0, 2.0], [0.5] * 2)):
        try:
            call()
        except escapement.InputError as error:
            print(error)
        else:
            raise AssertionError("not refused")


RETURNED = runs()
results(RETURNED)
theory()
refused(RETURNED)
del RETURNED
gc.collect()
