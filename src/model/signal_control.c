/* SPDX-License-Identifier: Apache-2.0 */
/* Control variates of S(0): exact means of the networks with one nonlinear layer, and the
 * regression on them (signal.c). */
#include <math.h>
#include <string.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/dot.h"
#include "signal.h"

/* Standard deviation of an input up to which the rule below resolves sigma'. */
static const double widest_input = 10;

static size_t hidden(esc_shape s) { return (size_t)(s.layers - 1); }

typedef struct blocks {
  double *gain, *weight; /* of esc_signal_linear */
  double *now, *before;  /* (unit, input) M_l, M_{l-1} */
  double *back, *next;   /* (unit) derivatives of f by h_l */
} blocks;

static blocks describe(esc_arena *a, esc_shape s) {
  const size_t units = (size_t)s.width, inputs = (size_t)s.inputs;
  blocks b;
  b.gain = ESC_CARVE(a, double, hidden(s) * units);
  b.weight = ESC_CARVE(a, double, hidden(s) * units);
  b.now = ESC_CARVE(a, double, units *inputs);
  b.before = ESC_CARVE(a, double, units *inputs);
  b.back = ESC_CARVE(a, double, units);
  b.next = ESC_CARVE(a, double, units);
  return b;
}

void esc_signal_linear_describe(esc_arena *a, esc_shape s) { describe(a, s); }

/* Of the known means, relative to the sum of their terms' sizes: the rule below and rounding. */
static const double mean_error = 1e-14;

/* E[sigma'(s g)]: the midpoint rule, whose error falls as exp(-pi^2/(s h)) for tanh, whose
 * poles are nearest: below 1e-15. No node is at 0, where sigma' of ReLU jumps. */
static double mean_derivative(const esc_activation *a, double s) {
  const double h = fmin(0.5, 0.25 / fmin(s, widest_input));
  const int half = (int)ceil(9 / h);
  double sum = 0;
  for (int k = -half; k < half; k++) {
    const double g = (k + 0.5) * h;
    sum += exp(-g * g / 2) * esc_activate_f64(a, s * g).derivative;
  }
  return sum * h / sqrt(2 * acos(-1));
}

/* Row i of M_l from M_{l-1} (rows in `before`, times their gains). */
static void make_row(int fan_in, int inputs, const double *w, const double *before,
                     const double *gain, double *row) {
  memset(row, 0, (size_t)inputs * sizeof *row);
  for (int j = 0; j < fan_in; j++)
    for (int i = 0; i < inputs; i++)
      row[i] += w[j] * gain[j] * before[(size_t)j * (size_t)inputs + (size_t)i];
}

/* M_l (in b.now for even l, in b.before for odd), its units' gains and derivatives along v (into
 * `weight`). A unit whose input is too wide for an exact mean gets the derivative 0, which leaves
 * it out of the control. */
static void linearise_layer(const esc_problem *p, const double *weights, const double *v, int l,
                            blocks b, const esc_signal_linear *linear) {
  const double *const before = l % 2 ? b.now : b.before;
  double *const now = l % 2 ? b.before : b.now;
  const int width = p->shape.width, inputs = p->shape.inputs;
  const double *const w = weights + esc_weight_offset(p->shape, l);
  double *const gain = linear->gain + l * width, *const along = linear->weight + l * width;
  for (int i = 0; i < width; i++) {
    double *const row = now + (size_t)i * (size_t)inputs;
    if (l == 0)
      memcpy(row, w + (size_t)i * (size_t)inputs, (size_t)inputs * sizeof *row);
    else
      make_row(width, inputs, w + (size_t)i * (size_t)width, before, gain - width, row);
    const double size = sqrt(esc_dot(row, row, inputs));
    gain[i] = mean_derivative(&p->activation, size);
    along[i] = size <= widest_input ? esc_dot(row, v, inputs) : 0;
  }
}

/* Weights of the controls: derivatives of z_l along v times those of f by h_l. */
static void weight_controls(const esc_problem *p, const double *weights, double *back, double *next,
                            esc_signal_linear *linear) {
  const int width = p->shape.width, last = p->shape.layers - 1;
  memcpy(back, weights + esc_weight_offset(p->shape, last), (size_t)width * sizeof *back);
  for (int l = last - 1; l >= 0; l--) {
    const double *const w = weights + esc_weight_offset(p->shape, l),
                        *gain = linear->gain + l * width;
    for (int i = 0; i < width; i++) {
      linear->weight[l * width + i] *= back[i];
      linear->mean[esc_signal_control(l)] += linear->weight[l * width + i] * gain[i];
      linear->size += fabs(linear->weight[l * width + i] * gain[i]);
    }
    memset(next, 0, (size_t)width * sizeof *next);
    for (int i = 0; i < width && l > 0; i++)
      for (int j = 0; j < width; j++)
        next[j] += back[i] * gain[i] * w[(size_t)i * (size_t)width + (size_t)j];
    double *const swap = back;
    back = next;
    next = swap;
  }
}

void esc_signal_linearise(const esc_problem *p, const double *weights, const double *v,
                          esc_arena *workspace, esc_signal_linear *linear) {
  const blocks b = describe(workspace, p->shape);
  *linear = (esc_signal_linear){.gain = b.gain, .weight = b.weight};
  for (int l = 0; l < p->shape.layers - 1; l++) linearise_layer(p, weights, v, l, b, linear);
  weight_controls(p, weights, b.back, b.next, linear);
}

static double mean(int n, const double *x) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += x[i];
  return sum / n;
}

/* Controls orthonormal over the units, each with its mean's distance from the known one; a
 * control that hardly varies beside its size is left out. */
typedef struct basis {
  int count;
  double vector[ESC_SIGNAL_CONTROLS][ESC_SIGNAL_SAMPLES], off[ESC_SIGNAL_CONTROLS];
} basis;

static void add_control(basis *b, int n, const double *control, double known) {
  double *const x = b->vector[b->count], sampled = mean(n, control), off = sampled - known;
  for (int i = 0; i < n; i++) x[i] = control[i] - sampled;
  const double least = 1e-10 * esc_dot(x, x, n) + 1e-24 * n * (sampled * sampled + known * known);
  for (int pass = 0; pass < 2; pass++)
    for (int k = 0; k < b->count; k++) {
      const double along = esc_dot(b->vector[k], x, n);
      for (int i = 0; i < n; i++) x[i] -= along * b->vector[k][i];
      off -= along * b->off[k];
    }
  const double length2 = esc_dot(x, x, n);
  if (!(length2 > least)) return;
  for (int i = 0; i < n; i++) x[i] /= sqrt(length2);
  b->off[b->count++] = off / sqrt(length2);
}

double esc_signal_estimate(const esc_signal_units *u, const esc_signal_linear *linear,
                           double *error) {
  const int n = u->count;
  basis b = {0};
  double residual[ESC_SIGNAL_SAMPLES], value = mean(n, u->value), spread = 1.0 / n;
  for (int k = 0; k < ESC_SIGNAL_CONTROLS; k++) add_control(&b, n, u->control[k], linear->mean[k]);
  for (int i = 0; i < n; i++) residual[i] = u->value[i] - value;
  for (int k = 0; k < b.count; k++) {
    const double coefficient = esc_dot(b.vector[k], residual, n);
    for (int i = 0; i < n; i++) residual[i] -= coefficient * b.vector[k][i];
    value -= coefficient * b.off[k];
    spread += b.off[k] * b.off[k];
  }
  *error = hypot(sqrt(esc_dot(residual, residual, n) / (n - 1 - b.count) * spread),
                 mean_error * linear->size);
  return value;
}
