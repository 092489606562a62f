/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients and the ledger's terms of a tile of samples, from the output down. */
#ifndef ESC_CPU_BACKWARD_H
#define ESC_CPU_BACKWARD_H

#include "cpu/activate.h"
#include "cpu/block.h"
#include "cpu/gemm.h"

/* A stretch of the minibatch on its way through the network. */
typedef struct esc_stretch {
  int first, samples; /* up to ESC_TILE samples, from a multiple of ESC_TILE on */
  bool opens, closes; /* its slab: gradient chains begin, and are folded */
} esc_stretch;

/* The chains of layer l's gradient delta' h_{l-1} go on through this stretch. */
static inline void esc_weight_gradient(const esc_cpu_shared *s, int l, const esc_stretch *t,
                                       const float *delta, size_t delta_row, esc_cpu_work *work) {
  const esc_shape shape = s->problem->shape;
  const size_t in = (size_t)s->layout.in_pad[l];
  const int chains = esc_gradient_slices(shape.width);
  const esc_gemm product = {.rows = esc_fan_out(shape, l),
                            .columns = (int)in,
                            .depth = t->samples,
                            .a = delta,
                            .a_row = delta_row,
                            .b = l > 0 ? work->h[l - 1] : work->x,
                            .b_row = in,
                            .c = work->g + s->layout.w[l],
                            .c_row = in};
  esc_correlate(&product, &(esc_chains){.count = chains,
                                        .length = ESC_TILE / chains,
                                        .stride = s->layout.w[shape.layers],
                                        .add = !t->opens,
                                        .fold = t->closes});
}

/* u = dloss w, below the output layer. */
static inline void esc_backward_output(const esc_cpu_shared *s, const esc_cpu_network *net,
                                       int samples, const float *restrict dloss,
                                       float *restrict u) {
  const int last = s->problem->shape.layers - 1, pad = s->layout.in_pad[last];
  const float *restrict w = net->w + s->layout.w[last];
  for (int b = 0; b < samples; b++, u += pad)
#pragma omp simd
    for (int j = 0; j < pad; j++) u[j] = dloss[b] * w[j];
}

/* ESC_PAD features of a hidden layer: (sample, feature), rows `stride` apart. */
typedef struct esc_feature_block {
  size_t stride;
  const float *slope, *deficit; /* sigma'(z), or what it follows from; kappa(z) */
  float *u;
} esc_feature_block;

/* delta = u sigma'(z) in place, for `count` samples from sample `first` on: a run (order.h);
 * and the run's partial of sum_b u kappa(z). With from_value sigma'(z) follows from `slope`. */
static ESC_INLINED void esc_through_partial(esc_feature_block f, const bool from_value, int first,
                                            int count, float *restrict partial) {
  const float *restrict slope = f.slope + (size_t)first * f.stride;
  const float *restrict deficit = f.deficit + (size_t)first * f.stride;
  float *restrict u = f.u + (size_t)first * f.stride;
  float sum[ESC_PAD] = {0};
#pragma GCC unroll 4
  for (int i = 0; i < count; i++) {
    const size_t at = (size_t)i * f.stride;
#pragma omp simd
    for (size_t j = at; j < at + ESC_PAD; j++) {
      sum[j - at] = esc_fma_f32(u[j], deficit[j], sum[j - at]);
      u[j] *= from_value ? esc_tanh_slope_f32(slope[j]) : slope[j];
    }
  }
  memcpy(partial, sum, sizeof sum);
}

/* sums[j] += the ESC_PARTIALS rows of `partial` reduced. */
static inline void esc_tree_reduce_columns(float partial[ESC_PARTIALS][ESC_PAD],
                                           double *restrict sums) {
#pragma GCC unroll 4
  for (int half = ESC_PARTIALS / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++)
#pragma omp simd
      for (int j = 0; j < ESC_PAD; j++) partial[i][j] += partial[i + half][j];
#pragma omp simd
  for (int j = 0; j < ESC_PAD; j++) sums[j] += (double)partial[0][j];
}

/* The same for all samples, whose dot products are added to `feature`. The commonest number
 * of samples is known to the compiler. */
static ESC_INLINED void esc_through_columns(esc_feature_block f, const bool from_value, int samples,
                                            double *restrict feature) {
  float partial[ESC_PARTIALS][ESC_PAD];
  for (int i = 0; i < ESC_PARTIALS; i++) {
    const int first = i * ESC_SAMPLES_PER_PARTIAL, left = samples - first;
    if (samples == ESC_TILE)
      esc_through_partial(f, from_value, first, ESC_SAMPLES_PER_PARTIAL, partial[i]);
    else
      esc_through_partial(f, from_value, first,
                          left < ESC_SAMPLES_PER_PARTIAL ? left : ESC_SAMPLES_PER_PARTIAL,
                          partial[i]);
  }
  esc_tree_reduce_columns(partial, feature);
}

/* u_l -> delta_l = u_l sigma'(z_l), and this tile's part of the ledger's sum of u_l kappa(z_l). */
static inline void esc_through_activation(const esc_cpu_shared *s, int l, int samples, float *u,
                                          esc_cpu_work *work) {
  const size_t pad = (size_t)s->layout.out_pad[l];
  const bool from_value = esc_slope_of_value(s->problem->activation.kind);
  double feature[ESC_PARTIALS] = {0};
  const float *const slope = from_value ? work->h[l] : work->derivative[l];
  for (size_t column = 0; column < pad; column += ESC_PAD) {
    const esc_feature_block f = {pad, slope + column, work->deficit[l] + column, u + column};
    if (from_value)
      esc_through_columns(f, true, samples, feature);
    else
      esc_through_columns(f, false, samples, feature);
  }
  work->deficit_sum[l] += esc_tree_reduce_simd(feature);
}

/* u_{l-1} = delta_l W_l. */
static inline void esc_backward_layer(const esc_cpu_shared *s, const esc_cpu_network *net, int l,
                                      int samples, const float *delta, float *u) {
  const size_t in = (size_t)s->layout.in_pad[l];
  esc_multiply(&(esc_gemm){.rows = samples,
                           .columns = (int)in,
                           .depth = s->problem->shape.width,
                           .a = delta,
                           .a_row = (size_t)s->layout.out_pad[l],
                           .b = net->w + s->layout.w[l],
                           .b_row = in,
                           .c = u,
                           .c_row = in});
}

/* G_l and u_{l-1} from the output down. */
static inline void esc_backward(const esc_cpu_shared *s, const esc_cpu_network *net,
                                const esc_stretch *t, esc_cpu_work *work) {
  const int last = s->problem->shape.layers - 1;
  float *delta = work->delta[0], *u = work->delta[1];
  esc_weight_gradient(s, last, t, work->dloss, 1, work);
  esc_backward_output(s, net, t->samples, work->dloss, u);
  for (int l = last - 1; l >= 0; l--) {
    float *const swap = delta;
    delta = u;
    u = swap;
    esc_through_activation(s, l, t->samples, delta, work);
    esc_weight_gradient(s, l, t, delta, (size_t)s->layout.out_pad[l], work);
    if (l > 0) esc_backward_layer(s, net, l, t->samples, delta, u);
  }
}

#endif
