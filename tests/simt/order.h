/* SPDX-License-Identifier: Apache-2.0 */
/* The orders that CUDA leaves open, as one setting (esc_simt_set_order). */
#ifndef ESC_SIMT_ORDER_H
#define ESC_SIMT_ORDER_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace esc_simt {

enum class Order { forward, reverse, shuffled };

Order order();

/* A number below `count`; the same sequence for the same seed. */
size_t order_random(size_t count);

/* Makes `sequence` 0 .. count-1 in the order that is set. */
void order_fill(std::vector<uint32_t> *sequence, size_t count);

/* Back to what the environment says, or forward. */
void order_reset();

} /* namespace esc_simt */
#endif
