/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of an unfinished run, on made-up sweeps of a known slope that stop while members are
 * in training (docs/theory, section 11.6). */
#include "run/unfinished_part.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "escapement/internal/fit.h"

enum { SEEDS = 96, SCALES = 3, SLOTS = 10, SWEEPS = 200, MEMBERS = SEEDS * SCALES };
enum { ENTRIES = 1000, ENTRY_STEPS = 20 }; /* of the segment in the journal */
enum { CLOCK = 7200 };                     /* 0.95 of the expected length of a sweep */

static const char spec_text[] =
    "name: made\n"
    "network: {layers: 3, width: 4, inputs: 4, activation: tanh}\n"
    "train: {rate: 0.01, batch: 64, steps: 1000000}\n"
    "escape: {thresholds: [0.1], false_escapes: allow}\n"
    "sweep: {seeds: 96, seed: 1, groups: [{bottleneck: 3, scales: [0.2, 0.1, 0.05]}]}\n";

/* A sweep whose slots advance together, stopped at a step of that clock. */
typedef struct made {
  gsl_rng *rng;
  esc_spec *spec;
  esc_unfinished_part part;
  double escape[MEMBERS];
  int64_t start[MEMBERS];
} made;

static void draw_escapes(made *m) {
  double effect[SEEDS];
  for (int s = 0; s < SEEDS; s++) effect[s] = gsl_ran_gaussian(m->rng, 0.3);
  for (int64_t i = 0; i < MEMBERS; i++) {
    const esc_member *member = &m->part.run.plan.member[i];
    m->escape[i] =
        round(20 / member->scale * exp(effect[member->seed - 1] + gsl_ran_gaussian(m->rng, 0.4)));
  }
}

/* The first SLOTS members start at 0, each other one when the earliest slot is free. */
static void schedule(made *m) {
  int64_t free_at[SLOTS] = {0};
  for (int64_t k = 0; k < MEMBERS; k++) {
    const int64_t i = m->part.run.plan.order[k];
    int earliest = 0;
    for (int s = 1; s < SLOTS; s++)
      if (free_at[s] < free_at[earliest]) earliest = s;
    m->start[i] = free_at[earliest];
    free_at[earliest] += (int64_t)m->escape[i];
  }
}

static void put_row(made *m, int64_t i) {
  esc_results *r = m->part.run.results;
  const esc_member *member = &m->part.run.plan.member[i];
  r->member[i] = member->index;
  r->seed[i] = (int64_t)member->seed;
  r->bottleneck[i] = member->bottleneck;
  r->small_layers[i] = (int64_t)member->small_layers;
  r->scale[i] = member->scale;
  r->status[i] = ESC_MEMBER_ESCAPED;
  r->steps_run[i] = r->escape_step[i] = (int64_t)m->escape[i];
  m->part.run.done[i] = true;
}

/* The checkpoint is of `clock`, the journal reaches until `later`. */
static void stop(made *m, int64_t clock, int64_t later) {
  esc_unfinished_part *p = &m->part;
  p->networks = 0;
  p->cut = 1;
  p->cut_clock = (double)clock;
  for (p->entries = 0; p->entries < ENTRIES; p->entries++)
    p->clock[p->entries] = (double)(p->entries * ENTRY_STEPS);
  for (int64_t i = 0; i < MEMBERS; i++) {
    const int64_t end = m->start[i] + (int64_t)m->escape[i];
    p->run.done[i] = false;
    p->position[i] = -1;
    if (end < later) put_row(m, i);
    if (end < later) p->position[i] = end < clock ? 0 : 1000;
    p->entry[i] = 1 + end / ENTRY_STEPS;
    if (m->start[i] < clock && end >= clock)
      p->network[p->networks++] = (esc_saved_network){i, clock - m->start[i], {-1}, 0, 0};
  }
}

static void made_create(made *m) {
  esc_run *r = &m->part.run;
  r->spec = m->spec;
  esc_assert_ok(esc_plan_create(m->spec, 0, 1, &r->plan));
  assert_int_equal(r->plan.members, MEMBERS);
  esc_assert_ok(esc_results_create(MEMBERS, 1, 3, &r->results));
  r->results->threshold[0] = 0.1;
  assert_non_null(r->done = calloc(MEMBERS, sizeof *r->done));
  assert_non_null(m->part.position = calloc(MEMBERS, sizeof *m->part.position));
  assert_non_null(m->part.entry = calloc(MEMBERS, sizeof *m->part.entry));
  assert_non_null(m->part.clock = calloc(ENTRIES, sizeof *m->part.clock));
  assert_non_null(m->part.network = calloc(MEMBERS, sizeof *m->part.network));
}

static esc_results *table(void) {
  esc_results *r = NULL;
  esc_assert_ok(esc_results_create(MEMBERS, 1, 3, &r));
  assert_non_null(r->observed = calloc(MEMBERS, sizeof *r->observed));
  r->threshold[0] = 0.1;
  return r;
}

static esc_fit_group fit_once(const esc_results *r) {
  esc_fit fit;
  esc_assert_ok(esc_fit_results(1, &r, &fit));
  assert_int_equal(fit.groups, 1);
  const esc_fit_group g = *fit.group; /* its numbers */
  esc_fit_free(&fit);
  return g;
}

/* Only members of seeds that have finished at all scales: the restriction that looks safe. */
static void keep_complete_seeds(const made *m, esc_results *r) {
  int finished[SEEDS] = {0};
  for (int64_t i = 0; i < MEMBERS; i++) finished[r->seed[i] - 1] += m->part.run.done[i];
  for (int64_t i = 0; i < MEMBERS; i++) {
    r->status[i] = finished[r->seed[i] - 1] == SCALES ? ESC_MEMBER_ESCAPED : ESC_MEMBER_WAITING;
    r->escape_step[i] = r->status[i] == ESC_MEMBER_ESCAPED ? (int64_t)m->escape[i] : -1;
    r->observed[i] = INFINITY;
  }
}

/* Moments of a number over the sweeps. */
typedef struct moments {
  double n, sum, squares;
} moments;

static void count(moments *m, double x) {
  m->n++;
  m->sum += x;
  m->squares += x * x;
}

static double mean(const moments *m) { return m->sum / m->n; }

static double error(const moments *m) {
  return sqrt((m->squares / m->n - mean(m) * mean(m)) / (m->n - 1));
}

static bool is_unbiased(const moments *slope) {
  return fabs(mean(slope) + 1) < 3 * error(slope) && error(slope) < 0.01;
}

static void setup(made *m) {
  memset(m, 0, sizeof *m);
  m->rng = gsl_rng_alloc(gsl_rng_mt19937);
  esc_assert_ok(esc_spec_parse("spec", spec_text, strlen(spec_text), 0, NULL, &m->spec));
  made_create(m);
  draw_escapes(m);
  schedule(m);
}

static void teardown(made *m) {
  esc_unfinished_part_free(&m->part);
  esc_spec_free(m->spec);
  gsl_rng_free(m->rng);
}

/* The restriction to complete seeds shows that the test can tell. */
static void slope_of_an_unfinished_sweep_is_not_biased(void **state) {
  (void)state;
  moments headline = {0}, lognormal = {0}, complete_seeds = {0}, covered = {0};
  made m;
  setup(&m);
  for (int k = 0; k < SWEEPS; k++) {
    esc_results *r = table();
    esc_unfinished_basis basis;
    draw_escapes(&m);
    schedule(&m);
    stop(&m, CLOCK, CLOCK + 50);
    esc_assert_ok(esc_unfinished_part_fill_results(&m.part, r, 0, &basis));
    const esc_fit_group g = fit_once(r);
    count(&headline, g.slope);
    count(&lognormal, g.slope_censored);
    count(&covered, g.lower <= -1 && -1 <= g.upper);
    keep_complete_seeds(&m, r);
    const double slope = fit_once(r).slope;
    if (isfinite(slope)) count(&complete_seeds, slope);
    esc_results_free(r);
  }
  assert_true(is_unbiased(&headline));
  assert_true(is_unbiased(&lognormal));
  assert_true(mean(&covered) > 0.9);
  assert_true(fabs(mean(&complete_seeds) + 1) > 4 * error(&complete_seeds));
  teardown(&m);
}

static int64_t count_status(const esc_results *r, int32_t status) {
  int64_t members = 0;
  for (int64_t i = 0; i < r->members; i++) members += r->status[i] == status;
  return members;
}

/* Those that started and escaped after it would be the fast ones alone. */
static void members_finished_after_the_checkpoint_are_not_known(void **state) {
  (void)state;
  made m;
  setup(&m);
  esc_results *r[2] = {table(), table()};
  esc_unfinished_basis basis;
  for (int k = 0; k < 2; k++) {
    stop(&m, CLOCK / 2, CLOCK / 2 + k * 1000);
    esc_assert_ok(esc_unfinished_part_fill_results(&m.part, r[k], 0, &basis));
    assert_int_equal(basis, ESC_BASIS_CHECKPOINT);
  }
  assert_int_equal(count_status(r[0], ESC_MEMBER_RUNNING), SLOTS);
  assert_memory_equal(r[0]->status, r[1]->status, MEMBERS * sizeof *r[0]->status);
  assert_memory_equal(r[0]->observed, r[1]->observed, MEMBERS * sizeof *r[0]->observed);
  const esc_fit_group g = fit_once(r[0]);
  assert_int_equal(g.n + g.running + g.waiting, MEMBERS);
  assert_int_equal(g.censored, 0);
  assert_true(g.warnings >> ESC_FIT_UNFINISHED & 1);
  for (int k = 0; k < 2; k++) esc_results_free(r[k]);
  teardown(&m);
}

static void without_a_checkpoint_only_complete_scales_count(void **state) {
  (void)state;
  made m;
  setup(&m);
  esc_results *r = table();
  esc_unfinished_basis basis;
  stop(&m, CLOCK, CLOCK);
  m.part.cut = -1;
  esc_assert_ok(esc_unfinished_part_fill_results(&m.part, r, 0, &basis));
  assert_int_equal(basis, ESC_BASIS_SCALES);
  assert_int_equal(count_status(r, ESC_MEMBER_ESCAPED) % SEEDS, 0);
  assert_int_equal(count_status(r, ESC_MEMBER_ESCAPED) + count_status(r, ESC_MEMBER_WAITING),
                   MEMBERS);
  esc_results_free(r);
  teardown(&m);
}

static void members_that_have_all_finished_are_final(void **state) {
  (void)state;
  made m;
  setup(&m);
  esc_results *r = table();
  esc_unfinished_basis basis;
  stop(&m, CLOCK / 2, 100 * CLOCK); /* the rest has finished after the checkpoint */
  esc_assert_ok(esc_unfinished_part_fill_results(&m.part, r, 0, &basis));
  assert_int_equal(basis, ESC_BASIS_COMPLETE);
  const esc_fit_group unfinished = fit_once(r), finished = fit_once(m.part.run.results);
  assert_true(unfinished.slope == finished.slope && unfinished.upper == finished.upper);
  assert_int_equal(unfinished.warnings, finished.warnings);
  esc_results_free(r);
  teardown(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(slope_of_an_unfinished_sweep_is_not_biased),
      cmocka_unit_test(members_finished_after_the_checkpoint_are_not_known),
      cmocka_unit_test(without_a_checkpoint_only_complete_scales_count),
      cmocka_unit_test(members_that_have_all_finished_are_final),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
