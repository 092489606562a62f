/* S(0) = E[(v.x) f] = E[v . grad f] by forward differentiation along v. */
#include <math.h>

#include "escapement/activation.h"
#include "escapement/model.h"
#include "escapement/stream.h"

enum { SAMPLES = 256, LANES = 16 }; /* LANES samples go through together */

/* h and its derivative along v behind a layer: (feature, lane) each. */
typedef struct wave {
  double *h, *h_dot;
} wave;

/* z = W h and its derivative, through the activation but for the output. */
static void forward_unit(const esc_problem *p, const double *w, int fan_in, bool output, wave in,
                         double *next, double *next_dot) {
  double z[LANES] = {0}, z_dot[LANES] = {0};
  for (int j = 0; j < fan_in; j++)
    for (int s = 0; s < LANES; s++) {
      z[s] += w[j] * in.h[j * LANES + s];
      z_dot[s] += w[j] * in.h_dot[j * LANES + s];
    }
  for (int s = 0; s < LANES; s++) {
    const esc_eval_f64 e = esc_activate_f64(&p->activation, z[s]);
    next[s] = output ? z[s] : e.value;
    next_dot[s] = output ? z_dot[s] : e.derivative * z_dot[s];
  }
}

static void forward_layer(const esc_problem *p, const double *weights, int l, wave in, wave out) {
  const int fan_in = esc_fan_in(p->shape, l);
  const double *w = weights + esc_weight_offset(p->shape, l);
  for (int i = 0; i < esc_fan_out(p->shape, l); i++)
    forward_unit(p, w + (size_t)i * (size_t)fan_in, fan_in, l == p->shape.layers - 1, in,
                 out.h + i * LANES, out.h_dot + i * LANES);
}

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

static size_t widest(esc_shape s) { return (size_t)(s.width > s.inputs ? s.width : s.inputs); }

size_t esc_signal_room(esc_shape shape) { return (4 * LANES + 1) * widest(shape); }

/* Inputs first, ..., first + LANES - 1 of the evaluation stream, and v. */
static void start_wave(const esc_problem *p, const esc_member *m, int first, const double *v,
                       wave in) {
  const int d = p->shape.inputs;
  float x[ESC_INPUTS_MAX];
  for (int s = 0; s < LANES; s++) {
    const uint64_t from = (uint64_t)(first + s) * (uint64_t)d;
    esc_normals_fill(m->seed, ESC_DOMAIN_EVALUATION, 0, 0, from, (uint64_t)d, x);
    for (int i = 0; i < d; i++) {
      in.h[i * LANES + s] = (double)x[i];
      in.h_dot[i * LANES + s] = v[i];
    }
  }
}

double esc_initial_signal(const esc_problem *p, const esc_member *m, const double *directions,
                          const double *weights, double *room) {
  const size_t n = widest(p->shape);
  double *v = room + 4 * LANES * n;
  wave at[2] = {{room, room + LANES * n}, {room + 2 * LANES * n, room + 3 * LANES * n}};
  double signal = 0;
  esc_linear_direction(p, directions, v);
  for (int first = 0; first < SAMPLES; first += LANES) {
    start_wave(p, m, first, v, at[0]);
    for (int l = 0; l < p->shape.layers; l++)
      forward_layer(p, weights, l, at[l % 2], at[(l + 1) % 2]);
    for (int s = 0; s < LANES; s++)
      signal += ESC_FLIP(SIGNAL) * at[p->shape.layers % 2].h_dot[s] / SAMPLES;
  }
  return signal;
}
