/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of one step of path `fused`. `samples` of the tile's ESC_TILE columns hold a
 * sample; the others have inputs 0 and derivatives 0, and therefore add nothing to any sum. */
#ifndef ESC_FUSED_STAGE_CUH
#define ESC_FUSED_STAGE_CUH

#include "escapement/internal/loss.h"
#include "escapement/internal/stream.h"
#include "escapement/internal/update.h"
#include "fused_block.cuh"

enum { ESC_ANY_ACTIVATION = -1 };

/* The activation that the problem names, found at run time. Not inlined: the switch would be
 * repeated at every call. */
static __device__ __attribute__((noinline)) esc_eval_f32 esc_evaluate_any(
    const esc_device_problem &p, float z) {
  esc_eval_f32 e = {0, 0, 0};
#define EVALUATE(kind) e = esc_evaluate<kind>(p, z)
  ESC_DISPATCH_ACTIVATION(p.activation, EVALUATE)
#undef EVALUATE
  return e;
}

/* kind ESC_ANY_ACTIVATION: the problem's. */
template <int kind>
static __device__ __forceinline__ esc_eval_f32 esc_fused_evaluate(const esc_device_problem &p,
                                                                  float z) {
  if (kind == ESC_ANY_ACTIVATION) return esc_evaluate_any(p, z);
  return esc_evaluate < kind == ESC_ANY_ACTIVATION ? ESC_ACTIVATION_LINEAR : kind > (p, z);
}

/* A tile: samples `first` and following of a step's minibatch. */
struct esc_fused_tile {
  int64_t step;
  uint64_t seed;
  int first, samples;
};

/* Draws the tile's inputs (docs/theory, section 8.3) into s_x; neighbouring threads take
 * neighbouring samples. */
template <class P>
static __device__ __forceinline__ void esc_fused_draw_inputs(const esc_device_problem &p,
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

/* z_l = W_l h, and s_out = h_l = sigma(z_l) (docs/theory, section 0.1). */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_forward_layer(const esc_device_problem &p,
                                                               const esc_fused_block &b,
                                                               const esc_fused_thread<P> &t, int l,
                                                               const float *s_h, float *s_out) {
  float sum[P::rows][P::columns] = {{0}}, *s_z = b.s_z + l * P::width * ESC_FUSED_LEADING;
  P::forward(b.s_w + l * P::width * P::pitch, s_h, l == 0 ? p.inputs : P::width, t.map, sum);
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector) {
      const int index =
          P::forward_feature(t.map, i) * ESC_FUSED_LEADING + P::forward_sample(t.map, j);
      float value[P::vector];
#pragma unroll
      for (int q = 0; q < P::vector; q++)
        value[q] = esc_fused_evaluate<kind>(p, sum[i][j + q]).value;
      esc_store_vector<P::vector>(s_z + index, &sum[i][j]);
      esc_store_vector<P::vector>(s_out + index, value);
    }
}

/* sum_i a_i b_i of one sample over n features (order.h: dot products). */
static __device__ __forceinline__ float esc_fused_dot(const float *a, const float *s_b, int n) {
  float partial[ESC_PARTIALS] = {0};
  for (int i = 0; i < n; i += ESC_PARTIALS)
#pragma unroll
    for (int j = 0; j < ESC_PARTIALS; j++)
      if (i + j < n)
        partial[j] = esc_fma_f32(a[i + j], s_b[(i + j) * ESC_FUSED_LEADING], partial[j]);
  return esc_tree_reduce_f32(partial);
}

/* T(x) of one sample (docs/theory, section 0.2). */
template <int kind>
static __device__ __forceinline__ float esc_fused_evaluate_target(const esc_device_problem &p,
                                                                  const float *s_x) {
  float sum = 0;
  for (int k = 0; k < p.modes; k++) {
    const float projection =
        p.axes ? s_x[k * ESC_FUSED_LEADING]
               : esc_fused_dot(p.direction + (size_t)k * (size_t)p.inputs, s_x, p.inputs);
    sum = esc_fma_f32(p.amplitude[k], esc_fused_evaluate<kind>(p, projection).value, sum);
  }
  return sum;
}

/* Prediction, target and loss of each sample (docs/theory, section 0.3), by the first ESC_TILE
 * threads, one sample each (a block has 4 N >= 64); then the losses into their partial sums
 * (order.h: loss). Called by the whole block; contains a barrier. */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_evaluate_losses(const esc_device_problem &p,
                                                                 const esc_fused_block &b,
                                                                 const esc_fused_thread<P> &t,
                                                                 const float *s_h, int samples) {
  if (t.id < ESC_TILE) {
    const float f = esc_fused_dot(b.s_w_out, s_h + t.id, P::width);
    const esc_loss_f32 e = esc_loss_eval_f32(p.loss, p.huber_delta, f,
                                             esc_fused_evaluate_target<kind>(p, b.s_x + t.id));
    b.s_value[t.id] = e.value;
    b.s_dloss[t.id] = t.id < samples ? esc_div_f32(e.derivative, (float)p.batch) : 0.0f;
  }
  __syncthreads();
  if (t.id < ESC_PARTIALS)
    for (int s = t.id; s < samples; s += ESC_PARTIALS) b.s_loss[t.id] += (double)b.s_value[s];
}

/* Adds the tile to this thread's partial sum of the output layer's gradient. */
template <class P>
static __device__ __forceinline__ void esc_fused_add_output_gradient(const esc_fused_block &b,
                                                                     esc_fused_thread<P> *t,
                                                                     const float *s_h) {
  const int n = t->id % P::width, slice = t->id / P::width;
  if (slice >= P::slices) return;
  for (int s = slice * P::slice_length; s < (slice + 1) * P::slice_length; s++)
    t->output[0] = esc_fma_f32(b.s_dloss[s], s_h[n * ESC_FUSED_LEADING + s], t->output[0]);
}

/* Index of output (i, j) of an input gradient in an array of activations. */
template <class P>
static __device__ __forceinline__ int esc_fused_index(const esc_fused_thread<P> &t, int i, int j) {
  return P::gradient_feature(t.map, i) * ESC_FUSED_LEADING + P::gradient_sample(t.map, j);
}

/* For the thread's outputs of one layer: replaces z by sigma(z), returns sigma'(z) and kappa(z). */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_evaluate_derivatives(
    const esc_device_problem &p, float *s_z, const esc_fused_thread<P> &t,
    float derivative[P::rows][P::columns], float deficit[P::rows][P::columns]) {
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector) {
      float *s_own = s_z + esc_fused_index(t, i, j), value[P::vector];
      esc_load_vector<P::vector>(s_own, value);
#pragma unroll
      for (int q = 0; q < P::vector; q++) {
        const esc_eval_f32 e = esc_fused_evaluate<kind>(p, value[q]);
        value[q] = e.value;
        derivative[i][j + q] = e.derivative;
        deficit[i][j + q] = e.deficit;
      }
      esc_store_vector<P::vector>(s_own, value);
    }
}

/* Elementwise backward pass (docs/theory, sections 0.4 and 1.4): replaces u by delta = u sigma'(z)
 * and stores the ledger's terms u kappa(z) of the tile, summed over samples (docs/theory, sections
 * 0.4 and 1.4). With esc_fused_fma_products the lane's four samples are one partial sum of order.h.
 */
template <class P>
static __device__ __forceinline__ void esc_fused_activation_backward(
    const esc_fused_thread<P> &t, float *s_feature, const float derivative[P::rows][P::columns],
    const float deficit[P::rows][P::columns], float u[P::rows][P::columns]) {
#pragma unroll
  for (int i = 0; i < P::rows; i++) {
    float partial = 0;
#pragma unroll
    for (int j = 0; j < P::columns; j++) {
      partial = esc_fma_f32(u[i][j], deficit[i][j], partial);
      u[i][j] = esc_mul_f32(u[i][j], derivative[i][j]);
    }
    partial = P::reduce_term(partial);
    if (P::is_reduction_lane(t.map)) s_feature[P::ledger_term(t.map, i)] = partial;
  }
}

/* Stores the thread's outputs into an array of activations. */
template <class P>
static __device__ __forceinline__ void esc_fused_store_outputs(const esc_fused_thread<P> &t,
                                                               const float v[P::rows][P::columns],
                                                               float *s_to) {
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector)
      esc_store_vector<P::vector>(s_to + esc_fused_index(t, i, j), &v[i][j]);
}

/* Adds the tile's ledger terms, summed over features, to the sums over tiles: ESC_PARTIALS lanes
 * an interface (order.h: ledger). Called by the whole block; contains no barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_add_deficits(const esc_device_problem &p,
                                                              const esc_fused_block &b,
                                                              const esc_fused_thread<P> &t) {
  enum { groups = P::threads / ESC_PARTIALS };
  for (int first = 0; first < p.layers - 1; first += groups) {
    const int l = first + t.group;
    double partial = 0;
    for (int n = t.lane; l < p.layers - 1 && n < P::ledger_terms; n += ESC_PARTIALS)
      partial += (double)b.s_feature[l * P::ledger_terms + n];
    partial = esc_tree_reduce_lanes(partial);
    if (l < p.layers - 1 && t.lane == 0) b.s_deficit[l] += partial;
  }
}

/* This thread's partial sums of a layer's gradient from the tiles before; neighbouring threads
 * read neighbouring floats. If P::sums_across_tiles the sum continues from them, else the tile's
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

/* Stores them for the next tile. */
template <class P>
static __device__ __forceinline__ void esc_fused_store_partials(
    float *g_partial, const float sum[P::gradient_rows][P::gradient_columns]) {
#pragma unroll
  for (int i = 0; i < P::gradient_rows; i++)
#pragma unroll
    for (int j = 0; j < P::gradient_columns; j++)
      g_partial[(P::gradient_columns * i + j) * P::threads] = sum[i][j];
}

/* `sum` becomes a layer's gradient up to this tile; the partial sums of the tiles before are at
 * `g_partial`. */
template <class P>
static __device__ __forceinline__ void esc_fused_weight_gradient(
    const float *s_delta, const float *s_h, const esc_fused_thread<P> &t, const float *g_partial,
    bool first, float sum[P::gradient_rows][P::gradient_columns]) {
  if (!first && P::sums_across_tiles) esc_fused_load_partials<P>(g_partial, sum);
  P::weight_gradient(s_delta, s_h, t.map, sum);
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

/* |G|^2 and the update of one layer (docs/theory, sections 0.5 and 8.1) from the gradient in
 * b.s_pong: ESC_PARTIALS lanes a row, then one group over the rows (order.h: |G|^2).
 * Called by the whole block; contains a barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_update_layer(const esc_fused_block &b,
                                                              esc_fused_thread<P> *t,
                                                              const esc_fused_layer &layer) {
  enum { groups = P::threads / ESC_PARTIALS };
  for (int first = 0; first < layer.rows; first += groups) {
    const int n = first + t->group;
    double partial = 0;
    for (int k = t->lane; n < layer.rows && k < layer.columns; k += ESC_PARTIALS) {
      const float g = b.s_pong[n * P::width + k];
      float *s_weight = layer.s_w + n * P::pitch + k;
      float *g_low = layer.g_compensation ? layer.g_compensation + n * layer.columns + k : NULL;
      const esc_updated u = g_low ? esc_update_compensated(layer.rate, g, *s_weight, *g_low)
                                  : esc_update_plain(layer.rate, g, *s_weight);
      partial += (double)g * (double)g;
      *s_weight = u.w;
      if (g_low) *g_low = u.compensation;
      t->nonzero_updates += u.nonzero_update;
      t->rounded_away += u.rounded_away;
    }
    partial = esc_tree_reduce_lanes(partial);
    if (n < layer.rows && t->lane == 0) b.s_row[n] = partial;
  }
  __syncthreads();
  if (t->id < 32) { /* a whole warp, because the reduction is over all of its lanes */
    double partial = 0;
    for (int n = t->lane; t->group == 0 && n < layer.rows; n += ESC_PARTIALS) partial += b.s_row[n];
    partial = esc_tree_reduce_lanes(partial);
    if (t->id == 0) *layer.s_grad_norm_sq = partial;
  }
}

#endif
