/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep's groups: small layers and their scales. */
#ifndef ESC_SPEC_GROUPS_H
#define ESC_SPEC_GROUPS_H

#include "spec/spec.h"
#include "spec/yaml_tree.h"

/* Limits that keep the resolved spec, which lists every scale, below the size limit of specs. */
enum { ESC_GROUPS_MAX = 256, ESC_GROUP_SCALES_MAX = 10000, ESC_SCALES_MAX = 30000 };

/* Fills the groups of `spec`, whose shape and seeds are already set, from the validated `root`.
 * Refuses duplicate networks. */
esc_status esc_groups_read(const esc_node *root, esc_spec *spec);

/* `count` numbers spaced evenly in log, both ends exact. */
void esc_log_spacing_fill(double from, double to, int count, double *scale);

#endif
