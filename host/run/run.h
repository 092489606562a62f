/* One call of the verb run: what was asked, and what it works with. */
#ifndef ESC_RUN_H
#define ESC_RUN_H

#include <jansson.h>
#include <stdatomic.h>

#include "backend/registry.h"
#include "escapement/internal/engine.h"
#include "run/plan.h"
#include "run/scheduler.h"
#include "spec/spec.h"
#include "store/checkpoint.h"
#include "store/journal.h"
#include "store/lock.h"

typedef struct esc_run_request {
  const char *output, *shard, *devices;
  const char *from; /* a result whose members are not trained again, or NULL */
  esc_backend_request backend;
  int64_t threads, slots; /* 0: not given */
  int64_t device;
  bool device_named; /* by the user; else 0 */
  double checkpoint_seconds, seconds_max;
  bool resume, force, dry_run, quiet, json;
  char **argv;
  int argc;
} esc_run_request;

/* Which file was at a path: another one has other numbers. */
typedef struct esc_run_stamp {
  int64_t device, inode, size, seconds, nanoseconds; /* all 0: none */
} esc_run_stamp;

enum { ESC_RUN_BASES = 2 };

typedef struct esc_run {
  esc_run_request ask;
  esc_spec *spec;
  char *resolved; /* the spec's text with every default */
  char *identity; /* the same with precision and shard: all that the numbers depend on */
  char output[4096];
  esc_lock *lock; /* on it, from before its files are read */
  bool worker;    /* of a run with --devices, which says what concerns the whole */
  int64_t shard, shards;
  esc_plan plan;
  const esc_engine_ops *engine;
  esc_engine_setup setup;
  esc_bytes bytes; /* of the engine with it */
  char engine_text[128], device[256];
  esc_results *results;
  esc_results *base[ESC_RUN_BASES]; /* earlier results of this experiment, NULL: none */
  esc_run_stamp stamp;              /* of the output that is one of them */
  int64_t based;                    /* members taken from them */
  json_t *segments;                 /* of the whole run; the last is this one's, once begun */
  int64_t done_before;              /* members finished before this segment */
  double noted;                     /* when this segment was noted last, seconds into it */
  esc_journal *journal, *snapshots;
  esc_checkpoint *checkpoint;
  esc_recorder *recorder; /* NULL: no snapshots */
  bool *done;             /* (members) finished */
  esc_progress progress;
  char warning[ESC_WARNING_SIZE];
} esc_run;

/* Reads the options; *first is the place of the spec in argv. */
esc_status esc_run_parse(esc_run_request *ask, int argc, char **argv, int *first, bool *help);

/* Fills shard and shards: what was asked for; in a Slurm array, if the output's name has a %a, the
 * task's number and the number of shards that files of tasks beside it say, or a whole array has;
 * else the whole sweep. What leaves the number open is refused. */
esc_status esc_run_choose_shard(esc_run *run);

/* Copies `path` with %a as the shard's number, %A and %j as Slurm's of array and job, which have to
 * be there. */
esc_status esc_run_expand(const char *path, int64_t shard, char *out, size_t size);

/* Fills output; `spec` is the spec's path. */
esc_status esc_run_choose_output(esc_run *run, const char *spec);

/* Fills `identity`. */
esc_status esc_run_identify(esc_run *run);

/* Whether a run of identity `found`, of the file `path`, may continue as this one: it is the
 * same, or has some of its members. Fits esc_journal_reader; `context` is the esc_run. */
esc_status esc_run_accepts(void *context, const char *path, esc_identity found);

/* Opens journals and checkpoint, and restores from them and from `base` what is finished:
 * results, done, snapshots, segments, networks that wait. */
esc_status esc_run_open_files(esc_run *run);

/* The member at `place` is finished, with this row. */
void esc_run_set_row(esc_run *run, int64_t place, const void *row);

/* Counts in `done` what earlier parts of the run left at `output`, and checks that they may
 * be continued, without changing a file. */
esc_status esc_run_inspect_files(esc_run *run, const char *output);

/* Members of this run that are found when the journals are synced and read again, --from's and an
 * earlier result's not counted; and networks in flight, when the checkpoint is. */
int64_t esc_run_confirmed_members(const esc_run *run);
int64_t esc_run_confirmed_networks(const esc_run *run);

/* Makes what journals of the run at `output` hold survive a power loss. */
esc_status esc_run_sync_files(const char *output);

/* Networks in the checkpoint of the run's output that are not `done`. */
int64_t esc_run_networks_in_files(const esc_run *run);

/* Marks in `done` the members that `base` holds (NULL: none). */
void esc_run_mark_base(esc_run *run, const esc_results *base);

/* Checks that every file of the run has a name that the file system of the output allows. */
esc_status esc_run_check_names(const esc_run *run);

/* Closes them; with `remove`, the result being published, deletes them. */
void esc_run_close_files(esc_run *run, bool remove);

/* Reads the result at `output`, if there is one and --force does not discard it, and the one
 * of --from: either is the whole of this run (*complete, its results are in run->results),
 * or a part of it (run->base), or is refused. */
esc_status esc_run_read_bases(esc_run *run, bool *complete);

/* Takes over the rows and snapshots of `base`; frees it. */
esc_status esc_run_use_bases(esc_run *run);

esc_run_stamp esc_run_stamp_of(const char *path);

/* This start of the program becomes a segment, in memory and in the journal (if open). */
esc_status esc_run_segment_begin(esc_run *run);

/* Notes what it has done so far; `ended`: how it ended, NULL: it has not. */
esc_status esc_run_segment_note(esc_run *run, const char *ended);

/* Deletes what a run left that died after it had published its result. */
void esc_run_clear_files(esc_run *run);

/* Chooses threads and slots within the machine's processors and memory: fewer
 * slots than asked for by default, ESC_NO_MEMORY with both numbers if not even
 * what the user named (or one network on one thread) fits. */
esc_status esc_run_size(esc_run *run);

/* Sets the attributes of `results`. */
esc_status esc_run_set_attributes(esc_run *run);

/* Says on stderr what makes the finished run one to doubt. */
void esc_run_warn(const esc_run *run);

/* Prints the summary, as text or as JSON. */
esc_status esc_run_summary(const esc_run *run);

/* Takes the lock of the output; a worker of a run with --devices has that of the whole from it. */
esc_status esc_run_lock(esc_run *run, const atomic_bool *stop);
extern const char esc_run_lock_variable[];

/* Refuses what is no list of devices. */
esc_status esc_run_devices_check(const char *text);

/* run --devices: trains the sweep in a process a device and merges the parts. The spec is at
 * argv[first]. */
esc_status esc_run_devices(const esc_run *run, int argc, char **argv, int first, atomic_bool *stop);

/* Checks that the parts that a run with --devices left may be continued, and counts their
 * finished members, without changing a file. */
esc_status esc_run_devices_inspect(const esc_run *run, int64_t *finished);

/* Refuses to train without --devices what was begun with it. */
esc_status esc_run_devices_refuse(const esc_run *run);

/* Deletes parts that such a run left: it died after it had published its result, or --force starts
 * anew. */
esc_status esc_run_devices_clear(const esc_run *run);

/* Bytes of the result file at most, from the description that writes it. */
esc_status esc_run_result_bytes(esc_run *run, int64_t snapshots, double *bytes);

/* Prints what the run would do, its memory and time; times a few steps. */
esc_status esc_run_dry(esc_run *run);

#endif
