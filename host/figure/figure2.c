/* Figure 2: t* against epsilon, (a) for several depths, all layers small, and (b) for r small
 * layers at one depth: the exponent is set by r. */
#include <stdio.h>

#include "figure/figure.h"

enum { POINTS = 6 }; /* of a theory line */

static esc_status draw_theory(json_t *panel, const esc_compared *c, bool legend) {
  esc_status status = ESC_OK;
  const uint64_t small = (uint64_t)c->group->small_layers;
  const esc_escape_problem reduced = esc_figure_problem(c->problem, small, 1);
  double epsilon[POINTS], time[POINTS];
  esc_curves t;
  ESC_TRY(esc_curves_of(&reduced, small, c->scale[0], c->scale[c->points - 1], POINTS, &t));
  ESC_TRY(esc_loss_crossings_of(&reduced, small, c->group->threshold, c->scale[0],
                                c->scale[c->points - 1], POINTS, epsilon, time));
  const esc_series ode = {ESC_LINE, -1, POINTS, epsilon, time, NULL, NULL};
  const esc_series closed = {ESC_DOT, -1, t.points, t.epsilon, t.closed, NULL, NULL};
  esc_panel_series(panel, &ode, "%s", legend ? "reduced ODE, same threshold" : "");
  esc_panel_series(panel, &closed, "%s", legend ? "leading order, to $s=1/2$" : "");
done:
  return status;
}

static esc_status add_group(esc_figure *f, json_t *panel, const esc_figure_run *run,
                            const esc_fit_group *g, int colour, const char *label) {
  esc_status status = ESC_OK;
  esc_compared c;
  char what[96];
  ESC_TRY(esc_compare_group(run, g, &c));
  snprintf(what, sizeof what, "figure 2, %s", label);
  esc_compared_check(f, &c, what);
  ESC_TRY(draw_theory(panel, &c, colour == 0));
  esc_compared_draw(panel, &c, colour, 1, label);
done:
  return status;
}

static esc_status add_depths(esc_figure *f) {
  esc_status status = ESC_OK;
  esc_fit fit = {0};
  json_t *panel =
      esc_panel_add(f, "(a) all layers at $\\varepsilon$", "$\\varepsilon$", "$t^*$", "loglog");
  for (int i = 0; i < f->runs; i++) {
    char label[64];
    const esc_results *table = f->run[i].results;
    ESC_TRY(esc_fit_results(1, &table, &fit));
    snprintf(label, sizeof label, "L = %d, r = %d", table->layers, table->layers);
    for (int g = 0; g < fit.groups; g++)
      if (fit.group[g].bottleneck == table->layers)
        ESC_TRY(add_group(f, panel, &f->run[i], &fit.group[g], i, label));
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
  snprintf(title, sizeof title, "(b) r of %d layers at $\\varepsilon$", table->layers);
  json_t *panel = esc_panel_add(f, title, "$\\varepsilon$", "$t^*$", "loglog");
  ESC_TRY(esc_fit_results(1, &table, &fit));
  for (int g = 0; g < fit.groups; g++) {
    if (fit.group[g].bottleneck == table->layers) continue; /* in (a) */
    esc_layers_text(fit.group[g].small_layers, layers, sizeof layers);
    snprintf(label, sizeof label, "r = %d, layers %s", fit.group[g].bottleneck, layers);
    ESC_TRY(add_group(f, panel, run, &fit.group[g], g, label));
  }
done:
  esc_fit_free(&fit);
  return status;
}

esc_status esc_figure_2(esc_figure *f) {
  esc_status status = ESC_OK;
  f->title = "Escape time against scale: set by r, not by the depth";
  ESC_TRY(add_depths(f));
  ESC_TRY(add_bottlenecks(f, &f->run[f->runs - 1]));
done:
  return status;
}
