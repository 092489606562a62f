/* SPDX-License-Identifier: Apache-2.0 */
/* One step of path `fused` (fused.h), and the prologue and epilogue of a launch. P: the matrix
 * products (fused_product.cuh).
 *
 * For each tile: inputs -> forward -> losses -> (last tile: stopping rule) -> output gradient ->
 * backward -> ledger terms; then the output layer's update and the ledger. Gradients are summed
 * over the tiles; the weights change in the backward pass of the last tile, each layer after its
 * input gradient has been computed from the old weights.
 *
 * The stopping rule needs the loss of the whole minibatch, and the step at which a network stops
 * makes no update: the rule is applied before the first weight changes. The backward passes of that
 * step's other tiles have no effect, which happens once in a network's training. */
#ifndef ESC_FUSED_STEP_CUH
#define ESC_FUSED_STEP_CUH

#include "fused.h"
#include "fused_optimize.cuh"
#include "fused_stage.cuh"

/* Arguments of the kernel. */
struct esc_fused_arguments {
  esc_device_problem problem;
  esc_track_rules rules;
  esc_chunk chunk;
  int64_t steps;
};

/* This thread's partial sums of a matrix's gradient between tiles: element k is k P::threads floats
 * further. Not to be dereferenced if a minibatch is one tile: chunk.partials is NULL then. */
template <class P>
static __device__ __forceinline__ float *esc_fused_thread_partials(const esc_fused_arguments &args,
                                                                   const esc_fused_block &b,
                                                                   const esc_fused_thread<P> &t,
                                                                   int matrix) {
  const size_t each = (size_t)P::gradient_rows * P::gradient_columns * P::threads;
  const size_t matrices = (size_t)(b.panels + args.problem.layers - 2);
  return args.chunk.partials + ((size_t)blockIdx.x * matrices + (size_t)matrix) * each + t.id;
}

/* z of hidden layer l of this block's tile, (N, ESC_TILE). All tiles use the same memory: a tile's
 * z is needed only until its backward pass. */
template <class P>
static __device__ __forceinline__ float *esc_fused_tile_z(const esc_fused_arguments &args, int l) {
  const size_t layer = (size_t)blockIdx.x * (size_t)(args.problem.layers - 1) + (size_t)l;
  return args.chunk.tile_z + layer * P::width * ESC_TILE;
}

/* Offset of matrix `panel` of layer l in the chunk's arrays of weights. */
template <class P>
static __device__ __forceinline__ size_t esc_fused_weight_offset(const esc_fused_arguments &args,
                                                                 int l, int panel) {
  return (size_t)blockIdx.x * args.chunk.weight_stride + args.problem.offset[l] +
         (size_t)(panel * P::width);
}

/* Matrix `panel` of hidden layer l, without its padding. */
template <class P>
static __device__ __forceinline__ esc_fused_layer
esc_fused_layer_make(const esc_fused_arguments &args, const esc_fused_block &b, int l, int panel) {
  const esc_device_problem &p = args.problem;
  const int width = esc_fused_width<P>(p), column = panel * P::width;
  const int fan_in = l == 0 ? esc_fused_inputs<P>(p) : width;
  const size_t offset =
      (size_t)blockIdx.x * args.chunk.weight_stride + p.offset[l] + (size_t)column;
  const esc_fused_layer layer = {p.rate[l],
                                 width,
                                 esc_fused_matrix_columns<P>(fan_in - column),
                                 fan_in,
                                 column,
                                 esc_fused_layer_weights<P>(b, l) + panel * P::matrix_floats,
                                 args.chunk.compensation ? args.chunk.compensation + offset : NULL,
                                 &b.s_grad_norm_sq[l]};
  return layer;
}

/* G_l += delta_l h_{l-1}' over this tile (docs/theory, section 0.4) for the columns of one matrix,
 * from the deltas in s_delta and `sum` of esc_fused_init_sums; after the last tile the reduction of
 * the K-slices and the matrix's update. On return s_delta may be overwritten: either branch has a
 * barrier after its last use.
 * Called by the whole block; contains a barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_matrix_backward(
    const esc_fused_arguments &args, const esc_fused_block &b, esc_fused_thread<P> *t, int l,
    int panel, bool first, bool last, float sum[P::gradient_rows][P::gradient_columns],
    double row_partial[P::row_sums * esc_fused_thread_weights<P, P::width>::thread_rows]) {
  float *g_partial = esc_fused_thread_partials(args, b, *t, esc_fused_first_matrix(b, l) + panel);
  P::weight_gradient(b.s_delta,
                     esc_fused_layer_input<P>(b, l) + panel * P::width * ESC_FUSED_LEADING, t->map,
                     sum);
  esc_fused_add_partials<P>(g_partial, first, sum);
  if (!last) {
    esc_fused_store_partials<P>(g_partial, sum);
    __syncthreads(); /* s_delta has been read by all, in the first layer s_x too */
    return;
  }
  const esc_fused_layer layer = esc_fused_layer_make<P>(args, b, l, panel);
  const auto update = esc_fused_load_compensation<P, P::width>(*t, layer);
  P::reduce_gradient(t->map, sum, b.s_gradient);
  if constexpr (P::optimized)
    esc_fused_optimize_layer<P, P::width>(args.problem, args.chunk, b, *t, layer, l,
                                          esc_fused_weight_offset<P>(args, l, panel),
                                          row_partial + update.thread_rows);
  esc_fused_update_layer(b, t, layer, update, row_partial);
}

/* The first layer's matrices after the first one, in ascending order, which is that of |G_1|^2.
 * Apart from esc_fused_backward's loop over layers, whose registers they would need.
 *
 * Without padding there are none, but nvcc is not told so: if it is, a step at N = 32 is 1% slower,
 * in 3xTF32 8% (modelled, B = 512), because warps wait longer for z.
 * Called by the whole block; contains a barrier if d > N. */
template <class P>
static __device__ __forceinline__ void esc_fused_panels_backward(
    const esc_fused_arguments &args, const esc_fused_block &b, esc_fused_thread<P> *t, bool first,
    bool last,
    double row_partial[P::row_sums * esc_fused_thread_weights<P, P::width>::thread_rows]) {
  const int panels = P::unpadded ? esc_fused_panels(args.problem.inputs, P::width) : b.panels;
  for (int panel = 1; panel < panels; panel++) {
    float sum[P::gradient_rows][P::gradient_columns];
    esc_fused_init_sums<P>(esc_fused_thread_partials(args, b, *t, panel), first, sum);
    esc_fused_matrix_backward<P>(args, b, t, 0, panel, first, last, sum, row_partial);
  }
}

/* Backward pass of a tile, from dloss to the first layer (docs/theory, section 0.4). `first`,
 * `last`: tile of the minibatch.
 *
 * s_delta holds the deltas of one layer at a time. An iteration stores delta_l, then computes
 * u_{l-1} and delta_{l-1} in registers, and only then the gradient of layer l, whose update changes
 * the weights from which u_{l-1} has been computed. One barrier after the stores is enough, because
 * esc_fused_matrix_backward has another between its reads of s_delta and the next iteration's
 * stores.
 *
 * Loads from device memory are issued before that barrier and a product, which hide their latency;
 * z of the last hidden layer is the exception.
 * Called by the whole block; contains a barrier. */
template <class P, int kind>
static __device__ __forceinline__ void esc_fused_backward(const esc_fused_arguments &args,
                                                          const esc_fused_block &b,
                                                          esc_fused_thread<P> *t, bool first,
                                                          bool last) {
  const esc_device_problem &p = args.problem;
  enum { row_sums = P::row_sums * esc_fused_thread_weights<P, P::width>::thread_rows };
  float z[P::rows][P::columns], u[P::rows][P::columns];
  double row_partial[row_sums];
  const int top = p.layers - 2;
  esc_fused_load_z(*t, esc_fused_tile_z<P>(args, top), z);
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j++)
      u[i][j] = esc_mul_f32(b.s_dloss[P::gradient_sample(t->map, j)],
                            b.s_w_out[P::gradient_feature(t->map, i)]);
  esc_fused_activation_backward<P, kind>(p, *t, esc_fused_layer_input<P>(b, top + 1), z,
                                         b.s_ledger_terms + top * P::ledger_terms, u);
  for (int l = top; l >= 0; l--) {
    float sum[P::gradient_rows][P::gradient_columns];
    esc_fused_store_outputs(*t, u, b.s_delta); /* u holds delta_l */
    if (l > 0) esc_fused_load_z(*t, esc_fused_tile_z<P>(args, l - 1), z);
    esc_fused_init_sums<P>(esc_fused_thread_partials(args, b, *t, esc_fused_first_matrix(b, l)),
                           first, sum);
    __syncthreads(); /* delta_l is complete */
    if (l > 0) {
#pragma unroll
      for (int i = 0; i < P::rows; i++)
#pragma unroll
        for (int j = 0; j < P::columns; j++) u[i][j] = 0;
      P::input_gradient(esc_fused_layer_weights<P>(b, l), b.s_delta, esc_fused_width<P>(p), t->map,
                        u);
      esc_fused_activation_backward<P, kind>(p, *t, esc_fused_layer_input<P>(b, l), z,
                                             b.s_ledger_terms + (l - 1) * P::ledger_terms, u);
    }
#pragma unroll
    for (int i = 0; i < row_sums; i++) row_partial[i] = 0;
    esc_fused_matrix_backward<P>(args, b, t, l, 0, first, last, sum, row_partial);
  }
  esc_fused_panels_backward<P>(args, b, t, first, last, row_partial);
}

/* Forward pass of a tile (docs/theory, section 0.1); returns the last hidden layer's values. The
 * barrier of a layer completes its values for the next layer, and its z for the backward pass.
 * Called by the whole block; contains a barrier. */
template <class P, int kind>
static __device__ __forceinline__ const float *esc_fused_forward(const esc_fused_arguments &args,
                                                                 const esc_fused_block &b,
                                                                 const esc_fused_thread<P> &t) {
  for (int l = 0; l < args.problem.layers - 1; l++) {
    esc_fused_forward_layer<P, kind>(args.problem, b, t, l, esc_fused_tile_z<P>(args, l));
    __syncthreads();
  }
  return esc_fused_layer_input<P>(b, args.problem.layers - 1);
}

/* Tree reduction of the K-slices' partial sums of the output layer's gradient, and the layer's
 * update (docs/theory, section 0.5). After the tiles: their backward passes read the old weights.
 * s_gradient is free, because the update of the first layer ended with a barrier after its reads.
 * Called by the whole block; contains a barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_update_output_layer(
    const esc_fused_arguments &args, const esc_fused_block &b, esc_fused_thread<P> *t) {
  const esc_device_problem &p = args.problem;
  const int last = p.layers - 1, n = t->id % P::width, slice = t->id / P::width;
  float *s_partial = b.s_gradient;
  if (slice < P::slices) s_partial[slice * P::width + n] = t->output_gradient;
  __syncthreads();
  for (int half = P::slices / 2; half > 0; half /= 2) {
    if (slice < half)
      s_partial[slice * P::width + n] =
          esc_add_f32(s_partial[slice * P::width + n], s_partial[(slice + half) * P::width + n]);
    __syncthreads();
  }
  const size_t offset = (size_t)blockIdx.x * args.chunk.weight_stride + p.offset[last];
  const esc_fused_layer layer = {p.rate[last],
                                 1,
                                 esc_fused_width<P>(p),
                                 esc_fused_width<P>(p),
                                 0,
                                 b.s_w_out,
                                 args.chunk.compensation ? args.chunk.compensation + offset : NULL,
                                 &b.s_grad_norm_sq[last]};
  double row_partial[P::row_sums] = {0};
  if constexpr (P::optimized)
    esc_fused_optimize_layer<P, 1>(p, args.chunk, b, *t, layer, last, offset, row_partial + 1);
  esc_fused_update_layer(b, t, layer, esc_fused_load_compensation<P, 1>(*t, layer), row_partial);
}

/* Records the escape events of the minibatch's mean loss (docs/theory, section 0.6); returns
 * whether the step makes an update, the same value in all threads.
 * Called by the whole block; contains a barrier. */
static __device__ __forceinline__ bool esc_fused_apply_stopping_rule(
    const esc_fused_arguments &args, const esc_fused_block &b, int id) {
  __syncthreads(); /* the partial sums of the loss are complete */
  if (id == 0)
    *b.s_update_mask = esc_track_loss(&args.chunk.track[blockIdx.x], &args.rules,
                                      esc_tree_reduce_f64(b.s_loss_partial) / args.problem.batch);
  __syncthreads();
  return *b.s_update_mask != 0;
}

/* Adds the step to the imbalance ledger (docs/theory, section 1.5): one thread a layer, because a
 * block has at least 64 = ESC_LAYERS_MAX threads. The last barrier makes step and finished visible
 * to all threads, which read them next. Called by the whole block; contains a barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_accumulate_ledger(const esc_fused_arguments &args,
                                                                   const esc_fused_block &b,
                                                                   int id) {
  esc_track *g_track = &args.chunk.track[blockIdx.x];
  __syncthreads(); /* deficits and norms are complete */
  if (id < args.problem.layers)
    esc_fused_track_layer<P>(args.rules, args.chunk, b, args.problem.layers, id);
  if (id == 0) esc_track_step(g_track, &args.rules);
  __syncthreads();
}

/* One training step; false if the network has finished without an update. Sums over tiles start
 * from 0 here; the barriers of the first tile separate that from the first additions of other
 * threads.
 * Called by the whole block; contains a barrier. */
template <class P, int kind>
static __device__ __forceinline__ bool esc_fused_step(const esc_fused_arguments &args,
                                                      const esc_fused_block &b,
                                                      esc_fused_thread<P> *t) {
  const esc_device_problem &p = args.problem;
  const esc_track *g_track = &args.chunk.track[blockIdx.x];
  esc_fused_tile tile = {g_track->step, args.chunk.seed[blockIdx.x], 0, 0};
  if (t->id < ESC_PARTIALS) b.s_loss_partial[t->id] = 0;
  if (t->id < p.layers) b.s_deficit[t->id] = 0;
  t->output_gradient = 0;
  for (int from = 0; from < p.batch; from += ESC_TILE) {
    const bool last = from + ESC_TILE >= p.batch;
    tile.first = from;
    tile.samples = p.batch - from < ESC_TILE ? p.batch - from : ESC_TILE;
    esc_fused_draw_inputs<P>(p, b, t->id, tile);
    __syncthreads(); /* inputs, and the ledger terms of the tile before, which may be overwritten */
    const float *s_h = esc_fused_forward<P, kind>(args, b, *t);
    esc_fused_evaluate_losses<P, kind>(p, b, *t, s_h, tile.samples);
    if (last && !esc_fused_apply_stopping_rule(args, b, t->id)) return false;
    esc_fused_add_output_gradient(b, t, s_h);
    esc_fused_backward<P, kind>(args, b, t, from == 0, last);
    esc_fused_add_deficits(p, b, *t);
  }
  esc_fused_update_output_layer<P>(args, b, t);
  esc_fused_accumulate_ledger<P>(args, b, t->id);
  return true;
}

/* Copies all weights from device memory into shared memory (`load`), or back. In device memory they
 * are contiguous, and neighbouring threads copy neighbouring floats; in shared memory they are
 * square matrices with padding, whose rows have the leading dimension P::weight_leading. */
template <class P, bool load>
static __device__ __forceinline__ void esc_fused_copy_weights(const esc_fused_arguments &args,
                                                              const esc_fused_block &b, int id) {
  const esc_device_problem &p = args.problem;
  float *g_w = args.chunk.w + (size_t)blockIdx.x * args.chunk.weight_stride;
  for (int l = 0; l < p.layers; l++) {
    const int width = esc_fused_width<P>(p), rows = l == p.layers - 1 ? 1 : width,
              columns = l == 0 ? esc_fused_inputs<P>(p) : width;
    float *s_w = l == p.layers - 1 ? b.s_w_out : esc_fused_layer_weights<P>(b, l);
    for (int i = id; i < rows * columns; i += P::threads) {
      const int n = i / columns, k = i % columns;
      float *g_weight = g_w + p.offset[l] + i, *s_weight = s_w + k / P::width * P::matrix_floats +
                                                           n * P::weight_leading + k % P::width;
      if (load)
        *s_weight = *g_weight;
      else
        *g_weight = *s_weight;
    }
  }
}

/* Sets the padding of inputs and weights to 0, once a launch: nothing writes it later. Also the
 * block's counts.
 * Called by the whole block; contains a barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_clear_padding(const esc_device_problem &p,
                                                               const esc_fused_block &b, int id) {
  const int inputs = b.panels * P::width * ESC_FUSED_LEADING,
            weights = (b.panels + p.layers - 2) * P::matrix_floats;
  for (int i = id; i < inputs; i += P::threads) b.s_x[i] = 0;
  for (int i = id; i < weights; i += P::threads) b.s_w[i] = 0;
  if (id < P::width) b.s_w_out[id] = 0;
  if (id < 2) b.s_count[id] = 0;
  __syncthreads();
}

/* Before the steps of a launch: makes the state of the thread and loads the weights.
 * Called by the whole block; contains a barrier. */
template <class P>
static __device__ __forceinline__ esc_fused_thread<P> esc_fused_prologue(
    const esc_fused_arguments &args, const esc_fused_block &b) {
  const esc_fused_thread<P> t = esc_fused_thread_make<P>((int)threadIdx.x);
  esc_fused_clear_padding<P>(args.problem, b, t.id);
  esc_fused_copy_weights<P, true>(args, b, t.id);
  __syncthreads();
  return t;
}

/* After the steps of a launch: adds the threads' counts and stores the weights. A thread's counts
 * are int: a block has 64 threads or more and at most 2^16 weights, which are 2^10 weights a thread
 * and step, and a launch has at most 2^20 steps (host/run/scheduler.c: train). The totals of a
 * network have 64 bits.
 * Called by the whole block; contains a barrier. */
template <class P>
static __device__ __forceinline__ void esc_fused_epilogue(const esc_fused_arguments &args,
                                                          const esc_fused_block &b,
                                                          const esc_fused_thread<P> &t) {
  esc_track *g_track = &args.chunk.track[blockIdx.x];
  atomicAdd(&b.s_count[0],
            (unsigned long long)t.nonzero_updates); /* integers: their sum has no order */
  atomicAdd(&b.s_count[1], (unsigned long long)t.rounded_away);
  __syncthreads();
  esc_fused_copy_weights<P, false>(args, b, t.id);
  if (t.id != 0) return;
  g_track->nonzero_updates += (int64_t)b.s_count[0];
  g_track->rounded_away += (int64_t)b.s_count[1];
}

#endif
