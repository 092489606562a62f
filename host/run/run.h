/* SPDX-License-Identifier: Apache-2.0 */
/* One run of a sweep: what was asked, and what it works with. */
#ifndef ESC_RUN_H
#define ESC_RUN_H

#include <jansson.h>
#include <stdatomic.h>

#include "backend/registry.h"
#include "base/stop.h"
#include "escapement/internal/engine.h"
#include "escapement/run.h"
#include "run/plan.h"
#include "run/scheduler.h"
#include "spec/spec.h"
#include "store/checkpoint.h"
#include "store/journal.h"
#include "store/lock.h"

/* Which file was at a path: another one has other numbers. */
typedef struct esc_file_stamp {
  int64_t device, inode, size, seconds, nanoseconds; /* all 0: none */
} esc_file_stamp;

enum { ESC_RUN_REUSED_MAX = 2 };

typedef struct esc_run {
  esc_run_options options;
  const esc_spec *spec;
  char *resolved;    /* the spec's text with every default */
  char *identity;    /* the same with precision and shard: all that the numbers depend on */
  char output[4096]; /* "": none; where the output is a link, the file behind it */
  esc_lock *lock;    /* on it, from before its files are read */
  bool is_worker;    /* of a run with `devices`, which says what concerns the whole */
  int64_t shard, shards;
  esc_plan plan;
  const esc_engine_ops *engine;
  esc_engine_setup setup;
  esc_bytes bytes; /* of the engine with it */
  char engine_text[128], device[256];
  esc_stop own_stop, *stop; /* that of the options, else its own */
  esc_results *results;
  esc_results *reused[ESC_RUN_REUSED_MAX]; /* earlier results of this experiment, NULL: none */
  esc_file_stamp output_stamp;             /* of the output that is one of them */
  int64_t members_reused;                  /* members taken from them */
  json_t *segments;          /* of the whole run; the last is this one's, once begun */
  int64_t finished_before;   /* members finished before this segment */
  double segment_updated_at; /* when this segment was noted last, seconds into it */
  esc_journal *journal, *snapshots;
  esc_checkpoint *checkpoint;
  esc_recorder *recorder; /* NULL: no snapshots */
  bool *done;             /* (members) finished */
  esc_progress progress;
  char warning[ESC_WARNING_SIZE];
  int shards_merged;
} esc_run;

/* ---- run.c ---- */

/* Fills what a run needs before it looks at files: engine, identity, output, size, plan. `spec` and
 * the texts of `options` must outlive it. Free with esc_run_free in either case. */
esc_status esc_run_prepare(const esc_spec *spec, const esc_run_options *options, esc_run *run);
void esc_run_free(esc_run *run);

/* esc_sweep_run for a worker process of a run with `devices`: `lock` is the descriptor of the lock
 * of the whole. */
esc_status esc_run_as_worker(const esc_spec *spec, const esc_run_options *options, int lock);

/* The probability of false escapes: refused, or warned of. Takes a tenth of a second, so it comes
 * behind what refuses the run or ends it at once. */
esc_status esc_run_check_false_escapes(esc_run *run);

/* A phase of the run begins or ends (escapement/run.h). */
void esc_run_phase_begin(const esc_run *run, esc_run_phase phase);
void esc_run_phase_end(const esc_run *run, esc_run_phase phase);

/* ---- identity, files.c ---- */

/* Takes the lock of the output; `inherited`: a worker's descriptor of that of the whole, or -1. */
esc_status esc_run_lock(esc_run *run, int inherited);

/* Fills `identity`. */
esc_status esc_run_set_identity(esc_run *run);

/* Whether a run of identity `found`, of the file `path`, may continue as this one: it is the
 * same, or has some of its members. Fits esc_journal_reader; `context` is the esc_run. */
esc_status esc_run_check_identity(void *context, const char *path, esc_identity found);

/* Opens journals and checkpoint, and restores from them and from `base` what is finished:
 * results, done, snapshots, segments, networks that wait. Without an output `base` alone. */
esc_status esc_run_open_files(esc_run *run);

/* The member at `place` is finished, with this row. */
void esc_run_set_row(esc_run *run, int64_t index, const void *row);

/* Counts in `done` what earlier parts of the run left at `output`, and checks that they may
 * be continued, without changing a file. */
esc_status esc_run_inspect_files(esc_run *run, const char *output);

/* Members of this run that are found when the journals are synced and read again, --from's and an
 * earlier result's not counted; and networks in flight, when the checkpoint is. */
int64_t esc_run_count_synced_members(const esc_run *run);
int64_t esc_run_count_synced_networks(const esc_run *run);

/* Makes what journals of the run at `output` hold survive a power loss. */
esc_status esc_run_sync_files(const char *output);

/* Networks in the checkpoint of the run's output that are not `done`. */
int64_t esc_run_count_networks_in_files(const esc_run *run);

/* Checks that every file of the run has a name that the file system of the output allows. */
esc_status esc_run_check_names(const esc_run *run);

/* Closes them; with `remove`, the result being published, deletes them. */
void esc_run_close_files(esc_run *run, bool remove);

/* Deletes what a run left that died after it had published its result. */
void esc_run_remove_files(esc_run *run);

/* ---- earlier.c ---- */

/* Marks in `done` the members that `base` holds (NULL: none). */
void esc_run_mark_reused(esc_run *run, const esc_results *base);

/* Reads the result at `output`, if there is one and `force` does not discard it, and the one
 * of `from`: either is the whole of this run (*complete, its results are in run->results),
 * or a part of it (run->base), or is refused. */
esc_status esc_run_read_reused(esc_run *run, bool *complete);

/* Takes over the rows and snapshots of `base`; frees it. */
esc_status esc_run_copy_reused(esc_run *run);

esc_file_stamp esc_file_stamp_read(const char *path);

/* ---- segment.c ---- */

/* This start of the program becomes a segment, in memory and in the journal (if open). */
esc_status esc_run_segment_begin(esc_run *run);

/* Notes what it has done so far; `ended`: how it ended, NULL: it has not. */
esc_status esc_run_segment_update(esc_run *run, const char *ended);

/* ---- size.c ---- */

/* Chooses threads and slots within the machine's processors and memory: fewer
 * slots than asked for by default, ESC_NO_MEMORY with both numbers if not even
 * what the user named (or one network on one thread) fits. */
esc_status esc_run_choose_resources(esc_run *run);

/* ---- publish.c ---- */

/* Sets the attributes of `results`. */
esc_status esc_run_set_attributes(esc_run *run);

/* Completes the results of a run that has finished, and publishes them if it has an output: then
 * its files are deleted. Whatever fails here, the members are in the journal. */
esc_status esc_run_publish(esc_run *run);

/* Why a run that was stopped did not finish, what is safe, by reading it again, and how to go on.
 */
esc_status esc_run_explain_stop(const esc_run *run, esc_status status);

/* Warns of what makes the finished run one to doubt, and fills the report. */
void esc_run_log_warnings(const esc_run *run);
void esc_run_fill_report(const esc_run *run, esc_run_report *report);

/* ---- workers.c ---- */

/* Refuses what is no list of devices. */
esc_status esc_devices_check(const char *text);

/* Trains the sweep in a process a device and merges the parts. */
esc_status esc_run_train_on_devices(esc_run *run);

/* ---- parts.c ---- */

/* Checks that the parts that a run with `devices` left may be continued, and counts their
 * finished members, without changing a file. */
esc_status esc_parts_inspect(const esc_run *run, int64_t *finished);

/* Refuses to train without `devices` what was begun with it. */
esc_status esc_parts_refuse(const esc_run *run);

/* Deletes parts that such a run left: it died after it had published its result, or `force` starts
 * anew. */
esc_status esc_run_devices_clear(const esc_run *run);

#endif
