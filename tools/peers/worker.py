# SPDX-License-Identifier: Apache-2.0
"""One library in a separate process: reads requests, one JSON object a line, on
stdin, and answers on stdout. So no library's threads or memory are in another's way.

usage: worker.py torch|jax cpu|cuda THREADS

  {"do": "hello"} -> {"versions", "variants"}
  {"do": "make", "name", "variant", "shape"} -> {"error"}
  {"do": "time", "name", "fixed_inputs", "seconds"} -> {"us_per_step", "steps"}, of a network-step
  {"do": "drop"}: forgets all that was made
What failed is answered with {"failed": why}.
"""
import gc
import importlib
import json
import os
import sys
import time

# Libraries print where they like: answers go to a copy of stdout that is ours alone.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

LIBRARY, DEVICE, THREADS = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
os.environ["JAX_PLATFORMS"] = DEVICE
if DEVICE == "cpu":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # isolated (-I) it is not there
library = importlib.import_module(LIBRARY + "_peer")

from problem import Shape  # noqa: E402

STEPS_LEAST = 8
peers = {}


def hello(_):
    return {"versions": library.versions(), "variants": library.variants(DEVICE)}


def make(request):
    """Two peers: one draws its inputs, one has them fixed and is checked first."""
    shape = Shape(**request["shape"])
    drawing, fixed = (library.Peer(request["variant"], shape, DEVICE, f) for f in (False, True))
    error = fixed.error()
    for peer in (drawing, fixed):
        peer.advance(STEPS_LEAST)  # compiles, and draws the pages in
    peers[request["name"]] = {False: drawing, True: fixed}
    return {"error": error if error == error else None}


def time_steps(peer, steps):
    start = time.perf_counter()
    peer.advance(steps)
    return time.perf_counter() - start


def measure(request):
    """A short warm-up, then a timed run of about `seconds`."""
    seconds = request["seconds"]
    peer = peers[request["name"]][request["fixed_inputs"]]
    took = time_steps(peer, STEPS_LEAST)
    steps = max(1, round(seconds / took)) * STEPS_LEAST
    took = time_steps(peer, steps)
    return {"us_per_step": 1e6 * took / (steps * peer.shape.members), "steps": steps}


def drop(_):
    peers.clear()
    gc.collect()
    return {}


def serve():
    library.setup(THREADS, DEVICE)
    actions = {"hello": hello, "make": make, "time": measure, "drop": drop}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request["do"]](request)
        except Exception as error:  # said, and the next request may succeed
            first_line = (str(error).splitlines() or [""])[0][:300]
            answer = {"failed": f"{type(error).__name__}: {first_line}"}
        print(json.dumps(answer), file=ANSWERS, flush=True)


serve()
