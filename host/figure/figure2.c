/* SPDX-License-Identifier: Apache-2.0 */
/* Figure 2: t* against epsilon, (a) for several depths, all layers small, and (b) for r small
 * layers at one depth: the exponent is set by r. */
#include <stdio.h>

#include "figure/figure.h"

static const char *const scale_axis = "initialisation scale $\\varepsilon$";
static const char *const time_axis = "escape time $\\eta t^*$ (flow time)";

static esc_status draw_theory(json_t *panel, const esc_compared *c, bool legend) {
  esc_status status = ESC_OK;
  const uint64_t small = (uint64_t)c->group->small_layers;
  const esc_escape_problem reduced = esc_figure_problem(c->problem, small, 1);
  esc_crossing_curve t;
  ESC_TRY(esc_loss_crossings_of(&reduced, small, c->group->threshold, c->scale[0],
                                c->scale[c->points - 1], &t));
  const esc_plot_series ode = {
      .role = ESC_LINE, .colour = -1, .count = ESC_CURVE_POINTS, .x = t.epsilon, .y = t.time};
  const esc_plot_series closed = {
      .role = ESC_DOT, .colour = -1, .count = ESC_CURVE_POINTS, .x = t.epsilon, .y = t.closed};
  esc_panel_series(panel, &ode, "%s", legend ? "reduced ODE, same threshold" : "");
  if (small & 1) /* else the closed form lacks the prefix's drive (docs/theory, section 4.5) */
    esc_panel_series(panel, &closed, "%s", legend ? "leading order, to $s=1/2$" : "");
done:
  return status;
}

static esc_status add_group(esc_figure *f, json_t *panel, const esc_figure_run *run,
                            const esc_fit_group *g, int repeat, const char *label) {
  esc_status status = ESC_OK;
  esc_compared c;
  char what[96];
  ESC_TRY(esc_compare_group(run, g, &c));
  snprintf(what, sizeof what, "figure 2, %s", label);
  esc_compared_check(f, &c, what);
  ESC_TRY(draw_theory(panel, &c, json_array_size(json_object_get(panel, "series")) == 0));
  esc_compared_draw(panel, &c, esc_bottleneck_colour(g->bottleneck), repeat, 1, label);
done:
  return status;
}

static esc_status add_depths(esc_figure *f) {
  esc_status status = ESC_OK;
  esc_fit fit = {0};
  json_t *panel =
      esc_panel_add(f, "all $L$ layers at $\\varepsilon$", scale_axis, time_axis, "loglog");
  for (int i = 0; i < f->runs; i++) {
    char label[64];
    const esc_results *table = f->run[i].results;
    ESC_TRY(esc_fit_results(1, &table, &fit));
    snprintf(label, sizeof label, "$L = %d$, $r = %d$", table->layers, table->layers);
    for (int g = 0; g < fit.groups; g++)
      if (fit.group[g].bottleneck == table->layers)
        ESC_TRY(add_group(f, panel, &f->run[i], &fit.group[g], 0, label));
    esc_fit_free(&fit);
    fit = (esc_fit){0};
  }
done:
  esc_fit_free(&fit);
  return status;
}

static esc_status add_bottlenecks(esc_figure *f, const esc_figure_run *run) {
  esc_status status = ESC_OK;
  esc_fit fit = {0};
  const esc_results *table = run->results;
  char title[96], layers[64], label[96];
  int repeats[ESC_LAYERS_MAX + 1] = {0}; /* groups of each r so far */
  snprintf(title, sizeof title, "$r$ of %d layers at $\\varepsilon$", table->layers);
  json_t *panel = esc_panel_add(f, title, scale_axis, time_axis, "loglog");
  ESC_TRY(esc_fit_results(1, &table, &fit));
  for (int g = 0; g < fit.groups; g++) {
    const int r = fit.group[g].bottleneck;
    if (r == table->layers) continue; /* in (a) */
    esc_layers_text(fit.group[g].small_layers, layers, sizeof layers);
    snprintf(label, sizeof label, "$r = %d$, %s", fit.group[g].bottleneck, layers);
    ESC_TRY(add_group(f, panel, run, &fit.group[g], repeats[r]++, label));
  }
done:
  esc_fit_free(&fit);
  return status;
}

esc_status esc_figure_2(esc_figure *f) {
  esc_status status = ESC_OK;
  f->title = "Escape time against scale: set by r, not by the depth";
  esc_caption_add(
      f,
      "Escape time, in flow time $\\eta t^*$, against the scale $\\varepsilon$ of the small "
      "layers on the symmetric manifold: (a) all $L$ layers small, for several depths; (b) $r$ of "
      "the layers small, the others at scale 1. Marks: training, means over seeds; bars: two "
      "standard errors, hidden by the mark where they are smaller. Solid: the reduced ODE until "
      "its loss passes the same threshold. Dotted, where layer 1 is small: the leading order in "
      "closed form, until $s = 1/2$.");
  ESC_TRY(add_depths(f));
  ESC_TRY(add_bottlenecks(f, &f->run[f->runs - 1]));
done:
  return status;
}
