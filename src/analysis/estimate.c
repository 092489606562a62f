/* SPDX-License-Identifier: Apache-2.0 */
/* Means over networks with standard errors and t intervals, and exponents by least squares in
 * log-log coordinates. */
#include <gsl/gsl_cdf.h>
#include <math.h>

#include "escapement/internal/plateau.h"

/* Mean, and the mean's standard error in *error (NaN with one number). */
static double mean_of(int64_t n, const double *x, double *error) {
  double mean = 0, square = 0;
  for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
  for (int64_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
  *error = n > 1 ? sqrt(square / (double)(n - 1) / (double)n) : (double)NAN;
  return mean;
}

esc_estimate esc_estimate_compute(int64_t n, const double *value, const double *curvature,
                                  double next_order) {
  const double none = (double)NAN;
  esc_estimate e = {.networks = n, .value = none, .error = none, .lower = none, .upper = none};
  double noise = 0;
  if (n == 0) return e;
  e.value = mean_of(n, value, &e.error);
  if (n == 1) return e;
  const double common = curvature ? mean_of(n, curvature, &noise) : 0;
  e.error =
      sqrt(e.error * e.error + fmax(common * common - noise * noise, 0) + next_order * next_order);
  const double half = gsl_cdf_tdist_Pinv(0.975, (double)(n - 1)) * e.error;
  e.lower = e.value - half;
  e.upper = e.value + half;
  return e;
}

double esc_scaling_exponent(int64_t n, const double *x, const double *y) {
  double count = 0, mean_x = 0, mean_y = 0, sxx = 0, sxy = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!(x[i] > 0 && y[i] > 0)) continue;
    count++;
    mean_x += log(x[i]);
    mean_y += log(y[i]);
  }
  mean_x /= count;
  mean_y /= count;
  for (int64_t i = 0; i < n; i++) {
    if (!(x[i] > 0 && y[i] > 0)) continue;
    sxx += (log(x[i]) - mean_x) * (log(x[i]) - mean_x);
    sxy += (log(x[i]) - mean_x) * (log(y[i]) - mean_y);
  }
  return sxx > 1e-12 ? sxy / sxx : (double)NAN;
}
