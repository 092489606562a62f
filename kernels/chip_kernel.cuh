/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of path `chip` and its launch. Products is a template of chip_product.cuh or
 * chip_tensor.cuh: how the matrix products of one width are made. */
#ifndef ESC_CHIP_KERNEL_CUH
#define ESC_CHIP_KERNEL_CUH

#include "chip_step.cuh"

/* Grid (slot); a block of P::threads; shared memory: esc_chip_bytes. */
template <class P, int kind>
__global__ void __launch_bounds__(P::threads, P::resident_blocks)
    esc_chip_kernel(const __grid_constant__ esc_chip_run r) {
  ESC_SHARED_MEMORY(double, s_memory);
  const esc_track *g_track = &r.lot.track[blockIdx.x];
  if (g_track->finished) return;
  const esc_chip_block b = esc_chip_layout<P::width>(s_memory, r.problem.layers);
  esc_chip_thread<P> t = esc_chip_prologue<P>(r, b);
  for (int64_t s = 0; s < r.steps && !g_track->finished; s++)
    if (!esc_chip_step<P, kind>(r, b, &t)) break;
  esc_chip_epilogue(r, b, t);
}

template <class P, int kind>
static cudaError_t esc_chip_launch_kind(const esc_chip_run &r, cudaStream_t stream) {
  const size_t shared = esc_chip_bytes(r.problem.layers, P::width);
  const cudaError_t error =
      cudaFuncSetAttribute((const void *)esc_chip_kernel<P, kind>,
                           cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
  if (error != cudaSuccess) return error;
  return ESC_LAUNCH((esc_chip_kernel<P, kind>), (unsigned)r.lot.slots, P::threads, shared, stream,
                    r);
}

template <class P>
static cudaError_t esc_chip_launch_width(const esc_chip_run &r, cudaStream_t stream) {
  if (r.problem.activation == ESC_ACTIVATION_TANH)
    return esc_chip_launch_kind<P, ESC_ACTIVATION_TANH>(r, stream);
  return esc_chip_launch_kind<P, ESC_ANY_ACTIVATION>(r, stream);
}

template <template <int> class Products>
static cudaError_t esc_chip_launch(const esc_chip_run &r, cudaStream_t stream) {
  switch (r.problem.width) {
    case 16: return esc_chip_launch_width<Products<16>>(r, stream);
    case 32: return esc_chip_launch_width<Products<32>>(r, stream);
    case 48: return esc_chip_launch_width<Products<48>>(r, stream);
    case 64: return esc_chip_launch_width<Products<64>>(r, stream);
    default: return cudaErrorInvalidValue;
  }
}

/* Floats of one network's gradient sums between tiles, where each weight has `sums` of them. */
static inline size_t esc_chip_sums(int layers, int width, int batch, int sums) {
  const size_t weights = (size_t)(layers - 1) * (size_t)width * (size_t)width;
  return batch <= ESC_TILE ? 0 : weights * (size_t)sums;
}

#endif
