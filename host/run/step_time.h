/* SPDX-License-Identifier: Apache-2.0 */
/* Measurement of the time of one step of one network. */
#ifndef ESC_STEP_TIME_H
#define ESC_STEP_TIME_H

#include "escapement/internal/engine.h"

/* The networks to be timed, and the clock. */
typedef struct esc_step_timing {
  const esc_engine_ops *ops;
  const esc_problem *problem;
  const esc_engine_setup *setup;
  const esc_member *member; /* the first setup->slots members in this order are trained: */
  const int64_t *order;     /* member[order[i]] */
  double (*now)(void);      /* seconds */
} esc_step_timing;

/* Trains them for 0.1 to 0.5 seconds, or for one step if that takes longer, without a step budget
 * and with thresholds that no loss reaches. *seconds is the time per network-step (diverged
 * networks make none); if all networks diverge in the first step, the time of that step, including
 * the initialization of the weights. `text` (size) receives a description of the engine. */
esc_status esc_step_time_measure(const esc_step_timing *what, double *seconds, char *text,
                                 size_t size);

#endif
