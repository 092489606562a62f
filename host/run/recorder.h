/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of the networks in flight: their schedule, contents and storage. Training has the same
 * bits with and without snapshots. */
#ifndef ESC_RECORDER_H
#define ESC_RECORDER_H

#include "escapement/internal/engine.h"
#include "escapement/internal/observe.h"
#include "escapement/run.h"
#include "run/plan.h"
#include "store/journal.h"

typedef struct esc_recorder esc_recorder;

/* For `slots` networks in flight of `plan`, observed on `threads` threads; in double if
 * `exact`, else in float. problem, record and plan must outlive it. */
esc_status esc_recorder_create(const esc_problem *problem, const esc_record *record,
                               const esc_plan *plan, const esc_engine_setup *setup, bool exact,
                               esc_recorder **out);
void esc_recorder_free(esc_recorder *recorder); /* NULL is allowed */

/* Memory of the recorder without snapshots; upper bound for the snapshots of one network. Bytes. */
double esc_recorder_estimate_bytes(const esc_problem *problem, const esc_record *record,
                                   const esc_engine_setup *setup);
double esc_recorder_estimate_member_bytes(const esc_problem *problem, const esc_record *record);

/* Sets the journal that snapshots are appended to (NULL: none). */
void esc_recorder_set_journal(esc_recorder *recorder, esc_journal *journal);

/* Sets the callbacks of which `snapshot` gets each snapshot; borrowed. */
void esc_recorder_set_callbacks(esc_recorder *recorder, const esc_run_callbacks *callbacks);

/* Restores a snapshot of member `index` from an earlier segment of the run. */
void esc_recorder_restore_snapshot(esc_recorder *recorder, int64_t index,
                                   const esc_journal_snapshot *snapshot);

/* Whether all snapshots of a member that made `steps` updates are present; and whether the final
 * one is too. */
bool esc_recorder_is_complete(const esc_recorder *recorder, int64_t index, int64_t steps);
bool esc_recorder_has_end(const esc_recorder *recorder, int64_t index, int64_t steps);

/* The slot starts to train member `index`. */
esc_status esc_recorder_begin_member(esc_recorder *recorder, int slot, int64_t index);

/* The slot continues member `index` at `step`, with all snapshots up to there present
 * (esc_recorder_is_complete). Later snapshots, recorded after the checkpoint, are dropped and
 * recorded again. */
esc_status esc_recorder_resume_member(esc_recorder *recorder, int slot, int64_t index,
                                      int64_t step);

/* Steps of the slot until its next snapshot; 0: a snapshot is due. */
int64_t esc_recorder_steps_to_next(const esc_recorder *recorder, int slot, int64_t step);

/* Records a snapshot of each of the `count` slots in `slot`, whose snapshots are due. `engine`
 * provides the weights. */
esc_status esc_recorder_record(esc_recorder *recorder, const esc_engine_ops *ops, void *engine,
                               int count, const int *slot);

/* Records the final snapshot of each of the `count` slots in `slot`, whose members have finished.
 */
esc_status esc_recorder_record_end(esc_recorder *recorder, const esc_engine_ops *ops, void *engine,
                                   int count, const int *slot);

/* Syncs the journal. */
esc_status esc_recorder_sync(esc_recorder *recorder);

/* Copies all snapshots into `results`, in the plan's order of members. */
esc_status esc_recorder_copy_results(esc_recorder *recorder, esc_results *results);

/* Number of network observations, and their total time in seconds. */
int64_t esc_recorder_count(const esc_recorder *recorder, double *seconds);

#endif
