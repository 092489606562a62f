/* One block trains one network for a block of steps (chip.h): the body of the kernels
 * of path `chip`, with the products of P (chip_product.cuh). */
#ifndef ESC_CHIP_STEP_CUH
#define ESC_CHIP_STEP_CUH

#include "chip.h"
#include "chip_stage.cuh"

/* A launch's arguments. */
struct esc_chip_run {
  esc_device_problem problem;
  esc_track_rules rules;
  esc_lot lot;
  int64_t steps;
};

/* This thread's sums of layer l's gradient between tiles. */
template <class P>
static __device__ __forceinline__ float *esc_chip_waiting(const esc_chip_run &r,
                                                          const esc_chip_thread<P> &t, int l) {
  const size_t each = (size_t)P::gradient_rows * P::gradient_columns * P::threads;
  return r.lot.chains + ((size_t)blockIdx.x * (size_t)(r.problem.layers - 1) + (size_t)l) * each +
         t.id;
}

/* Layer l's gradient through this tile; after the last one folded, and the weights
 * updated. Deltas are in carry. All threads come. */
template <class P>
static __device__ __forceinline__ void esc_chip_weight_step(const esc_chip_run &r,
                                                            const esc_chip_block &b,
                                                            esc_chip_thread<P> *t, int l,
                                                            bool first, bool last) {
  const esc_device_problem &p = r.problem;
  float sum[P::gradient_rows][P::gradient_columns] = {{0}};
  float *place = esc_chip_waiting(r, *t, l);
  esc_chip_gradient(b.carry, l == 0 ? b.x : b.z + (l - 1) * P::width * ESC_CHIP_ROW, *t, place,
                    first, sum);
  if (!last) {
    esc_chip_leave<P>(place, sum);
    __syncthreads(); /* deltas and weights have been read by all */
    return;
  }
  P::fold_gradient(t->seat, sum, b.spare);
  const size_t at = (size_t)blockIdx.x * r.lot.weights + p.offset[l];
  esc_chip_update(b, t, p.rate[l], P::width, l == 0 ? p.inputs : P::width,
                  b.w + l * P::width * P::pitch, r.lot.low ? r.lot.low + at : NULL,
                  &b.gradient2[l]);
}

/* From the errors of the tile down to the first layer. */
template <class P, int kind>
static __device__ __forceinline__ void esc_chip_backward(const esc_chip_run &r,
                                                         const esc_chip_block &b,
                                                         esc_chip_thread<P> *t, bool first,
                                                         bool last) {
  const esc_device_problem &p = r.problem;
  float derivative[P::rows][P::columns], deficit[P::rows][P::columns], u[P::rows][P::columns];
  const int top = p.layers - 2;
  esc_chip_values<P, kind>(p, b.z + top * P::width * ESC_CHIP_ROW, *t, derivative, deficit);
#pragma unroll
  for (int i = 0; i < P::rows; i++)
#pragma unroll
    for (int j = 0; j < P::columns; j++)
      u[i][j] = esc_mul_f32(b.error[P::gradient_sample(t->seat, j)],
                            b.w_out[P::gradient_feature(t->seat, i)]);
  esc_chip_delta(*t, b.feature + top * P::terms, derivative, deficit, u);
  __syncthreads(); /* the values in carry and spare have been read */
  for (int l = top; l >= 0; l--) {
    esc_chip_store(*t, u, b.carry);
    if (l > 0)
      esc_chip_values<P, kind>(p, b.z + (l - 1) * P::width * ESC_CHIP_ROW, *t, derivative, deficit);
    __syncthreads();
    if (l > 0) {
#pragma unroll
      for (int i = 0; i < P::rows; i++)
#pragma unroll
        for (int j = 0; j < P::columns; j++) u[i][j] = 0;
      P::input_gradient(b.w + l * P::width * P::pitch, b.carry, t->seat, u);
      esc_chip_delta(*t, b.feature + (l - 1) * P::terms, derivative, deficit, u);
    }
    esc_chip_weight_step<P>(r, b, t, l, first, last);
  }
}

/* Forward through a tile; returns where the last hidden layer's values are. */
template <class P, int kind>
static __device__ __forceinline__ const float *esc_chip_forward(const esc_chip_run &r,
                                                                const esc_chip_block &b,
                                                                const esc_chip_thread<P> &t) {
  const float *h = b.x;
  for (int l = 0; l < r.problem.layers - 1; l++) {
    float *out = l % 2 ? b.spare : b.carry;
    esc_chip_forward_layer<P, kind>(r.problem, b, t, l, h, out);
    __syncthreads();
    h = out;
  }
  return h;
}

/* The output layer's gradient from the threads' chains, and its update. */
template <class P>
static __device__ __forceinline__ void esc_chip_output_update(const esc_chip_run &r,
                                                              const esc_chip_block &b,
                                                              esc_chip_thread<P> *t) {
  const esc_device_problem &p = r.problem;
  const int last = p.layers - 1, n = t->id % P::width, chain = t->id / P::width;
  float *part = b.spare;
  if (chain < P::chains) part[chain * P::width + n] = t->output[0];
  __syncthreads();
  for (int half = P::chains / 2; half > 0; half /= 2) {
    if (chain < half)
      part[chain * P::width + n] =
          esc_add_f32(part[chain * P::width + n], part[(chain + half) * P::width + n]);
    __syncthreads();
  }
  const size_t at = (size_t)blockIdx.x * r.lot.weights + p.offset[last];
  esc_chip_update(b, t, p.rate[last], 1, P::width, b.w_out, r.lot.low ? r.lot.low + at : NULL,
                  &b.gradient2[last]);
}

/* Loss of the whole minibatch to the events; whether the update is to be made. All
 * threads come. */
static __device__ __forceinline__ bool esc_chip_decide(const esc_chip_run &r,
                                                       const esc_chip_block &b, int id) {
  __syncthreads(); /* the parts of the loss are there */
  if (id == 0)
    *b.go =
        esc_track_loss(&r.lot.track[blockIdx.x], &r.rules, esc_fold_f64(b.loss) / r.problem.batch);
  __syncthreads();
  return *b.go != 0;
}

/* Books the step in the ledger. All threads come. */
static __device__ __forceinline__ void esc_chip_book(const esc_chip_run &r, const esc_chip_block &b,
                                                     int id) {
  esc_track *track = &r.lot.track[blockIdx.x];
  __syncthreads(); /* deficits and norms are there */
  if (id < r.problem.layers) esc_track_layer(track, &r.rules, id, b.deficit, b.gradient2);
  if (id == 0) esc_track_step(track, &r.rules);
  __syncthreads();
}

/* One training step; false when the network has finished without an update. */
template <class P, int kind>
static __device__ __forceinline__ bool esc_chip_step(const esc_chip_run &r, const esc_chip_block &b,
                                                     esc_chip_thread<P> *t) {
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
    esc_chip_inputs<P>(p, b, t->id, seed, now, from, samples);
    __syncthreads();
    const float *h = esc_chip_forward<P, kind>(r, b, *t);
    esc_chip_losses<P, kind>(p, b, *t, h, samples);
    if (last && !esc_chip_decide(r, b, t->id)) return false;
    esc_chip_output_gradient(b, t, h);
    esc_chip_backward<P, kind>(r, b, t, from == 0, last);
    esc_chip_deficits(p, b, *t);
  }
  esc_chip_output_update<P>(r, b, t);
  esc_chip_book(r, b, t->id);
  return true;
}

/* Weights from the device into shared memory, or back. */
template <class P, bool in>
static __device__ __forceinline__ void esc_chip_move_weights(const esc_chip_run &r,
                                                             const esc_chip_block &b, int id) {
  const esc_device_problem &p = r.problem;
  float *device = r.lot.w + (size_t)blockIdx.x * r.lot.weights;
  for (int l = 0; l < p.layers; l++) {
    const int rows = l == p.layers - 1 ? 1 : P::width, columns = l == 0 ? p.inputs : P::width;
    float *w = l == p.layers - 1 ? b.w_out : b.w + l * P::width * P::pitch;
    for (int i = id; i < rows * columns; i += P::threads) {
      float *from = device + p.offset[l] + i, *to = w + i / columns * P::pitch + i % columns;
      if (in)
        *to = *from;
      else
        *from = *to;
    }
  }
}

/* Zeros where products read beyond the inputs: samples' rows and the first layer's
 * columns. All threads come. */
template <class P>
static __device__ __forceinline__ void esc_chip_clear(const esc_chip_block &b, int id) {
  for (int i = id; i < P::width * ESC_CHIP_ROW; i += P::threads) b.x[i] = 0;
  for (int i = id; i < P::width * P::pitch; i += P::threads) b.w[i] = 0;
  if (id < 2) b.count[id] = 0;
  __syncthreads();
}

/* A kernel's beginning and end; between them it makes its steps. */
template <class P>
static __device__ __forceinline__ esc_chip_thread<P> esc_chip_enter(const esc_chip_run &r,
                                                                    const esc_chip_block &b) {
  const esc_chip_thread<P> t = esc_chip_self<P>((int)threadIdx.x);
  esc_chip_clear<P>(b, t.id);
  esc_chip_move_weights<P, true>(r, b, t.id);
  __syncthreads();
  return t;
}

template <class P>
static __device__ __forceinline__ void esc_chip_exit(const esc_chip_run &r, const esc_chip_block &b,
                                                     const esc_chip_thread<P> &t) {
  esc_track *track = &r.lot.track[blockIdx.x];
  atomicAdd(&b.count[0], (unsigned long long)t.moved); /* integers: in any order */
  atomicAdd(&b.count[1], (unsigned long long)t.lost);
  __syncthreads();
  esc_chip_move_weights<P, false>(r, b, t.id);
  if (t.id != 0) return;
  track->updates += (int64_t)b.count[0];
  track->lost += (int64_t)b.count[1];
}

#endif
