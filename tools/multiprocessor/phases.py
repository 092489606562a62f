# SPDX-License-Identifier: Apache-2.0
"""The phase of a training step that an instruction belongs to, by the functions of kernels/
that it was inlined from."""
import os
import re

# The first function of an instruction's stack, innermost first, that a row matches.
PHASES = (
    (r"esc_fused_draw_inputs", "inputs"),
    (r"input_gradient|add_feature", "backward: input gradient"),
    (r"weight_gradient", "weight gradient: products"),
    (r"reduce_gradient|esc_fused_(init_sums|(add|store|thread)_partials|"
     r"(matrix|panels)_backward|add_output_gradient)", "weight gradient: sums"),
    (r"forward", "forward: products"),
    (r"esc_fused_forward(_layer)?", "forward: activation"),
    (r"esc_fused_(activation_backward|load_z|store_outputs|backward)",
     "backward: activation, deltas"),
    (r"esc_fused_(dot|evaluate_target|evaluate_losses|apply_stopping_rule)", "losses"),
    (r"esc_fused_(update_(output_)?layer|load_compensation)", "update"),
    (r"esc_fused_(add_deficits|accumulate_ledger)", "ledger"),
    (r"", "rest"),
)
NAMES = list(dict.fromkeys(name for _, name in PHASES))
OUTSIDE = NAMES[-1]

DEFINITION = re.compile(r"^(?P<indent> *)(?:template <.*> *)?"
                        r"(?:static (?:inline )?__(?:device|host)__|ESC_SHARED )")
# The name of a function is the first word before a parenthesis that is no attribute.
NAME = re.compile(r"\b(?!__)([a-z]\w*)\(")


def function_spans(path):
    """[(first line, last line, name)] of the device functions of a formatted source file: a
    function ends at the first closing brace that is indented as its head."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    spans = []
    for number, line in enumerate(lines):
        head = DEFINITION.match(line)
        if not head:
            continue
        text = re.sub(r"__attribute__\(\(\w+\)\)", "", " ".join(lines[number:number + 3]))
        name = NAME.search(text)
        end = next((n for n in range(number, len(lines)) if lines[n] == head["indent"] + "}" or
                    n == number and line.rstrip().endswith("}")), None)
        if name and end is not None:
            spans.append((number + 1, end + 1, name[1]))
    return spans


class Phases:
    """Phases of the instructions whose sources are in the tree `root`."""

    def __init__(self, root):
        folders = [os.path.join(root, *parts) for parts in
                   (("kernels",), ("include", "escapement", "internal"))]
        self.spans = {name: function_spans(os.path.join(folder, name)) for folder in folders
                      for name in os.listdir(folder) if name.endswith((".cu", ".cuh", ".h"))}
        self.known = {}

    def functions(self, stack):
        """Of a stack of (file, line), innermost first; other files are left out."""
        names = []
        for file, line in stack:
            names += [name for first, last, name in self.spans.get(file, ())
                      if first <= line <= last][:1]
        return names

    def of(self, stack):
        key = tuple(stack)
        if key not in self.known:
            self.known[key] = self.find(self.functions(stack))
        return self.known[key]

    @staticmethod
    def find(functions):
        for name in functions:
            for pattern, phase in PHASES[:-1]:
                if re.fullmatch(pattern, name):
                    return phase
        return OUTSIDE
