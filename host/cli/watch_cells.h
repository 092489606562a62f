/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a run by scale: their states and escape steps so far, as a table and as a text plot.
 */
#ifndef ESC_WATCH_CELLS_H
#define ESC_WATCH_CELLS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "escapement/internal/results.h"

/* One scale of one group. */
typedef struct esc_watch_cell {
  int bottleneck;
  int64_t small_layers;
  double scale;
  int64_t members, state[5]; /* by status, with ESC_MEMBER_RUNNING and _WAITING */
  double steps;              /* sum of the escape steps at the threshold */
  int64_t crossed;           /* members with such a step */
} esc_watch_cell;

typedef struct esc_watch_cells {
  int cells;
  esc_watch_cell *cell; /* ascending bottleneck, layers and scale; owned */
  double threshold;     /* the lowest of the run */
} esc_watch_cells;

esc_status esc_watch_cells_create(const esc_results *results, esc_watch_cells *out);
void esc_watch_cells_free(esc_watch_cells *cells);

/* Members of the cell without an escape step so far, in training or waiting. */
int64_t esc_watch_cell_unknown(const esc_watch_cell *cell);

/* At most `lines` rows (0: all), with a head. active: "running" are in training, else saved. */
void esc_watch_print_table(FILE *out, const esc_watch_cells *cells, int lines, bool active);

/* Mean escape step against epsilon, both logarithmic, `lines` lines (8 or more) of `columns`.
 * Prints nothing without an escape. */
void esc_watch_print_plot(FILE *out, const esc_watch_cells *cells, int lines, int columns);

#endif
