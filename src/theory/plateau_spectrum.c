/* SPDX-License-Identifier: Apache-2.0 */
/* The plateau's Jacobian in (theta, omega) at the start and at half the first escape time, and
 * Duhamel's form of each of these coordinates (docs/theory, sections 6.7 and 6.9). */
#include <math.h>

#include "escapement/blocks.h"
#include "escapement/internal/spectrum.h"

static double first_escape(const esc_block_problem *p, const esc_block_times *times) {
  double first = INFINITY;
  for (int k = 0; k < p->modes; k++) first = fmin(first, times->escape[k]); /* passes NaN over */
  return first;
}

static esc_status compute(const esc_block_problem *p, double first, esc_plateau_spectrum *out) {
  esc_status status = ESC_OK;
  int coordinate[2 * ESC_BLOCK_PAIRS_MAX];
  double state[2][ESC_BLOCK_SIZE_MAX];
  esc_block_grid grid = {0};
  *out = (esc_plateau_spectrum){.modes = p->modes, .time = {0, first / 2}};
  ESC_TRY(esc_block_pairs(p, &out->pairs, coordinate));
  ESC_TRY(esc_block_grid_create(p, 1, &grid));
  esc_block_initial_state(p, state[0]);
  ESC_TRY(esc_block_trajectory(p, &grid, 1, &out->time[1], state[1]));
  for (int i = 0; i < 2; i++) ESC_TRY(esc_block_spectrum(p, &grid, state[i], &out->schur[i]));
  ESC_TRY(esc_block_duhamel(p, &grid,
                            &(esc_duhamel_request){2 * out->pairs, coordinate, first, 0, NULL},
                            out->duhamel, NULL));
done:
  esc_block_grid_free(&grid);
  return status;
}

esc_status esc_plateau_spectrum_find(const esc_block_problem *problem, const esc_block_times *times,
                                     esc_plateau_spectrum *out) {
  const double first = first_escape(problem, times);
  if (problem->level == ESC_BLOCK_DIAGONAL || problem->modes < 2)
    return ESC_FAIL(ESC_BAD_INPUT, "spectrum: needs two modes or more, at level 1 or 2");
  if (!isfinite(first)) return ESC_FAIL(ESC_BAD_INPUT, "spectrum: no mode escapes");
  return compute(problem, first, out);
}

void esc_plateau_spectrum_modes(const esc_plateau_spectrum *s, int i, int mode[2]) {
  const int row = i % s->pairs / (s->modes - 1), column = i % s->pairs % (s->modes - 1);
  mode[0] = row;
  mode[1] = column + (column >= row);
}
