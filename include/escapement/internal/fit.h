/* SPDX-License-Identifier: Apache-2.0 */
/* Fits of result tables (escapement/fit.h has what they are made of), and false escapes. */
#ifndef ESCAPEMENT_INTERNAL_FIT_H
#define ESCAPEMENT_INTERNAL_FIT_H

#include "escapement/fit.h"
#include "escapement/internal/problem.h"
#include "escapement/internal/results.h"

/* Fits all groups of several result tables (shards or runs) together. Tables
 * with the same (bottleneck, small layers, scale, seed) twice are refused by name.
 * Undefined quantities (one scale only, all censored) are NaN. The same tables
 * give the same numbers. */
esc_status esc_fit_results(int tables, const esc_results *const *table, esc_fit *out);

/* How likely noise alone carries one member at f = 0 (the plateau) below a threshold. */
typedef struct esc_false_escape {
  double probability; /* within the steps asked for */
  double first;       /* its part at the first step, where the average is the loss itself */
  double hazard;      /* a step, in the long run */
  double baseline;    /* the mean loss at f = 0 */
} esc_false_escape;

/* Fills one of them for each of `count` thresholds: first passage of the moving average
 * with factor `smoothing` (0: the loss itself) within `steps` steps of minibatch noise,
 * from its start at the first loss, so not less than that loss's own probability, however
 * strong the smoothing. The law of the loss at f = 0 comes from the teacher by quadrature,
 * its minibatch mean's by convolution (up to 16 examples) or from a saddle point (docs/theory,
 * section 5.6). ESC_LIBRARY_FAILED: it is too wild to be estimated. */
esc_status esc_false_escapes(const esc_problem *problem, int64_t steps, int count,
                             const double *threshold, esc_false_escape *out);

#endif
