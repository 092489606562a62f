/* SPDX-License-Identifier: Apache-2.0 */
/* Standard normals from random bits: two Box-Muller pairs a Philox block.
 *
 * Words (0, 1) give outputs 0, 1 and words (2, 3) give 2, 3. The first word is
 * the radius sqrt(-2 log u), u = (word + 1/2) / 2^32, the second the angle
 * 2 pi (word + 1/2) / 2^32; outputs are radius * sin, radius * cos. That is the
 * transform of cuRAND's curand_normal4(), whose values differ from these by what
 * its approximate sine and logarithm do. |normal| <= 6.764; never NaN or infinite.
 *
 * Only operations of float_math.h, so the bits are the same everywhere. */
#ifndef ESCAPEMENT_NORMAL_H
#define ESCAPEMENT_NORMAL_H

#include "escapement/internal/float_math.h"
#include "escapement/internal/philox.h"

/* The conversions round to nearest, as a cast does on the host. */
#ifdef __CUDA_ARCH__
ESC_SHARED float esc_float_of_u32(uint32_t a) { return __uint2float_rn(a); }
ESC_SHARED float esc_float_of_i32(int32_t a) { return __int2float_rn(a); }
#else
ESC_SHARED float esc_float_of_u32(uint32_t a) { return (float)a; }
ESC_SHARED float esc_float_of_i32(int32_t a) { return (float)a; }
#endif

/* -2 log u: 0 (of either sign), or at least 2^-23. */
ESC_SHARED float esc_normal_radius_sq_f32(uint32_t radius_bits) {
  const float u = esc_fma_f32(esc_float_of_u32(radius_bits), 0x1p-32f, 0x1p-33f);
  return esc_mul_f32(-2.0f, esc_log_positive_f32(u));
}

/* Two independent normals from two words. */
ESC_SHARED void esc_normal_pair_f32(uint32_t radius_bits, uint32_t angle_bits, float *first,
                                    float *second) {
  const float radius = esc_sqrt_normal_f32(esc_normal_radius_sq_f32(radius_bits));
  /* The nearest multiple of a quarter turn, and the signed rest of it in quarter turns. */
  const uint32_t turn = angle_bits + (1u << 29); /* its upper two bits */
  const float rest = esc_fma_f32(esc_float_of_i32((int32_t)(angle_bits << 2)), 0x1p-32f, 0x1p-31f);
  float sine, cosine;
  esc_sincos_reduced_f32(esc_mul_f32(rest, 0x1.921fb6p+0f), turn, &sine, &cosine);
  *first = esc_mul_f32(radius, sine);
  *second = esc_mul_f32(radius, cosine);
}

/* Four independent normals from a block. */
ESC_SHARED void esc_normal4_f32(esc_u32x4 bits, float out[4]) {
  esc_normal_pair_f32(bits.v[0], bits.v[1], &out[0], &out[1]);
  esc_normal_pair_f32(bits.v[2], bits.v[3], &out[2], &out[3]);
}

#endif
