# SPDX-License-Identifier: Apache-2.0
"""The reduced ODE for the studies of momentum, decay and Adam: `escapement escape`, and the loss of
a symmetric network, so that a threshold of the loss is one of a scale."""
import functools
import json
import subprocess

import numpy as np

NODES = np.arange(-600, 601) * 0.02
WEIGHTS = np.exp(-NODES**2 / 2) * 0.02 / np.sqrt(2 * np.pi)


class Theory:
    """`escape` of a tanh chain with teacher amplitude 1, by the given program."""

    def __init__(self, program):
        self.program = program

    def escape(self, scales, to, **options):
        """The command's JSON; `options` without their dashes, e.g. momentum=0.9."""
        words = [w for name, value in options.items() for w in (f"--{name}", repr(float(value)))]
        return self._ask("--scales", ",".join(repr(float(s)) for s in scales), "--to",
                         repr(float(to)), *words)

    @functools.cache
    def _ask(self, *words):
        done = subprocess.run([self.program, "escape", "--activation", "tanh", "--amplitude", "1",
                               "--json", *words], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def steps(self, scales, to, rate, **options):
        """Escape time over `rate`, in the first-order limit; NaN where the start does not escape."""
        time = self.escape(scales, to, **options)["ode"]
        return np.nan if time is None else time / rate


def loss_of_equal_scales(layers, scale):
    """E[(tanh g - f)^2] / 2 of the chain with all scales equal."""
    h = NODES
    for _ in range(layers - 1):
        h = np.tanh(scale * h)
    return (WEIGHTS * (np.tanh(NODES) - scale * h)**2).sum() / 2


def scale_at_loss(layers, loss):
    """The scale of a balanced chain whose loss has fallen to `loss`: the threshold of `escape`."""
    low, high = 1e-3, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if loss_of_equal_scales(layers, middle) > loss else (low, middle)
    return high
