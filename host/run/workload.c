/* SPDX-License-Identifier: Apache-2.0 */
/* Expected steps of a run, by cell (one scale of one group). */
#include "run/workload.h"

#include <math.h>
#include <stdlib.h>

static const double growth_factor = 1.25; /* for a member that has exceeded the mean */

typedef struct cell {
  int64_t members, finished, running;
  double steps;     /* of the finished members */
  double predicted; /* sum over members; NaN: unknown */
} cell;

struct esc_workload {
  double budget;
  double steps_max; /* of the finished members; 0: none has finished */
  int cells;
  cell *cell;
  int *cell_of; /* (members) */
};

static void fill(esc_workload *f, const esc_plan *plan, const double *predicted) {
  for (int64_t i = 0; i < plan->members; i++) {
    const esc_member *m = &plan->member[i];
    f->cells += i == 0 || !esc_plan_is_same_cell(m, m - 1);
    f->cell_of[i] = f->cells - 1;
    cell *c = &f->cell[f->cells - 1];
    c->members++;
    c->predicted += predicted ? fmin(predicted[i], f->budget) : (double)NAN;
    if (predicted && isnan(predicted[i])) c->predicted = (double)NAN; /* fmin ignores NaN */
  }
}

esc_status esc_workload_create(const esc_plan *plan, int64_t budget, const double *predicted,
                               esc_workload **out) {
  esc_status status = ESC_OK;
  const size_t members = (size_t)plan->members + 1;
  esc_workload *f = calloc(1, sizeof *f);
  ESC_TRY_ALLOCATE(f);
  f->budget = (double)budget;
  ESC_TRY_ALLOCATE(f->cell = calloc(members, sizeof *f->cell));
  ESC_TRY_ALLOCATE(f->cell_of = calloc(members, sizeof *f->cell_of));
  fill(f, plan, predicted);
  *out = f;
  f = NULL;
done:
  esc_workload_free(f);
  return status;
}

void esc_workload_free(esc_workload *f) {
  if (!f) return;
  free(f->cell);
  free(f->cell_of);
  free(f);
}

void esc_workload_finish(esc_workload *f, int64_t index, int64_t steps) {
  cell *c = &f->cell[f->cell_of[index]];
  c->finished++;
  c->steps += (double)steps;
  f->steps_max = fmax(f->steps_max, (double)steps);
}

static bool is_predicted(const cell *c) { return !isnan(c->predicted); }

static double expected_of_one(const esc_workload *f, const cell *c) {
  if (c->finished > 0) return c->steps / (double)c->finished;
  if (is_predicted(c)) return c->predicted / (double)c->members;
  return f->steps_max > 0 ? f->steps_max : f->budget;
}

esc_workload_steps esc_workload_expect(esc_workload *f, int slots, const int64_t *index,
                                       const int64_t *steps) {
  esc_workload_steps out = {0};
  double finished = 0;
  for (int i = 0; i < f->cells; i++) f->cell[i].running = 0;
  for (int i = 0; i < slots; i++) {
    if (index[i] < 0) continue;
    cell *c = &f->cell[f->cell_of[index[i]]];
    const double made = (double)steps[i];
    c->running++;
    out.made += steps[i];
    out.expected += fmax(made, fmin(fmax(expected_of_one(f, c), growth_factor * made), f->budget));
  }
  for (int i = 0; i < f->cells; i++) {
    const cell *c = &f->cell[i];
    const int64_t waiting = c->members - c->finished - c->running;
    finished += c->steps;
    out.expected += c->steps + (double)waiting * expected_of_one(f, c);
    out.is_upper_bound |= c->finished == 0 && !is_predicted(c) && f->steps_max == 0;
  }
  out.made += (int64_t)fmin(finished, 4e18);
  return out;
}
