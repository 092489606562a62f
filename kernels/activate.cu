/* SPDX-License-Identifier: Apache-2.0 */
/* h_l = sigma(z_l), elementwise (docs/theory, section 0.1). delta.cu evaluates sigma' and kappa
 * from z again, because arithmetic takes less time than the traffic of two more arrays. Networks
 * that have finished are included, because nothing reads their h.
 *
 *    grid     (ceil(slots B N / 256))
 *    block    256
 *    shared   none
 *    bytes    4 B N read, 4 B N written
 *    work     B N evaluations of sigma
 *    order.h  no sum */
#include "device.cuh"

static const unsigned threads = 256;

template <int kind>
__global__ void esc_activate_kernel(esc_device_problem p, size_t count, const float *g_z,
                                    float *g_h) {
  const size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) g_h[i] = esc_evaluate<kind>(p, g_z[i]).value;
}

cudaError_t esc_launch_activate(const esc_device_problem *p, const esc_chunk *chunk, int l,
                                cudaStream_t stream) {
  const size_t count = esc_layer_floats(*p, *chunk), offset = (size_t)l * count;
  cudaError_t error = cudaSuccess;
#define LAUNCH(kind)                                                                         \
  error = ESC_LAUNCH(esc_activate_kernel<kind>, esc_block_count(count, threads), threads, 0, \
                     stream, *p, count, chunk->z + offset, chunk->h + offset)
  ESC_DISPATCH_ACTIVATION(p->activation, LAUNCH)
#undef LAUNCH
  return error;
}
