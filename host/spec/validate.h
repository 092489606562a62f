/* SPDX-License-Identifier: Apache-2.0 */
/* Validates a tree against the schema and adds the defaults. */
#ifndef ESC_SPEC_VALIDATE_H
#define ESC_SPEC_VALIDATE_H

#include "spec/yaml_tree.h"

/* Validates every key and value separately, and adds the defaults. Afterwards each scalar holds its
 * parsed value: integer, number (also for an integer; 0 for a choice), or index of the choice.
 * Constraints between keys are checked where the keys are read. */
esc_status esc_node_validate(esc_node *root);

/* The node of a dotted path without lists, or NULL. */
esc_node *esc_node_find(const esc_node *root, const char *path);

#endif
