/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix-valued imbalance identity (identity.h; docs/theory, sections 1.3 and 1.4). Forward and
 * backward pass are written a second time here, so that they check the engines' gradients. */
#include "escapement/internal/identity.h"

#include <stdlib.h>
#include <string.h>

#include "escapement/internal/activation.h"
#include "escapement/internal/loss.h"

/* Forward and backward quantities of one sample. */
typedef struct sample_pass {
  size_t width;
  double *z, *h, *derivative; /* (interface, width) z_l, sigma(z_l), sigma'(z_l) */
  double *u, *delta;          /* (width) */
} sample_pass;

static void sample_pass_free(sample_pass *s) {
  free(s->z);
  free(s->h);
  free(s->derivative);
  free(s->u);
  free(s->delta);
}

static esc_status sample_pass_create(esc_shape shape, sample_pass *s) {
  esc_status status = ESC_OK;
  const size_t width = (size_t)shape.width, count = (size_t)(shape.layers - 1) * width;
  *s = (sample_pass){.width = width};
  ESC_TRY_ALLOCATE(s->z = calloc(count, sizeof *s->z));
  ESC_TRY_ALLOCATE(s->h = calloc(count, sizeof *s->h));
  ESC_TRY_ALLOCATE(s->derivative = calloc(count, sizeof *s->derivative));
  ESC_TRY_ALLOCATE(s->u = calloc(width, sizeof *s->u));
  ESC_TRY_ALLOCATE(s->delta = calloc(width, sizeof *s->delta));
done:
  return status;
}

/* Fills z, h and derivative; returns f(x). */
static double forward(const esc_problem *p, const double *weights, const double *x,
                      sample_pass *s) {
  const double *in = x;
  double f = 0;
  for (int l = 0; l < p->shape.layers; l++) {
    const size_t fan_in = (size_t)esc_fan_in(p->shape, l), offset = (size_t)l * s->width;
    const double *w = weights + esc_weight_offset(p->shape, l);
    for (size_t i = 0; i < (size_t)esc_fan_out(p->shape, l); i++) {
      double z = 0;
      for (size_t j = 0; j < fan_in; j++) z += w[i * fan_in + j] * in[j];
      if (l == p->shape.layers - 1) return z;
      const esc_eval_f64 e = esc_activate_f64(&p->activation, z);
      s->z[offset + i] = z;
      s->h[offset + i] = e.value;
      s->derivative[offset + i] = e.derivative;
    }
    in = s->h + offset;
  }
  return f;
}

/* u_l = W_{l+1}^T delta_{l+1} and delta_l, from delta_{l+1} in s->delta. */
static void backward(const esc_problem *p, const double *weights, int l, sample_pass *s) {
  const double *w = weights + esc_weight_offset(p->shape, l + 1);
  const double *derivative = s->derivative + (size_t)l * s->width;
  memset(s->u, 0, s->width * sizeof *s->u);
  for (size_t i = 0; i < (size_t)esc_fan_out(p->shape, l + 1); i++)
    for (size_t j = 0; j < s->width; j++) s->u[j] += w[i * s->width + j] * s->delta[i];
  for (size_t j = 0; j < s->width; j++) s->delta[j] = s->u[j] * derivative[j];
}

/* Adds one sample's -(h u^T + u h^T - z delta^T - delta z^T). u and delta contain the sample's
 * weight. */
static void add_sample(int l, const sample_pass *s, double *flow) {
  const size_t n = s->width, offset = (size_t)l * n;
  const double *z = s->z + offset, *h = s->h + offset;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      flow[i * n + j] -= h[i] * s->u[j] + s->u[i] * h[j] - z[i] * s->delta[j] - s->delta[i] * z[j];
}

esc_status esc_imbalance_flow(const esc_problem *p, const double *directions, const double *weights,
                              const esc_batch *batch, double *flow) {
  esc_status status = ESC_OK;
  const size_t square = (size_t)p->shape.width * (size_t)p->shape.width;
  sample_pass s;
  ESC_TRY(sample_pass_create(p->shape, &s));
  memset(flow, 0, (size_t)(p->shape.layers - 1) * square * sizeof *flow);
  for (int b = 0; b < batch->samples; b++) {
    const double *x = batch->x + (size_t)b * (size_t)p->shape.inputs;
    const double weight = batch->weight ? batch->weight[b] : 1.0 / batch->samples;
    const double f = forward(p, weights, x, &s), t = esc_reference_target(p, directions, x);
    s.delta[0] = weight * esc_loss_eval_f64(p->loss, p->huber_delta, f, t).derivative;
    for (int l = p->shape.layers - 2; l >= 0; l--) {
      backward(p, weights, l, &s);
      add_sample(l, &s, flow + (size_t)l * square);
    }
  }
done:
  sample_pass_free(&s);
  return status;
}

/* out (N, N) += factor A^T A for A (rows, N). */
static void add_inner(double factor, const double *a, size_t rows, size_t n, double *out) {
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++) out[i * n + j] += factor * a[r * n + i] * a[r * n + j];
}

/* out (N, N) += factor A A^T for A (N, columns). */
static void add_outer(double factor, const double *a, size_t columns, size_t n, double *out) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      for (size_t c = 0; c < columns; c++)
        out[i * n + j] += factor * a[i * columns + c] * a[j * columns + c];
}

/* gamma_{l+1} A_{l+1}^T A_{l+1} - gamma_l A_l A_l^T at every interface; with `inverse`, each gamma
 * in the denominator. */
static void compute_differences(const esc_problem *p, const double *a, bool inverse, double *out) {
  const size_t n = (size_t)p->shape.width;
  memset(out, 0, (size_t)(p->shape.layers - 1) * n * n * sizeof *out);
  for (int l = 0; l < p->shape.layers - 1; l++) {
    const double above = esc_metric_gamma(p, l + 1), below = esc_metric_gamma(p, l);
    double *matrix = out + (size_t)l * n * n;
    add_inner(inverse ? 1 / above : above, a + esc_weight_offset(p->shape, l + 1),
              (size_t)esc_fan_out(p->shape, l + 1), n, matrix);
    add_outer(inverse ? -1 / below : -below, a + esc_weight_offset(p->shape, l),
              (size_t)esc_fan_in(p->shape, l), n, matrix);
  }
}

void esc_imbalance_matrix(const esc_problem *p, const double *weights, double *matrix) {
  compute_differences(p, weights, true, matrix);
}

void esc_imbalance_second(const esc_problem *p, const double *g, double *second) {
  compute_differences(p, g, false, second);
}

double esc_imbalance_trace(const esc_problem *p, const double *matrix, int l) {
  const size_t n = (size_t)p->shape.width;
  double trace = 0;
  for (size_t i = 0; i < n; i++) trace += matrix[((size_t)l * n + i) * n + i];
  return trace;
}
