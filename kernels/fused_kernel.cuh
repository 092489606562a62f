/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of path `fused` and its launch. Products<N>, esc_fused_fma_products or
 * esc_fused_3xtf32_products, has the matrix products of width N. */
#ifndef ESC_FUSED_KERNEL_CUH
#define ESC_FUSED_KERNEL_CUH

#include "fused_step.cuh"

/* Trains one network a block for up to `steps` steps, with all equations of the path `cublas`
 * (docs/theory, sections 0.1 to 0.6, 1.4 and 1.5).
 *
 * Here n is the network's width, N the padded one (fused_block.cuh), D = N ceil(d / N).
 *
 *    grid     (slots)
 *    block    max(4 N, 64)
 *    shared   8 (N + 2 L + 18) + 4 ((D + (L - 2) N) (N + 4) + N + 68 (D + (L + 1) N) + 128 +
 *             2 (L - 1) N + 4) bytes: esc_fused_block_bytes
 *    bytes    a launch: 4 P read, 4 P written (w); 4 K d (v) for all networks together, unless
 *             v_k = e_k. A step: with compensation 4 P read, 4 P written; partial sums of gradients
 *             between tiles 4 (T - 1) (D + (L - 2) N) N S read and as many written, with S =
 *             P::slices for fused multiply-adds, 1 for 3xTF32; z 256 T (L - 1) N written and as
 *             many read, in 256 (L - 1) N bytes of memory
 *    work     matrix products of a step: the network needs B (2 P + (L - 2) n^2 + n) FMA. Padding
 *             replaces B by 64 T, outputs n by N and, in the first layer's gradient, d by D:
 *               fused multiply-adds  64 T N (d + D + (L - 2) (2 n + N) + 2) FMA
 *               3xTF32               (3 / 16) T N (16 ceil(d / 16) + D + 3 (L - 2) N)
 *                                    mma.m16n8k8 of a warp, and 128 T N FMA for the output layer
 *             Elementwise: 64 T (L - 1) N evaluations of sigma, and as many of sigma' and kappa,
 *             from h for tanh, with sigma again for other activations. Teacher: 64 T K evaluations
 *             of sigma, and 64 T K d FMA unless v_k = e_k
 *    order.h  all rows; with 3xTF32 another fixed order in the products of hidden layers and in the
 *             ledger's sums over samples */
template <class P, int kind>
__global__ void __launch_bounds__(P::threads, P::resident_blocks)
    esc_fused_kernel(const __grid_constant__ esc_fused_arguments args) {
  ESC_SHARED_MEMORY(double, s_memory);
  const esc_track *g_track = &args.chunk.track[blockIdx.x];
  if (!esc_track_is_active(g_track)) return;
  const esc_fused_block b = esc_fused_block_make<P::width>(s_memory, args.problem.layers,
                                                           esc_fused_inputs<P>(args.problem));
  esc_fused_thread<P> t = esc_fused_prologue<P>(args, b);
  for (int64_t s = 0; s < args.steps && esc_track_is_active(g_track); s++)
    if (!esc_fused_step<P, kind>(args, b, &t)) break;
  esc_fused_epilogue(args, b, t);
}

template <class P, int kind>
static cudaError_t esc_fused_launch_kind(const esc_fused_arguments &args, cudaStream_t stream) {
  const size_t shared = esc_fused_block_bytes(args.problem.layers, P::width, args.problem.inputs);
  const cudaError_t error =
      cudaFuncSetAttribute((const void *)esc_fused_kernel<P, kind>,
                           cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
  if (error != cudaSuccess) return error;
  return ESC_LAUNCH((esc_fused_kernel<P, kind>), (unsigned)args.chunk.slots, P::threads, shared,
                    stream, args);
}

/* Four kernels for each width: one in which tanh is inlined, the same for networks without padding,
 * one that calls any other activation, P::vector values at a time, and one with an optimizer other
 * than plain gradient descent, because an instantiation of each would multiply compilation time and
 * the size of the program. */
template <class P>
static cudaError_t esc_fused_launch_width(const esc_fused_arguments &args, cudaStream_t stream) {
  if (args.problem.optimizer.optimized)
    return esc_fused_launch_kind<esc_fused_optimized<P>, ESC_ANY_ACTIVATION>(args, stream);
  if (args.problem.activation == ESC_ACTIVATION_TANH && esc_fused_is_unpadded<P>(args.problem))
    return esc_fused_launch_kind<esc_fused_unpadded<P>, ESC_ACTIVATION_TANH>(args, stream);
  if (args.problem.activation == ESC_ACTIVATION_TANH)
    return esc_fused_launch_kind<P, ESC_ACTIVATION_TANH>(args, stream);
  return esc_fused_launch_kind<P, ESC_ANY_ACTIVATION>(args, stream);
}

/* The widths that both variants have. */
template <template <int> class Products>
static cudaError_t esc_fused_launch(const esc_fused_arguments &args, cudaStream_t stream) {
  switch (esc_fused_3xtf32_padded_width(args.problem.width)) {
    case 16: return esc_fused_launch_width<Products<16>>(args, stream);
    case 32: return esc_fused_launch_width<Products<32>>(args, stream);
    case 48: return esc_fused_launch_width<Products<48>>(args, stream);
    case 64: return esc_fused_launch_width<Products<64>>(args, stream);
    default: return cudaErrorInvalidValue;
  }
}

/* Memory of one network with padded width n and `sums` partial sums a weight. The gradient of a
 * matrix is computed with its padding. */
static inline esc_fused_memory esc_fused_count_memory(esc_shape shape, int batch, int n, int sums) {
  const size_t matrices = (size_t)(esc_fused_panels(shape.inputs, n) + shape.layers - 2);
  const esc_fused_memory memory = {
      esc_fused_block_bytes(shape.layers, n, shape.inputs),
      (size_t)(shape.layers - 1) * (size_t)n * ESC_TILE,
      batch <= ESC_TILE ? 0 : matrices * (size_t)n * (size_t)n * (size_t)sums};
  return memory;
}

#endif
