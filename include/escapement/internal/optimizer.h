/* SPDX-License-Identifier: Apache-2.0 */
/* The direction E of a weight's step, w <- w - eta gamma E, by momentum, weight decay and Adam, in
 * float (docs/theory, section 1.7): one implementation for the CPU engine and the kernels, so that
 * their bits are equal. update.h makes the step. */
#ifndef ESCAPEMENT_OPTIMIZER_H
#define ESCAPEMENT_OPTIMIZER_H

#include <math.h>

#include "escapement/internal/float_math.h"
#include "escapement/internal/problem.h"

/* Constants of all layers and steps. */
typedef struct esc_optimizer_rules {
  int32_t optimized; /* 0: plain gradient descent, E = G; the other fields are not read */
  int32_t adam, nesterov;
  float beta;           /* of momentum, or of Adam's first moment */
  float one_minus_beta; /* of Adam */
  float beta2, one_minus_beta2, epsilon;
  float decay;                           /* lambda in the gradient; else 0 */
  float decoupled_decay[ESC_LAYERS_MAX]; /* lambda / gamma_l outside it; else 0 */
  double adam_beta1, adam_beta2;
} esc_optimizer_rules;

/* problem.optimizer, rounded to float. */
void esc_optimizer_rules_init(esc_optimizer_rules *rules, const esc_problem *problem);

/* Constants of one layer's step. */
typedef struct esc_optimizer_step {
  float decoupled_decay;
  float mean, root; /* Adam's bias corrections: of the first moment, of the second one's root */
} esc_optimizer_step;

/* base^exponent by squaring: the same bits on every processor, which pow() does not promise. */
ESC_SHARED double esc_power_f64(double base, int64_t exponent) {
  double power = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) power *= base;
    base *= base;
  }
  return power;
}

/* Layer l at the update that follows `step` updates. */
ESC_SHARED esc_optimizer_step esc_optimizer_step_make(const esc_optimizer_rules *r, int l,
                                                      int64_t step) {
  esc_optimizer_step s = {r->decoupled_decay[l], 1.0f, 1.0f};
  if (!r->adam) return s;
  s.mean = (float)(1 / (1 - esc_power_f64(r->adam_beta1, step + 1)));
  s.root = (float)(1 / sqrt(1 - esc_power_f64(r->adam_beta2, step + 1)));
  return s;
}

/* Weight decay alone: E = G + lambda W, or G + (lambda / gamma) W. */
ESC_SHARED float esc_optimizer_decay(const esc_optimizer_rules *r, const esc_optimizer_step *s,
                                     float g, float w) {
  return esc_fma_f32(s->decoupled_decay, w, esc_fma_f32(r->decay, w, g));
}

/* Momentum: V <- beta V + D, E = V, or D + beta V (Nesterov). */
ESC_SHARED float esc_optimizer_momentum(const esc_optimizer_rules *r, const esc_optimizer_step *s,
                                        float g, float w, float *velocity) {
  const float d = esc_fma_f32(r->decay, w, g), v = esc_fma_f32(r->beta, *velocity, d);
  const float e = r->nesterov ? esc_fma_f32(r->beta, v, d) : v;
  *velocity = v;
  return esc_fma_f32(s->decoupled_decay, w, e);
}

/* Adam: M <- beta_1 M + (1 - beta_1) D, R <- beta_2 R + (1 - beta_2) D^2,
 * E = (M / (1 - beta_1^t)) / (sqrt(R / (1 - beta_2^t)) + epsilon). */
ESC_SHARED float esc_optimizer_adam(const esc_optimizer_rules *r, const esc_optimizer_step *s,
                                    float g, float w, float *first, float *second) {
  const float d = esc_fma_f32(r->decay, w, g);
  const float m = esc_fma_f32(r->beta, *first, esc_mul_f32(r->one_minus_beta, d));
  const float q =
      esc_fma_f32(r->beta2, *second, esc_mul_f32(esc_mul_f32(r->one_minus_beta2, d), d));
  const float size = esc_fma_f32(esc_sqrt_f32(q), s->root, r->epsilon);
  *first = m;
  *second = q;
  return esc_fma_f32(s->decoupled_decay, w, esc_div_f32(esc_mul_f32(m, s->mean), size));
}

#endif
