/* SPDX-License-Identifier: Apache-2.0 */
/* The three matrix products of one tile of samples in shared memory, by fused multiply-adds
 * (docs/theory, sections 0.1 and 0.4): pre-activations z = W h, input gradients u = W' delta,
 * weight gradients G = delta h'.
 *
 * Activations are [feature][sample] with a leading dimension of ESC_FUSED_LEADING floats,
 * weights [out][in] with one of N + 4. Both are 4 mod 16, so that rows that are read together
 * use different banks, and multiples of 16 bytes for float4. A thread computes a thread tile of 16
 * outputs of a forward or input-gradient product (fewer for N < 16): `rows` features times
 * `columns` samples, of which `vector` are contiguous. For weight gradients the samples of a tile
 * are divided into K-slices, each with a group of threads: a thread's tile of weights is then 16 to
 * 32 of them (9 for N = 12, 4 for N = 8), and a larger thread tile needs fewer loads for each
 * multiply-add. A tree reduction adds the partial sums of the K-slices at the end of the minibatch.
 *
 * The other files of path `fused` are templates of a struct P with the members of
 * esc_fused_fma_products; fused_tensor.cuh has the second such struct. */
#ifndef ESC_FUSED_PRODUCT_CUH
#define ESC_FUSED_PRODUCT_CUH

#include "device.cuh"

enum { ESC_FUSED_LEADING = ESC_TILE + 4 };

/* Sizes that both structs of products share; N is the padded width, a multiple of 16, or 8 or 12.
 * 4 N threads, because 16 outputs a thread are the N times ESC_TILE outputs of a product; at least
 * 64 threads, one for each sample of a tile. */
template <int N>
struct esc_fused_geometry {
  enum {
    width = N,
    threads = N < 16 ? 64 : 4 * N,
    weight_leading = N + 4,
    matrix_floats = N * weight_leading, /* of a square matrix of weights in shared memory */
    slices = N <= 32 ? 4 : 2,           /* K-slices of a gradient: esc_gradient_slices(N) */
    slice_length = ESC_TILE / slices,   /* samples of a K-slice in a tile */
    optimized = 0,                      /* plain gradient descent; else see fused_optimize.cuh */
    unpadded = 0,                       /* any width up to N; else see fused_block.cuh */
    row_sums = 1,                       /* sums over a row of weights: |G|^2 */
  };
};

/* Four contiguous floats of shared memory, 16-byte aligned, by one load instruction. */
static __device__ __forceinline__ float4 esc_load4(const float *s_from) {
  return *reinterpret_cast<const float4 *>(s_from);
}

/* v as an array, whose elements loops with constant bounds can index; and back. */
static __device__ __forceinline__ void esc_unpack(float4 v, float out[4]) {
  out[0] = v.x;
  out[1] = v.y;
  out[2] = v.z;
  out[3] = v.w;
}
static __device__ __forceinline__ void esc_unpack(float2 v, float out[2]) {
  out[0] = v.x;
  out[1] = v.y;
}

template <int vector>
struct esc_floats;
template <>
struct esc_floats<4> {
  typedef float4 type;
  static __device__ __forceinline__ float4 pack(const float v[4]) {
    return make_float4(v[0], v[1], v[2], v[3]);
  }
};
template <>
struct esc_floats<2> {
  typedef float2 type;
  static __device__ __forceinline__ float2 pack(const float v[2]) {
    return make_float2(v[0], v[1]);
  }
};

/* `vector` contiguous floats of shared memory, 4 or 2, aligned to their size. */
template <int vector>
static __device__ __forceinline__ void esc_load_vector(const float *s_from, float v[vector]) {
  esc_unpack(*reinterpret_cast<const typename esc_floats<vector>::type *>(s_from), v);
}

template <int vector>
static __device__ __forceinline__ void esc_store_vector(float *s_to, const float v[vector]) {
  *reinterpret_cast<typename esc_floats<vector>::type *>(s_to) = esc_floats<vector>::pack(v);
}

/* `vector` contiguous floats of device memory, aligned to their size, past the L1 cache: each is
 * used once, and L1 is only what shared memory leaves of a multiprocessor's memory. */
template <int vector>
static __device__ __forceinline__ void esc_load_global(const float *g_from, float v[vector]) {
  esc_unpack(__ldcg(reinterpret_cast<const typename esc_floats<vector>::type *>(g_from)), v);
}

template <int vector>
static __device__ __forceinline__ void esc_store_global(float *g_to, const float v[vector]) {
  __stcg(reinterpret_cast<typename esc_floats<vector>::type *>(g_to), esc_floats<vector>::pack(v));
}

/* sum[i][j] += a[i] b[j]: 4 `rows` multiply-adds for the loads of a and b. */
template <int rows>
static __device__ __forceinline__ void esc_add_outer_product(const float a[rows], const float b[4],
                                                             float sum[rows][4]) {
#pragma unroll
  for (int i = 0; i < rows; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) sum[i][j] = esc_fma_f32(a[i], b[j], sum[i][j]);
}

/* Products by fused multiply-adds. An output of a forward or input-gradient product is one sum in
 * ascending order of the feature; a weight gradient is one partial sum a K-slice, in ascending
 * order of the sample (order.h: pre-activations, u; weight gradients). */
template <int N>
struct esc_fused_fma_products : esc_fused_geometry<N> {
  typedef esc_fused_geometry<N> geometry;
  enum {
    groups = geometry::threads / ESC_PARTIALS, /* of ESC_PARTIALS threads with all samples */
    rows = N / groups,
    columns = 4,
    vector = 4,
    /* On a multiprocessor, at least: the compiler's bound on registers. As many narrow networks as
     * the shared memory of an H100 holds with six layers. */
    resident_blocks = N == 8    ? 10
                      : N == 12 ? 7
                                : 1,
    ledger_terms = N,      /* sums of u kappa(z) of one tile and interface: one a feature */
    sums_across_tiles = 1, /* partial sums of a weight gradient continue from tile to tile */
    /* Threads of a K-slice of a weight gradient; of these, along a row of weights and a column. */
    slice_group = geometry::threads / geometry::slices,
    group_columns = N < 16 ? 4 : N / 4,
    group_rows = slice_group / group_columns,
    /* Weights of a thread in a gradient. */
    gradient_rows = N / group_rows,
    gradient_columns = N / group_columns,
    /* Iterations that the compiler may interleave, so that loads overlap with sums; each is four
     * reduction indices. As many as the registers allow. */
    unroll = N <= 32 ? 2 : 4,
  };

  /* Indices of a thread: (group, lane) of its features and samples in forward and input-gradient
   * products; K-slice, first row and first column of its weights in weight gradients. */
  struct thread_map {
    int group, lane, slice, gradient_row, gradient_column;
  };

  /* Threads 2 i and 2 i + 1 have the same samples, in weight gradients the same columns: a load in
   * which two neighbours read the same float4 needs half of the wavefronts. A warp therefore has
   * two groups of 16 lanes, interleaved. */
  static __device__ __forceinline__ thread_map make_thread_map(int id) {
    const int rest = id % slice_group;
    const thread_map m = {id / 32 * 2 + id % 2, id % 32 / 2, id / slice_group,
                          rest / (2 * group_columns) * 2 + rest % 2, rest / 2 % group_columns};
    return m;
  }

  /* Feature and sample of output (i, j) of a forward product; then of an input gradient. The
   * features differ, because the products read w along rows and along columns. */
  static __device__ __forceinline__ int forward_feature(const thread_map &m, int i) {
    return m.group + groups * i;
  }
  static __device__ __forceinline__ int forward_sample(const thread_map &m, int j) {
    return 4 * m.lane + j;
  }
  static __device__ __forceinline__ int gradient_feature(const thread_map &m, int i) {
    return rows * m.group + i;
  }
  static __device__ __forceinline__ int gradient_sample(const thread_map &m, int j) {
    return 4 * m.lane + j;
  }

  /* Pre-activations: sum += w h over `depth` features. A thread's rows are `groups` apart, so that
   * the two groups of a warp read neighbouring rows of w, in different banks. Four features at a
   * time, because w is read along its rows as float4; the second loop has the rest of `depth`.
   * The padding of h is not read: what is there has no effect, NaN included. */
  static __device__ __forceinline__ void forward(const float *s_w, const float *s_h, int depth,
                                                 const thread_map &m, float sum[rows][4]) {
    enum { weight_leading = geometry::weight_leading };
    int k = 0;
#pragma unroll(unroll)
    for (; k + 4 <= depth; k += 4) {
      float row[rows][4], column[rows], sample[4];
#pragma unroll
      for (int i = 0; i < rows; i++)
        esc_unpack(esc_load4(s_w + forward_feature(m, i) * weight_leading + k), row[i]);
#pragma unroll
      for (int q = 0; q < 4; q++) {
#pragma unroll
        for (int i = 0; i < rows; i++) column[i] = row[i][q];
        esc_unpack(esc_load4(s_h + (k + q) * ESC_FUSED_LEADING + 4 * m.lane), sample);
        esc_add_outer_product<rows>(column, sample, sum);
      }
    }
    for (; k < depth; k++) {
      float column[rows], sample[4];
#pragma unroll
      for (int i = 0; i < rows; i++) column[i] = s_w[forward_feature(m, i) * weight_leading + k];
      esc_unpack(esc_load4(s_h + k * ESC_FUSED_LEADING + 4 * m.lane), sample);
      esc_add_outer_product<rows>(column, sample, sum);
    }
  }

  /* u: sum += w' delta over the `depth` features of the layer above. A thread's features are
   * contiguous in a row of w: one float4 for 16 fused multiply-adds, and another for the samples;
   * one float2 for 8 at N = 8, three floats for 12 at N = 12. */
  static __device__ __forceinline__ void input_gradient(const float *s_w, const float *s_delta,
                                                        int depth, const thread_map &m,
                                                        float sum[rows][4]) {
    if (depth == N) { /* constant bounds cost 2% of a step less */
#pragma unroll(4 * unroll)
      for (int n = 0; n < N; n++) add_feature(s_w, s_delta, n, m, sum);
    } else {
#pragma unroll 4
      for (int n = 0; n < depth; n++) add_feature(s_w, s_delta, n, m, sum);
    }
  }

  /* Feature n of the layer above. */
  static __device__ __forceinline__ void add_feature(const float *s_w, const float *s_delta, int n,
                                                     const thread_map &m, float sum[rows][4]) {
    const float *s_column = s_w + n * geometry::weight_leading + rows * m.group;
    float column[rows], sample[4];
    if constexpr (rows == 3) {
#pragma unroll
      for (int i = 0; i < rows; i++) column[i] = s_column[i];
    } else {
      esc_load_vector<rows>(s_column, column);
    }
    esc_unpack(esc_load4(s_delta + n * ESC_FUSED_LEADING + 4 * m.lane), sample);
    esc_add_outer_product<rows>(column, sample, sum);
  }

  /* Sums over the lanes of the ledger's terms of the thread's features, valid in the reduction
   * lane: the tree of esc_tree_reduce_lanes, with the lanes of a group two threads apart. One level
   * of the tree for all features before the next level, because their shuffles are independent and
   * overlap. Called by whole warps. */
  static __device__ __forceinline__ void reduce_terms(float partial[rows]) {
#pragma unroll
    for (int distance = ESC_PARTIALS; distance > 1; distance /= 2)
#pragma unroll
      for (int i = 0; i < rows; i++)
        partial[i] = esc_add_f32(partial[i], __shfl_down_sync(0xffffffffu, partial[i], distance));
  }
  static __device__ __forceinline__ bool is_reduction_lane(const thread_map &m) {
    return m.lane == 0;
  }
  static __device__ __forceinline__ int ledger_term(const thread_map &m, int i) {
    return gradient_feature(m, i);
  }
  static __device__ __forceinline__ int ledger_feature(int term) { return term; }

  /* sum += delta h' over the samples of this thread's K-slice of the tile: weights
   * (gradient_row + group_rows i, gradient_column + group_columns j). At each (i, j) the threads of
   * a warp read neighbouring rows of delta and of h; 8 consecutive rows use different banks. Four
   * samples at a time, as float4, but each sum adds them in ascending order. */
  static __device__ __forceinline__ void weight_gradient(
      const float *s_delta, const float *s_h, const thread_map &m,
      float sum[gradient_rows][gradient_columns]) {
#pragma unroll(unroll)
    for (int b = m.slice * geometry::slice_length; b < (m.slice + 1) * geometry::slice_length;
         b += 4) {
      float left[gradient_rows][4], right[gradient_columns][4];
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
        esc_unpack(esc_load4(s_delta + (m.gradient_row + group_rows * i) * ESC_FUSED_LEADING + b),
                   left[i]);
#pragma unroll
      for (int j = 0; j < gradient_columns; j++)
        esc_unpack(esc_load4(s_h + (m.gradient_column + group_columns * j) * ESC_FUSED_LEADING + b),
                   right[j]);
#pragma unroll
      for (int q = 0; q < 4; q++)
#pragma unroll
        for (int i = 0; i < gradient_rows; i++)
#pragma unroll
          for (int j = 0; j < gradient_columns; j++)
            sum[i][j] = esc_fma_f32(left[i][q], right[j][q], sum[i][j]);
    }
  }

  /* Tree reduction of the K-slices' partial sums of a layer's gradient into (N, N) of shared
   * memory (order.h: weight gradients). Each level: the upper half of the slices stores, the lower
   * half adds to its registers; at the end slice 0 stores the gradient. At most slices / 2 matrices
   * are in shared memory at a time, which fit into s_gradient.
   * Called by the whole block; contains a barrier. */
  static __device__ __forceinline__ void reduce_gradient(const thread_map &m,
                                                         float sum[gradient_rows][gradient_columns],
                                                         float *s_gradient) {
    float *s_own = s_gradient + m.gradient_row * N + m.gradient_column;
#pragma unroll
    for (int half = geometry::slices / 2; half >= 0; half /= 2) {
      float *s_partial = s_own + (half == 0 ? 0 : m.slice % (half > 0 ? half : 1)) * N * N;
      const bool stores = half == 0 ? m.slice == 0 : m.slice >= half && m.slice < 2 * half;
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
#pragma unroll
        for (int j = 0; j < gradient_columns; j++)
          if (stores) s_partial[group_rows * i * N + group_columns * j] = sum[i][j];
      __syncthreads(); /* the stores of this level, or of the gradient, are complete */
      if (half == 0) break;
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
#pragma unroll
        for (int j = 0; j < gradient_columns; j++)
          if (m.slice < half)
            sum[i][j] = esc_add_f32(sum[i][j], s_partial[group_rows * i * N + group_columns * j]);
      __syncthreads(); /* all have added, before the next level overwrites the matrices */
    }
  }
};

#endif
