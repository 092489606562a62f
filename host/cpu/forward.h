/* SPDX-License-Identifier: Apache-2.0 */
/* Forward pass of a batch tile: the teacher's targets, the student's activations, the losses
 * (docs/theory, sections 0.1 to 0.3). */
#ifndef ESC_CPU_FORWARD_H
#define ESC_CPU_FORWARD_H

#include <string.h>

#include "cpu/activate.h"
#include "cpu/gemm.h"
#include "cpu/transpose.h"

/* out[b] = v . x_b for rows x_b of `count` floats, padding included. */
static inline void esc_dot_rows(const float *restrict v, const float *restrict x, int count,
                                int samples, float *restrict out) {
  for (int first = 0; first < samples; first += ESC_PARTIALS) {
    float partial[ESC_PARTIALS][ESC_PARTIALS];
    /* Rows beyond `samples` are allocated; their sums are not used. */
    for (int b = 0; b < ESC_PARTIALS; b++) {
      const float *restrict row = x + (size_t)(first + b) * (size_t)count;
      float sum[ESC_PARTIALS] = {0};
      for (int i = 0; i < count; i += ESC_PARTIALS)
#pragma omp simd
        for (int j = 0; j < ESC_PARTIALS; j++) sum[j] = esc_fma_f32(v[i + j], row[i + j], sum[j]);
      memcpy(partial[b], sum, sizeof sum);
    }
    esc_tree_reduce_rows_f32(partial[0], out + first);
  }
}

/* target[b] = sum_k a_k sigma(v_k . x_b). */
static inline void esc_tile_targets(const esc_cpu_shared *s, int samples, esc_cpu_work *work) {
  const esc_problem *p = s->problem;
  const int row = s->layout.in_pad[0];
  float z[ESC_TILE], value[ESC_TILE], derivative[ESC_TILE];
  memset(work->target, 0, ESC_TILE * sizeof(float));
  for (int k = 0; k < p->teacher.modes; k++) {
    if (p->teacher.directions == ESC_DIRECTIONS_AXES)
      for (int b = 0; b < samples; b++) z[b] = work->x[(size_t)b * (size_t)row + (size_t)k];
    else
      esc_dot_rows(s->direction + (size_t)k * (size_t)row, work->x, row, samples, z);
    esc_activate_all(s, (size_t)samples, z, value, derivative);
    for (int b = 0; b < samples; b++)
      work->target[b] = esc_fma_f32(s->amplitude[k], value[b], work->target[b]);
  }
}

/* h_l = sigma(W_l h_{l-1}) for every hidden layer, f = W_L h_{L-1}. */
static inline void esc_forward(const esc_cpu_shared *s, const esc_cpu_network *net, int samples,
                               esc_cpu_work *work) {
  const int last = s->problem->shape.layers - 1, width = s->problem->shape.width;
  const float *h = work->x;
  for (int l = 0; l < last; l++) {
    const size_t in = (size_t)s->layout.in_pad[l], out = (size_t)s->layout.out_pad[l];
    float *const z = work->z[l], *const value = work->h[l];
    esc_gemm_nn(&(esc_gemm){.rows = samples,
                            .columns = (int)out,
                            .depth = esc_fan_in(s->problem->shape, l),
                            .a = h,
                            .lda = in,
                            .b = net->wt + s->layout.wt[l],
                            .ldb = out,
                            .c = z,
                            .ldc = out});
    esc_activate_all(s, (size_t)samples * out, z, value, work->derivative[l]);
    /* Padding must be 0 again, because sigma(0) may not be 0. */
    for (size_t b = 0; b < (size_t)samples && (size_t)width < out; b++)
      memset(value + b * out + width, 0, (out - (size_t)width) * sizeof *value);
    h = value;
  }
  esc_dot_rows(net->w + s->layout.w[last], h, s->layout.in_pad[last], samples, work->f);
}

/* Adds the losses to the minibatch's partials, and stores dloss/df / B in work->dloss. */
static inline void esc_tile_losses(const esc_problem *p, int samples, esc_cpu_work *work) {
  float value[ESC_TILE];
  esc_loss_all(p, (size_t)samples, work->f, work->target, value, work->dloss);
  for (int b = 0; b < samples; b++) work->loss_partial[b % ESC_PARTIALS] += (double)value[b];
}

#endif
