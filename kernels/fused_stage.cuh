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

/* The same from h = sigma(z), for an activation that gains by it. */
template <int kind>
static __device__ __forceinline__ esc_eval_f32 esc_fused_evaluate_with(const esc_device_problem &p,
                                                                       float z, float h) {
  if (kind == ESC_ACTIVATION_TANH) return esc_tanh_eval_with_f32(z, h);
  return esc_fused_evaluate<kind>(p, z);
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
#pragma unroll 2
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

/* Inputs of layer l, (N, leading): of the network, or sigma(z) of layer l - 1. */
template <class P>
static __device__ __forceinline__ float *esc_fused_layer_input(const esc_fused_block &b, int l) {
  return l == 0 ? b.s_x : b.s_h + (l - 1) * P::width * ESC_FUSED_LEADING;
}

/* z_l = W_l h into g_z, and h_l = sigma(z_l) (docs/theory, section 0.1). z is needed again only for
 * kappa(z) in the backward pass, and shared memory is what limits the blocks of a multiprocessor:
 * z goes to device memory, that is to the L2 cache. */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_forward_layer(const esc_device_problem &p,
                                                               const esc_fused_block &b,
                                                               const esc_fused_thread<P> &t, int l,
                                                               float *g_z) {
  float sum[P::rows][P::columns] = {{0}}, *s_h = esc_fused_layer_input<P>(b, l + 1);
  P::forward(b.s_w + l * P::width * P::pitch, esc_fused_layer_input<P>(b, l),
             l == 0 ? p.inputs : P::width, t.map, sum);
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector) {
      const int feature = P::forward_feature(t.map, i), sample = P::forward_sample(t.map, j);
      float value[P::vector];
#pragma unroll
      for (int q = 0; q < P::vector; q++)
        value[q] = esc_fused_evaluate<kind>(p, sum[i][j + q]).value;
      esc_store_global<P::vector>(g_z + feature * ESC_TILE + sample, &sum[i][j]);
      esc_store_vector<P::vector>(s_h + feature * ESC_FUSED_LEADING + sample, value);
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
#pragma unroll
  for (int s = slice * P::slice_length; s < (slice + 1) * P::slice_length; s += 4) {
    float dloss[4], h[4];
    esc_unpack(esc_load4(b.s_dloss + s), dloss);
    esc_unpack(esc_load4(s_h + n * ESC_FUSED_LEADING + s), h);
#pragma unroll
    for (int q = 0; q < 4; q++) t->output[0] = esc_fma_f32(dloss[q], h[q], t->output[0]);
  }
}

/* Index of output (i, j) of an input gradient in an array of activations. */
template <class P>
static __device__ __forceinline__ int esc_fused_index(const esc_fused_thread<P> &t, int i, int j) {
  return P::gradient_feature(t.map, i) * ESC_FUSED_LEADING + P::gradient_sample(t.map, j);
}

/* Loads the thread's outputs of one layer's z from the tile's z in device memory. */
template <class P>
static __device__ __forceinline__ void esc_fused_load_z(const esc_fused_thread<P> &t,
                                                        const float *g_z,
                                                        float z[P::rows][P::columns]) {
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector)
      esc_load_global<P::vector>(
          g_z + P::gradient_feature(t.map, i) * ESC_TILE + P::gradient_sample(t.map, j), &z[i][j]);
}

/* Elementwise backward pass of one layer (docs/theory, sections 0.4 and 1.4), z and s_h being its
 * own: replaces u by delta = u sigma'(z) and stores the ledger's terms u kappa(z) of the tile,
 * summed over samples. With esc_fused_fma_products the lane's four samples are one partial sum of
 * order.h. */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_activation_backward(
    const esc_device_problem &p, const esc_fused_thread<P> &t, const float *s_h,
    const float z[P::rows][P::columns], float *s_feature, float u[P::rows][P::columns]) {
  float partial[P::rows] = {0};
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector) {
      float h[P::vector];
      esc_load_vector<P::vector>(s_h + esc_fused_index(t, i, j), h);
#pragma unroll
      for (int q = 0; q < P::vector; q++) {
        const esc_eval_f32 e = esc_fused_evaluate_with<kind>(p, z[i][j + q], h[q]);
        partial[i] = esc_fma_f32(u[i][j + q], e.deficit, partial[i]);
        u[i][j + q] = esc_mul_f32(u[i][j + q], e.derivative);
      }
    }
  P::reduce_terms(partial);
#pragma unroll
  for (int i = 0; i < P::rows; i++)
    if (P::is_reduction_lane(t.map)) s_feature[P::ledger_term(t.map, i)] = partial[i];
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

/* Sets `sum` to the value from which the sum of a layer's gradient over this tile starts: the
 * thread's partial sums from the tiles before if P::sums_across_tiles, else 0. Neighbouring threads
 * read neighbouring floats. To be called well before the product, because the loads take long. */
template <class P>
static __device__ __forceinline__ void esc_fused_start_sums(
    const float *g_partial, bool first, float sum[P::gradient_rows][P::gradient_columns]) {
#pragma unroll
  for (int i = 0; i < P::gradient_rows; i++)
#pragma unroll
    for (int j = 0; j < P::gradient_columns; j++)
      sum[i][j] = P::sums_across_tiles && !first
                      ? g_partial[(P::gradient_columns * i + j) * P::threads]
                      : 0.0f;
}

/* Else adds the partial sums from the tiles before to the tile's. */
template <class P>
static __device__ __forceinline__ void esc_fused_add_sums(
    const float *g_partial, bool first, float sum[P::gradient_rows][P::gradient_columns]) {
#pragma unroll
  for (int i = 0; i < P::gradient_rows; i++)
#pragma unroll
    for (int j = 0; j < P::gradient_columns; j++)
      if (!P::sums_across_tiles && !first)
        sum[i][j] = esc_add_f32(g_partial[(P::gradient_columns * i + j) * P::threads], sum[i][j]);
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

/* One layer's weights, (rows, columns). */
struct esc_fused_layer {
  float rate;
  int columns;
  float *s_w;             /* (rows, pitch) */
  float *g_compensation;  /* (rows, columns) their compensation, or NULL */
  double *s_grad_norm_sq; /* |G|^2 */
};

/* The weights that a thread updates, of a layer of `rows` rows: ESC_PARTIALS lanes a row. */
template <class P, int rows>
struct esc_fused_update_map {
  enum {
    groups = P::threads / ESC_PARTIALS,
    down = (rows + groups - 1) / groups,
    across = P::width / ESC_PARTIALS,
  };
  float compensation[down][across];

  static __device__ __forceinline__ int row(const esc_fused_thread<P> &t, int i) {
    return i * groups + t.group;
  }
  static __device__ __forceinline__ int column(const esc_fused_thread<P> &t, int j) {
    return j * ESC_PARTIALS + t.lane;
  }
};

/* Loads their compensation, from the device's memory: to be called well before the update, because
 * the loads take as long as the reduction that comes between. */
template <class P, int rows>
static __device__ __forceinline__ esc_fused_update_map<P, rows> esc_fused_load_compensation(
    const esc_fused_thread<P> &t, const esc_fused_layer &layer) {
  esc_fused_update_map<P, rows> m;
#pragma unroll
  for (int i = 0; i < m.down; i++)
#pragma unroll
    for (int j = 0; j < m.across; j++) {
      const int n = m.row(t, i), k = m.column(t, j);
      const bool present = layer.g_compensation && n < rows && k < layer.columns;
      m.compensation[i][j] = present ? layer.g_compensation[n * layer.columns + k] : 0.0f;
    }
  return m;
}

/* |G|^2 and the update of one layer (docs/theory, sections 0.5 and 8.1) from the gradient in
 * b.s_gradient: ESC_PARTIALS lanes a row, then one group over the rows (order.h: |G|^2).
 * Called by the whole block; contains a barrier. */
template <class P, int rows>
static __device__ __forceinline__ void esc_fused_update_layer(
    const esc_fused_block &b, esc_fused_thread<P> *t, const esc_fused_layer &layer,
    const esc_fused_update_map<P, rows> &m) {
#pragma unroll
  for (int i = 0; i < m.down; i++) {
    const int n = m.row(*t, i);
    double partial = 0;
#pragma unroll
    for (int j = 0; j < m.across; j++) {
      const int k = m.column(*t, j);
      if (n >= rows || k >= layer.columns) continue;
      const float g = b.s_gradient[n * P::width + k];
      float *s_weight = layer.s_w + n * P::pitch + k;
      const esc_updated u = layer.g_compensation ? esc_update_compensated(layer.rate, g, *s_weight,
                                                                          m.compensation[i][j])
                                                 : esc_update_plain(layer.rate, g, *s_weight);
      partial += (double)g * (double)g;
      *s_weight = u.w;
      if (layer.g_compensation) layer.g_compensation[n * layer.columns + k] = u.compensation;
      t->nonzero_updates += u.nonzero_update;
      t->rounded_away += u.rounded_away;
    }
    partial = esc_tree_reduce_lanes(partial);
    if (n < rows && t->lane == 0) b.s_row[n] = partial;
  }
  __syncthreads();
  if (t->id < 32) { /* a whole warp, because the reduction is over all of its lanes */
    double partial = 0;
    for (int n = t->lane; t->group == 0 && n < rows; n += ESC_PARTIALS) partial += b.s_row[n];
    partial = esc_tree_reduce_lanes(partial);
    if (t->id == 0) *layer.s_grad_norm_sq = partial;
  }
}

#endif
