/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the points of a grid: OUT.h5.point-ID and what belongs to each, which are those of a
 * sweep without a grid. */
#ifndef ESC_POINTS_H
#define ESC_POINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/internal/status.h"
#include "spec/spec.h"

enum { ESC_POINT_PATH_SIZE = 4300 };

/* The result file of the point with this resolved spec. */
void esc_point_print_path(const char *output, const char *resolved, char path[ESC_POINT_PATH_SIZE]);

/* Shard of a point that has the members of `shard` of the whole sweep; `first`: the point's first
 * member in the sweep. */
int64_t esc_point_shard(int64_t shard, int64_t shards, int64_t first);

/* *begun: whether any file of a point is beside the output. */
esc_status esc_points_find(const char *output, bool *begun);

/* ESC_BAD_INPUT if a file beside the output is of a point that the spec does not have. */
esc_status esc_points_check(const char *output, const esc_spec *spec);

/* Deletes the files of all points beside the output. */
esc_status esc_points_remove(const char *output);

#endif
