# SPDX-License-Identifier: Apache-2.0
"""When `escapement escape` calls `corrected` rough, against the reduced ODE.

Random starts with a corrected time: equal scales, and large layers (some before, some after) around
two to four unequal small ones; nine activations and polynomials. For each start the error of
corrected is |corrected/ode - 1|. Counts starts with an error over 25% that are not called rough,
and starts with an error below 1% that are.

Usage: roughness.py PROGRAM STARTS SEED
"""
import json
import random
import subprocess
import sys

NAMES = ("linear", "relu", "tanh", "erf", "sin", "gelu", "swish", "softplus", "sigmoid")


def start(rng, balanced):
    """Activation, amplitude, scales, threshold, layer."""
    name = rng.choice(NAMES)
    if rng.random() < .2:
        name = "poly:0,%.3f,%.3f,%.3f" % (rng.uniform(.3, 1.5),
                                          rng.choice((0, rng.uniform(-.4, .4))),
                                          rng.uniform(-.2, .1))
    small = 10 ** rng.uniform(-4, -.5)
    if balanced:
        scales = [small] * rng.randint(2, 6)
        layer = rng.randint(1, len(scales))
    else:
        before, inside = rng.randint(1, 3), rng.randint(2, 4)
        scales = ([rng.uniform(.5, 3) for _ in range(before)]
                  + [small * rng.uniform(1, 2.9) for _ in range(inside)]
                  + [rng.uniform(.4, 3) for _ in range(rng.randint(0, 2))])
        layer = before + rng.randint(1, inside)
    scales = [float("%.5g" % s) for s in scales]
    to = max(rng.choice((rng.uniform(.1, 1), scales[layer - 1] * rng.uniform(1.1, 5))),
             1.05 * scales[layer - 1])
    return name, rng.choice((.5, 1, 1, 2)), scales, float("%.4g" % to), layer


def times(program, case):
    name, amplitude, scales, to, layer = case
    words = [program, "escape", "--json", "--activation", name, "--amplitude", repr(amplitude),
             "--scales", ",".join(map(repr, scales)), "--to", repr(to), "--layer", str(layer)]
    return json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)


def main():
    program, starts, rng = sys.argv[1], int(sys.argv[2]), random.Random(int(sys.argv[3]))
    print("# kind starts with_ode over_25% not_called_rough below_1% called_rough")
    for balanced in (True, False):
        count = dict.fromkeys(("starts", "ode", "over", "missed", "below", "false"), 0)
        for _ in range(starts // 2):
            case = start(rng, balanced)
            got = times(program, case)
            if got["corrected"] is None:
                continue
            count["starts"] += 1
            rough = "corrected is rough" in got["remark"]
            if got["ode"] is None:
                continue
            error = abs(got["corrected"] / got["ode"] - 1)
            count["ode"] += 1
            count["over"] += error > .25
            count["below"] += error < .01
            count["missed"] += error > .25 and not rough
            count["false"] += error < .01 and rough
            if error > .25 and not rough or error < .01 and rough:
                print("#", case, got, flush=True)
        print("balanced" if balanced else "prefix", *count.values(), flush=True)


main()
