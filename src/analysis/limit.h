/* SPDX-License-Identifier: Apache-2.0 */
/* The slope extrapolated to epsilon = 0; private to src/analysis. */
#ifndef ESC_ANALYSIS_LIMIT_H
#define ESC_ANALYSIS_LIMIT_H

#include "escapement/internal/fit.h"
#include "seed_table.h"

enum { ESC_ORDER_UNKNOWN = -1 };

/* The first `count` corrections of bottleneck r, smallest power first. q: order of the
 * activation's first nonlinear term (0: none, ESC_ORDER_UNKNOWN). */
void esc_limit_corrections(int r, int q, int count, esc_correction *term);

/* Fills *limit from the table of bottleneck r. */
esc_status esc_limit_fit(const esc_seed_table *table, int r, int q, esc_limit *limit);

#endif
