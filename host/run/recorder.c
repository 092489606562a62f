/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: schedule, observation on all threads, storage for each member. */
#include "run/recorder.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/evaluate.h"
#include "escapement/internal/model.h"
#include "escapement/internal/theory.h"

/* Workspace of one thread. */
typedef struct workspace {
  esc_cpu_evaluator *evaluator; /* in float, or NULL */
  esc_reference_work *work;     /* in double, or NULL */
  esc_arena evaluate;           /* in double only */
  esc_arena observe;
} workspace;

/* The snapshots of one member, in the order of steps, and the final one. */
typedef struct member_rows {
  int64_t count, capacity;
  esc_journal_snapshot **row; /* owned */
  esc_journal_snapshot *end;  /* owned; its step k is stored as -1 - k; NULL: not yet */
} member_rows;

struct esc_recorder {
  const esc_problem *problem;
  const esc_record *record;
  const esc_plan *plan;
  esc_observer observer;
  int threads, slots, length;
  workspace *workspace;     /* (thread) */
  esc_eval_sample *sample;  /* (slot) */
  int64_t *index, *next;    /* (slot) member, and step of its next snapshot */
  double *initial;          /* (slot, weight) at initialization */
  double *weights;          /* (slot, weight) of the networks being observed */
  member_rows *member_rows; /* (member) */
  esc_journal *journal;
  const esc_run_callbacks *callbacks; /* borrowed, or NULL */
  int64_t observed;
  double seconds;
};

static esc_status create_workspace(const esc_problem *p, bool exact, workspace *w) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_arena_create(esc_observation_workspace(p->shape), &w->observe));
  if (!exact) return esc_cpu_evaluator_create(p, &w->evaluator);
  ESC_TRY_ALLOCATE(w->work = esc_reference_work_create(p));
  ESC_TRY(esc_arena_create(esc_evaluation_workspace(p->shape), &w->evaluate));
done:
  return status;
}

static void free_workspace(workspace *w) {
  esc_cpu_evaluator_free(w->evaluator);
  esc_reference_work_free(w->work);
  esc_arena_free(&w->evaluate);
  esc_arena_free(&w->observe);
}

static esc_status create_observer(esc_recorder *r) {
  esc_status status = ESC_OK;
  esc_classification c;
  ESC_TRY(esc_classify(&r->problem->activation, &c));
  ESC_TRY(esc_observer_init(&r->observer, r->problem, c.c1, r->record->samples));
done:
  return status;
}

esc_status esc_recorder_create(const esc_problem *p, const esc_record *record, const esc_plan *plan,
                               const esc_engine_setup *setup, bool exact, esc_recorder **out) {
  esc_status status = ESC_OK;
  const size_t slots = (size_t)setup->slots, threads = (size_t)setup->threads;
  esc_recorder *r = calloc(1, sizeof *r);
  ESC_TRY_ALLOCATE(r);
  r->problem = p;
  r->record = record;
  r->plan = plan;
  r->slots = setup->slots;
  r->threads = setup->threads;
  r->length = esc_observation_length(p->shape.layers);
  ESC_TRY(create_observer(r));
  ESC_TRY_ALLOCATE(r->workspace = calloc(threads, sizeof *r->workspace));
  ESC_TRY_ALLOCATE(r->sample = calloc(slots, sizeof *r->sample));
  ESC_TRY_ALLOCATE(r->index = calloc(slots, sizeof *r->index));
  ESC_TRY_ALLOCATE(r->next = calloc(slots, sizeof *r->next));
  ESC_TRY_ALLOCATE(r->initial = calloc(slots * esc_weight_count(p->shape), sizeof *r->initial));
  ESC_TRY_ALLOCATE(r->weights = calloc(slots * esc_weight_count(p->shape), sizeof *r->weights));
  ESC_TRY_ALLOCATE(r->member_rows = calloc((size_t)plan->members + 1, sizeof *r->member_rows));
  for (int i = 0; i < r->threads; i++) ESC_TRY(create_workspace(p, exact, &r->workspace[i]));
  for (int i = 0; i < r->slots; i++) ESC_TRY(esc_eval_sample_create(&r->observer, &r->sample[i]));
  *out = r;
  r = NULL;
done:
  esc_recorder_free(r);
  return status;
}

static void free_rows(member_rows *m) {
  for (int64_t i = 0; i < m->count; i++) free(m->row[i]);
  free(m->row);
  free(m->end);
}

void esc_recorder_free(esc_recorder *r) {
  if (!r) return;
  for (int i = 0; r->workspace && i < r->threads; i++) free_workspace(&r->workspace[i]);
  for (int i = 0; r->sample && i < r->slots; i++) esc_eval_sample_free(&r->sample[i]);
  for (int64_t i = 0; r->member_rows && i < r->plan->members; i++) free_rows(&r->member_rows[i]);
  esc_observer_free(&r->observer);
  free(r->workspace);
  free(r->sample);
  free(r->index);
  free(r->next);
  free(r->initial);
  free(r->weights);
  free(r->member_rows);
  free(r);
}

double esc_recorder_estimate_bytes(const esc_problem *p, const esc_record *record,
                                   const esc_engine_setup *setup) {
  const double inputs = p->shape.inputs, weights = (double)esc_weight_count(p->shape);
  const double sample = record->samples * (4 * inputs + 32) +
                        esc_arena_bytes(esc_eval_sample_workspace(record->samples));
  const double thread =
      esc_cpu_evaluator_bytes(p) + esc_arena_bytes(esc_observation_workspace(p->shape));
  return setup->slots * (sample + 16 * weights) + setup->threads * thread;
}

/* Counted twice: in the recorder and in the result table. */
double esc_recorder_estimate_member_bytes(const esc_problem *p, const esc_record *record) {
  const double count = (double)esc_record_count(record, p->steps) + 1;
  return 2 * (esc_record_bytes(record, p->shape.layers, p->steps) + 32 * count);
}

void esc_recorder_set_journal(esc_recorder *r, esc_journal *journal) { r->journal = journal; }

void esc_recorder_set_callbacks(esc_recorder *r, const esc_run_callbacks *callbacks) {
  r->callbacks = callbacks;
}

static size_t row_bytes(const esc_recorder *r) {
  return sizeof(esc_journal_snapshot) + (size_t)r->length * sizeof(double);
}

/* Appends a row to the member's snapshots. */
static esc_status add_row(esc_recorder *r, int64_t index, esc_journal_snapshot **row) {
  esc_status status = ESC_OK;
  member_rows *m = &r->member_rows[index];
  if (m->count == m->capacity) {
    const int64_t capacity = 2 * m->capacity + 8;
    esc_journal_snapshot **grown = realloc(m->row, (size_t)capacity * sizeof(void *));
    ESC_TRY_ALLOCATE(grown);
    m->row = grown;
    m->capacity = capacity;
  }
  ESC_TRY_ALLOCATE(*row = calloc(1, row_bytes(r)));
  m->row[m->count++] = *row;
done:
  return status;
}

static void restore_end(esc_recorder *r, member_rows *m, const esc_journal_snapshot *snapshot) {
  if (!m->end) m->end = calloc(1, row_bytes(r));
  if (m->end) memcpy(m->end, snapshot, row_bytes(r));
}

/* A member that was interrupted and trained again has identical first snapshots twice. */
void esc_recorder_restore_snapshot(esc_recorder *r, int64_t index,
                                   const esc_journal_snapshot *snapshot) {
  member_rows *m = &r->member_rows[index];
  const int64_t due = m->count ? esc_record_next(r->record, m->row[m->count - 1]->step + 1) : 0;
  esc_journal_snapshot *row;
  if (snapshot->step < 0) {
    restore_end(r, m, snapshot);
    return;
  }
  if (snapshot->step == due && add_row(r, index, &row) == ESC_OK)
    memcpy(row, snapshot, row_bytes(r));
}

bool esc_recorder_is_complete(const esc_recorder *r, int64_t index, int64_t steps) {
  const member_rows *m = &r->member_rows[index];
  return m->count && esc_record_next(r->record, m->row[m->count - 1]->step + 1) > steps;
}

bool esc_recorder_has_end(const esc_recorder *r, int64_t index, int64_t steps) {
  const esc_journal_snapshot *end = r->member_rows[index].end;
  return esc_recorder_is_complete(r, index, steps) && end && end->step == -1 - steps;
}

esc_status esc_recorder_resume_member(esc_recorder *r, int slot, int64_t index, int64_t step) {
  member_rows *m = &r->member_rows[index];
  const size_t weights = esc_weight_count(r->problem->shape);
  esc_initial_weights(r->problem, &r->plan->member[index], r->observer.directions,
                      r->initial + (size_t)slot * weights);
  while (m->count && m->row[m->count - 1]->step > step) free(m->row[--m->count]);
  r->index[slot] = index;
  r->next[slot] = m->count ? esc_record_next(r->record, m->row[m->count - 1]->step + 1) : 0;
  return esc_eval_sample_draw(&r->observer, r->plan->member[index].seed, &r->sample[slot]);
}

/* Drops the snapshots of an interrupted segment: the first one is due at once. */
esc_status esc_recorder_begin_member(esc_recorder *r, int slot, int64_t index) {
  return esc_recorder_resume_member(r, slot, index, -1);
}

int64_t esc_recorder_steps_to_next(const esc_recorder *r, int slot, int64_t step) {
  return r->next[slot] - step;
}

static void observe(esc_recorder *r, int slot, const double *weights, double *row) {
  workspace *const own_workspace = &r->workspace[omp_get_thread_num()];
  const esc_eval_sample *sample = &r->sample[slot];
  esc_evaluation evaluation;
  if (own_workspace->evaluator)
    esc_cpu_evaluate(own_workspace->evaluator, &r->observer, sample, weights, &evaluation);
  else
    esc_evaluation_compute(&r->observer, sample, weights, own_workspace->work,
                           &own_workspace->evaluate, &evaluation);
  const double *initial = r->initial + (size_t)slot * esc_weight_count(r->problem->shape);
  esc_observation_write(&r->observer,
                        &(esc_observed_network){&r->plan->member[r->index[slot]], initial, weights},
                        &evaluation, &own_workspace->observe, row);
}

static esc_status append(esc_recorder *r, int slot, const esc_journal_snapshot *row) {
  if (!r->journal) return ESC_OK;
  return esc_journal_add(r->journal, esc_member_key_of(&r->plan->member[r->index[slot]]), row);
}

/* Hands a snapshot to the caller of the run. */
static void report(const esc_recorder *r, int slot, const esc_journal_snapshot *row) {
  if (!r->callbacks || !r->callbacks->snapshot) return;
  const esc_member *member = &r->plan->member[r->index[slot]];
  const int layers = r->problem->shape.layers;
  esc_snapshot_value value[ESC_OBSERVABLES];
  for (int k = 0; k < ESC_OBSERVABLES; k++) {
    const esc_axis axis = esc_observables[k].axis;
    value[k] = (esc_snapshot_value){esc_observables[k].name,
                                    axis == ESC_AXIS_LAYER       ? "layer"
                                    : axis == ESC_AXIS_INTERFACE ? "interface"
                                                                 : NULL,
                                    esc_observable_length(layers, axis),
                                    row->observation + esc_observable_offset(layers, k)};
  }
  const bool is_end = row->step < 0;
  const esc_snapshot snapshot = {.member = member->index,
                                 .seed = (int64_t)member->seed,
                                 .bottleneck = member->bottleneck,
                                 .small_layers = member->small_layers,
                                 .scale = member->scale,
                                 .step = is_end ? -1 - row->step : row->step,
                                 .is_end = is_end,
                                 .values = ESC_OBSERVABLES,
                                 .value = value};
  r->callbacks->snapshot(r->callbacks->context, &snapshot);
}

/* Observes the `count` slots in `slot` into the newest rows of their members, or with `end` into
 * the final ones. */
static esc_status observe_all(esc_recorder *r, const esc_engine_ops *ops, void *engine, int count,
                              const int *slot, bool end) {
  esc_status status = ESC_OK;
  const size_t weights = esc_weight_count(r->problem->shape);
  for (int i = 0; i < count; i++)
    ESC_TRY(ops->weights(engine, slot[i], r->weights + (size_t)i * weights));
#pragma omp parallel for schedule(dynamic, 1) num_threads(r->threads)
  for (int i = 0; i < count; i++) {
    const member_rows *m = &r->member_rows[r->index[slot[i]]];
    esc_journal_snapshot *row = end ? m->end : m->row[m->count - 1];
    observe(r, slot[i], r->weights + (size_t)i * weights, row->observation);
  }
  for (int i = 0; i < count; i++) {
    const member_rows *m = &r->member_rows[r->index[slot[i]]];
    const esc_journal_snapshot *row = end ? m->end : m->row[m->count - 1];
    ESC_TRY(append(r, slot[i], row));
  }
  if (r->journal) ESC_TRY(esc_journal_flush(r->journal));
  for (int i = 0; i < count; i++) {
    const member_rows *m = &r->member_rows[r->index[slot[i]]];
    report(r, slot[i], end ? m->end : m->row[m->count - 1]);
  }
  r->observed += count;
done:
  return status;
}

esc_status esc_recorder_record(esc_recorder *r, const esc_engine_ops *ops, void *engine, int count,
                               const int *slot) {
  esc_status status = ESC_OK;
  const double start = omp_get_wtime();
  for (int i = 0; i < count; i++) {
    esc_journal_snapshot *row;
    ESC_TRY(add_row(r, r->index[slot[i]], &row));
    row->step = r->next[slot[i]];
    r->next[slot[i]] = esc_record_next(r->record, row->step + 1);
  }
  ESC_TRY(observe_all(r, ops, engine, count, slot, false));
  r->seconds += omp_get_wtime() - start;
done:
  return status;
}

esc_status esc_recorder_record_end(esc_recorder *r, const esc_engine_ops *ops, void *engine,
                                   int count, const int *slot) {
  esc_status status = ESC_OK;
  const double start = omp_get_wtime();
  for (int i = 0; i < count; i++) {
    member_rows *m = &r->member_rows[r->index[slot[i]]];
    if (!m->end) ESC_TRY_ALLOCATE(m->end = calloc(1, row_bytes(r)));
    m->end->step = -1 - ops->slot(engine, slot[i])->track.step;
  }
  ESC_TRY(observe_all(r, ops, engine, count, slot, true));
  r->seconds += omp_get_wtime() - start;
done:
  return status;
}

esc_status esc_recorder_sync(esc_recorder *r) {
  return r->journal ? esc_journal_sync(r->journal) : ESC_OK;
}

/* Copies the observables of `row` to entry `at` of each of the arrays. */
static void fill_row(const esc_recorder *r, const esc_journal_snapshot *row, size_t at,
                     double *const *array) {
  const double *from = row->observation;
  for (int o = 0; o < ESC_OBSERVABLES; o++) {
    const int layers = r->problem->shape.layers;
    const size_t length = (size_t)esc_observable_length(layers, esc_observables[o].axis);
    memcpy(array[o] + at * length, from, length * sizeof *from);
    from += length;
  }
}

static void fill_member(const esc_recorder *r, int64_t index, esc_results *results) {
  const member_rows *m = &r->member_rows[index];
  for (int64_t k = 0; k < m->count; k++)
    fill_row(r, m->row[k], (size_t)(index * results->snapshots + k), results->observable);
  if (m->end) fill_row(r, m->end, (size_t)index, results->observable_end);
}

esc_status esc_recorder_copy_results(esc_recorder *r, esc_results *results) {
  esc_status status = ESC_OK;
  int64_t longest = 0;
  for (int64_t i = 0; i < r->plan->members; i++)
    if (r->member_rows[i].count > longest) longest = r->member_rows[i].count;
  if (longest == 0) return ESC_OK;
  ESC_TRY(esc_results_add_snapshots(results, longest));
  for (int64_t k = 0, step = 0; k < longest; k++, step = esc_record_next(r->record, step + 1))
    results->snapshot_step[k] = step;
  for (int64_t i = 0; i < r->plan->members; i++) fill_member(r, i, results);
done:
  return status;
}

int64_t esc_recorder_count(const esc_recorder *r, double *seconds) {
  *seconds = r->seconds;
  return r->observed;
}
