/* SPDX-License-Identifier: Apache-2.0 */
/* Backward through an activation: delta = u sigma'(z), fused with the imbalance
 * ledger's u kappa(z) (docs/theory, section 1.4). A block is one tile of samples of a network;
 * thread (n, q) takes features n, n + blockDim.x, ... and the samples of partials
 * q, q + QUARTERS, ... of order.h. */
#include "device.cuh"

enum { QUARTERS = 4, LOCAL = ESC_PARTIALS / QUARTERS };

/* A block's samples of the chunk's, and what they are multiplied by. */
struct tile {
  size_t first;
  int samples;
  const float *g_w; /* (width) the output layer's weights */
  const float *g_z; /* (sample of the chunk, width) */
};

/* u of sample b and feature n: for the last hidden layer dloss w. */
template <bool top>
static __device__ float incoming(const esc_chunk &chunk, const float *g_w, size_t b, size_t at,
                                 int n) {
  return top ? esc_mul_f32(chunk.dloss[b], g_w[n]) : chunk.u[at];
}

/* This thread's samples of feature n: writes delta, returns its share of the
 * feature's tree reduction, in which partial sum q + QUARTERS i is local[i]. */
template <int kind, bool top>
static __device__ float activation_backward(const esc_device_problem &p, const esc_chunk &chunk,
                                            const tile &t, int n, int q) {
  float local[LOCAL] = {0, 0, 0, 0};
#pragma unroll
  for (int i = 0; i < LOCAL; i++)
    for (int j = 0; j < ESC_SAMPLES_PER_PARTIAL; j++) {
      const int s = (q + QUARTERS * i) * ESC_SAMPLES_PER_PARTIAL + j;
      if (s >= t.samples) break;
      const size_t at = (t.first + (size_t)s) * (size_t)p.width + (size_t)n;
      const float u = incoming<top>(chunk, t.g_w, t.first + (size_t)s, at, n);
      const esc_eval_f32 e = esc_evaluate<kind>(p, t.g_z[at]);
      local[i] = esc_fma_f32(u, e.deficit, local[i]);
      chunk.delta[at] = esc_mul_f32(u, e.derivative);
    }
  local[0] = esc_add_f32(local[0], local[2]);
  local[1] = esc_add_f32(local[1], local[3]);
  return esc_add_f32(local[0], local[1]);
}

/* grid (tile, slot), block (features, QUARTERS); shared: the feature sums in
 * double, then the quarters' shares. */
template <int kind, bool top>
__global__ void esc_delta_kernel(esc_device_problem p, esc_chunk chunk, int l) {
  ESC_SHARED_MEMORY(double, feature);
  const int slot = (int)blockIdx.y, index = (int)blockIdx.x, q = (int)threadIdx.y;
  const int wide = (int)blockDim.x;
  if (!chunk.update_mask[slot]) return;
  float *share = (float *)(feature + p.width) + threadIdx.x; /* (quarter, thread) */
  const int start = index * ESC_TILE;
  const tile t = {(size_t)slot * (size_t)p.batch + (size_t)start,
                  p.batch - start < ESC_TILE ? p.batch - start : ESC_TILE,
                  chunk.w + (size_t)slot * chunk.weights + p.offset[p.layers - 1],
                  chunk.z + (size_t)l * esc_layer_floats(p, chunk)};
  for (int base = 0; base < p.width; base += wide) {
    const int n = base + (int)threadIdx.x;
    share[q * wide] = n < p.width ? activation_backward<kind, top>(p, chunk, t, n, q) : 0.0f;
    __syncthreads();
    if (q == 0 && n < p.width)
      feature[n] = (double)esc_add_f32(esc_add_f32(share[0], share[2 * wide]),
                                       esc_add_f32(share[wide], share[3 * wide]));
    __syncthreads();
  }
  if (q != 0 || threadIdx.x >= 32) return;
  double partial = 0;
  for (int n = (int)threadIdx.x; threadIdx.x < ESC_PARTIALS && n < p.width; n += ESC_PARTIALS)
    partial += feature[n];
  partial = esc_tree_reduce_lanes(partial);
  if (threadIdx.x == 0)
    chunk.tile[((size_t)slot * (size_t)(p.layers - 1) + (size_t)l) * gridDim.x + (size_t)index] =
        partial;
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
