# SPDX-License-Identifier: Apache-2.0
"""escapement beside PyTorch and JAX, in one run on one machine: same shapes, same
arithmetic (problem.py), float32, same processors. Each peer's step is first checked
against the formulas; its number of networks at once is chosen by trying several;
then escapement and all peers are timed in turn, round after round, and medians are
compared. Writes runs/bench/peers-DEVICE-DATE.json and .txt.

usage: tools/bench_peers [options]; see --help
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # isolated (-I) it is not there

import problem  # noqa: E402

ROOT = HERE.parent.parent
# Relative to a layer's largest gradient, after one step from weights of size 0.1: storing
# a weight costs 1e-5 of that; TF32 rounds the products' inputs to 2^-11.
TOLERANCE = {"float32": 2e-3, "tf32": 5e-2}


def fail(text):
    sys.exit(f"bench_peers: {text}")


def numbers(text):
    return [int(word) for word in text.split(",")]


def parse():
    p = argparse.ArgumentParser(prog="tools/bench_peers", description=__doc__.split("\n\n")[0])
    p.add_argument("--escapement", default=ROOT / "build/release/escapement", type=pathlib.Path)
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--width", type=numbers, default=[32, 64], metavar="LIST")
    p.add_argument("--layers", type=int, default=6)
    p.add_argument("--batch", type=numbers, default=[64, 512], metavar="LIST")
    p.add_argument("--members", type=numbers, metavar="LIST",
                   help="networks at once that a peer tries")
    p.add_argument("--variants", default="", metavar="PATTERN",
                   help="regular expression: of the peers, those whose name it matches")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=0.5, help="of one timing")
    p.add_argument("--output", default=ROOT / "runs/bench", type=pathlib.Path, metavar="DIR")
    ask = p.parse_args()
    if ask.rounds < 3:
        fail("--rounds: medians need 3 at least")
    return ask


def busy(seconds=0.25):
    """Share of the processors' time that goes to whoever computes now: to others, when
    it is asked between timings."""
    def sample():
        with open("/proc/stat", encoding="ascii") as stat:
            times = [int(word) for word in stat.readline().split()[1:9]]
        return sum(times), times[3] + times[4]  # all; idle and waiting for disks

    total, idle = sample()
    time.sleep(seconds)
    total, idle = (after - before for after, before in zip(sample(), (total, idle)))
    return 1 - idle / total if total else 0.0


class Worker:
    """One library in its own process (worker.py)."""

    def __init__(self, library, device, threads):
        cache = {"TORCHINDUCTOR_CACHE_DIR": str(ROOT / "build/peers-inductor"),
                 "OMP_NUM_THREADS": str(threads)}
        self.library = library
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", HERE / "worker.py", library, device, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **cache})

    def ask(self, do, **request):
        try:
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else {"failed": f"{self.library} cannot be used here"}

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Candidate:
    """A variant of a library at one shape, at the number of networks that suits it."""

    def __init__(self, worker, variant, shape):
        self.worker, self.variant, self.shape = worker, variant, shape
        self.precision = "tf32" if "default precision" in variant else "float32"
        self.swept, self.members, self.failed, self.error = {}, None, None, None
        self.times, self.times_fixed = [], []

    def name(self, members):
        return f"{self.variant}/{members}"

    def make(self, members):
        answer = self.worker.ask("make", name=self.name(members), variant=self.variant,
                                 shape={**self.shape, "members": members})
        self.failed = answer.get("failed")
        self.error = answer.get("error")
        if not self.failed and not (self.error is not None
                                    and self.error <= TOLERANCE[self.precision]):
            self.failed = f"its gradient is wrong: error {self.error}"
        return not self.failed

    def time(self, members, fixed, seconds):
        answer = self.worker.ask("time", name=self.name(members), fixed_inputs=fixed,
                                 seconds=seconds)
        self.failed = answer.get("failed")
        return answer.get("us_per_step")

    def choose_members(self, choices, seconds):
        """The fastest; stops early once two in a row are worse than the best."""
        for members in choices:
            if not self.make(members):
                break
            times = [self.time(members, False, seconds) for _ in range(2)]
            if None in times:
                break
            self.swept[members] = min(times)
            last = list(self.swept.values())[-2:]
            if len(last) == 2 and min(last) > 1.05 * min(self.swept.values()):
                break
        if self.swept:  # what was too large for the machine is left
            self.failed = None
            self.members = min(self.swept, key=self.swept.get)

    def round(self, seconds):
        if not self.failed:
            self.times.append(self.time(self.members, False, seconds))
        if not self.failed:
            self.times_fixed.append(self.time(self.members, True, seconds))

    def row(self, ours):
        row = {"what": self.variant, "precision": self.precision, **self.shape}
        if self.failed:
            return {**row, "failed": self.failed}
        us, fixed = statistics.median(self.times), statistics.median(self.times_fixed)
        return {**row, "members": self.members, "members_tried": self.swept, "error": self.error,
                "us_per_step": us, "us_per_step_least": min(self.times),
                "us_per_step_most": max(self.times), "us_per_step_inputs_free": fixed,
                "ratio": us / ours, "ratio_inputs_free": fixed / ours}


def run_escapement(ask, device, shape):
    """The rows of one call of `escapement bench`: one a path."""
    done = subprocess.run(
        [ask.escapement, "bench", "--json", "--backend", device, "--threads", str(ask.threads),
         "--seconds", str(2 * ask.seconds), "--width", str(shape["width"]),
         "--inputs", str(shape["inputs"]), "--layers", str(shape["layers"]),
         "--batch", str(shape["batch"])], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        fail(f"escapement bench: exit status {done.returncode}")
    return json.loads(done.stdout)["rows"]


def our_row(rounds, shape):
    """The fastest path, by its median over the rounds."""
    def median(path, key="us_per_step"):
        return statistics.median(r[key] for rows in rounds for r in rows if r["path"] == path)

    path = min((row["path"] for row in rounds[0]), key=median)
    first = next(row for row in rounds[0] if row["path"] == path)
    times = [r["us_per_step"] for rows in rounds for r in rows if r["path"] == path]
    return {"what": f"escapement {path}", **shape, "precision": first["precision"],
            "members": first["members"], "error": first["error"], "us_per_step": median(path),
            "us_per_step_least": min(times), "us_per_step_most": max(times),
            "flop_per_s": median(path, "flop_per_s"), "fraction": median(path, "fraction"),
            "ceiling_flop_per_s": median(path, "ceiling_flop_per_s"), "ratio": 1.0}


def members_to_try(ask, device, candidate, candidates):
    """What is compiled takes long to make: it tries what suits it uncompiled, and the next."""
    all_of_them = ask.members or ([128, 1024, 4096] if device == "cuda" else [4, 16, 64, 256])
    plain, comma, _ = candidate.variant.partition(", ")
    for other in candidates:
        if comma and other.variant == plain and other.members:
            return [m for m in all_of_them if m >= other.members][:2]
    return all_of_them


def run_shape(ask, device, shape, workers):
    """Rows of one shape: ours, then the peers'."""
    candidates = [Candidate(worker, variant, shape)
                  for worker in workers for variant in worker.variants
                  if re.search(ask.variants, variant)]
    for candidate in candidates:
        candidate.choose_members(members_to_try(ask, device, candidate, candidates),
                                 ask.seconds / 2)
        print(f"bench_peers: N={shape['width']} B={shape['batch']} {candidate.variant}: "
              f"{candidate.failed or candidate.swept}", file=sys.stderr)
    rounds, others = [], []
    for _ in range(ask.rounds):
        time.sleep(0.5)  # idle threads of the libraries spin for a while
        others.append(busy())
        rounds.append(run_escapement(ask, device, shape))
        for candidate in candidates:
            candidate.round(ask.seconds)
    for worker in workers:
        worker.ask("drop")
    ours = our_row(rounds, shape)
    rows = [ours] + [candidate.row(ours["us_per_step"]) for candidate in candidates]
    return [{**row, "others": statistics.median(others)} for row in rows]


def device_names(ask):
    text = subprocess.run([ask.escapement, "info", "--devices", "--json"], check=True,
                          stdout=subprocess.PIPE).stdout
    info = json.loads(text)
    device = ask.device if ask.device != "auto" else "cuda" if info["cuda"] else "cpu"
    if device == "cuda" and not info["cuda"]:
        fail("--device cuda: escapement finds none")
    return device, info["cuda"][0] if device == "cuda" else info["cpu"]["name"]


def describe(ask, device, name, workers):
    version = subprocess.run([ask.escapement, "--version"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.strip()
    versions = {k: v for worker in workers for k, v in worker.versions.items()}
    return {"device": name, "backend": device, "threads": ask.threads, "escapement": version,
            "versions": {**versions, "python": platform.python_version()},
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
            "rounds": ask.rounds, "seconds": ask.seconds}


HEADER = """# {device}, {threads} threads, {date}
# {escapement}; {libraries}
# us/step   one step of one network: forward, loss, backward, update, and its fresh inputs;
#           median, least and most of {rounds} rounds in which all take turns
# x         how many times escapement's; `fixed` is with inputs drawn once and never again,
#           while escapement still draws its own, keeps its ledger and compensates its update
# members   networks at once: of those tried, what suits the peer best
# error     of one step's gradient against the formulas in double; escapement's as in `bench`
"""


def table(result):
    libraries = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines = [HEADER.format(**result, libraries=libraries)]
    shape = None
    for row in result["rows"]:
        if shape != (row["width"], row["batch"]):
            shape = (row["width"], row["batch"])
            lines.append("\n# N={width} L={layers} d={inputs} B={batch}, tanh; others took {others:.0%} of "
                         "the processors\n".format(**row))
            lines.append("{:33} {:>9} {:>8} {:>10} {:>10} {:>10} {:>6} {:>10} {:>6} {:>8}\n".format(
                "#", "precision", "members", "us/step", "least", "most", "x", "fixed", "x", "error"))
        lines.append(table_row(row))
    return "".join(lines)


def table_row(row):
    if "failed" in row:
        return f"{row['what']:33} {row['precision']:>9} no number: {row['failed']}\n"
    text = ("{what:33} {precision:>9.7} {members:>8} {us_per_step:>10.4g} "
            "{us_per_step_least:>10.4g} {us_per_step_most:>10.4g} {ratio:>6.2f} ").format(**row)
    if "fraction" in row:
        return text + f"{'':10} {'':6} {row['error']:>8.1e}  {row['fraction']:.3f} of the ceiling\n"
    return text + "{us_per_step_inputs_free:>10.4g} {ratio_inputs_free:>6.2f} {error:>8.1e}\n".format(
        **row)


def write(ask, result):
    name = re.sub("[^a-z0-9]+", "-", result["device"].split(",")[0].lower()).strip("-")
    path = ask.output / f"peers-{name}-{result['date']}"
    ask.output.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    path.with_suffix(".txt").write_text(table(result))
    return path.with_suffix(".txt")


def main():
    ask = parse()
    if not ask.escapement.exists():
        fail(f"{ask.escapement} is not there: build it, or name another with --escapement")
    problem.check_gradient()
    device, name = device_names(ask)
    workers = []
    for library in ("torch", "jax"):
        worker = Worker(library, device, ask.threads)
        hello = worker.ask("hello")
        worker.versions, worker.variants = hello.get("versions", {}), hello.get("variants", [])
        workers.append(worker)
        if "failed" in hello:
            print(f"bench_peers: {hello['failed']}: left out", file=sys.stderr)
    result = {**describe(ask, device, name, workers), "rows": []}
    for width in ask.width:
        for batch in ask.batch:
            shape = {"width": width, "layers": ask.layers, "inputs": width, "batch": batch}
            result["rows"] += run_shape(ask, device, shape, workers)
            path = write(ask, result)
    for worker in workers:
        worker.close()
    print(path.read_text(), end="")
    print(f"bench_peers: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
