/* SPDX-License-Identifier: Apache-2.0 */
/* Fits of result tables (escapement/fit.h), and false escapes. */
#ifndef ESCAPEMENT_INTERNAL_FIT_H
#define ESCAPEMENT_INTERNAL_FIT_H

#include "escapement/fit.h"
#include "escapement/internal/problem.h"
#include "escapement/internal/results.h"

/* Fits all groups of several result tables (shards or runs) together. ESC_BAD_INPUT, with the
 * member in the message, where one (bottleneck, small layers, scale, seed) occurs twice.
 * Undefined quantities (one scale only, all censored) are NaN. */
esc_status esc_fit_results(int tables, const esc_results *const *table, esc_fit *out);

/* Probability that minibatch noise alone takes one member at f = 0 (the plateau) below a threshold.
 */
typedef struct esc_false_escape {
  double probability; /* within the steps asked for */
  double first;       /* of the first step, where the average is the loss itself */
  double hazard;      /* a step, in the long run */
  double baseline;    /* the mean loss at f = 0 */
} esc_false_escape;

/* One result for each of `count` thresholds: first passage of the moving average with factor
 * `smoothing` (0: the loss itself) within `steps` steps of minibatch noise. The average starts at
 * the first loss, so the result is at least the probability of that loss, for any smoothing. The
 * distribution of the loss at f = 0 is computed by quadrature, that of its minibatch mean by
 * convolution (up to 16 examples) or a saddle-point approximation (docs/theory, section 5.6).
 * ESC_LIBRARY_FAILED where the distribution cannot be tabulated. */
esc_status esc_false_escapes(const esc_problem *problem, int64_t steps, int count,
                             const double *threshold, esc_false_escape *out);

#endif
