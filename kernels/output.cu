/* SPDX-License-Identifier: Apache-2.0 */
/* From the last hidden layer to the loss, and the output layer's gradient. */
#include "device.cuh"
#include "escapement/internal/loss.h"

/* RESIDENT_BLOCKS, of esc_output_kernel on a multiprocessor, let the compiler use 48 registers a
 * thread: without a bound, ptxas 13.0 chose 40 on sm_80 and spilled. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 750
enum { RESIDENT_BLOCKS = 4 }; /* a multiprocessor of sm_75 holds 1024 threads */
#else
enum { RESIDENT_BLOCKS = 5 };
#endif
enum { THREADS = ESC_PARTIALS * ESC_PARTIALS };

/* T(x) = sum_k a_k sigma(v_k . x) (docs/theory, section 0.2); valid in the first lane of a sample.
 * Called by whole warps. */
template <int kind>
static __device__ float evaluate_target(const esc_device_problem &p, const float *g_x, int lane) {
  float sum = 0;
  for (int k = 0; k < p.modes; k++) {
    float partial = 0;
    if (!p.axes) {
      const float *g_v = p.direction + (size_t)k * (size_t)p.inputs;
      for (int i = lane; i < p.inputs; i += ESC_PARTIALS)
        partial = esc_fma_f32(g_v[i], g_x[i], partial);
      partial = esc_tree_reduce_lanes(partial);
    }
    const float projection = p.axes ? g_x[k] : partial;
    sum = esc_fma_f32(p.amplitude[k], esc_evaluate<kind>(p, projection).value, sum);
  }
  return sum;
}

/* h = sigma(z) of one sample, and f = w_L . h; valid in the first lane of a sample. Called by
 * whole warps. */
template <int kind>
static __device__ float evaluate_prediction(const esc_device_problem &p, const float *g_w,
                                            const float *g_z, float *g_h, int lane, bool valid) {
  float partial = 0;
  for (int i = lane; valid && i < p.width; i += ESC_PARTIALS) {
    g_h[i] = esc_evaluate<kind>(p, g_z[i]).value;
    partial = esc_fma_f32(g_w[i], g_h[i], partial);
  }
  return esc_tree_reduce_lanes(partial);
}

/* h = sigma(z) of the last hidden layer, f = w_L . h, T(x) = sum_k a_k sigma(v_k . x), the mean
 * loss, and dloss = (dl/df) / B of each sample (docs/theory, sections 0.1 to 0.4); then the
 * stopping rule (section 0.6). A group of ESC_PARTIALS lanes computes a sample. Sample b belongs to
 * group b mod ESC_PARTIALS, and the losses of a group are one partial sum of order.h.
 *
 *    grid     (slots)
 *    block    256
 *    shared   128 bytes
 *    bytes    read 4 B N (z), 4 N (w_L), 4 B d (x; 4 B K if v_k = e_k); written 4 B N (h), 4 B
 *             (dloss); 4 K d (v) for all networks together
 *    work     B (N + K d + K) FMA, without the K d if v_k = e_k; B (N + K) evaluations of sigma, of
 *             which each lane of a sample repeats those of the teacher
 *    order.h  dot products, loss */
template <int kind>
__global__ void __launch_bounds__(THREADS, RESIDENT_BLOCKS)
    esc_output_kernel(esc_device_problem p, esc_track_rules rules, esc_chunk chunk) {
  ESC_SHARED_MEMORY(double, s_loss);
  const int slot = (int)blockIdx.x, lane = (int)threadIdx.x % ESC_PARTIALS;
  const int group = (int)threadIdx.x / ESC_PARTIALS;
  if (!esc_is_training(chunk, slot)) {
    if (threadIdx.x == 0) chunk.update_mask[slot] = 0;
    return;
  }
  const size_t samples = (size_t)slot * (size_t)p.batch;
  const size_t top = (size_t)(p.layers - 2) * esc_layer_floats(p, chunk); /* last hidden layer */
  const float *g_w = chunk.w + (size_t)slot * chunk.weight_stride + p.offset[p.layers - 1];
  double partial = 0;
  for (int first = 0; first < p.batch; first += ESC_PARTIALS) {
    const bool valid = first + group < p.batch;
    const size_t b = samples + (size_t)(valid ? first + group : 0);
    const size_t row = top + b * (size_t)p.width;
    const float f = evaluate_prediction<kind>(p, g_w, chunk.z + row, chunk.h + row, lane, valid);
    const float t = evaluate_target<kind>(p, chunk.x + b * (size_t)p.inputs, lane);
    if (lane != 0 || !valid) continue;
    const esc_loss_f32 e = esc_loss_eval_f32(p.loss, p.huber_delta, f, t);
    partial += (double)e.value;
    chunk.dloss[b] = esc_div_f32(e.derivative, (float)p.batch);
  }
  if (lane == 0) s_loss[group] = partial;
  __syncthreads();
  if (threadIdx.x == 0)
    chunk.update_mask[slot] =
        esc_track_loss(&chunk.track[slot], &rules, esc_tree_reduce_f64(s_loss) / p.batch);
}

cudaError_t esc_launch_output(const esc_device_problem *p, const esc_track_rules *rules,
                              const esc_chunk *chunk, cudaStream_t stream) {
  cudaError_t error = cudaSuccess;
#define LAUNCH(kind)                                                           \
  error = ESC_LAUNCH(esc_output_kernel<kind>, (unsigned)chunk->slots, THREADS, \
                     ESC_PARTIALS * sizeof(double), stream, *p, *rules, *chunk)
  ESC_DISPATCH_ACTIVATION(p->activation, LAUNCH)
#undef LAUNCH
  return error;
}

/* Samples from, ..., to - 1 of a network's minibatch, whose partial sums are added in float. */
struct accumulation_block {
  int from, to;
};

/* The partial sum of K-slice c over the tiles of an accumulation block; a tile has `slices` of
 * them. */
static __device__ float gradient_partial(const esc_device_problem &p, const float *g_dloss,
                                         const float *g_h, const accumulation_block &block, int c,
                                         int slices) {
  const int length = ESC_TILE / slices, to = block.to;
  float sum = 0;
  for (int first = block.from + c * length; first < to; first += ESC_TILE)
    for (int b = first; b < first + length && b < to; b++)
      sum = esc_fma_f32(g_dloss[b], g_h[(size_t)b * (size_t)p.width], sum);
  return sum;
}

/* G_L = sum_b dloss_b h_b (docs/theory, section 0.4): thread (n, c) sums feature n over the
 * samples of K-slice c, so that a warp reads neighbouring features. A tree reduction adds the
 * K-slices of an accumulation block; threads beyond N join in its barriers.
 *
 *    grid     (ceil(N / 32), slots)
 *    block    (32, S), with S = 4, 2, 1 K-slices for N <= 32, N <= 64, larger N
 *    shared   128 S bytes
 *    bytes    read 4 B N (h), 4 B (dloss); written 4 N
 *    work     B N FMA
 *    order.h  weight gradients */
__global__ void esc_output_gradient_kernel(esc_device_problem p, esc_chunk chunk) {
  ESC_SHARED_MEMORY(float, s_partial); /* (slice, feature) */
  const int slot = (int)blockIdx.y, slices = (int)blockDim.y, c = (int)threadIdx.y;
  const int n = (int)(blockIdx.x * blockDim.x + threadIdx.x);
  if (!chunk.update_mask[slot]) return;
  const size_t samples = (size_t)slot * (size_t)p.batch;
  const float *g_h = chunk.h + (size_t)(p.layers - 2) * esc_layer_floats(p, chunk) +
                     samples * (size_t)p.width + (n < p.width ? n : 0);
  double sum = 0;
  for (int from = 0; from < p.batch; from += ESC_ACCUMULATION_BLOCK) {
    const accumulation_block block = {
        from, p.batch - from < ESC_ACCUMULATION_BLOCK ? p.batch : from + ESC_ACCUMULATION_BLOCK};
    float *s_own = s_partial + (size_t)c * blockDim.x + threadIdx.x;
    *s_own = gradient_partial(p, chunk.dloss + samples, g_h, block, c, slices);
    __syncthreads();
    for (int half = slices / 2; half > 0; half /= 2) {
      if (c < half) *s_own += s_own[(size_t)half * blockDim.x];
      __syncthreads();
    }
    sum += (double)*s_own;
  }
  if (c == 0 && n < p.width)
    chunk.g[(size_t)slot * chunk.weight_stride + p.offset[p.layers - 1] + (size_t)n] = (float)sum;
}

cudaError_t esc_launch_output_gradient(const esc_device_problem *p, const esc_chunk *chunk,
                                       cudaStream_t stream) {
  const unsigned slices = (unsigned)esc_gradient_slices(p->width), features = 32;
  const dim3 grid(esc_block_count((size_t)p->width, features), (unsigned)chunk->slots);
  const dim3 block(features, slices);
  return ESC_LAUNCH(esc_output_gradient_kernel, grid, block, features * slices * sizeof(float),
                    stream, *p, *chunk);
}
