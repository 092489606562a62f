/* SPDX-License-Identifier: Apache-2.0 */
/* Copies members between results with different numbers of layers and different snapshots. Values
 * that the source lacks are NaN in the destination; values that the destination has no index for
 * are left out. */
#ifndef ESCAPEMENT_INTERNAL_RESULTS_COPY_H
#define ESCAPEMENT_INTERNAL_RESULTS_COPY_H

#include "escapement/internal/results.h"

/* All variables of row `from_row` to row `to_row`. Both have the same thresholds. */
void esc_results_copy_row(const esc_results *from, int64_t from_row, esc_results *to,
                          int64_t to_row);

/* The snapshots of the row at steps that both have, and those at the end of training. */
void esc_results_copy_snapshots(const esc_results *from, int64_t from_row, esc_results *to,
                                int64_t to_row);

/* Adds snapshots to `to` at all steps of the `count` results, ascending; none if no result has
 * snapshots. */
esc_status esc_results_add_union(int count, const esc_results *const *from, esc_results *to);

/* The members of one point of `from` (of a result without a grid: all), with `layers` layers, as a
 * result without a grid and without attributes: *out, owned by the caller. */
esc_status esc_results_extract_point(const esc_results *from, int point, int layers,
                                     esc_results **out);

#endif
