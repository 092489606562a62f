/* SPDX-License-Identifier: Apache-2.0 */
/* Expected total network-steps of a run, for the progress bar and its ETA, also on the plateau,
 * where no member finishes. */
#ifndef ESC_WORKLOAD_H
#define ESC_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/internal/status.h"
#include "escapement/run.h"
#include "run/plan.h"

typedef struct esc_workload esc_workload;

/* `budget`: steps after which a member is censored. `predicted` (plan->members), or NULL: steps of
 * each member expected by theory, NaN if unknown; not kept. */
esc_status esc_workload_create(const esc_plan *plan, int64_t budget, const double *predicted,
                               esc_workload **out);
void esc_workload_free(esc_workload *workload); /* NULL is allowed */

/* The member at `index` of the plan has ended after `steps` steps. */
void esc_workload_finish(esc_workload *workload, int64_t index, int64_t steps);

/* Expected steps: a finished member counts with its steps. An unfinished member of a cell (one
 * scale of one group) counts with the mean of the cell's finished members; if there are none, with
 * the mean prediction; without a prediction, with the maximum over all finished members, because
 * the plan starts the longest first; if none has finished, with the budget. A member in flight
 * counts with at least 1.25 times its steps so far. `index` (slots): the member in each slot,
 * negative if empty; `steps` (slots): steps made so far. */
esc_workload_steps esc_workload_expect(esc_workload *workload, int slots, const int64_t *index,
                                       const int64_t *steps);

#endif
