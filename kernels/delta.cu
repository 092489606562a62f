/* SPDX-License-Identifier: Apache-2.0 */
/* Backward through an activation: delta = u sigma'(z) and, in the same pass, the imbalance
 * ledger's terms sum_b u kappa(z) of one tile of samples (docs/theory, sections 0.4 and 1.4).
 * For the last hidden layer u = dloss w_L.
 *
 * A block is one tile of a network. Thread (n, q) computes features n, n + blockDim.x, ... of the
 * samples of partial sums q, q + QUARTERS, ... of order.h: a warp reads neighbouring features, and
 * q selects a quarter of the partial sums.
 *
 *    grid     (T, slots)
 *    block    (32 for N <= 32, else 64; 4)
 *    shared   8 N + 16 blockDim.x bytes: the features' sums in double, then the sums of quarters
 *    bytes    read 4 B N (z), 4 B N (u; for the last hidden layer 4 B (dloss), 4 N (w_L));
 *             written 4 B N (delta), 8 T (tile)
 *    work     B N FMA, B N products (2 B N for the last hidden layer), 15 N T additions, N T
 *             additions in double, and B N evaluations of sigma, sigma' and kappa
 *    order.h  ledger u . kappa(z), up to the sum of a tile */
#include "device.cuh"

enum { QUARTERS = 4, LOCAL = ESC_PARTIALS / QUARTERS };

/* A block's samples, and arrays of its network and layer. */
struct tile {
  size_t first;     /* index of the first sample in the chunk */
  int samples;      /* ESC_TILE, or fewer in the last tile */
  const float *g_w; /* (width) the output layer's weights */
  const float *g_z; /* (sample of the chunk, width) */
};

/* u of sample b and feature n (docs/theory, section 0.4); `top`: last hidden layer. */
template <bool top>
static __device__ float upstream_gradient(const esc_chunk &chunk, const float *g_w, size_t b,
                                          size_t offset, int n) {
  return top ? esc_mul_f32(chunk.dloss[b], g_w[n]) : chunk.u[offset];
}

/* This thread's samples of feature n: writes delta, returns the sum of its quarter of the feature's
 * partial sums, q + QUARTERS i in local[i]. The first two levels of the tree add partial sums 8 and
 * 4 apart, multiples of QUARTERS, so that one thread has both and no shuffle is needed. For a
 * polynomial, samples in a loop: unrolled, it took 232 registers on sm_100. */
template <int kind, bool top>
static __device__ float activation_backward(const esc_device_problem &p, const esc_chunk &chunk,
                                            const tile &t, int n, int q) {
  float local[LOCAL] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < LOCAL; i++)
#pragma unroll(kind == ESC_ACTIVATION_POLYNOMIAL ? 1 : ESC_SAMPLES_PER_PARTIAL)
    for (int j = 0; j < ESC_SAMPLES_PER_PARTIAL; j++) {
      const int s = (q + QUARTERS * i) * ESC_SAMPLES_PER_PARTIAL + j;
      if (s >= t.samples) break;
      const size_t offset = (t.first + (size_t)s) * (size_t)p.width + (size_t)n;
      const float u = upstream_gradient<top>(chunk, t.g_w, t.first + (size_t)s, offset, n);
      const esc_eval_f32 e = esc_evaluate<kind>(p, t.g_z[offset]);
      local[i] = esc_fma_f32(u, e.deficit, local[i]);
      chunk.delta[offset] = esc_mul_f32(u, e.derivative);
    }
  local[0] = esc_add_f32(local[0], local[2]);
  local[1] = esc_add_f32(local[1], local[3]);
  return esc_add_f32(local[0], local[1]);
}

template <int kind, bool top>
__global__ void esc_delta_kernel(esc_device_problem p, esc_chunk chunk, int l) {
  ESC_SHARED_MEMORY(double, s_feature);
  const int slot = (int)blockIdx.y, tile_index = (int)blockIdx.x, q = (int)threadIdx.y;
  const int stride = (int)blockDim.x;
  if (!chunk.update_mask[slot]) return;
  float *s_quarter = (float *)(s_feature + p.width) + threadIdx.x; /* (quarter, thread) */
  const int start = tile_index * ESC_TILE;
  const tile t = {(size_t)slot * (size_t)p.batch + (size_t)start,
                  p.batch - start < ESC_TILE ? p.batch - start : ESC_TILE,
                  chunk.w + (size_t)slot * chunk.weight_stride + p.offset[p.layers - 1],
                  chunk.z + (size_t)l * esc_layer_floats(p, chunk)};
  for (int base = 0; base < p.width; base += stride) {
    const int n = base + (int)threadIdx.x;
    s_quarter[q * stride] = n < p.width ? activation_backward<kind, top>(p, chunk, t, n, q) : 0.0f;
    __syncthreads();
    if (q == 0 && n < p.width)
      s_feature[n] = (double)esc_add_f32(esc_add_f32(s_quarter[0], s_quarter[2 * stride]),
                                         esc_add_f32(s_quarter[stride], s_quarter[3 * stride]));
    __syncthreads();
  }
  if (q != 0 || threadIdx.x >= 32) return; /* one warp, because the reduction needs all its lanes */
  double partial = 0;
  for (int n = (int)threadIdx.x; threadIdx.x < ESC_PARTIALS && n < p.width; n += ESC_PARTIALS)
    partial += s_feature[n];
  partial = esc_tree_reduce_lanes(partial);
  if (threadIdx.x == 0)
    chunk.tile_deficit[((size_t)slot * (size_t)(p.layers - 1) + (size_t)l) * gridDim.x +
                       (size_t)tile_index] = partial;
}

int esc_chunk_tiles(const esc_device_problem *p) { return (p->batch + ESC_TILE - 1) / ESC_TILE; }

cudaError_t esc_launch_delta(const esc_device_problem *p, const esc_chunk *chunk, int l,
                             cudaStream_t stream) {
  const dim3 grid((unsigned)esc_chunk_tiles(p), (unsigned)chunk->slots);
  const dim3 block(p->width <= 32 ? 32 : 64, QUARTERS);
  const size_t shared = (size_t)p->width * sizeof(double) + QUARTERS * block.x * sizeof(float);
  cudaError_t error = cudaSuccess;
#define LAUNCH(kind)                                                                            \
  error = l == p->layers - 2 ? ESC_LAUNCH((esc_delta_kernel<kind, true>), grid, block, shared,  \
                                          stream, *p, *chunk, l)                                \
                             : ESC_LAUNCH((esc_delta_kernel<kind, false>), grid, block, shared, \
                                          stream, *p, *chunk, l)
  ESC_DISPATCH_ACTIVATION(p->activation, LAUNCH)
#undef LAUNCH
  return error;
}
