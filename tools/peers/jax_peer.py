# SPDX-License-Identifier: Apache-2.0
"""The step in JAX: vmap over grad, a lax.scan over steps, all under jit. Precision
HIGHEST is float32 everywhere; the default is TF32 on a GPU that has it.
"""
import jax
import jax.numpy as jnp
import numpy as np

from problem import AMPLITUDE, RATE, draw_inputs, initial_weights, update_error

VARIANTS = {"jax vmap scan": "highest", "jax vmap scan, default precision": "default"}
CHUNK = 8  # steps of one scan


def network_loss(weights, x):
    h = x
    for w in weights[:-1]:
        h = jnp.tanh(h @ w.T)
    return 0.5 * jnp.mean((h @ weights[-1].T - AMPLITUDE * jnp.tanh(x[:, :1])) ** 2)


def update(weights, x):
    loss, grads = jax.vmap(jax.value_and_grad(network_loss))(weights, x)
    return [w - RATE * g for w, g in zip(weights, grads)], loss


class Peer:
    """M networks. advance(steps) trains each, whole scans of CHUNK steps at a time."""

    def __init__(self, variant, shape, _device, fixed_inputs):
        self.shape, self.fixed_inputs = shape, fixed_inputs
        self.precision = VARIANTS[variant]
        self.key = jax.random.key(1)
        self.x = jnp.asarray(draw_inputs(shape))
        self.weights = [jnp.asarray(w) for w in initial_weights(shape)]
        self.scan = jax.jit(self.scan_steps, static_argnums=3, donate_argnums=0)

    def scan_steps(self, weights, key, x, steps):
        def step(weights, key):
            draw = x if self.fixed_inputs else jax.random.normal(key, x.shape, jnp.float32)
            return update(weights, draw)

        with jax.default_matmul_precision(self.precision):
            return jax.lax.scan(step, weights, jax.random.split(key, steps))

    def run(self, steps):
        self.key, key = jax.random.split(self.key)
        self.weights, loss = self.scan(self.weights, key, self.x, steps)
        return loss

    def advance(self, steps):
        loss = None
        for _ in range(-(-steps // CHUNK)):
            loss = self.run(CHUNK)
        jax.block_until_ready((self.weights, loss))

    def error(self):
        """Of one step from the initial weights, against the formulas; needs fixed inputs."""
        before = initial_weights(self.shape)
        self.weights = [jnp.asarray(w) for w in before]
        self.run(1)
        return update_error(before, [np.asarray(w) for w in self.weights], draw_inputs(self.shape))


def setup(_threads, _device):
    """XLA's CPU backend takes the processors that the process may use (worker.py)."""


def versions():
    import jaxlib
    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}


def variants(device):
    return [name for name, precision in VARIANTS.items()
            if device == "cuda" or precision == "highest"]
