/* SPDX-License-Identifier: Apache-2.0 */
/* h = sigma(z), elementwise. The derivative and kappa(z) are made from z again in
 * the backward pass (delta.cu): arithmetic is cheaper there than two more arrays. */
#include "device.cuh"

static const unsigned threads = 256;

template <int kind>
__global__ void esc_activate_kernel(esc_device_problem p, size_t count, const float *z, float *h) {
  const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) h[i] = esc_evaluate<kind>(p, z[i]).value;
}

cudaError_t esc_launch_activate(const esc_device_problem *p, const esc_chunk *chunk, int l,
                                cudaStream_t stream) {
  const size_t count = esc_layer_floats(*p, *chunk), at = (size_t)l * count;
  cudaError_t error = cudaSuccess;
#define LAUNCH(kind)                                                                            \
  error = ESC_LAUNCH(esc_activate_kernel<kind>, esc_blocks(count, threads), threads, 0, stream, \
                     *p, count, chunk->z + at, chunk->h + at)
  ESC_DISPATCH_ACTIVATION(p->activation, LAUNCH)
#undef LAUNCH
  return error;
}
