/* SPDX-License-Identifier: Apache-2.0 */
/* key=value arguments that replace values of the spec's file. */
#ifndef ESC_SPEC_OVERRIDE_H
#define ESC_SPEC_OVERRIDE_H

#include "spec/yaml_tree.h"

/* Source of an overriding value; nodes borrow it, so it must outlive the tree. */
typedef struct esc_argument {
  char label[32], key[64];
  esc_source source;
} esc_argument;

/* Puts the value of `override` ("train.batch=128"), the `number`-th from 1, into
 * the tree. The value is read as YAML. An element of a list is named by its index from 0
 * ("sweep.groups[0].scales[1]=0.05"); it must exist. Unknown keys and whole sections are refused.
 * Fills *argument. */
esc_status esc_override_apply(esc_node *root, int number, const char *override,
                              esc_argument *argument);

#endif
