/* Escape events and the ledger. */
#include "escapement/track.h"

#include <string.h>

void esc_track_start(esc_track *track) {
  memset(track, 0, sizeof *track);
  for (int i = 0; i < ESC_THRESHOLDS_MAX; i++) track->escape_step[i] = -1;
}

static void finish(esc_track *track, esc_member_status status) {
  track->finished = true;
  track->status = status;
}

bool esc_track_loss(esc_track *track, const esc_problem *p, double loss) {
  track->loss = loss;
  track->smoothed =
      track->step == 0 ? loss : p->smoothing * track->smoothed + (1 - p->smoothing) * loss;
  if (!isfinite(loss)) {
    finish(track, ESC_MEMBER_DIVERGED);
    return false;
  }
  bool all = true;
  for (int i = 0; i < p->thresholds; i++) {
    if (track->escape_step[i] < 0 && track->smoothed < p->threshold[i])
      track->escape_step[i] = track->step;
    all = all && track->escape_step[i] >= 0;
  }
  if (all) finish(track, ESC_MEMBER_ESCAPED);
  return !all;
}

void esc_track_update(esc_track *track, const esc_problem *p, double rate, const double *deficit,
                      const double *gradient2) {
  for (int l = 0; l < p->shape.layers; l++) track->path[l] += 2 * rate * sqrt(gradient2[l]);
  for (int l = 0; l < p->shape.layers - 1; l++) {
    const double flow = -2 * rate * deficit[l];
    const double above = rate * rate * esc_metric_gamma(p, l + 1) * gradient2[l + 1];
    const double below = rate * rate * esc_metric_gamma(p, l) * gradient2[l];
    esc_sum_add(&track->ledger[l], flow);
    esc_sum_add(&track->ledger[l], above - below);
    esc_sum_add(&track->drift[l], fabs(flow) + above + below);
  }
  track->step++;
  if (track->step == p->steps) finish(track, ESC_MEMBER_CENSORED);
}

/* Size of the products <G_l, W_l> whose difference over an interface is the flow's
 * term, by Cauchy-Schwarz and with the larger of the layer's two norms. */
static double product_size(const esc_track *track, const esc_results *r, int64_t i, int l) {
  const int64_t at = i * r->layers + l;
  return track->path[l] * sqrt(fmax(r->norm2_initial[at], r->norm2_final[at]));
}

void esc_track_report(const esc_track *track, const esc_problem *p, const esc_member *member,
                      const double *norm2_initial, const double *change2, double signal,
                      esc_results *r, int64_t i) {
  const int layers = p->shape.layers, interfaces = layers - 1;
  r->member[i] = member->index;
  r->seed[i] = (int64_t)member->seed;
  r->group[i] = member->group;
  r->bottleneck[i] = member->bottleneck;
  r->small_layers[i] = (int64_t)member->small_layers;
  r->scale[i] = member->scale;
  r->status[i] = (int32_t)track->status;
  r->steps_run[i] = track->step;
  r->final_loss[i] = track->loss;
  r->final_smoothed_loss[i] = track->smoothed;
  r->signal_initial[i] = signal / pow(member->scale, member->bottleneck);
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
