/* What every engine keeps of a network beside its weights: the escape events
 * and the ledger. Shared, so that no engine has its own idea of either. */
#ifndef ESCAPEMENT_TRACK_H
#define ESCAPEMENT_TRACK_H

#include <math.h>

#include "escapement/problem.h"
#include "escapement/results.h"

/* Sum with Neumaier's correction: as if in twice the precision. */
typedef struct esc_sum {
  double value, correction;
} esc_sum;

static inline void esc_sum_add(esc_sum *s, double x) {
  const double total = s->value + x;
  s->correction += fabs(s->value) >= fabs(x) ? (s->value - total) + x : (x - total) + s->value;
  s->value = total;
}

static inline double esc_sum_get(const esc_sum *s) { return s->value + s->correction; }

typedef struct esc_track {
  int64_t step; /* updates made so far, so the index of the next minibatch */
  bool finished;
  esc_member_status status;
  double loss, smoothed;
  int64_t escape_step[ESC_THRESHOLDS_MAX];
  esc_sum ledger[ESC_LAYERS_MAX]; /* (interface) right side of identity 1.4 */
  esc_sum drift[ESC_LAYERS_MAX];  /* (interface) its terms' absolute values */
  double path[ESC_LAYERS_MAX];    /* (layer) 2 eta |G_l| summed over steps */
  int64_t lost, updates;          /* weight updates that rounding swallowed; all with G != 0 */
} esc_track;

void esc_track_start(esc_track *track);

/* Takes the minibatch loss of step track->step, before its update: advances the
 * moving average (m_0 = loss_0, m_t = phi m_{t-1} + (1-phi) loss_t), notes first
 * crossings, and finishes the member when every threshold is crossed or the loss
 * is not finite. True if the update is to be made. */
bool esc_track_loss(esc_track *track, const esc_problem *problem, double loss);

/* Books one update: adds its right side of the discrete imbalance identity (theory, 1.4)
 * for every interface l:
 *   -2 eta mean[u_l . kappa(z_l)] + eta^2 (gamma_{l+1} |G_{l+1}|^2 - gamma_l |G_l|^2).
 * deficit (interface): mean[u_l . kappa(z_l)]; gradient2 (layer): |G_l|^2;
 * rate: eta as the engine applies it. Ends the member when the budget is spent. */
void esc_track_update(esc_track *track, const esc_problem *problem, double rate,
                      const double *deficit, const double *gradient2);

/* Writes row i: events, ledger, norms. change2 (layer) is |W_l|^2 at the end
 * minus at the start, summed without cancellation. */
void esc_track_report(const esc_track *track, const esc_problem *problem, const esc_member *member,
                      const double *norm2_initial, const double *change2, double signal,
                      esc_results *results, int64_t i);

#endif
