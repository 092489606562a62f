/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of one step of path `fused`, in the order of fused_step.cuh. P: the matrix products
 * (fused_product.cuh).
 *
 * A tile has ESC_TILE columns, of which the first `samples` hold a sample. The other columns have
 * inputs 0 and dloss 0, so that loops have constant bounds: h = sigma(0) need not be 0 there, but
 * delta and u are, and every gradient and ledger term gets an exact 0 from such a column.
 *
 * Features beyond the network's width are computed like the others, without effect: their weights
 * are 0 (fused_block.cuh), the products by fused multiply-adds, the prediction and the ledger do
 * not read them, and no update writes them. h = sigma(0) need not be 0 there either.
 *
 * Barriers between stages are in fused_step.cuh; a stage that contains one says so. Stages exchange
 * data between threads through these arrays:
 *
 *    array             written by            read by
 *    s_x               draw_inputs           forward and gradient of the first layer, target
 *    s_h, tile_z       forward_layer         next layer, prediction, backward pass
 *    s_dloss           evaluate_losses       output gradient, backward pass
 *    s_delta           backward pass         input gradient and weight gradient of the same layer
 *    s_ledger_terms    activation_backward   add_deficits
 *    s_gradient        P::reduce_gradient    update_layer */
#ifndef ESC_FUSED_STAGE_CUH
#define ESC_FUSED_STAGE_CUH

#include "escapement/internal/loss.h"
#include "escapement/internal/stream.h"
#include "escapement/internal/update.h"
#include "fused_block.cuh"

/* A template argument like an activation's kind: the kind is read from the problem at run time. */
enum { ESC_ANY_ACTIVATION = -1 };

/* sigma, sigma' and kappa of the problem's activation, selected at run time. This function and the
 * two below are not inlined, because every call would hold the code of all activations. */
static __device__ __attribute__((noinline)) esc_eval_f32 esc_evaluate_any(
    const esc_device_problem &p, float z) {
  esc_eval_f32 e = {0, 0, 0};
#define EVALUATE(kind) e = esc_evaluate<kind>(p, z)
  ESC_DISPATCH_ACTIVATION(p.activation, EVALUATE)
#undef EVALUATE
  return e;
}

/* `count` values in registers, as arguments and results of functions that are not inlined. */
template <int count>
struct esc_registers {
  float at[count];
};

/* sigma at `count` values of z. The call and the selection by kind, comparisons and a branch to an
 * address in a table, are made once for all of them, and their instructions overlap: modelled,
 * 0.6 of the time of a step with erf with a call for each value. */
template <int count>
static __device__ __attribute__((noinline)) esc_registers<count> esc_values_any(
    const esc_device_problem &p, esc_registers<count> z) {
#define EVALUATE(kind) \
  for (int q = 0; q < count; q++) z.at[q] = esc_evaluate<kind>(p, z.at[q]).value
  ESC_DISPATCH_ACTIVATION(p.activation, EVALUATE)
#undef EVALUATE
  return z;
}

/* sigma' at `count` values of z, then kappa. */
template <int count>
static __device__ __attribute__((noinline)) esc_registers<2 * count> esc_derivatives_any(
    const esc_device_problem &p, esc_registers<count> z) {
  esc_registers<2 *count> out = {{0}};
#define EVALUATE(kind)                                     \
  for (int q = 0; q < count; q++) {                        \
    const esc_eval_f32 e = esc_evaluate<kind>(p, z.at[q]); \
    out.at[q] = e.derivative;                              \
    out.at[count + q] = e.deficit;                         \
  }
  ESC_DISPATCH_ACTIVATION(p.activation, EVALUATE)
#undef EVALUATE
  return out;
}

/* sigma, sigma' and kappa at z (docs/theory, section 2.1). */
template <int kind>
static __device__ __forceinline__ esc_eval_f32 esc_fused_evaluate(const esc_device_problem &p,
                                                                  float z) {
  if constexpr (kind == ESC_ANY_ACTIVATION)
    return esc_evaluate_any(p, z);
  else
    return esc_evaluate<kind>(p, z);
}

/* value[q] = sigma(z[q]) for `count` values. */
template <int kind, int count>
static __device__ __forceinline__ void esc_fused_values(const esc_device_problem &p, const float *z,
                                                        float *value) {
  esc_registers<count> v;
#pragma unroll
  for (int q = 0; q < count; q++) v.at[q] = z[q];
  if constexpr (kind == ESC_ANY_ACTIVATION) {
    v = esc_values_any<count>(p, v);
  } else {
#pragma unroll
    for (int q = 0; q < count; q++) v.at[q] = esc_evaluate<kind>(p, z[q]).value;
  }
#pragma unroll
  for (int q = 0; q < count; q++) value[q] = v.at[q];
}

/* sigma' and kappa at z[q], where h[q] = sigma(z[q]) is known from the forward pass. Only tanh uses
 * h: sigma' = 1 - h^2, and h is the expensive part. Other activations are evaluated again. */
template <int kind, int count>
static __device__ __forceinline__ void esc_fused_derivatives(const esc_device_problem &p,
                                                             const float *z, const float *h,
                                                             float *derivative, float *deficit) {
  if constexpr (kind == ESC_ANY_ACTIVATION) {
    esc_registers<count> v;
#pragma unroll
    for (int q = 0; q < count; q++) v.at[q] = z[q];
    const esc_registers<2 *count> d = esc_derivatives_any<count>(p, v);
#pragma unroll
    for (int q = 0; q < count; q++) {
      derivative[q] = d.at[q];
      deficit[q] = d.at[count + q];
    }
  } else {
#pragma unroll
    for (int q = 0; q < count; q++) {
      const esc_eval_f32 e = kind == ESC_ACTIVATION_TANH ? esc_tanh_eval_with_f32(z[q], h[q])
                                                         : esc_evaluate<kind>(p, z[q]);
      derivative[q] = e.derivative;
      deficit[q] = e.deficit;
    }
  }
}

/* A tile: `samples` samples of a step's minibatch, from index `first` on. */
struct esc_fused_tile {
  int64_t step;
  uint64_t seed;
  int first, samples;
};

/* Draws the tile's inputs (docs/theory, section 8.3) into s_x. An iteration is one Philox block,
 * four inputs of one sample. Its number depends on the sample's index in the minibatch alone, not
 * on the tile or the thread, so that all engines draw the same inputs. Neighbouring threads draw
 * neighbouring samples, because their stores then use different banks. Rows beyond d are not
 * written: they stay 0 from esc_fused_clear_padding on. */
template <class P>
static __device__ __forceinline__ void esc_fused_draw_inputs(const esc_device_problem &p,
                                                             const esc_fused_block &b, int id,
                                                             const esc_fused_tile &tile) {
  const int inputs = esc_fused_inputs<P>(p), blocks = (inputs + 3) / 4;
#pragma unroll 2
  for (int i = id; i < blocks * ESC_TILE; i += P::threads) {
    const int sample = i % ESC_TILE, j = i / ESC_TILE;
    float normal[4] = {0, 0, 0, 0};
    if (sample < tile.samples) /* else 0 */
      esc_normal4_at(tile.seed, ESC_DOMAIN_DATA, (uint64_t)tile.step, 0,
                     (uint32_t)(tile.first + sample) * (uint32_t)blocks + (uint32_t)j, normal);
    for (int k = 0; k < 4 && 4 * j + k < inputs; k++)
      b.s_x[(4 * j + k) * ESC_FUSED_LEADING + sample] = normal[k];
  }
}

/* Input of layer l = 0, ..., L - 1, (N, leading): the network's input, or sigma(z) of layer l - 1.
 * It is read in the forward pass of layer l, for sigma' and kappa of layer l - 1, and in layer l's
 * gradient, so that all of them stay in shared memory until the end of the tile. */
template <class P>
static __device__ __forceinline__ float *esc_fused_layer_input(const esc_fused_block &b, int l) {
  return l == 0 ? b.s_x : b.s_h + (l - 1) * P::width * ESC_FUSED_LEADING;
}

/* Index of the first of layer l's square matrices, among all hidden layers': the first layer has
 * one for each panel of inputs. */
static __device__ __forceinline__ int esc_fused_first_matrix(const esc_fused_block &b, int l) {
  return l == 0 ? 0 : b.panels + l - 1;
}

/* Weights of hidden layer l, (matrices of the layer, N, weight_leading). */
template <class P>
static __device__ __forceinline__ float *esc_fused_layer_weights(const esc_fused_block &b, int l) {
  return b.s_w + esc_fused_first_matrix(b, l) * P::matrix_floats;
}

/* Columns of a matrix of which `left` columns of its layer are left, from its first one on. */
template <class P>
static __device__ __forceinline__ int esc_fused_matrix_columns(int left) {
  return left < P::width ? left : P::width;
}

/* z_l = W_l h_{l-1} into g_z, and h_l = sigma(z_l) into shared memory (docs/theory, section 0.1).
 * z_l is read once, in the backward pass; it is stored in device memory, because shared memory
 * limits both the depth of a network and the number of blocks on a multiprocessor. z of a block is
 * smaller than the block's shared memory, and all shared memory of an A100 or H100 is smaller than
 * its L2 cache: z of the resident blocks fits into it. */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_forward_layer(const esc_device_problem &p,
                                                               const esc_fused_block &b,
                                                               const esc_fused_thread<P> &t, int l,
                                                               float *g_z) {
  float sum[P::rows][P::columns] = {{0}}, *s_h = esc_fused_layer_input<P>(b, l + 1);
  const float *s_w = esc_fused_layer_weights<P>(b, l), *s_input = esc_fused_layer_input<P>(b, l);
  for (int left = l == 0 ? esc_fused_inputs<P>(p) : esc_fused_width<P>(p); left > 0;
       left -= P::width) {
    P::forward(s_w, s_input, esc_fused_matrix_columns<P>(left), t.map, sum);
    s_w += P::matrix_floats;
    s_input += P::width * ESC_FUSED_LEADING;
  }
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector) {
      const int feature = P::forward_feature(t.map, i), sample = P::forward_sample(t.map, j);
      float value[P::vector];
      esc_fused_values<kind, P::vector>(p, &sum[i][j], value);
      esc_store_global<P::vector>(g_z + feature * ESC_TILE + sample, &sum[i][j]);
      esc_store_vector<P::vector>(s_h + feature * ESC_FUSED_LEADING + sample, value);
    }
}

/* sum_i a_i b_i of one sample over n features (order.h: dot products), by one thread: with one
 * sample a thread, neighbouring threads read neighbouring floats of s_b and the same float of a,
 * and the tree needs no shuffle. a: weights in shared memory, or a direction of the teacher in
 * global memory. */
static __device__ __forceinline__ float esc_fused_dot(const float *a, const float *s_b, int n) {
  float partial[ESC_PARTIALS] = {0};
  int i = 0;
#pragma unroll 2
  for (; i + ESC_PARTIALS <= n; i += ESC_PARTIALS)
#pragma unroll
    for (int j = 0; j < ESC_PARTIALS; j++)
      partial[j] = esc_fma_f32(a[i + j], s_b[(i + j) * ESC_FUSED_LEADING], partial[j]);
  if (i == n) return esc_tree_reduce_f32(partial);
#pragma unroll
  for (int j = 0; j < ESC_PARTIALS; j++)
    if (i + j < n) partial[j] = esc_fma_f32(a[i + j], s_b[(i + j) * ESC_FUSED_LEADING], partial[j]);
  return esc_tree_reduce_f32(partial);
}

/* T(x) = sum_k a_k sigma(v_k . x) of one sample (docs/theory, section 0.2); for v_k = e_k the
 * projection is input k. */
template <class P, int kind>
static __device__ __forceinline__ float esc_fused_evaluate_target(const esc_device_problem &p,
                                                                  const float *s_x) {
  const int inputs = esc_fused_inputs<P>(p);
  float sum = 0;
  for (int k = 0; k < p.modes; k++) {
    const float projection =
        p.axes ? s_x[k * ESC_FUSED_LEADING]
               : esc_fused_dot(p.direction + (size_t)k * (size_t)inputs, s_x, inputs);
    sum = esc_fma_f32(p.amplitude[k], esc_fused_evaluate<kind>(p, projection).value, sum);
  }
  return sum;
}

/* Prediction, target, loss and dloss = (dl/df) / B of each sample (docs/theory, sections 0.1 to
 * 0.4), by the first ESC_TILE threads, one sample each. Then
 * ESC_PARTIALS threads add the losses to the partial sums of the minibatch (order.h: loss):
 * ESC_TILE is a multiple of ESC_PARTIALS, so that a sample's partial follows from its index in the
 * tile. A partial belongs to one thread, and needs no barrier from tile to tile.
 * Called by the whole block; contains a barrier. */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_evaluate_losses(const esc_device_problem &p,
                                                                 const esc_fused_block &b,
                                                                 const esc_fused_thread<P> &t,
                                                                 const float *s_h, int samples) {
  if (t.id < ESC_TILE) {
    const float f = esc_fused_dot(b.s_w_out, s_h + t.id, esc_fused_width<P>(p));
    const esc_loss_f32 e = esc_loss_eval_f32(p.loss, p.huber_delta, f,
                                             esc_fused_evaluate_target<P, kind>(p, b.s_x + t.id));
    b.s_sample_loss[t.id] = e.value;
    b.s_dloss[t.id] = t.id < samples ? esc_div_f32(e.derivative, (float)p.batch) : 0.0f;
  }
  __syncthreads();
  if (t.id < ESC_PARTIALS)
    for (int s = t.id; s < samples; s += ESC_PARTIALS)
      b.s_loss_partial[t.id] += (double)b.s_sample_loss[s];
}

/* Adds the tile to this thread's partial sum of the output layer's gradient G_L = sum_b dloss_b h_b
 * (docs/theory, section 0.4; order.h: weight gradients): feature n, one K-slice. The sum stays in a
 * register until the end of the minibatch. Of the threads, half have no K-slice for N > 32 and N =
 * 8, a quarter for N = 12. */
template <class P>
static __device__ __forceinline__ void esc_fused_add_output_gradient(const esc_fused_block &b,
                                                                     esc_fused_thread<P> *t,
                                                                     const float *s_h) {
  const int n = t->id % P::width, slice = t->id / P::width;
  if (slice >= P::slices) return;
#pragma unroll
  for (int s = slice * P::slice_length; s < (slice + 1) * P::slice_length; s += 4) {
    float dloss[4], h[4]; /* one load of four samples each, added in ascending order */
    esc_unpack(esc_load4(b.s_dloss + s), dloss);
    esc_unpack(esc_load4(s_h + n * ESC_FUSED_LEADING + s), h);
#pragma unroll
    for (int q = 0; q < 4; q++)
      t->output_gradient = esc_fma_f32(dloss[q], h[q], t->output_gradient);
  }
}

/* Index of output (i, j) of an input gradient in an array of activations in shared memory. */
template <class P>
static __device__ __forceinline__ int esc_fused_index(const esc_fused_thread<P> &t, int i, int j) {
  return P::gradient_feature(t.map, i) * ESC_FUSED_LEADING + P::gradient_sample(t.map, j);
}

/* Loads z of one layer from device memory, for the outputs that are the thread's in an input
 * gradient. Other threads stored them, because the thread map of the forward pass differs: the
 * barrier after each layer's forward pass makes them visible. */
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

/* Backward through the activation of one layer, whose pre-activations are z and whose values are
 * s_h (docs/theory, sections 0.4 and 1.4): replaces u by delta = u sigma'(z) and stores the
 * ledger's terms sum_b u kappa(z) of each feature, over the tile's samples. One pass computes both,
 * because sigma' and kappa share most of their arithmetic. With esc_fused_fma_products a lane's
 * four samples are one partial sum of order.h, and reduce_terms is its tree.
 * Called by whole warps. */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_activation_backward(
    const esc_device_problem &p, const esc_fused_thread<P> &t, const float *s_h,
    const float z[P::rows][P::columns], float *s_ledger_terms, float u[P::rows][P::columns]) {
  float partial[P::rows] = {0}; /* the ledger's terms of each feature, over this thread's samples */
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j += P::vector) {
      float h[P::vector], derivative[P::vector], deficit[P::vector];
      esc_load_vector<P::vector>(s_h + esc_fused_index(t, i, j), h);
      esc_fused_derivatives<kind, P::vector>(p, &z[i][j], h, derivative, deficit);
#pragma unroll
      for (int q = 0; q < P::vector; q++) {
        partial[i] = esc_fma_f32(u[i][j + q], deficit[q], partial[i]);
        u[i][j + q] = esc_mul_f32(u[i][j + q], derivative[q]);
      }
    }
  P::reduce_terms(partial);
#pragma unroll
  for (int i = 0; i < P::rows; i++)
    if (P::is_reduction_lane(t.map)) s_ledger_terms[P::ledger_term(t.map, i)] = partial[i];
}

/* Stores the outputs that are the thread's in an input gradient into an array of activations. */
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

/* Adds the tile's ledger terms, summed over features in double, to the sum over tiles of each
 * interface (order.h: ledger): ESC_PARTIALS lanes an interface. All threads run all iterations,
 * because the reduction is a shuffle of whole warps. The lane that adds to s_deficit is the same
 * for every tile.
 * Called by the whole block; contains no barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_add_deficits(const esc_device_problem &p,
                                                              const esc_fused_block &b,
                                                              const esc_fused_thread<P> &t) {
  enum { groups = P::threads / ESC_PARTIALS };
  for (int first = 0; first < p.layers - 1; first += groups) {
    const int l = first + t.group;
    double partial = 0;
    for (int n = t.lane; l < p.layers - 1 && n < P::ledger_terms; n += ESC_PARTIALS)
      if (P::ledger_feature(n) < esc_fused_width<P>(p))
        partial += (double)b.s_ledger_terms[l * P::ledger_terms + n];
    partial = esc_tree_reduce_lanes(partial);
    if (l < p.layers - 1 && t.lane == 0) b.s_deficit[l] += partial;
  }
}

/* A layer's gradient is summed over the tiles of a minibatch in one of two ways:
 *
 *    P::sums_across_tiles  init_sums loads the partial sums of the tiles before; the product
 *                          continues them
 *    otherwise             init_sums sets 0; add_partials adds the tiles before after the product
 *
 * store_partials stores the result for the next tile. Partial sums are in device memory, because in
 * shared memory they would need as much as all weights, P::slices times. A thread reads only its
 * own partial sums, which needs no barrier; neighbouring threads access neighbouring floats. */

/* Sets `sum` to the value from which the sum over this tile starts. Called a barrier and a product
 * before the sum is used, so that they hide the latency of the loads. */
template <class P>
static __device__ __forceinline__ void esc_fused_init_sums(
    const float *g_partial, bool first, float sum[P::gradient_rows][P::gradient_columns]) {
#pragma unroll
  for (int i = 0; i < P::gradient_rows; i++)
#pragma unroll
    for (int j = 0; j < P::gradient_columns; j++)
      sum[i][j] = P::sums_across_tiles && !first
                      ? g_partial[(P::gradient_columns * i + j) * P::threads]
                      : 0.0f;
}

/* Adds the partial sums of the tiles before, unless init_sums has loaded them. */
template <class P>
static __device__ __forceinline__ void esc_fused_add_partials(
    const float *g_partial, bool first, float sum[P::gradient_rows][P::gradient_columns]) {
#pragma unroll
  for (int i = 0; i < P::gradient_rows; i++)
#pragma unroll
    for (int j = 0; j < P::gradient_columns; j++)
      if (!P::sums_across_tiles && !first)
        sum[i][j] = esc_add_f32(g_partial[(P::gradient_columns * i + j) * P::threads], sum[i][j]);
}

/* Stores the partial sums for the next tile. */
template <class P>
static __device__ __forceinline__ void esc_fused_store_partials(
    float *g_partial, const float sum[P::gradient_rows][P::gradient_columns]) {
#pragma unroll
  for (int i = 0; i < P::gradient_rows; i++)
#pragma unroll
    for (int j = 0; j < P::gradient_columns; j++)
      g_partial[(P::gradient_columns * i + j) * P::threads] = sum[i][j];
}

/* A matrix whose weights are updated, (rows, columns), without its padding: a layer, or its columns
 * of one panel of inputs. */
struct esc_fused_layer {
  float rate;
  int rows, columns, stride;
  int start;              /* the first column's index in the layer */
  float *s_w;             /* (rows, weight_leading) */
  float *g_compensation;  /* of the weights, rows `stride` apart; NULL for the plain update */
  double *s_grad_norm_sq; /* receives |G|^2 */
};

/* The weights of a layer of `rows` rows that one thread updates: ESC_PARTIALS lanes a row, as in
 * the sum of |G|^2 (order.h), so that neighbouring threads access neighbouring columns. A panel of
 * 8 or 12 columns starts at the lane of its first column's index in the layer. Constant bounds let
 * the compensation stay in registers. */
template <class P, int rows>
struct esc_fused_thread_weights {
  enum {
    groups = P::threads / ESC_PARTIALS,
    thread_rows = (rows + groups - 1) / groups,
    thread_columns = (P::width + ESC_PARTIALS - 1) / ESC_PARTIALS,
  };
  float compensation[thread_rows][thread_columns];

  static __device__ __forceinline__ int row(const esc_fused_thread<P> &t, int i) {
    return i * groups + t.group;
  }
  static __device__ __forceinline__ int column(const esc_fused_thread<P> &t,
                                               const esc_fused_layer &layer, int j) {
    constexpr int width = P::width;
    if (width < ESC_PARTIALS) return (t.lane - layer.start) & (ESC_PARTIALS - 1);
    return j * ESC_PARTIALS + t.lane;
  }
};

/* Loads the compensation of the thread's weights from device memory; 0 where there is none. Called
 * before the reduction of a gradient, which hides the latency of the loads. */
template <class P, int rows>
static __device__ __forceinline__ esc_fused_thread_weights<P, rows> esc_fused_load_compensation(
    const esc_fused_thread<P> &t, const esc_fused_layer &layer) {
  esc_fused_thread_weights<P, rows> m;
#pragma unroll
  for (int i = 0; i < m.thread_rows; i++)
#pragma unroll
    for (int j = 0; j < m.thread_columns; j++) {
      const int n = m.row(t, i), k = m.column(t, layer, j);
      const bool present = layer.g_compensation && n < layer.rows && k < layer.columns;
      m.compensation[i][j] = present ? layer.g_compensation[n * layer.stride + k] : 0.0f;
    }
  return m;
}

/* |G|^2 and w <- w - eta gamma_l G of one matrix (docs/theory, sections 0.5 and 8.1) from the
 * gradient in b.s_gradient, in one pass: ESC_PARTIALS lanes sum a row of |G|^2 in double, then one
 * group sums the rows (order.h: |G|^2). Each weight has one thread, which loads, updates and stores
 * it and its compensation. row_partial: the thread's sums of each row, which continue from panel to
 * panel of a layer; |G|^2 is the layer's after its last panel.
 * Called by the whole block; contains a barrier. */
template <class P, int rows>
static __device__ __forceinline__ void esc_fused_update_layer(
    const esc_fused_block &b, esc_fused_thread<P> *t, const esc_fused_layer &layer,
    const esc_fused_thread_weights<P, rows> &m,
    double row_partial[esc_fused_thread_weights<P, rows>::thread_rows]) {
#pragma unroll
  for (int i = 0; i < m.thread_rows; i++) {
    const int n = m.row(*t, i);
    double partial = row_partial[i];
#pragma unroll
    for (int j = 0; j < m.thread_columns; j++) {
      const int k = m.column(*t, layer, j);
      if (n >= layer.rows || k >= layer.columns) continue;
      const float g = b.s_gradient[n * P::width + k];
      float *s_weight = layer.s_w + n * P::weight_leading + k;
      const esc_updated u = layer.g_compensation ? esc_update_compensated(layer.rate, g, *s_weight,
                                                                          m.compensation[i][j])
                                                 : esc_update_plain(layer.rate, g, *s_weight);
      partial += (double)g * (double)g;
      *s_weight = u.w;
      if (layer.g_compensation) layer.g_compensation[n * layer.stride + k] = u.compensation;
      t->nonzero_updates += u.nonzero_update;
      t->rounded_away += u.rounded_away;
    }
    row_partial[i] = partial;
    partial = esc_tree_reduce_lanes(partial);
    if (n < rows && t->lane == 0) b.s_row_norm_sq[n] = partial;
  }
  __syncthreads();  /* rows are complete, and s_gradient may be overwritten */
  if (t->id < 32) { /* a whole warp, because the shuffles of the reduction need all of its lanes */
    double partial = 0;
    for (int n = t->lane; t->group == 0 && n < rows; n += ESC_PARTIALS)
      partial += b.s_row_norm_sq[n];
    partial = esc_tree_reduce_lanes(partial);
    if (t->id == 0) *layer.s_grad_norm_sq = partial;
  }
}

#endif
