/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of an unfinished run: the present state, and for statistics (docs/theory, section 11.6). */
#include <math.h>
#include <stdlib.h>

#include "run/unfinished_part.h"

/* Row `to` for a member of which only the plan is known. */
static void fill_waiting(const esc_member *m, esc_results *out, int64_t to) {
  out->member[to] = m->index;
  out->seed[to] = (int64_t)m->seed;
  out->group[to] = m->group;
  out->bottleneck[to] = m->bottleneck;
  out->small_layers[to] = (int64_t)m->small_layers;
  out->scale[to] = m->scale;
  out->status[to] = ESC_MEMBER_WAITING;
  out->signal_initial[to] = NAN;
  for (int k = 0; k < out->thresholds; k++) out->escape_step[to * out->thresholds + k] = -1;
}

static void fill_running(const esc_saved_network *n, esc_results *out, int64_t to) {
  out->status[to] = ESC_MEMBER_RUNNING;
  out->steps_run[to] = n->step;
  out->signal_initial[to] = n->signal;
  out->signal_initial_error[to] = n->signal_error;
  for (int k = 0; k < out->thresholds; k++)
    out->escape_step[to * out->thresholds + k] = n->escape_step[k];
}

/* Row of a finished member; `row` is workspace. */
static void fill_finished(const esc_run *r, int64_t i, char *row, esc_results *out, int64_t to) {
  esc_results_pack(r->results, i, row);
  esc_results_unpack(out, to, row);
  out->member[to] = r->plan.member[i].index;
}

static char *allocate_row(const esc_run *r) {
  return malloc(esc_results_row_size(r->results->thresholds, r->results->layers));
}

/* Networks in training: of an active run the first unfinished ones in the order of starting, as
 * many as it has slots, else those of the checkpoint. */
static void mark_running(const esc_unfinished_part *p, bool active, esc_results *now, int64_t to) {
  const esc_run *r = &p->run;
  const size_t segments = json_array_size(r->segments);
  const json_t *last = segments ? json_array_get(r->segments, segments - 1) : NULL;
  int64_t slots = active ? json_integer_value(json_object_get(last, "slots")) : 0;
  for (int64_t k = 0; k < r->plan.members && slots > 0; k++) {
    const int64_t i = r->plan.order[k];
    if (r->done[i]) continue;
    now->status[to + i] = ESC_MEMBER_RUNNING;
    slots--;
  }
  for (int64_t k = 0; k < p->networks; k++)
    if (!r->done[p->network[k].index]) fill_running(&p->network[k], now, to + p->network[k].index);
}

esc_status esc_unfinished_part_fill_now(const esc_unfinished_part *p, bool active, esc_results *now,
                                        int64_t to) {
  esc_status status = ESC_OK;
  const esc_run *r = &p->run;
  char *row = allocate_row(r);
  ESC_TRY_ALLOCATE(row);
  for (int64_t i = 0; i < r->plan.members; i++) {
    if (r->done[i])
      fill_finished(r, i, row, now, to + i);
    else
      fill_waiting(&r->plan.member[i], now, to + i);
  }
  mark_running(p, active, now, to);
done:
  free(row);
  return status;
}

/* ---- the members at the checkpoint ---- */

/* Index of each member's network in the checkpoint, -1 where there is none. */
static int64_t *index_networks(const esc_unfinished_part *p) {
  const int64_t members = p->run.plan.members;
  int64_t *network = malloc(((size_t)members + 1) * sizeof *network);
  for (int64_t i = 0; network && i < members; i++) network[i] = -1;
  for (int64_t k = 0; network && k < p->networks; k++) network[p->network[k].index] = k;
  return network;
}

/* Steps that would be known of a finished member if it had not escaped: from its start to the
 * checkpoint. Its start is known to the interval between two entries of the segment (a second, or
 * 1% of the time); the later end is assumed. Members of an earlier result: their budget. */
static double steps_observed(const esc_unfinished_part *p, int64_t i) {
  const double budget = (double)p->run.spec->problem.steps;
  if (p->position[i] < 0) return budget;
  const double end = p->entry[i] < p->entries ? p->clock[p->entry[i]] : p->cut_clock;
  return fmin(budget, fmax(p->cut_clock - end, 0) + (double)p->run.results->steps_run[i]);
}

static esc_status fill_at_checkpoint(const esc_unfinished_part *p, esc_results *results,
                                     int64_t to) {
  esc_status status = ESC_OK;
  const esc_run *r = &p->run;
  char *row = allocate_row(r);
  int64_t *network = index_networks(p);
  ESC_TRY_ALLOCATE(row);
  ESC_TRY_ALLOCATE(network);
  for (int64_t i = 0; i < r->plan.members; i++) {
    fill_waiting(&r->plan.member[i], results, to + i);
    if (network[i] >= 0 && p->network[network[i]].step > 0) {
      fill_running(&p->network[network[i]], results, to + i);
      results->observed[to + i] = (double)p->network[network[i]].step;
    } else if (network[i] < 0 && r->done[i] && p->position[i] < p->cut) {
      fill_finished(r, i, row, results, to + i);
      results->observed[to + i] = steps_observed(p, i);
    }
  }
done:
  free(row);
  free(network);
  return status;
}

/* ---- sets of members that have all finished ---- */

static bool is_same_group(const esc_member *a, const esc_member *b) { return a->group == b->group; }

/* Fills the rows of every set of successive members, `same` for neighbours, that have all finished;
 * their data are final. *all: every set is. */
static esc_status fill_complete(const esc_unfinished_part *p,
                                bool (*same)(const esc_member *, const esc_member *),
                                esc_results *results, int64_t to, bool *all) {
  esc_status status = ESC_OK;
  const esc_run *r = &p->run;
  const esc_member *m = r->plan.member;
  char *row = allocate_row(r);
  ESC_TRY_ALLOCATE(row);
  *all = true;
  for (int64_t first = 0, end; first < r->plan.members; first = end) {
    bool complete = true;
    for (end = first; end < r->plan.members && same(&m[first], &m[end]); end++)
      complete = complete && r->done[end];
    *all = *all && complete;
    for (int64_t i = first; i < end && complete; i++) {
      fill_finished(r, i, row, results, to + i);
      results->observed[to + i] = INFINITY;
    }
  }
done:
  free(row);
  return status;
}

esc_status esc_unfinished_part_fill_results(const esc_unfinished_part *p, esc_results *results,
                                            int64_t to, esc_unfinished_basis *basis) {
  esc_status status = ESC_OK;
  const esc_run *r = &p->run;
  bool all = false;
  if (p->cut >= 0) {
    ESC_TRY(fill_at_checkpoint(p, results, to));
    ESC_TRY(fill_complete(p, is_same_group, results, to, &all));
  } else {
    for (int64_t i = 0; i < r->plan.members; i++) fill_waiting(&r->plan.member[i], results, to + i);
    ESC_TRY(fill_complete(p, esc_plan_is_same_cell, results, to, &all));
  }
  *basis = all ? ESC_BASIS_COMPLETE : p->cut >= 0 ? ESC_BASIS_CHECKPOINT : ESC_BASIS_SCALES;
done:
  return status;
}
