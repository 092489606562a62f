/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler: trains a plan's members in an engine's slots. A slot whose member has finished is
 * refilled with the next member. */
#ifndef ESC_SCHEDULER_H
#define ESC_SCHEDULER_H

#include "escapement/internal/engine.h"
#include "escapement/run.h"
#include "run/plan.h"
#include "run/recorder.h"
#include "run/weight_recorder.h"
#include "run/workload.h"
#include "store/checkpoint.h"
#include "store/journal.h"

typedef void esc_progress_report(void *context, const esc_progress *progress);

typedef enum esc_train_event_kind {
  ESC_EVENT_ESCAPE,     /* member `index` of the plan crossed `threshold` at `step` */
  ESC_EVENT_RETIREMENT, /* member `index` has ended; its row is complete */
  ESC_EVENT_SNAPSHOT,   /* of `networks` networks */
  ESC_EVENT_CHECKPOINT  /* of `networks` networks, of this digest (checkpoint.h) */
} esc_train_event_kind;

typedef struct esc_train_event {
  esc_train_event_kind kind;
  int threshold;
  int64_t index, step, networks;
  uint64_t digest;
} esc_train_event;

typedef void esc_train_event_report(void *context, const esc_train_event *event);

typedef struct esc_schedule {
  const esc_engine_ops *engine;
  esc_engine_setup setup;
  const atomic_bool *stop;              /* set by others to stop at a step boundary */
  esc_journal *journal;                 /* finished members are appended; NULL for none */
  esc_recorder *recorder;               /* of snapshots; NULL for none */
  esc_weight_recorder *weight_recorder; /* NULL for none */
  esc_checkpoint *checkpoint;           /* of members in flight; NULL for none */
  double checkpoint_seconds;            /* interval; 0: one checkpoint, when stopped */
  double seconds_max;                   /* time limit; 0: none */
  bool *done;                           /* (members) input: finished before; output: finished */
  const double *predicted; /* (members) steps of each expected by theory; NULL: unknown */
  esc_progress_report *report;
  void (*phase)(void *context, esc_run_phase phase, bool begins); /* may be NULL */
  esc_train_event_report *event;                                  /* may be NULL */
  void *context;
  void (*warn)(const char *format, ...) __attribute__((format(printf, 1, 2)));
} esc_schedule;

/* Trains the members that are not done into the rows of `results` (same order as
 * plan->member). `engine_text` receives the engine's description.
 * ESC_INTERRUPTED when *stop was set before all had finished, ESC_OUT_OF_TIME when
 * seconds_max had passed: members in flight are in the checkpoint then. A periodic checkpoint that
 * fails is only warned of; the previous one is kept. */
esc_status esc_schedule_train(const esc_problem *problem, const esc_plan *plan,
                              esc_schedule *schedule, esc_results *results, esc_progress *progress,
                              char engine_text[128]);

#endif
