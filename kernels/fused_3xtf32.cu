/* SPDX-License-Identifier: Apache-2.0 */
/* Path `fused` with matrix products on the tensor cores, in 3xTF32: fused.h. */
#include "fused_kernel.cuh"
#include "fused_tensor.cuh"

size_t esc_fused_3xtf32_partial_floats(esc_shape shape, int batch) {
  return esc_fused_count_partials(shape, batch, 1);
}

cudaError_t esc_launch_fused_3xtf32(const esc_device_problem *p, const esc_track_rules *rules,
                                    const esc_chunk *chunk, int64_t steps, cudaStream_t stream) {
  return esc_fused_launch<esc_fused_3xtf32_products>({*p, *rules, *chunk, steps}, stream);
}
