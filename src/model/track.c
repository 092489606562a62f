/* Escape events and the ledger. */
#include "escapement/internal/track.h"

#include <string.h>

void esc_track_rules_init(esc_track_rules *rules, const esc_problem *p, double rate) {
  memset(rules, 0, sizeof *rules);
  rules->layers = p->shape.layers;
  rules->thresholds = p->thresholds;
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

/* Size of the products <G_l, W_l> whose difference over an interface is the flow's
 * term, by Cauchy-Schwarz and with the larger of the layer's two norms. */
static double product_size(const esc_track *track, const esc_results *r, int64_t i, int l) {
  const int64_t at = i * r->layers + l;
  return track->path[l] * sqrt(fmax(r->norm2_initial[at], r->norm2_final[at]));
}

void esc_track_report(const esc_track *track, const esc_problem *p, const esc_member *member,
                      const double *norm2_initial, const double *change2, double signal,
                      double signal_error, esc_results *r, int64_t i) {
  const int layers = p->shape.layers, interfaces = layers - 1;
  r->member[i] = member->index;
  r->seed[i] = (int64_t)member->seed;
  r->group[i] = member->group;
  r->bottleneck[i] = member->bottleneck;
  r->small_layers[i] = (int64_t)member->small_layers;
  r->scale[i] = member->scale;
  r->status[i] = track->status;
  r->steps_run[i] = track->step;
  r->final_loss[i] = track->loss;
  r->final_smoothed_loss[i] = track->smoothed;
  r->signal_initial[i] = signal / pow(member->scale, member->bottleneck);
  r->signal_initial_error[i] = signal_error / pow(member->scale, member->bottleneck);
  r->lost_updates[i] = track->updates ? (double)track->lost / (double)track->updates : 0;
  for (int k = 0; k < p->thresholds; k++)
    r->escape_step[i * p->thresholds + k] = track->escape_step[k];
  for (int l = 0; l < layers; l++) {
    r->norm2_initial[i * layers + l] = norm2_initial[l];
    r->norm2_final[i * layers + l] = norm2_initial[l] + change2[l];
  }
  for (int l = 0; l < interfaces; l++) {
    const double sum = esc_sum_get(&track->ledger[l]);
    const double change =
        change2[l + 1] / esc_metric_gamma(p, l + 1) - change2[l] / esc_metric_gamma(p, l);
    r->ledger_sum[i * interfaces + l] = sum;
    r->ledger_drift[i * interfaces + l] = esc_sum_get(&track->drift[l]);
    r->ledger_gross[i * interfaces + l] = esc_sum_get(&track->drift[l]) +
                                          product_size(track, r, i, l) +
                                          product_size(track, r, i, l + 1);
    r->ledger_residual[i * interfaces + l] = sum - change;
  }
}
