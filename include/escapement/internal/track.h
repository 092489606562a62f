/* SPDX-License-Identifier: Apache-2.0 */
/* Escape events and imbalance ledger of a network: one implementation for all engines, on the host
 * and the device. */
#ifndef ESCAPEMENT_TRACK_H
#define ESCAPEMENT_TRACK_H

#include <math.h>

#include "escapement/internal/portable.h"
#include "escapement/internal/problem.h"
#include "escapement/internal/results.h"

/* Sum with Neumaier's correction: as if in twice the precision. */
typedef struct esc_sum {
  double value, correction;
} esc_sum;

ESC_SHARED void esc_sum_add(esc_sum *s, double x) {
  const double total = s->value + x;
  s->correction += fabs(s->value) >= fabs(x) ? (s->value - total) + x : (x - total) + s->value;
  s->value = total;
}

ESC_SHARED double esc_sum_get(const esc_sum *s) { return s->value + s->correction; }

/* Values of esc_track.finished. A paused network has crossed a threshold, but not the last one, and
 * makes no step until esc_track_continue. */
enum { ESC_TRACK_TRAINS, ESC_TRACK_FINISHED, ESC_TRACK_PAUSED };

/* Value of esc_track.status of a network that continues: its loss has been processed. */
enum { ESC_TRACK_CONTINUES = -1 };

/* Parameters of events and ledger, the same for all networks of a problem. */
typedef struct esc_track_rules {
  int layers, thresholds;
  bool pauses;      /* at each threshold */
  int64_t steps;    /* the budget */
  double smoothing; /* phi */
  double rate;      /* eta as the engine applies it */
  /* Of the optimizer, as the engine applies them. Decay is in the gradient (lambda), or outside it
   * (lambda / gamma_l: for each layer). */
  int32_t optimized, nesterov, has_ledger; /* optimized: not plain gradient descent */
  double momentum, decay, decoupled_decay;
  double threshold[ESC_THRESHOLDS_MAX];
  double gamma[ESC_LAYERS_MAX]; /* (layer) of the metric */
} esc_track_rules;

typedef struct esc_track {
  int64_t step;     /* updates made so far, so the index of the next minibatch */
  int32_t finished; /* ESC_TRACK_TRAINS, ... */
  int32_t status;   /* esc_member_status, once finished */
  double loss, smoothed;
  int64_t escape_step[ESC_THRESHOLDS_MAX];
  esc_sum ledger[ESC_LAYERS_MAX]; /* (interface) right side of docs/theory, section 1.4 */
  esc_sum drift[ESC_LAYERS_MAX];  /* (interface) its terms' absolute values */
  double path[ESC_LAYERS_MAX];    /* (layer) 2 eta |G_l| summed over steps */
  int64_t rounded_away;           /* weight updates that vanished in rounding */
  int64_t nonzero_updates;        /* weight updates with G != 0 */
  /* (interface) <W_{l+1}, V_{l+1}> - <W_l, V_l> of momentum. A state has it only with momentum, and
   * no field after it (state.h). */
  double product[ESC_LAYERS_MAX];
  int64_t step_limit; /* the network is not trained beyond this step until the limit is raised */
} esc_track;

/* Whether the network makes another step. */
ESC_SHARED bool esc_track_is_active(const esc_track *track) {
  return !track->finished && track->step < track->step_limit;
}

/* single: the engine applies rate, momentum and decay as floats. */
void esc_track_rules_init(esc_track_rules *rules, const esc_problem *problem, bool single);

/* At step 0, without a limit. */
void esc_track_start(esc_track *track);

ESC_SHARED void esc_track_finish(esc_track *track, esc_member_status status) {
  track->finished = ESC_TRACK_FINISHED;
  track->status = (int32_t)status;
}

/* Continues a paused network: its next step is the one at which it paused, with the same loss. */
ESC_SHARED void esc_track_continue(esc_track *track) {
  track->finished = ESC_TRACK_TRAINS;
  track->status = ESC_TRACK_CONTINUES;
}

/* Processes the minibatch loss of step track->step, before its update: advances the moving average
 * (m_0 = loss_0, m_t = phi m_{t-1} + (1-phi) loss_t), records first crossings, and finishes the
 * member when every threshold is crossed or the loss is not finite; with r->pauses, pauses it when
 * it crosses another one. True if the update is to be made. */
ESC_SHARED bool esc_track_loss(esc_track *track, const esc_track_rules *r, double loss) {
  const bool continues = track->status == ESC_TRACK_CONTINUES;
  track->loss = loss;
  if (continues) {
    track->status = 0;
    return true;
  }
  track->smoothed =
      track->step == 0 ? loss : r->smoothing * track->smoothed + (1 - r->smoothing) * loss;
  if (!(fabs(loss) <= 1.7976931348623157e308)) {
    esc_track_finish(track, ESC_MEMBER_DIVERGED);
    return false;
  }
  bool all = true, crossed = false;
  for (int i = 0; i < r->thresholds; i++) {
    if (track->escape_step[i] < 0 && track->smoothed < r->threshold[i]) {
      track->escape_step[i] = track->step;
      crossed = true;
    }
    all = all && track->escape_step[i] >= 0;
  }
  if (all) esc_track_finish(track, ESC_MEMBER_ESCAPED);
  if (!all && crossed && r->pauses) {
    track->finished = ESC_TRACK_PAUSED;
    return false;
  }
  return !all;
}

/* Adds the terms of one step to the ledger of interface l. */
ESC_SHARED void esc_track_add_terms(esc_track *track, int l, double flow, double above,
                                    double below) {
  esc_sum_add(&track->ledger[l], flow);
  esc_sum_add(&track->ledger[l], above - below);
  esc_sum_add(&track->drift[l], fabs(flow) + above + below);
}

/* Adds layer l of one update: to its path, and to the ledger of the interface above it the
 * right side of the discrete imbalance identity (docs/theory, section 1.4)
 *   -2 eta mean[u_l . kappa(z_l)] + eta^2 (gamma_{l+1} |G_{l+1}|^2 - gamma_l |G_l|^2).
 * deficit (interface): mean[u_l . kappa(z_l)]; grad_norm_sq (layer): |G_l|^2. */
ESC_SHARED void esc_track_layer(esc_track *track, const esc_track_rules *r, int l,
                                const double *deficit, const double *grad_norm_sq) {
  track->path[l] += 2 * r->rate * sqrt(grad_norm_sq[l]);
  if (l == r->layers - 1) return;
  const double flow = -2 * r->rate * deficit[l];
  const double above = r->rate * r->rate * r->gamma[l + 1] * grad_norm_sq[l + 1];
  const double below = r->rate * r->rate * r->gamma[l] * grad_norm_sq[l];
  esc_track_add_terms(track, l, flow, above, below);
}

/* Sums of one step with momentum or weight decay, at the weights W_l before it (docs/theory,
 * section 1.7): W_l <- W_l - eta gamma_l E_l. */
typedef struct esc_step_sums {
  const double *deficit;          /* (interface) mean[u_l . kappa(z_l)] */
  const double *step_norm_sq;     /* (layer) |E_l|^2 */
  const double *velocity_product; /* (layer) <E_l, V_l>; read with momentum only */
  const double *weight_norm_sq;   /* (layer) |W_l|^2; read with decay only */
} esc_step_sums;

/* Like esc_track_layer, for momentum and weight decay. With D = G + lambda W, V' = beta V + D and
 * the step direction E = V' or D + beta V' (Nesterov), plus (lambda/gamma) W if decay is decoupled,
 * all products of W are differences over the interface:
 *   <W, D>  = mean[u . kappa(z)] + lambda |W|^2,   <W, V'> = beta <W, V> + <W, D>
 *   |W'|^2 / gamma - |W|^2 / gamma = -2 eta <W, E> + eta^2 gamma |E|^2
 *   <W', V'> = <W, V'> - eta gamma <E, V'>. */
ESC_SHARED void esc_track_optimized_layer(esc_track *track, const esc_track_rules *r, int l,
                                          const esc_step_sums *s) {
  track->path[l] += 2 * r->rate * sqrt(s->step_norm_sq[l]);
  if (l == r->layers - 1) return;
  const double gamma_above = r->gamma[l + 1], gamma_below = r->gamma[l];
  double gradient = s->deficit[l], shrink = 0; /* <W, D>, and decoupled decay's <W, E> */
  if (r->decay != 0) gradient += r->decay * (s->weight_norm_sq[l + 1] - s->weight_norm_sq[l]);
  if (r->decoupled_decay != 0)
    shrink = r->decoupled_decay *
             (s->weight_norm_sq[l + 1] / gamma_above - s->weight_norm_sq[l] / gamma_below);
  double direction = gradient; /* <W, V'>, then <W, E> */
  if (r->momentum != 0) {
    direction = r->momentum * track->product[l] + gradient;
    track->product[l] = direction - r->rate * (gamma_above * s->velocity_product[l + 1] -
                                               gamma_below * s->velocity_product[l]);
    if (r->nesterov) direction = gradient + r->momentum * direction;
  }
  const double flow = -(2 * r->rate * (direction + shrink));
  const double above = r->rate * r->rate * gamma_above * s->step_norm_sq[l + 1];
  const double below = r->rate * r->rate * gamma_below * s->step_norm_sq[l];
  esc_track_add_terms(track, l, flow, above, below);
}

/* Counts the update; ends the member when the budget is spent. */
ESC_SHARED void esc_track_step(esc_track *track, const esc_track_rules *r) {
  track->step++;
  if (track->step == r->steps) esc_track_finish(track, ESC_MEMBER_CENSORED);
}

/* Adds one update to the ledger: every layer, then the step. */
ESC_SHARED void esc_track_update(esc_track *track, const esc_track_rules *r, const double *deficit,
                                 const double *grad_norm_sq) {
  for (int l = 0; l < r->layers; l++) esc_track_layer(track, r, l, deficit, grad_norm_sq);
  esc_track_step(track, r);
}

/* The same for an optimizer other than plain gradient descent. */
ESC_SHARED void esc_track_optimized_update(esc_track *track, const esc_track_rules *r,
                                           const esc_step_sums *sums) {
  for (int l = 0; r->has_ledger && l < r->layers; l++) esc_track_optimized_layer(track, r, l, sums);
  esc_track_step(track, r);
}

#endif
