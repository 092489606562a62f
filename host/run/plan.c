/* SPDX-License-Identifier: Apache-2.0 */
/* Members, shards, order, and the check for false escapes. */
#include "run/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "escapement/internal/fit.h"

static void make_members(const esc_spec *spec, int64_t shard, int64_t shards, esc_plan *plan) {
  int64_t index = 0;
  for (int g = 0; g < spec->groups; g++)
    for (int s = 0; s < spec->group[g].scales; s++)
      for (int64_t i = 0; i < spec->seeds; i++, index++)
        if (index % shards == shard)
          plan->member[plan->members++] = (esc_member){.index = index,
                                                       .seed = spec->seed + (uint64_t)i,
                                                       .group = g,
                                                       .bottleneck = spec->group[g].bottleneck,
                                                       .small_layers = spec->group[g].small_layers,
                                                       .scale = spec->group[g].scale[s]};
}

static int compare_cells(const void *left, const void *right) {
  const esc_plan_cell *a = left, *b = right;
  if (a->small_layers != b->small_layers) return a->small_layers < b->small_layers ? -1 : 1;
  return (a->scale > b->scale) - (a->scale < b->scale);
}

static void make_cells(const esc_spec *spec, esc_plan *plan) {
  for (int g = 0; g < spec->groups; g++)
    for (int s = 0; s < spec->group[g].scales; s++, plan->cells++)
      plan->cell[plan->cells] = (esc_plan_cell){spec->group[g].small_layers,
                                                spec->group[g].scale[s], plan->cells * spec->seeds};
  qsort(plan->cell, (size_t)plan->cells, sizeof *plan->cell, compare_cells);
}

bool esc_plan_is_same_cell(const esc_member *a, const esc_member *b) {
  return a->group == b->group && a->scale == b->scale;
}

int64_t esc_plan_find_member(const esc_plan *plan, esc_member_key key) {
  const esc_plan_cell wanted = {key.small_layers, key.scale, 0};
  const esc_plan_cell *cell = NULL;
  if (plan->cells)
    cell = bsearch(&wanted, plan->cell, (size_t)plan->cells, sizeof *cell, compare_cells);
  if (!cell || key.seed < plan->seed || key.seed - plan->seed >= (uint64_t)plan->seeds) return -1;
  const int64_t index = cell->first + (int64_t)(key.seed - plan->seed);
  return index % plan->shards == plan->shard ? index / plan->shards : -1;
}

/* Contiguous members of one cell in the plan. */
typedef struct member_range {
  int64_t first, members;
  double length;
} member_range;

/* Escape times grow as scale^-(r-2), so that starting the longest first balances the load. A
 * heuristic: it cannot change a result. */
static double expected_length(const esc_member *m) {
  return m->bottleneck > 2 ? pow(m->scale, 2 - m->bottleneck) : 1;
}

static int longest_first(const void *left, const void *right) {
  const member_range *a = left, *b = right;
  if (a->length != b->length) return a->length > b->length ? -1 : 1;
  return a->first < b->first ? -1 : 1;
}

/* Sorts cells rather than members, of which there may be millions. */
static esc_status make_order(esc_plan *plan) {
  esc_status status = ESC_OK;
  int64_t runs = 0, next = 0;
  member_range *run = calloc((size_t)plan->cells + 1, sizeof *run);
  ESC_TRY_ALLOCATE(run);
  for (int64_t i = 0; i < plan->members; i++) {
    const esc_member *m = &plan->member[i];
    if (i == 0 || !esc_plan_is_same_cell(m, m - 1))
      run[runs++] = (member_range){i, 0, expected_length(m)};
    run[runs - 1].members++;
  }
  qsort(run, (size_t)runs, sizeof *run, longest_first);
  for (int64_t k = 0; k < runs; k++)
    for (int64_t i = 0; i < run[k].members; i++) plan->order[next++] = run[k].first + i;
done:
  free(run);
  return status;
}

int64_t esc_plan_count_members(const esc_spec *spec, int64_t shard, int64_t shards) {
  return (esc_spec_count_members(spec) - shard + shards - 1) / shards;
}

double esc_plan_estimate_bytes(int64_t members) {
  return (double)members * (double)(sizeof(esc_member) + sizeof(int64_t));
}

esc_status esc_plan_create(const esc_spec *spec, int64_t shard, int64_t shards, esc_plan *plan) {
  esc_status status = ESC_OK;
  memset(plan, 0, sizeof *plan);
  plan->total = esc_spec_count_members(spec);
  plan->shard = shard;
  plan->shards = shards;
  plan->seed = spec->seed;
  plan->seeds = spec->seeds;
  if (spec->grid) {
    plan->members = esc_plan_count_members(spec, shard, shards);
    return ESC_OK;
  }
  const size_t capacity = (size_t)(plan->total / shards + 1);
  ESC_TRY_ALLOCATE(plan->cell =
                       calloc((size_t)(plan->total / spec->seeds + 1), sizeof *plan->cell));
  make_cells(spec, plan);
  ESC_TRY_ALLOCATE(plan->member = calloc(capacity, sizeof *plan->member));
  ESC_TRY_ALLOCATE(plan->order = calloc(capacity, sizeof *plan->order));
  make_members(spec, shard, shards, plan);
  status = make_order(plan);
done:
  return status;
}

void esc_plan_free(esc_plan *plan) {
  free(plan->cell);
  free(plan->member);
  free(plan->order);
  memset(plan, 0, sizeof *plan);
}

/* Probability after step 0, given no crossing at step 0. */
static double probability_after_first(const esc_false_escape *f) {
  return f->first < 1 ? fmax((f->probability - f->first) / (1 - f->first), 0) : 0;
}

/* Smoothing does not help if the first loss, at which the average starts, is likely to be below the
 * threshold. */
static const char *remedy(const esc_problem *p, const esc_false_escape *f) {
  return p->smoothing > 0 && f->first > probability_after_first(f)
             ? "use a larger train.batch or a lower escape.thresholds"
             : "use a larger train.batch, more escape.smoothing or a lower escape.thresholds";
}

static void explain(const esc_problem *p, double threshold, const esc_false_escape *f,
                    int64_t members, char *text) {
  const double number = f->probability * (double)members;
  const double expected = number < 10 ? number : round(number);
  char parts[200];
  if (p->smoothing > 0)
    snprintf(parts, sizeof parts,
             "%s at step 0, where the moving average equals the first loss; %s in later steps, "
             "asymptotically %.1g per step",
             esc_percent_print(f->first).text, esc_percent_print(probability_after_first(f)).text,
             f->hazard);
  else
    snprintf(parts, sizeof parts, "%.1g per step", f->hazard);
  snprintf(text, ESC_WARNING_SIZE,
           "threshold %g: by minibatch noise alone, the %s of a network on its plateau (mean "
           "%.3g) falls below it within %lld steps with probability %s (%s): about %.*g of %lld "
           "members would seem to escape",
           threshold, p->smoothing > 0 ? "smoothed loss" : "loss", f->baseline, (long long)p->steps,
           esc_percent_print(f->probability).text, parts, expected < 10 ? 2 : 15, expected,
           (long long)members);
}

/* The distribution of the loss can be too heavy-tailed for an estimate, as for a polynomial teacher
 * with large high coefficients. */
static esc_status handle_no_estimate(const esc_spec *spec, char warning[ESC_WARNING_SIZE]) {
  snprintf(warning, ESC_WARNING_SIZE, "false escapes cannot be estimated: %s", esc_error_message());
  if (spec->allow_false_escapes) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "%s; to train anyway, set escape.false_escapes=allow", warning);
}

esc_status esc_plan_check_false_escapes(const esc_spec *spec, esc_plan *plan,
                                        char warning[ESC_WARNING_SIZE]) {
  esc_status status = ESC_OK;
  const esc_problem *p = &spec->problem;
  esc_false_escape each[ESC_THRESHOLDS_MAX];
  int worst = 0;
  warning[0] = 0;
  status = esc_false_escapes(p, p->steps, p->thresholds, p->threshold, each);
  if (status == ESC_LIBRARY_FAILED) return handle_no_estimate(spec, warning);
  if (status != ESC_OK) goto done;
  for (int i = 0; i < p->thresholds; i++) {
    plan->false_escape[i] = each[i].probability;
    if (each[i].probability > each[worst].probability) worst = i;
  }
  if (!(each[worst].probability > 0.001)) goto done;
  explain(p, p->threshold[worst], &each[worst], plan->total, warning);
  if (each[worst].probability > 0.01 && !spec->allow_false_escapes)
    status = ESC_FAIL(ESC_BAD_INPUT, "%s; %s, or set escape.false_escapes=allow to train anyway",
                      warning, remedy(p, &each[worst]));
  else
    snprintf(warning + strlen(warning), ESC_WARNING_SIZE - strlen(warning), "; %s",
             remedy(p, &each[worst]));
done:
  return status;
}
