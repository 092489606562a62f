/* One call of the verb run: what was asked, and what it works with. */
#ifndef ESC_RUN_H
#define ESC_RUN_H

#include <stdatomic.h>

#include "backends.h"
#include "escapement/engine.h"
#include "plan.h"
#include "scheduler.h"
#include "spec/spec.h"
#include "store/checkpoint.h"
#include "store/journal.h"

typedef struct esc_run_request {
  const char *output, *shard, *devices;
  esc_backend_request backend;
  int64_t threads, slots; /* 0: not given */
  int64_t device;
  double checkpoint_seconds, seconds_max;
  bool resume, force, dry_run, quiet, json;
  char **argv;
  int argc;
} esc_run_request;

typedef struct esc_run {
  esc_run_request ask;
  esc_spec *spec;
  char *resolved; /* the spec's text with every default */
  char output[4096];
  int64_t shard, shards;
  esc_plan plan;
  const esc_engine_ops *engine;
  esc_engine_setup setup;
  esc_bytes bytes; /* of the engine with it */
  char engine_text[128], device[256];
  esc_results *results;
  esc_journal *journal, *snapshots;
  esc_checkpoint *checkpoint;
  esc_recorder *recorder; /* NULL: no snapshots */
  bool *done;             /* (members) */
  esc_progress progress;
  char warning[ESC_WARNING_SIZE];
} esc_run;

/* Reads the options; *first is the place of the spec in argv. */
esc_status esc_run_parse(esc_run_request *ask, int argc, char **argv, int *first, bool *help);

/* Fills shard and shards: what was asked for, or in a Slurm array, if the output's name
 * has a %a, the task's number and how many there are; else the whole sweep. */
esc_status esc_run_choose_shard(esc_run *run);

/* Fills output; `spec` is the spec's path. */
esc_status esc_run_choose_output(esc_run *run, const char *spec);

/* Opens journals and checkpoint, and takes from them what an earlier part of the run left:
 * results, done, snapshots, networks that wait. */
esc_status esc_run_open_files(esc_run *run);

/* Closes them; with `remove`, the result being published, deletes them. */
void esc_run_close_files(esc_run *run, bool remove);

/* Deletes what a run left that died after it had published its result. */
void esc_run_clear_files(esc_run *run);

/* Chooses threads and slots within the machine's processors and memory: fewer
 * slots than asked for by default, ESC_NO_MEMORY with both numbers if not even
 * what the user named (or one network on one thread) fits. */
esc_status esc_run_size(esc_run *run);

/* Says on stderr what makes the finished run one to doubt. */
void esc_run_warn(const esc_run *run);

/* Prints the summary, as text or as JSON. */
esc_status esc_run_summary(const esc_run *run);

/* Where `run` is the worker of a run with --devices: ends, saved, when that run's process does. */
void esc_run_follow_parent(void);

/* Refuses what is no list of devices. */
esc_status esc_run_devices_check(const char *text);

/* run --devices: trains the sweep in a process a device and merges the parts. The spec is at
 * argv[first]. */
esc_status esc_run_devices(const esc_run *run, int argc, char **argv, int first, atomic_bool *stop);

/* Refuses to train without --devices what was begun with it. */
esc_status esc_run_devices_refuse(const esc_run *run);

/* Deletes parts that such a run left that died after it had published its result. */
void esc_run_devices_clear(const esc_run *run);

/* Prints what the run would do, its memory and time; times a few steps. */
esc_status esc_run_dry(esc_run *run);

#endif
