/* SPDX-License-Identifier: Apache-2.0 */
/* Attribution of escape times between closure levels: output of `blocks --attribution`. */
#ifndef ESC_BLOCKS_ATTRIBUTION_H
#define ESC_BLOCKS_ATTRIBUTION_H

#include <jansson.h>

#include "escapement/blocks.h"

/* esc_attribution_compute with progress and an estimate of the remaining time on standard error: on
 * a terminal one line, rewritten; elsewhere a line after the first two points, then every 10 s. */
esc_status esc_blocks_attribute(const esc_homotopy *homotopy, bool quiet, esc_attribution *out);

json_t *esc_blocks_attribution_json(const esc_homotopy *homotopy, const esc_attribution *a);
void esc_blocks_attribution_print(const esc_homotopy *homotopy, const esc_attribution *a);

#endif
