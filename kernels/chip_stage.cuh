/* The stages of one step of path `chip`. `samples` is how many of the tile's
 * ESC_TILE places are taken; the others hold 0 inputs and 0 errors, so that they add
 * nothing to any sum. */
#ifndef ESC_CHIP_STAGE_CUH
#define ESC_CHIP_STAGE_CUH

#include "chip_block.cuh"
#include "escapement/loss.h"
#include "escapement/stream.h"
#include "escapement/update.h"

enum { ESC_ANY_ACTIVATION = -1 };

static __device__ __attribute__((noinline)) esc_eval_f32 esc_evaluate_any(
    const esc_device_problem &p, float z) {
  esc_eval_f32 e = {0, 0, 0};
#define EVALUATE(kind) e = esc_evaluate<kind>(p, z)
  ESC_DISPATCH_ACTIVATION(p.activation, EVALUATE)
#undef EVALUATE
  return e;
}

/* kind ESC_ANY_ACTIVATION: the problem's, found at run time. */
template <int kind>
static __device__ __forceinline__ esc_eval_f32 esc_chip_evaluate(const esc_device_problem &p,
                                                                 float z) {
  if (kind == ESC_ANY_ACTIVATION) return esc_evaluate_any(p, z);
  return esc_evaluate < kind == ESC_ANY_ACTIVATION ? ESC_ACTIVATION_LINEAR : kind > (p, z);
}

/* Inputs of samples first.. into x, lanes over samples. */
template <int N>
static __device__ __forceinline__ void esc_chip_inputs(const esc_device_problem &p,
                                                       const esc_chip_block &b, int id,
                                                       uint64_t seed, int64_t step, int first,
                                                       int samples) {
  const int blocks = (p.inputs + 3) / 4;
  for (int i = id; i < blocks * ESC_TILE; i += esc_chip<N>::threads) {
    const int sample = i % ESC_TILE, j = i / ESC_TILE;
    float normal[4] = {0, 0, 0, 0};
    if (sample < samples)
      esc_normal4_at(seed, ESC_DOMAIN_DATA, (uint64_t)step, 0,
                     (uint32_t)(first + sample) * (uint32_t)blocks + (uint32_t)j, normal);
    for (int k = 0; k < 4 && 4 * j + k < p.inputs; k++)
      b.x[(4 * j + k) * ESC_CHIP_ROW + sample] = normal[k];
  }
}

/* z_l and, into `out`, h_l = sigma(z_l). */
template <int N, int kind>
static __device__ __forceinline__ void esc_chip_forward_layer(const esc_device_problem &p,
                                                              const esc_chip_block &b,
                                                              const esc_chip_thread<N> &t, int l,
                                                              const float *h, float *out) {
  float sum[4][4] = {{0}};
  esc_forward_product<N>(b.w + l * N * esc_chip<N>::pitch, h, l == 0 ? p.inputs : N, t.group,
                         t.lane, sum);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int at = (t.group + N / 4 * i) * ESC_CHIP_ROW + 4 * t.lane;
    float value[4];
#pragma unroll
    for (int j = 0; j < 4; j++) value[j] = esc_chip_evaluate<kind>(p, sum[i][j]).value;
    esc_store4(b.z + l * N * ESC_CHIP_ROW + at, sum[i]);
    esc_store4(out + at, value);
  }
}

/* sum_i a_i b_i of one sample over n features: parts, then halves. */
static __device__ __forceinline__ float esc_chip_dot(const float *a, const float *b, int n) {
  float part[ESC_PARTS] = {0};
  for (int i = 0; i < n; i += ESC_PARTS)
#pragma unroll
    for (int j = 0; j < ESC_PARTS; j++)
      if (i + j < n) part[j] = esc_fma_f32(a[i + j], b[(i + j) * ESC_CHIP_ROW], part[j]);
  return esc_fold_f32(part);
}

template <int kind>
static __device__ __forceinline__ float esc_chip_target(const esc_device_problem &p,
                                                        const float *x) {
  float sum = 0;
  for (int k = 0; k < p.modes; k++) {
    const float projection =
        p.axes ? x[k * ESC_CHIP_ROW]
               : esc_chip_dot(p.direction + (size_t)k * (size_t)p.inputs, x, p.inputs);
    sum = esc_fma_f32(p.amplitude[k], esc_chip_evaluate<kind>(p, projection).value, sum);
  }
  return sum;
}

/* Prediction, target and loss of each sample, by the first ESC_TILE threads; then
 * the samples' losses into their parts. All threads come. */
template <int N, int kind>
static __device__ __forceinline__ void esc_chip_losses(const esc_device_problem &p,
                                                       const esc_chip_block &b,
                                                       const esc_chip_thread<N> &t, const float *h,
                                                       int samples) {
  if (t.id < ESC_TILE) {
    const float f = esc_chip_dot(b.w_out, h + t.id, N);
    const esc_loss_f32 e =
        esc_loss_eval_f32(p.loss, p.huber_delta, f, esc_chip_target<kind>(p, b.x + t.id));
    b.value[t.id] = e.value;
    b.error[t.id] = t.id < samples ? esc_div_f32(e.derivative, (float)p.batch) : 0.0f;
  }
  __syncthreads();
  if (t.id < ESC_PARTS)
    for (int s = t.id; s < samples; s += ESC_PARTS) b.loss[t.id] += (double)b.value[s];
}

/* This thread's chain of the output layer's gradient goes on through the tile. */
template <int N>
static __device__ __forceinline__ void esc_chip_output_gradient(const esc_chip_block &b,
                                                                esc_chip_thread<N> *t,
                                                                const float *h) {
  typedef esc_chip<N> deal;
  const int n = t->id % N, chain = t->id / N;
  if (chain >= deal::chains) return;
  for (int s = chain * deal::piece; s < (chain + 1) * deal::piece; s++)
    t->output[0] = esc_fma_f32(b.error[s], h[n * ESC_CHIP_ROW + s], t->output[0]);
}

/* Of features 4 group + i, samples 4 lane + j of interface l: makes z_l its values,
 * returns derivative and deficit. */
template <int N, int kind>
static __device__ __forceinline__ void esc_chip_values(const esc_device_problem &p, float *z,
                                                       const esc_chip_thread<N> &t,
                                                       float derivative[4][4],
                                                       float deficit[4][4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float *at = z + (4 * t.group + i) * ESC_CHIP_ROW + 4 * t.lane, value[4];
    esc_unpack(esc_load4(at), value);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const esc_eval_f32 e = esc_chip_evaluate<kind>(p, value[j]);
      value[j] = e.value;
      derivative[i][j] = e.derivative;
      deficit[i][j] = e.deficit;
    }
    esc_store4(at, value);
  }
}

/* u becomes delta = u sigma'; the ledger's terms u kappa of the tile's features. The
 * lane's four samples are one part of order.h. */
template <int N>
static __device__ __forceinline__ void esc_chip_delta(const esc_chip_thread<N> &t, double *feature,
                                                      const float derivative[4][4],
                                                      const float deficit[4][4], float u[4][4]) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float part = 0;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      part = esc_fma_f32(u[i][j], deficit[i][j], part);
      u[i][j] = esc_mul_f32(u[i][j], derivative[i][j]);
    }
    part = esc_fold_lanes(part);
    if (t.lane == 0) feature[4 * t.group + i] = (double)part;
  }
}

template <int N>
static __device__ __forceinline__ void esc_chip_store(const esc_chip_thread<N> &t,
                                                      const float v[4][4], float *to) {
#pragma unroll
  for (int i = 0; i < 4; i++) esc_store4(to + (4 * t.group + i) * ESC_CHIP_ROW + 4 * t.lane, v[i]);
}

/* The tile's ledger terms, features into parts, into the sums over tiles: ESC_PARTS
 * lanes an interface. All threads come. */
template <int N>
static __device__ __forceinline__ void esc_chip_deficits(const esc_device_problem &p,
                                                         const esc_chip_block &b,
                                                         const esc_chip_thread<N> &t) {
  enum { groups = esc_chip<N>::threads / ESC_PARTS };
  for (int first = 0; first < p.layers - 1; first += groups) {
    const int l = first + t.group;
    double part = 0;
    for (int n = t.lane; l < p.layers - 1 && n < N; n += ESC_PARTS) part += b.feature[l * N + n];
    part = esc_fold_lanes(part);
    if (l < p.layers - 1 && t.lane == 0) b.deficit[l] += part;
  }
}

/* Folds the chains of a layer's gradient into b.spare, (N, N). All threads come. */
template <int N>
static __device__ __forceinline__ void esc_chip_fold(const esc_chip_block &b,
                                                     const esc_chip_thread<N> &t,
                                                     float sum[esc_chip<N>::rows][4]) {
  typedef esc_chip<N> deal;
  float *at = b.spare + t.down * N + t.across;
#pragma unroll
  for (int half = deal::chains / 2; half >= 0; half /= 2) {
    float *place = at + (half == 0 ? 0 : t.chain % (half > 0 ? half : 1)) * N * N;
    const bool gives = half == 0 ? t.chain == 0 : t.chain >= half && t.chain < 2 * half;
#pragma unroll
    for (int i = 0; i < deal::rows; i++)
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (gives) place[deal::crew_rows * i * N + deal::columns * j] = sum[i][j];
    __syncthreads();
    if (half == 0) break;
#pragma unroll
    for (int i = 0; i < deal::rows; i++)
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (t.chain < half)
          sum[i][j] = esc_add_f32(sum[i][j], place[deal::crew_rows * i * N + deal::columns * j]);
    __syncthreads();
  }
}

/* |G|^2 and the update of one layer from the gradient in b.spare: ESC_PARTS lanes
 * a row. w: (rows, pitch) in shared memory; low: (rows, columns) on the device. */
template <int N>
static __device__ __forceinline__ void esc_chip_update(const esc_chip_block &b,
                                                       esc_chip_thread<N> *t, float rate, int rows,
                                                       int columns, float *w, float *low,
                                                       double *gradient2) {
  enum { groups = esc_chip<N>::threads / ESC_PARTS };
  for (int first = 0; first < rows; first += groups) {
    const int n = first + t->group;
    double part = 0;
    for (int k = t->lane; n < rows && k < columns; k += ESC_PARTS) {
      const float g = b.spare[n * N + k];
      float *weight = w + n * esc_chip<N>::pitch + k, *rest = low ? low + n * columns + k : NULL;
      const esc_updated u = rest ? esc_update_compensated(rate, g, *weight, *rest)
                                 : esc_update_plain(rate, g, *weight);
      part += (double)g * (double)g;
      *weight = u.w;
      if (rest) *rest = u.low;
      t->moved += u.moved;
      t->lost += u.lost;
    }
    part = esc_fold_lanes(part);
    if (n < rows && t->lane == 0) b.row[n] = part;
  }
  __syncthreads();
  if (t->id < 32) { /* a warp, for the lanes must come together */
    double part = 0;
    for (int n = t->lane; t->group == 0 && n < rows; n += ESC_PARTS) part += b.row[n];
    part = esc_fold_lanes(part);
    if (t->id == 0) *gradient2 = part;
  }
}

#endif
