/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of escape events and of the ledger. */
#include "escapement/internal/track.h"

#include <string.h>

void esc_track_rules_init(esc_track_rules *rules, const esc_problem *p, double rate) {
  memset(rules, 0, sizeof *rules);
  rules->layers = p->shape.layers;
  rules->thresholds = p->thresholds;
  rules->pauses = p->pauses_at_escape;
  rules->steps = p->steps;
  rules->smoothing = p->smoothing;
  rules->rate = rate;
  memcpy(rules->threshold, p->threshold, sizeof rules->threshold);
  for (int l = 0; l < p->shape.layers; l++) rules->gamma[l] = esc_metric_gamma(p, l);
}

void esc_track_start(esc_track *track) {
  memset(track, 0, sizeof *track);
  for (int i = 0; i < ESC_THRESHOLDS_MAX; i++) track->escape_step[i] = -1;
}
