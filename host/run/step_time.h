/* How long one step of one network takes. */
#ifndef ESC_STEP_TIME_H
#define ESC_STEP_TIME_H

#include "escapement/internal/engine.h"

/* Trains setup->slots members, those at member[order[i]], for 0.1 to 0.5 seconds of steps of
 * `problem`, or one step that takes longer, without an end of its budget and with thresholds that
 * no loss passes: the steps are those of a network that trains. *seconds is the time over the steps
 * that were made (networks that have diverged make none); where all diverge in the first step, that
 * step's, with the drawing of the weights. `now` tells seconds. `text` (size) describes the engine.
 */
esc_status esc_step_time(const esc_engine_ops *ops, const esc_problem *problem,
                         const esc_engine_setup *setup, const esc_member *member,
                         const int64_t *order, double (*now)(void), double *seconds, char *text,
                         size_t size);

#endif
