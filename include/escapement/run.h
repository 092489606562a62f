/* SPDX-License-Identifier: Apache-2.0 */
/* Training a sweep: options, progress, cancellation, and what a run would cost.
 *
 * With an output a run keeps files beside it (OUT.h5.journal, .snapshots, .checkpoint, .lock) and
 * goes on from them with `resume`, whatever ended it; without one nothing is written and the
 * results are in memory alone. A member's numbers are a function of the spec and its seed: not of
 * threads, slots, shards, devices or interruptions. */
#ifndef ESCAPEMENT_RUN_H
#define ESCAPEMENT_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/results.h"
#include "escapement/spec.h"
#include "escapement/status.h"

/* A request to stop, from another thread or from a signal handler. */
typedef struct esc_stop esc_stop;

/* Network-steps of a run, those of earlier parts of it too. */
typedef struct esc_workload_steps {
  int64_t made;        /* so far */
  double expected;     /* in all, >= made */
  bool is_upper_bound; /* of some members only the budget is known, so `expected` is an upper bound
                        */
} esc_workload_steps;

typedef struct esc_progress {
  int64_t members, escaped, censored, diverged, running;
  int64_t network_steps;    /* made in this process */
  int64_t in_flight;        /* networks in the checkpoint that was written last */
  esc_workload_steps steps; /* made and expected, in all parts of the run */
  double seconds;           /* of this part */
} esc_progress;

/* Parts of a run in which a process that is asked twice to end should wait: it saves, or it
 * supervises worker processes, which it asks to stop itself. */
typedef enum esc_run_phase { ESC_RUN_PHASE_SAVING, ESC_RUN_PHASE_SUPERVISING } esc_run_phase;

/* Called on the thread that called the library; each function may be NULL. */
typedef struct esc_run_callbacks {
  void *context;
  /* A warning ("warning: ...") or a note, one line without its newline. */
  void (*message)(void *context, const char *text);
  /* Several times a second; false stops the run as esc_stop_request does. Not with `devices`, whose
   * workers train: such a run is stopped by esc_stop_request. */
  bool (*progress)(void *context, const esc_progress *progress);
  /* A phase begins or ends; phases may be nested. */
  void (*phase)(void *context, esc_run_phase phase, bool begins);
} esc_run_callbacks;

/* Begin with esc_run_options_init. Texts are borrowed; NULL and 0 stand for the default. */
typedef struct esc_run_options {
  const char *output;    /* result file; NULL: none, no files at all */
  const char *from;      /* an earlier result whose members are not trained again */
  const char *backend;   /* auto (a GPU where there is one), reference, cpu or cuda */
  const char *path;      /* of cuda: auto, fused, fused-3xtf32 or cublas */
  const char *precision; /* fp32, or with cuda tf32 */
  int device;            /* index of the GPU; -1: the first, none is asked for */
  const char *devices;   /* "0,1,..." or "cpu,cpu": a worker process for each (needs an output) */
  int threads, slots;    /* threads, networks in flight; 0: what suits processor and memory */
  int64_t shard, shards; /* train only members shard, shard + shards, ...; shards 0: all */
  double checkpoint_seconds; /* between two checkpoints; 0: only when stopped */
  double seconds_max;        /* then stop with a checkpoint: ESC_OUT_OF_TIME; 0: never */
  bool resume;               /* continue what is there, or begin where nothing is */
  bool force;                /* replace an existing result; without resume its journal too */
  bool quiet;                /* no notes, warnings alone */
  const char *command_line;  /* how to do this again, for the result's provenance */
  /* The program that `devices` starts; NULL: escapement in ../bin beside the library, else in PATH.
   * Workers are children of this process; a program may ignore SIGCHLD or wait for them. */
  const char *worker;
  esc_stop *stop;
  esc_run_callbacks callbacks;
} esc_run_options;

/* What a run came to. */
typedef struct esc_run_report {
  int64_t members, escaped, censored, diverged;
  int64_t members_kept;       /* finished before this call; 0 with `devices` */
  int64_t network_steps;      /* made in this call, by this process: 0 with `devices` */
  double seconds;             /* that they took */
  double ledger_residual_max; /* largest |residual| of the imbalance identity, relative */
  double ledger_bound;        /* what rounding explains of it */
  double lost_updates_max;    /* largest share of a member's updates that rounding removed */
  double flop_per_step;       /* of one network, by the textbook count */
  bool complete;              /* the output had every member: nothing was left to do */
  int shards_merged;          /* parts that were joined (`devices`); 0: none */
  char backend[32], engine[128], device[256], output[4096];
} esc_run_report;

/* One scale of one group in a dry run: steps that theory expects. NaN without a forecast. */
typedef struct esc_forecast_cell {
  int bottleneck;
  uint64_t small_layers; /* bit l-1 for layer l */
  double scale;
  int64_t members, remaining;   /* of this shard; of these not finished yet */
  int samples;                  /* of these, forecast */
  const char *method;           /* "linear flow", "reduced ODE", "block reduction", or NULL */
  const char *note;             /* why there is no forecast, or NULL */
  double step, lower, upper;    /* median and 16% to 84% of members, to the last threshold */
  const double *threshold_step; /* (thresholds) median */
  double censored;              /* expected share */
  double steps;                 /* expected mean of the steps made, at most train.steps */
  bool is_lower_bound;          /* a threshold that the forecast cannot reach: a lower bound */
  bool is_full_width;           /* not of a narrower network in its place */
} esc_forecast_cell;

/* What a run would do and cost. */
typedef struct esc_dry_run {
  int64_t members, members_total; /* of this shard, of the sweep */
  int64_t members_kept;           /* finished already */
  char backend[32], engine[128], output[4096];
  int slots, threads;
  double host_bytes, device_bytes, result_bytes; /* at most */
  bool on_device;
  double seconds_per_step;                      /* of one network, measured */
  double seconds_max;                           /* if every network trains for train.steps */
  double seconds_predicted;                     /* by the forecast; NaN without one */
  int64_t snapshots;                            /* of a network, at most */
  int samples;                                  /* of the evaluation sample */
  double snapshot_bytes;                        /* of all, at most, before compression */
  double seconds_per_snapshot, recording_share; /* share of the training time */
  int thresholds, cells;
  esc_forecast_cell *cell; /* (cells), in the order of the sweep */
  double *threshold_step;  /* (cells, thresholds) */
} esc_dry_run;

ESC_BEGIN_DECLS

ESC_API void esc_run_options_init(esc_run_options *options);

/* Trains the sweep of `spec`, or what is left of it. `report` and `results` may be NULL; the
 * results are the caller's. ESC_INTERRUPTED and ESC_OUT_OF_TIME: stopped; what was saved, and
 * where, is in the message. Another run on the output, in this
 * process too, is ESC_BAD_INPUT. The library installs no signal handlers: see esc_stop. */
ESC_API esc_status esc_sweep_run(const esc_spec *spec, const esc_run_options *options,
                                 esc_run_report *report, esc_results **results);

/* Makes the checks that the run would begin with, times a few steps, and forecasts escape steps by
 * theory; trains nothing and changes no file. Free with esc_dry_run_free. */
ESC_API esc_status esc_sweep_dry_run(const esc_spec *spec, const esc_run_options *options,
                                     esc_dry_run *out);
ESC_API void esc_dry_run_free(esc_dry_run *dry_run);

ESC_API esc_status esc_stop_create(esc_stop **out);

/* Asks the runs that have this request to save and end; may be called from a signal handler. */
ESC_API void esc_stop_request(esc_stop *stop);

/* Not before the runs have returned: a request stays made, so that each run needs a new one once it
 * was. NULL is fine. */
ESC_API void esc_stop_free(esc_stop *stop);

ESC_END_DECLS

#endif
