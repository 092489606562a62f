/* SPDX-License-Identifier: Apache-2.0 */
/* Activations in float and double: esc_tanh_eval_f32(z), ..., and by kind
 * esc_activate_f32(&activation, z); the same with _f64. Each returns the value
 * sigma(z), the derivative sigma'(z) and the homogeneity deficit
 * kappa(z) = sigma(z) - z sigma'(z), which feeds the imbalance ledger.
 * esc_second_derivative_f64(&activation, z, e) is sigma''(z). The table of activations is in
 * activation_list.h, the formulas are in activation_template.h. */
#ifndef ESCAPEMENT_ACTIVATION_H
#define ESCAPEMENT_ACTIVATION_H

#include <math.h>

#include "escapement/internal/double_math.h"
#include "escapement/internal/float_math.h"
#include "escapement/internal/portable.h"
#include "escapement/internal/problem.h"

/* Phi(z), the distribution function of N(0, 1), to an absolute error of an ulp of 1. */
ESC_SHARED float esc_normal_cdf_f32(float z) {
  return esc_fma_f32(0.5F, esc_erf_f32(z * 0.70710678F), 0.5F);
}

#define ESC_REAL float
#define ESC_OF(name) name##_f32
#define ESC_ABSOLUTE fabsf
#include "escapement/internal/activation_template.h"
#undef ESC_REAL
#undef ESC_OF
#undef ESC_ABSOLUTE

#define ESC_REAL double
#define ESC_OF(name) name##_f64
#define ESC_ABSOLUTE fabs
#include "escapement/internal/activation_template.h"
#undef ESC_REAL
#undef ESC_OF
#undef ESC_ABSOLUTE

#endif
