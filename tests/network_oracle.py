# SPDX-License-Identifier: Apache-2.0
"""The student, its data and a training step in NumPy, in double: an oracle that shares no code with the program.

For tanh, the squared loss, the euclidean metric and a teacher along the first coordinate axes."""
import numpy


def philox(seed, domain, step, stream, blocks):
    """Words (block, 4) of Philox4x32-10, with the counter of docs/theory/numerics.md."""
    mask = numpy.uint64(0xFFFFFFFF)
    count = numpy.arange(blocks, dtype=numpy.uint64)
    words = [count] + [numpy.full(blocks, v, numpy.uint64)
                       for v in (step & 0xFFFFFFFF, stream, domain | (step >> 32) << 8)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        first, second = numpy.uint64(0xD2511F53) * words[0], numpy.uint64(0xCD9E8D57) * words[2]
        shift = numpy.uint64(32)
        words = [(second >> shift) ^ words[1] ^ numpy.uint64(key[0]), second & mask,
                 (first >> shift) ^ words[3] ^ numpy.uint64(key[1]), first & mask]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return numpy.stack(words, axis=1)


def normals(seed, domain, step, stream, blocks):
    """Normals (block, 4) by Box and Muller."""
    u = (philox(seed, domain, step, stream, blocks).astype(float) + 0.5) / 2.0 ** 32
    radius, angle = numpy.sqrt(-2 * numpy.log(u[:, ::2])), 2 * numpy.pi * u[:, 1::2]
    return numpy.stack([radius * numpy.sin(angle), radius * numpy.cos(angle)], axis=2).reshape(blocks, 4)


def minibatch(seed, step, batch, inputs):
    """Inputs (batch, inputs) of a training step: each sample begins with a new block."""
    blocks = (inputs + 3) // 4
    return normals(seed, 0, step, 0, batch * blocks).reshape(batch, 4 * blocks)[:, :inputs]


def he_normal(seed, layer, shape):
    """Initial weights at scale 1."""
    count = shape[0] * shape[1]
    draw = normals(seed, 1, 0, layer, (count + 3) // 4).reshape(-1)[:count]
    return draw.reshape(shape) * numpy.sqrt(2 / shape[1])


def evaluation_sample(seed, samples, inputs):
    """One input of each pair +-x: rows of orthogonal columns, each of squared length samples / 2."""
    half = samples // 2
    draw = normals(seed, 4, 1, 0, (half * inputs + 3) // 4).reshape(-1)[:half * inputs]
    q, r = numpy.linalg.qr(draw.reshape(inputs, half).T)
    return q * numpy.sign(numpy.diag(r)) * numpy.sqrt(half)


def forward(weights, x):
    """Activations h_0 = x, ..., h_{L-1} and the output f."""
    h = [x]
    for w in weights[:-1]:
        h.append(numpy.tanh(h[-1] @ w.T))
    return h, (h[-1] @ weights[-1].T)[:, 0]


def target(x, amplitude=1.0):
    return amplitude * numpy.tanh(x[:, 0])


def gradients(weights, x):
    """Of the minibatch's loss, layer by layer."""
    h, f = forward(weights, x)
    u = ((f - target(x)) / len(x))[:, None]
    out = []
    for w, below in zip(reversed(weights), reversed(h)):
        out.append(u.T @ below)
        u = u @ w * (1 - below ** 2)
    return out[::-1]


def step(weights, x, rate):
    """Gradient descent on the minibatch: the new weights."""
    return [w - rate * g for w, g in zip(weights, gradients(weights, x))]


class Sgd:
    """Momentum and weight decay as PyTorch's SGD has them, for one network."""

    def __init__(self, rate, momentum=0, nesterov=False, decay=0):
        self.rate, self.momentum, self.nesterov, self.decay, self.velocity = rate, momentum, nesterov, decay, None

    def step(self, weights, x):
        g = [g + self.decay * w for g, w in zip(gradients(weights, x), weights)]
        past = self.velocity or [0] * len(g)
        self.velocity = [self.momentum * v + d for v, d in zip(past, g)]
        ahead = [d + self.momentum * v for d, v in zip(g, self.velocity)] if self.nesterov else self.velocity
        return [w - self.rate * e for w, e in zip(weights, ahead)]


class Adam:
    """Adam for one network; with decay outside the gradient AdamW."""

    def __init__(self, rate, decay=0, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.rate, self.decay, self.beta1, self.beta2, self.epsilon = rate, decay, beta1, beta2, epsilon
        self.moments, self.updates = None, 0

    def step(self, weights, x):
        g = gradients(weights, x)
        past = self.moments or [(0, 0)] * len(g)
        self.updates += 1
        self.moments = [(self.beta1 * m + (1 - self.beta1) * d, self.beta2 * v + (1 - self.beta2) * d ** 2)
                        for (m, v), d in zip(past, g)]
        mean, square = 1 - self.beta1 ** self.updates, 1 - self.beta2 ** self.updates
        return [(1 - self.rate * self.decay) * w - self.rate * (m / mean) / (numpy.sqrt(v / square) + self.epsilon)
                for w, (m, v) in zip(weights, self.moments)]
