/* SPDX-License-Identifier: Apache-2.0 */
/* What came back from a kernel against the same mathematics in double, without
 * order.h and without float's functions.
 *
 * What is allowed is a bound, not a guess: a chain of n fused operations followed by
 * a few more is off by (n + few) units of rounding of the sum of its terms' sizes;
 * activations and losses by what test_activation and test_loss hold them to; and
 * errors of what went before are carried along. On small integers nothing rounds:
 * there the result is to be exact, but for the quotient by B (`slack` is 0). */
#ifndef ESC_KERNEL_DOUBLE_H
#define ESC_KERNEL_DOUBLE_H

#include "kernel_twin.h"

static const double pi = 3.14159265358979323846;
static const double unit = 0x1p-24;           /* of float's rounding */
static const double few_ulp = 4 * 0x1p-23;    /* test_activation, test_loss */
static const double flushed = 900 * 0x1p-126; /* exp may flush what z^2 <= 900 multiplies */

/* A value, and how far from it a computation in float may be. */
typedef struct bounded {
  double value, error;
} bounded;

static inline esc_eval_f64 evaluate_double(const scene *t, double z) {
  return esc_activate_f64(&t->problem.activation, z);
}

/* Bounds of the float activation's errors at z. The polynomial's: all of its terms. */
static inline esc_eval_f64 activation_errors(const scene *t, double z) {
  const esc_activation *a = &t->problem.activation;
  const esc_eval_f64 e = evaluate_double(t, z);
  const double size = fabs(z);
  double terms = 0;
  if (a->kind != ESC_ACTIVATION_POLYNOMIAL) {
    const double wide = few_ulp * (1 + size);
    const bool cancels = a->kind == ESC_ACTIVATION_SIN && size > 0.5;
    const double deficit = cancels ? fabs(e.value) + fabs(z * e.derivative) : fabs(e.deficit);
    return (esc_eval_f64){size <= 1 ? few_ulp * fabs(e.value) : wide, wide,
                          2e-6 * deficit + flushed};
  }
  for (int k = 0; k < a->terms; k++)
    terms += (1 + k) * fabs(a->coefficient[k]) * pow(fmax(size, 1), k);
  return (esc_eval_f64){few_ulp * terms, few_ulp * terms, few_ulp * terms};
}

/* sigma(z) for a z that is itself off. Twice the slope: it may grow within the error. */
static inline bounded activated(const scene *t, bounded z) {
  const esc_eval_f64 e = evaluate_double(t, z.value);
  return (bounded){e.value,
                   activation_errors(t, z.value).value + z.error * (1 + 2 * fabs(e.derivative))};
}

/* Roundings in a dot product of n entries. */
static inline double dot_bound(int n) { return (n / ESC_PARTIALS + 6) * unit; }

/* A float that came back, against `want` rounded to float. */
static inline void close_float(const scene *t, const char *what, size_t index, float got,
                               bounded want, double slack) {
  const double rounded = (double)(float)want.value;
  scene_close(t, what, index, (double)got, rounded,
              slack * (want.error + 2 * unit * fabs(rounded)));
}

static inline bool began(const scene *t, int slot) {
  return !t->chunk[BEFORE].track[slot].finished;
}
static inline bool goes(const scene *t, int slot) { return t->chunk[BEFORE].update_mask[slot]; }

/* The two normals of a pair of words (normal.h): radius sqrt(-2 ln u). u is rounded,
 * so that radius^2 is off by 2 units, and that of a small radius may be off by more
 * than itself. */
static inline void close_pair(const scene *t, uint32_t radius, uint32_t angle, size_t at,
                              int count) {
  const double square = -2 * log((radius + 0.5) * 0x1p-32), r = sqrt(square);
  const double turn = 2 * pi * (angle + 0.5) * 0x1p-32;
  const double off = 4 * unit, small = r > 0 ? fmin(off / r, sqrt(off)) : sqrt(off);
  const double allowed = small + few_ulp * r;
  if (count > 0) scene_close(t, "x", at, (double)t->chunk[GOT].x[at], r * sin(turn), allowed);
  if (count > 1)
    scene_close(t, "x", at + 1, (double)t->chunk[GOT].x[at + 1], r * cos(turn), allowed);
}

/* Normals of one sample from the words of Philox; there are no integers among them. */
static inline void close_sample(const scene *t, int slot, int b) {
  const int d = t->set.inputs, blocks = (d + 3) / 4;
  const esc_chunk *chunk = &t->chunk[BEFORE];
  for (int j = 0; j < blocks; j++) {
    const uint32_t block = (uint32_t)(b * blocks + j);
    const esc_u32x4 word = esc_philox4x32_10(
        esc_philox_counter(ESC_DOMAIN_DATA, (uint64_t)chunk->track[slot].step, 0, block),
        esc_philox_key(chunk->seed[slot]));
    const size_t at = sample_at(t, slot, b) * (size_t)d + (size_t)(4 * j);
    close_pair(t, word.v[0], word.v[1], at, d - 4 * j);
    close_pair(t, word.v[2], word.v[3], at + 2, d - 4 * j - 2);
  }
}

static void inputs_double(const scene *t, int l, double slack) {
  (void)l;
  (void)slack;
  for (int i = 0; i < t->set.slots; i++)
    for (int b = 0; began(t, i) && b < t->set.batch; b++) close_sample(t, i, b);
}

static inline void close_value(const scene *t, size_t at, double slack) {
  const bounded z = {(double)t->chunk[BEFORE].z[at], 0};
  close_float(t, "h", at, t->chunk[GOT].h[at], activated(t, z), slack);
}

static void activate_double(const scene *t, int l, double slack) {
  for (size_t at = row_at(t, l, 0, 0); at < row_at(t, l + 1, 0, 0); at++) close_value(t, at, slack);
}

static inline bounded projection(const scene *t, const float *x, int mode) {
  const float *v = t->p.direction + (size_t)mode * (size_t)t->set.inputs;
  double sum = 0, size = 0;
  if (!t->set.random_directions) return (bounded){(double)x[mode], 0};
  for (int i = 0; i < t->set.inputs; i++) {
    sum += (double)v[i] * (double)x[i];
    size += fabs((double)v[i] * (double)x[i]);
  }
  return (bounded){sum, size * dot_bound(t->set.inputs)};
}

static inline bounded target_bounded(const scene *t, const float *x) {
  bounded sum = {0, 0};
  double size = 0;
  for (int k = 0; k < t->problem.teacher.modes; k++) {
    const double a = t->problem.teacher.amplitude[k];
    const bounded e = activated(t, projection(t, x, k));
    sum.value += a * e.value;
    sum.error += fabs(a) * e.error;
    size += fabs(a * e.value);
  }
  sum.error += size * unit * (t->problem.teacher.modes + 2);
  return sum;
}

/* f of a sample, whose h is compared on the way. */
static inline bounded output_bounded(const scene *t, int slot, int b, double slack) {
  const int top = t->set.layers - 2;
  const float *w = t->chunk[BEFORE].w + weight_at(t, slot, top + 1);
  bounded sum = {0, 0};
  double size = 0;
  for (int n = 0; n < t->set.width; n++) {
    const size_t at = row_at(t, top, slot, b) + (size_t)n;
    const bounded z = {(double)t->chunk[BEFORE].z[at], 0}, h = activated(t, z);
    close_value(t, at, slack);
    sum.value += (double)w[n] * h.value;
    sum.error += fabs((double)w[n]) * h.error;
    size += fabs((double)w[n] * h.value);
  }
  sum.error += size * dot_bound(t->set.width);
  return sum;
}

/* The loss of a sample; its dloss is compared on the way. No loss bends more than 1. */
static inline bounded sample_bounded(const scene *t, int slot, int b, double slack) {
  const size_t at = sample_at(t, slot, b);
  const bounded f = output_bounded(t, slot, b, slack);
  const bounded target = target_bounded(t, t->chunk[BEFORE].x + at * (size_t)t->set.inputs);
  const esc_loss_f64 e =
      esc_loss_eval_f64(t->problem.loss, t->problem.huber_delta, f.value, target.value);
  const double off = f.error + target.error + unit * (fabs(f.value) + fabs(target.value)) + flushed;
  const bounded dloss = {e.derivative / t->set.batch,
                         (off + few_ulp * fabs(e.derivative)) / t->set.batch};
  close_float(t, "dloss", at, t->chunk[GOT].dloss[at], dloss, slack);
  return (bounded){e.value, off * (fabs(e.derivative) + off) + few_ulp * e.value};
}

/* The events of a step, from the moving average that was found. */
static inline void close_events(const scene *t, int slot) {
  const esc_track *got = &t->chunk[GOT].track[slot], *was = &t->chunk[BEFORE].track[slot];
  bool all = true;
  for (int k = 0; k < t->problem.thresholds; k++) {
    const bool crossed = was->escape_step[k] < 0 && got->smoothed < t->problem.threshold[k];
    if (got->escape_step[k] != (crossed ? was->step : was->escape_step[k]))
      scene_fail(t, "escape_step of track", (size_t)slot);
    all = all && got->escape_step[k] >= 0;
  }
  if (got->finished != all || t->chunk[GOT].update_mask[slot] != !all || got->step != was->step)
    scene_fail(t, "end of track", (size_t)slot);
  if (all && got->status != ESC_MEMBER_ESCAPED) scene_fail(t, "status of track", (size_t)slot);
}

static void output_double(const scene *t, int l, double slack) {
  (void)l;
  for (int i = 0; i < t->set.slots; i++) {
    const esc_track *got = &t->chunk[GOT].track[i], *was = &t->chunk[BEFORE].track[i];
    double sum = 0, off = 0;
    if (!began(t, i)) continue;
    for (int b = 0; b < t->set.batch; b++) {
      const bounded loss = sample_bounded(t, i, b, slack);
      sum += loss.value;
      off += loss.error;
    }
    const double loss = sum / t->set.batch, phi = was->step == 0 ? 0 : t->problem.smoothing;
    const double allowed = slack * (off / t->set.batch + 1e-14 * loss);
    scene_close(t, "loss of track", (size_t)i, got->loss, loss, allowed);
    scene_close(t, "average of track", (size_t)i, got->smoothed,
                phi * was->smoothed + (1 - phi) * loss, allowed + slack * 1e-14 * was->smoothed);
    close_events(t, i);
  }
}

static inline void close_gradient(const scene *t, int slot, int n, double slack) {
  const int top = t->set.layers - 2, batch = t->set.batch;
  const int terms = smaller(batch, ESC_ACCUMULATION_BLOCK) / esc_gradient_slices(t->set.width);
  const size_t at = weight_at(t, slot, top + 1) + (size_t)n;
  double sum = 0, size = 0;
  for (int b = 0; b < batch; b++) {
    const double term = (double)t->chunk[BEFORE].dloss[sample_at(t, slot, b)] *
                        (double)t->chunk[BEFORE].h[row_at(t, top, slot, b) + (size_t)n];
    sum += term;
    size += fabs(term);
  }
  close_float(t, "g", at, t->chunk[GOT].g[at], (bounded){sum, size * (terms + 6) * unit}, slack);
}

static void output_gradient_double(const scene *t, int l, double slack) {
  (void)l;
  for (int i = 0; i < t->set.slots; i++)
    for (int n = 0; goes(t, i) && n < t->set.width; n++) close_gradient(t, i, n, slack);
}

/* u kappa(z) of one element; its delta is compared on the way. */
static inline bounded element_bounded(const scene *t, int l, int slot, int b, int n, double slack) {
  const esc_chunk *was = &t->chunk[BEFORE];
  const int top = t->set.layers - 2;
  const size_t at = row_at(t, 0, slot, b) + (size_t)n;
  const double z = (double)was->z[row_at(t, l, slot, b) + (size_t)n];
  const double u = l < top ? (double)was->u[at]
                           : (double)was->dloss[sample_at(t, slot, b)] *
                                 (double)was->w[weight_at(t, slot, top + 1) + (size_t)n];
  const esc_eval_f64 e = evaluate_double(t, z), off = activation_errors(t, z);
  const bounded delta = {u * e.derivative,
                         fabs(u) * (off.derivative + 2 * unit * fabs(e.derivative)) + flushed};
  close_float(t, "delta", at, t->chunk[GOT].delta[at], delta, slack);
  return (bounded){u * e.deficit, fabs(u) * (off.deficit + unit * fabs(e.deficit)) + flushed};
}

static inline void close_tile(const scene *t, int l, int slot, int tile, double slack) {
  const int first = tile * ESC_TILE, samples = smaller(ESC_TILE, t->set.batch - first);
  const size_t at = tile_at(t, slot, l, tile);
  double sum = 0, allowed = 0;
  for (int b = first; b < first + samples; b++)
    for (int n = 0; n < t->set.width; n++) {
      const bounded term = element_bounded(t, l, slot, b, n, slack);
      sum += term.value;
      allowed += term.error + fabs(term.value) * dot_bound(samples);
    }
  scene_close(t, "tile", at, t->chunk[GOT].tile[at], sum, slack * allowed);
}

static void delta_double(const scene *t, int l, double slack) {
  for (int i = 0; i < t->set.slots; i++)
    for (int tile = 0; goes(t, i) && tile < tiles_of(t); tile++) close_tile(t, l, i, tile, slack);
}

/* One weight. With compensation only the step itself is rounded. */
static inline void close_weight(const scene *t, size_t at, double rate, double slack) {
  const esc_chunk *was = &t->chunk[BEFORE], *got = &t->chunk[GOT];
  const double compensation = was->compensation ? (double)was->compensation[at] : 0;
  const double step = compensation - rate * (double)was->g[at], want = (double)was->w[at] + step;
  const double sum = (double)got->w[at] + (got->compensation ? (double)got->compensation[at] : 0);
  const double rounded = got->compensation ? step : want;
  scene_close(t, "w", at, sum, want, slack * (unit * fabs(rounded) + 1e-15 * fabs(want)));
}

/* Whether the update of a weight is too small to be seen: the data leave no doubt. */
static inline bool vanishes(const scene *t, size_t at, double rate) {
  const esc_chunk *was = &t->chunk[BEFORE];
  const double beside = (double)(was->compensation ? was->compensation[at] : was->w[at]);
  return was->g[at] != 0 && rate * fabs((double)was->g[at]) < 0.25 * unit * fabs(beside);
}

static inline void close_layer(const scene *t, int slot, int l, double slack) {
  const size_t from = weight_at(t, slot, l), out = layer_at(t, slot, l);
  const size_t count = weight_at(t, slot, l + 1) - from;
  const double rate = (double)t->p.rate[l];
  double sum = 0;
  int nonzero = 0, rounded_away = 0;
  for (size_t at = from; at < from + count; at++) {
    const double g = (double)t->chunk[BEFORE].g[at];
    sum += g * g;
    nonzero += g != 0;
    rounded_away += vanishes(t, at, rate);
    close_weight(t, at, rate, slack);
  }
  scene_close(t, "grad_norm_sq", out, t->chunk[GOT].grad_norm_sq[out], sum, slack * 1e-13 * sum);
  scene_close(t, "nonzero_updates", out, t->chunk[GOT].nonzero_updates[out], nonzero, 0);
  scene_close(t, "rounded_away", out, t->chunk[GOT].rounded_away[out], rounded_away, 0);
}

static void update_double(const scene *t, int layer, double slack) {
  (void)layer;
  for (int i = 0; i < t->set.slots; i++)
    for (int l = 0; goes(t, i) && l < t->set.layers; l++) close_layer(t, i, l, slack);
}

/* Identity 1.4 of one interface (track.h). */
static inline void close_interface(const scene *t, int slot, int l, double slack) {
  const esc_track *got = &t->chunk[GOT].track[slot], *was = &t->chunk[BEFORE].track[slot];
  const double *g2 = t->chunk[BEFORE].grad_norm_sq + layer_at(t, slot, 0);
  const double rate = (double)(float)t->problem.rate;
  double mean = 0, size = 0;
  for (int k = 0; k < tiles_of(t); k++) {
    mean += t->chunk[BEFORE].tile[tile_at(t, slot, l, k)];
    size += fabs(t->chunk[BEFORE].tile[tile_at(t, slot, l, k)]);
  }
  const double above = rate * rate * esc_metric_gamma(&t->problem, l + 1) * g2[l + 1];
  const double below = rate * rate * esc_metric_gamma(&t->problem, l) * g2[l];
  const double terms = fabs(2 * rate * mean) + above + below;
  const double allowed = slack * 1e-14 * (terms + size + esc_sum_get(&was->drift[l]) + 3);
  scene_close(t, "deficit", layer_at(t, slot, l), t->chunk[GOT].deficit[layer_at(t, slot, l)], mean,
              allowed);
  scene_close(t, "ledger of track", (size_t)slot, esc_sum_get(&got->ledger[l]),
              esc_sum_get(&was->ledger[l]) - 2 * rate * mean + (above - below), allowed);
  scene_close(t, "drift of track", (size_t)slot, esc_sum_get(&got->drift[l]),
              esc_sum_get(&was->drift[l]) + terms, allowed);
}

static inline void close_counts(const scene *t, int slot) {
  const esc_track *got = &t->chunk[GOT].track[slot], *was = &t->chunk[BEFORE].track[slot];
  int64_t nonzero = was->nonzero_updates, rounded_away = was->rounded_away;
  for (int l = 0; l < t->set.layers; l++) {
    nonzero += t->chunk[BEFORE].nonzero_updates[layer_at(t, slot, l)];
    rounded_away += t->chunk[BEFORE].rounded_away[layer_at(t, slot, l)];
  }
  const bool spent = was->step + 1 == t->problem.steps;
  if (got->nonzero_updates != nonzero || got->rounded_away != rounded_away)
    scene_fail(t, "counts of track", (size_t)slot);
  if (got->step != was->step + 1) scene_fail(t, "step of track", (size_t)slot);
  if (got->finished != spent || (spent && got->status != ESC_MEMBER_CENSORED))
    scene_fail(t, "end of track", (size_t)slot);
}

static void ledger_double(const scene *t, int layer, double slack) {
  (void)layer;
  for (int i = 0; i < t->set.slots; i++) {
    const esc_track *got = &t->chunk[GOT].track[i], *was = &t->chunk[BEFORE].track[i];
    if (!goes(t, i)) continue;
    close_counts(t, i);
    for (int l = 0; l < t->set.layers - 1; l++) close_interface(t, i, l, slack);
    for (int l = 0; l < t->set.layers; l++) {
      const double size = sqrt(t->chunk[BEFORE].grad_norm_sq[layer_at(t, i, l)]);
      const double path = was->path[l] + 2 * (double)(float)t->problem.rate * size;
      scene_close(t, "path of track", (size_t)i, got->path[l], path, slack * 1e-15 * path);
    }
  }
}

#endif
