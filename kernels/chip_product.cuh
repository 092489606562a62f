/* The three matrix products of one tile of samples in shared memory.
 *
 * Activations are [feature][sample] with rows of ESC_CHIP_ROW floats, weights
 * [out][in] with rows of N + 4: both are 4 mod 32, so that rows read together lie in
 * different banks, and 16-byte aligned. A thread makes 4 x 4 outputs of a forward or
 * input-gradient product, and esc_chip<N>::rows x 4 of a weight gradient; every
 * output is one chain in ascending order. */
#ifndef ESC_CHIP_PRODUCT_CUH
#define ESC_CHIP_PRODUCT_CUH

#include "device.cuh"

enum { ESC_CHIP_ROW = ESC_TILE + 4 };

/* How N x ESC_TILE outputs and N x N weights are dealt to the block's threads. */
template <int N>
struct esc_chip {
  enum {
    threads = 4 * N, /* N / 4 groups of features times 16 groups of samples */
    pitch = N + 4,
    chains = N <= 32 ? 4 : 2,   /* esc_gradient_chains(N) */
    piece = ESC_TILE / chains,  /* samples of a chain in a tile */
    crew = threads / chains,    /* threads of a chain */
    columns = N / 4,            /* threads along a row of weights */
    crew_rows = crew / columns, /* threads along a column */
    rows = N / crew_rows,       /* weights of a thread: rows x 4 */
  };
};

static __device__ __forceinline__ float4 esc_load4(const float *p) {
  return *reinterpret_cast<const float4 *>(p);
}

static __device__ __forceinline__ void esc_store4(float *p, const float v[4]) {
  *reinterpret_cast<float4 *>(p) = make_float4(v[0], v[1], v[2], v[3]);
}

static __device__ __forceinline__ void esc_unpack(float4 v, float out[4]) {
  out[0] = v.x;
  out[1] = v.y;
  out[2] = v.z;
  out[3] = v.w;
}

/* sum[i][j] += a[i] b[j] */
static __device__ __forceinline__ void esc_outer(const float a[4], const float b[4],
                                                 float sum[4][4]) {
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) sum[i][j] = esc_fma_f32(a[i], b[j], sum[i][j]);
}

/* Pre-activations of features group + N/4 i and samples 4 lane + j. */
template <int N>
static __device__ __forceinline__ void esc_forward_product(const float *w, const float *h,
                                                           int depth, int group, int lane,
                                                           float sum[4][4]) {
  enum { pitch = esc_chip<N>::pitch };
  int k = 0;
  for (; k + 4 <= depth; k += 4) {
    float row[4][4], column[4], sample[4];
#pragma unroll
    for (int i = 0; i < 4; i++) esc_unpack(esc_load4(w + (group + N / 4 * i) * pitch + k), row[i]);
#pragma unroll
    for (int q = 0; q < 4; q++) {
#pragma unroll
      for (int i = 0; i < 4; i++) column[i] = row[i][q];
      esc_unpack(esc_load4(h + (k + q) * ESC_CHIP_ROW + 4 * lane), sample);
      esc_outer(column, sample, sum);
    }
  }
  for (; k < depth; k++) {
    float column[4], sample[4];
#pragma unroll
    for (int i = 0; i < 4; i++) column[i] = w[(group + N / 4 * i) * pitch + k];
    esc_unpack(esc_load4(h + k * ESC_CHIP_ROW + 4 * lane), sample);
    esc_outer(column, sample, sum);
  }
}

/* u of features 4 group + i and samples 4 lane + j. */
template <int N>
static __device__ __forceinline__ void esc_input_gradient(const float *w, const float *delta,
                                                          int group, int lane, float sum[4][4]) {
#pragma unroll 4
  for (int n = 0; n < N; n++) {
    float column[4], sample[4];
    esc_unpack(esc_load4(w + n * esc_chip<N>::pitch + 4 * group), column);
    esc_unpack(esc_load4(delta + n * ESC_CHIP_ROW + 4 * lane), sample);
    esc_outer(column, sample, sum);
  }
}

/* The chain of this thread's crew goes on through its piece of the tile: weights
 * (down + crew_rows i, across + columns j). */
template <int N>
static __device__ __forceinline__ void esc_weight_gradient(const float *delta, const float *h,
                                                           int chain, int down, int across,
                                                           float sum[esc_chip<N>::rows][4]) {
  typedef esc_chip<N> deal;
#pragma unroll 1
  for (int b = chain * deal::piece; b < (chain + 1) * deal::piece; b += 4) {
    float left[deal::rows][4], right[4][4];
#pragma unroll
    for (int i = 0; i < deal::rows; i++)
      esc_unpack(esc_load4(delta + (down + deal::crew_rows * i) * ESC_CHIP_ROW + b), left[i]);
#pragma unroll
    for (int j = 0; j < 4; j++)
      esc_unpack(esc_load4(h + (across + deal::columns * j) * ESC_CHIP_ROW + b), right[j]);
#pragma unroll
    for (int s = 0; s < 4; s++)
#pragma unroll
      for (int i = 0; i < deal::rows; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sum[i][j] = esc_fma_f32(left[i][s], right[j][s], sum[i][j]);
  }
}

#endif
