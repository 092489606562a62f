/* SPDX-License-Identifier: Apache-2.0 */
/* |G|^2 of a layer and the weight update, by row panels, so that a panel's gradient, weights and
 * transposed weights stay in the first-level cache. */
#ifndef ESC_CPU_UPDATE_H
#define ESC_CPU_UPDATE_H

#include <string.h>

#include "cpu/network.h"
#include "cpu/optimizer.h"
#include "cpu/transpose.h"
#include "escapement/internal/update.h"

enum { ESC_PANEL_ROWS = ESC_PARTIALS }; /* row n of a panel adds to partial n of |G|^2 */

/* row[n] += the sum of squares of row n of a panel. Squares of floats are exact in double. */
static ESC_NOINLINE void esc_panel_norm2(size_t rows, size_t columns, const float *restrict g,
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

/* Number of rows of the panel that starts at row n. */
static inline size_t esc_panel_rows(size_t rows, size_t n) {
  return rows - n < ESC_PANEL_ROWS ? rows - n : ESC_PANEL_ROWS;
}

/* Clears the columns behind the `used` ones of a panel's gradient. A network that diverges has inf
 * * 0 = NaN there, which must not enter |G|^2, counts and weights. */
static inline void esc_panel_clear_padding(size_t rows, size_t columns, size_t used, float *g) {
  for (size_t n = 0; n < rows && used < columns; n++)
    memset(g + n * columns + used, 0, (columns - used) * sizeof *g);
}

typedef struct esc_update_counts {
  int32_t nonzero_updates, rounded_away;
} esc_update_counts;

/* w <- w - rate g. The counts are selects, which become additions under a mask. */
static ESC_NOINLINE esc_update_counts esc_step_plain(float rate, size_t count,
                                                     const float *restrict g, float *restrict w) {
  int32_t nonzero_updates = 0, rounded_away = 0;
#pragma omp simd reduction(+ : nonzero_updates, rounded_away)
  for (size_t i = 0; i < count; i++) {
    const esc_updated u = esc_update_plain(rate, g[i], w[i]);
    w[i] = u.w;
    nonzero_updates = u.nonzero_update ? nonzero_updates + 1 : nonzero_updates;
    rounded_away = u.rounded_away ? rounded_away + 1 : rounded_away;
  }
  return (esc_update_counts){nonzero_updates, rounded_away};
}

/* w <- w - rate g with compensation (docs/theory, section 8.1). */
static ESC_NOINLINE esc_update_counts esc_step_compensated(float rate, size_t count,
                                                           const float *restrict g,
                                                           float *restrict w,
                                                           float *restrict compensation) {
  int32_t nonzero_updates = 0, rounded_away = 0;
#pragma omp simd reduction(+ : nonzero_updates, rounded_away)
  for (size_t i = 0; i < count; i++) {
    const esc_updated u = esc_update_compensated(rate, g[i], w[i], compensation[i]);
    w[i] = u.w;
    compensation[i] = u.compensation;
    nonzero_updates = u.nonzero_update ? nonzero_updates + 1 : nonzero_updates;
    rounded_away = u.rounded_away ? rounded_away + 1 : rounded_away;
  }
  return (esc_update_counts){nonzero_updates, rounded_away};
}

/* to[k][n] = from[n][k] for a panel's rows n and all columns k. */
static ESC_NOINLINE void esc_panel_transpose(size_t rows, size_t columns,
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
  for (size_t n = 0; n < rows; n += ESC_PANEL_ROWS)
    esc_panel_norm2(esc_panel_rows(rows, n), columns, g + n * columns, row);
  return esc_tree_reduce_simd(row);
}

/* Updates the `count` weights of a panel that starts at `offset`, of gradient g (count). */
static inline void esc_panel_step(const esc_cpu_shared *s, int l, size_t offset, size_t count,
                                  const float *g, esc_cpu_network *net) {
  const esc_update_counts counts =
      net->compensation
          ? esc_step_compensated(s->rate[l], count, g, net->w + offset, net->compensation + offset)
          : esc_step_plain(s->rate[l], count, g, net->w + offset);
  net->slot.track.nonzero_updates += counts.nonzero_updates;
  net->slot.track.rounded_away += counts.rounded_away;
}

/* Like esc_layer_step, for an optimizer other than plain gradient descent: `g` becomes the
 * direction of the step, |G|^2 its square. Sets layer l's sums in `work`. */
static inline void esc_layer_step_optimized(const esc_cpu_shared *s, int l, esc_cpu_work *work,
                                            esc_cpu_network *net) {
  const esc_optimizer_step step = esc_optimizer_step_make(&s->optimizer, l, net->slot.track.step);
  const size_t columns = (size_t)s->layout.in_pad[l], out = (size_t)s->layout.out_pad[l];
  const bool transposed = esc_has_transpose(&s->layout, l);
  const size_t rows = (size_t)esc_fan_out(s->problem->shape, l),
               used = (size_t)esc_fan_in(s->problem->shape, l);
  double row[ESC_PARTIALS] = {0};
  esc_row_sums sums = {{0}, {0}};
  for (size_t n = 0; n < rows; n += ESC_PANEL_ROWS) {
    const esc_panel panel = {esc_panel_rows(rows, n), columns, s->layout.w[l] + n * columns};
    esc_panel_clear_padding(panel.rows, columns, used, work->g + panel.offset);
    esc_panel_optimize(&s->optimizer, &step, panel, work->g, net, &sums);
    esc_panel_norm2(panel.rows, columns, work->g + panel.offset, row);
    esc_panel_step(s, l, panel.offset, panel.rows * columns, work->g + panel.offset, net);
    if (transposed)
      esc_panel_transpose(panel.rows, columns, net->w + panel.offset, net->wt + s->layout.wt[l] + n,
                          out);
  }
  work->grad_norm_sq[l] = esc_tree_reduce_simd(row);
  work->velocity_product[l] = esc_tree_reduce_simd(sums.velocity_product);
  work->weight_norm_sq[l] = esc_tree_reduce_simd(sums.weight_norm_sq);
}

/* Returns |G_l|^2 and updates layer l's weights. */
static inline double esc_layer_step(const esc_cpu_shared *s, int l, float *g,
                                    esc_cpu_network *net) {
  const size_t columns = (size_t)s->layout.in_pad[l], out = (size_t)s->layout.out_pad[l];
  const size_t rows = (size_t)esc_fan_out(s->problem->shape, l),
               used = (size_t)esc_fan_in(s->problem->shape, l);
  double row[ESC_PARTIALS] = {0};
  for (size_t n = 0; n < rows; n += ESC_PANEL_ROWS) {
    const size_t panel = esc_panel_rows(rows, n), offset = s->layout.w[l] + n * columns;
    esc_panel_clear_padding(panel, columns, used, g + offset);
    esc_panel_norm2(panel, columns, g + offset, row);
    esc_panel_step(s, l, offset, panel * columns, g + offset, net);
    if (esc_has_transpose(&s->layout, l))
      esc_panel_transpose(panel, columns, net->w + offset, net->wt + s->layout.wt[l] + n, out);
  }
  return esc_tree_reduce_simd(row);
}

#endif
