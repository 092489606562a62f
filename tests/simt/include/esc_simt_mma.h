/* SPDX-License-Identifier: Apache-2.0 */
/* The tensor core's product that kernels/mma.cuh uses. */
#ifndef ESC_SIMT_MMA_H
#define ESC_SIMT_MMA_H

#include "esc_simt_device.h"

namespace esc_simt {

/* Elements of a product held by one lane, as defined in kernels/mma.cuh. */
struct Fragment {
  float a[4], b[2], c[4];
};

/* c += a b by the whole warp. The process ends if an entry of a or b has more than 11
 * bits: a device would cut them off, or not. */
inline void mma_m16n8k8_tf32(const float a[4], const float b[2], float c[4],
                             Site site = Site::here()) {
  Fragment own;
  std::memcpy(own.a, a, sizeof own.a);
  std::memcpy(own.b, b, sizeof own.b);
  std::memcpy(own.c, c, sizeof own.c);
  synchronize(
      {Sync::product, "mma.m16n8k8", site, 0xffffffffu, 0, reinterpret_cast<uintptr_t>(&own)});
  std::memcpy(c, own.c, sizeof own.c);
}

} /* namespace esc_simt */
#endif
