/* SPDX-License-Identifier: Apache-2.0 */
/* From the last hidden layer to the loss and the step's escape events, and the
 * output layer's gradient. A block is a network, ESC_PARTIALS lanes a sample. */
#include "device.cuh"
#include "escapement/internal/loss.h"

enum { THREADS = ESC_PARTIALS * ESC_PARTIALS };

/* T(x) = sum_k a_k sigma(v_k . x); valid in the first lane of a sample. */
template <int kind>
static __device__ float target(const esc_device_problem &p, const float *x, int lane) {
  float sum = 0;
  for (int k = 0; k < p.modes; k++) {
    float partial = 0;
    if (!p.axes) {
      const float *v = p.direction + (size_t)k * (size_t)p.inputs;
      for (int i = lane; i < p.inputs; i += ESC_PARTIALS)
        partial = esc_fma_f32(v[i], x[i], partial);
      partial = esc_tree_reduce_lanes(partial);
    }
    const float projection = p.axes ? x[k] : partial;
    sum = esc_fma_f32(p.amplitude[k], esc_evaluate<kind>(p, projection).value, sum);
  }
  return sum;
}

/* h = sigma(z) of one sample, and f = w . h; valid in the first lane. */
template <int kind>
static __device__ float prediction(const esc_device_problem &p, const float *w, const float *z,
                                   float *h, int lane, bool valid) {
  float partial = 0;
  for (int i = lane; valid && i < p.width; i += ESC_PARTIALS) {
    h[i] = esc_evaluate<kind>(p, z[i]).value;
    partial = esc_fma_f32(w[i], h[i], partial);
  }
  return esc_tree_reduce_lanes(partial);
}

/* grid (slot). Sample b belongs to group b mod ESC_PARTIALS, whose losses make that partial. */
template <int kind>
__global__ void __launch_bounds__(THREADS)
    esc_output_kernel(esc_device_problem p, esc_track_rules rules, esc_chunk chunk) {
  ESC_SHARED_MEMORY(double, loss);
  const int slot = (int)blockIdx.x, lane = (int)threadIdx.x % ESC_PARTIALS;
  const int group = (int)threadIdx.x / ESC_PARTIALS;
  if (!esc_trains(chunk, slot)) {
    if (threadIdx.x == 0) chunk.update_mask[slot] = 0;
    return;
  }
  const size_t samples = (size_t)slot * (size_t)p.batch;
  const size_t top = (size_t)(p.layers - 2) * esc_layer_floats(p, chunk);
  const float *w = chunk.w + (size_t)slot * chunk.weights + p.offset[p.layers - 1];
  double partial = 0;
  for (int first = 0; first < p.batch; first += ESC_PARTIALS) {
    const bool valid = first + group < p.batch;
    const size_t b = samples + (size_t)(valid ? first + group : 0);
    const size_t row = top + b * (size_t)p.width;
    const float f = prediction<kind>(p, w, chunk.z + row, chunk.h + row, lane, valid);
    const float t = target<kind>(p, chunk.x + b * (size_t)p.inputs, lane);
    if (lane != 0 || !valid) continue;
    const esc_loss_f32 e = esc_loss_eval_f32(p.loss, p.huber_delta, f, t);
    partial += (double)e.value;
    chunk.dloss[b] = esc_div_f32(e.derivative, (float)p.batch);
  }
  if (lane == 0) loss[group] = partial;
  __syncthreads();
  if (threadIdx.x == 0)
    chunk.update_mask[slot] =
        esc_track_loss(&chunk.track[slot], &rules, esc_tree_reduce_f64(loss) / p.batch);
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

/* Samples from..to of a network's minibatch, whose partial sums are added in float. */
struct accumulation_block {
  int from, to;
};

/* The partial sum of K-slice c of the block's tiles, each of `slices`. */
static __device__ float gradient_partial(const esc_device_problem &p, const float *dloss,
                                         const float *h, const accumulation_block &block, int c,
                                         int slices) {
  const int length = ESC_TILE / slices, to = block.to;
  float sum = 0;
  for (int first = block.from + c * length; first < to; first += ESC_TILE)
    for (int b = first; b < first + length && b < to; b++)
      sum = esc_fma_f32(dloss[b], h[(size_t)b * (size_t)p.width], sum);
  return sum;
}

/* grid (blocks of features, slot), block (features, slices). */
__global__ void esc_output_gradient_kernel(esc_device_problem p, esc_chunk chunk) {
  ESC_SHARED_MEMORY(float, partial); /* (slice, feature) */
  const int slot = (int)blockIdx.y, slices = (int)blockDim.y, c = (int)threadIdx.y;
  const int n = (int)(blockIdx.x * blockDim.x + threadIdx.x);
  if (!chunk.update_mask[slot]) return;
  const size_t samples = (size_t)slot * (size_t)p.batch;
  const float *h = chunk.h + (size_t)(p.layers - 2) * esc_layer_floats(p, chunk) +
                   samples * (size_t)p.width + (n < p.width ? n : 0);
  double sum = 0;
  for (int from = 0; from < p.batch; from += ESC_ACCUMULATION_BLOCK) {
    const accumulation_block block = {
        from, p.batch - from < ESC_ACCUMULATION_BLOCK ? p.batch : from + ESC_ACCUMULATION_BLOCK};
    float *mine = partial + (size_t)c * blockDim.x + threadIdx.x;
    *mine = gradient_partial(p, chunk.dloss + samples, h, block, c, slices);
    __syncthreads();
    for (int half = slices / 2; half > 0; half /= 2) {
      if (c < half) *mine += mine[(size_t)half * blockDim.x];
      __syncthreads();
    }
    sum += (double)*mine;
  }
  if (c == 0 && n < p.width)
    chunk.g[(size_t)slot * chunk.weights + p.offset[p.layers - 1] + (size_t)n] = (float)sum;
}

cudaError_t esc_launch_output_gradient(const esc_device_problem *p, const esc_chunk *chunk,
                                       cudaStream_t stream) {
  const unsigned slices = (unsigned)esc_gradient_slices(p->width), features = 32;
  const dim3 grid(esc_blocks((size_t)p->width, features), (unsigned)chunk->slots);
  const dim3 block(features, slices);
  return ESC_LAUNCH(esc_output_gradient_kernel, grid, block, features * slices * sizeof(float),
                    stream, *p, *chunk);
}
