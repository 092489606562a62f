/* SPDX-License-Identifier: Apache-2.0 */
/* S(0) = E[(v.x) f] = E[v . grad f] by forward differentiation along v, with control variates.
 *
 * Let every activation but that of layer l be linear, sigma(z_i) -> g_i z_i with the gain
 * g_i = E[sigma'] of its input, which is Gaussian then. The network so changed has the
 * derivative sum_i c_i sigma'(y_i) along v, y = M_l x, whose mean sum_i c_i g_i is known. The
 * sum over l of these is what v . grad f has of first order in the departures from linear:
 * regression on them leaves the second order, and its residuals the standard error. Inputs
 * come as x and -x, which takes away all that is odd. */
#include "signal.h"

#include <math.h>
#include <string.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/model.h"
#include "escapement/internal/stream.h"

enum { LANES = 16 }; /* so many inputs go through together */

/* Activation h, its derivative along v, and y's activation, behind a layer: (feature, lane). */
typedef struct wave {
  double *h, *h_dot, *y;
} wave;

/* What one wave gives: (lane). */
typedef struct answer {
  double f[LANES], f_dot[LANES], control[ESC_SIGNAL_CONTROLS][LANES];
} answer;

typedef struct pass {
  const esc_problem *p;
  const double *weights;
  esc_signal_linear linear;
  wave at[2];
  answer answer;
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

/* Unit i of layer l, hidden: activation, derivative, and its part of the layer's control. */
static void forward_unit(pass *a, int l, int i, wave in, wave out) {
  const int fan_in = esc_fan_in(a->p->shape, l);
  const double *w = a->weights + esc_weight_offset(a->p->shape, l) + (size_t)i * (size_t)fan_in;
  const size_t unit = (size_t)l * (size_t)a->p->shape.width + (size_t)i;
  double z[LANES] = {0}, z_dot[LANES] = {0}, y[LANES] = {0};
  for (int j = 0; j < fan_in; j++)
    for (int s = 0; s < LANES; s++) {
      z[s] += w[j] * in.h[j * LANES + s];
      z_dot[s] += w[j] * in.h_dot[j * LANES + s];
      y[s] += w[j] * in.y[j * LANES + s];
    }
  double *const control = a->answer.control[esc_signal_control(l)];
  for (int s = 0; s < LANES; s++) {
    const esc_eval_f64 e = esc_activate_f64(&a->p->activation, z[s]);
    const double derivative =
        l == 0 ? e.derivative : esc_activate_f64(&a->p->activation, y[s]).derivative;
    control[s] += a->linear.weight[unit] * derivative;
    out.h[i * LANES + s] = e.value;
    out.h_dot[i * LANES + s] = e.derivative * z_dot[s];
    out.y[i * LANES + s] = a->linear.gain[unit] * y[s];
  }
}

static void output_unit(pass *a, wave in) {
  const int width = a->p->shape.width;
  const double *w = a->weights + esc_weight_offset(a->p->shape, a->p->shape.layers - 1);
  for (int j = 0; j < width; j++)
    for (int s = 0; s < LANES; s++) {
      a->answer.f[s] += w[j] * in.h[j * LANES + s];
      a->answer.f_dot[s] += w[j] * in.h_dot[j * LANES + s];
    }
}

/* Inputs of the evaluation stream from `first` on, with their mirror images unless odd. */
static void start_wave(const pass *a, uint64_t seed, int first, bool odd, const double *v) {
  const int d = a->p->shape.inputs;
  const wave in = a->at[0];
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

/* One wave through all layers, into the units that it evaluates. */
static void forward(pass *a, bool odd, esc_signal_units *units) {
  const int hidden = a->p->shape.layers - 1;
  memset(&a->answer, 0, sizeof a->answer);
  for (int l = 0; l < hidden; l++)
    for (int i = 0; i < a->p->shape.width; i++)
      forward_unit(a, l, i, a->at[l % 2], a->at[(l + 1) % 2]);
  output_unit(a, a->at[hidden % 2]);
  for (int s = 0; s < LANES; s++) {
    const int unit = units->count + (odd ? s : s / 2);
    const double share = odd ? 1 : 0.5;
    units->f2 += share * a->answer.f[s] * a->answer.f[s];
    units->value[unit] += share * a->answer.f_dot[s];
    for (int k = 0; k < ESC_SIGNAL_CONTROLS; k++)
      units->control[k][unit] += share * a->answer.control[k][s];
  }
  units->count += odd ? LANES : LANES / 2;
}

static size_t widest(esc_shape s) { return (size_t)(s.width > s.inputs ? s.width : s.inputs); }

typedef struct blocks {
  wave at[2]; /* (widest, lane) each */
  double *v;  /* (input) */
} blocks;

static blocks describe(esc_arena *a, esc_shape shape) {
  blocks b;
  for (int i = 0; i < 2; i++) {
    b.at[i].h = ESC_CARVE(a, double, LANES *widest(shape));
    b.at[i].h_dot = ESC_CARVE(a, double, LANES *widest(shape));
    b.at[i].y = ESC_CARVE(a, double, LANES *widest(shape));
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
  pass a = {.p = p, .weights = weights, .at = {b.at[0], b.at[1]}};
  esc_signal_units units = {0};
  esc_linear_direction(p, directions, b.v);
  esc_signal_linearise(p, weights, b.v, workspace, &a.linear);
  for (int evaluations = LANES; evaluations <= ESC_SIGNAL_SAMPLES; evaluations += LANES) {
    start_wave(&a, m->seed, units.count, odd, b.v);
    forward(&a, odd, &units);
    if (evaluations % (ESC_SIGNAL_SAMPLES / 2)) continue;
    signal = esc_signal_estimate(&units, &a.linear, error);
    if (*error <= 1e-3 * sqrt(units.f2 / units.count)) break;
  }
  esc_arena_release(workspace, mark);
  return signal;
}
