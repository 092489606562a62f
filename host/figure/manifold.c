/* SPDX-License-Identifier: Apache-2.0 */
/* Networks trained on the symmetric manifold against the reduced ODE: when the loss
 * passes a threshold, at gradient descent's finite step. */
#include <math.h>
#include <string.h>

#include "figure/figure.h"

enum { PROBES = 33, ROUNDS = 4 };

esc_escape_problem esc_figure_problem(const esc_problem *p, uint64_t small_layers, double epsilon) {
  esc_escape_problem out = {.activation = p->activation,
                            .amplitude = p->teacher.amplitude[0],
                            .layers = p->shape.layers,
                            .to = 0.5};
  const esc_member member = {.small_layers = small_layers, .scale = epsilon};
  for (int l = p->shape.layers - 1; l >= 0; l--) {
    out.scale[l] = esc_layer_scale(p, &member, 0, l);
    if (small_layers >> l & 1) out.layer = l;
  }
  return out;
}

esc_status esc_flow_speed(const esc_escape_problem *p, const double *s, double *out) {
  esc_status status = ESC_OK;
  esc_quadrature rule = {0};
  double rate[ESC_LAYERS_MAX], largest = 1;
  for (int l = 0; l < p->layers; l++) largest = fmax(largest, fabs(s[l]));
  ESC_TRY(esc_gaussian_rule(&p->activation, p->layers, largest, 1e-8, &rule));
  esc_reduced_rhs(p, &rule, s, rate, NULL);
  *out = 0;
  for (int l = 0; l < p->layers; l++) *out = hypot(*out, rate[l]);
done:
  esc_quadrature_free(&rule);
  return status;
}

/* The loss falls along the flow, so that the bracket is narrowed by probing it. */
static esc_status narrow(const esc_escape_problem *p, double threshold, double *low, double *high,
                         double *s) {
  esc_status status = ESC_OK;
  double time[PROBES], loss[PROBES], scale[PROBES][ESC_LAYERS_MAX];
  double *flat = &scale[0][0];
  for (int i = 0; i < PROBES; i++) time[i] = *low + (*high - *low) * i / (PROBES - 1);
  ESC_TRY(esc_reduced_trajectory(p, PROBES, time, flat, loss));
  for (int i = 1; i < PROBES; i++)
    if (loss[i] < threshold && loss[i - 1] >= threshold) {
      *low = time[i - 1];
      *high = time[i];
      memcpy(s, flat + (ptrdiff_t)i * p->layers, (size_t)p->layers * sizeof *s);
      return ESC_OK;
    }
  status = ESC_FAIL(ESC_BAD_INPUT, "the reduced ODE's loss does not pass %g", threshold);
done:
  return status;
}

esc_status esc_loss_crossing_of(const esc_escape_problem *problem, double threshold,
                                esc_loss_crossing *out) {
  esc_status status = ESC_OK;
  esc_escape_problem p = *problem;
  esc_escape_times times;
  p.to = fmax(0.5, 2 * p.scale[p.layer]);
  ESC_TRY(esc_escape_times_find(&p, &times));
  if (!isfinite(times.ode))
    return ESC_FAIL(ESC_BAD_INPUT, "the reduced ODE does not escape: %s", times.note);
  out->closed = times.closed;
  double low = 0, high = 2 * times.ode + 40;
  for (int i = 0; i < ROUNDS; i++) ESC_TRY(narrow(&p, threshold, &low, &high, out->scale));
  out->time = (low + high) / 2;
  ESC_TRY(esc_flow_speed(&p, out->scale, &out->speed));
  ESC_TRY(esc_flow_speed(&p, p.scale, &out->speed_start));
done:
  return status;
}

esc_status esc_loss_crossings_of(const esc_escape_problem *unit, uint64_t small_layers,
                                 double threshold, double low, double high,
                                 esc_crossing_curve *out) {
  esc_status status = ESC_OK;
  esc_escape_problem p = *unit;
  double knot[ESC_CURVE_KNOTS], time[ESC_CURVE_KNOTS], closed[ESC_CURVE_KNOTS];
  esc_curve_knots(low, high, knot);
  for (int i = 0; i < ESC_CURVE_KNOTS; i++) {
    esc_loss_crossing at;
    for (int l = 0; l < p.layers; l++)
      if (small_layers >> l & 1) p.scale[l] = unit->scale[l] * knot[i];
    ESC_TRY(esc_loss_crossing_of(&p, threshold, &at));
    time[i] = at.time;
    closed[i] = at.closed;
  }
  esc_curve_smooth(knot, time, out->epsilon, out->time);
  esc_curve_smooth(knot, closed, out->epsilon, out->closed);
done:
  return status;
}

/* Steps by which the minibatch loss's noise may bring the crossing forward: three standard
 * deviations of it, sqrt(2/B) of the threshold for a Gaussian error, over what the loss falls
 * in a step, eta |F|^2. */
static double noise_steps(const esc_problem *p, double threshold, double at_speed) {
  const double noise = threshold * sqrt(2.0 / p->batch);
  return 3 * noise / (p->rate * at_speed * at_speed);
}

esc_status esc_compare_group(const esc_figure_run *run, const esc_fit_group *g, esc_compared *out) {
  esc_status status = ESC_OK;
  const esc_problem *p = &run->spec->problem;
  *out = (esc_compared){.group = g, .problem = p};
  if (g->points > ESC_FIGURE_POINTS_MAX)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: more than %d scales in a group", run->sweep->name,
                    (int)ESC_FIGURE_POINTS_MAX);
  for (int i = 0; i < g->points; i++) {
    const esc_fit_point *from = &g->point[i];
    const esc_escape_problem reduced =
        esc_figure_problem(p, (uint64_t)g->small_layers, from->scale);
    esc_loss_crossing at;
    ESC_TRY(esc_loss_crossing_of(&reduced, g->threshold, &at));
    out->scale[i] = from->scale;
    out->mean[i] = from->censored ? (double)NAN : from->mean;
    out->error[i] = from->sd / sqrt((double)from->n);
    out->expected[i] = at.time / p->rate + log(at.speed / at.speed_start) / 2;
    out->tolerance[i] = 5 * out->error[i] + noise_steps(p, g->threshold, at.speed) + 1;
    out->points = i + 1;
  }
done:
  return status;
}

static void check_points(esc_figure *f, const esc_compared *c, const char *what) {
  double worst = 0;
  static const char *const reason =
      "in units of 5 standard errors over seeds, three deviations of a minibatch loss over its "
      "fall in a step, and a step";
  int largest = 0;
  for (int i = 0; i < c->points; i++) {
    const double ratio = fabs(c->mean[i] - c->expected[i]) / c->tolerance[i];
    if (!(ratio <= worst)) largest = i;
    if (!(ratio <= worst)) worst = ratio;
  }
  esc_check_add(f, 0, worst, 1, reason, "%s: escape steps of training, ODE's at the same threshold",
                what);
  esc_check_detail(
      f, "worst at $\\varepsilon = %.3g$, batch %d: %.1f steps against %.1f, allowed %.1f",
      c->scale[largest], c->problem->batch, c->mean[largest], c->expected[largest],
      c->tolerance[largest]);
}

/* Allowed deviation of the slope, from the tolerances of the points. */
static double law_tolerance(const esc_compared *c, bool relative) {
  double worst = 0;
  for (int i = 0; i < c->points; i++)
    worst = fmax(worst, c->tolerance[i] / (relative ? c->expected[i] : 1));
  return 2 * worst / log(c->scale[c->points - 1] / c->scale[0]);
}

static void check_law(esc_figure *f, const esc_compared *c, const char *what) {
  static const char *const reason =
      "the ends of the window may be off by what the points are allowed, in opposite directions; "
      "expected is the ODE's law over the same window";
  const int n = c->points;
  if (c->group->law == ESC_LAW_POWER) {
    esc_check_add(f, esc_log_slope(n, c->scale, c->expected), c->group->slope,
                  law_tolerance(c, true), reason,
                  "%s: slope of $\\log t^*$ on $\\log\\varepsilon$, training", what);
    return;
  }
  const double expected = esc_steps_per_decade(n, c->scale, c->expected);
  esc_check_add(f, expected, esc_steps_per_decade(n, c->scale, c->mean),
                law_tolerance(c, false) * log(10), reason,
                "%s: steps a decade of $\\varepsilon$, training", what);
}

void esc_compared_check(esc_figure *figure, const esc_compared *c, const char *what) {
  check_points(figure, c, what);
  check_law(figure, c, what);
}

void esc_compared_draw(json_t *panel, const esc_compared *c, int colour, int marker, double factor,
                       const char *label) {
  double y[ESC_FIGURE_POINTS_MAX], low[ESC_FIGURE_POINTS_MAX], high[ESC_FIGURE_POINTS_MAX];
  const double unit = factor * c->problem->rate;
  for (int i = 0; i < c->points; i++) {
    y[i] = unit * c->mean[i];
    low[i] = unit * (c->mean[i] - 2 * c->error[i]);
    high[i] = unit * (c->mean[i] + 2 * c->error[i]);
  }
  const esc_plot_series series = {ESC_MARKS, colour, c->points, c->scale, y, low, high, marker, 0};
  esc_panel_series(panel, &series, "%s", label);
}
