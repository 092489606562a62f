/* Activations and losses over whole arrays: the choice of the formula stands
 * outside the loop over the numbers. */
#ifndef ESC_CPU_ACTIVATE_H
#define ESC_CPU_ACTIVATE_H

#include "cpu/network.h"
#include "escapement/activation.h"
#include "escapement/loss.h"

/* z[i] -> value[i] (in place), derivative[i], deficit[i]. */
static inline void esc_activate_all(const esc_cpu_shared *s, size_t count, float *restrict z,
                                    float *restrict derivative, float *restrict deficit) {
#define EVALUATE(expression)                               \
  _Pragma("omp simd") for (size_t i = 0; i < count; i++) { \
    const esc_eval_f32 e = expression;                     \
    z[i] = e.value;                                        \
    derivative[i] = e.derivative;                          \
    deficit[i] = e.deficit;                                \
  }
  switch (s->problem->activation.kind) {
#define CASE(kind, function) \
  case ESC_ACTIVATION_##kind: EVALUATE(function(z[i])) break;
    ESC_EVAL_LIST(CASE)
#undef CASE
    default: EVALUATE(esc_polynomial_eval_f32(s->coefficient, ESC_POLYNOMIAL_TERMS_MAX, z[i]))
  }
#undef EVALUATE
}

/* Losses of predictions f for targets t, and dloss/df divided by the minibatch. */
static inline void esc_losses(const esc_problem *p, size_t count, const float *restrict f,
                              const float *restrict t, float *restrict value,
                              float *restrict error) {
  const float batch = (float)p->batch, delta = (float)p->huber_delta;
#define EVALUATE(expression)                               \
  _Pragma("omp simd") for (size_t i = 0; i < count; i++) { \
    const esc_loss_f32 loss = expression;                  \
    value[i] = loss.value;                                 \
    error[i] = loss.derivative / batch;                    \
  }
  switch (p->loss) {
    case ESC_LOSS_SQUARED: EVALUATE(esc_squared_loss_f32(f[i], t[i])) break;
    case ESC_LOSS_LOGISTIC: EVALUATE(esc_logistic_loss_f32(f[i], t[i])) break;
    case ESC_LOSS_HUBER: EVALUATE(esc_huber_loss_f32(delta, f[i], t[i])) break;
  }
#undef EVALUATE
}

#endif
