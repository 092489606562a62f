/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of path `fused` and its launch. Products is a template of fused_product.cuh or
 * fused_tensor.cuh: how the matrix products of one width are made. */
#ifndef ESC_FUSED_KERNEL_CUH
#define ESC_FUSED_KERNEL_CUH

#include "fused_step.cuh"

/* Grid (slot); a block of P::threads; shared memory: esc_fused_bytes. */
template <class P, int kind>
__global__ void __launch_bounds__(P::threads, P::resident_blocks)
    esc_fused_kernel(const __grid_constant__ esc_fused_run r) {
  ESC_SHARED_MEMORY(double, s_memory);
  const esc_track *g_track = &r.chunk.track[blockIdx.x];
  if (g_track->finished) return;
  const esc_fused_block b = esc_fused_layout<P::width>(s_memory, r.problem.layers);
  esc_fused_thread<P> t = esc_fused_prologue<P>(r, b);
  for (int64_t s = 0; s < r.steps && !g_track->finished; s++)
    if (!esc_fused_step<P, kind>(r, b, &t)) break;
  esc_fused_epilogue(r, b, t);
}

template <class P, int kind>
static cudaError_t esc_fused_launch_kind(const esc_fused_run &r, cudaStream_t stream) {
  const size_t shared = esc_fused_bytes(r.problem.layers, P::width);
  const cudaError_t error =
      cudaFuncSetAttribute((const void *)esc_fused_kernel<P, kind>,
                           cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
  if (error != cudaSuccess) return error;
  return ESC_LAUNCH((esc_fused_kernel<P, kind>), (unsigned)r.chunk.slots, P::threads, shared,
                    stream, r);
}

template <class P>
static cudaError_t esc_fused_launch_width(const esc_fused_run &r, cudaStream_t stream) {
  if (r.problem.activation == ESC_ACTIVATION_TANH)
    return esc_fused_launch_kind<P, ESC_ACTIVATION_TANH>(r, stream);
  return esc_fused_launch_kind<P, ESC_ANY_ACTIVATION>(r, stream);
}

template <template <int> class Products>
static cudaError_t esc_fused_launch(const esc_fused_run &r, cudaStream_t stream) {
  switch (r.problem.width) {
    case 16: return esc_fused_launch_width<Products<16>>(r, stream);
    case 32: return esc_fused_launch_width<Products<32>>(r, stream);
    case 48: return esc_fused_launch_width<Products<48>>(r, stream);
    case 64: return esc_fused_launch_width<Products<64>>(r, stream);
    default: return cudaErrorInvalidValue;
  }
}

/* Floats of one network's gradient sums between tiles, where each weight has `sums` of them. */
static inline size_t esc_fused_sums(int layers, int width, int batch, int sums) {
  const size_t weights = (size_t)(layers - 1) * (size_t)width * (size_t)width;
  return batch <= ESC_TILE ? 0 : weights * (size_t)sums;
}

#endif
