# SPDX-License-Identifier: Apache-2.0
"""The shapes of a gate: those of a GPU, and those of a rehearsal on a processor."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Size:
    """training: overrides of the main job's spec; few_slots: fewer than it has networks;
    benches: (name, options of `escapement bench`), the most important first, with one path and width
    each, so that the measured rows remain if time runs out; peers: options of tools/bench_peers."""
    training: tuple
    few_slots: str
    benches: tuple
    peers: tuple


def benches(groups, options):
    """Of each group of widths, every path; after the first group the CPU, for comparison."""
    found = []
    for n, widths in enumerate(groups):
        found += [(f"cuda {path}, N={width}", ["--backend", "cuda", "--path", path, "--width", width,
                                               *options])
                  for width in widths for path in ("fused", "fused-3xtf32", "cublas")]
        if n == 0:
            found.append(("cpu", ["--backend", "cpu", "--width", ",".join(widths), *options]))
    return tuple(found)


# torch.compile takes minutes: the peers' CUDA graphs and JAX are timed, in the order of interest.
FULL = Size(training=(), few_slots="64",
            benches=benches((("32", "64"), ("16", "48")),
                            ("--layers", "6", "--batch", "64,512", "--slots", "1024",
                             "--seconds", "1")),
            peers=("--rounds", "3", "--seconds", "0.3", "--batch", "512,64",
                   "--variants", "CUDA graph|jax"))

SMALL = Size(training=("network.layers=3", "network.width=8", "network.inputs=4", "train.batch=16",
                       "train.rate=0.1", "train.steps=400", "escape.smoothing=0.5",
                       "escape.false_escapes=allow", "sweep.seeds=2",
                       "sweep.groups=[{bottleneck: 2, scales: [0.3, 0.5]}]"),
             few_slots="2",
             benches=benches((("16",),), ("--layers", "3", "--batch", "8", "--slots", "4",
                                          "--seconds", "0.05")),
             peers=("--rounds", "3", "--seconds", "0.05", "--width", "16", "--batch", "8",
                    "--members", "4"))
