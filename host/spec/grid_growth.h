/* SPDX-License-Identifier: Apache-2.0 */
/* Growth of a grid: points, and seeds, scales and groups of every point. */
#ifndef ESC_SPEC_GRID_GROWTH_H
#define ESC_SPEC_GRID_GROWTH_H

#include "spec/spec.h"

/* Points of a spec by their identity (point_id.h). */
typedef struct esc_point_index {
  int points;
  uint64_t *id;   /* (points), ascending; owned */
  int *point;     /* (points) index of the point in the spec; owned */
  esc_spec *spec; /* owned; NULL: the caller's */
} esc_point_index;

esc_status esc_point_index_create(const esc_spec *spec, esc_point_index *out);

/* The same for the text of a spec, in the file `path`. */
esc_status esc_point_index_parse(const char *path, const char *text, esc_point_index *out);
void esc_point_index_free(esc_point_index *index);

/* The point with this identity, -1: none. */
int esc_point_index_find(const esc_point_index *index, uint64_t id);

/* ESC_OK if every network of the spec `before` in the file `path`, with a grid or without, is one
 * of `now`. Else ESC_BAD_INPUT as esc_spec_check_growth. */
esc_status esc_grid_check_growth(const char *path, const char *before, const esc_spec *now);

#endif
