/* SPDX-License-Identifier: Apache-2.0 */
/* The three matrix products of a tile on the tensor cores, in 3xTF32 (mma.cuh).
 *
 * Two warps share 16 rows of outputs, features or rows of weights; each has half of
 * the columns, samples or weights of a row, in tiles of 8.
 *
 * Rows in shared memory are 4 or 20 floats long, mod 32. Lanes (r, q), r < 8, q < 4,
 * that read (row r, place q) all meet different banks; those that read (row q, place
 * r) do where the places are two groups of four, 16 apart, or the rows are two apart.
 * The tensor core does not mind how rows, columns and the reduction's places are
 * numbered, as long as both factors agree: they are numbered so. */
#ifndef ESC_FUSED_TENSOR_CUH
#define ESC_FUSED_TENSOR_CUH

#include "fused_product.cuh"
#include "mma.cuh"

/* How far apart in a factor of a warp's product lie, in floats: a lane's two places of
 * the same eight (`second`), eights of places (`step`), and rows 8 apart of the left
 * factor, tiles of the right one (`other`). */
struct esc_fused_stride {
  int second, step, other;
};

/* sum += a b over `depth` places, rounded up to 16; a and b are the lane's first. */
template <int tiles>
static __device__ __forceinline__ void esc_fused_tensor(const float *a,
                                                        const esc_fused_stride &by_a,
                                                        const float *b,
                                                        const esc_fused_stride &by_b, int depth,
                                                        float sum[2][2 * tiles]) {
#pragma unroll
  for (int first = 0; first < depth; first += 16) {
    float left[2][4], right[tiles][2][2];
#pragma unroll
    for (int k = 0; k < 2; k++) {
      const float *at_a = a + (first / 8 + k) * by_a.step, *at_b = b + (first / 8 + k) * by_b.step;
#pragma unroll
      for (int i = 0; i < 4; i++) left[k][i] = at_a[i / 2 * by_a.second + i % 2 * by_a.other];
#pragma unroll
      for (int t = 0; t < tiles; t++)
#pragma unroll
        for (int i = 0; i < 2; i++) right[t][k][i] = at_b[i * by_b.second + t * by_b.other];
    }
    esc_tf32x3<tiles>(left, right, sum);
  }
}

template <int N>
struct esc_fused_3xtf32 : esc_fused<N> {
  typedef esc_fused<N> fused;
  enum {
    rows = 2,
    columns = 8,
    vector = 2,
    /* Narrow networks leave a multiprocessor's shared memory to several blocks: so must the
     * registers, 168 of 384 threads. */
    resident_blocks = N <= 32 ? 96 / N : 1,
    terms = 2 * N,         /* each warp's half of the samples by itself */
    sums_across_tiles = 0, /* the sums of a tile start from 0, and are added to those before */
    tiles = N / 16,
    gradient_rows = 2,
    gradient_columns = 2 * tiles,
  };

  /* The warp's first row and its half of the columns; the lane. */
  struct thread_map {
    int first, half, r, q;
  };

  static __device__ __forceinline__ thread_map make_thread_map(int id) {
    const thread_map m = {id / 64 * 16, id / 32 % 2, id % 32 / 4, id % 4};
    return m;
  }

  /* Columns 0..7 of a tile are its samples 0..3 and 16..19. */
  static __device__ __forceinline__ int spread(int column) { return column % 4 + column / 4 * 16; }
  /* Rows 0..7 are 0, 2, 4, 6, 1, 3, 5, 7: where the lanes store, pairs of samples lie in
   * different banks, too. */
  static __device__ __forceinline__ int evens_first(int row) { return row % 4 * 2 + row / 4; }

  static __device__ __forceinline__ int forward_feature(const thread_map &m, int i) {
    return m.first + m.r + 8 * i;
  }
  static __device__ __forceinline__ int forward_sample(const thread_map &m, int j) {
    return 32 * m.half + 4 * (j / 2) + spread(2 * m.q) + j % 2;
  }
  static __device__ __forceinline__ int gradient_feature(const thread_map &m, int i) {
    return m.first + evens_first(m.r) + 8 * i;
  }
  static __device__ __forceinline__ int gradient_sample(const thread_map &m, int j) {
    return 32 * m.half + 8 * (j / 2) + 2 * m.q + j % 2;
  }

  /* Beyond `depth` there are zeros in w and h. */
  static __device__ __forceinline__ void forward(const float *w, const float *h, int depth,
                                                 const thread_map &m, float sum[rows][columns]) {
    const esc_fused_stride by_w = {4, 8, 8 * fused::pitch};
    const esc_fused_stride by_h = {4 * ESC_FUSED_LEADING, 8 * ESC_FUSED_LEADING, 4};
    esc_fused_tensor<columns / 2>(w + (m.first + m.r) * fused::pitch + m.q, by_w,
                                  h + m.q * ESC_FUSED_LEADING + 32 * m.half + spread(m.r), by_h,
                                  depth, sum);
  }

  /* A lane's two places are features side by side. */
  static __device__ __forceinline__ void input_gradient(const float *w, const float *delta,
                                                        const thread_map &m,
                                                        float sum[rows][columns]) {
    const esc_fused_stride by_w = {fused::pitch, 8 * fused::pitch, 8};
    const esc_fused_stride by_delta = {ESC_FUSED_LEADING, 8 * ESC_FUSED_LEADING, 8};
    esc_fused_tensor<columns / 2>(w + 2 * m.q * fused::pitch + m.first + evens_first(m.r), by_w,
                                  delta + 2 * m.q * ESC_FUSED_LEADING + 32 * m.half + m.r, by_delta,
                                  N, sum);
  }

  /* Over the four lanes of a row. */
  static __device__ __forceinline__ float reduce_term(float partial) {
    for (int half = 2; half > 0; half /= 2)
      partial = esc_add_f32(partial, __shfl_down_sync(0xffffffffu, partial, half, 4));
    return partial;
  }
  static __device__ __forceinline__ bool is_reduction_lane(const thread_map &m) { return m.q == 0; }
  static __device__ __forceinline__ int term(const thread_map &m, int i) {
    return m.half * N + gradient_feature(m, i);
  }

  static __device__ __forceinline__ void weight_gradient(
      const float *delta, const float *h, const thread_map &m,
      float sum[gradient_rows][gradient_columns]) {
    const esc_fused_stride by_sample = {4, 8, 8 * ESC_FUSED_LEADING};
    esc_fused_tensor<tiles>(delta + (m.first + m.r) * ESC_FUSED_LEADING + m.q, by_sample,
                            h + (N / 2 * m.half + m.r) * ESC_FUSED_LEADING + m.q, by_sample,
                            ESC_TILE, sum);
  }

  /* To (N, N). Called by the whole block; contains a barrier. */
  static __device__ __forceinline__ void reduce_gradient(
      const thread_map &m, const float sum[gradient_rows][gradient_columns], float *gradient) {
    float *at = gradient + (m.first + m.r) * N + N / 2 * m.half + 2 * m.q;
#pragma unroll
    for (int i = 0; i < gradient_rows; i++)
#pragma unroll
      for (int t = 0; t < tiles; t++) esc_store_vector<2>(at + 8 * i * N + 8 * t, &sum[i][2 * t]);
    __syncthreads();
  }
};

#endif
