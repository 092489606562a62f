/* SPDX-License-Identifier: Apache-2.0 */
/* Path `fused` with matrix products on the tensor cores, in 3xTF32: fused.h. */
#include "fused_kernel.cuh"
#include "fused_tensor.cuh"

esc_fused_memory esc_fused_3xtf32_memory_make(esc_shape shape, int batch) {
  return esc_fused_count_memory(shape, batch, esc_fused_3xtf32_padded_width(shape.width), 1);
}

cudaError_t esc_launch_fused_3xtf32(const esc_device_problem *p, const esc_track_rules *rules,
                                    const esc_chunk *chunk, int64_t steps, cudaStream_t stream) {
  return esc_fused_launch<esc_fused_3xtf32_products>({*p, *rules, *chunk, steps}, stream);
}
