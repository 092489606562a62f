/* SPDX-License-Identifier: Apache-2.0 */
/* State of one run of a sweep. */
#ifndef ESC_RUN_H
#define ESC_RUN_H

#include <jansson.h>
#include <stdatomic.h>

#include "backend/registry.h"
#include "base/stop.h"
#include "escapement/internal/engine.h"
#include "escapement/internal/grid.h"
#include "escapement/run.h"
#include "run/plan.h"
#include "run/scheduler.h"
#include "spec/spec.h"
#include "store/checkpoint.h"
#include "store/journal.h"
#include "store/lock.h"

/* Identity of the file at a path: differs after any change or replacement of the file. */
typedef struct esc_file_stamp {
  int64_t device, inode, size, seconds, nanoseconds; /* all 0: none */
} esc_file_stamp;

enum { ESC_RUN_REUSED_MAX = 3 }; /* the output's file, --from, a point's slice of the output */

typedef struct esc_run {
  esc_run_options options;
  const esc_spec *spec;
  esc_spec started; /* of init.scheme file: *spec with its weights and their checksum */
  esc_initial_networks *initial; /* these; NULL: none */
  char *resolved;                /* text of the spec with every default */
  char *identity;    /* the same with precision and shard: everything that the numbers depend on */
  char output[4096]; /* "": none; symbolic links resolved */
  esc_lock *lock;    /* lock of the output, acquired before its files are read */
  bool is_point;     /* trains one point of a grid, for the run of the whole grid */
  int point;         /* its number */
  int64_t members_before_point; /* of the whole sweep, at the points before it */
  const esc_grid *grid;         /* the grid that has it */
  bool is_worker;  /* worker of a run with `devices`, whose parent prints the messages about the
                      whole run */
  bool supervises; /* trains by worker processes alone, and leaves the devices to them */
  int64_t shard, shards;
  esc_plan plan;
  const esc_engine_ops *engine;
  esc_engine_setup setup;
  esc_bytes bytes; /* memory of the engine with this setup */
  char engine_text[128], device[256], libraries[128];
  esc_stop own_stop, *stop; /* the request of the options, else own_stop */
  esc_results *results;
  esc_results *reused[ESC_RUN_REUSED_MAX]; /* earlier results of this experiment, whose members are
                                              reused; NULL: none */
  esc_file_stamp output_stamp;             /* of the output file, if it is one of them */
  int64_t members_reused;                  /* members reused from them */
  json_t *segments;          /* of the whole run; the last one is this invocation's, once begun */
  int64_t finished_before;   /* members finished before this segment */
  double segment_updated_at; /* seconds into this segment at its last update */
  esc_journal *journal, *snapshots, *weights;
  esc_checkpoint *checkpoint;
  esc_recorder *recorder;               /* NULL: no snapshots */
  esc_weight_recorder *weight_recorder; /* NULL: no weights */
  struct esc_event_log *log;            /* NULL: none */
  double rates_logged_at;               /* seconds into this segment */
  bool is_logging;                      /* a message is being logged */
  bool *done;                           /* (members) finished */
  esc_progress progress;
  char warning[ESC_WARNING_SIZE];
  int shards_merged;
  double flop_per_step; /* of one network: the mean over the steps of a grid; 0: see the spec */
} esc_run;

/* ---- run.c, sweep.c ---- */

/* Prepares a run up to its first access to files: engine, identity, output, resources, plan. `dry`:
 * for a dry run. `spec` and the texts of `options` must outlive it. Free with esc_run_free in
 * either case. */
esc_status esc_run_prepare(const esc_spec *spec, const esc_run_options *options, bool dry,
                           esc_run *run);
void esc_run_free(esc_run *run);

/* Trains a prepared run of a spec without a grid and publishes its result. `lock`: a worker's
 * descriptor of its parent's lock, or -1. *complete: the output already had every member. */
esc_status esc_run_execute(esc_run *run, int lock, bool *complete);

/* For a complete output: deletes the files of a run that died after writing it. */
esc_status esc_run_finish_complete(esc_run *run);

/* esc_sweep_run for a worker process of a run with `devices`: `lock` is the inherited descriptor of
 * the parent's lock. */
esc_status esc_run_as_worker(const esc_spec *spec, const esc_run_options *options, int lock);

/* Refuses a high probability of false escapes, or warns of it. Takes a tenth of a second, so it
 * follows the cheaper checks. */
esc_status esc_run_check_false_escapes(esc_run *run);

/* A phase of the run begins or ends (escapement/run.h). */
void esc_run_phase_begin(const esc_run *run, esc_run_phase phase);
void esc_run_phase_end(const esc_run *run, esc_run_phase phase);

/* ---- identity, files.c ---- */

/* Acquires the lock of the output; `inherited`: a worker's descriptor of its parent's lock, or -1.
 */
esc_status esc_run_lock(esc_run *run, int inherited);

/* Fills `identity`. */
esc_status esc_run_set_identity(esc_run *run);

/* Where an identity's lines "precision: ..." and "shard: ..." follow its spec; NULL without them.
 */
const char *esc_run_identity_rest(const char *identity);

/* Whether a run of identity `found`, of the file `path`, may continue as this one: the same sweep,
 * or a subset of its members. Fits esc_journal_reader; `context` is the esc_run. */
esc_status esc_run_check_identity(void *context, const char *path, esc_identity found);

/* Opens journals and checkpoint, and restores the finished members from them and from the reused
 * results: results, done, snapshots, segments, pending networks. Without an output only from the
 * reused results. */
esc_status esc_run_open_files(esc_run *run);

/* Marks member `index` as finished, with this row. */
void esc_run_set_row(esc_run *run, int64_t index, const void *row);

/* Marks in `done` the finished members in the files of `output`, and checks that the run may
 * continue from them, without changing a file. */
esc_status esc_run_inspect_files(esc_run *run, const char *output);

/* Members of this run that are found after the journals are synced and read again, without reused
 * ones; and networks in flight found in the checkpoint. */
int64_t esc_run_count_synced_members(const esc_run *run);
int64_t esc_run_count_synced_networks(const esc_run *run);

/* Syncs the journals of the run at `output`. */
esc_status esc_run_sync_files(const char *output);

/* Number of networks in the checkpoint of the run's output that are not `done`. */
int64_t esc_run_count_networks_in_files(const esc_run *run);

/* Checks that every file of the run has a name that the file system of the output allows. */
esc_status esc_run_check_names(const esc_run *run);

/* Closes them; with `remove`, after the result is written, deletes them. */
void esc_run_close_files(esc_run *run, bool remove);

/* Deletes the files of a run that died after writing its result. */
void esc_run_remove_files(esc_run *run);

/* ---- earlier.c ---- */

/* Identity of the run that made a result; owned by the caller. */
esc_status esc_run_identity_of(const char *path, const esc_results *results, char **out);

/* Marks the members of `earlier` in `done` (NULL: none). */
void esc_run_mark_reused(esc_run *run, const esc_results *base);

/* Reads the result at `output`, unless `force` discards it, and the result of `from`. Each either
 * is complete for this run (*complete, results in run->results), or has some of its members
 * (run->reused), or is refused. */
esc_status esc_run_read_reused(esc_run *run, bool *complete);

/* Refuses results of a version that estimated S(0) by another method. */
esc_status esc_run_check_reused_version(const char *path, const esc_results *earlier);

/* Copies the rows and snapshots of the reused results, and frees those. */
esc_status esc_run_copy_reused(esc_run *run);

esc_file_stamp esc_file_stamp_read(const char *path);

/* ---- segment.c ---- */

/* Begins the segment of this invocation, in memory and in the journal (if open). */
esc_status esc_run_segment_begin(esc_run *run);

/* Updates its times and counts; `ended`: how it ended, NULL: still running. */
esc_status esc_run_segment_update(esc_run *run, const char *ended);

/* Marks in the journal that the checkpoint of this digest was just written: the members that had
 * finished until then are those before the first such mark (run/unfinished.h). */
esc_status esc_run_segment_mark_checkpoint(esc_run *run, uint64_t digest);

/* ---- run_events.c: the log of `options.log`; without one they do nothing ---- */

esc_status esc_run_open_log(esc_run *run);
void esc_run_log_start(esc_run *run);
void esc_run_log_event(esc_run *run, const esc_train_event *event);
void esc_run_log_rates(esc_run *run);

/* For esc_log_redirect, with the run as context: logs messages and forwards them. */
void esc_run_log_message(void *context, const char *text);

/* Logs the end and closes the log. */
void esc_run_log_end(esc_run *run, esc_status status);

/* ---- size.c ---- */

/* Chooses threads and slots within the machine's processors and memory: fewer slots if the default
 * does not fit; ESC_NO_MEMORY with both sizes if the user's values (or one network on one thread)
 * do not fit. */
esc_status esc_run_choose_resources(esc_run *run);

/* ---- publish.c ---- */

/* Sets the attributes of `results`. */
esc_status esc_run_set_attributes(esc_run *run);

/* Completes the results of a finished run, writes the output if there is one, and deletes the run's
 * other files. If it fails, the members are still in the journal. */
esc_status esc_run_publish(esc_run *run);

/* Message of a stopped run: the reason, what was saved (read again from the files), and how to
 * continue. */
esc_status esc_run_explain_stop(const esc_run *run, esc_status status);

/* Warnings about the numerical quality of a finished run; its report. */
void esc_run_log_warnings(const esc_run *run);
void esc_run_fill_report(const esc_run *run, esc_run_report *report);

/* ---- workers.c ---- */

/* ESC_BAD_INPUT unless `text` is a list of devices. */
esc_status esc_devices_check(const char *text);

/* Trains the sweep with one process for each device and merges the parts. */
esc_status esc_run_train_on_devices(esc_run *run);

/* ---- parts.c ---- */

/* Checks that the parts of a run with `devices` may be continued, and counts their finished
 * members, without changing a file. */
esc_status esc_parts_inspect(const esc_run *run, int64_t *finished);

/* ESC_BAD_INPUT if the run was started with `devices`. */
esc_status esc_parts_refuse(const esc_run *run);

/* Deletes the parts of such a run, which died after writing its result or is started over by
 * `force`. */
esc_status esc_run_devices_clear(const esc_run *run);

#endif
