/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of gradients in double, of one network or of a pack: over accumulation blocks (order.h), and
 * over the tiles of an evaluation. */
#ifndef ESC_CPU_GRADIENT_SUM_H
#define ESC_CPU_GRADIENT_SUM_H

#include <stddef.h>

/* sum (count) += g (count). */
static inline void esc_gradient_sum_add(size_t count, const float *restrict g,
                                        double *restrict sum) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) sum[i] += (double)g[i];
}

/* g (count) = sum (count), rounded. */
static inline void esc_gradient_sum_round(size_t count, const double *restrict sum,
                                          float *restrict g) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) g[i] = (float)sum[i];
}

#endif
