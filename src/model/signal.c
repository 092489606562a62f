/* S(0) = E[(v.x) f] = E[v . grad f] by forward differentiation along v. */
#include <math.h>

#include "escapement/activation.h"
#include "escapement/model.h"
#include "escapement/stream.h"

enum { SAMPLES = 64 };

/* One layer: z = W h and its derivative along v, through the activation. */
static void forward_layer(const esc_problem *p, const double *w, int l, const double *h,
                          const double *h_dot, double *next, double *next_dot) {
  const int rows = esc_fan_out(p->shape, l), fan_in = esc_fan_in(p->shape, l);
  for (int i = 0; i < rows; i++) {
    double z = 0, z_dot = 0;
    for (int j = 0; j < fan_in; j++) {
      const double entry = w[(size_t)i * (size_t)fan_in + (size_t)j];
      z += entry * h[j];
      z_dot += entry * h_dot[j];
    }
    const esc_eval_f64 s = esc_activate_f64(&p->activation, z);
    const bool output = l == p->shape.layers - 1;
    next[i] = output ? z : s.value;
    next_dot[i] = output ? z_dot : s.derivative * z_dot;
  }
}

/* v = sum_k a_k v_k / |a|: the direction of the teacher's linear part. */
static void linear_direction(const esc_problem *p, const double *directions, double *v) {
  double norm2 = 0;
  for (int k = 0; k < p->teacher.modes; k++)
    norm2 += p->teacher.amplitude[k] * p->teacher.amplitude[k];
  for (int i = 0; i < p->shape.inputs; i++) {
    v[i] = 0;
    for (int k = 0; k < p->teacher.modes; k++)
      v[i] += p->teacher.amplitude[k] / sqrt(norm2) *
              directions[(size_t)k * (size_t)p->shape.inputs + (size_t)i];
  }
}

static size_t widest(esc_shape s) { return (size_t)(s.width > s.inputs ? s.width : s.inputs); }

size_t esc_signal_room(esc_shape shape) { return 5 * widest(shape); }

static void swap(double **a, double **b) {
  double *c = *a;
  *a = *b;
  *b = c;
}

/* v . grad f at one input: h and h_dot come in as x and v, and are used up. */
static double directional_derivative(const esc_problem *p, const double *weights, double *h,
                                     double *h_dot, double *next, double *next_dot) {
  for (int l = 0; l < p->shape.layers; l++) {
    forward_layer(p, weights + esc_weight_offset(p->shape, l), l, h, h_dot, next, next_dot);
    swap(&h, &next);
    swap(&h_dot, &next_dot);
  }
  return h_dot[0];
}

double esc_initial_signal(const esc_problem *p, const esc_member *m, const double *directions,
                          const double *weights, double *room) {
  const int d = p->shape.inputs;
  const size_t n = widest(p->shape);
  double *v = room, *h = v + n, *h_dot = h + n, *next = h_dot + n, *next_dot = next + n;
  double signal = 0;
  linear_direction(p, directions, v);
  for (int b = 0; b < SAMPLES; b++) {
    for (int i = 0; i < d; i++) {
      const uint64_t index = (uint64_t)b * (uint64_t)d + (uint64_t)i;
      h[i] = (double)esc_normal_at(m->seed, ESC_DOMAIN_EVALUATION, 0, 0, index);
      h_dot[i] = v[i];
    }
    signal += directional_derivative(p, weights, h, h_dot, next, next_dot) / SAMPLES;
  }
  return signal;
}
