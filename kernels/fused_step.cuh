/* SPDX-License-Identifier: Apache-2.0 */
/* One block trains one network for a block of steps (fused.h): the body of the kernels
 * of path `fused`, with the products of P (fused_product.cuh). */
#ifndef ESC_FUSED_STEP_CUH
#define ESC_FUSED_STEP_CUH

#include "fused.h"
#include "fused_stage.cuh"

/* A launch's arguments. */
struct esc_fused_run {
  esc_device_problem problem;
  esc_track_rules rules;
  esc_chunk chunk;
  int64_t steps;
};

/* This thread's sums of layer l's gradient between tiles. */
template <class P>
static __device__ __forceinline__ float *esc_fused_partials(const esc_fused_run &r,
                                                            const esc_fused_thread<P> &t, int l) {
  const size_t each = (size_t)P::gradient_rows * P::gradient_columns * P::threads;
  return r.chunk.partials +
         ((size_t)blockIdx.x * (size_t)(r.problem.layers - 1) + (size_t)l) * each + t.id;
}

/* Layer l's gradient through this tile; after the last one reduced, and the weights
 * updated. Deltas are in s_ping. Called by the whole block; contains a barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_weight_step(const esc_fused_run &r,
                                                             const esc_fused_block &b,
                                                             esc_fused_thread<P> *t, int l,
                                                             bool first, bool last) {
  const esc_device_problem &p = r.problem;
  float sum[P::gradient_rows][P::gradient_columns] = {{0}};
  float *g_partial = esc_fused_partials(r, *t, l);
  esc_fused_gradient(b.s_ping, l == 0 ? b.s_x : b.s_z + (l - 1) * P::width * ESC_FUSED_LEADING, *t,
                     g_partial, first, sum);
  if (!last) {
    esc_fused_store_partials<P>(g_partial, sum);
    __syncthreads(); /* deltas and weights have been read by all */
    return;
  }
  P::reduce_gradient(t->map, sum, b.s_pong);
  const size_t at = (size_t)blockIdx.x * r.chunk.weights + p.offset[l];
  const esc_fused_layer layer = {p.rate[l],
                                 P::width,
                                 l == 0 ? p.inputs : P::width,
                                 b.s_w + l * P::width * P::pitch,
                                 r.chunk.compensation ? r.chunk.compensation + at : NULL,
                                 &b.s_grad_norm_sq[l]};
  esc_fused_update(b, t, layer);
}

/* From the errors of the tile down to the first layer. Called by the whole block; contains a
 * barrier. */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_backward(const esc_fused_run &r,
                                                          const esc_fused_block &b,
                                                          esc_fused_thread<P> *t, bool first,
                                                          bool last) {
  const esc_device_problem &p = r.problem;
  float derivative[P::rows][P::columns], deficit[P::rows][P::columns], u[P::rows][P::columns];
  const int top = p.layers - 2;
  esc_fused_values<P, kind>(p, b.s_z + top * P::width * ESC_FUSED_LEADING, *t, derivative, deficit);
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j++)
      u[i][j] = esc_mul_f32(b.s_dloss[P::gradient_sample(t->map, j)],
                            b.s_w_out[P::gradient_feature(t->map, i)]);
  esc_fused_delta(*t, b.s_feature + top * P::terms, derivative, deficit, u);
  __syncthreads(); /* the values in s_ping and s_pong have been read */
  for (int l = top; l >= 0; l--) {
    esc_fused_store(*t, u, b.s_ping);
    if (l > 0)
      esc_fused_values<P, kind>(p, b.s_z + (l - 1) * P::width * ESC_FUSED_LEADING, *t, derivative,
                                deficit);
    __syncthreads();
    if (l > 0) {
#pragma unroll
      for (int i = 0; i < P::rows; i++)
#pragma unroll
        for (int j = 0; j < P::columns; j++) u[i][j] = 0;
      P::input_gradient(b.s_w + l * P::width * P::pitch, b.s_ping, t->map, u);
      esc_fused_delta(*t, b.s_feature + (l - 1) * P::terms, derivative, deficit, u);
    }
    esc_fused_weight_step<P>(r, b, t, l, first, last);
  }
}

/* Forward through a tile; returns the last hidden layer's values. Called by the whole block;
 * contains a barrier. */
template <class P, int kind>
static __device__ __forceinline__ const float *esc_fused_forward(const esc_fused_run &r,
                                                                 const esc_fused_block &b,
                                                                 const esc_fused_thread<P> &t) {
  const float *h = b.s_x;
  for (int l = 0; l < r.problem.layers - 1; l++) {
    float *out = l % 2 ? b.s_pong : b.s_ping;
    esc_fused_forward_layer<P, kind>(r.problem, b, t, l, h, out);
    __syncthreads();
    h = out;
  }
  return h;
}

/* The output layer's gradient from the threads' partial sums, and its update. Called by the whole
 * block; contains a barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_output_update(const esc_fused_run &r,
                                                               const esc_fused_block &b,
                                                               esc_fused_thread<P> *t) {
  const esc_device_problem &p = r.problem;
  const int last = p.layers - 1, n = t->id % P::width, slice = t->id / P::width;
  float *partial = b.s_pong;
  if (slice < P::slices) partial[slice * P::width + n] = t->output[0];
  __syncthreads();
  for (int half = P::slices / 2; half > 0; half /= 2) {
    if (slice < half)
      partial[slice * P::width + n] =
          esc_add_f32(partial[slice * P::width + n], partial[(slice + half) * P::width + n]);
    __syncthreads();
  }
  const size_t at = (size_t)blockIdx.x * r.chunk.weights + p.offset[last];
  const esc_fused_layer layer = {p.rate[last],
                                 1,
                                 P::width,
                                 b.s_w_out,
                                 r.chunk.compensation ? r.chunk.compensation + at : NULL,
                                 &b.s_grad_norm_sq[last]};
  esc_fused_update(b, t, layer);
}

/* Loss of the whole minibatch to the events; whether the update is to be made.
 * Called by the whole block; contains a barrier. */
static __device__ __forceinline__ bool esc_fused_apply_stopping_rule(const esc_fused_run &r,
                                                                     const esc_fused_block &b,
                                                                     int id) {
  __syncthreads(); /* the partials of the loss are there */
  if (id == 0)
    *b.s_update_mask = esc_track_loss(&r.chunk.track[blockIdx.x], &r.rules,
                                      esc_tree_reduce_f64(b.s_loss) / r.problem.batch);
  __syncthreads();
  return *b.s_update_mask != 0;
}

/* Adds the step to the ledger. Called by the whole block; contains a barrier. */
static __device__ __forceinline__ void esc_fused_accumulate_ledger(const esc_fused_run &r,
                                                                   const esc_fused_block &b,
                                                                   int id) {
  esc_track *track = &r.chunk.track[blockIdx.x];
  __syncthreads(); /* deficits and norms are there */
  if (id < r.problem.layers) esc_track_layer(track, &r.rules, id, b.s_deficit, b.s_grad_norm_sq);
  if (id == 0) esc_track_step(track, &r.rules);
  __syncthreads();
}

/* One training step; false when the network has finished without an update. Called by the whole
 * block; contains a barrier. */
template <class P, int kind>
static __device__ __forceinline__ bool esc_fused_step(const esc_fused_run &r,
                                                      const esc_fused_block &b,
                                                      esc_fused_thread<P> *t) {
  const esc_device_problem &p = r.problem;
  const esc_track *track = &r.chunk.track[blockIdx.x];
  esc_fused_tile tile = {track->step, r.chunk.seed[blockIdx.x], 0, 0};
  if (t->id < ESC_PARTIALS) b.s_loss[t->id] = 0;
  if (t->id < p.layers) b.s_deficit[t->id] = 0;
  t->output[0] = 0;
  for (int from = 0; from < p.batch; from += ESC_TILE) {
    const bool last = from + ESC_TILE >= p.batch;
    tile.first = from;
    tile.samples = p.batch - from < ESC_TILE ? p.batch - from : ESC_TILE;
    esc_fused_inputs<P>(p, b, t->id, tile);
    __syncthreads();
    const float *h = esc_fused_forward<P, kind>(r, b, *t);
    esc_fused_losses<P, kind>(p, b, *t, h, tile.samples);
    if (last && !esc_fused_apply_stopping_rule(r, b, t->id)) return false;
    esc_fused_output_gradient(b, t, h);
    esc_fused_backward<P, kind>(r, b, t, from == 0, last);
    esc_fused_deficits(p, b, *t);
  }
  esc_fused_output_update<P>(r, b, t);
  esc_fused_accumulate_ledger(r, b, t->id);
  return true;
}

/* Weights from the device into shared memory, or back. */
template <class P, bool in>
static __device__ __forceinline__ void esc_fused_move_weights(const esc_fused_run &r,
                                                              const esc_fused_block &b, int id) {
  const esc_device_problem &p = r.problem;
  float *device = r.chunk.w + (size_t)blockIdx.x * r.chunk.weights;
  for (int l = 0; l < p.layers; l++) {
    const int rows = l == p.layers - 1 ? 1 : P::width, columns = l == 0 ? p.inputs : P::width;
    float *w = l == p.layers - 1 ? b.s_w_out : b.s_w + l * P::width * P::pitch;
    for (int i = id; i < rows * columns; i += P::threads) {
      float *from = device + p.offset[l] + i, *to = w + i / columns * P::pitch + i % columns;
      if (in)
        *to = *from;
      else
        *from = *to;
    }
  }
}

/* Zeros where products read beyond the inputs: samples' rows and the first layer's
 * columns. Called by the whole block; contains a barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_clear(const esc_fused_block &b, int id) {
  for (int i = id; i < P::width * ESC_FUSED_LEADING; i += P::threads) b.s_x[i] = 0;
  for (int i = id; i < P::width * P::pitch; i += P::threads) b.s_w[i] = 0;
  if (id < 2) b.s_count[id] = 0;
  __syncthreads();
}

/* A kernel's prologue and epilogue, around its steps. Called by the whole block; contains a
 * barrier. */
template <class P>
static __device__ __forceinline__ esc_fused_thread<P> esc_fused_prologue(const esc_fused_run &r,
                                                                         const esc_fused_block &b) {
  const esc_fused_thread<P> t = esc_fused_make_thread<P>((int)threadIdx.x);
  esc_fused_clear<P>(b, t.id);
  esc_fused_move_weights<P, true>(r, b, t.id);
  __syncthreads();
  return t;
}

template <class P>
static __device__ __forceinline__ void esc_fused_epilogue(const esc_fused_run &r,
                                                          const esc_fused_block &b,
                                                          const esc_fused_thread<P> &t) {
  esc_track *track = &r.chunk.track[blockIdx.x];
  atomicAdd(&b.s_count[0], (unsigned long long)t.nonzero_updates); /* integers: in any order */
  atomicAdd(&b.s_count[1], (unsigned long long)t.rounded_away);
  __syncthreads();
  esc_fused_move_weights<P, false>(r, b, t.id);
  if (t.id != 0) return;
  track->nonzero_updates += (int64_t)b.s_count[0];
  track->rounded_away += (int64_t)b.s_count[1];
}

#endif
