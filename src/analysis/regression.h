/* SPDX-License-Identifier: Apache-2.0 */
/* Straight lines by least squares; private to src/analysis. */
#ifndef ESCAPEMENT_ANALYSIS_REGRESSION_H
#define ESCAPEMENT_ANALYSIS_REGRESSION_H

#include <stdbool.h>

#include "escapement/internal/status.h"

typedef struct esc_line {
  double slope;
  double standard_error; /* of the slope */
} esc_line;

/* Weighted least squares of y on x over the n pairs with weight > 0 (the others are ignored); NaN
 * with fewer than two. The standard error is from the residuals (NaN with two pairs) or, with
 * `known_weights`, from the weights, which then are the inverse variances of y. */
esc_line esc_line_fit(int n, const double *x, const double *y, const double *weight,
                      bool known_weights);

/* The same with weight 1 for all pairs whose y is finite. */
esc_status esc_line_fit_finite(int n, const double *x, const double *y, esc_line *line);

/* The slope of that fit as a linear function of y: slope = sum_i contrast[i] y[i], 0 where y
 * is not finite. False with fewer than two pairs; then all are 0. */
bool esc_line_contrast(int n, const double *x, const double *y, double *contrast);

#endif
