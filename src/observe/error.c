/* SPDX-License-Identifier: Apache-2.0 */
/* Standard errors of the means of an evaluation.
 *
 * The sampling unit is a pair x, -x. The sample's second moment is exact, and with it the mean of
 * every quadratic form of the inputs, so the spread of such a form is no error. The pair's value is
 * therefore regressed on the quadratic forms that dominate it, (v.x)^2, (v.x)(b.x) and (b.x)^2 with
 * b.x the linear part of f, and x^T A x, the quadratic part of f; the error is the standard error
 * of the mean residual. For E[f] the only form is x^T A x, subtracted with coefficient 1.
 *
 * A = E[(grad f) x^T]/2 by Stein's lemma, that is W_1^T g/2 with g = E[df/dW_1]. b and A are fitted
 * to the same sample, so their residuals are too small by the leverage h = |x|^2/n. The correction
 * is HC2, residuals over sqrt(1-h) (leaving the pair out would divide them by 1-h); it applies to
 * the residuals of the regression on the forms too. A form left out makes the error too large,
 * never too small. */
#include <math.h>
#include <string.h>

#include "escapement/internal/dot.h"
#include "escapement/internal/loss.h"
#include "escapement/internal/observe.h"

enum { MEANS = 4, FORMS = 4, QUADRATIC = 3, OUTPUT = 1, PAIRS_MARGIN = 8 };

/* Values of the sampling units: arrays (unit), in the sample's workspace. */
typedef struct units {
  int count, forms; /* forms: without the quadratic one where f is odd */
  double *odd, *value[MEANS], *form[FORMS], *leverage;
} units;

/* The odd part of f, and the four quantities whose means are the evaluation's. */
static void fill_values(const esc_observer *o, const esc_eval_sample *s, double mean, units *u) {
  const esc_problem *p = o->problem;
  for (int i = 0; i < u->count; i++) {
    const int other = s->mirrored ? i : u->count + i;
    const double f = s->output[i], mirror = s->mirrored ? -f : s->output[other];
    const double target = s->mirrored ? -s->target[i] : s->target[other];
    const double even = (f + mirror) / 2;
    u->odd[i] = (f - mirror) / 2;
    u->value[0][i] = (esc_loss_eval_f64(p->loss, p->huber_delta, f, s->target[i]).value +
                      esc_loss_eval_f64(p->loss, p->huber_delta, mirror, target).value) /
                     2;
    u->value[1][i] = even;
    u->value[2][i] = ((f - mean) * (f - mean) + (mirror - mean) * (mirror - mean)) / 2;
    u->value[3][i] = s->signal[i] * u->odd[i];
  }
}

static double dot_inputs(int d, const double *a, const float *x) {
  double sum = 0;
  for (int j = 0; j < d; j++) sum += a[j] * (double)x[j];
  return sum;
}

/* x^T A x of pair i, with the HC2 correction for the pair's own influence on A. */
static double quadratic(const esc_observer *o, const esc_eval_sample *s, const double *w,
                        const esc_evaluation_sums *sums, int i, double h) {
  const int n = s->samples / 2, d = o->problem->shape.inputs, width = o->problem->shape.width;
  const float *x = s->x + (size_t)i * (size_t)d;
  const double radial = (s->radial[i] + s->radial[n + i]) / 2, root = sqrt(fmax(1 - h, 1e-2));
  double twice_form = 0; /* 2 x^T A x */
  for (int k = 0; k < width; k++)
    twice_form += dot_inputs(d, w + (size_t)k * (size_t)d, x) *
                  dot_inputs(d, sums->g[3] + (size_t)k * sums->row, x) / s->samples;
  return (radial - (radial - twice_form) / root) / 2;
}

/* The quadratic form and the leverages |x|^2/n. */
static void fill_quadratic(const esc_observer *o, const esc_eval_sample *s, const double *w,
                           const esc_evaluation_sums *sums, units *u) {
  const int d = o->problem->shape.inputs;
  for (int i = 0; i < u->count; i++) {
    const float *x = s->x + (size_t)i * (size_t)d;
    double size2 = 0;
    for (int j = 0; j < d; j++) size2 += (double)(x[j] * x[j]);
    u->leverage[i] = size2 / u->count;
    if (u->forms > QUADRATIC) u->form[QUADRATIC][i] = quadratic(o, s, w, sums, i, u->leverage[i]);
  }
}

/* The other three forms. */
static void fill_forms(const esc_observer *o, const esc_eval_sample *s, units *u) {
  const int n = u->count, d = o->problem->shape.inputs;
  double b[ESC_INPUTS_MAX] = {0};
  for (int i = 0; i < n; i++)
    for (int j = 0; j < d; j++)
      b[j] += u->odd[i] * (double)s->x[(size_t)i * (size_t)d + (size_t)j] / n;
  for (int i = 0; i < n; i++) {
    const double fit = dot_inputs(d, b, s->x + (size_t)i * (size_t)d);
    const double linear = u->odd[i] - (u->odd[i] - fit) / sqrt(fmax(1 - u->leverage[i], 1e-2));
    u->form[0][i] = s->signal[i] * s->signal[i];
    u->form[1][i] = s->signal[i] * linear;
    u->form[2][i] = linear * linear;
  }
}

static void centre(int n, double *x) {
  double mean = 0;
  for (int i = 0; i < n; i++) mean += x[i] / n;
  for (int i = 0; i < n; i++) x[i] -= mean;
}

/* Removes from x its components along the orthonormal forms 0..count-1. */
static void remove_forms(const units *u, int count, double *x) {
  for (int k = 0; k < count; k++) {
    const double coefficient = esc_dot(u->form[k], x, u->count);
    for (int i = 0; i < u->count; i++) x[i] -= coefficient * u->form[k][i];
  }
}

/* Fraction of its squared length that a form must keep to count as independent. Forms that differ
 * only by their leverage corrections (v and b parallel, as always with one input) keep less;
 * regressing on such a remainder would remove the residuals themselves. */
static const double independent_min = 1e-3;

/* Makes the forms orthonormal (Gram-Schmidt) and returns the number of independent ones: at most
 * inputs (inputs + 1)/2 quadratic forms of `inputs` variables. */
static int orthonormalise(units *u, int inputs) {
  const int max = inputs > FORMS ? FORMS : inputs * (inputs + 1) / 2;
  int count = 0;
  for (int k = 0; k < u->forms && count < max; k++) {
    centre(u->count, u->form[k]);
    const double norm2_before = esc_dot(u->form[k], u->form[k], u->count);
    remove_forms(u, count, u->form[k]);
    const double length2 = esc_dot(u->form[k], u->form[k], u->count);
    if (!(length2 > independent_min * norm2_before)) continue;
    for (int i = 0; i < u->count; i++) u->form[count][i] = u->form[k][i] / sqrt(length2);
    count++;
  }
  return count;
}

/* n^2 times the variance of a mean due to float rounding of inputs and outputs: a lower limit where
 * the sampling error vanishes. */
static double rounding_variance(int n, const double *value) {
  return 0x1p-46 * esc_dot(value, value, n);
}

/* Standard error of the mean of a value regressed on the forms. */
static double regressed_error(const units *u, int forms, double *value) {
  const int n = u->count;
  double sum = rounding_variance(n, value);
  centre(n, value);
  remove_forms(u, forms, value);
  for (int i = 0; i < n; i++) {
    double one_minus_leverage = 1 - 1.0 / n;
    for (int k = 0; k < forms; k++) one_minus_leverage -= u->form[k][i] * u->form[k][i];
    sum += value[i] * value[i] / fmax(one_minus_leverage, 1e-2);
  }
  return sqrt(sum) / n;
}

/* Standard error of the mean of f's even part; 0 where f is odd. */
static double output_error(const units *u) {
  const int n = u->count;
  double *const value = u->value[OUTPUT];
  const double rounding_floor = rounding_variance(n, value);
  if (u->forms > QUADRATIC)
    for (int i = 0; i < n; i++) value[i] -= u->form[QUADRATIC][i];
  centre(n, value);
  return sqrt((esc_dot(value, value, n) * n / (n - 1) + rounding_floor)) / n;
}

bool esc_eval_sample_has_errors(int samples, int inputs) {
  return samples / 2 >= inputs + PAIRS_MARGIN;
}

/* For `count` sampling units: half of a sample, or all of a mirrored one. */
static units carve(esc_arena *a, int count) {
  units u = {.count = count};
  u.odd = ESC_CARVE(a, double, count);
  for (int k = 0; k < MEANS; k++) u.value[k] = ESC_CARVE(a, double, count);
  for (int k = 0; k < FORMS; k++) u.form[k] = ESC_CARVE(a, double, count);
  u.leverage = ESC_CARVE(a, double, count);
  return u;
}

esc_arena esc_eval_sample_workspace(int samples) {
  esc_arena a = {0};
  carve(&a, samples / 2);
  return a;
}

void esc_evaluation_errors(const esc_observer *o, const esc_eval_sample *s, const double *weights,
                           const esc_evaluation_sums *sums, esc_evaluation *out) {
  double *const error[MEANS] = {&out->loss_error, &out->output_mean_error,
                                &out->output_variance_error, &out->signal_error};
  const int count = s->mirrored ? s->samples : s->samples / 2;
  for (int k = 0; k < MEANS; k++) *error[k] = (double)NAN;
  if (!esc_eval_sample_has_errors(2 * count, o->problem->shape.inputs)) return;
  esc_arena *const workspace = (esc_arena *)&s->workspace;
  const size_t mark = esc_arena_mark(workspace);
  units u = carve(workspace, count);
  u.forms = s->mirrored ? QUADRATIC : FORMS;
  fill_values(o, s, out->output_mean, &u);
  fill_quadratic(o, s, weights, sums, &u);
  fill_forms(o, s, &u);
  out->output_mean_error = output_error(&u);
  const int forms = orthonormalise(&u, o->problem->shape.inputs);
  for (int k = 0; k < MEANS; k++)
    if (k != OUTPUT) *error[k] = regressed_error(&u, forms, u.value[k]);
  esc_arena_release(workspace, mark);
}
