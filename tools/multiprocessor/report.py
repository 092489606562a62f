# SPDX-License-Identifier: Apache-2.0
"""The output of tools/gpu_model."""
import dataclasses
import json

from . import cards
from .replay import IDEALS


def percent(share):
    return f"{100 * share:.0f}%"


def heading(result):
    return ("{path} on {card}: N={width} d={inputs} L={layers} B={batch} {activation}".format(
        **result) + (f", ideal {','.join(result['ideal'])}" if result["ideal"] else ""))


def text(result, lines=0):
    """One shape, for a reader."""
    out = [heading(result)]
    if not result["fits"] and "cycles" not in result:
        return "\n".join([*out, f"  a block needs {result['shared_bytes']} bytes of shared memory, "
                                "more than the card has"])
    out += ["  {blocks} blocks of {threads} threads on a multiprocessor, {registers} registers, "
            "{shared_bytes} bytes of shared memory".format(**result),
            "  modelled: {cycles} cycles a network-step, {ms:.3f} ms a step of {networks} networks,"
            " {0} of FP32 peak".format(percent(result["fp32_fraction"]), **result),
            "  {instructions} instructions, {wavefronts} wavefronts, {l2_bytes} bytes of L2 a "
            "network-step".format(**result),
            "  busy: " + ", ".join(f"{name} {percent(share)}" for name, share in busy(result)),
            "  warps: " + ", ".join(f"{name} {percent(share)}"
                                    for name, share in result["stalls"].items() if share >= 0.005),
            "", table("phase", result["phases"])]
    if lines:
        out += ["", table("line", dict(list(result["lines"].items())[:lines]))]
    if result["unknown_branches"]:
        out += ["", "branches that depend on floats, decided by a rule:",
                *("  {times:6d}  {line} ({phase})".format(**row)
                  for row in result["unknown_branches"])]
    return "\n".join(out)


def binding(rows):
    """Rows of model.binding: the cost that shortens the step most first."""
    out = [heading(rows[0])]
    if not rows[0]["fits"]:
        return "\n".join([*out, "  does not fit"])
    whole = rows[0]["ms"]
    out.append(f"  {'without':8s} ms/{rows[0]['networks']}  change\n  {'':8s} {whole:7.3f}")
    out += ["  {0:8s} {ms:7.3f}  {1:+5.1f}%  {2}".format(*row["ideal"], 100 * (row["ms"] / whole - 1),
                                                      IDEALS[row["ideal"][0]], **row)
            for row in sorted(rows[1:], key=lambda row: row["ms"])]
    return "\n".join(out)


def bits(row):
    """Of bits.check."""
    wrong = {name: count for name, count in row["differences"].items() if count}
    arrays = ", ".join(f"{name} ({count} words changed)" for name, count in row["changed"].items() if count)
    return "\n".join([
        "{path} on sm_{architecture}: N={width} d={inputs} L={layers} B={batch} {activation} {optimizer} {loss}, steps "
        "{steps}, networks {networks}, MUFU {0}".format(mufu(row["mufu_error"]), **row),
        "  {instructions} instructions of {kernel}".format(**row),
        "  DIFFERENT words: " + ", ".join(f"{name} {count}" for name, count in wrong.items()) if wrong else
        f"  equal to the SIMT harness in every bit: {arrays}"])


def mufu(error):
    return f"off by {error:+d} ulp" if error else "correctly rounded"


def bits_head(source, layers, batch, steps, error):
    return ("# Bits of the machine code, sm_90: tools/gpu_model --bits --table. No GPU has run it.\n"
            f"# sources: commit {source.get('commit')}, digest {source.get('kernels')}; nvcc "
            f"{source.get('compiler')}\n"
            "# changed: 32-bit words that the launch changed, of weights, compensation, track and the\n"
            "# optimizer's state; different: of all their words, those that differ from the SIMT harness's.\n"
            f"# L={layers}, B={batch}, steps {steps}, 2 networks, MUFU {mufu(error)}\n"
            "# path          N  d activation optimizer  instructions  changed  different")


def bits_row(row):
    """A row of --bits --table."""
    return "{path:13s} {width:3d} {inputs:2d} {activation:10s} {optimizer:9s} {instructions:13d} {0:8d} {1:10d}" \
        .format(sum(row["changed"].values()), sum(row["differences"].values()), **row)


def busy(result):
    """The resources, most used first."""
    shares = {"issue slots": result["issue_slots"], "shared memory": result["shared_memory"],
              "L2": result["l2"]}
    shares.update({name: share for name, share in result["pipes"].items()
                   if name not in ("shared", "global", "shuffle", "imad")})
    return sorted(((n, s) for n, s in shares.items() if s >= 0.005), key=lambda item: -item[1])


SHORT = {"issued": "issued", "fixed latency": "fixed", "short scoreboard": "short",
         "long scoreboard": "long", "barrier": "barrier", "memory queue": "queue",
         "busy pipe": "pipe", "not selected": "other"}


def table(name, rows):
    """Rows of model.collect; stalls in per cent of all warps' cycles."""
    out = [f"{name:30s} {'time':>5s} {'instr':>8s} {'wavefr':>7s} {'L2 KB':>6s} | " +
           " ".join(f"{short:>7s}" for short in SHORT.values())]
    for key, row in rows.items():
        out.append(f"{key:30s} {100 * row['share']:4.1f}% {row['instructions']:8d} "
                   f"{row['wavefronts']:7d} {row['l2_bytes'] / 1024:6.1f} | " +
                   " ".join(f"{100 * row['stalls'][reason]:7.1f}" for reason in SHORT))
    return "\n".join(out)


TABLE_HEAD = ("path          card      N   B  blocks  k cycles  ms/1024  FP32  issue  smem   "
              "FMA  fixed  short  long  barrier")


def table_row(result):
    """A row of --table."""
    head = "{path:13s} {card:8s} {width:2d} {batch:3d}".format(**result)
    if not result["fits"]:
        return head + "       -  (does not fit)"
    stalls = result["stalls"]
    shares = (result["fp32_fraction"], result["issue_slots"], result["shared_memory"],
              result["pipes"]["fma"], stalls["fixed latency"], stalls["short scoreboard"],
              stalls["long scoreboard"], stalls["barrier"])
    return (f"{head}  {result['blocks']:6d}  {result['cycles'] / 1e3:8.1f}  {result['ms']:7.3f} " +
            " ".join(f"{100 * share:5.0f}" for share in shares))


def read_rows(path):
    """Rows of a file of --json, by path, width, batch and card."""
    with open(path, encoding="utf-8") as file:
        return {(row["path"], row["width"], row["batch"], row["card"]): row
                for row in json.load(file)["rows"]}


def compare(before, after):
    """Two tables of read_rows beside each other, in Markdown: milliseconds before and after."""
    def cell(row):
        return f"{row['ms']:.3f}" if row and row["fits"] else ""

    shown = list(dict.fromkeys(key[3] for key in after))
    out = ["| path | N | B | " + " | ".join(shown) + f" | {shown[0]}: ratio | k cycles a network-step "
           "| FP32 peak |", "| --- " * (6 + len(shown)) + "|"]
    for path, width, batch in dict.fromkeys(key[:3] for key in after):
        pairs = [[cell(rows.get((path, width, batch, card))) for rows in (before, after)] for card in shown]
        cells = [" → ".join(filter(None, pair)) if pair[1] else "–" for pair in pairs]
        first, then = (rows.get((path, width, batch, shown[0])) for rows in (before, after))
        ratio = f"{first['ms'] / then['ms']:.2f}" if all(pairs[0]) else ""
        rest = [f"{then['cycles'] / 1e3:.1f}", percent(then["fp32_fraction"])] if pairs[0][1] else ["", ""]
        out.append("| " + " | ".join([path, str(width), str(batch), *cells, ratio, *rest]) + " |")
    return "\n".join(out)


def kernel_head(source, layers, batch):
    return ("# Kernels of the fused paths: tools/gpu_model --kernels. Nothing here is measured.\n"
            f"# sources: commit {source.get('commit')}, digest {source.get('kernels')}; nvcc "
            f"{source.get('compiler')}\n"
            "# registers a thread; bytes of its stack frame, spills among them; local: instructions\n"
            "# that access the frame; shared memory of a block, and the blocks that fit a\n"
            f"# multiprocessor, 0 where it holds none: L={layers}, B={batch}. erf stands for all\n"
            "# activations but tanh, d = N - 1 for all shapes with padding.\n"
            "# path        card      N  d activation  threads  registers  stack  local  shared KB  blocks")


def kernel_row(row):
    """A row of --kernels."""
    return ("{path:13s} {card:8s} {width:2d} {inputs:2d} {activation:10s} {threads:8d} "
            "{registers:10d} {stack:6d} {local_accesses:6d} {0:10.1f} {blocks:7d}".format(row["shared_bytes"] / 1024, **row))


def assumptions():
    """The constants of cards.py."""
    out = [cards.__doc__.strip(), ""]
    out += [f"{name:24s} {value}" for name, value in vars(cards).items()
            if name.isupper() and isinstance(value, (int, float))]
    fields = [field.name for field in dataclasses.fields(cards.Card)]
    out += ["", f"{'':22s}" + "".join(f"{name:>10s}" for name in cards.CARDS)]
    out += [f"{field:22s}" + "".join(f"{getattr(card, field)!s:>10s}"
                                     for card in cards.CARDS.values()) for field in fields]
    return "\n".join(out)


def shortened(result):
    """Of a row of the table: without source lines, and of a phase what it costs."""
    kept = {key: value for key, value in result.items() if key not in ("lines", "unknown_branches")}
    if "phases" in kept:
        kept["phases"] = {name: {key: value for key, value in row.items() if key != "stalls"}
                          for name, row in kept["phases"].items()}
    return kept


def rounded(value):
    """Fractions to five digits."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list) else value


def json_text(head, rows):
    """The keys of `head`, and a line a row."""
    return json.dumps(head)[:-1] + ', "rows": [\n' + ",\n".join(json.dumps(rounded(row)) for row in rows) + "\n]}\n"
