/* SPDX-License-Identifier: Apache-2.0 */
/* Path `fused` by fused multiply-adds, every sum in the order of order.h: fused.h. */
#include "fused_kernel.cuh"

size_t esc_fused_shared_bytes(esc_shape shape) {
  return esc_fused_block_bytes(shape.layers, shape.width, shape.inputs);
}

bool esc_fused_fits(esc_shape shape, int batch, size_t limit) {
  return shape.width <= ESC_FUSED_WIDTH_MAX && batch <= ESC_ACCUMULATION_BLOCK &&
         esc_fused_shared_bytes(shape) <= limit;
}

size_t esc_fused_tile_z_floats(esc_shape shape) {
  return (size_t)(shape.layers - 1) * (size_t)esc_fused_padded_width(shape.width) * ESC_TILE;
}

size_t esc_fused_partial_floats(esc_shape shape, int batch) {
  return esc_fused_count_partials(shape, batch, esc_gradient_slices(shape.width));
}

cudaError_t esc_launch_fused(const esc_device_problem *p, const esc_track_rules *rules,
                             const esc_chunk *chunk, int64_t steps, cudaStream_t stream) {
  return esc_fused_launch<esc_fused_fma_products>({*p, *rules, *chunk, steps}, stream);
}
