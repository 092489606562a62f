/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of one step of path `fused`. `samples` is how many of the tile's
 * ESC_TILE places are taken; the others hold 0 inputs and 0 errors, so that they add
 * nothing to any sum. */
#ifndef ESC_FUSED_STAGE_CUH
#define ESC_FUSED_STAGE_CUH

#include "escapement/internal/loss.h"
#include "escapement/internal/stream.h"
#include "escapement/internal/update.h"
#include "fused_block.cuh"

enum { ESC_ANY_ACTIVATION = -1 };

static __device__ __attribute__((noinline)) esc_eval_f32 esc_evaluate_any(
    const esc_device_problem &p, float z) {
  esc_eval_f32 e = {0, 0, 0};
#define EVALUATE(kind) e = esc_evaluate<kind>(p, z)
  ESC_DISPATCH_ACTIVATION(p.activation, EVALUATE)
#undef EVALUATE
  return e;
}

/* kind ESC_ANY_ACTIVATION: the problem's, found at run time. */
template <int kind>
static __device__ __forceinline__ esc_eval_f32 esc_fused_evaluate(const esc_device_problem &p,
                                                                  float z) {
  if (kind == ESC_ANY_ACTIVATION) return esc_evaluate_any(p, z);
  return esc_evaluate < kind == ESC_ANY_ACTIVATION ? ESC_ACTIVATION_LINEAR : kind > (p, z);
}

/* Samples first.. of a step's minibatch. */
struct esc_fused_tile {
  int64_t step;
  uint64_t seed;
  int first, samples;
};

/* The tile's inputs into x, lanes over samples. */
template <class P>
static __device__ __forceinline__ void esc_fused_inputs(const esc_device_problem &p,
                                                        const esc_fused_block &b, int id,
                                                        const esc_fused_tile &tile) {
  const int blocks = (p.inputs + 3) / 4;
  for (int i = id; i < blocks * ESC_TILE; i += P::threads) {
    const int sample = i % ESC_TILE, j = i / ESC_TILE;
    float normal[4] = {0, 0, 0, 0};
    if (sample < tile.samples)
      esc_normal4_at(tile.seed, ESC_DOMAIN_DATA, (uint64_t)tile.step, 0,
                     (uint32_t)(tile.first + sample) * (uint32_t)blocks + (uint32_t)j, normal);
    for (int k = 0; k < 4 && 4 * j + k < p.inputs; k++)
      b.s_x[(4 * j + k) * ESC_FUSED_LEADING + sample] = normal[k];
  }
}

/* z_l and, into `out`, h_l = sigma(z_l). */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_forward_layer(const esc_device_problem &p,
                                                               const esc_fused_block &b,
                                                               const esc_fused_thread<P> &t, int l,
                                                               const float *h, float *out) {
  float sum[P::rows][P::columns] = {{0}}, *z = b.s_z + l * P::width * ESC_FUSED_LEADING;
  P::forward(b.s_w + l * P::width * P::pitch, h, l == 0 ? p.inputs : P::width, t.map, sum);
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector) {
      const int at = P::forward_feature(t.map, i) * ESC_FUSED_LEADING + P::forward_sample(t.map, j);
      float value[P::vector];
#pragma unroll
      for (int q = 0; q < P::vector; q++)
        value[q] = esc_fused_evaluate<kind>(p, sum[i][j + q]).value;
      esc_store_vector<P::vector>(z + at, &sum[i][j]);
      esc_store_vector<P::vector>(out + at, value);
    }
}

/* sum_i a_i b_i of one sample over n features: partials, then a tree reduction. */
static __device__ __forceinline__ float esc_fused_dot(const float *a, const float *b, int n) {
  float partial[ESC_PARTIALS] = {0};
  for (int i = 0; i < n; i += ESC_PARTIALS)
#pragma unroll
    for (int j = 0; j < ESC_PARTIALS; j++)
      if (i + j < n) partial[j] = esc_fma_f32(a[i + j], b[(i + j) * ESC_FUSED_LEADING], partial[j]);
  return esc_tree_reduce_f32(partial);
}

template <int kind>
static __device__ __forceinline__ float esc_fused_target(const esc_device_problem &p,
                                                         const float *x) {
  float sum = 0;
  for (int k = 0; k < p.modes; k++) {
    const float projection =
        p.axes ? x[k * ESC_FUSED_LEADING]
               : esc_fused_dot(p.direction + (size_t)k * (size_t)p.inputs, x, p.inputs);
    sum = esc_fma_f32(p.amplitude[k], esc_fused_evaluate<kind>(p, projection).value, sum);
  }
  return sum;
}

/* Prediction, target and loss of each sample, by the first ESC_TILE threads; then
 * the samples' losses into their partial sums. Called by the whole block; contains a barrier. */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_losses(const esc_device_problem &p,
                                                        const esc_fused_block &b,
                                                        const esc_fused_thread<P> &t,
                                                        const float *h, int samples) {
  if (t.id < ESC_TILE) {
    const float f = esc_fused_dot(b.s_w_out, h + t.id, P::width);
    const esc_loss_f32 e =
        esc_loss_eval_f32(p.loss, p.huber_delta, f, esc_fused_target<kind>(p, b.s_x + t.id));
    b.s_value[t.id] = e.value;
    b.s_dloss[t.id] = t.id < samples ? esc_div_f32(e.derivative, (float)p.batch) : 0.0f;
  }
  __syncthreads();
  if (t.id < ESC_PARTIALS)
    for (int s = t.id; s < samples; s += ESC_PARTIALS) b.s_loss[t.id] += (double)b.s_value[s];
}

/* Adds the tile to this thread's partial sum of the output layer's gradient. */
template <class P>
static __device__ __forceinline__ void esc_fused_output_gradient(const esc_fused_block &b,
                                                                 esc_fused_thread<P> *t,
                                                                 const float *h) {
  const int n = t->id % P::width, slice = t->id / P::width;
  if (slice >= P::slices) return;
  for (int s = slice * P::slice_length; s < (slice + 1) * P::slice_length; s++)
    t->output[0] = esc_fma_f32(b.s_dloss[s], h[n * ESC_FUSED_LEADING + s], t->output[0]);
}

/* Place of an input gradient's output (i, j) in an (N, row). */
template <class P>
static __device__ __forceinline__ int esc_fused_place(const esc_fused_thread<P> &t, int i, int j) {
  return P::gradient_feature(t.map, i) * ESC_FUSED_LEADING + P::gradient_sample(t.map, j);
}

/* Of the thread's features and samples of an interface: makes z its values, returns
 * derivative and deficit. */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_values(const esc_device_problem &p, float *z,
                                                        const esc_fused_thread<P> &t,
                                                        float derivative[P::rows][P::columns],
                                                        float deficit[P::rows][P::columns]) {
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector) {
      float *at = z + esc_fused_place(t, i, j), value[P::vector];
      esc_load_vector<P::vector>(at, value);
#pragma unroll
      for (int q = 0; q < P::vector; q++) {
        const esc_eval_f32 e = esc_fused_evaluate<kind>(p, value[q]);
        value[q] = e.value;
        derivative[i][j + q] = e.derivative;
        deficit[i][j + q] = e.deficit;
      }
      esc_store_vector<P::vector>(at, value);
    }
}

/* u becomes delta = u sigma'; the ledger's terms u kappa of the tile's features. With
 * esc_fused_fma the lane's four samples are one partial of order.h. */
template <class P>
static __device__ __forceinline__ void esc_fused_delta(const esc_fused_thread<P> &t, float *feature,
                                                       const float derivative[P::rows][P::columns],
                                                       const float deficit[P::rows][P::columns],
                                                       float u[P::rows][P::columns]) {
#pragma unroll
  for (int i = 0; i < P::rows; i++) {
    float partial = 0;
#pragma unroll
    for (int j = 0; j < P::columns; j++) {
      partial = esc_fma_f32(u[i][j], deficit[i][j], partial);
      u[i][j] = esc_mul_f32(u[i][j], derivative[i][j]);
    }
    partial = P::reduce_term(partial);
    if (P::is_reduction_lane(t.map)) feature[P::term(t.map, i)] = partial;
  }
}

template <class P>
static __device__ __forceinline__ void esc_fused_store(const esc_fused_thread<P> &t,
                                                       const float v[P::rows][P::columns],
                                                       float *to) {
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector)
      esc_store_vector<P::vector>(to + esc_fused_place(t, i, j), &v[i][j]);
}

/* The tile's ledger terms, features into partials, into the sums over tiles: ESC_PARTIALS
 * lanes an interface. Called by the whole block. */
template <class P>
static __device__ __forceinline__ void esc_fused_deficits(const esc_device_problem &p,
                                                          const esc_fused_block &b,
                                                          const esc_fused_thread<P> &t) {
  enum { groups = P::threads / ESC_PARTIALS };
  for (int first = 0; first < p.layers - 1; first += groups) {
    const int l = first + t.group;
    double partial = 0;
    for (int n = t.lane; l < p.layers - 1 && n < P::terms; n += ESC_PARTIALS)
      partial += (double)b.s_feature[l * P::terms + n];
    partial = esc_tree_reduce_lanes(partial);
    if (l < p.layers - 1 && t.lane == 0) b.s_deficit[l] += partial;
  }
}

/* This thread's partial sums of a layer's gradient, from the tiles before; those of neighbouring
 * threads are side by side. Where P sums across tiles, the sum continues from them; else the tile's
 * sum is added to them. */
template <class P>
static __device__ __forceinline__ void esc_fused_load_partials(
    const float *g_partial, float sum[P::gradient_rows][P::gradient_columns]) {
#pragma unroll
  for (int i = 0; i < P::gradient_rows; i++)
#pragma unroll
    for (int j = 0; j < P::gradient_columns; j++) {
      const float before = g_partial[(P::gradient_columns * i + j) * P::threads];
      sum[i][j] = P::sums_across_tiles ? before : esc_add_f32(before, sum[i][j]);
    }
}

template <class P>
static __device__ __forceinline__ void esc_fused_store_partials(
    float *g_partial, const float sum[P::gradient_rows][P::gradient_columns]) {
#pragma unroll
  for (int i = 0; i < P::gradient_rows; i++)
#pragma unroll
    for (int j = 0; j < P::gradient_columns; j++)
      g_partial[(P::gradient_columns * i + j) * P::threads] = sum[i][j];
}

/* sum: a layer's gradient up to this tile; that of the tiles before is at `g_partial`. */
template <class P>
static __device__ __forceinline__ void esc_fused_gradient(
    const float *delta, const float *h, const esc_fused_thread<P> &t, const float *g_partial,
    bool first, float sum[P::gradient_rows][P::gradient_columns]) {
  if (!first && P::sums_across_tiles) esc_fused_load_partials<P>(g_partial, sum);
  P::weight_gradient(delta, h, t.map, sum);
  if (!first && !P::sums_across_tiles) esc_fused_load_partials<P>(g_partial, sum);
}

/* One layer's weights, (rows, columns). */
struct esc_fused_layer {
  float rate;
  int rows, columns;
  float *s_w;             /* (rows, pitch) */
  float *g_compensation;  /* (rows, columns) their compensation, or NULL */
  double *s_grad_norm_sq; /* |G|^2 */
};

/* |G|^2 and the update of one layer from the gradient in b.s_pong: ESC_PARTIALS lanes a row.
 * Called by the whole block; contains a barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_update(const esc_fused_block &b,
                                                        esc_fused_thread<P> *t,
                                                        const esc_fused_layer &layer) {
  enum { groups = P::threads / ESC_PARTIALS };
  for (int first = 0; first < layer.rows; first += groups) {
    const int n = first + t->group;
    double partial = 0;
    for (int k = t->lane; n < layer.rows && k < layer.columns; k += ESC_PARTIALS) {
      const float g = b.s_pong[n * P::width + k];
      float *weight = layer.s_w + n * P::pitch + k;
      float *rest = layer.g_compensation ? layer.g_compensation + n * layer.columns + k : NULL;
      const esc_updated u = rest ? esc_update_compensated(layer.rate, g, *weight, *rest)
                                 : esc_update_plain(layer.rate, g, *weight);
      partial += (double)g * (double)g;
      *weight = u.w;
      if (rest) *rest = u.compensation;
      t->nonzero_updates += u.nonzero_update;
      t->rounded_away += u.rounded_away;
    }
    partial = esc_tree_reduce_lanes(partial);
    if (n < layer.rows && t->lane == 0) b.s_row[n] = partial;
  }
  __syncthreads();
  if (t->id < 32) { /* a warp, because all of its lanes take part */
    double partial = 0;
    for (int n = t->lane; t->group == 0 && n < layer.rows; n += ESC_PARTIALS) partial += b.s_row[n];
    partial = esc_tree_reduce_lanes(partial);
    if (t->id == 0) *layer.s_grad_norm_sq = partial;
  }
}

#endif
