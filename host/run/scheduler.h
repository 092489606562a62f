/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler: trains a plan's members in an engine's slots. A slot whose
 * member has finished takes the next one, so no lane trains a finished network. */
#ifndef ESC_SCHEDULER_H
#define ESC_SCHEDULER_H

#include "escapement/internal/engine.h"
#include "escapement/run.h"
#include "run/plan.h"
#include "run/recorder.h"
#include "run/workload.h"
#include "store/checkpoint.h"
#include "store/journal.h"

typedef void esc_progress_report(void *context, const esc_progress *progress);

typedef struct esc_schedule {
  const esc_engine_ops *engine;
  esc_engine_setup setup;
  const atomic_bool *stop;    /* set from outside to stop at a step boundary */
  esc_journal *journal;       /* finished members are appended; NULL for none */
  esc_recorder *recorder;     /* of snapshots; NULL for none */
  esc_checkpoint *checkpoint; /* of members in flight; NULL for none */
  double checkpoint_seconds;  /* between two; 0: only one, when it is stopped */
  double seconds_max;         /* when to stop; 0: never */
  bool *done;                 /* (members) in: finished earlier; out: finished */
  const double *predicted;    /* (members) steps that theory expects of each; NULL: none */
  esc_progress_report *report;
  void (*phase)(void *context, esc_run_phase phase, bool begins); /* NULL: nobody is told */
  void *context;
  void (*warn)(const char *format, ...) __attribute__((format(printf, 1, 2)));
} esc_schedule;

/* Trains what is not done into the rows of `results` (same order as
 * plan->member). `engine_text` gets the engine's description of itself.
 * ESC_INTERRUPTED when *stop was set before all had finished, ESC_OUT_OF_TIME when
 * seconds_max had passed: members in flight are in the checkpoint then. A checkpoint that
 * fails on the way is warned of, and the one before it stays. */
esc_status esc_schedule_train(const esc_problem *problem, const esc_plan *plan,
                              esc_schedule *schedule, esc_results *results, esc_progress *progress,
                              char engine_text[128]);

#endif
