/* SPDX-License-Identifier: Apache-2.0 */
/* Points of the grids of several results, numbered together: points with the same values of the
 * same keys are one. Private to src/analysis. */
#ifndef ESC_ANALYSIS_POINTS_H
#define ESC_ANALYSIS_POINTS_H

#include "escapement/internal/results.h"

typedef struct esc_fit_points {
  int count;
  const esc_grid **grid; /* (count) a grid that has the point, NULL: a result without a grid */
  int *point;            /* (count) its index there */
  int *first;            /* (tables + 1) offset of each table in `number` */
  int *number;           /* (first[tables]) number of each point of each table */
} esc_fit_points;

/* The results must outlive it. Free with esc_fit_points_free, also after a failure. */
esc_status esc_fit_points_create(int tables, const esc_results *const *table, esc_fit_points *out);
void esc_fit_points_free(esc_fit_points *points);

/* Number of the point of member i of a table. */
int esc_fit_points_of_member(const esc_fit_points *points, int table, const esc_results *results,
                             int64_t i);

#endif
