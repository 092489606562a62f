/* SPDX-License-Identifier: Apache-2.0 */
/* The critical decay of a start (docs/theory, section 4.11): bisection of the reduced ODE between a
 * decay with which the watched scale reaches s* and one with which it does not, and the leading
 * order. */
#include <math.h>

#include "decayed_path.h"
#include "escapement/internal/theory.h"
#include "reduced_ode.h"

/* Relative width of the last bracket, and of one that suffices where an integration between its
 * ends is undecided; limit of one integration, in evaluations of the activation. */
static const double bracket_width = 1e-10, undecided_width = 1e-8, work_max = 2e7;
static const double bracket_factor = 4; /* between trial decays before the first bracket */
enum { BRACKETS_MAX = 300 };

typedef enum outcome { CROSSES, DOES_NOT_CROSS, UNDECIDED } outcome;

static esc_status integrate(const esc_escape_problem *problem, double decay, outcome *out,
                            double *time) {
  esc_status status = ESC_OK;
  esc_escape_problem p = *problem;
  const esc_crossing_request request = {.work = work_max};
  esc_crossing c;
  p.decay = decay;
  ESC_TRY(esc_reduced_crossing(&p, &request, &c));
  *time = c.time;
  *out = c.end == ESC_FLOW_CROSSED ? CROSSES
         : c.end == ESC_FLOW_FIXED || c.end == ESC_FLOW_SADDLE || c.end == ESC_FLOW_DECAYED
             ? DOES_NOT_CROSS
             : UNDECIDED;
done:
  return status;
}

/* A decay with which the scale crosses, and a larger one with which it does not; *end is the
 * outcome of the last integration. */
static esc_status find_bracket(const esc_escape_problem *p, double *low, double *high,
                               outcome *end) {
  esc_status status = ESC_OK;
  double decay, time;
  *low = 0, *high = HUGE_VAL;
  ESC_TRY(integrate(p, 0, end, &time));
  if (*end != CROSSES) goto done;
  decay = 1 / time;
  for (int i = 0; i < BRACKETS_MAX && (*low == 0 || isinf(*high)); i++) {
    ESC_TRY(integrate(p, decay, end, &time));
    if (*end == UNDECIDED) goto done;
    *(*end == CROSSES ? low : high) = decay;
    decay *= *end == CROSSES ? bracket_factor : 1 / bracket_factor;
  }
  if (*low == 0 || isinf(*high)) *end = UNDECIDED;
done:
  return status;
}

static esc_status bisect(const esc_escape_problem *p, double *out) {
  esc_status status = ESC_OK;
  double low, high, time;
  outcome end;
  *out = (double)NAN;
  ESC_TRY(find_bracket(p, &low, &high, &end));
  if (low == 0 || end == UNDECIDED) goto done;
  while (high > low * (1 + bracket_width)) {
    const double middle = sqrt(low) * sqrt(high);
    ESC_TRY(integrate(p, middle, &end, &time));
    if (end == UNDECIDED) break;
    *(end == CROSSES ? &low : &high) = middle;
  }
  if (!(high > low * (1 + undecided_width))) *out = low;
done:
  return status;
}

/* The critical decay at leading order. */
static esc_status find_closed(const esc_escape_problem *p, double *out) {
  esc_status status = ESC_OK;
  esc_escape_times unused;
  esc_leading_order start = {.problem = p, .times = &unused};
  double time = 1;
  *out = (double)NAN;
  ESC_TRY(esc_leading_order_find(&start));
  if (!(start.drive > 0) || isinf(start.drive) || start.class_.a[0] != 0) goto done;
  if (p->layers > 2) ESC_TRY(esc_divergence_time(&start, &time));
  *out = start.drive / (p->layers > 2 ? (p->layers - 2) * time : 1);
done:
  return status;
}

esc_status esc_critical_decay_find(const esc_escape_problem *problem, esc_critical_decay *out) {
  esc_status status = ESC_OK;
  *out = (esc_critical_decay){HUGE_VAL, HUGE_VAL};
  if (problem->scale[problem->layer] >= problem->to) return ESC_OK;
  ESC_TRY(bisect(problem, &out->ode));
  ESC_TRY(find_closed(problem, &out->closed));
done:
  return status;
}
