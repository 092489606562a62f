/* SPDX-License-Identifier: Apache-2.0 */
/* The elementary functions that the activations are built on, in double, under
 * the names that float_math.h has for float; and the three homogeneity deficits
 * kappa(z) = sigma(z) - z sigma'(z) whose terms cancel at small z, there by
 * their Taylor series to 1e-16. NaN in gives NaN out. */
#ifndef ESCAPEMENT_DOUBLE_MATH_H
#define ESCAPEMENT_DOUBLE_MATH_H

#include <math.h>

#include "escapement/internal/portable.h"

ESC_SHARED double esc_fma_f64(double a, double b, double c) { return fma(a, b, c); }
ESC_SHARED double esc_exp_f64(double x) { return exp(x); }
ESC_SHARED double esc_log_f64(double x) { return log(x); }
ESC_SHARED double esc_log1p_f64(double x) { return log1p(x); }
ESC_SHARED double esc_tanh_f64(double x) { return tanh(x); }
ESC_SHARED double esc_erf_f64(double x) { return erf(x); }

ESC_SHARED void esc_sincos_f64(double x, double *s, double *c) {
  *s = sin(x);
  *c = cos(x);
}

/* Phi(z), the distribution function of N(0, 1), accurate in both tails. */
ESC_SHARED double esc_normal_cdf_f64(double z) { return 0.5 * erfc(-z * 0.70710678118654752440); }

/* sum_k c[k] x^k */
ESC_SHARED double esc_series_f64(const double *c, int terms, double x) {
  double sum = 0;
  for (int k = terms - 1; k >= 0; k--) sum = fma(sum, x, c[k]);
  return sum;
}

/* kappa of tanh from h = tanh z. Small z: kappa = (1 - h^2) (sinh(2z)/2 - z), all of whose
 * terms have one sign: sinh(2z)/2 - z = 4 z^3 sum_k (2z)^{2k} / (2k+3)!. */
ESC_SHARED double esc_tanh_deficit_f64(double z, double h) {
  const double c[] = {1.0 / 6,
                      1.0 / 120,
                      1.0 / 5040,
                      1.0 / 362880,
                      1.0 / 39916800,
                      1.0 / 6227020800,
                      1.0 / 1307674368000,
                      1.0 / 355687428096000,
                      1.0 / 121645100408832000};
  const double derivative = fma(-h, h, 1.0);
  if (!(fabs(z) < 0.6)) return fma(-z, derivative, h);
  return 4 * z * z * z * derivative * esc_series_f64(c, 9, 4 * z * z);
}

/* kappa of sin from s = sin z, c = cos z; sum_{k>=1} (-1)^{k+1} 2k z^{2k+1} / (2k+1)! */
ESC_SHARED double esc_sin_deficit_f64(double z, double s, double c) {
  const double a[] = {1.0 / 3,
                      -1.0 / 30,
                      1.0 / 840,
                      -1.0 / 45360,
                      1.0 / 3991680,
                      -1.0 / 518918400,
                      1.0 / 93405312000,
                      -1.0 / 22230464256000,
                      1.0 / 6758061133824000};
  if (!(fabs(z) < 1)) return fma(-z, c, s);
  return z * z * z * esc_series_f64(a, 9, z * z);
}

/* kappa of erf from e = erf z and g = (2/sqrt pi) exp(-z^2);
 * (2/sqrt pi) sum_{k>=1} (-1)^{k+1} 2 z^{2k+1} / ((2k+1) (k-1)!) */
ESC_SHARED double esc_erf_deficit_f64(double z, double e, double g) {
  const double a[] = {2.0 / 3,
                      -2.0 / 5,
                      2.0 / (7 * 2.0),
                      -2.0 / (9 * 6.0),
                      2.0 / (11 * 24.0),
                      -2.0 / (13 * 120.0),
                      2.0 / (15 * 720.0),
                      -2.0 / (17 * 5040.0),
                      2.0 / (19 * 40320.0),
                      -2.0 / (21 * 362880.0),
                      2.0 / (23 * 3628800.0),
                      -2.0 / (25 * 39916800.0),
                      2.0 / (27 * 479001600.0)};
  if (!(fabs(z) < 0.5)) return fma(-z, g, e);
  return 1.1283791670955125739 * z * z * z * esc_series_f64(a, 13, z * z);
}

#endif
