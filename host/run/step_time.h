/* SPDX-License-Identifier: Apache-2.0 */
/* How long one step of one network takes. */
#ifndef ESC_STEP_TIME_H
#define ESC_STEP_TIME_H

#include "escapement/internal/engine.h"

/* Which steps are timed, and by which clock. */
typedef struct esc_step_timing {
  const esc_engine_ops *ops;
  const esc_problem *problem;
  const esc_engine_setup *setup;
  const esc_member *member; /* the first setup->slots of them, in this order, ... */
  const int64_t *order;     /* ... member[order[i]], are trained */
  double (*now)(void);      /* seconds */
} esc_step_timing;

/* Trains them for 0.1 to 0.5 seconds of steps of
 * the problem, or one step that takes longer, without an end of its budget and with thresholds that
 * no loss passes: the steps are those of a network that trains. *seconds is the time over the steps
 * that were made (networks that have diverged make none); where all diverge in the first step, that
 * step's, with the drawing of the weights. `text` (size) describes the engine. */
esc_status esc_step_time_measure(const esc_step_timing *what, double *seconds, char *text,
                                 size_t size);

#endif
