/* SPDX-License-Identifier: Apache-2.0 */
/* The axes of a grid; private to grid.c and grid_text.c. */
#ifndef ESC_SPEC_GRID_AXES_H
#define ESC_SPEC_GRID_AXES_H

#include "spec/grid.h"
#include "spec/schema.h"

typedef struct esc_grid_axis {
  const esc_key *row;
  esc_node *values; /* a list; owned */
  bool zipped;
} esc_grid_axis;

struct esc_grid_axes {
  int count, points, zipped; /* axes; points; entries of the zip (1: none) */
  esc_grid_axis *axis;       /* (count) those of the grid first; owned */
};

#endif
