/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of the networks in flight: when they are due, what they hold, where they are
 * kept. Training never sees them: its bits are the same with and without. */
#ifndef ESC_RECORDER_H
#define ESC_RECORDER_H

#include "escapement/internal/engine.h"
#include "escapement/internal/observe.h"
#include "run/plan.h"
#include "store/journal.h"

typedef struct esc_recorder esc_recorder;

/* For `slots` networks in flight of `plan`, observed on `threads` threads; in double if
 * `exact`, else in float. problem, record and plan must outlive it. */
esc_status esc_recorder_create(const esc_problem *problem, const esc_record *record,
                               const esc_plan *plan, const esc_engine_setup *setup, bool exact,
                               esc_recorder **out);
void esc_recorder_free(esc_recorder *recorder); /* NULL is fine */

/* Bytes that it takes beside the snapshots; bytes of one network's snapshots at most. */
double esc_recorder_estimate_bytes(const esc_problem *problem, const esc_record *record,
                                   const esc_engine_setup *setup);
double esc_recorder_estimate_member_bytes(const esc_problem *problem, const esc_record *record);

/* Snapshots go to `journal` too (NULL: they do not). */
void esc_recorder_set_journal(esc_recorder *recorder, esc_journal *journal);

/* Takes what an earlier part of the run recorded of the member at `place`. */
void esc_recorder_restore_snapshot(esc_recorder *recorder, int64_t index,
                                   const esc_journal_snapshot *snapshot);

/* Whether all snapshots are there of a member that made `steps` updates; and whether that of
 * its end is too. */
bool esc_recorder_is_complete(const esc_recorder *recorder, int64_t index, int64_t steps);
bool esc_recorder_has_end(const esc_recorder *recorder, int64_t index, int64_t steps);

/* The slot now trains the member at `place`. */
esc_status esc_recorder_begin_member(esc_recorder *recorder, int slot, int64_t index);

/* The slot now trains on the member at `place`, which stands at `step`; all its snapshots
 * so far are there (esc_recorder_is_complete). Those behind `step`, of a part that went on
 * for a while, are dropped: they will be taken again. */
esc_status esc_recorder_resume_member(esc_recorder *recorder, int slot, int64_t index,
                                      int64_t step);

/* Steps that the slot may make before its next snapshot; 0: one is due. */
int64_t esc_recorder_steps_to_next(const esc_recorder *recorder, int slot, int64_t step);

/* Takes a snapshot of each of the `count` slots named, whose networks stand at a step that
 * is due. `engine` gives their weights. */
esc_status esc_recorder_record(esc_recorder *recorder, const esc_engine_ops *ops, void *engine,
                               int count, const int *slot);

/* Takes the snapshot of the end, behind all others, of each of the `count` slots named:
 * their members have finished. */
esc_status esc_recorder_record_end(esc_recorder *recorder, const esc_engine_ops *ops, void *engine,
                                   int count, const int *slot);

/* Syncs the journal. */
esc_status esc_recorder_sync(esc_recorder *recorder);

/* Moves all snapshots into `results`, rows as in the plan. */
esc_status esc_recorder_copy_results(esc_recorder *recorder, esc_results *results);

/* Networks observed, and seconds that it took. */
int64_t esc_recorder_count(const esc_recorder *recorder, double *seconds);

#endif
