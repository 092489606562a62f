/* SPDX-License-Identifier: Apache-2.0 */
/* Shared memory of a block of path `fused`, and the state of its threads. */
#ifndef ESC_FUSED_BLOCK_CUH
#define ESC_FUSED_BLOCK_CUH

#include "fused_product.cuh"

/* Padding. N, the padded width, is the network's width rounded up to a multiple of 16; by fused
 * multiply-adds, to 8 or 12 where these suffice, because N = 16 would limit the blocks of a
 * multiprocessor. The d inputs are divided into panels of N, the last one filled with zeros: the
 * first layer has one square matrix of weights for each panel, every other hidden layer has one.
 * Rows and columns of weights in the padding are 0, and no update reaches them; sums over features
 * that enter a result end at the network's width. */
static inline int esc_fused_3xtf32_padded_width(int width) { return (width + 15) / 16 * 16; }
static inline int esc_fused_padded_width(int width) {
  return width <= 8 ? 8 : width <= 12 ? 12 : esc_fused_3xtf32_padded_width(width);
}
static __host__ __device__ inline int esc_fused_panels(int inputs, int padded_width) {
  return (inputs + padded_width - 1) / padded_width;
}

/* The matrix products of P in a kernel for networks without padding, of width N with N inputs:
 * loops have constant bounds and no remainder, and distances in shared memory are constants. */
template <class P>
struct esc_fused_unpadded : P {
  enum { unpadded = 1 };
};
template <class P>
static inline bool esc_fused_is_unpadded(const esc_device_problem &p) {
  return p.width == P::width && p.inputs == P::width;
}

/* The network's width and number of inputs. */
template <class P>
static __device__ __forceinline__ int esc_fused_width(const esc_device_problem &p) {
  return P::unpadded ? (int)P::width : p.width;
}
template <class P>
static __device__ __forceinline__ int esc_fused_inputs(const esc_device_problem &p) {
  return P::unpadded ? (int)P::width : p.inputs;
}

/* The arrays of a block in shared memory, in this order: 8-byte elements first. Each float array
 * that is read as float4 starts at a multiple of 16 bytes, because N is a multiple of 4 and N + 2
 * L + 18 is even. leading: ESC_FUSED_LEADING; weight_leading: N + 4; K = ceil(d / N) panels.
 *
 * Weights stay for a whole launch, activations for one tile, the others for less. */
struct esc_fused_block {
  double *s_row_norm_sq;       /* (N) |.|^2 of a gradient's rows */
  double *s_deficit;           /* (L - 1, padded to L) mean[u . kappa(z)] of each interface */
  double *s_grad_norm_sq;      /* (L) |G_l|^2 */
  double *s_loss_partial;      /* (ESC_PARTIALS) partial sums of the minibatch's loss */
  unsigned long long *s_count; /* nonzero_updates, rounded_away */
  float *s_w;                  /* (K + L - 2, N, weight_leading) */
  float *s_w_out;              /* (N) of the output layer */
  float *s_x;                  /* (K N, leading) inputs of the tile; rows beyond d are 0 */
  float *s_h;                  /* (L - 1, N, leading) sigma(z) of each hidden layer */
  float *s_delta;              /* (N, leading) deltas of one layer */
  float *s_gradient;           /* (N, N) a layer's gradient; before, (slices / 2, N, N) partial sums
                                  of its K-slices, at most 68 N floats */
  float *s_sample_loss;        /* (ESC_TILE) loss of each sample */
  float *s_dloss;              /* (ESC_TILE) dloss/df / B */
  float *s_ledger_terms;       /* (interface, P::ledger_terms <= 2 N) ledger terms of a tile */
  int *s_update_mask;          /* whether the step makes an update */
  int panels;                  /* K */
};

/* The next `count` elements of shared memory; advances `next` past them. */
template <class T>
static __device__ __forceinline__ T *esc_carve(char **next, size_t count) {
  T *s_array = reinterpret_cast<T *>(*next);
  *next += count * sizeof(T);
  return s_array;
}

/* Bytes of shared memory of a block: the arrays of esc_fused_block, the last padded to 16 bytes. */
static inline size_t esc_fused_block_bytes(int layers, int padded_width, int inputs) {
  const size_t l = (size_t)layers, n = (size_t)padded_width, row = (size_t)ESC_FUSED_LEADING,
               k = (size_t)esc_fused_panels(inputs, padded_width);
  return sizeof(double) * (n + 2 * l + ESC_PARTIALS + 2) +
         sizeof(float) * ((k + l - 2) * n * (n + 4) + n + (k + l + 1) * n * row + 2 * ESC_TILE +
                          (l - 1) * 2 * n + 4);
}

/* Divides the block's shared memory into its arrays. */
template <int N>
static __device__ __forceinline__ esc_fused_block esc_fused_block_make(void *shared, int layers,
                                                                       int inputs) {
  const size_t l = (size_t)layers, tile = (size_t)N * ESC_FUSED_LEADING;
  char *next = static_cast<char *>(shared);
  esc_fused_block b;
  b.panels = esc_fused_panels(inputs, N);
  b.s_row_norm_sq = esc_carve<double>(&next, N);
  b.s_deficit = esc_carve<double>(&next, l);
  b.s_grad_norm_sq = esc_carve<double>(&next, l);
  b.s_loss_partial = esc_carve<double>(&next, ESC_PARTIALS);
  b.s_count = esc_carve<unsigned long long>(&next, 2);
  b.s_w =
      esc_carve<float>(&next, ((size_t)b.panels + l - 2) * esc_fused_geometry<N>::matrix_floats);
  b.s_w_out = esc_carve<float>(&next, N);
  b.s_x = esc_carve<float>(&next, (size_t)b.panels * tile);
  b.s_h = esc_carve<float>(&next, (l - 1) * tile);
  b.s_delta = esc_carve<float>(&next, tile);
  b.s_gradient = esc_carve<float>(&next, tile);
  b.s_sample_loss = esc_carve<float>(&next, ESC_TILE);
  b.s_dloss = esc_carve<float>(&next, ESC_TILE);
  b.s_ledger_terms = esc_carve<float>(&next, (l - 1) * 2 * N);
  b.s_update_mask = esc_carve<int>(&next, 1);
  return b;
}

/* State of one thread, in registers through the steps of a launch; P: the matrix products. */
template <class P>
struct esc_fused_thread {
  int id, group, lane;        /* ESC_PARTIALS lanes a group, for sums in the order of order.h */
  typename P::thread_map map; /* for matrix products */
  int nonzero_updates, rounded_away; /* of this thread's weights, in this launch */
  float output_gradient;             /* this thread's partial sum of the output layer's gradient */
};

template <class P>
static __device__ __forceinline__ esc_fused_thread<P> esc_fused_thread_make(int id) {
  esc_fused_thread<P> t;
  t.id = id;
  t.group = id / ESC_PARTIALS;
  t.lane = id % ESC_PARTIALS;
  t.map = P::make_thread_map(id);
  t.nonzero_updates = t.rounded_away = 0;
  t.output_gradient = 0;
  return t;
}

#endif
