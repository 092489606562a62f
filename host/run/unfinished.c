/* SPDX-License-Identifier: Apache-2.0 */
/* Assembles the state of an unfinished run from its parts. */
#include "run/unfinished.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/processor.h"
#include "run/forecast.h"
#include "run/parts.h"
#include "run/unfinished_part.h"
#include "run/workload.h"

/* ---- identity ---- */

static void part_path(const esc_unfinished *u, int part, char path[ESC_PART_PATH_SIZE]) {
  if (u->parts)
    esc_part_print_path(u->output, part, u->parts, path);
  else
    snprintf(path, ESC_PART_PATH_SIZE, "%s", u->output);
}

static esc_status find_identity(const esc_unfinished *u, char **identity) {
  esc_status status = ESC_OK;
  char path[ESC_PART_PATH_SIZE];
  for (int i = 0; i < (u->parts ? u->parts : 1) && !*identity; i++) {
    part_path(u, i, path);
    ESC_TRY(esc_unfinished_identity(path, identity));
  }
  if (*identity && esc_run_identity_rest(*identity)) goto done;
  status = ESC_FAIL(ESC_BAD_INPUT,
                    "%s: has no journal with the spec of its run yet, and no result: nothing to "
                    "read",
                    u->output);
done:
  return status;
}

/* Spec, shard and number of shards of an identity. */
static esc_status parse_identity(const char *identity, esc_spec **spec, int64_t *shard,
                                 int64_t *shards) {
  const char *rest = esc_run_identity_rest(identity);
  const char *text = strstr(rest, "\nshard: ");
  long long i = 0, n = 1;
  if (!text || sscanf(text, "\nshard: %lld/%lld", &i, &n) != 2 || i < 0 || n < 1 || i >= n)
    return ESC_FAIL(ESC_BAD_INPUT, "the identity of the run has no valid shard");
  *shard = i;
  *shards = n;
  return esc_spec_parse("spec", identity, (size_t)(rest - identity), 0, NULL, spec);
}

/* ---- parts ---- */

typedef struct reading {
  esc_unfinished *u;
  esc_unfinished_forecast *forecast; /* NULL: none */
  bool makes_forecast;
  const char *identity;
  int64_t shard, shards; /* of a run without parts */
  int64_t filled;        /* rows */
  int complete;          /* parts */
} reading;

/* The plan of a part, its rows, and both tables must fit, because a file may be from others. */
static esc_status check_memory(const esc_unfinished *u, int64_t members) {
  const esc_problem *p = &u->spec->problem;
  const double row = (double)esc_results_row_size(p->thresholds, p->shape.layers);
  const double bytes = esc_plan_estimate_bytes(members) + 4 * (double)members * row;
  if (bytes < esc_memory_available()) return ESC_OK;
  return ESC_FAIL(ESC_NO_MEMORY,
                  "%s: the rows of %lld members need %.3g GB of memory, and %.3g GB are available",
                  u->output, (long long)members, 1e-9 * bytes, 1e-9 * esc_memory_available());
}

static esc_status create_tables(esc_unfinished *u, int64_t members) {
  esc_status status = ESC_OK;
  const esc_problem *p = &u->spec->problem;
  ESC_TRY(check_memory(u, members));
  esc_results **const table[] = {&u->now, &u->results};
  for (int i = 0; i < 2; i++) {
    ESC_TRY(esc_results_create(members, p->thresholds, p->shape.layers, table[i]));
    for (int k = 0; k < p->thresholds; k++) (*table[i])->threshold[k] = p->threshold[k];
  }
  ESC_TRY_ALLOCATE(u->results->observed = calloc((size_t)members + 1, sizeof(double)));
done:
  return status;
}

/* Expected steps of the part's members, from or into the forecast; NULL without one. */
static esc_status find_predicted(const reading *r, esc_unfinished_part *p, const double **out) {
  esc_status status = ESC_OK;
  double *steps = NULL;
  *out = NULL;
  if (!r->forecast) return ESC_OK;
  if (r->makes_forecast) {
    p->run.setup.threads = 1;
    ESC_TRY(esc_run_forecast_members(&p->run, &steps));
    for (int64_t i = 0; i < p->run.plan.members; i++) r->forecast->steps[r->filled + i] = steps[i];
  }
  *out = r->forecast->steps + r->filled;
done:
  free(steps);
  return status;
}

/* A forecast for another number of members is made again. */
static esc_status prepare_forecast(reading *r) {
  esc_status status = ESC_OK;
  esc_unfinished_forecast *f = r->forecast;
  if (!f || (f->steps && f->members == r->u->now->members)) return ESC_OK;
  esc_unfinished_forecast_free(f);
  ESC_TRY_ALLOCATE(f->steps = malloc(((size_t)r->u->now->members + 1) * sizeof *f->steps));
  f->members = r->u->now->members;
  r->makes_forecast = true;
done:
  return status;
}

void esc_unfinished_forecast_free(esc_unfinished_forecast *f) {
  free(f->steps);
  *f = (esc_unfinished_forecast){0};
}

/* Finishes the workload's finished members and lists those in training with their steps: those of
 * the checkpoint or, where it has none, the mean of what the segments have made beyond the finished
 * members. Number of members listed. */
static int list_members(const reading *r, const esc_unfinished_part *p, esc_workload *w,
                        int64_t *index, int64_t *steps) {
  const esc_results *now = r->u->now;
  double finished = 0;
  int slots = 0;
  for (int64_t i = 0; i < p->run.plan.members; i++) {
    const int64_t run = now->steps_run[r->filled + i];
    if (p->run.done[i]) esc_workload_finish(w, i, run);
    if (p->run.done[i] && p->position[i] >= 0) finished += (double)run;
    if (now->status[r->filled + i] != ESC_MEMBER_RUNNING) continue;
    index[slots] = i;
    steps[slots++] = run;
  }
  const double rest = (double)esc_segments_sum(p->run.segments).steps - finished;
  for (int i = 0; i < slots; i++)
    if (steps[i] == 0 && rest > 0) steps[i] = (int64_t)(rest / slots);
  return slots;
}

/* Adds the part's steps. */
static esc_status add_progress(const reading *r, esc_unfinished_part *p) {
  esc_status status = ESC_OK;
  esc_unfinished *u = r->u;
  esc_workload *w = NULL;
  const double *predicted = NULL;
  const int64_t members = p->run.plan.members;
  int64_t *index = malloc(((size_t)members + 1) * sizeof *index);
  int64_t *steps = malloc(((size_t)members + 1) * sizeof *steps);
  ESC_TRY_ALLOCATE(index);
  ESC_TRY_ALLOCATE(steps);
  ESC_TRY(find_predicted(r, p, &predicted));
  ESC_TRY(esc_workload_create(&p->run.plan, u->spec->problem.steps, predicted, &w));
  const int slots = list_members(r, p, w, index, steps);
  const esc_workload_steps s = esc_workload_expect(w, slots, index, steps);
  u->progress.steps.made += s.made;
  u->progress.steps.expected += s.expected;
  u->progress.steps.is_upper_bound = u->progress.steps.is_upper_bound || s.is_upper_bound;
done:
  esc_workload_free(w);
  free(index);
  free(steps);
  return status;
}

/* Rate of the part's last segment. */
static void add_rate(esc_unfinished *u, const esc_unfinished_part *p) {
  const size_t count = json_array_size(p->run.segments);
  const json_t *last = count ? json_array_get(p->run.segments, count - 1) : NULL;
  const double seconds = json_number_value(json_object_get(last, "wall_s"));
  u->progress.network_steps += json_integer_value(json_object_get(last, "steps"));
  u->progress.seconds = fmax(u->progress.seconds, seconds);
  u->damaged_bytes += p->damaged_bytes;
}

static esc_status read_part(reading *r, int part) {
  esc_status status = ESC_OK;
  esc_unfinished *u = r->u;
  esc_unfinished_part p = {.cut = -1};
  esc_unfinished_basis basis;
  char path[ESC_PART_PATH_SIZE];
  part_path(u, part, path);
  const esc_part_request request = {.output = path,
                                    .identity = r->identity,
                                    .whole = u->parts ? u->output : NULL,
                                    .spec = u->spec,
                                    .shard = u->parts ? part : r->shard,
                                    .shards = u->parts ? u->parts : r->shards,
                                    .is_held = u->lock.is_held};
  ESC_TRY(esc_unfinished_part_read(&request, &p));
  ESC_TRY(esc_unfinished_part_fill_now(&p, u->lock.is_held, u->now, r->filled));
  ESC_TRY(esc_unfinished_part_fill_results(&p, u->results, r->filled, &basis));
  ESC_TRY(add_progress(r, &p));
  add_rate(u, &p);
  r->filled += p.run.plan.members;
  if (basis == ESC_BASIS_SCALES || u->basis == ESC_BASIS_COMPLETE) u->basis = basis;
  ESC_TRY(esc_segments_join(u->segments, p.run.segments));
done:
  esc_unfinished_part_free(&p);
  return status;
}

/* ---- the run ---- */

static void count_members(esc_unfinished *u) {
  const esc_status_counts n = u->count = esc_results_count_statuses(u->now);
  u->progress.members = u->members = u->now->members;
  u->progress.escaped = n.escaped;
  u->progress.censored = n.censored;
  u->progress.diverged = n.diverged;
  u->progress.running = n.running;
}

static esc_status set_attributes(esc_unfinished *u, const char *identity) {
  esc_status status = ESC_OK;
  char *spec = esc_spec_resolved(u->spec);
  const char *precision = esc_run_identity_rest(identity) + strlen("precision: ");
  char *text = strndup(precision, strcspn(precision, "\n"));
  ESC_TRY_ALLOCATE(spec);
  ESC_TRY_ALLOCATE(text);
  ESC_TRY(esc_results_set_attribute(u->results, "name", esc_spec_name(u->spec)));
  ESC_TRY(esc_results_set_attribute(u->results, "spec", spec));
  ESC_TRY(esc_results_set_attribute(u->results, "precision", text));
done:
  free(spec);
  free(text);
  return status;
}

esc_status esc_unfinished_read(const char *output, esc_unfinished_forecast *forecast,
                               esc_unfinished *u) {
  esc_status status = ESC_OK;
  char *identity = NULL;
  *u = (esc_unfinished){.basis = ESC_BASIS_COMPLETE};
  reading r = {.u = u, .forecast = forecast};
  snprintf(u->output, sizeof u->output, "%.4000s", output);
  u->lock = esc_unfinished_peek(u->output);
  ESC_TRY_ALLOCATE(u->segments = json_array());
  ESC_TRY(esc_parts_count(u->output, &u->parts));
  ESC_TRY(find_identity(u, &identity));
  r.identity = identity;
  ESC_TRY(parse_identity(identity, &u->spec, &r.shard, &r.shards));
  ESC_TRY(create_tables(
      u, esc_plan_count_members(u->spec, u->parts ? 0 : r.shard, u->parts ? 1 : r.shards)));
  ESC_TRY(prepare_forecast(&r));
  for (int part = 0; part < (u->parts ? u->parts : 1); part++) ESC_TRY(read_part(&r, part));
  ESC_TRY(esc_segments_sort(&u->segments));
  count_members(u);
  status = set_attributes(u, identity);
done:
  free(identity);
  return status;
}

void esc_unfinished_free(esc_unfinished *u) {
  esc_results_free(u->now);
  esc_results_free(u->results);
  esc_spec_free(u->spec);
  json_decref(u->segments);
}

int64_t esc_unfinished_count_finished(const esc_unfinished *u) {
  return u->count.escaped + u->count.censored + u->count.diverged;
}

void esc_unfinished_print(const esc_unfinished *u, char *text, size_t size) {
  static const char *const basis[] = {
      [ESC_BASIS_COMPLETE] = "all members have finished",
      [ESC_BASIS_CHECKPOINT] =
          "statistics are of the members at the newest checkpoint, those in "
          "training right-censored at their step there",
      [ESC_BASIS_SCALES] =
          "no checkpoint belongs to the journal yet: only scales of which every member "
          "has finished are used",
  };
  char diverged[48] = "";
  if (u->count.diverged)
    snprintf(diverged, sizeof diverged, ", %lld diverged", (long long)u->count.diverged);
  snprintf(text, size,
           "%s: unfinished run: %lld of %lld members finished (%lld escaped, %lld censored%s), "
           "%lld %s, %lld waiting; %s",
           u->output, (long long)esc_unfinished_count_finished(u), (long long)u->members,
           (long long)u->count.escaped, (long long)u->count.censored, diverged,
           (long long)u->count.running, u->lock.is_held ? "in training" : "saved in training",
           (long long)u->count.waiting, basis[u->basis]);
}
