/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded weights (record.weights) of the members of a run: read from the engine, appended to the
 * journal OUT.h5.weights, and copied into the results at the end. Training has the same bits with
 * and without them. Initial weights are not stored during the run, because the spec determines
 * them. */
#ifndef ESC_WEIGHT_RECORDER_H
#define ESC_WEIGHT_RECORDER_H

#include "escapement/internal/engine.h"
#include "escapement/internal/observe.h"
#include "run/plan.h"
#include "store/journal.h"

typedef struct esc_weight_recorder esc_weight_recorder;

/* problem, record and plan must outlive it. */
esc_status esc_weight_recorder_create(const esc_problem *problem, const esc_record *record,
                                      const esc_plan *plan, esc_weight_recorder **out);
void esc_weight_recorder_free(esc_weight_recorder *recorder); /* NULL is allowed */

/* Bytes of one member's recorded weights in a result before compression, and of the recorder and
 * the results in memory; upper bounds. */
double esc_weights_stored_bytes(const esc_problem *problem, const esc_record *record);
double esc_weights_memory_bytes(const esc_problem *problem, const esc_record *record);

/* Sets the journal that weights are appended to (NULL: none). */
void esc_weight_recorder_set_journal(esc_weight_recorder *recorder, esc_journal *journal);

/* Restores a record of member `index` from an earlier segment of the run. */
void esc_weight_recorder_restore(esc_weight_recorder *recorder, int64_t index,
                                 const esc_journal_weights *record);

/* Restores the weights of row i of an earlier result, as those of member `index`. */
esc_status esc_weight_recorder_restore_row(esc_weight_recorder *recorder, int64_t index,
                                           const esc_results *earlier, int64_t i);

/* A member after `step` updates. */
typedef struct esc_weights_progress {
  int64_t step;
  const int64_t *escape_step; /* (thresholds) -1: not crossed */
  bool ended;
} esc_weights_progress;

/* Whether all weights that are due by then are present. */
bool esc_weight_recorder_is_complete(const esc_weight_recorder *recorder, int64_t index,
                                     esc_weights_progress progress);

/* Member `index` starts, or continues at `step`: later weights are dropped and recorded again. */
void esc_weight_recorder_begin_member(esc_weight_recorder *recorder, int64_t index);
void esc_weight_recorder_resume_member(esc_weight_recorder *recorder, int64_t index, int64_t step);

/* Records the weights of member `index` in a slot of the engine, if the spec asks for this kind:
 * at a snapshot, at the thresholds crossed at this step, at the end. */
esc_status esc_weight_recorder_record(esc_weight_recorder *recorder, const esc_engine_ops *ops,
                                      void *engine, int slot, int64_t index, esc_weights_kind kind);

/* Syncs the journal. */
esc_status esc_weight_recorder_sync(esc_weight_recorder *recorder);

/* Copies all weights into `results`, in the plan's order of members; after the snapshots. */
esc_status esc_weight_recorder_copy_results(const esc_weight_recorder *recorder,
                                            esc_results *results);

#endif
