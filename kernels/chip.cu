/* One block, one network, many steps: chip.h. */
#include "chip.h"

#include "chip_stage.cuh"

/* A launch's arguments. */
struct esc_chip_run {
  esc_device_problem problem;
  esc_track_rules rules;
  esc_lot lot;
  int64_t steps;
};

/* Where this thread's chains of layer l wait between tiles: threads side by side. */
template <int N>
static __device__ __forceinline__ float *waiting(const esc_chip_run &r, const esc_chip_thread<N> &t,
                                                 int l) {
  typedef esc_chip<N> deal;
  const size_t each = (size_t)deal::rows * 4 * deal::threads;
  return r.lot.chains + ((size_t)blockIdx.x * (size_t)(r.problem.layers - 1) + (size_t)l) * each +
         t.id;
}

template <int N>
static __device__ __forceinline__ void resume_chains(const float *from,
                                                     float sum[esc_chip<N>::rows][4]) {
#pragma unroll
  for (int i = 0; i < esc_chip<N>::rows; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) sum[i][j] = from[(4 * i + j) * esc_chip<N>::threads];
}

template <int N>
static __device__ __forceinline__ void leave_chains(float *to,
                                                    const float sum[esc_chip<N>::rows][4]) {
#pragma unroll
  for (int i = 0; i < esc_chip<N>::rows; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) to[(4 * i + j) * esc_chip<N>::threads] = sum[i][j];
}

/* Layer l's gradient through this tile; after the last one folded, and the weights
 * updated. Deltas are in carry. All threads come. */
template <int N>
static __device__ __forceinline__ void weight_step(const esc_chip_run &r, const esc_chip_block &b,
                                                   esc_chip_thread<N> *t, int l, bool first,
                                                   bool last) {
  const esc_device_problem &p = r.problem;
  float sum[esc_chip<N>::rows][4] = {{0}};
  float *place = waiting<N>(r, *t, l);
  if (!first) resume_chains<N>(place, sum);
  esc_weight_gradient<N>(b.carry, l == 0 ? b.x : b.z + (l - 1) * N * ESC_CHIP_ROW, t->chain,
                         t->down, t->across, sum);
  if (!last) {
    leave_chains<N>(place, sum);
    __syncthreads(); /* deltas and weights have been read by all */
    return;
  }
  esc_chip_fold<N>(b, *t, sum);
  const size_t at = (size_t)blockIdx.x * r.lot.weights + p.offset[l];
  esc_chip_update<N>(b, t, p.rate[l], N, l == 0 ? p.inputs : N, b.w + l * N * esc_chip<N>::pitch,
                     r.lot.low ? r.lot.low + at : NULL, &b.gradient2[l]);
}

/* From the errors of the tile down to the first layer. */
template <int N, int kind>
static __device__ __forceinline__ void backward(const esc_chip_run &r, const esc_chip_block &b,
                                                esc_chip_thread<N> *t, bool first, bool last) {
  const esc_device_problem &p = r.problem;
  float derivative[4][4], deficit[4][4], u[4][4];
  const int top = p.layers - 2;
  esc_chip_values<N, kind>(p, b.z + top * N * ESC_CHIP_ROW, *t, derivative, deficit);
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++)
      u[i][j] = esc_mul_f32(b.error[4 * t->lane + j], b.w_out[4 * t->group + i]);
  esc_chip_delta<N>(*t, b.feature + top * N, derivative, deficit, u);
  __syncthreads(); /* the values in carry and spare have been read */
  for (int l = top; l >= 0; l--) {
    esc_chip_store<N>(*t, u, b.carry);
    if (l > 0)
      esc_chip_values<N, kind>(p, b.z + (l - 1) * N * ESC_CHIP_ROW, *t, derivative, deficit);
    __syncthreads();
    if (l > 0) {
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) u[i][j] = 0;
      esc_input_gradient<N>(b.w + l * N * esc_chip<N>::pitch, b.carry, t->group, t->lane, u);
      esc_chip_delta<N>(*t, b.feature + (l - 1) * N, derivative, deficit, u);
    }
    weight_step<N>(r, b, t, l, first, last);
  }
}

/* Forward through a tile; returns where the last hidden layer's values are. */
template <int N, int kind>
static __device__ __forceinline__ const float *forward(const esc_chip_run &r,
                                                       const esc_chip_block &b,
                                                       const esc_chip_thread<N> &t) {
  const float *h = b.x;
  for (int l = 0; l < r.problem.layers - 1; l++) {
    float *out = l % 2 ? b.spare : b.carry;
    esc_chip_forward_layer<N, kind>(r.problem, b, t, l, h, out);
    __syncthreads();
    h = out;
  }
  return h;
}

/* The output layer's gradient from the threads' chains, and its update. */
template <int N>
static __device__ __forceinline__ void output_update(const esc_chip_run &r, const esc_chip_block &b,
                                                     esc_chip_thread<N> *t) {
  typedef esc_chip<N> deal;
  const esc_device_problem &p = r.problem;
  const int last = p.layers - 1, n = t->id % N, chain = t->id / N;
  float *part = b.spare;
  if (chain < deal::chains) part[chain * N + n] = t->output[0];
  __syncthreads();
  for (int half = deal::chains / 2; half > 0; half /= 2) {
    if (chain < half)
      part[chain * N + n] = esc_add_f32(part[chain * N + n], part[(chain + half) * N + n]);
    __syncthreads();
  }
  const size_t at = (size_t)blockIdx.x * r.lot.weights + p.offset[last];
  esc_chip_update<N>(b, t, p.rate[last], 1, N, b.w_out, r.lot.low ? r.lot.low + at : NULL,
                     &b.gradient2[last]);
}

/* Loss of the whole minibatch to the events; whether the update is to be made. All
 * threads come. */
template <int N>
static __device__ __forceinline__ bool decide(const esc_chip_run &r, const esc_chip_block &b,
                                              int id) {
  __syncthreads(); /* the parts of the loss are there */
  if (id == 0)
    *b.go =
        esc_track_loss(&r.lot.track[blockIdx.x], &r.rules, esc_fold_f64(b.loss) / r.problem.batch);
  __syncthreads();
  return *b.go != 0;
}

/* Books the step in the ledger. All threads come. */
template <int N>
static __device__ __forceinline__ void book(const esc_chip_run &r, const esc_chip_block &b,
                                            int id) {
  esc_track *track = &r.lot.track[blockIdx.x];
  __syncthreads(); /* deficits and norms are there */
  if (id < r.problem.layers) esc_track_layer(track, &r.rules, id, b.deficit, b.gradient2);
  if (id == 0) esc_track_step(track, &r.rules);
  __syncthreads();
}

/* One training step; false when the network has finished without an update. */
template <int N, int kind>
static __device__ __forceinline__ bool step(const esc_chip_run &r, const esc_chip_block &b,
                                            esc_chip_thread<N> *t) {
  const esc_device_problem &p = r.problem;
  const esc_track *track = &r.lot.track[blockIdx.x];
  const int64_t now = track->step;
  const uint64_t seed = r.lot.seed[blockIdx.x];
  if (t->id < ESC_PARTS) b.loss[t->id] = 0;
  if (t->id < p.layers) b.deficit[t->id] = 0;
  t->output[0] = 0;
  for (int from = 0; from < p.batch; from += ESC_TILE) {
    const int samples = p.batch - from < ESC_TILE ? p.batch - from : ESC_TILE;
    const bool last = from + ESC_TILE >= p.batch;
    esc_chip_inputs<N>(p, b, t->id, seed, now, from, samples);
    __syncthreads();
    const float *h = forward<N, kind>(r, b, *t);
    esc_chip_losses<N, kind>(p, b, *t, h, samples);
    if (last && !decide<N>(r, b, t->id)) return false;
    esc_chip_output_gradient<N>(b, t, h);
    backward<N, kind>(r, b, t, from == 0, last);
    esc_chip_deficits<N>(p, b, *t);
  }
  output_update<N>(r, b, t);
  book<N>(r, b, t->id);
  return true;
}

/* Weights from the device into shared memory, or back. */
template <int N, bool in>
static __device__ __forceinline__ void move_weights(const esc_chip_run &r, const esc_chip_block &b,
                                                    int id) {
  const esc_device_problem &p = r.problem;
  float *device = r.lot.w + (size_t)blockIdx.x * r.lot.weights;
  for (int l = 0; l < p.layers; l++) {
    const int rows = l == p.layers - 1 ? 1 : N, columns = l == 0 ? p.inputs : N;
    float *w = l == p.layers - 1 ? b.w_out : b.w + l * N * esc_chip<N>::pitch;
    for (int i = id; i < rows * columns; i += esc_chip<N>::threads) {
      float *from = device + p.offset[l] + i,
            *to = w + i / columns * esc_chip<N>::pitch + i % columns;
      if (in)
        *to = *from;
      else
        *from = *to;
    }
  }
}

/* grid (slot) */
template <int N, int kind>
__global__ void __launch_bounds__(esc_chip<N>::threads, 1)
    esc_chip_kernel(const __grid_constant__ esc_chip_run r) {
  ESC_SHARED_MEMORY(double, shared);
  esc_track *track = &r.lot.track[blockIdx.x];
  if (track->finished) return;
  const esc_chip_block b = esc_chip_layout<N>(shared, r.problem.layers);
  esc_chip_thread<N> t = esc_chip_self<N>((int)threadIdx.x);
  for (int i = t.id; i < N * ESC_CHIP_ROW; i += esc_chip<N>::threads) b.x[i] = 0;
  if (t.id < 2) b.count[t.id] = 0;
  move_weights<N, true>(r, b, t.id);
  __syncthreads();
  for (int64_t s = 0; s < r.steps && !track->finished; s++)
    if (!step<N, kind>(r, b, &t)) break;
  atomicAdd(&b.count[0], (unsigned long long)t.moved); /* integers: in any order */
  atomicAdd(&b.count[1], (unsigned long long)t.lost);
  __syncthreads();
  move_weights<N, false>(r, b, t.id);
  if (t.id != 0) return;
  track->updates += (int64_t)b.count[0];
  track->lost += (int64_t)b.count[1];
}

size_t esc_chip_shared(int layers, int width) { return esc_chip_bytes(layers, width); }

bool esc_chip_fits(int layers, int width, int inputs, int batch, size_t limit) {
  const bool wide = width == 16 || width == 32 || width == 48 || width == 64;
  return wide && inputs <= width && batch <= ESC_SLAB && esc_chip_bytes(layers, width) <= limit;
}

size_t esc_chip_scratch(int layers, int width, int batch) {
  const size_t weights = (size_t)(layers - 1) * (size_t)width * (size_t)width;
  return batch <= ESC_TILE ? 0 : weights * (size_t)esc_gradient_chains(width);
}

template <int N, int kind>
static cudaError_t launch(const esc_chip_run &r, cudaStream_t stream) {
  const size_t shared = esc_chip_bytes(r.problem.layers, N);
  const cudaError_t error =
      cudaFuncSetAttribute((const void *)esc_chip_kernel<N, kind>,
                           cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
  if (error != cudaSuccess) return error;
  return ESC_LAUNCH((esc_chip_kernel<N, kind>), (unsigned)r.lot.slots, esc_chip<N>::threads, shared,
                    stream, r);
}

template <int N>
static cudaError_t launch_width(const esc_chip_run &r, cudaStream_t stream) {
  if (r.problem.activation == ESC_ACTIVATION_TANH) return launch<N, ESC_ACTIVATION_TANH>(r, stream);
  return launch<N, ESC_ANY_ACTIVATION>(r, stream);
}

cudaError_t esc_launch_chip(const esc_device_problem *p, const esc_track_rules *rules,
                            const esc_lot *lot, int64_t steps, cudaStream_t stream) {
  const esc_chip_run r = {*p, *rules, *lot, steps};
  switch (p->width) {
    case 16: return launch_width<16>(r, stream);
    case 32: return launch_width<32>(r, stream);
    case 48: return launch_width<48>(r, stream);
    case 64: return launch_width<64>(r, stream);
    default: return cudaErrorInvalidValue;
  }
}
