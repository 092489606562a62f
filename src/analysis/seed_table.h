/* SPDX-License-Identifier: Apache-2.0 */
/* The members of one fit group, by seed and by point; private to src/analysis.
 *
 * A sparse table: memory is in proportion to the members, also where every seed has a different
 * scale. */
#ifndef ESC_ANALYSIS_SEED_TABLE_H
#define ESC_ANALYSIS_SEED_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/internal/status.h"
#include "rows.h"

typedef struct esc_cell {
  int point;
  int64_t seed;  /* index, 0..seeds-1 */
  double step;   /* escape step, or steps run where censored */
  double budget; /* the member's budget of steps; infinite where it is unknown */
  bool censored;
  bool running; /* censored because the run is unfinished */
} esc_cell;

typedef struct esc_seed_table {
  int points;
  int64_t seeds, cells;
  double *scale, *log_scale; /* (points), ascending */
  int64_t *waiting;          /* (points) members of an unfinished run of which nothing is known */
  esc_cell *cell;            /* (cells), by seed, then by point */
  int64_t *seed_begin;       /* (seeds+1): seed s has cells seed_begin[s]..seed_begin[s+1]-1 */
  int64_t *column;           /* (cells): indices of cells by point, then by seed */
  int64_t *point_begin;      /* (points+1): the same for the points, into `column` */
} esc_seed_table;

/* Makes the table of the n rows of one group, in the order of esc_fit_rows. Members that
 * diverged or have not started are left out. Free with esc_seed_table_free, also after a failure.
 */
esc_status esc_seed_table_create(size_t n, const esc_fit_row *rows, esc_seed_table *table);
void esc_seed_table_free(esc_seed_table *table);

/* Log of a step, where step 0 counts as half a step; NaN stays NaN. */
double esc_log_step(double step);

#endif
