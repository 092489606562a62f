/* SPDX-License-Identifier: Apache-2.0 */
/* S(0) = E[(v.x) f] = E[v . grad f] (Stein's lemma) by forward differentiation along v, with
 * control variates.
 *
 * Replace every activation except that of layer l by a linear one, sigma(z_i) -> g_i z_i with the
 * gain g_i = E[sigma'] of its input, which is then Gaussian. This network has the derivative
 * sum_i c_i sigma'(y_i) along v, y = M_l x, with the known mean sum_i c_i g_i. The sum of these
 * over l is the term of v . grad f of first order in the departures from linearity: regression on
 * them leaves terms of second order, and its residuals give the standard error. Inputs are
 * antithetic pairs x, -x, in which odd terms cancel. */
#include "signal.h"

#include <math.h>
#include <string.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/model.h"
#include "escapement/internal/stream.h"
#include "escapement/internal/vector_activation.h"

enum { LANES = ESC_VECTOR_LANES }; /* inputs of a batch, evaluated together in SIMD lanes */

/* Behind a layer, (feature, lane): value h, its derivative along v, value of the linear network. */
typedef struct batch {
  double *h, *h_dot, *y;
} batch;

/* Outputs of a batch: (lane). */
typedef struct outputs {
  double f[LANES], f_dot[LANES], control[ESC_SIGNAL_CONTROLS][LANES];
} outputs;

typedef struct pass {
  const esc_problem *p;
  const double *weights;
  esc_signal_linear linear;
  batch layer[2];
  outputs outputs;
} pass;

void esc_linear_direction(const esc_problem *p, const double *directions, double *v) {
  double size = 0;
  for (int k = 0; k < p->teacher.modes; k++) size = hypot(size, p->teacher.amplitude[k]);
  for (int i = 0; i < p->shape.inputs; i++) {
    v[i] = 0;
    for (int k = 0; k < p->teacher.modes && size > 0; k++)
      v[i] += p->teacher.amplitude[k] / size *
              directions[(size_t)k * (size_t)p->shape.inputs + (size_t)i];
  }
}

/* Unit i of hidden layer l: value, derivative, and its term of the layer's control. */
ESC_SIMD_CLONES
static void forward_unit(pass *a, int l, int i, batch in, batch out) {
  const int fan_in = esc_fan_in(a->p->shape, l);
  const double *w = a->weights + esc_weight_offset(a->p->shape, l) + (size_t)i * (size_t)fan_in;
  const size_t unit = (size_t)l * (size_t)a->p->shape.width + (size_t)i;
  esc_vector z = {0}, z_dot = {0}, y = {0}, value, derivative, unused, linear;
  for (int j = 0; j < fan_in; j++)
    for (int s = 0; s < LANES; s++) {
      z[s] += w[j] * in.h[j * LANES + s];
      z_dot[s] += w[j] * in.h_dot[j * LANES + s];
      y[s] += w[j] * in.y[j * LANES + s];
    }
  double *const control = a->outputs.control[esc_signal_control(l)];
  esc_vector_activate(&a->p->activation, z, value, derivative, NULL);
  if (l == 0)
    memcpy(linear, derivative, sizeof linear); /* y is z */
  else
    esc_vector_activate(&a->p->activation, y, unused, linear, NULL);
  for (int s = 0; s < LANES; s++) {
    control[s] += a->linear.weight[unit] * linear[s];
    out.h[i * LANES + s] = value[s];
    out.h_dot[i * LANES + s] = derivative[s] * z_dot[s];
    out.y[i * LANES + s] = a->linear.gain[unit] * y[s];
  }
}

static void output_unit(pass *a, batch in) {
  const int width = a->p->shape.width;
  const double *w = a->weights + esc_weight_offset(a->p->shape, a->p->shape.layers - 1);
  for (int j = 0; j < width; j++)
    for (int s = 0; s < LANES; s++) {
      a->outputs.f[s] += w[j] * in.h[j * LANES + s];
      a->outputs.f_dot[s] += w[j] * in.h_dot[j * LANES + s];
    }
}

/* Inputs of the evaluation stream from `first` on, with their mirror images unless odd. */
static void start_batch(const pass *a, uint64_t seed, int first, bool odd, const double *v) {
  const int d = a->p->shape.inputs;
  const batch in = a->layer[0];
  float x[ESC_INPUTS_MAX];
  for (int s = 0; s < LANES; s++) {
    const int index = first + (odd ? s : s / 2), sign = odd || s % 2 == 0 ? 1 : -1;
    esc_normals_fill((esc_stream){seed, ESC_DOMAIN_EVALUATION, 0, 0}, (uint64_t)index * (uint64_t)d,
                     (uint64_t)d, x);
    for (int i = 0; i < d; i++) {
      in.h[i * LANES + s] = in.y[i * LANES + s] = sign * (double)x[i];
      in.h_dot[i * LANES + s] = v[i];
    }
  }
}

/* A batch through all layers; adds its evaluations to `units`. */
static void forward(pass *a, bool odd, esc_signal_units *units) {
  const int hidden = a->p->shape.layers - 1;
  memset(&a->outputs, 0, sizeof a->outputs);
  for (int l = 0; l < hidden; l++)
    for (int i = 0; i < a->p->shape.width; i++)
      forward_unit(a, l, i, a->layer[l % 2], a->layer[(l + 1) % 2]);
  output_unit(a, a->layer[hidden % 2]);
  for (int s = 0; s < LANES; s++) {
    const int unit = units->count + (odd ? s : s / 2);
    const double share = odd ? 1 : 0.5;
    units->f2 += share * a->outputs.f[s] * a->outputs.f[s];
    units->value[unit] += share * a->outputs.f_dot[s];
    for (int k = 0; k < ESC_SIGNAL_CONTROLS; k++)
      units->control[k][unit] += share * a->outputs.control[k][s];
  }
  units->count += odd ? LANES : LANES / 2;
}

static size_t widest(esc_shape s) { return (size_t)(s.width > s.inputs ? s.width : s.inputs); }

typedef struct blocks {
  batch layer[2]; /* (widest, lane) each */
  double *v;      /* (input) */
} blocks;

static blocks describe(esc_arena *a, esc_shape shape) {
  blocks b;
  for (int i = 0; i < 2; i++) {
    b.layer[i].h = ESC_CARVE(a, double, LANES *widest(shape));
    b.layer[i].h_dot = ESC_CARVE(a, double, LANES *widest(shape));
    b.layer[i].y = ESC_CARVE(a, double, LANES *widest(shape));
  }
  b.v = ESC_CARVE(a, double, shape.inputs);
  return b;
}

esc_arena esc_signal_workspace(esc_shape shape) {
  esc_arena a = {0};
  describe(&a, shape);
  esc_signal_linear_describe(&a, shape);
  return a;
}

double esc_initial_signal(const esc_problem *p, const esc_member *m, const double *directions,
                          const double *weights, esc_arena *workspace, double *error) {
  const size_t mark = esc_arena_mark(workspace);
  const blocks b = describe(workspace, p->shape);
  const bool odd = esc_activation_is_odd(&p->activation);
  double signal = 0;
  pass a = {.p = p, .weights = weights, .layer = {b.layer[0], b.layer[1]}};
  esc_signal_units units = {0};
  esc_linear_direction(p, directions, b.v);
  esc_signal_linearise(p, weights, b.v, workspace, &a.linear);
  for (int evaluations = LANES; evaluations <= ESC_SIGNAL_SAMPLES; evaluations += LANES) {
    start_batch(&a, m->seed, units.count, odd, b.v);
    forward(&a, odd, &units);
    if (evaluations % (ESC_SIGNAL_SAMPLES / 2)) continue;
    signal = esc_signal_estimate(&units, &a.linear, error);
    if (*error <= 1e-3 * sqrt(units.f2 / units.count)) break;
  }
  esc_arena_release(workspace, mark);
  return signal;
}
