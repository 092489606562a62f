/* SPDX-License-Identifier: Apache-2.0 */
/* |G|^2 of a layer and the step it makes, a strip of rows at a time, so that gradient,
 * weights and their transpose meet in the nearest cache. */
#ifndef ESC_CPU_UPDATE_H
#define ESC_CPU_UPDATE_H

#include "cpu/block.h"
#include "cpu/network.h"
#include "escapement/internal/update.h"

/* Each loop has the registers to itself. */
#define ESC_NOINLINE __attribute__((noinline))

enum { ESC_STRIP = ESC_PARTIALS }; /* row n of a strip is partial n of |G|^2 */

/* row[n] += the sum of squares of row n of a strip. Squares of floats are exact in double. */
static ESC_NOINLINE void esc_strip_norm2(size_t rows, size_t columns, const float *restrict g,
                                         double row[ESC_PARTIALS]) {
  for (size_t n = 0; n < rows; n++) {
    double partial[ESC_PARTIALS] = {0};
    for (size_t i = n * columns; i < (n + 1) * columns; i += ESC_PARTIALS)
#pragma omp simd
      for (size_t j = 0; j < ESC_PARTIALS; j++)
        partial[j] = esc_fma_f64((double)g[i + j], (double)g[i + j], partial[j]);
    row[n] += esc_tree_reduce_simd(partial);
  }
}

/* Rows of the strip that begins with row n. */
static inline size_t esc_strip_rows(size_t rows, size_t n) {
  return rows - n < ESC_STRIP ? rows - n : ESC_STRIP;
}

typedef struct esc_counts {
  int32_t nonzero_updates, rounded_away;
} esc_counts;

/* w <- w - rate g. */
static ESC_NOINLINE esc_counts esc_step_plain(float rate, size_t count, const float *restrict g,
                                              float *restrict w) {
  int32_t nonzero_updates = 0, rounded_away = 0;
#pragma omp simd reduction(+ : nonzero_updates, rounded_away)
  for (size_t i = 0; i < count; i++) {
    const esc_updated u = esc_update_plain(rate, g[i], w[i]);
    w[i] = u.w;
    nonzero_updates += u.nonzero_update;
    rounded_away += u.rounded_away;
  }
  return (esc_counts){nonzero_updates, rounded_away};
}

static ESC_NOINLINE esc_counts esc_step_compensated(float rate, size_t count,
                                                    const float *restrict g, float *restrict w,
                                                    float *restrict compensation) {
  int32_t nonzero_updates = 0, rounded_away = 0;
#pragma omp simd reduction(+ : nonzero_updates, rounded_away)
  for (size_t i = 0; i < count; i++) {
    const esc_updated u = esc_update_compensated(rate, g[i], w[i], compensation[i]);
    w[i] = u.w;
    compensation[i] = u.compensation;
    nonzero_updates += u.nonzero_update;
    rounded_away += u.rounded_away;
  }
  return (esc_counts){nonzero_updates, rounded_away};
}

/* to[k][n] = from[n][k] for a strip's rows n and all columns k. */
static ESC_NOINLINE void esc_strip_transpose(size_t rows, size_t columns,
                                             const float *restrict from, float *restrict to,
                                             size_t to_row) {
  const size_t quads = rows / 4 * 4;
  esc_transpose(quads, columns, from, columns, to, to_row);
  for (size_t n = quads; n < rows; n++)
    for (size_t k = 0; k < columns; k++) to[k * to_row + n] = from[n * columns + k];
}

/* |G_l|^2 of the whole gradient g. */
static inline double esc_layer_norm2(const esc_cpu_shared *s, int l, const float *g) {
  const size_t columns = (size_t)s->layout.in_pad[l];
  const size_t rows = (size_t)esc_fan_out(s->problem->shape, l);
  double row[ESC_PARTIALS] = {0};
  g += s->layout.w[l];
  for (size_t n = 0; n < rows; n += ESC_STRIP)
    esc_strip_norm2(esc_strip_rows(rows, n), columns, g + n * columns, row);
  return esc_tree_reduce_simd(row);
}

/* Steps a strip from weight `at` on along its gradient. */
static inline void esc_strip_step(const esc_cpu_shared *s, int l, size_t at, size_t count,
                                  const float *g, esc_cpu_network *net) {
  const esc_counts counts =
      net->compensation
          ? esc_step_compensated(s->rate[l], count, g + at, net->w + at, net->compensation + at)
          : esc_step_plain(s->rate[l], count, g + at, net->w + at);
  net->slot.track.nonzero_updates += counts.nonzero_updates;
  net->slot.track.rounded_away += counts.rounded_away;
}

/* |G_l|^2, and layer l's step along it. */
static inline double esc_layer_step(const esc_cpu_shared *s, int l, const float *g,
                                    esc_cpu_network *net) {
  const size_t columns = (size_t)s->layout.in_pad[l], out = (size_t)s->layout.out_pad[l];
  const size_t rows = (size_t)esc_fan_out(s->problem->shape, l);
  double row[ESC_PARTIALS] = {0};
  for (size_t n = 0; n < rows; n += ESC_STRIP) {
    const size_t strip = esc_strip_rows(rows, n), at = s->layout.w[l] + n * columns;
    esc_strip_norm2(strip, columns, g + at, row);
    esc_strip_step(s, l, at, strip * columns, g, net);
    if (l < s->problem->shape.layers - 1)
      esc_strip_transpose(strip, columns, net->w + at, net->wt + s->layout.wt[l] + n, out);
  }
  return esc_tree_reduce_simd(row);
}

#endif
