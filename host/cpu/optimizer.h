/* SPDX-License-Identifier: Apache-2.0 */
/* Momentum, weight decay and Adam: replaces a panel's gradient by the direction of its step, and
 * computes the sums of the ledger (docs/theory, section 1.7). update.h then makes the step as for a
 * gradient. */
#ifndef ESC_CPU_OPTIMIZER_H
#define ESC_CPU_OPTIMIZER_H

#include "cpu/network.h"
#include "cpu/transpose.h"
#include "escapement/internal/double_math.h"
#include "escapement/internal/optimizer.h"

/* Separate functions for the loops, so that each loop can be allocated all registers. */
#define ESC_NOINLINE __attribute__((noinline))

/* Neighbouring rows of a layer's weights, from weight `offset` of the network on. */
typedef struct esc_panel {
  size_t rows, columns, offset;
} esc_panel;

/* row[n] += the sum of products of row n of two panels, in the order of |G|^2 (order.h). Products
 * of floats are exact in double. */
static ESC_NOINLINE void esc_panel_dot(size_t rows, size_t columns, const float *restrict a,
                                       const float *restrict b, double row[ESC_PARTIALS]) {
  for (size_t n = 0; n < rows; n++) {
    double partial[ESC_PARTIALS] = {0};
    for (size_t i = n * columns; i < (n + 1) * columns; i += ESC_PARTIALS)
#pragma omp simd
      for (size_t j = 0; j < ESC_PARTIALS; j++)
        partial[j] = esc_fma_f64((double)a[i + j], (double)b[i + j], partial[j]);
    row[n] += esc_tree_reduce_simd(partial);
  }
}

static ESC_NOINLINE void esc_optimize_decay(const esc_optimizer_rules *r,
                                            const esc_optimizer_step *s, size_t count,
                                            const float *restrict w, float *restrict g) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) g[i] = esc_optimizer_decay(r, s, g[i], w[i]);
}

static ESC_NOINLINE void esc_optimize_momentum(const esc_optimizer_rules *r,
                                               const esc_optimizer_step *s, size_t count,
                                               const float *restrict w, float *restrict g,
                                               float *restrict velocity) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) g[i] = esc_optimizer_momentum(r, s, g[i], w[i], &velocity[i]);
}

static ESC_NOINLINE void esc_optimize_adam(const esc_optimizer_rules *r,
                                           const esc_optimizer_step *s, size_t count,
                                           const float *restrict w, float *restrict g,
                                           esc_cpu_network *net, size_t offset) {
  float *restrict first = net->velocity + offset, *restrict second = net->second_moment + offset;
#pragma omp simd
  for (size_t i = 0; i < count; i++)
    g[i] = esc_optimizer_adam(r, s, g[i], w[i], &first[i], &second[i]);
}

/* (row of a panel) sums of a layer, to be reduced by a tree. */
typedef struct esc_row_sums {
  double velocity_product[ESC_PARTIALS], weight_norm_sq[ESC_PARTIALS];
} esc_row_sums;

/* Replaces a panel's gradient by the direction, and adds its sums. */
static inline void esc_panel_optimize(const esc_optimizer_rules *r, const esc_optimizer_step *s,
                                      esc_panel panel, float *g, esc_cpu_network *net,
                                      esc_row_sums *sums) {
  const size_t count = panel.rows * panel.columns, offset = panel.offset;
  const float *w = net->w + offset;
  if (r->adam) {
    esc_optimize_adam(r, s, count, w, g + offset, net, offset);
    return;
  }
  esc_panel_dot(panel.rows, panel.columns, w, w, sums->weight_norm_sq);
  if (!net->velocity) {
    esc_optimize_decay(r, s, count, w, g + offset);
    return;
  }
  esc_optimize_momentum(r, s, count, w, g + offset, net->velocity + offset);
  esc_panel_dot(panel.rows, panel.columns, g + offset, net->velocity + offset,
                sums->velocity_product);
}

#endif
