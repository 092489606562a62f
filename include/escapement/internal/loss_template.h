/* SPDX-License-Identifier: Apache-2.0 */
/* The losses for the real type ESC_REAL; loss.h includes this file once for
 * float and once for double. ESC_OF(name) is `name` with the type's suffix. */

typedef struct ESC_OF(esc_loss) {
  ESC_REAL value, derivative;
} ESC_OF(esc_loss);

/* (f-t)^2 / 2. */
ESC_SHARED ESC_OF(esc_loss) ESC_OF(esc_squared_loss)(ESC_REAL f, ESC_REAL t) {
  const ESC_REAL error = f - t;
  const ESC_OF(esc_loss) loss = {error * (error / 2), error};
  return loss;
}

/* softplus(-y f), y = sign(t) with sign(0) = +1. */
ESC_SHARED ESC_OF(esc_loss) ESC_OF(esc_logistic_loss)(ESC_REAL f, ESC_REAL t) {
  const ESC_REAL one = 1, label = t < 0 ? -one : t >= 0 ? one : t; /* the last: NaN */
  const ESC_OF(esc_eval) softplus = ESC_OF(esc_softplus_raw_eval)(-label * f);
  const ESC_OF(esc_loss) loss = {softplus.value, -label * softplus.derivative};
  return loss;
}

/* c (e - c/2) with e = f-t and c = e cut off at +-delta: e^2/2 where |e| <= delta and
 * delta (|e| - delta/2) beyond. */
ESC_SHARED ESC_OF(esc_loss) ESC_OF(esc_huber_loss)(ESC_REAL delta, ESC_REAL f, ESC_REAL t) {
  const ESC_REAL error = f - t;
  const ESC_REAL cut = error > delta ? delta : error < -delta ? -delta : error;
  const ESC_OF(esc_loss) loss = {cut * (error - cut / 2), cut};
  return loss;
}

/* The loss `kind` of prediction f for target t; delta is read by Huber's alone. */
ESC_SHARED ESC_OF(esc_loss)
    ESC_OF(esc_loss_eval)(esc_loss_kind kind, ESC_REAL delta, ESC_REAL f, ESC_REAL t) {
  switch (kind) {
    case ESC_LOSS_LOGISTIC: return ESC_OF(esc_logistic_loss)(f, t);
    case ESC_LOSS_HUBER: return ESC_OF(esc_huber_loss)(delta, f, t);
    case ESC_LOSS_SQUARED: break;
  }
  return ESC_OF(esc_squared_loss)(f, t);
}
