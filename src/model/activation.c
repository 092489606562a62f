/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions of escapement/activation.h that the sweep itself does not need. */
#include "escapement/internal/activation.h"

#include <math.h>

#include "escapement/internal/number.h"
#include "escapement/internal/pieces.h"
#include "escapement/internal/status.h"

_Static_assert(ESC_ACTIVATION_NAME_MAX >= ESC_POLYNOMIAL_TERMS_MAX * ESC_NUMBER_SIZE,
               "the capacity of a name is enough for all coefficients");

esc_status esc_activation_from_coefficients(int terms, const double *coefficient,
                                            esc_activation *out) {
  esc_activation a = {.kind = ESC_ACTIVATION_POLYNOMIAL, .terms = terms};
  if (terms < 1 || terms > ESC_POLYNOMIAL_TERMS_MAX)
    return ESC_FAIL(ESC_BAD_INPUT, "poly: has %d coefficients; allowed: 1 to %d", terms,
                    ESC_POLYNOMIAL_TERMS_MAX);
  for (int k = 0; k < terms; k++) {
    if (!isfinite(coefficient[k]))
      return ESC_FAIL(ESC_BAD_INPUT, "poly: a_%d is not a finite number", k);
    a.coefficient[k] = coefficient[k] + 0.0; /* -0 is 0, as in a text */
  }
  *out = a;
  return ESC_OK;
}

esc_activation_value esc_activation_evaluate(const esc_activation *activation, double z) {
  const esc_eval_f64 e = esc_theory_activate(activation, z);
  return (esc_activation_value){e.value, e.derivative, e.deficit};
}
