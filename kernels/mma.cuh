/* SPDX-License-Identifier: Apache-2.0 */
/* Products of float matrices on the tensor cores, which multiply numbers of 11 significant bits
 * (TF32) and round every sum toward zero.
 *
 * 3xTF32: x = hi + lo, each of 11 bits, and a b = lo hi + hi lo + hi hi. The omitted lo lo is
 * 2^-22 of a b. hi is rounded to nearest, because truncation would leave an error of one sign in
 * lo. The tensor core sums 16 reduction indices at a time, the small products first; the result is
 * added outside, rounded to nearest. Sums in the tensor core alone would lose half a unit in the
 * last place for every eight indices, always toward zero (Ootomo and Yokota, arXiv 2203.03341). */
#ifndef ESC_MMA_CUH
#define ESC_MMA_CUH

#include <cuda_runtime.h>

#include "escapement/internal/float_math.h"
#ifndef __CUDACC__
#include "esc_simt_mma.h"
#endif

/* c += a b by a warp: a (16, 8), b (8, 8), c (16, 8); the low 13 bits of a and b are 0. Lane 4 r
 * + q holds
 *    a[0] (r, q), a[1] (r + 8, q), a[2] (r, q + 4), a[3] (r + 8, q + 4),
 *    b[0] (q, r), b[1] (q + 4, r),
 *    c[0] (r, 2 q), c[1] (r, 2 q + 1), c[2] (r + 8, 2 q), c[3] (r + 8, 2 q + 1).
 * Called by whole warps. */
static __device__ __forceinline__ void esc_mma_m16n8k8(const float a[4], const float b[2],
                                                       float c[4]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  asm volatile("trap;"); /* no such instruction; esc_cuda_select refuses the path */
#elif defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
#else
  esc_simt::mma_m16n8k8_tf32(a, b, c);
#endif
}

/* x = hi + lo with 11 bits each. lo keeps a NaN: hi's addition may turn one into 0. */
static __device__ __forceinline__ void esc_tf32_split(float x, float *hi, float *lo) {
  *hi = esc_float_of_bits((esc_bits_f32(x) + 0x1000u) & 0xffffe000u);
  *lo = esc_float_of_bits(esc_bits_f32(esc_sub_f32(x, *hi)) & 0xffffe000u);
}

/* sum += a b over 16 reduction indices, 16 rows and 8 * tiles columns, by a warp: eight indices
 * are a[0] and b[][0], the others a[1] and b[][1], with the lane's elements as above; sum[i][2 t
 * + j] is c[2 i + j] of tile t. 6 * tiles mma. Called by whole warps. */
template <int tiles>
static __device__ __forceinline__ void esc_mma_3xtf32(const float a[2][4],
                                                      const float b[tiles][2][2],
                                                      float sum[2][2 * tiles]) {
  float a_hi[2][4], a_lo[2][4], b_hi[tiles][2][2], b_lo[tiles][2][2], product[tiles][4] = {{0}};
#pragma unroll
  for (int k = 0; k < 2; k++) {
#pragma unroll
    for (int i = 0; i < 4; i++) esc_tf32_split(a[k][i], &a_hi[k][i], &a_lo[k][i]);
#pragma unroll
    for (int t = 0; t < tiles; t++)
#pragma unroll
      for (int i = 0; i < 2; i++) esc_tf32_split(b[t][k][i], &b_hi[t][k][i], &b_lo[t][k][i]);
  }
  /* Tiles innermost: a tile's product depends on the one before. */
#pragma unroll
  for (int k = 0; k < 2; k++)
#pragma unroll
    for (int t = 0; t < tiles; t++) esc_mma_m16n8k8(a_lo[k], b_hi[t][k], product[t]);
#pragma unroll
  for (int k = 0; k < 2; k++)
#pragma unroll
    for (int t = 0; t < tiles; t++) esc_mma_m16n8k8(a_hi[k], b_lo[t][k], product[t]);
#pragma unroll
  for (int k = 0; k < 2; k++)
#pragma unroll
    for (int t = 0; t < tiles; t++) esc_mma_m16n8k8(a_hi[k], b_hi[t][k], product[t]);
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < 2 * tiles; j++)
      sum[i][j] = esc_add_f32(sum[i][j], product[j / 2][2 * i + j % 2]);
}

#endif
