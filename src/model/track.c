/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of escape events and of the ledger. */
#include "escapement/internal/track.h"

#include <string.h>

static double rounded(double value, bool single) { return single ? (double)(float)value : value; }

void esc_track_rules_init(esc_track_rules *rules, const esc_problem *p, bool single) {
  const esc_optimizer *o = &p->optimizer;
  const double decay = rounded(o->weight_decay, single);
  memset(rules, 0, sizeof *rules);
  rules->layers = p->shape.layers;
  rules->thresholds = p->thresholds;
  rules->pauses = p->pauses_at_escape;
  rules->steps = p->steps;
  rules->smoothing = p->smoothing;
  rules->rate = rounded(p->rate, single);
  rules->optimized = !esc_optimizer_is_plain(o);
  rules->has_ledger = esc_optimizer_has_ledger(o);
  rules->nesterov = o->nesterov;
  rules->momentum = rounded(o->momentum, single);
  rules->decay = o->decoupled ? 0 : decay;
  rules->decoupled_decay = o->decoupled ? decay : 0;
  memcpy(rules->threshold, p->threshold, sizeof rules->threshold);
  for (int l = 0; l < p->shape.layers; l++) rules->gamma[l] = esc_metric_gamma(p, l);
}

void esc_track_start(esc_track *track) {
  memset(track, 0, sizeof *track);
  for (int i = 0; i < ESC_THRESHOLDS_MAX; i++) track->escape_step[i] = -1;
  track->step_limit = INT64_MAX;
}
