/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep's groups: which layers are small, and how small. */
#ifndef ESC_SPEC_GROUPS_H
#define ESC_SPEC_GROUPS_H

#include "spec/spec.h"
#include "spec/yaml_tree.h"

/* All scales together are few enough that the resolved spec, which writes each
 * one out, is itself a spec that can be read. */
enum { ESC_GROUPS_MAX = 256, ESC_GROUP_SCALES_MAX = 10000, ESC_SCALES_MAX = 30000 };

/* Fills the groups of `spec`, whose shape and seeds are there already, from the
 * checked `root`, and refuses networks that would be trained twice. */
esc_status esc_groups_read(const esc_node *root, esc_spec *spec);

#endif
