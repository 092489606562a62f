# SPDX-License-Identifier: Apache-2.0
"""One member of a sweep in plain NumPy: its random numbers, its training, its escape steps.

An outside check of the backend "reference", with which it shares no code, and the equations of a run
on one page. Tanh networks, He-normal starts, squared loss, euclidean metric, teacher a sigma(x_1). The
library draws its normals in single precision, so that losses agree to about 1e-6.
"""
from __future__ import annotations

from typing import Sequence

import numpy as np

from ._library import Record

DATA, INIT = 0, 1  # what random numbers are for


def philox(seed: int, domain: int, step: int, stream: int, blocks: int) -> np.ndarray:
    """(blocks, 4) random 32-bit words, Philox4x32-10 (Salmon et al., SC11), as uint64.

    >>> [hex(word) for word in philox(0, 0, 0, 0, 1)[0].tolist()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    low = np.uint64(0xFFFFFFFF)
    counter = [np.arange(blocks, dtype=np.uint64)] + [
        np.full(blocks, word, np.uint64) for word in (step & 0xFFFFFFFF, stream, domain | step >> 32 << 8)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        first, second = counter[0] * np.uint64(0xD2511F53), counter[2] * np.uint64(0xCD9E8D57)
        counter = [second >> np.uint64(32) ^ counter[1] ^ np.uint64(key[0]), second & low,
                   first >> np.uint64(32) ^ counter[3] ^ np.uint64(key[1]), first & low]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(counter, axis=1)


def normals(seed: int, domain: int, step: int, stream: int, blocks: int) -> np.ndarray:
    """(4 blocks) standard normals: Box and Muller's transform of pairs of words, in float32."""
    uniform = (philox(seed, domain, step, stream, blocks) + 0.5) / 2.0**32
    radius, angle = np.sqrt(-2 * np.log(uniform[:, 0::2])), 2 * np.pi * uniform[:, 1::2]
    pairs = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=2)
    return pairs.reshape(-1).astype(np.float32)


def initial_weights(seed: int, scales: Sequence[float], width: int, inputs: int) -> list[np.ndarray]:
    """W_l (rows, fan-in) with entries N(0, 2/fan-in), times the scale of its layer."""
    weights = []
    for layer, scale in enumerate(scales):
        rows = 1 if layer == len(scales) - 1 else width
        fan_in = inputs if layer == 0 else width
        drawn = normals(seed, INIT, 0, layer, -(-rows * fan_in // 4))[:rows * fan_in]
        weights.append(scale * np.sqrt(2 / fan_in) * drawn.astype(float).reshape(rows, fan_in))
    return weights


def minibatch(seed: int, step: int, batch: int, inputs: int) -> np.ndarray:
    """(batch, inputs) of a step; each sample begins with a block of four."""
    blocks = -(-inputs // 4)
    drawn = normals(seed, DATA, step, 0, batch * blocks)
    return drawn.reshape(batch, 4 * blocks)[:, :inputs].astype(float)


def gradients(weights: list[np.ndarray], x: np.ndarray, target: np.ndarray) \
        -> tuple[float, list[np.ndarray]]:
    """The mean loss of a minibatch, and G_l = E[delta_l h_{l-1}'] by the chain rule."""
    h = [x]
    for w in weights[:-1]:
        h.append(np.tanh(h[-1] @ w.T))
    error = h[-1] @ weights[-1].T - target[:, None]
    delta, found = error / len(x), []
    for layer in reversed(range(len(weights))):
        found.insert(0, delta.T @ h[layer])
        delta = (delta @ weights[layer]) * (1 - h[layer]**2)  # of layer 0: not used
    return float(np.mean(error**2) / 2), found


def train(seed: int, scales: Sequence[float], *, width: int, inputs: int, batch: int, rate: float,
          steps: int, thresholds: Sequence[float], smoothing: float = 0.0,
          amplitude: float = 1.0) -> Record:
    """Trains one member to its last threshold, or for `steps`.

    Returns
    -------
    Record
        escape_step (thresholds; -1: not crossed), steps_run, final_loss, final_smoothed_loss,
        norm2_initial and norm2_final (layers): the variables of a result.
    """
    weights = initial_weights(seed, scales, width, inputs)
    start = [float(np.sum(w**2)) for w in weights]
    escape_step = np.full(len(thresholds), -1)
    loss = smoothed = np.nan
    step = 0
    while step < steps:
        x = minibatch(seed, step, batch, inputs)
        loss, g = gradients(weights, x, amplitude * np.tanh(x[:, 0]))
        smoothed = loss if step == 0 else smoothing * smoothed + (1 - smoothing) * loss
        escape_step[(escape_step < 0) & (smoothed < np.asarray(thresholds))] = step
        if (escape_step >= 0).all():
            break
        weights = [w - rate * gradient for w, gradient in zip(weights, g)]
        step += 1
    return Record(escape_step=escape_step, steps_run=step, final_loss=loss, final_smoothed_loss=smoothed,
                  norm2_initial=np.array(start),
                  norm2_final=np.array([np.sum(w**2) for w in weights]))
