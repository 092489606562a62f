/* SPDX-License-Identifier: Apache-2.0 */
/* Path `fused` by fused multiply-adds, every sum in the order of order.h: fused.h. */
#include "fused_kernel.cuh"

size_t esc_fused_shared_bytes(int layers, int width) {
  return esc_fused_block_bytes(layers, width);
}

bool esc_fused_fits(int layers, int width, int inputs, int batch, size_t limit) {
  const bool wide = width == 16 || width == 32 || width == 48 || width == 64;
  return wide && inputs <= width && batch <= ESC_ACCUMULATION_BLOCK &&
         esc_fused_block_bytes(layers, width) <= limit;
}

size_t esc_fused_partial_floats(int layers, int width, int batch) {
  return esc_fused_count_partials(layers, width, batch, esc_gradient_slices(width));
}

cudaError_t esc_launch_fused(const esc_device_problem *p, const esc_track_rules *rules,
                             const esc_chunk *chunk, int64_t steps, cudaStream_t stream) {
  return esc_fused_launch<esc_fused_fma_products>({*p, *rules, *chunk, steps}, stream);
}
