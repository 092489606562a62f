/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling errors of a response's means.
 *
 * The unit is a pair x, -x. The sample makes the second moment exact, and with it the mean of
 * every quadratic form of the inputs; the spread of these is no error. So the pair's value is
 * regressed on the forms that it is nearly made of, (v.x)^2, (v.x)(b.x) and (b.x)^2 with b.x
 * the linear part of f, and x'Ax, the quadratic part of f, and the error is that of the residuals'
 * mean. E[f] has no other form than x'Ax, which is f's own and so taken off as it is.
 *
 * A = E[(grad f) x']/2 by Stein's lemma, W_1' g/2 with g of df/dW_1. b and A are fitted to
 * the same sample and follow f too closely, by the leverage h = |x|^2/n, A where the gradient
 * departs from 2Ax; both are taken half-way towards what the sample without the pair would say
 * (HC2: residuals over sqrt(1-h)), as are the residuals of the regression on the forms. Forms
 * left out make the error too large, never too small. */
#include <math.h>
#include <string.h>

#include "escapement/internal/dot.h"
#include "escapement/internal/loss.h"
#include "escapement/internal/observe.h"

enum { MEANS = 4, FORMS = 4, QUADRATIC = 3, OUTPUT = 1, SPARE = 8 };

/* (unit) each, in the sample's workspace. */
typedef struct units {
  int count, forms; /* forms: without the quadratic one where f is odd */
  double *odd, *value[MEANS], *form[FORMS], *leverage;
} units;

/* The odd part of f, and what each of the four means is the mean of. */
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

/* x'Ax of pair i, with the pair's own part in it reduced. */
static double quadratic(const esc_observer *o, const esc_eval_sample *s, const double *w,
                        const esc_response_sums *sums, int i, double h) {
  const int n = s->samples / 2, d = o->problem->shape.inputs, width = o->problem->shape.width;
  const float *x = s->x + (size_t)i * (size_t)d;
  const double radial = (s->radial[i] + s->radial[n + i]) / 2, root = sqrt(fmax(1 - h, 1e-2));
  double twice = 0; /* 2x'Ax */
  for (int k = 0; k < width; k++)
    twice += dot_inputs(d, w + (size_t)k * (size_t)d, x) *
             dot_inputs(d, sums->g[3] + (size_t)k * sums->row, x) / s->samples;
  return (radial - (radial - twice) / root) / 2;
}

/* The quadratic form and the leverages |x|^2/n. */
static void fill_quadratic(const esc_observer *o, const esc_eval_sample *s, const double *w,
                           const esc_response_sums *sums, units *u) {
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

/* Takes from x what it has of the vectors 0..count-1, which are of length 1. */
static void remove_forms(const units *u, int count, double *x) {
  for (int k = 0; k < count; k++) {
    const double along = esc_dot(u->form[k], x, u->count);
    for (int i = 0; i < u->count; i++) x[i] -= along * u->form[k][i];
  }
}

/* What a form must keep of its squared length to count as another one. Forms that coincide but
 * for their leverage corrections (v and b parallel, as always with one input) keep less; removing
 * such a remainder would remove the residuals themselves. */
static const double independent_min = 1e-3;

/* Makes the forms orthonormal; returns how many are independent: of `inputs` variables there are
 * not more than inputs (inputs + 1)/2. */
static int orthonormalise(units *u, int inputs) {
  const int most = inputs > FORMS ? FORMS : inputs * (inputs + 1) / 2;
  int count = 0;
  for (int k = 0; k < u->forms && count < most; k++) {
    centre(u->count, u->form[k]);
    const double before = esc_dot(u->form[k], u->form[k], u->count);
    remove_forms(u, count, u->form[k]);
    const double length2 = esc_dot(u->form[k], u->form[k], u->count);
    if (!(length2 > independent_min * before)) continue;
    for (int i = 0; i < u->count; i++) u->form[count][i] = u->form[k][i] / sqrt(length2);
    count++;
  }
  return count;
}

/* Inputs are floats, and so are most networks: what rounding leaves of a mean's error where the
 * sample has none, in squares and times n^2. */
static double rounding(int n, const double *value) { return 0x1p-46 * esc_dot(value, value, n); }

/* Of the mean of a value that is regressed on the forms. */
static double regressed_error(const units *u, int forms, double *value) {
  const int n = u->count;
  double sum = rounding(n, value);
  centre(n, value);
  remove_forms(u, forms, value);
  for (int i = 0; i < n; i++) {
    double left = 1 - 1.0 / n;
    for (int k = 0; k < forms; k++) left -= u->form[k][i] * u->form[k][i];
    sum += value[i] * value[i] / fmax(left, 1e-2);
  }
  return sqrt(sum) / n;
}

/* Of the mean of the even part, 0 where there is none. */
static double output_error(const units *u) {
  const int n = u->count;
  double *const value = u->value[OUTPUT];
  const double least = rounding(n, value);
  if (u->forms > QUADRATIC)
    for (int i = 0; i < n; i++) value[i] -= u->form[QUADRATIC][i];
  centre(n, value);
  return sqrt((esc_dot(value, value, n) * n / (n - 1) + least)) / n;
}

bool esc_eval_sample_has_errors(int samples, int inputs) { return samples / 2 >= inputs + SPARE; }

/* For `count` independent evaluations: half of a sample, or what stands for its mirror images. */
static units describe(esc_arena *a, int count) {
  units u = {.count = count};
  u.odd = ESC_CARVE(a, double, count);
  for (int k = 0; k < MEANS; k++) u.value[k] = ESC_CARVE(a, double, count);
  for (int k = 0; k < FORMS; k++) u.form[k] = ESC_CARVE(a, double, count);
  u.leverage = ESC_CARVE(a, double, count);
  return u;
}

esc_arena esc_eval_sample_workspace(int samples) {
  esc_arena a = {0};
  describe(&a, samples / 2);
  return a;
}

void esc_response_errors(const esc_observer *o, const esc_eval_sample *s, const double *weights,
                         const esc_response_sums *sums, esc_response *out) {
  double *const error[MEANS] = {&out->loss_error, &out->output_mean_error,
                                &out->output_variance_error, &out->signal_error};
  const int count = s->mirrored ? s->samples : s->samples / 2;
  for (int k = 0; k < MEANS; k++) *error[k] = (double)NAN;
  if (!esc_eval_sample_has_errors(2 * count, o->problem->shape.inputs)) return;
  esc_arena *const workspace = (esc_arena *)&s->workspace;
  const size_t mark = esc_arena_mark(workspace);
  units u = describe(workspace, count);
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
