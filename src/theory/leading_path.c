/* SPDX-License-Identifier: Apache-2.0 */
/* Times along the path of the leading order (leading_path.h), by adaptive Gauss-Kronrod quadrature
 * in ln v: at the leading order's rates to 1e-11, and at the exact ones for the defect. */
#include "leading_path.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_integration.h>
#include <math.h>

#include "escapement/internal/activation.h"
#include "gaussian.h"

enum { INTERVALS = 200, DEFECT_INTERVALS = 12 };

static const double rule_tolerance = 1e-8;

static double squared_gap(double s, double smallest) { return (s - smallest) * (s + smallest); }

/* ---- the two paths ---- */

esc_leading_path esc_leading_path_constant_gaps(const esc_leading_order *start, double drive) {
  const esc_escape_problem *p = start->problem;
  return (esc_leading_path){
      .start = start,
      .constant_gaps = true,
      .drive = drive,
      .from = 2 * log(start->smallest),
      .to = log(p->to * p->to - squared_gap(p->scale[p->layer], start->smallest))};
}

/* chi, p and the constants of A. The self-interaction has the factor E[g^2] = 1, for ReLU
 * E[relu(g)^2] = 1/2. */
static void set_next_order(esc_leading_path *path) {
  const esc_classification *c = &path->start->class_;
  const esc_escape_problem *p = path->start->problem;
  const int layers = p->layers, order = c->q - 1;
  const double mean_square = p->activation.kind == ESC_ACTIVATION_RELU ? 0.5 : 1;
  const double self_interaction = mean_square * pow(c->a[1], layers - 1) / (p->amplitude * c->c1);
  path->power = layers;
  path->chi = -self_interaction;
  if (c->q == 0 || layers < order) return;
  path->power = path->order = order;
  path->chi = c->correction * (order + layers) / layers - (layers == order ? self_interaction : 0);
  path->lead_coefficient = c->correction * order / (order + 2) / layers;
}

/* A at u */
static double first_layer_lead(const esc_leading_path *path, double u) {
  const double decay = pow(path->start->smallest / u, path->order + 2);
  return path->lead_coefficient == 0 ? 0
                                     : path->lead_coefficient * pow(u, path->order) * (1 - decay);
}

bool esc_leading_path_balanced(const esc_leading_order *start, esc_leading_path *out) {
  const esc_escape_problem *p = start->problem;
  *out = (esc_leading_path){.start = start, .drive = start->drive, .from = log(start->smallest)};
  set_next_order(out);
  const double end =
      p->to * (1 + (p->layer == 0 ? 1 - p->layers : 1) * first_layer_lead(out, p->to));
  out->to = log(end);
  return end > start->smallest && out->chi * pow(end, out->power) > -1;
}

/* The scales at ln v. */
static void scales_at(const esc_leading_path *path, double log_v, double *s) {
  const esc_escape_problem *p = path->start->problem;
  const double v = exp(log_v),
               lead_coefficient = path->constant_gaps ? 0 : first_layer_lead(path, v);
  for (int l = 0; l < p->layers; l++)
    s[l] = path->constant_gaps ? sqrt(v + squared_gap(p->scale[l], path->start->smallest))
                               : v * (1 + (l == 0 ? p->layers - 1 : -1) * lead_coefficient);
}

/* ln of D dt/dln v */
static double log_time(const esc_leading_path *path, double log_v) {
  const esc_escape_problem *p = path->start->problem;
  if (!path->constant_gaps)
    return (2 - p->layers) * log_v - log1p(path->chi * exp(path->power * log_v));
  double sum = log_v - log(2);
  for (int l = 0; l < p->layers; l++)
    sum -= log(exp(log_v) + squared_gap(p->scale[l], path->start->smallest)) / 2;
  return sum;
}

double esc_leading_path_speedup(const esc_leading_path *path) {
  return log_time(path, path->from) - log_time(path, path->to);
}

/* ---- the time ---- */

typedef struct integrand {
  const esc_leading_path *path;
  double log_start;      /* of the integrand at the start, which is scaled to 1 there */
  esc_quadrature rule;   /* of the exact rates */
  bool by_watched_layer; /* exact rate from the watched layer, else from the path's variable v */
} integrand;

static double time_integrand(double log_v, void *data) {
  const integrand *f = data;
  return exp(log_time(f->path, log_v) - f->log_start);
}

esc_status esc_leading_path_time(const esc_leading_path *path, double *out) {
  esc_status status = ESC_OK;
  double error = 0;
  integrand f = {.path = path, .log_start = log_time(path, path->from)};
  gsl_function function = {time_integrand, &f};
  gsl_integration_workspace *work = NULL;
  *out = 0;
  if (!(path->to > path->from)) return ESC_OK;
  ESC_TRY_ALLOCATE(work = gsl_integration_workspace_alloc(INTERVALS));
  gsl_integration_qag(&function, path->from, path->to, 0, 1e-13, INTERVALS, GSL_INTEG_GAUSS61, work,
                      out, &error);
  /* Rounding may prevent a relative error of 1e-13; 1e-11 is enough. */
  if (!(error <= 1e-11 * fabs(*out))) *out = (double)NAN;
  *out *= exp(f.log_start) / path->drive;
done:
  gsl_integration_workspace_free(work);
  return status;
}

/* ---- the defect ---- */

/* dln s_l / dln v on the path */
static double log_growth(const esc_leading_path *path, double log_v, int l, double s) {
  const double v = exp(log_v), start = path->start->smallest;
  if (path->constant_gaps) return v / (2 * s * s);
  if (path->lead_coefficient == 0) return 1;
  const int share = l == 0 ? path->start->problem->layers - 1 : -1;
  const double change =
      path->order * pow(v, path->order) + 2 * pow(start / v, 2) * pow(start, path->order);
  return 1 + share * path->lead_coefficient * change * v / s;
}

/* The layer at the smallest scale. */
static int smallest_layer(const esc_leading_order *start) {
  int l = 0;
  while (start->problem->scale[l] > start->smallest) l++;
  return l;
}

/* The exact dln v/dt over the dln v/dt of the path, from one layer's rate: that of the watched
 * layer, or of the smallest layer m, with v = s_m^2; on a balanced path from the rate of u = (prod
 * s_l)^{1/L}. */
static double rate_ratio(const integrand *f, double log_v) {
  const esc_leading_path *path = f->path;
  const esc_escape_problem *p = path->start->problem;
  double s[ESC_LAYERS_MAX], rhs[ESC_LAYERS_MAX], exact = 0;
  scales_at(path, log_v, s);
  esc_reduced_rhs(p, &f->rule, s, rhs, NULL);
  if (f->by_watched_layer || path->constant_gaps) {
    const int l = f->by_watched_layer ? p->layer : smallest_layer(path->start);
    exact = rhs[l] / s[l] / log_growth(path, log_v, l, s[l]);
  } else {
    for (int l = 0; l < p->layers; l++) exact += rhs[l] / s[l] / p->layers;
  }
  return exact / path->drive * exp(log_time(path, log_v));
}

static double defect_integrand(double log_v, void *data) {
  const integrand *f = data;
  const double ratio = rate_ratio(f, log_v);
  return ratio > 0 ? time_integrand(log_v, data) / ratio : (double)NAN;
}

static esc_status exact_time(integrand *f, double *out) {
  esc_status status = ESC_OK;
  double error;
  const esc_leading_path *path = f->path;
  gsl_function function = {defect_integrand, f};
  gsl_integration_workspace *work = NULL;
  ESC_TRY_ALLOCATE(work = gsl_integration_workspace_alloc(DEFECT_INTERVALS));
  gsl_integration_qag(&function, path->from, path->to, 0, 1e-3, DEFECT_INTERVALS, GSL_INTEG_GAUSS15,
                      work, out, &error);
  *out *= exp(f->log_start) / path->drive;
done:
  gsl_integration_workspace_free(work);
  return status;
}

esc_status esc_leading_path_defect(const esc_leading_path *path, double time, double *out) {
  const esc_escape_problem *p = path->start->problem;
  double end[ESC_LAYERS_MAX], value[2];
  integrand f = {.path = path, .log_start = log_time(path, path->from)};
  scales_at(path, path->to, end);
  esc_status status =
      esc_gaussian_rule_for_scales(&p->activation, p->layers, end, rule_tolerance, &f.rule);
  *out = (double)NAN;
  if (status == ESC_BAD_INPUT) return ESC_OK;
  if (status != ESC_OK || !(time > 0)) goto done;
  for (int i = 0; i < 2; i++) {
    f.by_watched_layer = i == 1;
    ESC_TRY(exact_time(&f, &value[i]));
    value[i] = isnan(value[i]) ? HUGE_VAL : value[i] / time - 1;
  }
  *out = fabs(value[1]) > fabs(value[0]) ? value[1] : value[0];
done:
  esc_quadrature_free(&f.rule);
  return status;
}
