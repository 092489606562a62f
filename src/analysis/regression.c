/* SPDX-License-Identifier: Apache-2.0 */
/* Straight lines by (weighted) least squares, and the slope as a contrast. */
#include "regression.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_fit.h>
#include <math.h>
#include <stdlib.h>

static int count_positive(int n, const double *weight) {
  int count = 0;
  for (int i = 0; i < n; i++) count += weight[i] > 0;
  return count;
}

esc_line esc_line_fit(int n, const double *x, const double *y, const double *weight,
                      bool known_weights) {
  esc_line line = {NAN, NAN};
  double intercept, variance00, variance01, variance, residual;
  const int used = count_positive(n, weight);
  if (used < 2) return line;
  if (gsl_fit_wlinear(x, 1, weight, 1, y, 1, (size_t)n, &intercept, &line.slope, &variance00,
                      &variance01, &variance, &residual) != GSL_SUCCESS)
    return (esc_line){NAN, NAN};
  if (known_weights)
    line.standard_error = sqrt(variance);
  else if (used > 2)
    line.standard_error = sqrt(variance * residual / (used - 2));
  return line;
}

esc_status esc_line_fit_finite(int n, const double *x, const double *y, esc_line *line) {
  esc_status status = ESC_OK;
  double *weight = malloc((size_t)n * sizeof *weight);
  ESC_TRY_ALLOCATE(weight);
  for (int i = 0; i < n; i++) weight[i] = isfinite(y[i]) ? 1 : 0;
  *line = esc_line_fit(n, x, y, weight, false);
done:
  free(weight);
  return status;
}

bool esc_line_contrast(int n, const double *x, const double *y, double *contrast) {
  double mean = 0, square = 0;
  int used = 0;
  for (int i = 0; i < n; i++) {
    contrast[i] = 0;
    if (isfinite(y[i])) mean += (x[i] - mean) / ++used;
  }
  for (int i = 0; i < n; i++)
    if (isfinite(y[i])) square += (x[i] - mean) * (x[i] - mean);
  if (used < 2 || !(square > 0)) return false;
  for (int i = 0; i < n; i++)
    if (isfinite(y[i])) contrast[i] = (x[i] - mean) / square;
  return true;
}
