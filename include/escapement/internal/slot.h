/* SPDX-License-Identifier: Apache-2.0 */
/* A slot: a member in training, without its weights. Start, state, end and report of a member are
 * shared by all engines. */
#ifndef ESCAPEMENT_SLOT_H
#define ESCAPEMENT_SLOT_H

#include "escapement/internal/arena.h"
#include "escapement/internal/track.h"

/* Shared by the slots of an engine. */
typedef struct esc_model {
  const esc_problem *problem;
  double *directions; /* (mode, input) of the teacher; owned */
  bool single;        /* the engine stores weights in float */
} esc_model;

esc_status esc_model_init(esc_model *model, const esc_problem *problem, bool single);
void esc_model_free(esc_model *model);

typedef struct esc_slot {
  bool loaded, fresh; /* fresh: its weights are still to be drawn */
  esc_member member;
  esc_track track;
  bool measured;               /* the next three are known */
  double signal, signal_error; /* S(0) and its standard error */
  double norm2_initial[ESC_LAYERS_MAX];
  bool ended;                          /* esc_slot_end was called for the member */
  double norm2_change[ESC_LAYERS_MAX]; /* |W_l|^2 at its end minus at its start */
} esc_slot;

/* Loads `member` into the slot, at step 0. */
void esc_slot_load(esc_slot *slot, const esc_member *member);

/* The slot holds a member without weights, one that still trains, or one that has finished. */
static inline bool esc_slot_is_fresh(const esc_slot *s) { return s->loaded && s->fresh; }
static inline bool esc_slot_trains(const esc_slot *s) { return s->loaded && !s->track.finished; }
static inline bool esc_slot_finished(const esc_slot *s) {
  return s->loaded && s->track.finished == ESC_TRACK_FINISHED;
}

/* Paused at a threshold, until esc_state_continue. */
static inline bool esc_slot_is_paused(const esc_slot *s) {
  return s->loaded && s->track.finished == ESC_TRACK_PAUSED;
}

/* Draws the initial weights, flat as in esc_weight_offset, rounded to the engine's precision. */
void esc_slot_draw(esc_slot *slot, const esc_model *model, double *weights);

/* Draws the initial weights again and computes the initial norms and signal from them. Takes tens
 * of times as long as esc_slot_draw; training does not need the results. `workspace` is made from
 * esc_signal_workspace. */
void esc_slot_measure(esc_slot *slot, const esc_model *model, double *weights,
                      esc_arena *workspace);

/* esc_slot_draw and esc_slot_measure, with one draw. */
void esc_slot_start(esc_slot *slot, const esc_model *model, double *weights, esc_arena *workspace);

/* A member's weights now, w + compensation (NULL: 0), both flat; `initial` is a workspace of as
 * many: the initial weights are drawn again into it. */
typedef struct esc_slot_weights {
  const double *w, *compensation;
  double *initial;
} esc_slot_weights;

/* Computes norm2_change of a member that has finished, without cancellation. Separate from the
 * report, so that engines can call it on all threads. */
void esc_slot_end(esc_slot *slot, const esc_model *model, const esc_slot_weights *weights);

/* Writes row i of a member that has ended: events, ledger, norms. */
void esc_slot_report(const esc_slot *slot, const esc_model *model, esc_results *results, int64_t i);

#endif
