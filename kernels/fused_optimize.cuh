/* SPDX-License-Identifier: Apache-2.0 */
/* Momentum, weight decay and Adam on path `fused` (docs/theory, section 1.7): a stage between the
 * reduction of a matrix's gradient and its update. Instantiations for plain gradient descent do not
 * contain it.
 *
 *    bytes    a step, of each weight: 8 read and written for each of velocity and second moment
 *    order.h  |G|^2, for both sums of the ledger */
#ifndef ESC_FUSED_OPTIMIZE_CUH
#define ESC_FUSED_OPTIMIZE_CUH

#include "fused_stage.cuh"

/* The matrix products of P in a kernel with an optimizer other than plain gradient descent. */
template <class P>
struct esc_fused_optimized : P {
  enum { optimized = 1, row_sums = 3 }; /* |E|^2, <E, V>, |W|^2 */
};

/* Sums over a layer's rows of the threads' sums, in the order of |G|^2; stores the total.
 * Called by the whole block; contains a barrier. */
template <class P, int rows>
static __device__ __forceinline__ void esc_fused_reduce_rows(
    const esc_fused_block &b, const esc_fused_thread<P> &t,
    const double row_partial[esc_fused_thread_weights<P, rows>::thread_rows], double *g_total) {
  typedef esc_fused_thread_weights<P, rows> weights;
#pragma unroll
  for (int i = 0; i < weights::thread_rows; i++) {
    const double sum = esc_tree_reduce_lanes(row_partial[i]);
    if (weights::row(t, i) < rows && t.lane == 0) b.s_row_norm_sq[weights::row(t, i)] = sum;
  }
  __syncthreads();
  if (t.id < 32) {
    double partial = 0;
    for (int n = t.lane; t.group == 0 && n < rows; n += ESC_PARTIALS) partial += b.s_row_norm_sq[n];
    partial = esc_tree_reduce_lanes(partial);
    if (t.id == 0) *g_total = partial;
  }
  __syncthreads(); /* s_row_norm_sq may be overwritten */
}

/* The direction of one weight's step; `offset`: of the weight in the chunk's arrays. */
static __device__ __forceinline__ float esc_fused_optimize_weight(const esc_optimizer_rules &r,
                                                                  const esc_optimizer_step &s,
                                                                  const esc_chunk &chunk,
                                                                  size_t offset, float g, float w) {
  if (r.adam)
    return esc_optimizer_adam(&r, &s, g, w, chunk.velocity + offset, chunk.second_moment + offset);
  if (chunk.velocity) return esc_optimizer_momentum(&r, &s, g, w, chunk.velocity + offset);
  return esc_optimizer_decay(&r, &s, g, w);
}

/* Replaces the gradient in b.s_gradient of a matrix of layer l by the direction of the step, and
 * stores the layer's sums for the ledger. Each weight has the thread that updates it next. `first`:
 * offset of the matrix's first weight in the chunk's arrays. row_partial (2, thread_rows): the
 * thread's sums <E, V> and |W|^2 of each row, which continue from panel to panel of a layer.
 * Called by the whole block; contains a barrier. */
template <class P, int rows>
static __device__ __forceinline__ void esc_fused_optimize_layer(const esc_device_problem &p,
                                                                const esc_chunk &chunk,
                                                                const esc_fused_block &b,
                                                                const esc_fused_thread<P> &t,
                                                                const esc_fused_layer &layer, int l,
                                                                size_t first, double *row_partial) {
  typedef esc_fused_thread_weights<P, rows> weights;
  double *product = row_partial, *norm = row_partial + weights::thread_rows;
  const esc_optimizer_step step =
      esc_optimizer_step_make(&p.optimizer, l, chunk.track[blockIdx.x].step);
#pragma unroll
  for (int i = 0; i < weights::thread_rows; i++)
#pragma unroll
    for (int j = 0; j < weights::thread_columns; j++) {
      const int n = weights::row(t, i), k = weights::column(t, layer, j);
      if (n >= layer.rows || k >= layer.columns) continue;
      const size_t offset = first + (size_t)(n * layer.stride + k);
      const float w = layer.s_w[n * P::weight_leading + k];
      float *s_g = b.s_gradient + n * P::width + k;
      const float e = esc_fused_optimize_weight(p.optimizer, step, chunk, offset, *s_g, w);
      *s_g = e;
      if (chunk.velocity) product[i] += (double)e * (double)chunk.velocity[offset];
      norm[i] += (double)w * (double)w;
    }
  const size_t out = (size_t)blockIdx.x * (size_t)p.layers + (size_t)l;
  esc_fused_reduce_rows<P, rows>(b, t, product, chunk.velocity_product + out);
  esc_fused_reduce_rows<P, rows>(b, t, norm, chunk.weight_norm_sq + out);
}

/* Adds layer l of a step to the ledger (docs/theory, section 1.5). */
template <class P>
static __device__ __forceinline__ void esc_fused_track_layer(const esc_track_rules &rules,
                                                             const esc_chunk &chunk,
                                                             const esc_fused_block &b, int layers,
                                                             int l) {
  esc_track *g_track = &chunk.track[blockIdx.x];
  if constexpr (P::optimized) {
    const size_t row = (size_t)blockIdx.x * (size_t)layers;
    const esc_step_sums sums = {b.s_deficit, b.s_grad_norm_sq, chunk.velocity_product + row,
                                chunk.weight_norm_sq + row};
    if (rules.has_ledger) esc_track_optimized_layer(g_track, &rules, l, &sums);
  } else {
    esc_track_layer(g_track, &rules, l, b.s_deficit, b.s_grad_norm_sq);
  }
}

#endif
