/* Vectors of floats at the width of the instruction set that this translation
 * unit is compiled for. Only what the small matrix products need; every product
 * is a fused multiply-add, so that all widths give the same bits. */
#ifndef ESC_SIMD_H
#define ESC_SIMD_H

#if defined(__AVX512F__)
#include <immintrin.h>
enum { ESC_LANES = 16 };
typedef __m512 esc_vec;
#define ESC_VEC_LOAD(p) _mm512_loadu_ps(p)
#define ESC_VEC_STORE(p, v) _mm512_storeu_ps(p, v)
#define ESC_VEC_SET(x) _mm512_set1_ps(x)
#define ESC_VEC_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
enum { ESC_LANES = 8 };
typedef __m256 esc_vec;
#define ESC_VEC_LOAD(p) _mm256_loadu_ps(p)
#define ESC_VEC_STORE(p, v) _mm256_storeu_ps(p, v)
#define ESC_VEC_SET(x) _mm256_set1_ps(x)
#define ESC_VEC_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#elif defined(__ARM_NEON)
#include <arm_neon.h>
enum { ESC_LANES = 4 };
typedef float32x4_t esc_vec;
#define ESC_VEC_LOAD(p) vld1q_f32(p)
#define ESC_VEC_STORE(p, v) vst1q_f32(p, v)
#define ESC_VEC_SET(x) vdupq_n_f32(x)
#define ESC_VEC_FMA(a, b, c) vfmaq_f32(c, a, b)
#else
enum { ESC_LANES = 1 };
typedef float esc_vec;
#define ESC_VEC_LOAD(p) (*(p))
#define ESC_VEC_STORE(p, v) (*(p) = (v))
#define ESC_VEC_SET(x) (x)
#define ESC_VEC_FMA(a, b, c) __builtin_fmaf(a, b, c)
#endif

/* Rows of features are padded to this many floats on every machine. */
enum { ESC_PAD = 16 };

#endif
