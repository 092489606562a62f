/* SPDX-License-Identifier: Apache-2.0 */
/* How many network-steps a run will make in all: what the progress bar and its ETA are measured
 * against, on the plateau too, where nothing finishes. */
#ifndef ESC_WORKLOAD_H
#define ESC_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/internal/status.h"
#include "escapement/run.h"
#include "run/plan.h"

typedef struct esc_workload esc_workload;

/* `budget`: steps after which a member is censored. `predicted` (plan->members), or NULL: the steps
 * that theory expects of each member, NaN where it says nothing; read here only. */
esc_status esc_workload_create(const esc_plan *plan, int64_t budget, const double *predicted,
                               esc_workload **out);
void esc_workload_free(esc_workload *workload); /* NULL is fine */

/* The member at `index` of the plan has ended after `steps` steps. */
void esc_workload_finish(esc_workload *workload, int64_t index, int64_t steps);

/* Finished members count with the steps that they made. Of the others of a scale of a group each is
 * expected to make the mean of its finished members; before there are any the mean of the
 * prediction; without one the most that any member has made, because the plan starts those first
 * that are expected to be longest; before any has finished the budget. A member in flight is
 * expected to make at least a quarter more than it has made.
 * `index` (slots): the member in each slot, or below 0; `steps` (slots): what it has made. */
esc_workload_steps esc_workload_expect(esc_workload *workload, int slots, const int64_t *index,
                                       const int64_t *steps);

#endif
