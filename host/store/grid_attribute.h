/* SPDX-License-Identifier: Apache-2.0 */
/* The attribute `grid` of a result, JSON: {"keys": ["network.width", ...], "points": [[16, ...],
 * ...]}. Numbers are numbers, other values text. */
#ifndef ESC_STORE_GRID_ATTRIBUTE_H
#define ESC_STORE_GRID_ATTRIBUTE_H

#include "escapement/internal/results.h"

/* The grid as text, malloc'd. NULL: out of memory. */
char *esc_grid_attribute_print(const esc_grid *grid);

/* The grid of a text. ESC_BAD_INPUT, with the file `path`, if it is none. */
esc_status esc_grid_attribute_parse(const char *path, const char *text, esc_grid **out);

/* ESC_BAD_INPUT, with the file, if a member has a point that the grid has not. */
esc_status esc_results_check_points(const char *path, const esc_results *results);

#endif
