# SPDX-License-Identifier: Apache-2.0
"""The training step that every peer makes, in double precision and as formulas:

  y = a tanh(x_1), x ~ N(0, I_d);  h_l = tanh(W_l h_{l-1}),  f = W_L h_{L-1}
  loss = 1/2 mean_b (f - y)^2;  W_l <- W_l - eta dloss/dW_l

for M networks, each with its own weights and its own minibatch. Weights are a list of
arrays (M, fan_out, fan_in), inputs (M, B, d).
"""
import dataclasses

import numpy as np

AMPLITUDE, RATE, INIT_SCALE = 1.0, 0.05, 0.5


@dataclasses.dataclass(frozen=True)
class Shape:
    width: int
    layers: int
    inputs: int
    batch: int
    members: int

    def fans(self):
        """(fan_out, fan_in) of every layer."""
        n = self.width
        return [(n, self.inputs)] + [(n, n)] * (self.layers - 2) + [(1, n)]

    def flop(self):
        """Of one network-step: the textbook count of `escapement bench`."""
        n, deep = self.width, (self.layers - 2) * self.width**2 + self.width
        return 2 * self.batch * (2 * (n * self.inputs + deep) + deep)


DISTINCT = 16  # networks that are drawn; more are the same again


def initial_weights(shape, seed=1):
    """He-normal at the scale that `escapement bench` starts from, as float32."""
    rng = np.random.default_rng(seed)
    return [np.resize((INIT_SCALE * np.sqrt(2 / fan_in) *
                       rng.standard_normal((DISTINCT, fan_out, fan_in))).astype(np.float32),
                      (shape.members, fan_out, fan_in)) for fan_out, fan_in in shape.fans()]


def draw_inputs(shape, seed=2):
    rng = np.random.default_rng(seed)
    some = rng.standard_normal((DISTINCT, shape.batch, shape.inputs)).astype(np.float32)
    return np.resize(some, (shape.members, shape.batch, shape.inputs))


def forward(weights, x):
    """Values behind every layer, the inputs first; the last is f, (M, B, 1)."""
    h = [x.astype(np.float64)]
    for i, w in enumerate(weights):
        z = h[-1] @ w.astype(np.float64).swapaxes(1, 2)
        h.append(z if i == len(weights) - 1 else np.tanh(z))
    return h


def loss(weights, x):
    """(M)"""
    target = AMPLITUDE * np.tanh(x[:, :, :1].astype(np.float64))
    return 0.5 * ((forward(weights, x)[-1] - target) ** 2).mean(axis=(1, 2))


def gradient(weights, x):
    """dloss/dW_l, a list like the weights."""
    h = forward(weights, x)
    target = AMPLITUDE * np.tanh(x[:, :, :1].astype(np.float64))
    delta, out = (h[-1] - target) / x.shape[1], []
    for w, below in zip(reversed(weights), reversed(h[:-1])):
        out.append(delta.swapaxes(1, 2) @ below)
        delta = (delta @ w.astype(np.float64)) * (1 - below**2)
    return out[::-1]


def check_gradient():
    """The formulas above against differences of the loss; raises where they disagree."""
    shape = Shape(width=5, layers=4, inputs=3, batch=7, members=2)
    weights = [w.astype(np.float64) for w in initial_weights(shape)]
    x, exact, step = draw_inputs(shape), gradient(initial_weights(shape), draw_inputs(shape)), 1e-5
    for w, g in zip(weights, exact):
        for index in np.ndindex(w.shape[1:]):
            entry = (slice(None), *index)
            middle = w[entry].copy()
            w[entry] = middle + step
            above = loss(weights, x)
            w[entry] = middle - step
            slope = (above - loss(weights, x)) / (2 * step)
            w[entry] = middle
            if not np.all(np.abs(slope - g[entry]) <= 1e-8):
                raise AssertionError(f"the gradient's formula is wrong at {index}")


CHECKED = 4  # networks: the first of them


def update_error(before, after, x):
    """Largest error of (before - after) / eta against the gradient, relative to each
    layer's largest entry; NaN if anything is."""
    before, after = ([w[:CHECKED] for w in weights] for weights in (before, after))
    errors = [np.abs((w0.astype(np.float64) - w1) / RATE - g).max() / np.abs(g).max()
              for w0, w1, g in zip(before, after, gradient(before, x[:CHECKED]))]
    return float(np.max(errors))
