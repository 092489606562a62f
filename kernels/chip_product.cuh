/* The three matrix products of one tile of samples in shared memory, and how their
 * outputs are dealt to a block's threads.
 *
 * Activations are [feature][sample] with rows of ESC_CHIP_ROW floats, weights
 * [out][in] with rows of N + 4: both are 4 mod 16, so that rows read together lie in
 * different banks, and 16-byte aligned. A thread makes 16 outputs of a forward or
 * input-gradient product: `rows` features times `columns` samples, of which `run` lie
 * side by side. The kernel is written for any struct P with the members of the one
 * below; chip_tensor.cuh has the other. */
#ifndef ESC_CHIP_PRODUCT_CUH
#define ESC_CHIP_PRODUCT_CUH

#include "device.cuh"

enum { ESC_CHIP_ROW = ESC_TILE + 4 };

/* What all products of one width have in common. */
template <int N>
struct esc_chip {
  enum {
    width = N,
    threads = 4 * N,
    pitch = N + 4,
    chains = N <= 32 ? 4 : 2,  /* esc_gradient_chains(N) */
    piece = ESC_TILE / chains, /* samples of a chain in a tile */
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

/* `run` floats side by side, 4 or 2, aligned as a whole. */
template <int run>
static __device__ __forceinline__ void esc_load_run(const float *from, float v[run]) {
  static_assert(run == 4 || run == 2, "float4 or float2");
  if constexpr (run == 4) {
    esc_unpack(esc_load4(from), v);
  } else {
    const float2 pair = *reinterpret_cast<const float2 *>(from);
    v[0] = pair.x;
    v[1] = pair.y;
  }
}

template <int run>
static __device__ __forceinline__ void esc_store_run(float *to, const float v[run]) {
  static_assert(run == 4 || run == 2, "float4 or float2");
  if constexpr (run == 4)
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

/* Fused multiply-adds: every output is one chain in ascending order, as order.h has it. */
template <int N>
struct esc_chip_fma : esc_chip<N> {
  typedef esc_chip<N> chip;
  enum {
    rows = 4,
    columns = 4,
    run = 4,
    terms = N,                           /* of the ledger, of one tile and interface */
    chained = 1,                         /* sums of a weight gradient go on through the tiles */
    crew = chip::threads / chip::chains, /* threads of a chain of a weight gradient */
    crew_columns = N / 4,                /* those along a row of weights */
    crew_rows = crew / crew_columns,     /* and along a column */
    gradient_rows = N / crew_rows,       /* weights of a thread */
    gradient_columns = 4,
  };

  /* A thread's parts: of forward and input-gradient products (group, lane), of weight
   * gradients (chain, down, across). */
  struct seat {
    int group, lane, chain, down, across;
  };

  static __device__ __forceinline__ seat take(int id) {
    const seat s = {id / ESC_PARTS, id % ESC_PARTS, id / crew, id % crew / crew_columns,
                    id % crew_columns};
    return s;
  }

  /* Output (i, j) of a forward product, and of an input gradient. */
  static __device__ __forceinline__ int forward_feature(const seat &s, int i) {
    return s.group + N / 4 * i;
  }
  static __device__ __forceinline__ int forward_sample(const seat &s, int j) {
    return 4 * s.lane + j;
  }
  static __device__ __forceinline__ int gradient_feature(const seat &s, int i) {
    return 4 * s.group + i;
  }
  static __device__ __forceinline__ int gradient_sample(const seat &s, int j) {
    return 4 * s.lane + j;
  }

  /* Pre-activations: sum += w h over `depth` features. */
  static __device__ __forceinline__ void forward(const float *w, const float *h, int depth,
                                                 const seat &s, float sum[4][4]) {
    enum { pitch = chip::pitch };
    int k = 0;
    for (; k + 4 <= depth; k += 4) {
      float row[4][4], column[4], sample[4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        esc_unpack(esc_load4(w + (s.group + N / 4 * i) * pitch + k), row[i]);
#pragma unroll
      for (int q = 0; q < 4; q++) {
#pragma unroll
        for (int i = 0; i < 4; i++) column[i] = row[i][q];
        esc_unpack(esc_load4(h + (k + q) * ESC_CHIP_ROW + 4 * s.lane), sample);
        esc_outer(column, sample, sum);
      }
    }
    for (; k < depth; k++) {
      float column[4], sample[4];
#pragma unroll
      for (int i = 0; i < 4; i++) column[i] = w[(s.group + N / 4 * i) * pitch + k];
      esc_unpack(esc_load4(h + k * ESC_CHIP_ROW + 4 * s.lane), sample);
      esc_outer(column, sample, sum);
    }
  }

  /* u: sum += w' delta. */
  static __device__ __forceinline__ void input_gradient(const float *w, const float *delta,
                                                        const seat &s, float sum[4][4]) {
#pragma unroll 4
    for (int n = 0; n < N; n++) {
      float column[4], sample[4];
      esc_unpack(esc_load4(w + n * chip::pitch + 4 * s.group), column);
      esc_unpack(esc_load4(delta + n * ESC_CHIP_ROW + 4 * s.lane), sample);
      esc_outer(column, sample, sum);
    }
  }

  /* The sum over lanes of what each has of one of the ledger's terms; the one that
   * leads keeps it. All lanes of the warp must come. */
  static __device__ __forceinline__ float fold_term(float part) { return esc_fold_lanes(part); }
  static __device__ __forceinline__ bool leads(const seat &s) { return s.lane == 0; }
  static __device__ __forceinline__ int term(const seat &s, int i) {
    return gradient_feature(s, i);
  }

  /* sum += delta h': the chain of this thread's crew goes on through its piece of the
   * tile: weights (down + crew_rows i, across + crew_columns j). */
  static __device__ __forceinline__ void weight_gradient(const float *delta, const float *h,
                                                         const seat &s,
                                                         float sum[gradient_rows][4]) {
#pragma unroll 1
    for (int b = s.chain * chip::piece; b < (s.chain + 1) * chip::piece; b += 4) {
      float left[gradient_rows][4], right[4][4];
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
        esc_unpack(esc_load4(delta + (s.down + crew_rows * i) * ESC_CHIP_ROW + b), left[i]);
#pragma unroll
      for (int j = 0; j < 4; j++)
        esc_unpack(esc_load4(h + (s.across + crew_columns * j) * ESC_CHIP_ROW + b), right[j]);
#pragma unroll
      for (int q = 0; q < 4; q++)
#pragma unroll
        for (int i = 0; i < gradient_rows; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) sum[i][j] = esc_fma_f32(left[i][q], right[j][q], sum[i][j]);
    }
  }

  /* Folds the chains of a layer's gradient in halves into (N, N). All threads come. */
  static __device__ __forceinline__ void fold_gradient(const seat &s, float sum[gradient_rows][4],
                                                       float *gradient) {
    float *at = gradient + s.down * N + s.across;
#pragma unroll
    for (int half = chip::chains / 2; half >= 0; half /= 2) {
      float *place = at + (half == 0 ? 0 : s.chain % (half > 0 ? half : 1)) * N * N;
      const bool gives = half == 0 ? s.chain == 0 : s.chain >= half && s.chain < 2 * half;
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
          if (gives) place[crew_rows * i * N + crew_columns * j] = sum[i][j];
      __syncthreads();
      if (half == 0) break;
#pragma unroll
      for (int i = 0; i < gradient_rows; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
          if (s.chain < half)
            sum[i][j] = esc_add_f32(sum[i][j], place[crew_rows * i * N + crew_columns * j]);
      __syncthreads();
    }
  }
};

#endif
