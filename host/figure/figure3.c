/* SPDX-License-Identifier: Apache-2.0 */
/* Figure 3: five activations on the symmetric manifold, raw times and times scaled by
 * a c_1 a_1^{L-1}, which fall on one curve as epsilon goes to 0. */
#include <math.h>
#include <stdio.h>

#include "figure/figure.h"

static const double smallest = 0.07; /* where the scaled lines have met */

typedef struct activation_run {
  char name[32];
  double factor; /* a c_1 a_1^{L-1} */
  int order;     /* of t_ODE / t_closed - 1 in epsilon: q - 1 */
  esc_escape_problem reduced;
  esc_compared compared;
} activation_run;

static esc_status examine(const esc_figure_run *run, const esc_fit_group *g, activation_run *out) {
  esc_status status = ESC_OK;
  const esc_problem *p = &run->spec->problem;
  esc_classification c;
  ESC_TRY(esc_classify(&p->activation, &c));
  esc_activation_title(&p->activation, out->name, sizeof out->name);
  out->factor = p->teacher.amplitude[0] * c.c1 * pow(c.a[1], p->shape.layers - 1);
  out->order = c.q - 1;
  out->reduced = esc_figure_problem(p, (uint64_t)g->small_layers, 1);
  ESC_TRY(esc_compare_group(run, g, &out->compared));
done:
  return status;
}

/* The collapse is exact only as epsilon goes to 0: what remains falls as epsilon^(q-1). */
static esc_status check_order(esc_figure *f, const activation_run *a) {
  esc_status status = ESC_OK;
  esc_curves t;
  const uint64_t all = (UINT64_C(1) << a->reduced.layers) - 1;
  ESC_TRY(esc_curves_of(&a->reduced, all, 0.005, 0.01, 2, &t));
  const double near = fabs(t.ode[0] / t.closed[0] - 1), far = fabs(t.ode[1] / t.closed[1] - 1);
  esc_check_add(
      f, a->order, log(far / near) / log(2), 0.1,
      "the next order is higher by one, or by a logarithm: at $\\varepsilon = 0.005$ and 0.01 a "
      "few per cent of the exponent",
      "figure 3, %s: order in $\\varepsilon$ of the collapse's residual, ODE over closed form",
      a->name);
done:
  return status;
}

/* Training's scaled times are off the master curve by what the ODE's are. */
static void check_collapse(esc_figure *f, const activation_run *a) {
  const esc_compared *c = &a->compared;
  const double power = a->reduced.layers - 2, unit = a->factor * c->problem->rate;
  const double master = pow(c->scale[0], -power) / power;
  esc_check_add(
      f, unit * c->expected[0] / master, unit * c->mean[0] / master,
      unit * c->tolerance[0] / master,
      "what escape steps are allowed at the smallest $\\varepsilon$",
      "figure 3, %s: scaled time over $\\varepsilon^{-(L-2)}/(L-2)$, training against the ODE",
      a->name);
}

static esc_status draw(json_t *panel, const activation_run *a, int colour, bool scaled) {
  esc_status status = ESC_OK;
  const esc_compared *c = &a->compared;
  const uint64_t all = (UINT64_C(1) << a->reduced.layers) - 1;
  esc_crossing_curve t;
  ESC_TRY(esc_loss_crossings_of(&a->reduced, all, c->group->threshold,
                                scaled ? smallest : c->scale[0], c->scale[c->points - 1], &t));
  for (int i = 0; i < ESC_CURVE_POINTS && scaled; i++) t.time[i] *= a->factor;
  const esc_plot_series ode = {
      .role = ESC_LINE, .colour = colour, .count = ESC_CURVE_POINTS, .x = t.epsilon, .y = t.time};
  esc_panel_series(panel, &ode, "%s", "");
  esc_compared_draw(panel, c, colour, 0, scaled ? a->factor : 1, a->name);
done:
  return status;
}

static void draw_master(json_t *panel, int layers) {
  const double x[2] = {smallest, 0.36};
  double y[2];
  for (int i = 0; i < 2; i++) y[i] = pow(x[i], 2 - layers) / (layers - 2);
  const esc_plot_series line = {.role = ESC_DASH, .colour = -1, .count = 2, .x = x, .y = y};
  esc_panel_series(panel, &line, "%s", "$\\varepsilon^{-(L-2)}/(L-2)$");
}

esc_status esc_figure_3(esc_figure *f) {
  esc_status status = ESC_OK;
  static const char *const scale_axis = "initialisation scale $\\varepsilon$";
  f->common_legend = true;
  f->title = "Five activations: one master curve";
  esc_caption_add(
      f,
      "Escape time against the scale $\\varepsilon$ of all layers, on the symmetric manifold: (a) "
      "in flow time $\\eta t^*$; (b) times $a c_1 a_1^{L-1}$, which puts all activations on the "
      "master curve (dashed) as $\\varepsilon$ goes to 0. Marks: training, means over seeds; bars: "
      "two standard errors, hidden by the mark where they are smaller. Lines of the same colour: "
      "the reduced ODE until its loss passes the same threshold; in (b) they go on to the "
      "$\\varepsilon$ where they have met.");
  json_t *raw =
      esc_panel_add(f, "raw", scale_axis, "escape time $\\eta t^*$ (flow time)", "loglog");
  json_t *scaled =
      esc_panel_add(f, "scaled", scale_axis, "scaled time $a c_1 (a_1)^{L-1} \\eta t^*$", "loglog");
  esc_panel_key(raw, ESC_LINE, -2, "reduced ODE, same threshold");
  draw_master(scaled, f->run[0].results->layers);
  for (int i = 0; i < f->runs; i++) {
    esc_fit fit = {0};
    activation_run a;
    char what[64];
    const esc_results *table = f->run[i].results;
    ESC_TRY(esc_fit_results(1, &table, &fit));
    status = examine(&f->run[i], &fit.group[0], &a);
    snprintf(what, sizeof what, "figure 3, %s", status == ESC_OK ? a.name : "");
    if (status == ESC_OK) esc_compared_check(f, &a.compared, what);
    if (status == ESC_OK) check_collapse(f, &a);
    if (status == ESC_OK) status = check_order(f, &a);
    if (status == ESC_OK) status = draw(raw, &a, i, false);
    if (status == ESC_OK) status = draw(scaled, &a, i, true);
    esc_fit_free(&fit);
    if (status != ESC_OK) goto done;
  }
done:
  return status;
}
