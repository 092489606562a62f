/* SPDX-License-Identifier: Apache-2.0 */
/* {from, to, count}: values of a swept key, spaced logarithmically. */
#ifndef ESC_SPEC_GRID_RANGE_H
#define ESC_SPEC_GRID_RANGE_H

#include "spec/schema.h"
#include "spec/yaml_tree.h"

/* The list of values, *out owned by the caller; whole numbers, rounded, for an integer key. */
esc_status esc_grid_range_read(const esc_node *mapping, const esc_key *row, esc_node **out);

#endif
