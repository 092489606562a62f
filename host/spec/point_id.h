/* SPDX-License-Identifier: Apache-2.0 */
/* Identity of a point of a grid: a hash of all that its networks depend on, other than their seeds,
 * layers and scales. It does not depend on the grid, so that a point has one name while the grid,
 * the seeds and the groups grow. */
#ifndef ESC_SPEC_POINT_ID_H
#define ESC_SPEC_POINT_ID_H

#include <stdint.h>

/* XXH3-64 of the lines of a resolved spec, without those that --resume may change. */
uint64_t esc_point_id(const char *resolved);

#endif
