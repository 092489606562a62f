/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.grid and sweep.zip in the tree of a spec.
 *
 * Every combination of the values of the grid's keys with an entry of the zip is a point. A point
 * is the spec without the grid, with these values in place of those of the file. The order of
 * points is that of a nested loop: the first key of the grid is the outermost, the zip the
 * innermost. */
#ifndef ESC_SPEC_GRID_H
#define ESC_SPEC_GRID_H

#include "escapement/internal/grid.h"
#include "spec/spec.h"
#include "spec/yaml_tree.h"

enum { ESC_GRID_POINTS_MAX = 4096 };

typedef struct esc_grid_axes esc_grid_axes;

/* Removes sweep.grid and sweep.zip from the tree, and checks their keys and lengths; the values are
 * checked with the points. *out: NULL without both; owned by the caller. */
esc_status esc_grid_axes_read(esc_node *root, esc_grid_axes **out);
void esc_grid_axes_free(esc_grid_axes *axes);

/* Number of points. */
int esc_grid_axes_count(const esc_grid_axes *axes);

/* Copy of the tree `base` with the values of point `point`: *out, owned by the caller. */
esc_status esc_grid_axes_apply(const esc_grid_axes *axes, int point, const esc_node *base,
                               esc_node **out);

/* Keys and values of all points, *out owned by the caller. `tree` (points): the validated trees. */
esc_status esc_grid_axes_list(const esc_grid_axes *axes, const esc_node *const *tree,
                              esc_grid **out);

/* Text of the whole spec with its grid, which parses to the same points in the same order: keys
 * with one value at all points with that value, other keys that are not swept as in `base` (left
 * out where they depend on swept ones). `resolved` (points): their resolved texts. NULL: out of
 * memory. */
char *esc_grid_print_spec(const esc_grid_axes *axes, const esc_node *base,
                          const char *const *resolved);

#endif
