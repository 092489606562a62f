/* SPDX-License-Identifier: Apache-2.0 */
/* The headline slope of a group, its interval, and the other estimators; private to src/analysis.
 */
#ifndef ESC_ANALYSIS_HEADLINE_H
#define ESC_ANALYSIS_HEADLINE_H

#include "escapement/internal/fit.h"
#include "seed_table.h"

/* Fills slope, standard_error, dof, lower, upper, estimator, the local slopes' intervals, the
 * slopes of medians and of the log-normal fit, and warnings; reads the counts, points and
 * `local`. */
esc_status esc_headline_fit(const esc_seed_table *table, esc_fit_group *g);

#endif
