/* SPDX-License-Identifier: Apache-2.0 */
/* Path `fused` by fused multiply-adds, every sum in the order of order.h: fused.h. */
#include "fused_kernel.cuh"

esc_fused_memory esc_fused_memory_make(esc_shape shape, int batch) {
  return esc_fused_count_memory(shape, batch, esc_fused_padded_width(shape.width),
                                esc_gradient_slices(shape.width));
}

cudaError_t esc_launch_fused(const esc_device_problem *p, const esc_track_rules *rules,
                             const esc_chunk *chunk, int64_t steps, cudaStream_t stream) {
  const esc_fused_arguments args = {*p, *rules, *chunk, steps};
  switch (esc_fused_padded_width(p->width)) {
    case 8: return esc_fused_launch_width<esc_fused_fma_products<8>>(args, stream);
    case 12: return esc_fused_launch_width<esc_fused_fma_products<12>>(args, stream);
    default: return esc_fused_launch<esc_fused_fma_products>(args, stream);
  }
}
