/* SPDX-License-Identifier: Apache-2.0 */
/* Path `chip` with products on the tensor cores, in 3xTF32: chip.h. */
#include "chip_kernel.cuh"
#include "chip_tensor.cuh"

size_t esc_chip_tf32x3_scratch(int layers, int width, int batch) {
  return esc_chip_sums(layers, width, batch, 1);
}

cudaError_t esc_launch_chip_tf32x3(const esc_device_problem *p, const esc_track_rules *rules,
                                   const esc_lot *lot, int64_t steps, cudaStream_t stream) {
  return esc_chip_launch<esc_chip_tf32x3>({*p, *rules, *lot, steps}, stream);
}
