/* SPDX-License-Identifier: Apache-2.0 */
/* Elementary functions in float, the same bits on every machine and on a GPU.
 *
 * Built only from correctly rounded operations (fma, +, -, *, /, sqrt, casts)
 * and bit operations: compile with -ffp-contract=off, and nvcc without
 * -use_fast_math. No branches, tables or calls, so a loop over any of them
 * vectorises (-O3 -fno-math-errno -fno-trapping-math). Coefficients come from
 * tools/minimax.py.
 *
 * A NaN goes in and comes out of every function, so divergence is seen. Errors
 * are the largest found in scans of the stated range, up to all its floats. */
#ifndef ESCAPEMENT_FLOAT_MATH_H
#define ESCAPEMENT_FLOAT_MATH_H

#include <stdint.h>

#include "escapement/internal/portable.h"

/* The basic operations. Spelled as intrinsics on the device, where the compiler
 * may otherwise fuse a product with the sum that takes it. */
#ifdef __CUDA_ARCH__
ESC_SHARED float esc_fma_f32(float a, float b, float c) { return __fmaf_rn(a, b, c); }
ESC_SHARED float esc_mul_f32(float a, float b) { return __fmul_rn(a, b); }
ESC_SHARED float esc_add_f32(float a, float b) { return __fadd_rn(a, b); }
ESC_SHARED float esc_sub_f32(float a, float b) { return __fsub_rn(a, b); }
ESC_SHARED float esc_div_f32(float a, float b) { return __fdiv_rn(a, b); }
ESC_SHARED float esc_sqrt_f32(float a) { return __fsqrt_rn(a); }
ESC_SHARED uint32_t esc_bits_f32(float a) { return __float_as_uint(a); }
ESC_SHARED float esc_float_of_bits(uint32_t a) { return __uint_as_float(a); }
#else
ESC_SHARED float esc_fma_f32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
ESC_SHARED float esc_mul_f32(float a, float b) { return a * b; }
ESC_SHARED float esc_add_f32(float a, float b) { return a + b; }
ESC_SHARED float esc_sub_f32(float a, float b) { return a - b; }
ESC_SHARED float esc_div_f32(float a, float b) { return a / b; }
ESC_SHARED float esc_sqrt_f32(float a) { return __builtin_sqrtf(a); }
ESC_SHARED uint32_t esc_bits_f32(float a) {
  uint32_t bits;
  __builtin_memcpy(&bits, &a, sizeof bits);
  return bits;
}
ESC_SHARED float esc_float_of_bits(uint32_t a) {
  float value;
  __builtin_memcpy(&value, &a, sizeof value);
  return value;
}
#endif

/* The correctly rounded quotient and root from an approximation of 1/b and of 1/sqrt(x) that is
 * good to 2 ulp, without the branches of the device's own division and root: a Newton step for what
 * is approximated, and one with the residual, which the fma gives exactly. That needs operands for
 * which nothing on the way underflows or overflows; tests/test_division.c goes through those that
 * occur. (The root without its Newton step is off for 5942 of them if the approximation is.) */
ESC_SHARED float esc_div_refine_f32(float a, float b, float reciprocal) {
  const float y = esc_fma_f32(reciprocal, esc_fma_f32(-b, reciprocal, 1.0f), reciprocal);
  const float q = esc_mul_f32(a, y);
  return esc_fma_f32(y, esc_fma_f32(-b, q, a), q);
}
ESC_SHARED float esc_sqrt_refine_f32(float x, float reciprocal_root) {
  float s = esc_mul_f32(x, reciprocal_root), half = esc_mul_f32(reciprocal_root, 0.5f);
  const float error = esc_fma_f32(-half, s, 0.5f);
  s = esc_fma_f32(s, error, s);
  half = esc_fma_f32(half, error, half);
  const float root = esc_fma_f32(esc_fma_f32(-s, s, x), half, s);
  return x == 0.0f ? x : root; /* 1/sqrt(0) is infinite */
}

/* a / b and sqrt(x) where no intermediate result leaves the normal floats: the same bits
 * everywhere. */
#ifdef __CUDA_ARCH__
ESC_SHARED float esc_div_normal_f32(float a, float b) {
  float reciprocal;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(b));
  return esc_div_refine_f32(a, b, reciprocal);
}
ESC_SHARED float esc_sqrt_normal_f32(float x) {
  float reciprocal_root;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(reciprocal_root) : "f"(x));
  return esc_sqrt_refine_f32(x, reciprocal_root);
}
#else
ESC_SHARED float esc_div_normal_f32(float a, float b) { return esc_div_f32(a, b); }
ESC_SHARED float esc_sqrt_normal_f32(float x) { return esc_sqrt_f32(x); }
#endif

ESC_SHARED float esc_nan_f32(void) { return esc_float_of_bits(0x7fc00000u); }
ESC_SHARED float esc_abs_f32(float x) { return esc_float_of_bits(esc_bits_f32(x) & 0x7fffffffu); }

/* magnitude >= 0 with the sign of x. */
ESC_SHARED float esc_with_sign_of_f32(float magnitude, float x) {
  return esc_float_of_bits(esc_bits_f32(magnitude) | (esc_bits_f32(x) & 0x80000000u));
}

/* x brought into [low, high]. The comparisons are false for a NaN, which stays;
 * both look at x, or gcc would thread the second through the first. */
ESC_SHARED float esc_clamp_f32(float x, float low, float high) {
  const float raised = x < low ? low : x;
  return high < x ? high : raised;
}

/* Adding this rounds |x| < 2^22 to an integer, which then stands in the low bits. */
#define ESC_ROUND_F32 0x1.8p23f

/* Adding this rounds x to an integer n as well, and leaves n + 127 in the low bits: the exponent of
 * 2^n. The same n as with ESC_ROUND_F32 unless x is half-way between two integers. */
#define ESC_ROUND_EXPONENT_F32 (ESC_ROUND_F32 + 127.0f)

/* 2^n for -127 < n < 128, and 0 for n = -127, from t = n + ESC_ROUND_EXPONENT_F32. */
ESC_SHARED float esc_power_of_rounded_f32(float t) {
  return esc_float_of_bits(esc_bits_f32(t) << 23);
}

/* e^x to 0.9 ulp; 0 below -87.68, 2.4e38 above 88.37: never infinite. */
ESC_SHARED float esc_exp_f32(float x) {
  const float y = esc_clamp_f32(x, -88.0f, 88.375f);
  const float t = esc_fma_f32(y, 0x1.715476p+0f, ESC_ROUND_EXPONENT_F32);
  const float n = esc_sub_f32(t, ESC_ROUND_EXPONENT_F32);
  const float scale = esc_power_of_rounded_f32(t); /* 2^n, or 0 */
  float r = esc_fma_f32(n, -0x1.62e43p-1f, y);
  r = esc_fma_f32(n, 0x1.05c61p-29f, r);
  float p = 0x1.6ac714p-10f;
  p = esc_fma_f32(p, r, 0x1.123ddep-7f);
  p = esc_fma_f32(p, r, 0x1.555858p-5f);
  p = esc_fma_f32(p, r, 0x1.55548cp-3f);
  p = esc_fma_f32(p, r, 0x1.fffffcp-2f);
  p = esc_fma_f32(p, r, 1.0f);
  return esc_fma_f32(p, esc_mul_f32(r, scale), scale);
}

/* e * log 2 + log(1 + f) for an integer e and f in [sqrt(1/2) - 1, sqrt(2) - 1]. */
ESC_SHARED float esc_log_reduced_f32(float e, float f) {
  float p = 0x1.64f622p-4f;
  p = esc_fma_f32(p, f, -0x1.245488p-3f);
  p = esc_fma_f32(p, f, 0x1.316d82p-3f);
  p = esc_fma_f32(p, f, -0x1.537f74p-3f);
  p = esc_fma_f32(p, f, 0x1.98d838p-3f);
  p = esc_fma_f32(p, f, -0x1.000384p-2f);
  p = esc_fma_f32(p, f, 0x1.5556d8p-2f);
  p = esc_fma_f32(p, f, -0.5f);
  return esc_fma_f32(esc_mul_f32(f, f), p, esc_fma_f32(e, 0x1.62e43p-1f, f));
}

#define ESC_ROOT_HALF_BITS 0x3f3504f3u /* of sqrt(1/2) */

/* Exponent e of a positive normal x = 2^e m with m in [sqrt(1/2), sqrt(2)). */
ESC_SHARED int32_t esc_exponent_f32(float x) {
  return (int32_t)(esc_bits_f32(x) - ESC_ROOT_HALF_BITS) >> 23;
}

/* Its m. */
ESC_SHARED float esc_mantissa_f32(float x) {
  return esc_float_of_bits(((esc_bits_f32(x) - ESC_ROOT_HALF_BITS) & 0x7fffffu) +
                           ESC_ROOT_HALF_BITS);
}

/* log x for a positive normal x, unchecked: what normal.h needs. */
ESC_SHARED float esc_log_positive_f32(float x) {
  return esc_log_reduced_f32((float)esc_exponent_f32(x), esc_sub_f32(esc_mantissa_f32(x), 1.0f));
}

/* log x to 1.6 ulp for positive normal x. Infinity gives infinity, a negative x
 * NaN, and 0 or a denormal about -88. */
ESC_SHARED float esc_log_f32(float x) {
  const float y = esc_log_positive_f32(x);
  const float finite = x <= 0x1.fffffep127f ? y : x;
  return x < 0.0f ? esc_nan_f32() : finite;
}

/* log(1 + x) to 1.9 ulp for -1 < x <= 2^126, also near 0. It stays at 87.3
 * above; -1 gives about -88, less gives NaN. */
ESC_SHARED float esc_log1p_f32(float x) {
  const float y = x > 0x1p126f ? 0x1p126f : x;
  const int32_t e = esc_exponent_f32(esc_add_f32(1.0f, y));
  const float scale = esc_float_of_bits((uint32_t)(127 - e) << 23); /* 2^-e */
  const float f = esc_fma_f32(y, scale, esc_sub_f32(scale, 1.0f));
  const float value = esc_log_reduced_f32((float)e, f);
  return x < -1.0f ? esc_nan_f32() : value;
}

/* A fraction that equals tanh a for a >= 0 to 2.4 ulp, 1 from a = 9.02 on.
 * With a = n (log 2)/2 + r, T = 2^n and b = r / tanh r it is, for n = 0 as
 * well, (b (T-1) + r (T+1)) / (b (T+1) + r (T-1)). The denominator is built on
 * the numerator, so that what rounding does to that cancels at large x. */
ESC_SHARED void esc_tanh_fraction_f32(float a, float *numerator, float *denominator) {
  const float y = 9.02f < a ? 9.02f : a;
  const float t = esc_fma_f32(y, 0x1.715476p+1f, ESC_ROUND_EXPONENT_F32);
  const float n = esc_sub_f32(t, ESC_ROUND_EXPONENT_F32);
  const float power = esc_power_of_rounded_f32(t);
  const float r = esc_fma_f32(n, -0x1.62e43p-2f, y);
  const float s = esc_mul_f32(r, r);
  float b = -0x1.6aa362p-6f;
  b = esc_fma_f32(b, s, 0x1.55551ep-2f);
  b = esc_fma_f32(b, s, 1.0f);
  const float above = esc_fma_f32(b, power, -b);
  *numerator = esc_fma_f32(r, esc_add_f32(power, 1.0f), above);
  *denominator = esc_fma_f32(2.0f, esc_sub_f32(b, r), *numerator);
}

/* tanh x to 2.4 ulp, exactly odd, |tanh x| <= 1; 1 from |x| = 9.02 on. */
ESC_SHARED float esc_tanh_f32(float x) {
  float numerator, denominator;
  esc_tanh_fraction_f32(esc_abs_f32(x), &numerator, &denominator);
  return esc_with_sign_of_f32(esc_div_normal_f32(numerator, denominator), x);
}

/* erf x to 1.8 ulp, exactly odd, |erf x| <= 1; 1 from |x| = 4.15 on. Beyond 1 it is
 * 1 - w^4 with a polynomial w in |x|: cheaper than a quotient, never above 1. w is
 * fitted up to 3.93; from there to 4.15 it falls until w^4 is less than half an ulp. */
ESC_SHARED float esc_erf_f32(float x) {
  const float a = esc_abs_f32(x);
  const float s = esc_mul_f32(x, x);
  float p = -0x1.270a2cp-11f;
  p = esc_fma_f32(p, s, 0x1.42341ap-8f);
  p = esc_fma_f32(p, s, -0x1.b59eacp-6f);
  p = esc_fma_f32(p, s, 0x1.ce08c4p-4f);
  p = esc_fma_f32(p, s, -0x1.81267p-2f);
  p = esc_fma_f32(p, s, 0x1.06eba2p-3f);
  const float small = esc_fma_f32(x, p, x);
  const float y = 4.15f < a ? 4.15f : a;
  float w = -0x1.46bd7ap-13f;
  w = esc_fma_f32(w, y, 0x1.7d8d7p-9f);
  w = esc_fma_f32(w, y, -0x1.4db31ep-6f);
  w = esc_fma_f32(w, y, 0x1.eec328p-5f);
  w = esc_fma_f32(w, y, -0x1.482586p-5f);
  w = esc_fma_f32(w, y, -0x1.316a8ep-4f);
  w = esc_fma_f32(w, y, -0x1.35909cp-2f);
  w = esc_fma_f32(w, y, 0x1.0100b2p+0f);
  w = esc_mul_f32(w, w);
  const float large = esc_with_sign_of_f32(esc_fma_f32(-w, w, 1.0f), x);
  return a < 1.0f ? small : large;
}

/* sin and cos of quadrant * pi/2 + r for |r| <= pi/4. The quadrant is the upper two bits of `turn`;
 * the other bits are not read. */
ESC_SHARED void esc_sincos_reduced_f32(float r, uint32_t turn, float *sine, float *cosine) {
  const float s = esc_mul_f32(r, r);
  float p = -0x1.9951eap-13f, q = 0x1.99e814p-16f;
  p = esc_fma_f32(p, s, 0x1.110774p-7f);
  q = esc_fma_f32(q, s, -0x1.6c0c28p-10f);
  p = esc_fma_f32(p, s, -0x1.555546p-3f);
  q = esc_fma_f32(q, s, 0x1.55554ap-5f);
  q = esc_fma_f32(q, s, -0.5f);
  p = esc_fma_f32(p, esc_mul_f32(r, s), r);
  q = esc_fma_f32(q, s, 1.0f);
  const uint32_t a = esc_bits_f32((turn & 1u << 30) != 0 ? q : p);
  const uint32_t b = esc_bits_f32((turn & 1u << 30) != 0 ? p : q);
  *sine = esc_float_of_bits(a ^ (turn & 1u << 31));
  *cosine = esc_float_of_bits(b ^ ((turn + (1u << 30)) & 1u << 31));
}

/* sin x and cos x to 1.6 ulp for |x| <= 1e4, to 6 ulp of 1 up to 2^22. Beyond,
 * where neighbouring floats are half a radian apart, both are NaN. */
ESC_SHARED void esc_sincos_f32(float x, float *sine, float *cosine) {
  const float y = esc_abs_f32(x) <= 0x1p22f ? x : esc_nan_f32();
  const float t = esc_fma_f32(y, 0x1.45f306p-1f, ESC_ROUND_F32);
  const float n = esc_sub_f32(t, ESC_ROUND_F32);
  float r = esc_fma_f32(n, -0x1.921fb6p+0f, y); /* exact */
  r = esc_fma_f32(n, 0x1.777a5cp-25f, r);
  r = esc_fma_f32(n, 0x1.ee59dap-50f, r);
  esc_sincos_reduced_f32(r, esc_bits_f32(t) << 30, sine, cosine);
}

/* The deficits sigma(z) - z sigma'(z) of the imbalance identity cancel near 0:
 * below |z| = 1 (exactly where the rounded z^2 is below 1) they are z^3 times a
 * series. Odd in z. Errors are relative, for |z| > 1e-12; z^3 underflows below
 * that. */

/* tanh z - z (1 - h^2) with h = esc_tanh_f32(z). To 5e-7 for |z| < 1, to 1.3e-6
 * beyond, where 1 - h^2 has no more digits. */
ESC_SHARED float esc_tanh_deficit_f32(float z, float h) {
  const float s = esc_mul_f32(z, z);
  float p = 0x1.fa1fccp-16f;
  p = esc_fma_f32(p, s, 0x1.6e304ap-11f);
  p = esc_fma_f32(p, s, 0x1.a03a9ep-7f);
  p = esc_fma_f32(p, s, 0x1.1110b2p-3f);
  p = esc_fma_f32(p, s, 0x1.555556p-1f);
  const float derivative = esc_fma_f32(-h, h, 1.0f);
  const float small = esc_mul_f32(esc_mul_f32(z, s), esc_mul_f32(derivative, p));
  const float large = esc_fma_f32(-z, derivative, h);
  return s < 1.0f ? small : large;
}

/* sin z - z cos z with sine, cosine from esc_sincos_f32(z). To 3.5e-7 for
 * |z| < 4, to 2e-7 |z| absolutely beyond, where it has zeros. */
ESC_SHARED float esc_sin_deficit_f32(float z, float sine, float cosine) {
  const float s = esc_mul_f32(z, z);
  float p = -0x1.6e3e6cp-16f;
  p = esc_fma_f32(p, s, 0x1.381c5ap-10f);
  p = esc_fma_f32(p, s, -0x1.11115p-5f);
  p = esc_fma_f32(p, s, 0x1.555556p-2f);
  const float small = esc_mul_f32(esc_mul_f32(z, s), p);
  const float large = esc_fma_f32(-z, cosine, sine);
  return s < 1.0f ? small : large;
}

/* erf z - z g with e = esc_erf_f32(z) and its derivative
 * g = (2 / sqrt(pi)) exp(-z^2), the factor included. To 4e-7 if g is good. */
ESC_SHARED float esc_erf_deficit_f32(float z, float e, float g) {
  const float s = esc_mul_f32(z, z);
  float p = 0x1.b6a384p-14f;
  p = esc_fma_f32(p, s, -0x1.4a21cp-10f);
  p = esc_fma_f32(p, s, 0x1.12943ap-7f);
  p = esc_fma_f32(p, s, -0x1.55b806p-5f);
  p = esc_fma_f32(p, s, 0x1.4a189cp-3f);
  p = esc_fma_f32(p, s, -0x1.ce2ecp-2f);
  p = esc_fma_f32(p, s, 0x1.812746p-1f);
  const float small = esc_mul_f32(esc_mul_f32(z, s), p);
  const float large = esc_fma_f32(-z, g, e);
  return s < 1.0f ? small : large;
}

#endif
