/* SPDX-License-Identifier: Apache-2.0 */
/* Training of a sweep: options, progress, cancellation, and a dry run that estimates the cost.
 *
 * A run with an output keeps files beside it (OUT.h5.journal, .snapshots, .weights, .checkpoint,
 * .lock), and
 * `resume` continues from them after any kind of end. A run without an output writes no file and
 * returns its results in memory. A member's numbers depend on the spec and the member's seed only:
 * not on threads, slots, shards, devices or interruptions. */
#ifndef ESCAPEMENT_RUN_H
#define ESCAPEMENT_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/results.h"
#include "escapement/spec.h"
#include "escapement/status.h"

/* A request to stop, from another thread or from a signal handler. */
typedef struct esc_stop esc_stop;

/* Network-steps of a run, including those before a resume. */
typedef struct esc_workload_steps {
  int64_t made;        /* made so far */
  double expected;     /* total, >= made */
  bool is_upper_bound; /* of `expected`: for some members only the step budget is known */
} esc_workload_steps;

typedef struct esc_progress {
  int64_t members, escaped, censored, diverged, running;
  int64_t network_steps;    /* made in this process */
  int64_t in_flight;        /* networks in the newest checkpoint */
  esc_workload_steps steps; /* made and expected, including those before a resume */
  double seconds;           /* wall time since the start or resume */
  int64_t slot_steps;       /* steps that each slot has advanced in this process */
} esc_progress;

/* Phases in which a second request to stop must not end the process at once: it is saving files, or
 * it supervises worker processes and asks them to stop itself. */
typedef enum esc_run_phase { ESC_RUN_PHASE_SAVING, ESC_RUN_PHASE_SUPERVISING } esc_run_phase;

typedef struct esc_snapshot_value {
  const char *name;      /* of the observable, as the variable of a result */
  const char *dimension; /* "layer", "interface", or NULL: one number */
  int length;
  const double *value; /* (length) */
} esc_snapshot_value;

/* A snapshot of one network (record.every, record.per_decade), valid during the call. */
typedef struct esc_snapshot {
  int64_t member; /* index in the whole sweep */
  int64_t seed;
  int bottleneck;
  uint64_t small_layers; /* bit l-1 for layer l */
  double scale;
  int64_t step;
  bool is_end; /* the last one of the member, which has finished at `step` */
  int values;
  const esc_snapshot_value *value; /* (values) */
} esc_snapshot;

/* Called on the thread that called the library. Each function may be NULL. */
typedef struct esc_run_callbacks {
  void *context;
  /* A warning ("warning: ...") or a note, one line without its newline. */
  void (*message)(void *context, const char *text);
  /* Called several times a second; returning false stops the run as esc_stop_request does. Not
   * called with `devices`, where worker processes train: stop such a run with esc_stop_request. */
  bool (*progress)(void *context, const esc_progress *progress);
  /* Called when a phase begins or ends. Phases may be nested. */
  void (*phase)(void *context, esc_run_phase phase, bool begins);
  /* Called with each snapshot when it has been recorded; those of one member ascend. A resumed run
   * repeats those after the checkpoint, and no earlier ones. Not called with `devices`. */
  void (*snapshot)(void *context, const esc_snapshot *snapshot);
} esc_run_callbacks;

/* Initialize with esc_run_options_init. Texts are borrowed. NULL and 0 select the default. */
typedef struct esc_run_options {
  const char *output;    /* result file; NULL: no files are written */
  const char *from;      /* result of an earlier run, whose members are reused */
  const char *backend;   /* auto (a GPU if there is one), reference, cpu or cuda */
  const char *path;      /* auto; cuda: fused, fused-3xtf32, cublas; cpu: interleaved, padded */
  const char *precision; /* fp32, or tf32 with cuda */
  int device;            /* index of the GPU; -1: not set, the first */
  const char *devices;   /* "0,1,..." or "cpu,cpu": a worker process for each; needs an output */
  int threads, slots;    /* threads, networks in flight; 0: chosen by processor and memory */
  int64_t shard, shards; /* train members shard, shard + shards, ... only; shards 0: all members */
  double checkpoint_seconds; /* interval between checkpoints; 0: one checkpoint, when stopped */
  double seconds_max; /* stop after this time, with a checkpoint: ESC_OUT_OF_TIME; 0: no limit */
  bool resume; /* continue from the files beside the output, or start a new run if there are none */
  bool force;  /* replace an existing result; without `resume` also its journal */
  bool quiet;  /* warnings only, no notes */
  const char *command_line; /* command that reproduces the run, for the result's provenance */
  /* Program that `devices` starts; NULL: escapement in ../bin beside the library, else in PATH.
   * Workers are child processes; the calling program may ignore SIGCHLD or wait for them. */
  const char *worker;
  esc_stop *stop;
  esc_run_callbacks callbacks;
  const char *log; /* file to which events are appended as JSON lines; NULL: none */
} esc_run_options;

/* Summary of a finished run. */
typedef struct esc_run_report {
  int64_t members, escaped, censored, diverged;
  int64_t members_kept;  /* finished before this call; 0 with `devices` */
  int64_t network_steps; /* made in this call by this process; 0 with `devices` */
  double seconds;        /* wall time of these steps */
  /* Largest |residual| of the imbalance identity, relative, and the largest that rounding explains;
   * both NaN with train.optimizer: adam, which has no such identity. The residual is also NaN if
   * every member diverged. */
  double ledger_residual_max, ledger_bound;
  double lost_updates_max; /* largest fraction of a member's weight updates that rounding removed */
  double flop_per_step;    /* of one network, by the textbook operation count */
  bool complete;           /* the output already contained every member */
  int shards_merged;       /* shards that were merged (`devices`); 0: none */
  char backend[32], engine[128], device[256], output[4096];
} esc_run_report;

/* Forecast for one scale of one group: escape steps expected by theory. NaN without a forecast. */
typedef struct esc_forecast_cell {
  int cohort; /* index of its point of the grid */
  int bottleneck;
  uint64_t small_layers; /* bit l-1 for layer l */
  double scale;
  int64_t members, remaining; /* of this shard; of these, not finished yet */
  int samples;                /* members that were forecast */
  const char *method;         /* "linear flow", "reduced ODE", "block reduction", or NULL */
  const char *note;           /* reason for a missing forecast, or NULL */
  /* Median, 16% and 84% quantiles over members, at the last threshold. */
  double step, lower, upper;
  const double *threshold_step; /* (thresholds) median */
  double censored;              /* expected fraction */
  double steps;                 /* expected mean number of steps, at most train.steps */
  bool is_lower_bound; /* `step` is a lower bound: the forecast does not reach some threshold */
  bool is_full_width;  /* computed at the network's width; false: at a smaller width in its place */
} esc_forecast_cell;

/* Cost of the networks at one point of a grid, which share a shape and are trained together. */
typedef struct esc_cohort_cost {
  char *point;                   /* "network.width = 16, train.batch = 8" */
  int64_t members, members_kept; /* of this shard; already finished */
  int layers, width, inputs, batch, slots;
  double host_bytes, device_bytes;
  double seconds_per_step, seconds_max, seconds_predicted; /* as in esc_dry_run */
} esc_cohort_cost;

/* Plan and estimated cost of a run. With a grid, whose points are trained one after another: the
 * largest memory and numbers of slots, threads and snapshots, sums of members, times and sizes. */
typedef struct esc_dry_run {
  int64_t members, members_total; /* of this shard and of the whole sweep */
  int64_t members_kept;           /* already finished */
  char backend[32], engine[128], output[4096];
  int slots, threads;
  double host_bytes, device_bytes, result_bytes; /* upper bounds */
  bool on_device;
  double seconds_per_step;  /* for one network, measured */
  double seconds_max;       /* if every network makes train.steps steps */
  double seconds_predicted; /* from the forecast; NaN without one */
  int64_t snapshots;        /* upper bound for one network */
  int samples;              /* size of the evaluation sample */
  double snapshot_bytes;    /* upper bound for all snapshots, before compression */
  double seconds_per_snapshot, recording_share; /* fraction of the training time */
  double
      weights_bytes; /* upper bound for all stored weights (record.weights), before compression */
  int thresholds, cells;
  esc_forecast_cell *cell; /* (cells), in the order of the sweep */
  double *threshold_step;  /* (cells, thresholds) */
  int cohorts;             /* points of the grid; 0: the sweep has none */
  esc_cohort_cost *cohort; /* (cohorts), in the order of the sweep */
} esc_dry_run;

ESC_BEGIN_DECLS

ESC_API void esc_run_options_init(esc_run_options *options);

/* Trains the sweep of `spec`, or its unfinished members. `report` and `results` may be NULL; the
 * caller owns the results. ESC_INTERRUPTED and ESC_OUT_OF_TIME: the run was stopped, and the
 * message states what was saved and where. ESC_BAD_INPUT if another run, also one of this process,
 * uses the output. The library installs no signal handlers; see esc_stop. */
ESC_API esc_status esc_sweep_run(const esc_spec *spec, const esc_run_options *options,
                                 esc_run_report *report, esc_results **results);

/* Makes the initial checks of the run, times a few steps, and forecasts escape steps by theory.
 * Trains no member and changes no file. Free with esc_dry_run_free. */
ESC_API esc_status esc_sweep_dry_run(const esc_spec *spec, const esc_run_options *options,
                                     esc_dry_run *out);
ESC_API void esc_dry_run_free(esc_dry_run *dry_run);

ESC_API esc_status esc_stop_create(esc_stop **out);

/* Asks all runs with this request to save and end. Async-signal-safe. */
ESC_API void esc_stop_request(esc_stop *stop);

/* To be called after the runs have returned. A request cannot be withdrawn: later runs need a new
 * one. NULL is allowed. */
ESC_API void esc_stop_free(esc_stop *stop);

ESC_END_DECLS

#endif
