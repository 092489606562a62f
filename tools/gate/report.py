# SPDX-License-Identifier: Apache-2.0
"""The JSON file of a gate, and the table that is printed."""
import json
import os
import time

from .calls import CUT, FAIL, NOT_REACHED, PASS


class Report:
    """The JSON file: a head, and a result for each stage."""

    def __init__(self, path, head, stages):
        self.path, self.began = path, time.monotonic()
        self.content = {**head, "stages": {name: {"status": NOT_REACHED} for name in stages}}
        self.save()

    def verdict(self):
        """What failed, and what could not be done here. Optional stages may lack time."""
        stages = self.content["stages"]
        failed = [name for name, result in stages.items() if result["status"] == FAIL or
                  result["status"] in (CUT, NOT_REACHED) and not result.get("optional")]
        return {"ok": not failed, "failed": failed,
                "left_out": {name: result.get("why", result["status"])
                             for name, result in stages.items()
                             if result["status"] != PASS and name not in failed}}

    def save(self):
        """Replaces the file by what is known now."""
        self.content["seconds"] = round(time.monotonic() - self.began, 1)
        self.content["verdict"] = self.verdict()
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        with open(self.path + ".part", "w", encoding="utf-8") as file:
            json.dump(self.content, file, indent=1)
            file.write("\n")
        os.replace(self.path + ".part", self.path)

    def begin(self, name, optional):
        """A result to be filled; its status is "cut off" until the stage ends."""
        result = self.content["stages"][name] = {"status": CUT, "optional": optional}
        self.save()
        return result


def print_table(report):
    for name, result in report.content["stages"].items():
        print(f"{name:<12} {result['status']:<12} {result.get('seconds', 0):7.1f} s")
        for row in result.get("checks", []):
            if not row["pass"]:
                print(f"    {row['check']}: {row['got']}, allowed {row['allowed']}")
        for part, row in {**result.get("tests", {}), **result.get("runs", {})}.items():
            if row.get("status", PASS) != PASS or "failed" in row:
                print(f"    {part}: {row.get('failed', row.get('status'))}")
        for row in result.get("modelled", []):
            print("    {path} N={width} B={batch}: {measured_us:.3f} us a network-step, modelled "
                  "{modelled_us:.3f} at {modelled_commit}, ratio {ratio:.2f}".format(**row) +
                  ", of other kernels than this tree's" * (not row["is_of_this_tree"]))
        if result["status"] != PASS and "why" in result:
            print("    " + result["why"].splitlines()[0])
    verdict = report.content["verdict"]
    print("all passed" if verdict["ok"] else "failed: " + ", ".join(verdict["failed"]))
    print(report.path)
