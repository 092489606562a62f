/* SPDX-License-Identifier: Apache-2.0 */
/* Checks a tree against the schema and completes it. */
#ifndef ESC_SPEC_VALIDATE_H
#define ESC_SPEC_VALIDATE_H

#include "spec/yaml_tree.h"

/* Checks every key and value on its own, and puts the defaults in. From then on
 * each scalar holds what it was found to be: integer, number (also of an
 * integer; 0 for a word), or the word's index. What concerns several keys at
 * once is checked by those who read them. */
esc_status esc_node_validate(esc_node *root);

/* The node of a dotted path without lists, or NULL. */
esc_node *esc_node_find(const esc_node *root, const char *path);

#endif
