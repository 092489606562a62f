/* SPDX-License-Identifier: Apache-2.0 */
/* |G|^2 of a layer and the weight update of interleaved networks, row by row: plain gradient
 * descent, momentum, weight decay and Adam (docs/theory, sections 0.4 and 1.7). Lanes whose network
 * makes no step keep weights and moments. */
#ifndef ESC_CPU_INTERLEAVED_UPDATE_H
#define ESC_CPU_INTERLEAVED_UPDATE_H

#include "cpu/interleaved_pass.h"
#include "cpu/optimizer.h"
#include "escapement/internal/update.h"

/* A row of a layer's weights: those from `offset` on. */
typedef struct esc_lane_row {
  size_t columns, offset; /* offset in floats, lanes included */
} esc_lane_row;

/* (row modulo ESC_PARTIALS, lane) sums over rows, to be reduced by a tree. */
typedef double esc_lane_row_sums[ESC_PARTIALS][ESC_INTERLEAVE];

/* sum[lane] += the sum of products of two rows, in the order of |G|^2 (order.h). Products of floats
 * are exact in double. */
static ESC_NOINLINE void esc_lane_row_dot(size_t columns, const float *restrict a,
                                          const float *restrict b, double *restrict sum) {
  double partial[ESC_PARTIALS][ESC_INTERLEAVE] = {{0}};
  for (size_t i = 0; i < columns; i++, a += ESC_INTERLEAVE, b += ESC_INTERLEAVE) {
    double *const p = partial[i % ESC_PARTIALS];
#pragma omp simd
    for (int lane = 0; lane < ESC_INTERLEAVE; lane++)
      p[lane] = esc_fma_f64((double)a[lane], (double)b[lane], p[lane]);
  }
  esc_lane_tree_f64(partial, columns < ESC_PARTIALS ? (int)columns : ESC_PARTIALS);
#pragma omp simd
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++) sum[lane] += partial[0][lane];
}

/* w <- w - rate g, with compensation (NULL: without), in the lanes that update. */
static ESC_NOINLINE void esc_lane_step(float rate, size_t columns, const float *restrict g,
                                       float *restrict w, float *restrict compensation,
                                       esc_interleaved *pack) {
  int32_t updates[ESC_INTERLEAVE], nonzero[ESC_INTERLEAVE], rounded[ESC_INTERLEAVE];
  memcpy(updates, pack->updates, sizeof updates);
  memcpy(nonzero, pack->nonzero_updates, sizeof nonzero);
  memcpy(rounded, pack->rounded_away, sizeof rounded);
#define STEP(expression, keep)                                              \
  for (size_t i = 0; i < columns * ESC_INTERLEAVE; i += ESC_INTERLEAVE)     \
    _Pragma("omp simd") for (int lane = 0; lane < ESC_INTERLEAVE; lane++) { \
      const size_t k = i + (size_t)lane;                                    \
      const esc_updated u = expression;                                     \
      w[k] = updates[lane] ? u.w : w[k];                                    \
      keep;                                                                 \
      nonzero[lane] += u.nonzero_update;                                    \
      rounded[lane] += u.rounded_away;                                      \
    }
  if (compensation)
    STEP(esc_update_compensated(rate, g[k], w[k], compensation[k]),
         compensation[k] = updates[lane] ? u.compensation : compensation[k])
  else
    STEP(esc_update_plain(rate, g[k], w[k]), )
#undef STEP
  memcpy(pack->nonzero_updates, nonzero, sizeof nonzero);
  memcpy(pack->rounded_away, rounded, sizeof rounded);
}

/* Constants of one layer's step in every lane. */
typedef struct esc_lane_optimizer_step {
  float decoupled_decay, mean[ESC_INTERLEAVE], root[ESC_INTERLEAVE];
} esc_lane_optimizer_step;

static inline void esc_lane_optimizer_step_make(const esc_cpu_shared *s, int l,
                                                const esc_interleaved *pack,
                                                esc_lane_optimizer_step *step) {
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++) {
    const esc_cpu_network *const net = pack->network[lane];
    const esc_optimizer_step one =
        esc_optimizer_step_make(&s->optimizer, l, net ? net->slot.track.step : 0);
    step->decoupled_decay = one.decoupled_decay;
    step->mean[lane] = one.mean;
    step->root[lane] = one.root;
  }
}

/* Replaces the gradient of a row by the direction of its step. */
static ESC_NOINLINE void esc_lane_optimize(const esc_optimizer_rules *r,
                                           const esc_lane_optimizer_step *step, esc_lane_row row,
                                           esc_interleaved *pack) {
  const float *restrict w = pack->w + row.offset;
  float *restrict g = pack->g + row.offset;
  float *restrict v = pack->velocity ? pack->velocity + row.offset : NULL;
  float *restrict q = pack->second_moment ? pack->second_moment + row.offset : NULL;
#define DIRECTION(...)                                                                          \
  for (size_t i = 0; i < row.columns * ESC_INTERLEAVE; i += ESC_INTERLEAVE)                     \
    _Pragma("omp simd") for (int lane = 0; lane < ESC_INTERLEAVE; lane++) {                     \
      const size_t k = i + (size_t)lane;                                                        \
      const esc_optimizer_step s = {step->decoupled_decay, step->mean[lane], step->root[lane]}; \
      const int32_t updates = pack->updates[lane];                                              \
      (void)updates;                                                                            \
      __VA_ARGS__;                                                                              \
    }
  if (r->adam)
    DIRECTION(float first = v[k], second = q[k];
              g[k] = esc_optimizer_adam(r, &s, g[k], w[k], &first, &second);
              v[k] = updates ? first : v[k]; q[k] = updates ? second : q[k])
  else if (v)
    DIRECTION(float velocity = v[k]; g[k] = esc_optimizer_momentum(r, &s, g[k], w[k], &velocity);
              v[k] = updates ? velocity : v[k])
  else
    DIRECTION(g[k] = esc_optimizer_decay(r, &s, g[k], w[k]))
#undef DIRECTION
}

/* Layer l's sum over rows of every lane into `to`, of the lanes' sums. */
#define ESC_LANE_SUMS_SET(pack, field, l, rows, row_sums) \
  do {                                                    \
    esc_lane_tree_f64(row_sums, rows);                    \
    for (int lane = 0; lane < ESC_INTERLEAVE; lane++)     \
      (pack)->sums[lane].field[l] = (row_sums)[0][lane];  \
  } while (0)

/* |G_l|^2, the update of layer l's weights, and the layer's sums. */
static inline void esc_lane_layer_step(const esc_cpu_shared *s, int l, esc_interleaved *pack) {
  const esc_shape shape = s->problem->shape;
  const esc_optimizer_rules *const r = &s->optimizer;
  const int rows = esc_fan_out(shape, l);
  esc_lane_row row = {(size_t)esc_fan_in(shape, l), esc_weight_offset(shape, l) * ESC_INTERLEAVE};
  esc_lane_row_sums g_g = {{0}}, w_w = {{0}}, e_v = {{0}};
  esc_lane_optimizer_step step;
  if (r->optimized) esc_lane_optimizer_step_make(s, l, pack, &step);
  for (int n = 0; n < rows; n++, row.offset += row.columns * ESC_INTERLEAVE) {
    float *const w = pack->w + row.offset, *const g = pack->g + row.offset;
    const int i = n % ESC_PARTIALS;
    if (r->optimized && !r->adam) esc_lane_row_dot(row.columns, w, w, w_w[i]);
    if (r->optimized) esc_lane_optimize(r, &step, row, pack);
    if (r->optimized && !r->adam && pack->velocity)
      esc_lane_row_dot(row.columns, g, pack->velocity + row.offset, e_v[i]);
    esc_lane_row_dot(row.columns, g, g, g_g[i]);
    esc_lane_step(s->rate[l], row.columns, g, w,
                  pack->compensation ? pack->compensation + row.offset : NULL, pack);
  }
  const int partials = rows < ESC_PARTIALS ? rows : ESC_PARTIALS;
  ESC_LANE_SUMS_SET(pack, grad_norm_sq, l, partials, g_g);
  if (!r->optimized) return;
  ESC_LANE_SUMS_SET(pack, weight_norm_sq, l, partials, w_w);
  ESC_LANE_SUMS_SET(pack, velocity_product, l, partials, e_v);
}

#endif
