/* SPDX-License-Identifier: Apache-2.0 */
/* The slope of a sweep in which some members did not escape; private to src/analysis. */
#ifndef ESC_ANALYSIS_PAIRS_H
#define ESC_ANALYSIS_PAIRS_H

#include "seed_table.h"

typedef struct esc_pairs_fit {
  double slope;    /* NaN where the data bound it on one side only, or not at all */
  double variance; /* over seeds; NaN with a single seed */
  double dof;
  bool within; /* pairs are of one seed each */
} esc_pairs_fit;

/* Slope of log t* on log scale by pairwise differences (Honore, Econometrica 60:533, 1992;
 * Honore and Powell, J. Econometrics 64:241, 1994): at the true slope the residuals of two
 * members, both truncated at the earlier of their budgets, are equal on average, for any
 * distribution of the residuals and of the seed effects. Pairs are of one seed where most
 * members have a partner at another scale, else of any two seeds. Without censoring the result
 * is the least squares slope of the seeds' log steps. `influence` (seeds) receives each seed's
 * contribution to slope - truth. */
esc_status esc_pairs_slope(const esc_seed_table *table, double *influence, esc_pairs_fit *fit);

#endif
