/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a plateau table: numbers over many networks, the prediction for each, and a verdict.
 * Private to src/analysis. */
#ifndef ESC_PLATEAU_ROWS_H
#define ESC_PLATEAU_ROWS_H

#include "escapement/internal/plateau.h"

/* The input of the rows: every network of a result, measured, and workspace for columns. */
typedef struct esc_plateau_source {
  const esc_results *results;
  const esc_plateau_table *table; /* its networks and rules */
  double *work[3];                /* (member + 1) each: columns of numbers; owned */
  int64_t *index;                 /* (member + 1); owned */
} esc_plateau_source;

/* Rows of the networks first..end-1, all of one group and scale; return their number. Exponents
 * along the run: */
int esc_plateau_exponent_rows(const esc_plateau_source *source, int64_t first, int64_t end,
                              esc_plateau_row row[ESC_PLATEAU_ROWS]);

/* ... and the other numbers, with the verdicts over the scales of their group, whose rows are
 * `scaling`. */
int esc_plateau_number_rows(const esc_plateau_source *source, int64_t first, int64_t end,
                            int scalings, const esc_plateau_row *scaling,
                            esc_plateau_row row[ESC_PLATEAU_ROWS]);

/* Rows of a whole group over its scales, from the slope in epsilon of each seed: exponents at the
 * start, and whether constants stay bounded as epsilon falls. */
int esc_plateau_scaling_rows(const esc_plateau_source *source, int64_t first, int64_t end,
                             esc_plateau_row row[ESC_PLATEAU_ROWS]);

#endif
