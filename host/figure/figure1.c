/* SPDX-License-Identifier: Apache-2.0 */
/* Figure 1: full training against the reduced ODE, loss and every s_l over time, from
 * unbalanced starts on the symmetric manifold. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "figure/figure.h"

enum { POINTS = ESC_FIGURE_POINTS_MAX, layers_drawn = 4 };
static const char *const flow_time = "flow time $\\eta k$";

/* The ODE where gradient descent is: with step eta it follows F - (eta/2) F'F, so at step k it
 * is at time eta (k - ln(|F| / |F(0)|) / 2). */
typedef struct ode_curve {
  int points;
  double step[ESC_CURVE_POINTS], loss[ESC_CURVE_POINTS];
  double scale[ESC_CURVE_POINTS * ESC_LAYERS_MAX];
} ode_curve;

/* Fills loss and scale at the steps of `out`. */
static esc_status follow(const esc_escape_problem *p, double rate, ode_curve *out) {
  esc_status status = ESC_OK;
  double time[ESC_CURVE_POINTS], speed, first;
  for (int i = 0; i < out->points; i++) time[i] = rate * out->step[i];
  ESC_TRY(esc_reduced_trajectory(p, out->points, time, out->scale, out->loss));
  ESC_TRY(esc_flow_speed(p, p->scale, &first));
  for (int i = 1; i < out->points; i++) {
    ESC_TRY(esc_flow_speed(p, out->scale + i * p->layers, &speed));
    time[i] = fmax(time[i - 1], rate * (out->step[i] - log(speed / first) / 2));
  }
  ESC_TRY(esc_reduced_trajectory(p, out->points, time, out->scale, out->loss));
done:
  return status;
}

/* At the snapshots of training, for the checks, and densely, for the picture. */
static esc_status follow_both(const esc_escape_problem *p, double rate, const esc_mean_curve *c,
                              ode_curve *at, ode_curve *drawn) {
  esc_status status = ESC_OK;
  at->points = c->points;
  memcpy(at->step, c->step, (size_t)c->points * sizeof *c->step);
  drawn->points = ESC_CURVE_POINTS;
  ESC_TRY(follow(p, rate, at));
  esc_curve_steps(at->points, at->step, at->loss, drawn->step);
  ESC_TRY(follow(p, rate, drawn));
done:
  return status;
}

/* s_l of a layer with Frobenius norm 1 (docs/theory, section 7.2). */
static double unit_scale(const esc_problem *p, int l) {
  const double root = sqrt(p->shape.width);
  return l == 0 ? 1 / root : l == p->shape.layers - 1 ? root : 1;
}

/* The largest change of a curve in one step. */
static double fastest_step(const esc_mean_curve *c, const double *y, int stride) {
  double most = 0;
  for (int i = 1; i < c->points; i++)
    most = fmax(most, fabs(y[i * stride] - y[(i - 1) * stride]) / (c->step[i] - c->step[i - 1]));
  return most;
}

/* Worst of |mean - expected| over what is allowed: 5 standard errors, what noise off the
 * manifold adds to a norm, a step of motion, the weights' own precision. */
static double worst_departure(const esc_mean_curve *c, const double *expected, int stride,
                              const double *inflation) {
  const double motion = fastest_step(c, expected, stride);
  double worst = 0;
  for (int i = 0; i < c->points; i++) {
    const double allowed = 5 * c->error[i] + (inflation ? inflation[i] : 0) + motion +
                           1e-6 * fabs(expected[i * stride]);
    const double ratio = fabs(c->mean[i] - expected[i * stride]) / allowed;
    if (!(ratio <= worst)) worst = ratio;
  }
  return worst;
}

/* (rho |W|)^2 / (2 |W_l|) in units of s_l: rho is the distance from the manifold over |W|. */
static esc_status find_inflation(const esc_figure_run *run, int l, double *out) {
  esc_status status = ESC_OK;
  const int layers = run->results->layers;
  esc_mean_curve distance, norm[ESC_LAYERS_MAX];
  ESC_TRY(esc_mean_curve_of(run, ESC_OBSERVABLE_manifold_distance, 0, &distance));
  for (int k = 0; k < layers; k++)
    ESC_TRY(esc_mean_curve_of(run, ESC_OBSERVABLE_frobenius_norm, k, &norm[k]));
  for (int i = 0; i < distance.points; i++) {
    double square = 0;
    for (int k = 0; k < layers; k++) square += norm[k].mean[i] * norm[k].mean[i];
    square *= distance.mean[i] * distance.mean[i];
    out[i] = square / (2 * norm[l].mean[i]) * unit_scale(&run->spec->problem, l);
  }
done:
  return status;
}

static const char reason[] =
    "in units of 5 standard errors over seeds, a step of gradient descent where it is fastest "
    "(what "
    "is left of the finite step's error), and for a scale the part of its norm off the manifold";

static void draw_ode(json_t *panel, const ode_curve *c, double rate, const double *y, int stride,
                     const char *label) {
  double time[ESC_CURVE_POINTS], value[ESC_CURVE_POINTS];
  for (int i = 0; i < c->points; i++) {
    time[i] = rate * c->step[i];
    value[i] = y[i * stride];
  }
  const esc_plot_series line = {
      .role = ESC_LINE, .colour = -1, .count = c->points, .x = time, .y = value};
  esc_panel_series(panel, &line, "%s", label);
}

static esc_status add_scales(esc_figure *f, const esc_figure_run *run, const ode_curve *ode,
                             const ode_curve *drawn, const char *name) {
  esc_status status = ESC_OK;
  const esc_problem *p = &run->spec->problem;
  const int layers = p->shape.layers;
  char text[64];
  snprintf(text, sizeof text, "%s, scales", name);
  json_t *panel = esc_panel_add(f, text, flow_time, "scale $s_\\ell$", "linear");
  for (int l = 0; l < layers; l++) {
    esc_mean_curve c;
    double inflation[POINTS];
    ESC_TRY(esc_mean_curve_of(run, ESC_OBSERVABLE_frobenius_norm, l, &c));
    ESC_TRY(find_inflation(run, l, inflation));
    for (int i = 0; i < c.points; i++) {
      c.mean[i] *= unit_scale(p, l);
      c.error[i] *= unit_scale(p, l);
    }
    draw_ode(panel, drawn, p->rate, drawn->scale + l, layers, l == 0 ? "reduced ODE" : "");
    snprintf(text, sizeof text, "training, $s_%d$", l + 1);
    esc_mean_curve_draw(panel, &c, p->rate, l, text);
    esc_check_add(f, 0, worst_departure(&c, ode->scale + l, layers, inflation), 1, reason,
                  "figure 1, %s: $s_%d$ of training against the reduced ODE's, worst over time",
                  name, l + 1);
  }
done:
  return status;
}

static esc_status add_run(esc_figure *f, const esc_figure_run *run) {
  esc_status status = ESC_OK;
  const esc_problem *p = &run->spec->problem;
  const esc_escape_problem reduced = esc_figure_problem(p, 0, 1);
  esc_mean_curve loss;
  ode_curve ode, drawn;
  char name[32], title[64];
  esc_activation_title(&p->activation, name, sizeof name);
  ESC_TRY(esc_mean_curve_of(run, ESC_OBSERVABLE_evaluation_loss, 0, &loss));
  ESC_TRY(follow_both(&reduced, p->rate, &loss, &ode, &drawn));
  snprintf(title, sizeof title, "%s, loss", name);
  json_t *panel = esc_panel_add(f, title, flow_time, "population loss", "linear");
  draw_ode(panel, &drawn, p->rate, drawn.loss, 1, "reduced ODE");
  esc_mean_curve_draw(panel, &loss, p->rate, layers_drawn, "training, loss");
  esc_check_add(f, 0, worst_departure(&loss, ode.loss, 1, NULL), 1, reason,
                "figure 1, %s: loss of training against the reduced ODE's, worst over time", name);
  ESC_TRY(add_scales(f, run, &ode, &drawn, name));
done:
  return status;
}

esc_status esc_figure_1(esc_figure *f) {
  esc_status status = ESC_OK;
  f->common_legend = true;
  f->title = "Full training against the reduced ODE";
  esc_caption_add(
      f,
      "Population loss and layer scales $s_\\ell$ (the norm of layer $\\ell$ in units of the "
      "symmetric manifold) over the flow time $\\eta k$, $k$ being the step of gradient descent, "
      "from unequal scales on the symmetric manifold. Lines: the reduced ODE, at the time where "
      "gradient descent with step $\\eta$ follows it. Marks: training, means over seeds, every "
      "second snapshot; bars: two standard errors over seeds, hidden by the mark where they are "
      "smaller.");
  for (int i = 0; i < f->runs; i++) ESC_TRY(add_run(f, &f->run[i]));
done:
  return status;
}
