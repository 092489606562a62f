/* SPDX-License-Identifier: Apache-2.0 */
/* The three matrix products of a tile on the tensor cores, in 3xTF32 (mma.cuh; docs/theory,
 * sections 0.1 and 0.4).
 *
 * Two warps share 16 rows of outputs (features, or rows of weights); each computes half of the
 * columns (samples, or weights of a row) in mma tiles of 8. A weight gradient has no K-slices: all
 * threads work on all samples of the tile.
 *
 * Bank conflicts. Leading dimensions in shared memory are 4 or 20 mod 32. Lanes (r, q) with r <
 * 8 and q < 4 that read (row r, column q) all use different banks. Lanes that read (row q,
 * column r) do if the columns are two groups of four that are 16 apart, or the rows are two
 * apart. An mma gives the same sums for any numbering of rows, columns and reduction indices
 * that both factors share; permute_row and permute_column choose one without conflicts. */
#ifndef ESC_FUSED_TENSOR_CUH
#define ESC_FUSED_TENSOR_CUH

#include "fused_product.cuh"
#include "mma.cuh"

/* Distances in a factor of a warp's product, in floats: between a lane's two reduction indices
 * of one mma (`second`), between mmas along the reduction (`step`), and between rows 8 apart of
 * the left factor or mma tiles of the right one (`other`). They let one loop multiply matrices that
 * are stored as needed, transposed or permuted. */
struct esc_warp_strides {
  int second, step, other;
};

/* sum += a b over `depth` reduction indices, rounded up to 16, by a warp; s_a and s_b point to
 * the lane's first elements. */
template <int tiles>
static __device__ __forceinline__ void esc_warp_multiply_3xtf32(
    const float *s_a, const esc_warp_strides &by_a, const float *s_b, const esc_warp_strides &by_b,
    int depth, float sum[2][2 * tiles]) {
#pragma unroll
  for (int first = 0; first < depth; first += 16) {
    float left[2][4], right[tiles][2][2];
#pragma unroll
    for (int k = 0; k < 2; k++) {
      const float *s_left = s_a + (first / 8 + k) * by_a.step,
                  *s_right = s_b + (first / 8 + k) * by_b.step;
#pragma unroll
      for (int i = 0; i < 4; i++) left[k][i] = s_left[i / 2 * by_a.second + i % 2 * by_a.other];
#pragma unroll
      for (int t = 0; t < tiles; t++)
#pragma unroll
        for (int i = 0; i < 2; i++) right[t][k][i] = s_right[i * by_b.second + t * by_b.other];
    }
    esc_mma_3xtf32<tiles>(left, right, sum);
  }
}

/* Members as in esc_fused_fma_products. */
template <int N>
struct esc_fused_3xtf32_products : esc_fused_geometry<N> {
  typedef esc_fused_geometry<N> geometry;
  enum {
    rows = 2,
    columns = 8,
    vector = 2,
    /* The shared memory of a multiprocessor holds several blocks of narrow networks. 96 / N blocks
     * are 384 threads, which lets the compiler use 168 registers a thread. */
    resident_blocks = N <= 32 ? 96 / N : 1,
    ledger_terms = 2 * N,  /* one for each half of the samples, because two warps share a feature */
    sums_across_tiles = 0, /* a tile's sums start from 0, and are added to those before */
    tiles = N / 16,        /* mma tiles of a warp in a weight gradient */
    gradient_rows = 2,
    gradient_columns = 2 * tiles,
  };

  /* First row of the warp's outputs, and half of their columns; the thread is lane 4 r + q. */
  struct thread_map {
    int first_row, half, r, q;
  };

  static __device__ __forceinline__ thread_map make_thread_map(int id) {
    const thread_map m = {id / 64 * 16, id / 32 % 2, id % 32 / 4, id % 4};
    return m;
  }

  /* Columns 0..7 of an mma tile of a forward product are samples 0..3 and 16..19 from its first
   * one, so that lanes (row q, column r) use different banks. */
  static __device__ __forceinline__ int permute_column(int column) {
    return column % 4 + column / 4 * 16;
  }
  /* Rows 0..7 of an mma are rows 0, 2, 4, 6, 1, 3, 5, 7 of the output, so that the lanes' stores
   * of pairs of samples use different banks, too. */
  static __device__ __forceinline__ int permute_row(int row) { return row % 4 * 2 + row / 4; }

  static __device__ __forceinline__ int forward_feature(const thread_map &m, int i) {
    return m.first_row + m.r + 8 * i;
  }
  static __device__ __forceinline__ int forward_sample(const thread_map &m, int j) {
    return 32 * m.half + 4 * (j / 2) + permute_column(2 * m.q) + j % 2;
  }
  static __device__ __forceinline__ int gradient_feature(const thread_map &m, int i) {
    return m.first_row + permute_row(m.r) + 8 * i;
  }
  static __device__ __forceinline__ int gradient_sample(const thread_map &m, int j) {
    return 32 * m.half + 8 * (j / 2) + 2 * m.q + j % 2;
  }

  /* `depth` is rounded up to 16: there, columns of w are 0. */
  static __device__ __forceinline__ void forward(const float *s_w, const float *s_h, int depth,
                                                 const thread_map &m, float sum[rows][columns]) {
    const esc_warp_strides by_w = {4, 8, 8 * geometry::weight_leading};
    const esc_warp_strides by_h = {4 * ESC_FUSED_LEADING, 8 * ESC_FUSED_LEADING, 4};
    esc_warp_multiply_3xtf32<columns / 2>(
        s_w + (m.first_row + m.r) * geometry::weight_leading + m.q, by_w,
        s_h + m.q * ESC_FUSED_LEADING + 32 * m.half + permute_column(m.r), by_h, depth, sum);
  }

  /* The two reduction indices of a lane are neighbouring features. `depth` is rounded up to N:
   * there, rows of w are 0. */
  static __device__ __forceinline__ void input_gradient(const float *s_w, const float *s_delta,
                                                        int /*depth*/, const thread_map &m,
                                                        float sum[rows][columns]) {
    const esc_warp_strides by_w = {geometry::weight_leading, 8 * geometry::weight_leading, 8};
    const esc_warp_strides by_delta = {ESC_FUSED_LEADING, 8 * ESC_FUSED_LEADING, 8};
    esc_warp_multiply_3xtf32<columns / 2>(
        s_w + 2 * m.q * geometry::weight_leading + m.first_row + permute_row(m.r), by_w,
        s_delta + 2 * m.q * ESC_FUSED_LEADING + 32 * m.half + m.r, by_delta, N, sum);
  }

  /* Sums over the four lanes of a row, after 8 samples in each lane: another fixed order than that
   * of order.h. Called by whole warps. */
  static __device__ __forceinline__ void reduce_terms(float partial[rows]) {
#pragma unroll
    for (int half = 2; half > 0; half /= 2)
#pragma unroll
      for (int i = 0; i < rows; i++)
        partial[i] = esc_add_f32(partial[i], __shfl_down_sync(0xffffffffu, partial[i], half, 4));
  }
  static __device__ __forceinline__ bool is_reduction_lane(const thread_map &m) { return m.q == 0; }
  static __device__ __forceinline__ int ledger_term(const thread_map &m, int i) {
    return m.half * N + gradient_feature(m, i);
  }
  static __device__ __forceinline__ int ledger_feature(int term) { return term % N; }

  /* sum += delta h' over the samples of the tile. Both factors are read along their rows: lanes
   * (row r, column q). */
  static __device__ __forceinline__ void weight_gradient(
      const float *s_delta, const float *s_h, const thread_map &m,
      float sum[gradient_rows][gradient_columns]) {
    const esc_warp_strides by_sample = {4, 8, 8 * ESC_FUSED_LEADING};
    esc_warp_multiply_3xtf32<tiles>(
        s_delta + (m.first_row + m.r) * ESC_FUSED_LEADING + m.q, by_sample,
        s_h + (N / 2 * m.half + m.r) * ESC_FUSED_LEADING + m.q, by_sample, ESC_TILE, sum);
  }

  /* Stores a layer's gradient into (N, N) of shared memory. There is nothing to reduce: each weight
   * has one partial sum.
   * Called by the whole block; contains a barrier. */
  static __device__ __forceinline__ void reduce_gradient(
      const thread_map &m, const float sum[gradient_rows][gradient_columns], float *s_gradient) {
    float *s_own = s_gradient + (m.first_row + m.r) * N + N / 2 * m.half + 2 * m.q;
#pragma unroll
    for (int i = 0; i < gradient_rows; i++)
#pragma unroll
      for (int t = 0; t < tiles; t++)
        esc_store_vector<2>(s_own + 8 * i * N + 8 * t, &sum[i][2 * t]);
    __syncthreads();
  }
};

#endif
