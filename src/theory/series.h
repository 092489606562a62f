/* SPDX-License-Identifier: Apache-2.0 */
/* Truncated power series in z (docs/theory, section 2.1). Every coefficient has a bound on its
 * rounding error, which decides whether the coefficient counts as 0; private to src/theory. */
#ifndef ESCAPEMENT_THEORY_SERIES_H
#define ESCAPEMENT_THEORY_SERIES_H

#include <stdbool.h>

#include "escapement/internal/theory.h"

typedef struct esc_term {
  double value, error; /* |value - truth| <= error, to first order in rounding */
} esc_term;

/* sum_k term[k] z^k, k < ESC_TAYLOR_TERMS */
typedef struct esc_power_series {
  esc_term term[ESC_TAYLOR_TERMS];
} esc_power_series;

/* slope z, exact. */
esc_power_series esc_power_series_linear(double slope);

/* f + constant; the constant counts as exact. */
esc_power_series esc_power_series_shift(esc_power_series f, double constant);

/* factor f; the factor counts as rounded once. */
esc_power_series esc_power_series_scale(esc_power_series f, double factor);

esc_power_series esc_power_series_add(esc_power_series f, esc_power_series g);
esc_power_series esc_power_series_subtract(esc_power_series f, esc_power_series g);
esc_power_series esc_power_series_multiply(esc_power_series f, esc_power_series g);

/* f / g, g(0) != 0. */
esc_power_series esc_power_series_divide(esc_power_series f, esc_power_series g);

esc_power_series esc_power_series_exp(esc_power_series f);
esc_power_series esc_power_series_sin(esc_power_series f);

/* log f, f(0) > 0. */
esc_power_series esc_power_series_log(esc_power_series f);

/* The integral from 0 to z. */
esc_power_series esc_power_series_integrate(esc_power_series f);

/* Taylor series of the activation at 0; none for ReLU, which has no derivative there. */
esc_power_series esc_activation_series(const esc_activation *activation);

/* Whether the coefficient is 0 within its rounding error. */
bool esc_term_vanishes(esc_term term);

#endif
