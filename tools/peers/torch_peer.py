# SPDX-License-Identifier: Apache-2.0
"""The step in PyTorch: products by hand (torch.bmm, backward pass written out), and
torch.func.vmap over grad; each eager, compiled, and on a GPU captured as a CUDA graph.
"""
import torch
import torch._dynamo.config as dynamo
import torch._inductor.config as inductor

from problem import AMPLITUDE, RATE, draw_inputs, initial_weights, update_error

VARIANTS = {
    "torch bmm": ("bmm", "eager"),
    "torch vmap": ("vmap", "eager"),
    "torch bmm, compiled": ("bmm", "compiled"),
    "torch vmap, compiled": ("vmap", "compiled"),
    "torch bmm, CUDA graph": ("bmm", "graph"),
    "torch vmap, CUDA graph": ("vmap", "graph"),
}


def target(x):
    return AMPLITUDE * torch.tanh(x[..., :1])


def bmm_update(weights, x):
    """Updates in place, each layer with one product: W <- W - eta delta' h."""
    h = [x]
    for w in weights[:-1]:
        h.append(torch.bmm(h[-1], w.mT).tanh_())
    error = torch.bmm(h[-1], weights[-1].mT).sub_(target(x))
    loss = error.square().mean(dim=(1, 2)).mul_(0.5)
    delta = error.div_(x.shape[1])
    for w, below in zip(reversed(weights), reversed(h)):
        above = torch.bmm(delta, w) if w is not weights[0] else None
        w.baddbmm_(delta.mT, below, alpha=-RATE)
        if above is not None:
            delta = above.mul_(1 - below.square())
    return loss


def network_loss(weights, x):
    """Of one network: weights (fan_out, fan_in), x (B, d)."""
    h = x
    for w in weights[:-1]:
        h = torch.tanh(h @ w.T)
    return 0.5 * (h @ weights[-1].T - target(x)).square().mean()


def vmap_update(weights, x):
    grads, loss = torch.func.vmap(torch.func.grad_and_value(network_loss))(tuple(weights), x)
    for w, g in zip(weights, grads):
        w.sub_(g, alpha=RATE)
    return loss


UPDATES = {"bmm": bmm_update, "vmap": vmap_update}


class Peer:
    """M networks in one process. step() trains each by one step."""

    def __init__(self, variant, shape, device, fixed_inputs):
        self.kind, self.mode = VARIANTS[variant]
        self.shape, self.device = shape, device
        self.weights = [torch.from_numpy(w).to(device) for w in initial_weights(shape)]
        self.x = torch.from_numpy(draw_inputs(shape)).to(device)
        self.fixed_inputs = fixed_inputs
        self.step = self.make_step()

    def one_step(self):
        if not self.fixed_inputs:
            return UPDATES[self.kind](self.weights, torch.randn_like(self.x))
        return UPDATES[self.kind](self.weights, self.x)

    def make_step(self):
        if self.mode == "compiled":
            return torch.compile(self.one_step, dynamic=False)
        return self.capture() if self.mode == "graph" else self.one_step

    def capture(self):
        """A graph of one step; the side stream is what PyTorch asks for before capturing."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.one_step()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.one_step()
        return self.graph.replay

    def advance(self, steps):
        with torch.no_grad():
            for _ in range(steps):
                self.step()
        self.wait()

    def wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def error(self):
        """Of one step from the initial weights, against the formulas; needs fixed inputs."""
        before = initial_weights(self.shape)
        with torch.no_grad():
            for w, start in zip(self.weights, before):
                w.copy_(torch.from_numpy(start))
            self.step()
        self.wait()
        after = [w.cpu().numpy() for w in self.weights]
        return update_error(before, after, draw_inputs(self.shape))


def setup(threads, device):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = False  # as is PyTorch's default
    dynamo.recompile_limit = 1000  # one function, many shapes
    # Inductor's own generator is scalar code on a CPU and takes twice as long as the step.
    inductor.fallback_random = device == "cpu"


def versions():
    return {"torch": torch.__version__}


def variants(device):
    return [name for name, (_, mode) in VARIANTS.items() if device == "cuda" or mode != "graph"]
