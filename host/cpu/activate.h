/* SPDX-License-Identifier: Apache-2.0 */
/* Activations and losses of whole arrays. The formula is chosen outside the loop over the numbers,
 * so that the loop is vectorised. */
#ifndef ESC_CPU_ACTIVATE_H
#define ESC_CPU_ACTIVATE_H

#include "cpu/network.h"
#include "escapement/internal/activation.h"
#include "escapement/internal/loss.h"

/* Whether the backward pass computes sigma'(z) and kappa(z) from z and sigma(z), instead of reading
 * what the forward pass stored: cheap for tanh, and that loop waits for memory. */
static inline bool esc_is_computed_backward(esc_activation_kind kind) {
  return kind == ESC_ACTIVATION_TANH;
}

/* value[i] = sigma(z[i]). Unless they are computed in the backward pass, derivative[i] =
 * sigma'(z[i]) and z[i] becomes kappa(z[i]). */
static inline void esc_activate_all(const esc_cpu_shared *s, size_t count, float *restrict z,
                                    float *restrict value, float *restrict derivative) {
#define EVALUATE(kind, expression)                         \
  _Pragma("omp simd") for (size_t i = 0; i < count; i++) { \
    const esc_eval_f32 e = expression;                     \
    value[i] = e.value;                                    \
    if (esc_is_computed_backward(kind)) continue;          \
    derivative[i] = e.derivative;                          \
    z[i] = e.deficit;                                      \
  }
  switch (s->problem->activation.kind) {
#define CASE(context, kind, function, ...) \
  case ESC_ACTIVATION_##kind:              \
    EVALUATE(ESC_ACTIVATION_##kind, esc_##function##_eval_f32(z[i])) break;
    ESC_ACTIVATION_FUNCTIONS(CASE, )
#undef CASE
    case ESC_ACTIVATION_POLYNOMIAL:
      EVALUATE(ESC_ACTIVATION_POLYNOMIAL,
               esc_polynomial_eval_f32(s->coefficient, ESC_POLYNOMIAL_TERMS_MAX, z[i]))
      break;
    case ESC_ACTIVATION_COUNT: break;
  }
#undef EVALUATE
}

/* Losses of predictions f for targets t, and dloss/df divided by the minibatch. */
static inline void esc_loss_all(const esc_problem *p, size_t count, const float *restrict f,
                                const float *restrict t, float *restrict value,
                                float *restrict dloss) {
  const float batch = (float)p->batch, delta = (float)p->huber_delta;
#define EVALUATE(expression)                               \
  _Pragma("omp simd") for (size_t i = 0; i < count; i++) { \
    const esc_loss_f32 loss = expression;                  \
    value[i] = loss.value;                                 \
    dloss[i] = loss.derivative / batch;                    \
  }
  switch (p->loss) {
    case ESC_LOSS_SQUARED: EVALUATE(esc_squared_loss_f32(f[i], t[i])) break;
    case ESC_LOSS_LOGISTIC: EVALUATE(esc_logistic_loss_f32(f[i], t[i])) break;
    case ESC_LOSS_HUBER: EVALUATE(esc_huber_loss_f32(delta, f[i], t[i])) break;
  }
#undef EVALUATE
}

#endif
