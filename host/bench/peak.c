/* SPDX-License-Identifier: Apache-2.0 */
/* Register-only multiply-adds, compiled once for every instruction set (ESC_ISA
 * names it), as the training step is. */
#include "bench/peak.h"

#include "cpu/simd.h"

#define ESC_JOIN_(a, b) a##b
#define ESC_JOIN(a, b) ESC_JOIN_(a, b)

/* Chains enough to hide the latency of a multiply-add on every unit, and few
 * enough to leave two of AVX2's sixteen registers for the factor and the addend. */
enum { CHAINS = 12, UNROLL = 8 };

esc_peak_loop ESC_JOIN(esc_peak_loop_, ESC_ISA);

/* Independent dependency chains of multiply-adds, each tending to 1: no overflow and no subnormals.
 */
double ESC_JOIN(esc_peak_loop_, ESC_ISA)(int64_t rounds, float *sink) {
  const esc_vec factor = ESC_VEC_SET(0.75F), addend = ESC_VEC_SET(0.25F);
  float lanes[ESC_LANES], sum = 0;
  esc_vec chain[CHAINS];
  for (int c = 0; c < CHAINS; c++) chain[c] = ESC_VEC_SET((float)c);
  for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 8
    for (int u = 0; u < UNROLL; u++)
#pragma GCC unroll 12
      for (int c = 0; c < CHAINS; c++) chain[c] = ESC_VEC_FMA(chain[c], factor, addend);
  for (int c = 0; c < CHAINS; c++) {
    ESC_VEC_STORE(lanes, chain[c]);
    for (int i = 0; i < ESC_LANES; i++) sum += lanes[i];
  }
  *sink = sum;
  return 2.0 * CHAINS * UNROLL * ESC_LANES * (double)rounds;
}
