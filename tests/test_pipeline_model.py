# SPDX-License-Identifier: Apache-2.0
"""tools/pipeline_model: a sweep on a made-up host and device obeys the bounds of any schedule.

    python3 test_pipeline_model.py ROOT
"""
import importlib.machinery
import importlib.util
import os
import sys
import unittest

try:
    import numpy  # noqa: F401
except ImportError:
    print("numpy is not installed", file=sys.stderr)
    sys.exit(77)

sys.dont_write_bytecode = True
PATH = os.path.join(os.path.abspath(sys.argv.pop(1)), "tools/pipeline_model")
loader = importlib.machinery.SourceFileLoader("pipeline_model", PATH)
model = importlib.util.module_from_spec(importlib.util.spec_from_loader("pipeline_model", loader))
loader.exec_module(model)

SHAPE, MEMBERS, STEPS, THREADS = (32, 64), 3000, 300, 4


def seconds(schedule, cost):
    return model.simulate(schedule, cost, SHAPE, MEMBERS, STEPS, THREADS)


class Model(unittest.TestCase):
    def test_no_schedule_is_faster_than_the_device(self):
        work = sum(model.Sweep(SHAPE, MEMBERS, STEPS).waiting) * model.STEP[SHAPE] / 1024
        self.assertGreaterEqual(seconds("chunks", model.FREE), work)

    def test_costs_of_the_host_lengthen_a_sweep(self):
        for schedule in ("all", "chunks"):
            self.assertGreater(seconds(schedule, model.costs_of(schedule, 32)),
                               seconds(schedule, model.FREE))

    def test_a_host_that_only_computes_signals_is_the_bound(self):
        cost = {**model.FREE, "signal": 1.0}
        for schedule in ("all", "chunks"):
            self.assertGreaterEqual(seconds(schedule, cost), MEMBERS / THREADS)


unittest.main()
