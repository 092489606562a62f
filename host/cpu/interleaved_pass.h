/* SPDX-License-Identifier: Apache-2.0 */
/* Forward and backward pass of a slice of ESC_SLICE_SAMPLES samples through interleaved networks
 * (docs/theory, sections 0.1 to 0.4 and 1.4). A slice is a K-slice of the weight gradients or a
 * part of one, and has ESC_SLICE_PARTIALS partial sums of the ledger (order.h). */
#ifndef ESC_CPU_INTERLEAVED_PASS_H
#define ESC_CPU_INTERLEAVED_PASS_H

#include "cpu/activate.h"
#include "cpu/backward.h"
#include "cpu/interleaved_inputs.h"
#include "cpu/interleaved_product.h"

/* A slice of a batch tile. It may have no samples; its partial sums are 0 then. */
typedef struct esc_lane_slice {
  int index; /* in the tile */
  int samples;
  bool first; /* tile of its accumulation block: partial sums start at 0 */
} esc_lane_slice;

/* partial[0] += ... + partial[ESC_PARTIALS - 1] in every lane, as a tree. */
static inline void esc_lane_tree_f32(float partial[ESC_PARTIALS][ESC_INTERLEAVE]) {
#pragma GCC unroll 4
  for (int half = ESC_PARTIALS / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int j = 0; j < half; j++)
#pragma omp simd
      for (int lane = 0; lane < ESC_INTERLEAVE; lane++) partial[j][lane] += partial[j + half][lane];
}

/* The same for the first `count` partial sums, where the others are 0. (No partial sum in double is
 * -0: they start at 0, and products of floats do not underflow.) */
static inline void esc_lane_tree_f64(double partial[ESC_PARTIALS][ESC_INTERLEAVE], int count) {
  for (int half = ESC_PARTIALS / 2; half > 0; half /= 2)
    for (int j = 0; j < half && j + half < count; j++)
#pragma omp simd
      for (int lane = 0; lane < ESC_INTERLEAVE; lane++) partial[j][lane] += partial[j + half][lane];
}

/* out[b] = v . x_b for `samples` rows x_b of `count` numbers, x_row numbers apart. */
static void esc_lane_dot_rows(const float *restrict v, const float *restrict x, size_t x_row,
                              int count, int samples, float *restrict out) {
  for (int b = 0; b < samples; b++, x += x_row * ESC_INTERLEAVE, out += ESC_INTERLEAVE) {
    float partial[ESC_PARTIALS][ESC_INTERLEAVE] = {{0}};
    for (int i = 0; i < count; i++) {
      float *const sum = partial[i % ESC_PARTIALS];
      const int first = i * ESC_INTERLEAVE;
#pragma omp simd
      for (int lane = 0; lane < ESC_INTERLEAVE; lane++)
        sum[lane] = esc_fma_f32(v[first + lane], x[first + lane], sum[lane]);
    }
    esc_lane_tree_f32(partial);
    memcpy(out, partial[0], sizeof partial[0]);
  }
}

/* target[b] = sum_k a_k sigma(v_k . x_b). */
static inline void esc_lane_targets(const esc_cpu_shared *s, int samples, esc_interleaved *pack) {
  const esc_problem *p = s->problem;
  const int inputs = p->shape.inputs, count = samples * ESC_INTERLEAVE;
  const size_t x_row = 4 * esc_input_blocks(s);
  enum { NUMBERS = ESC_SLICE_SAMPLES * ESC_INTERLEAVE };
  float z[NUMBERS], value[NUMBERS], derivative[NUMBERS];
  memset(pack->target, 0, sizeof value);
  for (int k = 0; k < p->teacher.modes; k++) {
    if (p->teacher.directions == ESC_DIRECTIONS_AXES)
      for (size_t b = 0; b < (size_t)samples; b++)
        memcpy(z + b * ESC_INTERLEAVE, pack->x + (b * x_row + (size_t)k) * ESC_INTERLEAVE,
               ESC_INTERLEAVE * sizeof *z);
    else
      esc_lane_dot_rows(pack->direction + (size_t)(k * inputs) * ESC_INTERLEAVE, pack->x, x_row,
                        inputs, samples, z);
    esc_activate_all(s, (size_t)count, z, value, derivative);
    for (int i = 0; i < count; i++)
      pack->target[i] = esc_fma_f32(s->amplitude[k], value[i], pack->target[i]);
  }
}

/* h_l = sigma(W_l h_{l-1}) for every hidden layer, f = W_L h_{L-1}. */
static inline void esc_lane_forward(const esc_cpu_shared *s, int samples, esc_interleaved *pack) {
  const esc_shape shape = s->problem->shape;
  const int last = shape.layers - 1;
  const size_t width = (size_t)shape.width, count = (size_t)samples * width * ESC_INTERLEAVE;
  const float *h = pack->x;
  size_t row = 4 * esc_input_blocks(s);
  for (int l = 0; l < last; l++) {
    esc_lane_product_compute(
        &(esc_lane_product){.rows = samples,
                            .columns = shape.width,
                            .depth = esc_fan_in(shape, l),
                            .a = h,
                            .a_row = row,
                            .a_depth = 1,
                            .b = pack->w + esc_weight_offset(shape, l) * ESC_INTERLEAVE,
                            .b_depth = 1,
                            .b_column = (size_t)esc_fan_in(shape, l),
                            .c = pack->z[l],
                            .c_row = width});
    esc_activate_all(s, count, pack->z[l], pack->h[l], pack->derivative[l]);
    h = pack->h[l];
    row = width;
  }
  esc_lane_dot_rows(pack->w + esc_weight_offset(shape, last) * ESC_INTERLEAVE, h, width,
                    shape.width, samples, pack->f);
}

/* Adds the losses to the minibatch's partials, and stores dloss/df / B. */
static inline void esc_lane_losses(const esc_problem *p, int samples, esc_interleaved *pack) {
  float value[ESC_SLICE_SAMPLES][ESC_INTERLEAVE];
  esc_loss_all(p, (size_t)samples * ESC_INTERLEAVE, pack->f, pack->target, value[0], pack->dloss);
  for (int b = 0; b < samples; b++)
#pragma omp simd
    for (int lane = 0; lane < ESC_INTERLEAVE; lane++)
      pack->loss_partial[b][lane] += (double)value[b][lane];
}

/* Copy of the gradient that receives a slice's products, and how. */
typedef struct esc_slice_gradient {
  int copy;
  esc_lane_result result;
} esc_slice_gradient;

static inline esc_slice_gradient esc_slice_gradient_of(const esc_problem *p, esc_lane_slice slice) {
  const int parts = ESC_SLICES / esc_gradient_slices(p->shape.width); /* of a K-slice */
  const int k_slice = slice.index / parts, copies = esc_gradient_copies(p);
  const bool starts = slice.first && slice.index % parts == 0;
  return (esc_slice_gradient){k_slice % copies, k_slice >= copies ? ESC_LANE_ADD
                                                : starts          ? ESC_LANE_SET
                                                                  : ESC_LANE_CONTINUE};
}

/* The slice's term of the partial sums of delta^T h_{l-1}, layer l's gradient. */
static inline void esc_lane_weight_gradient(const esc_cpu_shared *s, int l, esc_lane_slice slice,
                                            const float *delta, esc_interleaved *pack) {
  const esc_shape shape = s->problem->shape;
  const size_t in = (size_t)esc_fan_in(shape, l), out = (size_t)esc_fan_out(shape, l);
  const esc_slice_gradient to = esc_slice_gradient_of(s->problem, slice);
  const size_t offset = (size_t)to.copy * esc_weight_count(shape) + esc_weight_offset(shape, l);
  esc_lane_product_compute(&(esc_lane_product){.rows = (int)out,
                                               .columns = (int)in,
                                               .depth = slice.samples,
                                               .a = delta,
                                               .a_row = 1,
                                               .a_depth = out,
                                               .b = l > 0 ? pack->h[l - 1] : pack->x,
                                               .b_depth = l > 0 ? in : 4 * esc_input_blocks(s),
                                               .b_column = 1,
                                               .c = pack->g + offset * ESC_INTERLEAVE,
                                               .c_row = in,
                                               .result = to.result});
}

/* u = dloss w, below the output layer. */
static inline void esc_lane_backward_output(const esc_cpu_shared *s, int samples,
                                            const esc_interleaved *pack, float *restrict u) {
  const esc_shape shape = s->problem->shape;
  const int count = shape.width * ESC_INTERLEAVE;
  const float *restrict w = pack->w + esc_weight_offset(shape, shape.layers - 1) * ESC_INTERLEAVE;
  for (int b = 0; b < samples; b++, u += count) {
    const float *restrict dloss = pack->dloss + b * ESC_INTERLEAVE;
    for (int j = 0; j < count; j += ESC_INTERLEAVE)
#pragma omp simd
      for (int lane = 0; lane < ESC_INTERLEAVE; lane++) u[j + lane] = dloss[lane] * w[j + lane];
  }
}

/* u_l -> delta_l = u_l sigma'(z_l), and the slice's partials of the ledger's sum of u_l kappa(z_l).
 * The lanes of a feature are a panel of as many columns. The branch makes the number of samples of
 * a full partial sum a constant for the compiler. */
static ESC_INLINED void esc_lane_activation_backward(const esc_cpu_shared *s, const bool computed,
                                                     int l, esc_lane_slice slice, float *u,
                                                     esc_interleaved *pack) {
  const size_t row = (size_t)s->problem->shape.width * ESC_INTERLEAVE;
  const float *const derivative = computed ? pack->h[l] : pack->derivative[l];
  float *const partials = pack->deficit_partial[l] + (size_t)slice.index * ESC_SLICE_PARTIALS * row;
  for (size_t j = 0; j < row; j += ESC_INTERLEAVE) {
    const esc_feature_panel f = {.stride = row,
                                 .features = ESC_INTERLEAVE,
                                 .deficit = pack->z[l] + j,
                                 .derivative = derivative + j,
                                 .u = u + j};
    for (int i = 0; i < ESC_SLICE_PARTIALS; i++) {
      const int first = i * ESC_SAMPLES_PER_PARTIAL, left = slice.samples - first;
      float *const partial = partials + (size_t)i * row + j;
      if (left >= ESC_SAMPLES_PER_PARTIAL)
        esc_activation_backward_partial(f, computed, first, ESC_SAMPLES_PER_PARTIAL, partial);
      else
        esc_activation_backward_partial(f, computed, first, left > 0 ? left : 0, partial);
    }
  }
}

/* u_{l-1} = delta_l W_l. */
static inline void esc_lane_backward_layer(const esc_cpu_shared *s, int l, int samples,
                                           const float *delta, float *u,
                                           const esc_interleaved *pack) {
  const esc_shape shape = s->problem->shape;
  const size_t width = (size_t)shape.width;
  esc_lane_product_compute(
      &(esc_lane_product){.rows = samples,
                          .columns = shape.width,
                          .depth = shape.width,
                          .a = delta,
                          .a_row = width,
                          .a_depth = 1,
                          .b = pack->w + esc_weight_offset(shape, l) * ESC_INTERLEAVE,
                          .b_depth = width,
                          .b_column = 1,
                          .c = u,
                          .c_row = width});
}

/* The slice's partial sums of G_l, and u_{l-1}, from the output down. */
static inline void esc_lane_backward(const esc_cpu_shared *s, esc_lane_slice slice,
                                     esc_interleaved *pack) {
  const int last = s->problem->shape.layers - 1;
  float *delta = pack->delta[0], *u = pack->delta[1];
  esc_lane_weight_gradient(s, last, slice, pack->dloss, pack);
  esc_lane_backward_output(s, slice.samples, pack, u);
  for (int l = last - 1; l >= 0; l--) {
    float *const swap = delta;
    delta = u;
    u = swap;
    if (esc_is_computed_backward(s->problem->activation.kind))
      esc_lane_activation_backward(s, true, l, slice, delta, pack);
    else
      esc_lane_activation_backward(s, false, l, slice, delta, pack);
    esc_lane_weight_gradient(s, l, slice, delta, pack);
    if (l > 0) esc_lane_backward_layer(s, l, slice.samples, delta, u, pack);
  }
}

/* Adds a tile's term to the ledger's sums: the tree over the partials of each feature, then the
 * features. */
static inline void esc_lane_add_deficit(const esc_cpu_shared *s, int l, esc_interleaved *pack) {
  const int width = s->problem->shape.width;
  const size_t row = (size_t)width * ESC_INTERLEAVE;
  double feature[ESC_PARTIALS][ESC_INTERLEAVE] = {{0}};
  for (int j = 0; j < width; j++) {
    float partial[ESC_PARTIALS][ESC_INTERLEAVE];
    for (size_t i = 0; i < ESC_PARTIALS; i++)
      memcpy(partial[i], pack->deficit_partial[l] + i * row + j * ESC_INTERLEAVE,
             sizeof partial[i]);
    esc_lane_tree_f32(partial);
#pragma omp simd
    for (int lane = 0; lane < ESC_INTERLEAVE; lane++)
      feature[j % ESC_PARTIALS][lane] += (double)partial[0][lane];
  }
  esc_lane_tree_f64(feature, width);
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++) pack->sums[lane].deficit[l] += feature[0][lane];
}

#endif
