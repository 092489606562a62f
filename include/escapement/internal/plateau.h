/* SPDX-License-Identifier: Apache-2.0 */
/* Measurement of a network's plateau from a run's snapshots: the assumptions and conclusions of the
 * proof of the critical-depth law on the bootstrap interval, up to the first exit of m from its
 * window (docs/theory, section 5.4; paper, definition 9 and theorem 11). */
#ifndef ESCAPEMENT_INTERNAL_PLATEAU_H
#define ESCAPEMENT_INTERNAL_PLATEAU_H

#include "escapement/internal/results.h"
#include "escapement/plateau.h"

/* Measures row i of a result with snapshots. */
void esc_plateau_measure(const esc_results *results, int64_t i, const esc_plateau_rules *rules,
                         esc_plateau *out);

/* Writes the obstacle as text: "m starts above the window". */
void esc_exponent_explain(const esc_exponent *exponent, const esc_plateau_rules *rules, char *text,
                          size_t size);

/* The mean of n networks' numbers, all finite. Errors common to all networks are added in
 * quadrature: the mean of `curvature` (n; NULL: 0) beyond its standard error, and `next_order`. */
esc_estimate esc_estimate_compute(int64_t n, const double *value, const double *curvature,
                                  double next_order);

/* Fills *out from a result with snapshots, of networks of `problem`, whose observables are means
 * over `samples` inputs. window above 0. Free *out with esc_plateau_table_free in either case. */
esc_status esc_plateau_table_create(const esc_results *results, const esc_problem *problem,
                                    int samples, double window, esc_plateau_table *out);

/* Slope of log y in log x through the n pairs with x, y > 0: NaN with fewer than two
 * different x. Nothing is allocated. */
double esc_scaling_exponent(int64_t n, const double *x, const double *y);

#endif
