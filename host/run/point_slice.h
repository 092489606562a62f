/* SPDX-License-Identifier: Apache-2.0 */
/* The members that an earlier result, with a grid or without, has of a point. */
#ifndef ESC_POINT_SLICE_H
#define ESC_POINT_SLICE_H

#include "escapement/internal/results.h"
#include "spec/grid_growth.h"

/* An earlier result and its points. */
typedef struct esc_point_source {
  const char *path;
  const esc_results *results; /* NULL: none */
  esc_point_index index;      /* owned */
} esc_point_source;

/* `results` (NULL: a source without points) of the file `path`. */
esc_status esc_point_source_create(const char *path, const esc_results *results,
                                   esc_point_source *out);
void esc_point_source_free(esc_point_source *source);

/* The members of the point with this spec and its resolved text, as a result of that spec: *out,
 * owned by the caller; NULL without such members. */
esc_status esc_point_slice_create(const esc_point_source *source, const esc_spec *point,
                                  const char *resolved, esc_results **out);

/* ESC_BAD_INPUT unless the slice (NULL: none) of the file `path` has this precision. */
esc_status esc_point_slice_check(const char *path, const esc_results *slice, const char *precision);

#endif
