/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded weights: storage for each member, journal, results. */
#include "run/weight_recorder.h"

#include <stdlib.h>
#include <string.h>

#include "escapement/internal/model.h"

/* One network: kind, and the threshold of an escape, else 0. */
typedef struct network {
  esc_weights_kind kind;
  int threshold;
  int64_t step;   /* updates made before */
  size_t present; /* weights restored from the journal, or all */
  float *w;       /* (weight), owned */
} network;

typedef struct member_networks {
  int64_t count, capacity;
  network *network; /* owned */
} member_networks;

struct esc_weight_recorder {
  const esc_problem *problem;
  const esc_record *record;
  const esc_plan *plan;
  size_t weights;
  member_networks *member; /* (member) */
  double *flat;            /* (weight) of an engine */
  esc_journal *journal;
  esc_journal_weights *block; /* for the journal; owned */
};

static bool is_recorded(const esc_record *record, esc_weights_kind kind) {
  return record->weights >> kind & 1;
}

esc_status esc_weight_recorder_create(const esc_problem *p, const esc_record *record,
                                      const esc_plan *plan, esc_weight_recorder **out) {
  esc_status status = ESC_OK;
  esc_weight_recorder *r = calloc(1, sizeof *r);
  ESC_TRY_ALLOCATE(r);
  r->problem = p;
  r->record = record;
  r->plan = plan;
  r->weights = esc_weight_count(p->shape);
  ESC_TRY_ALLOCATE(r->member = calloc((size_t)plan->members + 1, sizeof *r->member));
  ESC_TRY_ALLOCATE(r->flat = calloc(r->weights, sizeof *r->flat));
  ESC_TRY_ALLOCATE(r->block = calloc(1, esc_journal_weights_row_size(r->weights)));
  *out = r;
  r = NULL;
done:
  esc_weight_recorder_free(r);
  return status;
}

static void drop_network(member_networks *m, int64_t k) {
  free(m->network[k].w);
  m->network[k] = m->network[--m->count];
}

void esc_weight_recorder_free(esc_weight_recorder *r) {
  if (!r) return;
  for (int64_t i = 0; r->member && i < r->plan->members; i++) {
    while (r->member[i].count) drop_network(&r->member[i], r->member[i].count - 1);
    free(r->member[i].network);
  }
  free(r->member);
  free(r->flat);
  free(r->block);
  free(r);
}

/* Networks of one member. */
static double count_networks(const esc_problem *p, const esc_record *record) {
  double networks = is_recorded(record, ESC_WEIGHTS_START) + is_recorded(record, ESC_WEIGHTS_END);
  if (is_recorded(record, ESC_WEIGHTS_ESCAPE)) networks += p->thresholds;
  if (is_recorded(record, ESC_WEIGHTS_SNAPSHOTS))
    networks += (double)esc_record_count(record, p->steps);
  return networks;
}

double esc_weights_stored_bytes(const esc_problem *p, const esc_record *record) {
  return count_networks(p, record) * (double)esc_weight_count(p->shape) * sizeof(float);
}

/* In the recorder, in the results, and in the image of their file. */
double esc_weights_memory_bytes(const esc_problem *p, const esc_record *record) {
  return 3 * esc_weights_stored_bytes(p, record) +
         count_networks(p, record) * 2 * (double)sizeof(network);
}

void esc_weight_recorder_set_journal(esc_weight_recorder *r, esc_journal *journal) {
  r->journal = journal;
}

/* ---- the networks of a member ---- */

/* A member ends once: its last end is the one that counts. */
static network *find_network(const member_networks *m, esc_weights_kind kind, int threshold,
                             int64_t step) {
  for (int64_t k = 0; k < m->count; k++) {
    network *n = &m->network[k];
    const bool same_step = kind != ESC_WEIGHTS_SNAPSHOTS || n->step == step;
    if (n->kind == kind && n->threshold == threshold && same_step) return n;
  }
  return NULL;
}

static esc_status add_network(const esc_weight_recorder *r, member_networks *m,
                              esc_weights_kind kind, int threshold, int64_t step, network **out) {
  esc_status status = ESC_OK;
  if (m->count == m->capacity) {
    const int64_t capacity = 2 * m->capacity + 4;
    network *grown = realloc(m->network, (size_t)capacity * sizeof *grown);
    ESC_TRY_ALLOCATE(grown);
    m->network = grown;
    m->capacity = capacity;
  }
  network *n = &m->network[m->count];
  *n = (network){.kind = kind, .threshold = threshold, .step = step};
  ESC_TRY_ALLOCATE(n->w = calloc(r->weights, sizeof *n->w));
  m->count++;
  *out = n;
done:
  return status;
}

/* The network of that kind, threshold and step, without weights if it is new. */
static esc_status open_network(const esc_weight_recorder *r, int64_t index, esc_weights_kind kind,
                               int threshold, int64_t step, network **out) {
  *out = find_network(&r->member[index], kind, threshold, step);
  if (!*out) return add_network(r, &r->member[index], kind, threshold, step, out);
  if ((*out)->step != step) (*out)->present = 0;
  (*out)->step = step;
  return ESC_OK;
}

/* A network is in one or more records, in order. A record after a lost one is left out, so that the
 * network stays incomplete and its member is trained again. */
void esc_weight_recorder_restore(esc_weight_recorder *r, int64_t index,
                                 const esc_journal_weights *record) {
  network *n;
  if (record->kind < 0 || record->kind >= ESC_WEIGHTS_KINDS || record->threshold < 0 ||
      record->threshold >= r->problem->thresholds || record->first < 0 ||
      (size_t)record->first >= r->weights)
    return;
  const size_t first = (size_t)record->first,
               count = esc_journal_weights_in_block(r->weights, first);
  if (open_network(r, index, (esc_weights_kind)record->kind, record->threshold, record->step, &n) !=
      ESC_OK)
    return;
  if (first > n->present) return;
  memcpy(n->w + first, record->weight, count * sizeof *n->w);
  n->present = first + count;
}

/* ---- members ---- */

static bool is_present(const esc_weight_recorder *r, int64_t index, esc_weights_kind kind,
                       int threshold, int64_t step) {
  const network *n = find_network(&r->member[index], kind, threshold, step);
  return n && n->step == step && n->present == r->weights;
}

bool esc_weight_recorder_is_complete(const esc_weight_recorder *r, int64_t index,
                                     esc_weights_progress at) {
  bool complete = true;
  if (is_recorded(r->record, ESC_WEIGHTS_SNAPSHOTS))
    for (int64_t k = 0; k <= at.step && complete; k = esc_record_next(r->record, k + 1))
      complete = is_present(r, index, ESC_WEIGHTS_SNAPSHOTS, 0, k);
  for (int i = 0; i < r->problem->thresholds && is_recorded(r->record, ESC_WEIGHTS_ESCAPE); i++)
    if (at.escape_step[i] >= 0)
      complete = complete && is_present(r, index, ESC_WEIGHTS_ESCAPE, i, at.escape_step[i]);
  if (at.ended && is_recorded(r->record, ESC_WEIGHTS_END))
    complete = complete && is_present(r, index, ESC_WEIGHTS_END, 0, at.step);
  return complete;
}

void esc_weight_recorder_resume_member(esc_weight_recorder *r, int64_t index, int64_t step) {
  member_networks *m = &r->member[index];
  for (int64_t k = m->count; k-- > 0;)
    if (m->network[k].step > step) drop_network(m, k);
}

void esc_weight_recorder_begin_member(esc_weight_recorder *r, int64_t index) {
  esc_weight_recorder_resume_member(r, index, -1);
}

/* ---- recording ---- */

static esc_status append(esc_weight_recorder *r, int64_t index, const network *n) {
  esc_status status = ESC_OK;
  size_t count;
  for (size_t first = 0; r->journal && first < r->weights; first += count) {
    count = esc_journal_weights_in_block(r->weights, first);
    memset(r->block, 0, esc_journal_weights_row_size(r->weights));
    *r->block = (esc_journal_weights){.kind = (int32_t)n->kind,
                                      .threshold = n->threshold,
                                      .step = n->step,
                                      .first = (int64_t)first};
    memcpy(r->block->weight, n->w + first, count * sizeof *n->w);
    ESC_TRY(esc_journal_add(r->journal, esc_member_key_of(&r->plan->member[index]), r->block));
  }
  if (r->journal) ESC_TRY(esc_journal_flush(r->journal));
done:
  return status;
}

static esc_status record_network(esc_weight_recorder *r, int64_t index, esc_weights_kind kind,
                                 int threshold, int64_t step) {
  esc_status status = ESC_OK;
  network *n;
  ESC_TRY(open_network(r, index, kind, threshold, step, &n));
  for (size_t i = 0; i < r->weights; i++) n->w[i] = (float)r->flat[i];
  n->present = r->weights;
  ESC_TRY(append(r, index, n));
done:
  return status;
}

esc_status esc_weight_recorder_record(esc_weight_recorder *r, const esc_engine_ops *ops,
                                      void *engine, int slot, int64_t index,
                                      esc_weights_kind kind) {
  esc_status status = ESC_OK;
  const esc_track *track = &ops->slot(engine, slot)->track;
  const int entries = kind == ESC_WEIGHTS_ESCAPE ? r->problem->thresholds : 1;
  if (!is_recorded(r->record, kind)) return ESC_OK;
  ESC_TRY(ops->weights(engine, slot, r->flat));
  for (int i = 0; i < entries; i++)
    if (kind != ESC_WEIGHTS_ESCAPE || track->escape_step[i] == track->step)
      ESC_TRY(record_network(r, index, kind, i, track->step));
done:
  return status;
}

esc_status esc_weight_recorder_sync(esc_weight_recorder *r) {
  return r->journal ? esc_journal_sync(r->journal) : ESC_OK;
}

/* ---- results ---- */

/* Index of a network along its axis; -1: the results have no such snapshot. */
static int64_t find_entry(const esc_results *results, const network *n) {
  if (n->kind != ESC_WEIGHTS_SNAPSHOTS) return n->threshold;
  for (int64_t k = 0; k < results->snapshots; k++)
    if (results->snapshot_step[k] == n->step) return k;
  return -1;
}

/* The initial weights again, as the engine rounds them. */
static void copy_start(const esc_weight_recorder *r, const double *directions, int64_t i,
                       float *rounded, esc_results *results) {
  esc_initial_weights(r->problem, &r->plan->member[i], directions, r->flat);
  for (size_t k = 0; k < r->weights; k++) rounded[k] = (float)r->flat[k];
  esc_results_set_weights(results, ESC_WEIGHTS_START, i, 0, rounded);
}

static esc_status copy_starts(const esc_weight_recorder *r, esc_results *results) {
  esc_status status = ESC_OK;
  esc_model model = {0};
  float *rounded = NULL;
  ESC_TRY(esc_model_init(&model, r->problem, true));
  ESC_TRY_ALLOCATE(rounded = calloc(r->weights, sizeof *rounded));
  for (int64_t i = 0; i < r->plan->members; i++)
    copy_start(r, model.directions, i, rounded, results);
done:
  free(rounded);
  esc_model_free(&model);
  return status;
}

esc_status esc_weight_recorder_copy_results(const esc_weight_recorder *r, esc_results *results) {
  esc_status status = ESC_OK;
  const esc_shape shape = r->problem->shape;
  ESC_TRY(esc_results_add_weights(results, r->record->weights, shape.width, shape.inputs));
  if (results->weights >> ESC_WEIGHTS_START & 1) ESC_TRY(copy_starts(r, results));
  for (int64_t i = 0; i < r->plan->members; i++)
    for (int64_t k = 0; k < r->member[i].count; k++) {
      const network *n = &r->member[i].network[k];
      const int64_t entry = find_entry(results, n);
      if (entry >= 0) esc_results_set_weights(results, n->kind, i, entry, n->w);
    }
done:
  return status;
}

/* Restores entry `entry` of row i of an earlier result; at: its kind, threshold and step. */
static esc_status restore_network(esc_weight_recorder *r, int64_t index, network at,
                                  const esc_results *earlier, int64_t i, int64_t entry) {
  esc_status status = ESC_OK;
  network *n;
  ESC_TRY(open_network(r, index, at.kind, at.threshold, at.step, &n));
  esc_results_get_weights(earlier, at.kind, i, entry, n->w);
  n->present = r->weights;
done:
  return status;
}

esc_status esc_weight_recorder_restore_row(esc_weight_recorder *r, int64_t index,
                                           const esc_results *earlier, int64_t i) {
  esc_status status = ESC_OK;
  network at = {.kind = ESC_WEIGHTS_SNAPSHOTS};
  const int64_t *escape = earlier->escape_step + i * earlier->thresholds;
  for (int64_t k = 0; esc_results_has_weights(earlier, at.kind) && k < earlier->snapshots; k++) {
    at.step = earlier->snapshot_step[k];
    if (at.step <= earlier->steps_run[i]) ESC_TRY(restore_network(r, index, at, earlier, i, k));
  }
  at.kind = ESC_WEIGHTS_ESCAPE;
  for (int k = 0; esc_results_has_weights(earlier, at.kind) && k < earlier->thresholds; k++) {
    at.threshold = k;
    at.step = escape[k];
    if (at.step >= 0) ESC_TRY(restore_network(r, index, at, earlier, i, k));
  }
  at = (network){.kind = ESC_WEIGHTS_END, .step = earlier->steps_run[i]};
  if (esc_results_has_weights(earlier, at.kind))
    ESC_TRY(restore_network(r, index, at, earlier, i, 0));
done:
  return status;
}
