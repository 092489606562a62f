/* SPDX-License-Identifier: Apache-2.0 */
/* The three matrix products of one tile of samples in shared memory, and the mapping
 * of outputs to threads.
 *
 * Activations are [feature][sample] with rows of ESC_FUSED_LEADING floats, weights
 * [out][in] with rows of N + 4: both are 4 mod 16, so that rows read together lie in
 * different banks, and 16-byte aligned. A thread makes 16 outputs of a forward or
 * input-gradient product: `rows` features times `columns` samples, of which
 * `vector` lie side by side. The kernel is written for any struct P with the members of the one
 * below; fused_tensor.cuh has the other. */
#ifndef ESC_FUSED_PRODUCT_CUH
#define ESC_FUSED_PRODUCT_CUH

#include "device.cuh"

enum { ESC_FUSED_LEADING = ESC_TILE + 4 };

/* What all products of one width have in common. */
template <int N>
struct esc_fused {
  enum {
    width = N,
    threads = 4 * N,
    pitch = N + 4,
    slices = N <= 32 ? 4 : 2,         /* K-slices of a weight gradient: esc_gradient_slices(N) */
    slice_length = ESC_TILE / slices, /* samples of a K-slice in a tile */
  };
};

static __device__ __forceinline__ float4 esc_load4(const float *p) {
  return *reinterpret_cast<const float4 *>(p);
}

static __device__ __forceinline__ void esc_unpack(float4 v, float out[4]) {
  out[0] = v.x;
  out[1] = v.y;
  out[2] = v.z;
  out[3] = v.w;
}

/* `vector` floats side by side, 4 or 2, aligned as a whole. */
template <int vector>
static __device__ __forceinline__ void esc_load_vector(const float *from, float v[vector]) {
  static_assert(vector == 4 || vector == 2, "float4 or float2");
  if constexpr (vector == 4) {
    esc_unpack(esc_load4(from), v);
  } else {
    const float2 pair = *reinterpret_cast<const float2 *>(from);
    v[0] = pair.x;
    v[1] = pair.y;
  }
}

template <int vector>
static __device__ __forceinline__ void esc_store_vector(float *to, const float v[vector]) {
  static_assert(vector == 4 || vector == 2, "float4 or float2");
  if constexpr (vector == 4)
    *reinterpret_cast<float4 *>(to) = make_float4(v[0], v[1], v[2], v[3]);
  else
    *reinterpret_cast<float2 *>(to) = make_float2(v[0], v[1]);
}

/* sum[i][j] += a[i] b[j] */
static __device__ __forceinline__ void esc_outer(const float a[4], const float b[4],
                                                 float sum[4][4]) {
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) sum[i][j] = esc_fma_f32(a[i], b[j], sum[i][j]);
}

/* Fused multiply-adds: every output is summed in ascending order, as order.h has it. */
template <int N>
struct esc_fused_fma : esc_fused<N> {
  typedef esc_fused<N> fused;
  enum {
    rows = 4,
    columns = 4,
    vector = 4,
    resident_blocks = 1,   /* on a multiprocessor, at least */
    terms = N,             /* of the ledger, of one tile and interface */
    sums_across_tiles = 1, /* sums of a weight gradient go on through the tiles */
    slice_group = fused::threads / fused::slices, /* threads of a K-slice of a weight gradient */
    group_columns = N / 4,                        /* those along a row of weights */
    group_rows = slice_group / group_columns,     /* and along a column */
    gradient_rows = N / group_rows,               /* weights of a thread */
    gradient_columns = 4,
  };

  /* A thread's parts: of forward and input-gradient products (group, lane), of weight
   * gradients (slice, down, across). */
  struct thread_map {
    int group, lane, slice, down, across;
  };

  static __device__ __forceinline__ thread_map make_thread_map(int id) {
    const thread_map m = {id / ESC_PARTIALS, id % ESC_PARTIALS, id / slice_group,
                          id % slice_group / group_columns, id % group_columns};
    return m;
  }

  /* Output (i, j) of a forward product, and of an input gradient. */
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

  /* Pre-activations: sum += w h over `depth` features. */
  static __device__ __forceinline__ void forward(const float *w, const float *h, int depth,
                                                 const thread_map &m, float sum[4][4]) {
    enum { pitch = fused::pitch };
    int k = 0;
    for (; k + 4 <= depth; k += 4) {
      float row[4][4], column[4], sample[4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        esc_unpack(esc_load4(w + (m.group + N / 4 * i) * pitch + k), row[i]);
#pragma unroll
      for (int q = 0; q < 4; q++) {
#pragma unroll
        for (int i = 0; i < 4; i++) column[i] = row[i][q];
        esc_unpack(esc_load4(h + (k + q) * ESC_FUSED_LEADING + 4 * m.lane), sample);
        esc_outer(column, sample, sum);
      }
    }
    for (; k < depth; k++) {
      float column[4], sample[4];
#pragma unroll
      for (int i = 0; i < 4; i++) column[i] = w[(m.group + N / 4 * i) * pitch + k];
      esc_unpack(esc_load4(h + k * ESC_FUSED_LEADING + 4 * m.lane), sample);
      esc_outer(column, sample, sum);
    }
  }

  /* u: sum += w' delta. */
  static __device__ __forceinline__ void input_gradient(const float *w, const float *delta,
                                                        const thread_map &m, float sum[4][4]) {
#pragma unroll 4
    for (int n = 0; n < N; n++) {
      float column[4], sample[4];
      esc_unpack(esc_load4(w + n * fused::pitch + 4 * m.group), column);
      esc_unpack(esc_load4(delta + n * ESC_FUSED_LEADING + 4 * m.lane), sample);
      esc_outer(column, sample, sum);
    }
  }

  /* Sum over lanes of one of the ledger's terms, valid in the reduction lane. Called by whole
   * warps. */
  static __device__ __forceinline__ float reduce_term(float partial) {
    return esc_tree_reduce_lanes(partial);
  }
  static __device__ __forceinline__ bool is_reduction_lane(const thread_map &m) {
    return m.lane == 0;
  }
  static __device__ __forceinline__ int term(const thread_map &m, int i) {
    return gradient_feature(m, i);
  }

  /* sum += delta h' over this thread's K-slice of the tile: weights (down + group_rows i,
   * across + group_columns j). */
  static __device__ __forceinline__ void weight_gradient(const float *delta, const float *h,
                                                         const thread_map &m,
                                                         float sum[gradient_rows][4]) {
#pragma unroll 1
    for (int b = m.slice * fused::slice_length; b < (m.slice + 1) * fused::slice_length; b += 4) {
      float left[gradient_rows][4], right[4][4];
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
        esc_unpack(esc_load4(delta + (m.down + group_rows * i) * ESC_FUSED_LEADING + b), left[i]);
#pragma unroll
      for (int j = 0; j < 4; j++)
        esc_unpack(esc_load4(h + (m.across + group_columns * j) * ESC_FUSED_LEADING + b), right[j]);
#pragma unroll
      for (int q = 0; q < 4; q++)
#pragma unroll
        for (int i = 0; i < gradient_rows; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) sum[i][j] = esc_fma_f32(left[i][q], right[j][q], sum[i][j]);
    }
  }

  /* Tree reduction of the K-slices' partial sums of a layer's gradient into (N, N). Called by the
   * whole block; contains a barrier. */
  static __device__ __forceinline__ void reduce_gradient(const thread_map &m,
                                                         float sum[gradient_rows][4],
                                                         float *gradient) {
    float *at = gradient + m.down * N + m.across;
#pragma unroll
    for (int half = fused::slices / 2; half >= 0; half /= 2) {
      float *place = at + (half == 0 ? 0 : m.slice % (half > 0 ? half : 1)) * N * N;
      const bool gives = half == 0 ? m.slice == 0 : m.slice >= half && m.slice < 2 * half;
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
          if (gives) place[group_rows * i * N + group_columns * j] = sum[i][j];
      __syncthreads();
      if (half == 0) break;
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
          if (m.slice < half)
            sum[i][j] = esc_add_f32(sum[i][j], place[group_rows * i * N + group_columns * j]);
      __syncthreads();
    }
  }
};

#endif
