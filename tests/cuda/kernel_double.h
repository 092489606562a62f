/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel's output against the same equations in double, without order.h and without float's
 * functions.
 *
 * The allowed error is a bound, not a guess: a sum of n fused operations and a few more is off
 * by at most (n + few) units of rounding of the sum of its terms' sizes; activations and losses
 * by the bounds that test_activation and test_loss check; errors of inputs are propagated. On
 * small integers nothing rounds, and the result must be exact, except for the quotient by B
 * (`slack` is 0). */
#ifndef ESC_KERNEL_DOUBLE_H
#define ESC_KERNEL_DOUBLE_H

#include "kernel_host_reference.h"

static const double pi = 3.14159265358979323846;
static const double unit_roundoff = 0x1p-24;          /* of float's rounding */
static const double function_error = 4 * 0x1p-23;     /* test_activation, test_loss */
static const double underflow_error = 900 * 0x1p-126; /* exp may flush what z^2 <= 900 multiplies */

/* A value, and a bound on the error of its computation in float. */
typedef struct bounded {
  double value, error;
} bounded;

static inline esc_eval_f64 evaluate_double(const fixture *t, double z) {
  return esc_activate_f64(&t->problem.activation, z);
}

/* Bounds of the float activation's errors at z; for the polynomial from all of its terms. */
static inline esc_eval_f64 activation_errors(const fixture *t, double z) {
  const esc_activation *a = &t->problem.activation;
  const esc_eval_f64 e = evaluate_double(t, z);
  const double size = fabs(z);
  double terms = 0;
  if (a->kind != ESC_ACTIVATION_POLYNOMIAL) {
    const double wide = function_error * (1 + size);
    const bool cancels = a->kind == ESC_ACTIVATION_SIN && size > 0.5;
    const double deficit = cancels ? fabs(e.value) + fabs(z * e.derivative) : fabs(e.deficit);
    return (esc_eval_f64){size <= 1 ? function_error * fabs(e.value) : wide, wide,
                          2e-6 * deficit + underflow_error};
  }
  for (int k = 0; k < a->terms; k++)
    terms += (1 + k) * fabs(a->coefficient[k]) * pow(fmax(size, 1), k);
  return (esc_eval_f64){function_error * terms, function_error * terms, function_error * terms};
}

/* sigma(z) of a z with an error. Twice the derivative, because it may grow within that error. */
static inline bounded activate_bounded(const fixture *t, bounded z) {
  const esc_eval_f64 e = evaluate_double(t, z.value);
  return (bounded){e.value,
                   activation_errors(t, z.value).value + z.error * (1 + 2 * fabs(e.derivative))};
}

/* Roundings in a dot product of n entries. */
static inline double dot_bound(int n) { return (n / ESC_PARTIALS + 6) * unit_roundoff; }

/* A float of the kernel against `want`, rounded to float. */
static inline void check_float(const fixture *t, const char *what, size_t index, float got,
                               bounded want, double slack) {
  const double rounded = (double)(float)want.value;
  fixture_check_close(t, what, index, (double)got, rounded,
                      slack * (want.error + 2 * unit_roundoff * fabs(rounded)));
}

static inline bool was_training(const fixture *t, int slot) {
  return esc_track_is_active(&t->chunk[BEFORE].track[slot]);
}
static inline bool is_updated(const fixture *t, int slot) {
  return t->chunk[BEFORE].update_mask[slot];
}

/* The two normals of a pair of words (normal.h): radius sqrt(-2 ln u). u is rounded, so radius^2
 * is off by 2 units; a small radius may be off by more than its size. */
static inline void check_pair(const fixture *t, uint32_t radius, uint32_t angle, size_t index,
                              int count) {
  const double square = -2 * log((radius + 0.5) * 0x1p-32), r = sqrt(square);
  const double turn = 2 * pi * (angle + 0.5) * 0x1p-32;
  const double off = 4 * unit_roundoff, small = r > 0 ? fmin(off / r, sqrt(off)) : sqrt(off);
  const double allowed = small + function_error * r;
  if (count > 0)
    fixture_check_close(t, "x", index, (double)t->chunk[GOT].x[index], r * sin(turn), allowed);
  if (count > 1)
    fixture_check_close(t, "x", index + 1, (double)t->chunk[GOT].x[index + 1], r * cos(turn),
                        allowed);
}

/* Normals of one sample from the words of Philox; integers are not possible here. */
static inline void check_sample(const fixture *t, int slot, int b) {
  const int d = t->set.inputs, blocks = (d + 3) / 4;
  const esc_chunk *chunk = &t->chunk[BEFORE];
  for (int j = 0; j < blocks; j++) {
    const uint32_t block = (uint32_t)(b * blocks + j);
    const esc_u32x4 word = esc_philox4x32_10(
        esc_philox_counter(ESC_DOMAIN_DATA, (uint64_t)chunk->track[slot].step, 0, block),
        esc_philox_key(chunk->seed[slot]));
    const size_t index = sample_index(t, slot, b) * (size_t)d + (size_t)(4 * j);
    check_pair(t, word.v[0], word.v[1], index, d - 4 * j);
    check_pair(t, word.v[2], word.v[3], index + 2, d - 4 * j - 2);
  }
}

static void inputs_check_double(const fixture *t, int l, double slack) {
  (void)l;
  (void)slack;
  for (int i = 0; i < t->set.slots; i++)
    for (int b = 0; was_training(t, i) && b < t->set.batch; b++) check_sample(t, i, b);
}

static inline void check_value(const fixture *t, size_t index, double slack) {
  const bounded z = {(double)t->chunk[BEFORE].z[index], 0};
  check_float(t, "h", index, t->chunk[GOT].h[index], activate_bounded(t, z), slack);
}

static void activate_check_double(const fixture *t, int l, double slack) {
  for (size_t index = row_index(t, l, 0, 0); index < row_index(t, l + 1, 0, 0); index++)
    check_value(t, index, slack);
}

static inline bounded projection(const fixture *t, const float *x, int mode) {
  const float *v = t->p.direction + (size_t)mode * (size_t)t->set.inputs;
  double sum = 0, size = 0;
  if (!t->set.random_directions) return (bounded){(double)x[mode], 0};
  for (int i = 0; i < t->set.inputs; i++) {
    sum += (double)v[i] * (double)x[i];
    size += fabs((double)v[i] * (double)x[i]);
  }
  return (bounded){sum, size * dot_bound(t->set.inputs)};
}

static inline bounded target_bounded(const fixture *t, const float *x) {
  bounded sum = {0, 0};
  double size = 0;
  for (int k = 0; k < t->problem.teacher.modes; k++) {
    const double a = t->problem.teacher.amplitude[k];
    const bounded e = activate_bounded(t, projection(t, x, k));
    sum.value += a * e.value;
    sum.error += fabs(a) * e.error;
    size += fabs(a * e.value);
  }
  sum.error += size * unit_roundoff * (t->problem.teacher.modes + 2);
  return sum;
}

/* f of a sample; checks h on the way. */
static inline bounded output_bounded(const fixture *t, int slot, int b, double slack) {
  const int top = t->set.layers - 2;
  const float *w = t->chunk[BEFORE].w + weight_index(t, slot, top + 1);
  bounded sum = {0, 0};
  double size = 0;
  for (int n = 0; n < t->set.width; n++) {
    const size_t index = row_index(t, top, slot, b) + (size_t)n;
    const bounded z = {(double)t->chunk[BEFORE].z[index], 0}, h = activate_bounded(t, z);
    check_value(t, index, slack);
    sum.value += (double)w[n] * h.value;
    sum.error += fabs((double)w[n]) * h.error;
    size += fabs((double)w[n] * h.value);
  }
  sum.error += size * dot_bound(t->set.width);
  return sum;
}

/* The loss of a sample; checks its derivative on the way. No loss has a second derivative above
 * 1. */
static inline bounded sample_bounded(const fixture *t, int slot, int b, double slack) {
  const size_t index = sample_index(t, slot, b);
  const bounded f = output_bounded(t, slot, b, slack);
  const bounded target = target_bounded(t, t->chunk[BEFORE].x + index * (size_t)t->set.inputs);
  const esc_loss_f64 e =
      esc_loss_eval_f64(t->problem.loss, t->problem.huber_delta, f.value, target.value);
  const double off = f.error + target.error + unit_roundoff * (fabs(f.value) + fabs(target.value)) +
                     underflow_error;
  const bounded dloss = {e.derivative / t->set.batch,
                         (off + function_error * fabs(e.derivative)) / t->set.batch};
  check_float(t, "dloss", index, t->chunk[GOT].dloss[index], dloss, slack);
  return (bounded){e.value, off * (fabs(e.derivative) + off) + function_error * e.value};
}

/* The events of a step, from the moving average of the kernel. */
static inline void check_events(const fixture *t, int slot) {
  const esc_track *got = &t->chunk[GOT].track[slot], *was = &t->chunk[BEFORE].track[slot];
  bool all = true;
  for (int k = 0; k < t->problem.thresholds; k++) {
    const bool crossed = was->escape_step[k] < 0 && got->smoothed < t->problem.threshold[k];
    if (got->escape_step[k] != (crossed ? was->step : was->escape_step[k]))
      fixture_fail(t, "escape_step of track", (size_t)slot);
    all = all && got->escape_step[k] >= 0;
  }
  if (got->finished != all || t->chunk[GOT].update_mask[slot] != !all || got->step != was->step)
    fixture_fail(t, "end of track", (size_t)slot);
  if (all && got->status != ESC_MEMBER_ESCAPED) fixture_fail(t, "status of track", (size_t)slot);
}

static void output_check_double(const fixture *t, int l, double slack) {
  (void)l;
  for (int i = 0; i < t->set.slots; i++) {
    const esc_track *got = &t->chunk[GOT].track[i], *was = &t->chunk[BEFORE].track[i];
    double sum = 0, off = 0;
    if (!was_training(t, i)) continue;
    for (int b = 0; b < t->set.batch; b++) {
      const bounded loss = sample_bounded(t, i, b, slack);
      sum += loss.value;
      off += loss.error;
    }
    const double loss = sum / t->set.batch, phi = was->step == 0 ? 0 : t->problem.smoothing;
    const double allowed = slack * (off / t->set.batch + 1e-14 * loss);
    fixture_check_close(t, "loss of track", (size_t)i, got->loss, loss, allowed);
    fixture_check_close(t, "average of track", (size_t)i, got->smoothed,
                        phi * was->smoothed + (1 - phi) * loss,
                        allowed + slack * 1e-14 * was->smoothed);
    check_events(t, i);
  }
}

static inline void check_gradient(const fixture *t, int slot, int n, double slack) {
  const int top = t->set.layers - 2, batch = t->set.batch;
  const int terms = min_int(batch, ESC_ACCUMULATION_BLOCK) / esc_gradient_slices(t->set.width);
  const size_t index = weight_index(t, slot, top + 1) + (size_t)n;
  double sum = 0, size = 0;
  for (int b = 0; b < batch; b++) {
    const double term = (double)t->chunk[BEFORE].dloss[sample_index(t, slot, b)] *
                        (double)t->chunk[BEFORE].h[row_index(t, top, slot, b) + (size_t)n];
    sum += term;
    size += fabs(term);
  }
  check_float(t, "g", index, t->chunk[GOT].g[index],
              (bounded){sum, size * (terms + 6) * unit_roundoff}, slack);
}

static void output_gradient_check_double(const fixture *t, int l, double slack) {
  (void)l;
  for (int i = 0; i < t->set.slots; i++)
    for (int n = 0; is_updated(t, i) && n < t->set.width; n++) check_gradient(t, i, n, slack);
}

/* u kappa(z) of one element; checks its delta on the way. */
static inline bounded element_bounded(const fixture *t, int l, int slot, int b, int n,
                                      double slack) {
  const esc_chunk *was = &t->chunk[BEFORE];
  const int top = t->set.layers - 2;
  const size_t index = row_index(t, 0, slot, b) + (size_t)n;
  const double z = (double)was->z[row_index(t, l, slot, b) + (size_t)n];
  const double u = l < top ? (double)was->u[index]
                           : (double)was->dloss[sample_index(t, slot, b)] *
                                 (double)was->w[weight_index(t, slot, top + 1) + (size_t)n];
  const esc_eval_f64 e = evaluate_double(t, z), off = activation_errors(t, z);
  const bounded delta = {
      u * e.derivative,
      fabs(u) * (off.derivative + 2 * unit_roundoff * fabs(e.derivative)) + underflow_error};
  check_float(t, "delta", index, t->chunk[GOT].delta[index], delta, slack);
  return (bounded){u * e.deficit,
                   fabs(u) * (off.deficit + unit_roundoff * fabs(e.deficit)) + underflow_error};
}

static inline void check_tile(const fixture *t, int l, int slot, int tile, double slack) {
  const int first = tile * ESC_TILE, samples = min_int(ESC_TILE, t->set.batch - first);
  const size_t index = tile_index(t, slot, l, tile);
  double sum = 0, allowed = 0;
  for (int b = first; b < first + samples; b++)
    for (int n = 0; n < t->set.width; n++) {
      const bounded term = element_bounded(t, l, slot, b, n, slack);
      sum += term.value;
      allowed += term.error + fabs(term.value) * dot_bound(samples);
    }
  fixture_check_close(t, "tile_deficit", index, t->chunk[GOT].tile_deficit[index], sum,
                      slack * allowed);
}

static void delta_check_double(const fixture *t, int l, double slack) {
  for (int i = 0; i < t->set.slots; i++)
    for (int tile = 0; is_updated(t, i) && tile < tile_count(t); tile++)
      check_tile(t, l, i, tile, slack);
}

/* One weight. With compensation only the step itself is rounded. */
static inline void check_weight(const fixture *t, size_t index, double rate, double slack) {
  const esc_chunk *was = &t->chunk[BEFORE], *got = &t->chunk[GOT];
  const double compensation = was->compensation ? (double)was->compensation[index] : 0;
  const double step = compensation - rate * (double)was->g[index],
               want = (double)was->w[index] + step;
  const double sum =
      (double)got->w[index] + (got->compensation ? (double)got->compensation[index] : 0);
  const double rounded = got->compensation ? step : want;
  fixture_check_close(t, "w", index, sum, want,
                      slack * (unit_roundoff * fabs(rounded) + 1e-15 * fabs(want)));
}

/* Whether the update of a weight vanishes in rounding; the fixture's data are far from the
 * boundary. */
static inline bool is_rounded_away(const fixture *t, size_t index, double rate) {
  const esc_chunk *was = &t->chunk[BEFORE];
  const double beside = (double)(was->compensation ? was->compensation[index] : was->w[index]);
  return was->g[index] != 0 &&
         rate * fabs((double)was->g[index]) < 0.25 * unit_roundoff * fabs(beside);
}

static inline void check_layer(const fixture *t, int slot, int l, double slack) {
  const size_t from = weight_index(t, slot, l), out = layer_index(t, slot, l);
  const size_t count = weight_index(t, slot, l + 1) - from;
  const double rate = (double)t->p.rate[l];
  double sum = 0;
  int nonzero = 0, rounded_away = 0;
  for (size_t index = from; index < from + count; index++) {
    const double g = (double)t->chunk[BEFORE].g[index];
    sum += g * g;
    nonzero += g != 0;
    rounded_away += is_rounded_away(t, index, rate);
    check_weight(t, index, rate, slack);
  }
  fixture_check_close(t, "grad_norm_sq", out, t->chunk[GOT].grad_norm_sq[out], sum,
                      slack * 1e-13 * sum);
  fixture_check_close(t, "nonzero_updates", out, t->chunk[GOT].nonzero_updates[out], nonzero, 0);
  fixture_check_close(t, "rounded_away", out, t->chunk[GOT].rounded_away[out], rounded_away, 0);
}

static void update_check_double(const fixture *t, int layer, double slack) {
  (void)layer;
  for (int i = 0; i < t->set.slots; i++)
    for (int l = 0; is_updated(t, i) && l < t->set.layers; l++) check_layer(t, i, l, slack);
}

/* The direction of a step by the definitions of docs/theory, section 1.7, and the moments it
 * leaves in v and r. */
static inline double direction_double(const fixture *t, int l, size_t i, double *v, double *r) {
  const esc_optimizer *o = &t->problem.optimizer;
  const esc_chunk *was = &t->chunk[BEFORE];
  const int slot = (int)(i / was->weight_stride);
  const double w = (double)was->w[i], updates = (double)was->track[slot].step + 1;
  const double outside = o->decoupled ? o->weight_decay * w / esc_metric_gamma(&t->problem, l) : 0;
  const double d = (double)was->g[i] + (o->decoupled ? 0 : o->weight_decay * w);
  *v = was->velocity ? (double)was->velocity[i] : 0;
  *r = was->second_moment ? (double)was->second_moment[i] : 0;
  if (o->kind == ESC_OPTIMIZER_ADAM) {
    *v = o->adam_beta1 * *v + (1 - o->adam_beta1) * d;
    *r = o->adam_beta2 * *r + (1 - o->adam_beta2) * d * d;
    return *v / (1 - pow(o->adam_beta1, updates)) /
               (sqrt(*r / (1 - pow(o->adam_beta2, updates))) + o->adam_epsilon) +
           outside;
  }
  *v = o->momentum * *v + d;
  return (o->nesterov ? d + o->momentum * *v : *v) + outside;
}

/* Few roundings of float, of which one is of a weight or moment; Adam's quotient has more. */
static inline void check_direction(const fixture *t, int l, size_t i, double slack) {
  const esc_chunk *was = &t->chunk[BEFORE], *got = &t->chunk[GOT];
  double v, r;
  const double e = direction_double(t, l, i, &v, &r);
  const double before = was->velocity ? fabs((double)was->velocity[i]) : 0;
  const double decay = t->problem.optimizer.weight_decay / esc_metric_gamma(&t->problem, l);
  const double size = fabs((double)was->g[i]) + (1 + decay) * fabs((double)was->w[i]) + before;
  const double allowed = slack * 4 * unit_roundoff * size;
  const bool adam = was->second_moment != NULL;
  fixture_check_close(t, "g", i, (double)got->g[i], e,
                      adam ? 32 * unit_roundoff * fabs(e) + allowed : allowed);
  if (got->velocity) fixture_check_close(t, "velocity", i, (double)got->velocity[i], v, allowed);
  if (adam)
    fixture_check_close(t, "second_moment", i, (double)got->second_moment[i], r,
                        8 * unit_roundoff * r + 1e-45);
}

static inline void check_optimized_layer(const fixture *t, int slot, int l, double slack) {
  const size_t from = weight_index(t, slot, l), out = layer_index(t, slot, l);
  const esc_chunk *got = &t->chunk[GOT];
  double product = 0, size = 0, norm = 0;
  for (size_t i = from; i < weight_index(t, slot, l + 1); i++) {
    const double w = (double)t->chunk[BEFORE].w[i];
    const double term = got->velocity ? (double)got->g[i] * (double)got->velocity[i] : 0;
    check_direction(t, l, i, slack);
    product += term;
    size += fabs(term);
    norm += w * w;
  }
  fixture_check_close(t, "velocity_product", out, got->velocity_product[out], product,
                      slack * 1e-13 * size);
  fixture_check_close(t, "weight_norm_sq", out, got->weight_norm_sq[out], norm,
                      slack * 1e-13 * norm);
}

static void optimize_check_double(const fixture *t, int layer, double slack) {
  (void)layer;
  for (int i = 0; i < t->set.slots; i++)
    for (int l = 0; is_updated(t, i) && l < t->set.layers; l++)
      check_optimized_layer(t, i, l, slack);
}

/* A difference over interface l of an array over layers, each element times gamma^power. */
static inline double interface_difference(const fixture *t, const double *layer, int l, int power) {
  return layer[l + 1] * pow(esc_metric_gamma(&t->problem, l + 1), power) -
         layer[l] * pow(esc_metric_gamma(&t->problem, l), power);
}

/* The right side of docs/theory, section 1.7, for one interface: <W, E> and <W', V'>. */
static inline void check_optimized_interface(const fixture *t, int slot, int l, double slack) {
  const esc_optimizer *o = &t->problem.optimizer;
  const esc_chunk *was = &t->chunk[BEFORE];
  const esc_track *got = &t->chunk[GOT].track[slot], *before = &was->track[slot];
  const size_t row = layer_index(t, slot, 0);
  const double rate = (double)(float)t->problem.rate, beta = o->momentum;
  const double *e2 = was->grad_norm_sq + row, *w2 = was->weight_norm_sq + row;
  double wd = 0, size = 0;
  for (int k = 0; k < tile_count(t); k++) wd += was->tile_deficit[tile_index(t, slot, l, k)];
  size = fabs(wd) + fabs(before->product[l]) + w2[l] + w2[l + 1] + e2[l] + e2[l + 1] + 3;
  if (!o->decoupled) wd += o->weight_decay * interface_difference(t, w2, l, 0);
  const double wv = beta * before->product[l] + wd;
  const double we = (o->nesterov ? wd + beta * wv : wv) +
                    (o->decoupled ? o->weight_decay * interface_difference(t, w2, l, -1) : 0);
  const double change = -2 * rate * we + rate * rate * interface_difference(t, e2, l, 1);
  const double allowed = slack * 1e-13 * t->set.width * (size + esc_sum_get(&before->drift[l]));
  fixture_check_close(t, "ledger of track", (size_t)slot, esc_sum_get(&got->ledger[l]),
                      esc_sum_get(&before->ledger[l]) + change, allowed);
  const double *ev = was->velocity_product + row;
  if (beta != 0)
    fixture_check_close(t, "product of track", (size_t)slot, got->product[l],
                        wv - rate * interface_difference(t, ev, l, 1), allowed);
}

/* The right side of docs/theory, section 1.4, for one interface. */
static inline void check_interface(const fixture *t, int slot, int l, double slack) {
  const esc_track *got = &t->chunk[GOT].track[slot], *was = &t->chunk[BEFORE].track[slot];
  const double *g2 = t->chunk[BEFORE].grad_norm_sq + layer_index(t, slot, 0);
  const double rate = (double)(float)t->problem.rate;
  double mean = 0, size = 0;
  for (int k = 0; k < tile_count(t); k++) {
    mean += t->chunk[BEFORE].tile_deficit[tile_index(t, slot, l, k)];
    size += fabs(t->chunk[BEFORE].tile_deficit[tile_index(t, slot, l, k)]);
  }
  const double above = rate * rate * esc_metric_gamma(&t->problem, l + 1) * g2[l + 1];
  const double below = rate * rate * esc_metric_gamma(&t->problem, l) * g2[l];
  const double terms = fabs(2 * rate * mean) + above + below;
  const double allowed = slack * 1e-14 * (terms + size + esc_sum_get(&was->drift[l]) + 3);
  fixture_check_close(t, "deficit", layer_index(t, slot, l),
                      t->chunk[GOT].deficit[layer_index(t, slot, l)], mean, allowed);
  fixture_check_close(t, "ledger of track", (size_t)slot, esc_sum_get(&got->ledger[l]),
                      esc_sum_get(&was->ledger[l]) - 2 * rate * mean + (above - below), allowed);
  fixture_check_close(t, "drift of track", (size_t)slot, esc_sum_get(&got->drift[l]),
                      esc_sum_get(&was->drift[l]) + terms, allowed);
}

static inline void check_counts(const fixture *t, int slot) {
  const esc_track *got = &t->chunk[GOT].track[slot], *was = &t->chunk[BEFORE].track[slot];
  int64_t nonzero = was->nonzero_updates, rounded_away = was->rounded_away;
  for (int l = 0; l < t->set.layers; l++) {
    nonzero += t->chunk[BEFORE].nonzero_updates[layer_index(t, slot, l)];
    rounded_away += t->chunk[BEFORE].rounded_away[layer_index(t, slot, l)];
  }
  const bool spent = was->step + 1 == t->problem.steps;
  if (got->nonzero_updates != nonzero || got->rounded_away != rounded_away)
    fixture_fail(t, "counts of track", (size_t)slot);
  if (got->step != was->step + 1) fixture_fail(t, "step of track", (size_t)slot);
  if (got->finished != spent || (spent && got->status != ESC_MEMBER_CENSORED))
    fixture_fail(t, "end of track", (size_t)slot);
}

static void ledger_check_double(const fixture *t, int layer, double slack) {
  (void)layer;
  for (int i = 0; i < t->set.slots; i++) {
    const esc_track *got = &t->chunk[GOT].track[i], *was = &t->chunk[BEFORE].track[i];
    if (!is_updated(t, i)) continue;
    check_counts(t, i);
    if (!t->rules.has_ledger) continue;
    for (int l = 0; l < t->set.layers - 1; l++)
      if (t->rules.optimized)
        check_optimized_interface(t, i, l, slack);
      else
        check_interface(t, i, l, slack);
    for (int l = 0; l < t->set.layers; l++) {
      const double size = sqrt(t->chunk[BEFORE].grad_norm_sq[layer_index(t, i, l)]);
      const double path = was->path[l] + 2 * (double)(float)t->problem.rate * size;
      fixture_check_close(t, "path of track", (size_t)i, got->path[l], path, slack * 1e-15 * path);
    }
  }
}

#endif
