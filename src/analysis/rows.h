/* SPDX-License-Identifier: Apache-2.0 */
/* Members of result tables as rows, one for each threshold, sorted for the fit. Private to
 * src/analysis. */
#ifndef ESC_ANALYSIS_ROWS_H
#define ESC_ANALYSIS_ROWS_H

#include "escapement/internal/fit.h"
#include "points.h"

/* One member at one threshold. */
typedef struct esc_fit_row {
  int point; /* of the grids (points.h) */
  int bottleneck, table;
  int64_t small_layers;
  double threshold, scale;
  int64_t seed;
  double step;   /* escape step, or steps run if censored */
  double budget; /* the member's budget of steps, from the censored members of its table at the
                    same scale; infinite where there are none */
  double signal; /* S(0)/scale^r */
  bool censored, diverged;
} esc_fit_row;

/* All members of all tables at all thresholds, sorted by point, group, scale and seed, ascending;
 * scales that differ by rounding are merged. *rows is owned by the caller. ESC_BAD_INPUT, with the
 * member in the message, if a member occurs twice. */
esc_status esc_fit_rows(int tables, const esc_results *const *table, const esc_fit_points *points,
                        esc_fit_row **rows, size_t *count);

/* End of the group that starts at `first`. */
size_t esc_fit_group_end(size_t n, const esc_fit_row *rows, size_t first);

/* Fills delay_negative and signal_correlation from the rows of one group. */
void esc_fit_signs(size_t n, const esc_fit_row *rows, esc_fit_group *g);

#endif
