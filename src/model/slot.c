/* SPDX-License-Identifier: Apache-2.0 */
/* Start, end and report of a member, the same code for every engine. */
#include "escapement/internal/slot.h"

#include <math.h>
#include <stdlib.h>

#include "escapement/internal/model.h"

esc_status esc_model_init(esc_model *model, const esc_problem *p, bool single) {
  esc_status status = ESC_OK;
  *model = (esc_model){.problem = p, .single = single};
  ESC_TRY_ALLOCATE(model->directions = calloc((size_t)p->teacher.modes * (size_t)p->shape.inputs,
                                              sizeof *model->directions));
  esc_teacher_directions(p, model->directions);
done:
  return status;
}

void esc_model_free(esc_model *model) { free(model->directions); }

void esc_slot_load(esc_slot *slot, const esc_member *member) {
  slot->member = *member;
  slot->loaded = slot->fresh = true;
  slot->measured = slot->ended = false;
  esc_track_start(&slot->track);
}

static void draw_weights(const esc_model *m, const esc_member *member, double *w) {
  const esc_shape shape = m->problem->shape;
  esc_initial_weights(m->problem, member, m->directions, w);
  if (!m->single) return;
  for (size_t i = 0; i < esc_weight_count(shape); i++) w[i] = (double)(float)w[i];
}

void esc_slot_draw(esc_slot *s, const esc_model *m, double *w) {
  draw_weights(m, &s->member, w);
  s->fresh = false;
}

/* Initial norms and signal from the initial weights. */
static void measure(esc_slot *s, const esc_model *m, const double *w, esc_arena *workspace) {
  const esc_shape shape = m->problem->shape;
  for (int l = 0; l < shape.layers; l++) {
    esc_sum norm2 = {0, 0};
    for (size_t i = esc_weight_offset(shape, l); i < esc_weight_offset(shape, l + 1); i++)
      esc_sum_add(&norm2, w[i] * w[i]);
    s->norm2_initial[l] = esc_sum_get(&norm2);
  }
  s->signal =
      esc_initial_signal(m->problem, &s->member, m->directions, w, workspace, &s->signal_error);
  s->measured = true;
}

void esc_slot_measure(esc_slot *s, const esc_model *m, double *w, esc_arena *workspace) {
  draw_weights(m, &s->member, w);
  measure(s, m, w, workspace);
}

void esc_slot_start(esc_slot *s, const esc_model *m, double *w, esc_arena *workspace) {
  esc_slot_draw(s, m, w);
  measure(s, m, w, workspace);
}

/* Bound of the summed products <G_l, W_l>, whose difference over an interface is the flow's term:
 * by Cauchy-Schwarz, with the larger of the layer's norms at start and end. */
static double product_size(const esc_track *track, const esc_results *r, int64_t i, int l) {
  const int64_t offset = i * r->layers + l;
  return track->path[l] * sqrt(fmax(r->norm2_initial[offset], r->norm2_final[offset]));
}

/* A NaN has many bit patterns, and processors and compilers make different ones: a result has one.
 */
static double make_nan_unique(double value) { return isnan(value) ? (double)NAN : value; }

/* Row i: identity, events and signal of the member. */
static void write_member(const esc_slot *s, int thresholds, esc_results *r, int64_t i) {
  const esc_track *track = &s->track;
  const esc_member *member = &s->member;
  r->member[i] = member->index;
  r->seed[i] = (int64_t)member->seed;
  r->group[i] = member->group;
  r->bottleneck[i] = member->bottleneck;
  r->small_layers[i] = (int64_t)member->small_layers;
  r->scale[i] = member->scale;
  r->status[i] = track->status;
  r->steps_run[i] = track->step;
  r->final_loss[i] = make_nan_unique(track->loss);
  r->final_smoothed_loss[i] = make_nan_unique(track->smoothed);
  r->signal_initial[i] = s->signal / pow(member->scale, member->bottleneck);
  r->signal_initial_error[i] = s->signal_error / pow(member->scale, member->bottleneck);
  r->lost_updates[i] =
      track->nonzero_updates ? (double)track->rounded_away / (double)track->nonzero_updates : 0;
  for (int k = 0; k < thresholds; k++) r->escape_step[i * thresholds + k] = track->escape_step[k];
}

/* Row i of a ledger that the optimizer does not have. */
static void write_no_ledger(esc_results *r, int64_t i) {
  const int interfaces = r->layers - 1;
  for (int64_t k = i * interfaces; k < (i + 1) * interfaces; k++)
    r->ledger_sum[k] = r->ledger_drift[k] = r->ledger_gross[k] = r->ledger_residual[k] =
        (double)NAN;
}

/* Row i: norms and ledger. */
static void write_ledger(const esc_slot *s, const esc_problem *p, esc_results *r, int64_t i) {
  const esc_track *track = &s->track;
  const double *norm2_initial = s->norm2_initial, *change2 = s->norm2_change;
  const int layers = p->shape.layers, interfaces = layers - 1;
  for (int l = 0; l < layers; l++) {
    r->norm2_initial[i * layers + l] = norm2_initial[l];
    r->norm2_final[i * layers + l] = make_nan_unique(norm2_initial[l] + change2[l]);
  }
  if (!esc_optimizer_has_ledger(&p->optimizer)) {
    write_no_ledger(r, i);
    return;
  }
  for (int l = 0; l < interfaces; l++) {
    const double sum = esc_sum_get(&track->ledger[l]);
    const double change =
        change2[l + 1] / esc_metric_gamma(p, l + 1) - change2[l] / esc_metric_gamma(p, l);
    r->ledger_sum[i * interfaces + l] = make_nan_unique(sum);
    r->ledger_drift[i * interfaces + l] = make_nan_unique(esc_sum_get(&track->drift[l]));
    r->ledger_gross[i * interfaces + l] =
        make_nan_unique(esc_sum_get(&track->drift[l]) + product_size(track, r, i, l) +
                        product_size(track, r, i, l + 1));
    r->ledger_residual[i * interfaces + l] = make_nan_unique(sum - change);
  }
}

void esc_slot_end(esc_slot *s, const esc_model *m, const esc_slot_weights *weights) {
  const esc_shape shape = m->problem->shape;
  const double *const w = weights->w, *const compensation = weights->compensation;
  double *const initial = weights->initial;
  draw_weights(m, &s->member, initial);
  for (int l = 0; l < shape.layers; l++) {
    esc_sum change = {0, 0};
    for (size_t k = esc_weight_offset(shape, l); k < esc_weight_offset(shape, l + 1); k++) {
      const double displacement = (w[k] - initial[k]) + (compensation ? compensation[k] : 0);
      esc_sum_add(&change, displacement * (2 * initial[k] + displacement));
    }
    s->norm2_change[l] = esc_sum_get(&change);
  }
  s->ended = true;
}

void esc_slot_report(const esc_slot *s, const esc_model *m, esc_results *results, int64_t i) {
  write_member(s, m->problem->thresholds, results, i);
  write_ledger(s, m->problem, results, i);
}
