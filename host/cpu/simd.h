/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of floats at the width of the instruction set that this translation unit is compiled
 * for, with the operations of the small matrix products: every product is a fused multiply-add,
 * so that all widths give the same bits. Vectors of 64-bit integers serve Philox's product
 * 32 x 32 -> 64, which compilers do not vectorise. */
#ifndef ESC_SIMD_H
#define ESC_SIMD_H

#include <stdint.h>

#if defined(__AVX512F__)
#include <immintrin.h>
enum { ESC_LANES = 16 };
typedef __m512 esc_vec;
#define ESC_VEC_LOAD(p) _mm512_loadu_ps(p)
#define ESC_VEC_STORE(p, v) _mm512_storeu_ps(p, v)
#define ESC_VEC_SET(x) _mm512_set1_ps(x)
#define ESC_VEC_ADD(a, b) _mm512_add_ps(a, b)
#define ESC_VEC_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
enum { ESC_LANES = 8 };
typedef __m256 esc_vec;
#define ESC_VEC_LOAD(p) _mm256_loadu_ps(p)
#define ESC_VEC_STORE(p, v) _mm256_storeu_ps(p, v)
#define ESC_VEC_SET(x) _mm256_set1_ps(x)
#define ESC_VEC_ADD(a, b) _mm256_add_ps(a, b)
#define ESC_VEC_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#elif defined(__ARM_NEON)
#include <arm_neon.h>
enum { ESC_LANES = 4 };
typedef float32x4_t esc_vec;
#define ESC_VEC_LOAD(p) vld1q_f32(p)
#define ESC_VEC_STORE(p, v) vst1q_f32(p, v)
#define ESC_VEC_SET(x) vdupq_n_f32(x)
#define ESC_VEC_ADD(a, b) vaddq_f32(a, b)
#define ESC_VEC_FMA(a, b, c) vfmaq_f32(c, a, b)
#else
#ifdef __SSE2__
#include <emmintrin.h>
#endif
enum { ESC_LANES = 1 };
typedef float esc_vec;
#define ESC_VEC_LOAD(p) (*(p))
#define ESC_VEC_STORE(p, v) (*(p) = (v))
#define ESC_VEC_SET(x) (x)
#define ESC_VEC_ADD(a, b) ((a) + (b))
#define ESC_VEC_FMA(a, b, c) __builtin_fmaf(a, b, c)
#endif

/* Vectors of 64-bit lanes; ESC_WIDE_MUL multiplies the low 32 bits of each lane. */
#if defined(__AVX512F__)
enum { ESC_WIDE_LANES = 8 };
#define ESC_WIDE_EVEN_NUMBERS \
  { 0, 2, 4, 6, 8, 10, 12, 14 }
#elif defined(__AVX2__)
enum { ESC_WIDE_LANES = 4 };
#define ESC_WIDE_EVEN_NUMBERS \
  { 0, 2, 4, 6 }
#else
enum { ESC_WIDE_LANES = 2 };
#define ESC_WIDE_EVEN_NUMBERS \
  { 0, 2 }
#endif
typedef uint64_t esc_wide __attribute__((vector_size(8 * ESC_WIDE_LANES)));
#if defined(__AVX512F__)
#define ESC_WIDE_MUL(a, b) ((esc_wide)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))
#elif defined(__AVX2__)
#define ESC_WIDE_MUL(a, b) ((esc_wide)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#elif defined(__SSE2__)
#define ESC_WIDE_MUL(a, b) ((esc_wide)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#elif defined(__ARM_NEON)
#define ESC_WIDE_MUL(a, b) \
  ((esc_wide)vmull_u32(vmovn_u64((uint64x2_t)(a)), vmovn_u64((uint64x2_t)(b))))
#else
#define ESC_WIDE_MUL(a, b) (((a)&0xffffffffu) * ((b)&0xffffffffu))
#endif

#endif
