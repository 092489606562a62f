/* SPDX-License-Identifier: Apache-2.0 */
/* The equations of the theory in double, one sample at a time:
 *
 *   h_0 = x,  z_l = W_l h_{l-1},  h_l = sigma(z_l),  f = z_L
 *   delta_L = dloss/df,  u_l = W_{l+1}^T delta_{l+1},  delta_l = u_l * sigma'(z_l)
 *   G_l = E[delta_l h_{l-1}^T],  ledger term E[u_l . kappa(z_l)]
 *
 * (docs/theory, sections 0.1 to 0.4 and 1.4). Plain loops in the order of the formulas; the faster
 * engines are checked against this file. */
#include "escapement/internal/reference.h"
#include "escapement/internal/dot.h"

#include <stdlib.h>
#include <string.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/loss.h"

struct esc_reference_work {
  double *h;          /* (layers, widest): h[l] is the input of layer l */
  double *derivative; /* (layers, widest): sigma'(z_l) */
  double *deficit;    /* (layers, widest): kappa(z_l) */
  double *delta;      /* (widest) */
  double *u;          /* (widest) */
  size_t widest;
};

esc_reference_work *esc_reference_work_create(const esc_problem *p) {
  esc_reference_work *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  const size_t layers = (size_t)p->shape.layers;
  w->widest = (size_t)(p->shape.width > p->shape.inputs ? p->shape.width : p->shape.inputs);
  w->h = calloc(layers * w->widest, sizeof(double));
  w->derivative = calloc(layers * w->widest, sizeof(double));
  w->deficit = calloc(layers * w->widest, sizeof(double));
  w->delta = calloc(w->widest, sizeof(double));
  w->u = calloc(w->widest, sizeof(double));
  if (w->h && w->derivative && w->deficit && w->delta && w->u) return w;
  esc_reference_work_free(w);
  return NULL;
}

void esc_reference_work_free(esc_reference_work *w) {
  if (!w) return;
  free(w->h);
  free(w->derivative);
  free(w->deficit);
  free(w->delta);
  free(w->u);
  free(w);
}

double esc_reference_target(const esc_problem *p, const double *directions, const double *x) {
  const int d = p->shape.inputs;
  double target = 0;
  for (int k = 0; k < p->teacher.modes; k++) {
    const double projection = esc_dot(directions + (size_t)k * (size_t)d, x, d);
    target += p->teacher.amplitude[k] * esc_activate_f64(&p->activation, projection).value;
  }
  return target;
}

double esc_reference_output(const esc_problem *p, const double *weights, const double *x,
                            esc_reference_work *work) {
  const int layers = p->shape.layers;
  memcpy(work->h, x, (size_t)p->shape.inputs * sizeof *x);
  for (int l = 0; l < layers - 1; l++) {
    const double *w = weights + esc_weight_offset(p->shape, l);
    const size_t here = (size_t)l * work->widest, next = here + work->widest;
    const int fan_in = esc_fan_in(p->shape, l);
    for (int i = 0; i < p->shape.width; i++) {
      const double z = esc_dot(w + (size_t)i * (size_t)fan_in, work->h + here, fan_in);
      const esc_eval_f64 s = esc_activate_f64(&p->activation, z);
      work->h[next + (size_t)i] = s.value;
      work->derivative[here + (size_t)i] = s.derivative;
      work->deficit[here + (size_t)i] = s.deficit;
    }
  }
  const size_t last = (size_t)(layers - 1) * work->widest;
  return esc_dot(weights + esc_weight_offset(p->shape, layers - 1), work->h + last, p->shape.width);
}

/* Adds delta_l h_{l-1}^T to G_l and stores u_{l-1} = W_l^T delta_l in work->u. */
static void backward_layer(const esc_problem *p, const double *weights, int l,
                           esc_reference_work *work, double *g) {
  const int rows = esc_fan_out(p->shape, l), fan_in = esc_fan_in(p->shape, l);
  const double *w = weights + esc_weight_offset(p->shape, l);
  const double *h = work->h + (size_t)l * work->widest;
  double *gl = g + esc_weight_offset(p->shape, l);
  memset(work->u, 0, (size_t)fan_in * sizeof *work->u);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < fan_in; j++) {
      const size_t ij = (size_t)i * (size_t)fan_in + (size_t)j;
      gl[ij] += work->delta[i] * h[j];
      work->u[j] += w[ij] * work->delta[i];
    }
}

/* Backward pass from delta_L, in work->delta[0], to layer 1. */
static void backward(const esc_problem *p, const double *weights, esc_reference_work *work,
                     esc_gradient *out) {
  for (int l = p->shape.layers - 1; l >= 0; l--) {
    backward_layer(p, weights, l, work, out->g);
    if (l == 0) break;
    const size_t below = (size_t)(l - 1) * work->widest;
    out->deficit[l - 1] += esc_dot(work->u, work->deficit + below, p->shape.width);
    for (int i = 0; i < p->shape.width; i++)
      work->delta[i] = work->u[i] * work->derivative[below + (size_t)i];
  }
}

void esc_reference_backward(const esc_problem *p, const double *weights, double c,
                            esc_reference_work *work, double *g) {
  esc_gradient unused = {.g = g};
  work->delta[0] = c;
  backward(p, weights, work, &unused);
}

const double *esc_reference_input_gradient(const esc_reference_work *work) { return work->u; }

void esc_reference_gradient(const esc_problem *p, const double *directions, const double *weights,
                            const esc_batch *batch, esc_reference_work *work, esc_gradient *out) {
  const int layers = p->shape.layers;
  out->loss = 0;
  memset(out->deficit, 0, sizeof out->deficit);
  memset(out->g, 0, esc_weight_offset(p->shape, layers) * sizeof *out->g);
  for (int b = 0; b < batch->samples; b++) {
    const double *x = batch->x + (size_t)b * (size_t)p->shape.inputs;
    const double weight = batch->weight ? batch->weight[b] : 1.0 / batch->samples;
    const double f = esc_reference_output(p, weights, x, work);
    const double target = esc_reference_target(p, directions, x);
    const esc_loss_f64 loss = esc_loss_eval_f64(p->loss, p->huber_delta, f, target);
    out->loss += weight * loss.value;
    work->delta[0] = weight * loss.derivative;
    backward(p, weights, work, out);
  }
  for (int l = 0; l < layers; l++) {
    const size_t from = esc_weight_offset(p->shape, l), to = esc_weight_offset(p->shape, l + 1);
    out->grad_norm_sq[l] = esc_dot(out->g + from, out->g + from, (int)(to - from));
  }
}
