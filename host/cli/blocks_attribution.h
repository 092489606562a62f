/* SPDX-License-Identifier: Apache-2.0 */
/* The attribution of escape times between closure levels, as `blocks --attribution` tells it. */
#ifndef ESC_BLOCKS_ATTRIBUTION_H
#define ESC_BLOCKS_ATTRIBUTION_H

#include <jansson.h>

#include "escapement/blocks.h"

/* esc_attribution_compute with progress and an estimate of the time left on stderr: one line kept
 * up to date on a terminal, elsewhere a line after the first two points and then every 10 s. */
esc_status esc_blocks_attribute(const esc_homotopy *homotopy, bool quiet, esc_attribution *out);

json_t *esc_blocks_attribution_json(const esc_homotopy *homotopy, const esc_attribution *a);
void esc_blocks_attribution_print(const esc_homotopy *homotopy, const esc_attribution *a);

#endif
