/* SPDX-License-Identifier: Apache-2.0 */
#include "run/observe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/evaluate.h"
#include "escapement/internal/model.h"
#include "escapement/internal/theory.h"
#include "run/initial.h"
#include "store/store.h"

/* Inputs of each network's observation, and the rows so far. */
typedef struct session {
  const esc_problem *problem;
  esc_observer observer;
  esc_eval_sample sample;
  esc_cpu_evaluator *evaluator; /* in float, or NULL */
  esc_reference_work *work;     /* in double */
  esc_arena evaluate, observe;
  double *initial, *weights; /* (weight) */
  float *single;             /* (weight) as a result has them */
  esc_weights_observations *out;
  int64_t capacity;
} session;

static esc_status open_session(session *s, const esc_spec *spec, bool exact,
                               esc_weights_observations *out) {
  esc_status status = ESC_OK;
  const esc_problem *p = &spec->problem;
  const size_t weights = esc_weight_count(p->shape);
  esc_classification c;
  *s = (session){.problem = p, .out = out};
  *out = (esc_weights_observations){.layers = p->shape.layers,
                                    .length = esc_observation_length(p->shape.layers)};
  ESC_TRY(esc_classify(&p->activation, &c));
  ESC_TRY(esc_observer_init(&s->observer, p, c.c1, spec->record.samples));
  ESC_TRY(esc_eval_sample_create(&s->observer, &s->sample));
  ESC_TRY(esc_arena_create(esc_observation_workspace(p->shape), &s->observe));
  ESC_TRY(esc_arena_create(esc_evaluation_workspace(p->shape), &s->evaluate));
  ESC_TRY_ALLOCATE(s->work = esc_reference_work_create(p));
  ESC_TRY_ALLOCATE(s->initial = calloc(weights, sizeof *s->initial));
  ESC_TRY_ALLOCATE(s->weights = calloc(weights, sizeof *s->weights));
  ESC_TRY_ALLOCATE(s->single = calloc(weights, sizeof *s->single));
  if (!exact) ESC_TRY(esc_cpu_evaluator_create(p, &s->evaluator));
done:
  return status;
}

static void close_session(session *s) {
  esc_cpu_evaluator_free(s->evaluator);
  esc_reference_work_free(s->work);
  esc_arena_free(&s->evaluate);
  esc_arena_free(&s->observe);
  esc_eval_sample_free(&s->sample);
  esc_observer_free(&s->observer);
  free(s->initial);
  free(s->weights);
  free(s->single);
}

static esc_status add_row(session *s, const esc_weights_source *source, double **row) {
  esc_status status = ESC_OK;
  esc_weights_observations *o = s->out;
  if (o->count == s->capacity) {
    const size_t capacity = 2 * (size_t)s->capacity + 16, length = (size_t)o->length;
    esc_weights_source *sources = realloc(o->source, capacity * sizeof *sources);
    if (sources) o->source = sources;
    double *rows = realloc(o->row, capacity * length * sizeof *rows);
    if (rows) o->row = rows;
    ESC_TRY_ALLOCATE(sources);
    ESC_TRY_ALLOCATE(rows);
    s->capacity = (int64_t)capacity;
  }
  o->source[o->count] = *source;
  *row = o->row + o->count * o->length;
  o->count++;
done:
  return status;
}

/* Observes the network in s->weights, of a member whose sample has been drawn. */
static esc_status observe(session *s, const esc_member *member, const esc_weights_source *source) {
  esc_status status = ESC_OK;
  double *row = NULL;
  esc_evaluation evaluation;
  const esc_observed_network network = {member, s->initial, s->weights};
  ESC_TRY(add_row(s, source, &row));
  if (s->evaluator)
    esc_cpu_evaluate(s->evaluator, &s->observer, &s->sample, s->weights, &evaluation);
  else
    esc_evaluation_compute(&s->observer, &s->sample, s->weights, s->work, &s->evaluate,
                           &evaluation);
  esc_observation_write(&s->observer, &network, &evaluation, &s->observe, row);
done:
  return status;
}

static esc_weights_source source_of(const esc_member *m, esc_weights_kind kind, int64_t step) {
  return (esc_weights_source){.member = m->index,
                              .seed = (int64_t)m->seed,
                              .bottleneck = m->bottleneck,
                              .scale = m->scale,
                              .kind = kind,
                              .step = step,
                              .threshold = (double)NAN};
}

/* ---- a result ---- */

static esc_member member_of(const esc_results *r, int64_t i) {
  return (esc_member){.index = r->member[i],
                      .seed = (uint64_t)r->seed[i],
                      .group = r->group[i],
                      .bottleneck = r->bottleneck[i],
                      .small_layers = (uint64_t)r->small_layers[i],
                      .scale = r->scale[i]};
}

/* Steps of network `entry`; -1: the member has no such network. */
static int64_t find_step(const esc_results *r, esc_weights_kind kind, int64_t i, int64_t entry) {
  switch (kind) {
    case ESC_WEIGHTS_START: return 0;
    case ESC_WEIGHTS_ESCAPE: return r->escape_step[i * r->thresholds + entry];
    case ESC_WEIGHTS_SNAPSHOTS:
      return r->snapshot_step[entry] <= r->steps_run[i] ? r->snapshot_step[entry] : -1;
    default: return r->steps_run[i];
  }
}

static void load_weights(session *s, const esc_results *r, esc_weights_kind kind, int64_t i,
                         int64_t entry, double *to) {
  esc_results_get_weights(r, kind, i, entry, s->single);
  for (size_t k = 0; k < esc_weight_count(s->problem->shape); k++) to[k] = (double)s->single[k];
}

static esc_status observe_kind(session *s, const esc_results *r, esc_weights_kind kind, int64_t i) {
  esc_status status = ESC_OK;
  const esc_member member = member_of(r, i);
  const int64_t entries = esc_axis_length(r, esc_weights_axis(kind));
  if (!esc_results_has_weights(r, kind)) return ESC_OK;
  for (int64_t entry = 0; entry < entries; entry++) {
    esc_weights_source source = source_of(&member, kind, find_step(r, kind, i, entry));
    if (source.step < 0) continue;
    if (kind == ESC_WEIGHTS_ESCAPE) source.threshold = r->threshold[entry];
    load_weights(s, r, kind, i, entry, s->weights);
    ESC_TRY(observe(s, &member, &source));
  }
done:
  return status;
}

/* The initial weights by the spec, or, for init.scheme file, the recorded ones; else NaN. */
static void load_initial(session *s, const esc_results *r, int64_t i) {
  const esc_member member = member_of(r, i);
  esc_initial_weights(s->problem, &member, s->observer.directions, s->initial);
  if (s->problem->scheme == ESC_SCHEME_FILE && esc_results_has_weights(r, ESC_WEIGHTS_START))
    load_weights(s, r, ESC_WEIGHTS_START, i, 0, s->initial);
}

static esc_status observe_member(session *s, const esc_results *r, int64_t i) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_eval_sample_draw(&s->observer, (uint64_t)r->seed[i], &s->sample));
  load_initial(s, r, i);
  for (int k = 0; k < ESC_WEIGHTS_KINDS; k++) ESC_TRY(observe_kind(s, r, (esc_weights_kind)k, i));
done:
  return status;
}

static esc_status check_result(const char *path, const esc_results *r, const esc_spec *spec) {
  const esc_shape shape = spec->problem.shape;
  if (!r->weights)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: holds no weights; run the sweep with record.weights, for example "
                    "record.weights='[start, end]'",
                    path);
  if (r->layers == shape.layers && r->width == shape.width && r->inputs == shape.inputs)
    return esc_results_check(path, r, &spec->problem);
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: has networks of %d layers, width %d and %d inputs, but the spec describes "
                  "%d, %d and %d",
                  path, r->layers, r->width, r->inputs, shape.layers, shape.width, shape.inputs);
}

/* The spec that made a result. */
static esc_status read_spec(const char *path, const esc_results *r, esc_spec **out) {
  const char *text = esc_results_attribute_text(r, "spec");
  if (!text) return ESC_FAIL(ESC_BAD_INPUT, "%s: has no attribute spec; give it by --spec", path);
  return esc_spec_parse(path, text, strlen(text), 0, NULL, out);
}

esc_status esc_weights_observe_result(const char *path, const esc_spec *given,
                                      esc_weights_observations *out) {
  esc_status status = ESC_OK;
  session s = {0};
  esc_results *r = NULL;
  esc_spec *own = NULL;
  *out = (esc_weights_observations){0};
  ESC_TRY(esc_store_read(path, &r));
  if (!given) ESC_TRY(read_spec(path, r, &own));
  const esc_spec *spec = given ? given : own;
  ESC_TRY(check_result(path, r, spec));
  const char *precision = esc_results_attribute_text(r, "precision");
  ESC_TRY(open_session(&s, spec, precision && !strcmp(precision, "float64"), out));
  for (int64_t i = 0; i < r->members; i++) ESC_TRY(observe_member(&s, r, i));
done:
  close_session(&s);
  esc_spec_free(own);
  esc_results_free(r);
  return status;
}

/* ---- a NumPy archive ---- */

static esc_status observe_initial(session *s, const esc_initial_networks *n, const esc_spec *spec,
                                  const esc_member *m) {
  esc_status status = ESC_OK;
  const int64_t step = spec->init.kind == ESC_WEIGHTS_START ? 0 : -1;
  const esc_weights_source source = source_of(m, spec->init.kind, step);
  ESC_TRY(esc_eval_sample_draw(&s->observer, m->seed, &s->sample));
  esc_initial_weights(s->problem, m, s->observer.directions, s->initial);
  esc_initial_networks_copy(n, m, s->weights);
  ESC_TRY(observe(s, m, &source));
done:
  return status;
}

esc_status esc_weights_observe_file(const esc_spec *spec, esc_weights_observations *out) {
  esc_status status = ESC_OK;
  session s = {0};
  esc_plan plan = {0};
  esc_initial_networks *n = NULL;
  char checksum[ESC_CHECKSUM_TEXT_SIZE];
  *out = (esc_weights_observations){0};
  ESC_TRY(esc_initial_networks_read(spec, checksum, &n));
  ESC_TRY(esc_plan_create(spec, 0, 1, &plan));
  ESC_TRY(esc_initial_networks_check(spec, n, &plan));
  ESC_TRY(open_session(&s, spec, true, out));
  for (int64_t i = 0; i < plan.members; i++) ESC_TRY(observe_initial(&s, n, spec, &plan.member[i]));
done:
  close_session(&s);
  esc_plan_free(&plan);
  esc_initial_networks_free(n);
  return status;
}

void esc_weights_observations_free(esc_weights_observations *o) {
  free(o->source);
  free(o->row);
  *o = (esc_weights_observations){0};
}
