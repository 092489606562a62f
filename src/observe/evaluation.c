/* SPDX-License-Identifier: Apache-2.0 */
/* A network evaluated on a sample (docs/theory, section 5.1), and the evaluator in double precision
 * by the reference engine. */
#include <string.h>

#include "escapement/internal/dot.h"
#include "escapement/internal/loss.h"
#include "escapement/internal/observe.h"

void esc_evaluation_weights(const esc_observer *o, const esc_eval_sample *s, int b, double f,
                            double c[3]) {
  c[0] = s->signal[b];
  c[1] = s->target[b] - o->amplitude * o->c1 * s->signal[b];
  c[2] = f;
}

void esc_evaluation_add(const esc_observer *o, const esc_eval_sample *s, int b, double f,
                        esc_evaluation *out) {
  const esc_problem *p = o->problem;
  s->output[b] = f;
  out->loss += esc_loss_eval_f64(p->loss, p->huber_delta, f, s->target[b]).value;
  out->output_mean += f;
  out->signal += s->signal[b] * f;
}

static double dot_range(const double *a, const double *b, size_t from, size_t to) {
  return esc_dot_partial(4, a + from, b + from, (int)(to - from));
}

/* The mean of (f - mean)^2, because E[f^2] - E[f]^2 cancels where f is nearly constant. */
static double output_variance(const esc_eval_sample *s, double mean) {
  double sum = 0;
  for (int b = 0; b < s->samples; b++) sum += (s->output[b] - mean) * (s->output[b] - mean);
  return sum / s->samples;
}

void esc_evaluation_finish(const esc_observer *o, const esc_eval_sample *s, const double *weights,
                           const esc_evaluation_sums *sums, esc_evaluation *out) {
  const double per_sample = 1.0 / s->samples, *const *g = sums->g;
  const size_t *offset = sums->offset;
  out->loss *= per_sample;
  out->signal *= per_sample;
  out->output_mean *= s->mirrored ? 0 : per_sample;
  out->output_variance = output_variance(s, out->output_mean);
  esc_evaluation_errors(o, s, weights, sums, out);
  for (int l = 0; l < o->problem->shape.layers; l++) {
    const size_t from = offset[l], to = offset[l + 1];
    out->signal_grad_norm_sq[l] = per_sample * per_sample * dot_range(g[0], g[0], from, to);
    out->orthogonal[l] = per_sample * per_sample * dot_range(g[0], g[1], from, to);
    out->self_interaction[l] = per_sample * per_sample * dot_range(g[0], g[2], from, to);
  }
}

/* The arrays of esc_evaluation_sums, (weight) each. */
typedef struct sums {
  double *g[ESC_EVALUATION_SUMS];
} sums;

static sums carve(esc_arena *a, esc_shape shape) {
  sums s;
  for (int k = 0; k < ESC_EVALUATION_SUMS; k++)
    s.g[k] = ESC_CARVE(a, double, esc_weight_count(shape));
  return s;
}

esc_arena esc_evaluation_workspace(esc_shape shape) {
  esc_arena a = {0};
  carve(&a, shape);
  return a;
}

void esc_evaluation_compute(const esc_observer *o, const esc_eval_sample *s, const double *weights,
                            esc_reference_work *work, esc_arena *workspace, esc_evaluation *out) {
  const esc_shape shape = o->problem->shape;
  const size_t count = esc_weight_count(shape), mark = esc_arena_mark(workspace);
  const sums sum = carve(workspace, shape);
  double x[ESC_INPUTS_MAX], c[3];
  size_t offset[ESC_LAYERS_MAX + 1];
  memset(out, 0, sizeof *out);
  for (int k = 0; k < ESC_EVALUATION_SUMS; k++) memset(sum.g[k], 0, count * sizeof *sum.g[k]);
  for (int l = 0; l <= shape.layers; l++) offset[l] = esc_weight_offset(shape, l);
  for (int b = 0; b < s->samples; b++) {
    for (int i = 0; i < shape.inputs; i++)
      x[i] = (double)s->x[(size_t)b * (size_t)shape.inputs + (size_t)i];
    const double f = esc_reference_output(o->problem, weights, x, work);
    esc_evaluation_weights(o, s, b, f, c);
    esc_evaluation_add(o, s, b, f, out);
    for (int k = 0; k < 3; k++) esc_reference_backward(o->problem, weights, c[k], work, sum.g[k]);
    if (s->mirrored) continue;
    esc_reference_backward(o->problem, weights, 1, work, sum.g[3]);
    s->radial[b] = esc_dot(x, esc_reference_input_gradient(work), shape.inputs);
  }
  const esc_evaluation_sums all = {
      {sum.g[0], sum.g[1], sum.g[2], sum.g[3]}, offset, (size_t)shape.inputs};
  esc_evaluation_finish(o, s, weights, &all, out);
  esc_arena_release(workspace, mark);
}
