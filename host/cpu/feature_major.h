/* SPDX-License-Identifier: Apache-2.0 */
/* Forward and backward pass of a batch tile of a wide network, whose weights exceed the
 * second-level cache. Activations are feature-major, (feature, sample), so that
 *
 *   z_l     = W_l h_{l-1}
 *   u_{l-1} = W_l^T delta_l
 *
 * both have vectors of samples and read the same row-major W_l: no transpose of the weights is
 * kept. For the gradient G_l = delta_l h_{l-1}^T the activations are transposed. The gradient of
 * the last batch tile is computed in panels of rows, each followed by the update of its weights
 * while it is in the cache. So a step of one batch tile reads W twice, changes W and the
 * compensation once, and writes no gradient to memory.
 *
 * Every sum has the order of order.h, hence the bits of the sample-major passes (forward.h,
 * backward.h); wide networks have one K-slice. */
#ifndef ESC_CPU_FEATURE_MAJOR_H
#define ESC_CPU_FEATURE_MAJOR_H

#include <string.h>

#include "cpu/activate.h"
#include "cpu/backward.h"
#include "cpu/gemm.h"
#include "cpu/transpose.h"
#include "cpu/update.h"

enum {
  ESC_WEIGHT_BLOCK = 1 << 16,             /* weights that stay in the second-level cache */
  ESC_DEPTH_BLOCK = 128,                  /* rows of B that stay in the first-level cache */
  ESC_DEPTH_BLOCK_MIN = 32,               /* fewer would read and write C too often */
  ESC_GRADIENT_ROWS = 3 * ESC_PANEL_ROWS, /* of a panel of G; a multiple of a register tile's */
  ESC_GRADIENT_AHEAD = 8,                 /* rows: a register tile or more */
};

/* C = A^T B with a matrix A of weights, in blocks of the depth that stay in the second-level cache
 * while each register tile reads its columns; the blocks' partial sums continue each other. */
static inline void esc_gemm_tn_blocked(esc_gemm g) {
  const int depth = g.depth, most = (int)(ESC_WEIGHT_BLOCK / g.lda);
  const int block = most < ESC_DEPTH_BLOCK_MIN ? ESC_DEPTH_BLOCK_MIN
                    : most > ESC_DEPTH_BLOCK   ? ESC_DEPTH_BLOCK
                                               : most;
  for (int first = 0; first < depth; first += block) {
    g.depth = depth - first < block ? depth - first : block;
    g.accumulate = first > 0;
    esc_gemm_tn_stream(&g);
    g.a += (size_t)block * g.lda;
    g.b += (size_t)block * g.ldb;
  }
}

/* Columns of (feature, sample) arrays: the samples, padded. No result depends on the padding. */
static inline size_t esc_sample_columns(int samples) { return (size_t)esc_padded(samples); }

/* Row stride of work->rows. A power of two would map the rows to the same sets of the first-level
 * cache. */
static inline size_t esc_row_stride(const esc_cpu_shared *s, int l) {
  return (size_t)s->layout.in_pad[l] + ESC_PAD;
}

/* The input of layer l, feature-major. */
static inline const float *esc_features_below(const esc_cpu_work *work, int l) {
  return l > 0 ? work->h[l - 1] : work->columns;
}

/* out[b] = v . h_b over `count` features, in the order of esc_dot_rows. */
static inline void esc_dot_features(const float *restrict v, const float *restrict h, int count,
                                    size_t columns, float *restrict out) {
  for (size_t first = 0; first < columns; first += ESC_PARTIALS) {
    float partial[ESC_PARTIALS][ESC_PARTIALS] = {{0}}; /* (partial, sample) */
    for (int i = 0; i < count; i++)
#pragma omp simd
      for (int b = 0; b < ESC_PARTIALS; b++)
        partial[i % ESC_PARTIALS][b] = esc_fma_f32(v[i], h[(size_t)i * columns + first + (size_t)b],
                                                   partial[i % ESC_PARTIALS][b]);
    for (int half = ESC_PARTIALS / 2; half > 0; half /= 2)
      for (int j = 0; j < half; j++)
#pragma omp simd
        for (int b = 0; b < ESC_PARTIALS; b++) partial[j][b] += partial[j + half][b];
    memcpy(out + first, partial[0], sizeof partial[0]);
  }
}

/* h_l = sigma(W_l h_{l-1}) for every hidden layer, f = W_L h_{L-1}. */
static inline void esc_wide_forward(const esc_cpu_shared *s, const esc_cpu_network *net,
                                    int samples, esc_cpu_work *work) {
  const int last = s->problem->shape.layers - 1;
  const size_t width = (size_t)s->problem->shape.width, columns = esc_sample_columns(samples);
  const size_t in = (size_t)s->layout.in_pad[0];
  esc_transpose(columns, in, work->x, in, work->columns, columns);
  for (int l = 0; l < last; l++) {
    float *const z = work->z[l], *const value = work->h[l];
    esc_gemm_nn(&(esc_gemm){.rows = (int)width,
                            .columns = (int)columns,
                            .depth = esc_fan_in(s->problem->shape, l),
                            .a = net->w + s->layout.w[l],
                            .lda = (size_t)s->layout.in_pad[l],
                            .b = esc_features_below(work, l),
                            .ldb = columns,
                            .c = z,
                            .ldc = columns});
    esc_activate_all(s, width * columns, z, value, work->derivative[l]);
    /* Padding of features, where a tile of more samples has features. */
    memset(value + width * columns, 0,
           ((size_t)s->layout.out_pad[l] - width) * columns * sizeof *value);
  }
  esc_dot_features(net->w + s->layout.w[last], esc_features_below(work, last), (int)width, columns,
                   work->f);
}

/* u = dloss w, below the output layer. */
static inline void esc_wide_backward_output(const esc_cpu_shared *s, const esc_cpu_network *net,
                                            size_t columns, const float *restrict dloss,
                                            float *restrict u) {
  const float *restrict w = net->w + s->layout.w[s->problem->shape.layers - 1];
  for (int j = 0; j < s->problem->shape.width; j++, u += columns)
#pragma omp simd
    for (size_t b = 0; b < columns; b++) u[b] = dloss[b] * w[j];
}

/* to[k][i] = from[4 i + k] for a tile's ESC_TILE samples. */
static inline void esc_deinterleave(const float *from, float to[restrict 4][ESC_PARTIALS]) {
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15
  for (int half = 0; half < 2; half++) {
    esc_octet in[4], part[4];
    memcpy(in, from + half * 32, sizeof in);
    for (int i = 0; i < 2; i++) {
      part[i] = __builtin_shufflevector(in[2 * i], in[2 * i + 1], EVEN);
      part[i + 2] = __builtin_shufflevector(in[2 * i], in[2 * i + 1], ODD);
    }
    for (int k = 0; k < 2; k++) {
      const esc_octet even = __builtin_shufflevector(part[2 * k], part[2 * k + 1], EVEN);
      const esc_octet odd = __builtin_shufflevector(part[2 * k], part[2 * k + 1], ODD);
      memcpy(&to[k][half * 8], &even, sizeof even);
      memcpy(&to[k + 2][half * 8], &odd, sizeof odd);
    }
  }
#undef EVEN
#undef ODD
}

/* partial[i] = the sum of u kappa over the samples of partial sum i, of one feature of a full
 * tile. */
static inline void esc_feature_partials(const float *u, const float *deficit,
                                        float partial[restrict ESC_PARTIALS]) {
  _Static_assert(ESC_SAMPLES_PER_PARTIAL == 4, "samples of a partial sum");
  float a[4][ESC_PARTIALS], b[4][ESC_PARTIALS], sum[ESC_PARTIALS] = {0};
  esc_deinterleave(u, a);
  esc_deinterleave(deficit, b);
#pragma GCC unroll 4
  for (int k = 0; k < 4; k++)
#pragma omp simd
    for (int i = 0; i < ESC_PARTIALS; i++) sum[i] = esc_fma_f32(a[k][i], b[k][i], sum[i]);
  memcpy(partial, sum, sizeof sum);
}

/* One feature: u becomes delta = u sigma'(z), and `partial` receives sums of u kappa(z). With
 * `computed`, `deficit` is z and `derivative` is sigma(z), as in esc_feature_panel. */
static ESC_INLINED void esc_feature_backward(int samples, const bool computed,
                                             const float *restrict derivative,
                                             const float *restrict deficit, float *restrict u,
                                             float *restrict partial) {
  float derivatives[ESC_TILE], deficits[ESC_TILE];
  if (computed) {
#pragma omp simd
    for (int b = 0; b < samples; b++) {
      const esc_eval_f32 e = esc_tanh_eval_with_f32(deficit[b], derivative[b]);
      derivatives[b] = e.derivative;
      deficits[b] = e.deficit;
    }
    derivative = derivatives;
    deficit = deficits;
  }
  if (samples == ESC_TILE)
    esc_feature_partials(u, deficit, partial);
  else
    for (int b = 0; b < samples; b++)
      partial[b / ESC_SAMPLES_PER_PARTIAL] =
          esc_fma_f32(u[b], deficit[b], partial[b / ESC_SAMPLES_PER_PARTIAL]);
#pragma omp simd
  for (int b = 0; b < samples; b++) u[b] *= derivative[b];
}

/* u_l -> delta_l = u_l sigma'(z_l); returns this tile's term of the ledger. */
static ESC_INLINED double esc_features_backward(const esc_cpu_shared *s, int l, int samples,
                                                const bool computed, float *u,
                                                const esc_cpu_work *work) {
  const size_t columns = esc_sample_columns(samples), width = (size_t)s->problem->shape.width;
  const float *const derivative = computed ? work->h[l] : work->derivative[l];
  double feature[ESC_PARTIALS] = {0};
  for (size_t first = 0; first < width; first += ESC_PARTIALS) {
    float partial[ESC_PARTIALS][ESC_PARTIALS] = {{0}}, sum[ESC_PARTIALS]; /* (feature, partial) */
    for (size_t j = first; j < first + ESC_PARTIALS && j < width; j++)
      esc_feature_backward(samples, computed, derivative + j * columns, work->z[l] + j * columns,
                           u + j * columns, partial[j - first]);
    esc_tree_reduce_rows_f32(partial[0], sum);
#pragma omp simd
    for (int j = 0; j < ESC_PARTIALS; j++) feature[j] += (double)sum[j];
  }
  return esc_tree_reduce_simd(feature);
}

static inline void esc_wide_activation_backward(const esc_cpu_shared *s, int l, int samples,
                                                float *u, esc_cpu_work *work) {
  if (esc_is_computed_backward(s->problem->activation.kind))
    work->deficit_sum[l] += esc_features_backward(s, l, samples, true, u, work);
  else
    work->deficit_sum[l] += esc_features_backward(s, l, samples, false, u, work);
}

/* u_{l-1} = W_l^T delta_l. */
static inline void esc_wide_backward_layer(const esc_cpu_shared *s, const esc_cpu_network *net,
                                           int l, size_t columns, const float *delta, float *u) {
  esc_gemm_tn_blocked((esc_gemm){.rows = s->problem->shape.width,
                                 .columns = (int)columns,
                                 .depth = s->problem->shape.width,
                                 .a = net->w + s->layout.w[l],
                                 .lda = (size_t)s->layout.in_pad[l],
                                 .b = delta,
                                 .ldb = columns,
                                 .c = u,
                                 .ldc = columns});
}

/* Rows first, first + 1, ... of a layer's gradient, in g (rows, in_pad). */
typedef struct esc_gradient_panel {
  size_t first, rows;
  float *g;
} esc_gradient_panel;

/* Adds the batch tile to a panel of layer l's gradient. delta: (fan_out, tile), rows ld_delta
 * apart. Requests what is needed next: the gradient of the next register tiles, and what the
 * update of the panel changes. */
static inline void esc_gradient_panel_add(const esc_cpu_shared *s, int l, const esc_batch_tile *t,
                                          esc_gradient_panel panel, const float *delta,
                                          size_t ld_delta, const esc_cpu_work *work,
                                          const esc_cpu_network *trained) {
  const size_t in = (size_t)s->layout.in_pad[l];
  const size_t offset = s->layout.w[l] + panel.first * in;
  const float *const w = trained ? trained->w + offset : NULL;
  const float *const compensation =
      trained && trained->compensation ? trained->compensation + offset : NULL;
  const float *const next = panel.g + ESC_GRADIENT_AHEAD * in;
  esc_gemm_nn_update(&(esc_gemm){.rows = (int)panel.rows,
                                 .columns = (int)in,
                                 .depth = t->samples,
                                 .a = delta + panel.first * ld_delta,
                                 .lda = ld_delta,
                                 .b = l > 0 ? work->rows : work->x,
                                 .ldb = l > 0 ? esc_row_stride(s, l) : in,
                                 .c = panel.g,
                                 .ldc = in,
                                 .accumulate = !t->first,
                                 .update = {next, w, compensation}});
}

/* Updates a panel's weights; adds to the partial sums of |G|^2. */
static inline void esc_gradient_panel_apply(const esc_cpu_shared *s, int l,
                                            esc_gradient_panel panel, esc_cpu_network *net,
                                            double row[ESC_PARTIALS]) {
  const size_t in = (size_t)s->layout.in_pad[l];
  for (size_t n = 0; n < panel.rows; n += ESC_PANEL_ROWS) {
    const size_t rows = esc_panel_rows(panel.rows, n);
    esc_panel_clear_padding(rows, in, (size_t)esc_fan_in(s->problem->shape, l), panel.g + n * in);
    esc_panel_norm2(rows, in, panel.g + n * in, row);
    esc_panel_step(s, l, s->layout.w[l] + (panel.first + n) * in, rows * in, panel.g + n * in, net);
  }
}

/* Adds the batch tile to layer l's gradient, and with `trained` updates its weights. Returns
 * |G_l|^2 if updated. The gradient of a minibatch of one tile is stored only if it is not
 * applied. */
static inline double esc_wide_gradient(const esc_cpu_shared *s, int l, const esc_batch_tile *t,
                                       const float *delta, size_t ld_delta, esc_cpu_work *work,
                                       esc_cpu_network *trained) {
  const size_t in = (size_t)s->layout.in_pad[l], rows = (size_t)esc_fan_out(s->problem->shape, l);
  const size_t columns = esc_sample_columns(t->samples);
  const bool stored = !trained || !t->first;
  double row[ESC_PARTIALS] = {0};
  if (l > 0)
    esc_transpose(in, columns, esc_features_below(work, l), columns, work->rows,
                  esc_row_stride(s, l));
  for (size_t n = 0; n < rows; n += ESC_GRADIENT_ROWS) {
    const esc_gradient_panel panel = {n,
                                      rows - n < ESC_GRADIENT_ROWS ? rows - n : ESC_GRADIENT_ROWS,
                                      stored ? work->g + s->layout.w[l] + n * in : work->g};
    esc_gradient_panel_add(s, l, t, panel, delta, ld_delta, work, trained);
    if (trained) esc_gradient_panel_apply(s, l, panel, trained, row);
  }
  return esc_tree_reduce_simd(row);
}

/* The backward pass of a batch tile: gradients, ledger terms and, if `trained` is the network (else
 * NULL), the update of each layer after the last product that needs its weights. */
static inline void esc_wide_backward(const esc_cpu_shared *s, const esc_cpu_network *net,
                                     const esc_batch_tile *t, esc_cpu_work *work,
                                     esc_cpu_network *trained) {
  const int last = s->problem->shape.layers - 1;
  const size_t columns = esc_sample_columns(t->samples);
  float *delta = work->delta[0], *u = work->delta[1];
  esc_wide_backward_output(s, net, columns, work->dloss, u);
  work->grad_norm_sq[last] = esc_wide_gradient(s, last, t, work->dloss, 1, work, trained);
  for (int l = last - 1; l >= 0; l--) {
    float *const swap = delta;
    delta = u;
    u = swap;
    esc_wide_activation_backward(s, l, t->samples, delta, work);
    if (l > 0) esc_wide_backward_layer(s, net, l, columns, delta, u);
    work->grad_norm_sq[l] = esc_wide_gradient(s, l, t, delta, columns, work, trained);
  }
}

#endif
