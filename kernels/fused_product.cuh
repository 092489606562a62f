/* SPDX-License-Identifier: Apache-2.0 */
/* The three matrix products of one tile of samples in shared memory, by fused multiply-adds
 * (docs/theory, sections 0.1 and 0.4): pre-activations z = W h, input gradients u = W' delta,
 * weight gradients G = delta h'.
 *
 * Activations are [feature][sample] with a leading dimension of ESC_FUSED_LEADING floats,
 * weights [out][in] with one of N + 4. Both are 4 mod 16, so that rows that are read together
 * use different banks, and multiples of 16 bytes for float4. A thread makes a tile of 16 outputs
 * of a forward or input-gradient product: `rows` features times `columns` samples, of which
 * `vector` are contiguous. For weight gradients the samples of a tile are divided into K-slices;
 * each has a group of threads, whose partial sums a tree reduction adds at the end of the
 * minibatch.
 *
 * Path `fused` is written for any struct P with the members of esc_fused_fma_products;
 * fused_tensor.cuh has the other. */
#ifndef ESC_FUSED_PRODUCT_CUH
#define ESC_FUSED_PRODUCT_CUH

#include "device.cuh"

enum { ESC_FUSED_LEADING = ESC_TILE + 4 };

/* Sizes that all products of width N share. */
template <int N>
struct esc_fused_geometry {
  enum {
    width = N,
    threads = 4 * N,
    pitch = N + 4,
    slices = N <= 32 ? 4 : 2,         /* K-slices of a weight gradient: esc_gradient_slices(N) */
    slice_length = ESC_TILE / slices, /* samples of a K-slice in a tile */
  };
};

/* Four contiguous floats, 16-byte aligned. */
static __device__ __forceinline__ float4 esc_load4(const float *s_from) {
  return *reinterpret_cast<const float4 *>(s_from);
}

static __device__ __forceinline__ void esc_unpack(float4 v, float out[4]) {
  out[0] = v.x;
  out[1] = v.y;
  out[2] = v.z;
  out[3] = v.w;
}

/* `vector` contiguous floats, 4 or 2, aligned to their size. */
template <int vector>
static __device__ __forceinline__ void esc_load_vector(const float *s_from, float v[vector]) {
  static_assert(vector == 4 || vector == 2, "float4 or float2");
  if constexpr (vector == 4) {
    esc_unpack(esc_load4(s_from), v);
  } else {
    const float2 pair = *reinterpret_cast<const float2 *>(s_from);
    v[0] = pair.x;
    v[1] = pair.y;
  }
}

template <int vector>
static __device__ __forceinline__ void esc_store_vector(float *s_to, const float v[vector]) {
  static_assert(vector == 4 || vector == 2, "float4 or float2");
  if constexpr (vector == 4)
    *reinterpret_cast<float4 *>(s_to) = make_float4(v[0], v[1], v[2], v[3]);
  else
    *reinterpret_cast<float2 *>(s_to) = make_float2(v[0], v[1]);
}

/* The same in device memory, by way of the L2 cache alone. */
template <int vector>
static __device__ __forceinline__ void esc_load_global(const float *g_from, float v[vector]) {
  static_assert(vector == 4 || vector == 2, "float4 or float2");
  if constexpr (vector == 4) {
    esc_unpack(__ldcg(reinterpret_cast<const float4 *>(g_from)), v);
  } else {
    const float2 pair = __ldcg(reinterpret_cast<const float2 *>(g_from));
    v[0] = pair.x;
    v[1] = pair.y;
  }
}

template <int vector>
static __device__ __forceinline__ void esc_store_global(float *g_to, const float v[vector]) {
  static_assert(vector == 4 || vector == 2, "float4 or float2");
  if constexpr (vector == 4)
    __stcg(reinterpret_cast<float4 *>(g_to), make_float4(v[0], v[1], v[2], v[3]));
  else
    __stcg(reinterpret_cast<float2 *>(g_to), make_float2(v[0], v[1]));
}

/* sum[i][j] += a[i] b[j] */
static __device__ __forceinline__ void esc_add_outer_product(const float a[4], const float b[4],
                                                             float sum[4][4]) {
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) sum[i][j] = esc_fma_f32(a[i], b[j], sum[i][j]);
}

/* By fused multiply-adds: every output is one sum in ascending order of the reduction index
 * (order.h: pre-activations, u; weight gradients). */
template <int N>
struct esc_fused_fma_products : esc_fused_geometry<N> {
  typedef esc_fused_geometry<N> geometry;
  enum {
    rows = 4,
    columns = 4,
    vector = 4,
    resident_blocks = 1,   /* on a multiprocessor, at least */
    ledger_terms = N,      /* of the ledger, of one tile and interface */
    sums_across_tiles = 1, /* partial sums of a weight gradient continue through the tiles */
    /* Threads of a K-slice of a weight gradient; along a row of weights, and along a column. */
    slice_group = geometry::threads / geometry::slices,
    group_columns = N / 4,
    group_rows = slice_group / group_columns,
    /* Weights of a thread. */
    gradient_rows = N / group_rows,
    gradient_columns = 4,
    /* Iterations of the product loops side by side, so that loads overlap with sums: as many as
     * the registers allow. */
    unroll = N <= 32 ? 2 : 4,
  };

  /* Indices of a thread: (group, lane) in forward and input-gradient products; K-slice, first row
   * and first column in weight gradients. */
  struct thread_map {
    int group, lane, slice, gradient_row, gradient_column;
  };

  /* Neighbouring threads share the samples, in gradients the columns: where two neighbours load the
   * same float4, the load takes half of the wavefronts. */
  static __device__ __forceinline__ thread_map make_thread_map(int id) {
    const int rest = id % slice_group;
    const thread_map m = {id / 32 * 2 + id % 2, id % 32 / 2, id / slice_group,
                          rest / (2 * group_columns) * 2 + rest % 2, rest / 2 % group_columns};
    return m;
  }

  /* Feature and sample of output (i, j) of a forward product; then of an input gradient. */
  static __device__ __forceinline__ int forward_feature(const thread_map &m, int i) {
    return m.group + N / 4 * i;
  }
  static __device__ __forceinline__ int forward_sample(const thread_map &m, int j) {
    return 4 * m.lane + j;
  }
  static __device__ __forceinline__ int gradient_feature(const thread_map &m, int i) {
    return 4 * m.group + i;
  }
  static __device__ __forceinline__ int gradient_sample(const thread_map &m, int j) {
    return 4 * m.lane + j;
  }

  /* Pre-activations: sum += w h over `depth` features. A thread's rows are N / 4 apart, so that
   * the two groups of a warp read neighbouring rows of w, in different banks. */
  static __device__ __forceinline__ void forward(const float *s_w, const float *s_h, int depth,
                                                 const thread_map &m, float sum[4][4]) {
    enum { pitch = geometry::pitch };
    int k = 0;
#pragma unroll(unroll)
    for (; k + 4 <= depth; k += 4) {
      float row[4][4], column[4], sample[4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        esc_unpack(esc_load4(s_w + (m.group + N / 4 * i) * pitch + k), row[i]);
#pragma unroll
      for (int q = 0; q < 4; q++) {
#pragma unroll
        for (int i = 0; i < 4; i++) column[i] = row[i][q];
        esc_unpack(esc_load4(s_h + (k + q) * ESC_FUSED_LEADING + 4 * m.lane), sample);
        esc_add_outer_product(column, sample, sum);
      }
    }
    for (; k < depth; k++) {
      float column[4], sample[4];
#pragma unroll
      for (int i = 0; i < 4; i++) column[i] = s_w[(m.group + N / 4 * i) * pitch + k];
      esc_unpack(esc_load4(s_h + k * ESC_FUSED_LEADING + 4 * m.lane), sample);
      esc_add_outer_product(column, sample, sum);
    }
  }

  /* u: sum += w' delta. A thread's features are contiguous in a row of w: one float4. */
  static __device__ __forceinline__ void input_gradient(const float *s_w, const float *s_delta,
                                                        const thread_map &m, float sum[4][4]) {
#pragma unroll(4 * unroll)
    for (int n = 0; n < N; n++) {
      float column[4], sample[4];
      esc_unpack(esc_load4(s_w + n * geometry::pitch + 4 * m.group), column);
      esc_unpack(esc_load4(s_delta + n * ESC_FUSED_LEADING + 4 * m.lane), sample);
      esc_add_outer_product(column, sample, sum);
    }
  }

  /* Sums over the lanes of the ledger's terms of the thread's features, valid in the reduction
   * lane: the tree of esc_tree_reduce_lanes, with the lanes of a group two threads apart. All terms
   * at once, because a shuffle takes as long as many sums. Called by whole warps. */
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

  /* sum += delta h' over the samples of this thread's K-slice of the tile: weights
   * (gradient_row + group_rows i, gradient_column + group_columns j). Their rows of delta and h
   * are neighbours in a warp; 8 consecutive rows use different banks. */
  static __device__ __forceinline__ void weight_gradient(const float *s_delta, const float *s_h,
                                                         const thread_map &m,
                                                         float sum[gradient_rows][4]) {
#pragma unroll(unroll)
    for (int b = m.slice * geometry::slice_length; b < (m.slice + 1) * geometry::slice_length;
         b += 4) {
      float left[gradient_rows][4], right[4][4];
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
        esc_unpack(esc_load4(s_delta + (m.gradient_row + group_rows * i) * ESC_FUSED_LEADING + b),
                   left[i]);
#pragma unroll
      for (int j = 0; j < 4; j++)
        esc_unpack(esc_load4(s_h + (m.gradient_column + group_columns * j) * ESC_FUSED_LEADING + b),
                   right[j]);
#pragma unroll
      for (int q = 0; q < 4; q++)
#pragma unroll
        for (int i = 0; i < gradient_rows; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) sum[i][j] = esc_fma_f32(left[i][q], right[j][q], sum[i][j]);
    }
  }

  /* Tree reduction of the K-slices' partial sums of a layer's gradient into (N, N) of shared
   * memory: the upper half of the slices stores, the lower half adds.
   * Called by the whole block; contains a barrier. */
  static __device__ __forceinline__ void reduce_gradient(const thread_map &m,
                                                         float sum[gradient_rows][4],
                                                         float *s_gradient) {
    float *s_own = s_gradient + m.gradient_row * N + m.gradient_column;
#pragma unroll
    for (int half = geometry::slices / 2; half >= 0; half /= 2) {
      float *s_partial = s_own + (half == 0 ? 0 : m.slice % (half > 0 ? half : 1)) * N * N;
      const bool stores = half == 0 ? m.slice == 0 : m.slice >= half && m.slice < 2 * half;
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
          if (stores) s_partial[group_rows * i * N + group_columns * j] = sum[i][j];
      __syncthreads();
      if (half == 0) break;
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
          if (m.slice < half)
            sum[i][j] = esc_add_f32(sum[i][j], s_partial[group_rows * i * N + group_columns * j]);
      __syncthreads();
    }
  }
};

#endif
