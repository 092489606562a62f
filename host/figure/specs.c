/* SPDX-License-Identifier: Apache-2.0 */
/* Which sweeps make which figure, and their specs, which travel inside the program. */
#include <stdio.h>
#include <string.h>

#include "figure/figure.h"
#include "figure_specs.h" /* made from runs/figures: figure_specs[] of name and text */

const esc_figure_sweep esc_figure_sweeps[] = {
    {1, "figure1-tanh", "figure1-tanh", NULL},
    {1, "figure1-gelu", "figure1-gelu", NULL},
    {2, "figure2-L2", "figure2-L2", NULL},
    {2, "figure2-L3", "figure2-L3", NULL},
    {2, "figure2-L4", "figure2-L4", NULL},
    {2, "figure2-r", "figure2-r", NULL},
    {3, "figure3-tanh", "figure3-odd", "network.activation=tanh"},
    {3, "figure3-erf", "figure3-odd", "network.activation=erf"},
    {3, "figure3-sin", "figure3-odd", "network.activation=sin"},
    {3, "figure3-gelu", "figure3-even", "network.activation=gelu"},
    {3, "figure3-swish", "figure3-even", "network.activation=swish"},
    {4, "figure4-slopes", "figure4-slopes", NULL},
    {4, "figure4-corners", "figure4-corners", NULL},
    {4, "figure4-gelu", "figure4-gelu", NULL},
    {5, "figure5", "figure5", NULL},
};
const int esc_figure_sweep_count = sizeof esc_figure_sweeps / sizeof esc_figure_sweeps[0];

const char *esc_figure_spec(const char *scale, const char *name) {
  char wanted[64];
  snprintf(wanted, sizeof wanted, "%s/%s", scale, name);
  for (size_t i = 0; i < sizeof figure_specs / sizeof figure_specs[0]; i++)
    if (!strcmp(figure_specs[i].name, wanted)) return figure_specs[i].text;
  return NULL;
}
