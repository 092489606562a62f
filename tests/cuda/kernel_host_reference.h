/* SPDX-License-Identifier: Apache-2.0 */
/* Host reference of every kernel: the equations of kernels.h in plain loops, in the order of
 * order.h. They work in place on a chunk of host arrays. */
#ifndef ESC_KERNEL_HOST_REFERENCE_H
#define ESC_KERNEL_HOST_REFERENCE_H

#include "escapement/internal/activation.h"
#include "escapement/internal/loss.h"
#include "escapement/internal/model.h"
#include "escapement/internal/philox.h"
#include "escapement/internal/update.h"
#include "kernel_fixture.h"

static inline esc_eval_f32 evaluate(const fixture *t, float z) {
  return esc_activate_f32(&t->problem.activation, z);
}

/* Index of (slot, sample, 0) in hidden layer l of z and h; l = 0 in delta and u. */
static inline size_t row_index(const fixture *t, int l, int slot, int sample) {
  const setting *s = &t->set;
  return (((size_t)l * (size_t)s->slots + (size_t)slot) * (size_t)s->batch + (size_t)sample) *
         (size_t)s->width;
}

static inline size_t sample_index(const fixture *t, int slot, int sample) {
  return (size_t)slot * (size_t)t->set.batch + (size_t)sample;
}

static inline size_t weight_index(const fixture *t, int slot, int l) {
  return (size_t)slot * t->chunk[BEFORE].weight_stride + esc_weight_offset(t->problem.shape, l);
}

static inline size_t layer_index(const fixture *t, int slot, int l) {
  return (size_t)slot * (size_t)t->set.layers + (size_t)l;
}

static inline int tile_count(const fixture *t) { return (t->set.batch + ESC_TILE - 1) / ESC_TILE; }

static inline size_t tile_index(const fixture *t, int slot, int l, int tile) {
  const size_t interfaces = (size_t)t->set.layers - 1, tiles = (size_t)tile_count(t);
  return ((size_t)slot * interfaces + (size_t)l) * tiles + (size_t)tile;
}

static inline int min_int(int a, int b) { return a < b ? a : b; }

/* a . b over `count` entries, `a_stride` and `b_stride` apart (order.h: dot products). */
static inline float canonical_dot(const float *a, size_t a_stride, const float *b, size_t b_stride,
                                  int count) {
  float partial[ESC_PARTIALS] = {0};
  for (int i = 0; i < count; i++)
    partial[i % ESC_PARTIALS] =
        esc_fma_f32(a[(size_t)i * a_stride], b[(size_t)i * b_stride], partial[i % ESC_PARTIALS]);
  return esc_tree_reduce_f32(partial);
}

static void inputs_reference(const fixture *t, esc_chunk *chunk, int l) {
  (void)l;
  const size_t each = (size_t)t->set.batch * (size_t)t->set.inputs;
  for (int i = 0; i < chunk->slots; i++)
    if (esc_track_is_active(&chunk->track[i]))
      esc_draw_inputs(chunk->seed[i], chunk->track[i].step, 0, t->set.batch, t->set.inputs,
                      chunk->x + (size_t)i * each);
}

/* Of all slots, finished ones included. */
static void activate_reference(const fixture *t, esc_chunk *chunk, int l) {
  for (size_t i = row_index(t, l, 0, 0); i < row_index(t, l + 1, 0, 0); i++)
    chunk->h[i] = evaluate(t, chunk->z[i]).value;
}

static inline float target_reference(const fixture *t, const float *x) {
  float sum = 0;
  for (int k = 0; k < t->p.modes; k++) {
    const float *v = t->p.direction + (size_t)k * (size_t)t->set.inputs;
    const float projection = t->p.axes ? x[k] : canonical_dot(v, 1, x, 1, t->set.inputs);
    sum = esc_fma_f32((float)t->problem.teacher.amplitude[k], evaluate(t, projection).value, sum);
  }
  return sum;
}

/* The loss of one sample; writes its h and its derivative of the loss. */
static inline double sample_reference(const fixture *t, esc_chunk *chunk, int slot, int b) {
  const int top = t->set.layers - 2;
  const float *z = chunk->z + row_index(t, top, slot, b);
  float *h = chunk->h + row_index(t, top, slot, b);
  for (int n = 0; n < t->set.width; n++) h[n] = evaluate(t, z[n]).value;
  const float f = canonical_dot(chunk->w + weight_index(t, slot, top + 1), 1, h, 1, t->set.width);
  const float target =
      target_reference(t, chunk->x + sample_index(t, slot, b) * (size_t)t->set.inputs);
  const esc_loss_f32 e =
      esc_loss_eval_f32(t->problem.loss, (float)t->problem.huber_delta, f, target);
  chunk->dloss[sample_index(t, slot, b)] = e.derivative / (float)t->set.batch;
  return (double)e.value;
}

static void output_reference(const fixture *t, esc_chunk *chunk, int l) {
  (void)l;
  for (int i = 0; i < chunk->slots; i++) {
    double partial[ESC_PARTIALS] = {0};
    chunk->update_mask[i] = 0;
    if (!esc_track_is_active(&chunk->track[i])) continue;
    for (int b = 0; b < t->set.batch; b++)
      partial[b % ESC_PARTIALS] += sample_reference(t, chunk, i, b);
    chunk->update_mask[i] =
        esc_track_loss(&chunk->track[i], &t->rules, esc_tree_reduce_f64(partial) / t->set.batch);
  }
}

/* One weight's gradient: accumulation blocks of samples from..to, each the tree reduction of
 * partial sums. */
static inline float gradient_reference(const fixture *t, const float *dloss, const float *h) {
  const int slices = esc_gradient_slices(t->set.width), batch = t->set.batch;
  double sum = 0;
  for (int from = 0; from < batch; from += ESC_ACCUMULATION_BLOCK) {
    float partial[4] = {0};
    for (int b = from; b < min_int(batch, from + ESC_ACCUMULATION_BLOCK); b++) {
      const int c = b % ESC_TILE / (ESC_TILE / slices);
      partial[c] = esc_fma_f32(dloss[b], h[(size_t)b * (size_t)t->set.width], partial[c]);
    }
    for (int half = slices / 2; half > 0; half /= 2)
      for (int c = 0; c < half; c++) partial[c] += partial[c + half];
    sum += (double)partial[0];
  }
  return (float)sum;
}

static void output_gradient_reference(const fixture *t, esc_chunk *chunk, int l) {
  (void)l;
  const int top = t->set.layers - 2;
  for (int i = 0; i < chunk->slots; i++)
    for (int n = 0; chunk->update_mask[i] && n < t->set.width; n++)
      chunk->g[weight_index(t, i, top + 1) + (size_t)n] = gradient_reference(
          t, chunk->dloss + sample_index(t, i, 0), chunk->h + row_index(t, top, i, 0) + n);
}

/* u of feature n in sample b; at the last hidden layer the product of the loss's derivative and
 * w_L. */
static inline float incoming_u(const fixture *t, const esc_chunk *chunk, int l, int slot, int b,
                               int n) {
  const int top = t->set.layers - 2;
  if (l < top) return chunk->u[row_index(t, 0, slot, b) + (size_t)n];
  return chunk->dloss[sample_index(t, slot, b)] *
         chunk->w[weight_index(t, slot, top + 1) + (size_t)n];
}

/* One feature over the samples of one tile: writes delta, returns sum_b u kappa(z). */
static inline float feature_reference(const fixture *t, esc_chunk *chunk, int l, int slot,
                                      int first, int n) {
  const int samples = min_int(ESC_TILE, t->set.batch - first);
  float partial[ESC_PARTIALS] = {0};
  for (int b = 0; b < samples; b++) {
    const size_t index = row_index(t, 0, slot, first + b) + (size_t)n;
    const esc_eval_f32 e = evaluate(t, chunk->z[row_index(t, l, slot, first + b) + (size_t)n]);
    const float u = incoming_u(t, chunk, l, slot, first + b, n);
    partial[b / ESC_SAMPLES_PER_PARTIAL] =
        esc_fma_f32(u, e.deficit, partial[b / ESC_SAMPLES_PER_PARTIAL]);
    chunk->delta[index] = u * e.derivative;
  }
  return esc_tree_reduce_f32(partial);
}

static void delta_reference(const fixture *t, esc_chunk *chunk, int l) {
  for (int i = 0; i < chunk->slots; i++)
    for (int first = 0; chunk->update_mask[i] && first < t->set.batch; first += ESC_TILE) {
      double partial[ESC_PARTIALS] = {0};
      for (int n = 0; n < t->set.width; n++)
        partial[n % ESC_PARTIALS] += (double)feature_reference(t, chunk, l, i, first, n);
      chunk->tile_deficit[tile_index(t, i, l, first / ESC_TILE)] = esc_tree_reduce_f64(partial);
    }
}

static inline esc_updated updated(const fixture *t, const esc_chunk *chunk, int l, size_t index) {
  const float rate = t->p.rate[l];
  return chunk->compensation ? esc_update_compensated(rate, chunk->g[index], chunk->w[index],
                                                      chunk->compensation[index])
                             : esc_update_plain(rate, chunk->g[index], chunk->w[index]);
}

/* Updates a row of weights; returns its |g|^2. */
static inline double row_reference(const fixture *t, esc_chunk *chunk, int l, size_t index,
                                   size_t out) {
  double partial[ESC_PARTIALS] = {0};
  for (int k = 0; k < esc_fan_in(t->problem.shape, l); k++, index++) {
    const esc_updated u = updated(t, chunk, l, index);
    partial[k % ESC_PARTIALS] += (double)chunk->g[index] * (double)chunk->g[index];
    chunk->w[index] = u.w;
    if (chunk->compensation) chunk->compensation[index] = u.compensation;
    chunk->nonzero_updates[out] += u.nonzero_update;
    chunk->rounded_away[out] += u.rounded_away;
  }
  return esc_tree_reduce_f64(partial);
}

static void update_reference(const fixture *t, esc_chunk *chunk, int layer) {
  (void)layer;
  for (int i = 0; i < chunk->slots; i++)
    for (int l = 0; chunk->update_mask[i] && l < t->set.layers; l++) {
      double partial[ESC_PARTIALS] = {0};
      const size_t out = layer_index(t, i, l), columns = (size_t)esc_fan_in(t->problem.shape, l);
      chunk->nonzero_updates[out] = chunk->rounded_away[out] = 0;
      for (int n = 0; n < esc_fan_out(t->problem.shape, l); n++)
        partial[n % ESC_PARTIALS] +=
            row_reference(t, chunk, l, weight_index(t, i, l) + (size_t)n * columns, out);
      chunk->grad_norm_sq[out] = esc_tree_reduce_f64(partial);
    }
}

/* The direction of one weight's step; changes its moments. */
static inline float optimize_weight(const esc_optimizer_rules *r, const esc_optimizer_step *s,
                                    const esc_chunk *c, size_t i) {
  if (r->adam)
    return esc_optimizer_adam(r, s, c->g[i], c->w[i], &c->velocity[i], &c->second_moment[i]);
  if (c->velocity) return esc_optimizer_momentum(r, s, c->g[i], c->w[i], &c->velocity[i]);
  return esc_optimizer_decay(r, s, c->g[i], c->w[i]);
}

/* Directions of layer l, and its sums in the order of |G|^2. */
static inline void optimize_layer(const fixture *t, esc_chunk *chunk, int slot, int l) {
  const esc_optimizer_rules *r = &t->p.optimizer;
  const esc_optimizer_step step = esc_optimizer_step_make(r, l, chunk->track[slot].step);
  double product[ESC_PARTIALS] = {0}, norm[ESC_PARTIALS] = {0};
  size_t i = weight_index(t, slot, l);
  for (int n = 0; n < esc_fan_out(t->problem.shape, l); n++) {
    double row_product[ESC_PARTIALS] = {0}, row_norm[ESC_PARTIALS] = {0};
    for (int k = 0; k < esc_fan_in(t->problem.shape, l); k++, i++) {
      const float e = optimize_weight(r, &step, chunk, i);
      if (chunk->velocity) row_product[k % ESC_PARTIALS] += (double)e * (double)chunk->velocity[i];
      row_norm[k % ESC_PARTIALS] += (double)chunk->w[i] * (double)chunk->w[i];
      chunk->g[i] = e;
    }
    product[n % ESC_PARTIALS] += esc_tree_reduce_f64(row_product);
    norm[n % ESC_PARTIALS] += esc_tree_reduce_f64(row_norm);
  }
  chunk->velocity_product[layer_index(t, slot, l)] = esc_tree_reduce_f64(product);
  chunk->weight_norm_sq[layer_index(t, slot, l)] = esc_tree_reduce_f64(norm);
}

static void optimize_reference(const fixture *t, esc_chunk *chunk, int layer) {
  (void)layer;
  for (int i = 0; i < chunk->slots; i++)
    for (int l = 0; chunk->update_mask[i] && l < t->set.layers; l++) optimize_layer(t, chunk, i, l);
}

/* The step of the ledger by the optimizer of the fixture. */
static inline void add_step(const fixture *t, esc_chunk *chunk, int slot) {
  const size_t row = layer_index(t, slot, 0);
  if (t->rules.optimized) {
    const esc_step_sums sums = {chunk->deficit + row, chunk->grad_norm_sq + row,
                                chunk->velocity_product + row, chunk->weight_norm_sq + row};
    esc_track_optimized_update(&chunk->track[slot], &t->rules, &sums);
  } else {
    esc_track_update(&chunk->track[slot], &t->rules, chunk->deficit + row,
                     chunk->grad_norm_sq + row);
  }
}

static void ledger_reference(const fixture *t, esc_chunk *chunk, int layer) {
  (void)layer;
  for (int i = 0; i < chunk->slots; i++) {
    if (!chunk->update_mask[i]) continue;
    for (int l = 0; l < t->set.layers; l++) {
      double sum = 0;
      for (int k = 0; k < tile_count(t) && l < t->set.layers - 1; k++)
        sum += chunk->tile_deficit[tile_index(t, i, l, k)];
      if (l < t->set.layers - 1) chunk->deficit[layer_index(t, i, l)] = sum;
      chunk->track[i].nonzero_updates += chunk->nonzero_updates[layer_index(t, i, l)];
      chunk->track[i].rounded_away += chunk->rounded_away[layer_index(t, i, l)];
    }
    add_step(t, chunk, i);
  }
}

#endif
