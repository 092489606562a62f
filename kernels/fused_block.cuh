/* SPDX-License-Identifier: Apache-2.0 */
/* What a block of path `fused` keeps in shared memory, and what its threads are. */
#ifndef ESC_FUSED_BLOCK_CUH
#define ESC_FUSED_BLOCK_CUH

#include "fused_product.cuh"

/* A block's shared memory, in this order; doubles first. L layers, N wide; leading is
 * ESC_FUSED_LEADING. */
struct esc_fused_block {
  double *s_row;               /* (N) squares of a gradient's rows */
  double *s_deficit;           /* (L) the ledger's sums over tiles */
  double *s_grad_norm_sq;      /* (L) */
  double *s_loss;              /* (ESC_PARTIALS) partial sums of the minibatch's loss */
  unsigned long long *s_count; /* nonzero_updates, rounded_away */
  float *s_w;                  /* (L - 1, N, pitch) */
  float *s_w_out;              /* (N) of the output layer */
  float *s_x;                  /* (N, leading) inputs of the tile; rows beyond d are 0 */
  float *s_z;             /* (L - 1, N, leading) pre-activations, in the backward pass values */
  float *s_ping, *s_pong; /* (N, leading) ping-pong buffers of activations in the forward pass;
                             then s_ping has the deltas, s_pong a gradient */
  float *s_value;         /* (ESC_TILE) loss of each sample */
  float *s_dloss;         /* (ESC_TILE) dloss/df / B */
  float *s_feature;       /* (interface, 2 N) a tile's ledger terms, P::terms of them */
  int *s_update_mask;
};

/* The next `count` elements of shared memory. */
template <class T>
static __device__ __forceinline__ T *esc_carve(char **at, size_t count) {
  T *p = reinterpret_cast<T *>(*at);
  *at += count * sizeof(T);
  return p;
}

static __host__ __device__ inline size_t esc_fused_bytes(int layers, int width) {
  const size_t l = (size_t)layers, n = (size_t)width, row = (size_t)ESC_FUSED_LEADING;
  return sizeof(double) * (n + 2 * l + ESC_PARTIALS + 2) +
         sizeof(float) *
             ((l - 1) * n * (n + 4) + n + (l + 2) * n * row + 2 * ESC_TILE + (l - 1) * 2 * n + 4);
}

template <int N>
static __device__ __forceinline__ esc_fused_block esc_fused_layout(void *shared, int layers) {
  const size_t l = (size_t)layers, tile = (size_t)N * ESC_FUSED_LEADING;
  char *at = static_cast<char *>(shared);
  esc_fused_block b;
  b.s_row = esc_carve<double>(&at, N);
  b.s_deficit = esc_carve<double>(&at, l);
  b.s_grad_norm_sq = esc_carve<double>(&at, l);
  b.s_loss = esc_carve<double>(&at, ESC_PARTIALS);
  b.s_count = esc_carve<unsigned long long>(&at, 2);
  b.s_w = esc_carve<float>(&at, (l - 1) * N * esc_fused<N>::pitch);
  b.s_w_out = esc_carve<float>(&at, N);
  b.s_x = esc_carve<float>(&at, tile);
  b.s_z = esc_carve<float>(&at, (l - 1) * tile);
  b.s_ping = esc_carve<float>(&at, tile);
  b.s_pong = esc_carve<float>(&at, tile);
  b.s_value = esc_carve<float>(&at, ESC_TILE);
  b.s_dloss = esc_carve<float>(&at, ESC_TILE);
  b.s_feature = esc_carve<float>(&at, (l - 1) * 2 * N);
  b.s_update_mask = esc_carve<int>(&at, 1);
  return b;
}

/* A thread of a block whose products are P's. */
template <class P>
struct esc_fused_thread {
  int id, group, lane; /* ESC_PARTIALS lanes a group */
  typename P::thread_map map;
  int nonzero_updates, rounded_away;
  float output[1]; /* this thread's partial sum of the output layer's gradient */
};

template <class P>
static __device__ __forceinline__ esc_fused_thread<P> esc_fused_make_thread(int id) {
  esc_fused_thread<P> t;
  t.id = id;
  t.group = id / ESC_PARTIALS;
  t.lane = id % ESC_PARTIALS;
  t.map = P::make_thread_map(id);
  t.nonzero_updates = t.rounded_away = 0;
  t.output[0] = 0;
  return t;
}

#endif
