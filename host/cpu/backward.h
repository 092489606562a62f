/* SPDX-License-Identifier: Apache-2.0 */
/* Backward pass of a batch tile, from the output down: weight gradients and the ledger's terms
 * (docs/theory, sections 0.4 and 1.4), summed in the order of order.h. */
#ifndef ESC_CPU_BACKWARD_H
#define ESC_CPU_BACKWARD_H

#include "cpu/activate.h"
#include "cpu/gemm.h"
#include "cpu/transpose.h"

/* Up to ESC_TILE consecutive samples of the minibatch. */
typedef struct esc_batch_tile {
  int start, samples; /* index of the first sample, and number of samples */
  bool first;         /* of its accumulation block: partial sums start at 0 */
  bool last;          /* of its accumulation block: partial sums are reduced */
} esc_batch_tile;

/* Adds the batch tile to the partial sums of layer l's gradient delta^T h_{l-1}. */
static inline void esc_weight_gradient(const esc_cpu_shared *s, int l, const esc_batch_tile *t,
                                       const float *delta, size_t ld_delta, esc_cpu_work *work) {
  const esc_shape shape = s->problem->shape;
  const size_t in = (size_t)s->layout.in_pad[l];
  const int slices = esc_gradient_slices(shape.width);
  const esc_gemm product = {.rows = esc_fan_out(shape, l),
                            .columns = (int)in,
                            .depth = t->samples,
                            .a = delta,
                            .lda = ld_delta,
                            .b = l > 0 ? work->h[l - 1] : work->x,
                            .ldb = in,
                            .c = work->g + s->layout.w[l],
                            .ldc = in};
  esc_gemm_tn(&product, &(esc_split_k){.slices = slices,
                                       .length = ESC_TILE / slices,
                                       .stride = s->layout.w[shape.layers],
                                       .accumulate = !t->first,
                                       .reduce = t->last});
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

/* ESC_PAD columns of a hidden layer: (sample, feature), rows `stride` floats apart. The columns
 * behind `features` are padding. */
typedef struct esc_feature_panel {
  size_t stride;
  int features;
  const float *deficit;    /* kappa(z), or z where both are computed here */
  const float *derivative; /* sigma'(z), or sigma(z) */
  float *u;
} esc_feature_panel;

/* The `count` samples of one partial sum, from sample `first` on: u becomes delta = u sigma'(z),
 * and `partial` receives sum_b u kappa(z). With `computed`, both come from z and sigma(z), with the
 * bits of esc_tanh_eval_f32. */
static ESC_INLINED void esc_activation_backward_partial(esc_feature_panel f, const bool computed,
                                                        int first, int count,
                                                        float *restrict partial) {
  float sum[ESC_PAD] = {0};
#pragma GCC unroll 4
  for (int i = 0; i < count; i++) {
    const size_t row = (size_t)(first + i) * f.stride;
    const float *restrict deficit = f.deficit + row, *restrict derivative = f.derivative + row;
    float *restrict u = f.u + row;
#pragma omp simd
    for (size_t j = 0; j < ESC_PAD; j++) {
      const esc_eval_f32 stored = {.derivative = derivative[j], .deficit = deficit[j]};
      const esc_eval_f32 e = computed ? esc_tanh_eval_with_f32(deficit[j], derivative[j]) : stored;
      sum[j] = esc_fma_f32(u[j], e.deficit, sum[j]);
      u[j] *= e.derivative;
    }
  }
  memcpy(partial, sum, sizeof sum);
}

/* sums[j] += the tree reduction of column j of `partial`, of the first `columns`. */
static inline void esc_tree_reduce_columns(float partial[ESC_PARTIALS][ESC_PAD], int columns,
                                           double *restrict sums) {
#pragma GCC unroll 4
  for (int half = ESC_PARTIALS / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++)
#pragma omp simd
      for (int j = 0; j < ESC_PAD; j++) partial[i][j] += partial[i + half][j];
#pragma omp simd
  for (int j = 0; j < columns; j++) sums[j] += (double)partial[0][j];
}

/* All samples of a panel: u becomes delta, and sum_b u kappa(z) of each feature is added to
 * `feature`; not that of padding, where a network that diverges has inf * 0 = NaN. The branch makes
 * the number of samples of a full tile a constant for the compiler. */
static ESC_INLINED void esc_activation_backward_panel(esc_feature_panel f, const bool computed,
                                                      int samples, double *restrict feature) {
  float partial[ESC_PARTIALS][ESC_PAD];
  for (int i = 0; i < ESC_PARTIALS; i++) {
    const int first = i * ESC_SAMPLES_PER_PARTIAL, left = samples - first;
    if (samples == ESC_TILE)
      esc_activation_backward_partial(f, computed, first, ESC_SAMPLES_PER_PARTIAL, partial[i]);
    else
      esc_activation_backward_partial(
          f, computed, first, left < ESC_SAMPLES_PER_PARTIAL ? left : ESC_SAMPLES_PER_PARTIAL,
          partial[i]);
  }
  esc_tree_reduce_columns(partial, f.features, feature);
}

/* u_l -> delta_l = u_l sigma'(z_l), and this tile's term of the ledger's sum of u_l kappa(z_l). */
static inline void esc_activation_backward(const esc_cpu_shared *s, int l, int samples, float *u,
                                           esc_cpu_work *work) {
  const size_t pad = (size_t)s->layout.out_pad[l];
  const bool computed = esc_is_computed_backward(s->problem->activation.kind);
  double feature[ESC_PARTIALS] = {0};
  const float *const derivative = computed ? work->h[l] : work->derivative[l];
  for (size_t column = 0; column < pad; column += ESC_PAD) {
    const int left = s->problem->shape.width - (int)column;
    const esc_feature_panel f = {.stride = pad,
                                 .features = left < ESC_PAD ? left : ESC_PAD,
                                 .deficit = work->z[l] + column,
                                 .derivative = derivative + column,
                                 .u = u + column};
    if (computed)
      esc_activation_backward_panel(f, true, samples, feature);
    else
      esc_activation_backward_panel(f, false, samples, feature);
  }
  work->deficit_sum[l] += esc_tree_reduce_simd(feature);
}

/* u_{l-1} = delta_l W_l. */
static inline void esc_backward_layer(const esc_cpu_shared *s, const esc_cpu_network *net, int l,
                                      int samples, const float *delta, float *u) {
  const size_t in = (size_t)s->layout.in_pad[l];
  esc_gemm_nn(&(esc_gemm){.rows = samples,
                          .columns = (int)in,
                          .depth = s->problem->shape.width,
                          .a = delta,
                          .lda = (size_t)s->layout.out_pad[l],
                          .b = net->w + s->layout.w[l],
                          .ldb = in,
                          .c = u,
                          .ldc = in});
}

/* G_l and u_{l-1} from the output down. */
static inline void esc_backward(const esc_cpu_shared *s, const esc_cpu_network *net,
                                const esc_batch_tile *t, esc_cpu_work *work) {
  const int last = s->problem->shape.layers - 1;
  float *delta = work->delta[0], *u = work->delta[1];
  esc_weight_gradient(s, last, t, work->dloss, 1, work);
  esc_backward_output(s, net, t->samples, work->dloss, u);
  for (int l = last - 1; l >= 0; l--) {
    float *const swap = delta;
    delta = u;
    u = swap;
    esc_activation_backward(s, l, t->samples, delta, work);
    esc_weight_gradient(s, l, t, delta, (size_t)s->layout.out_pad[l], work);
    if (l > 0) esc_backward_layer(s, net, l, t->samples, delta, u);
  }
}

#endif
