/* SPDX-License-Identifier: Apache-2.0 */
/* The time of a step, with an engine and a clock that are made up: a step of a network takes one
 * second of that clock, or less, and drawing its weights ten. */
#include "run/step_time.h"

#include "check.h"

enum { SLOTS = 4 };

typedef struct fake {
  esc_problem problem;
  esc_slot slot[SLOTS];
  int slots;
} fake;

static double seconds_now, seconds_of_step = 1, seconds_of_start; /* of the threads, each time */
static int64_t diverges_at[SLOTS]; /* step at which a network ends, by seed */
static double now(void) { return seconds_now; }

static esc_status create(const esc_engine_ops *ops, const esc_problem *p,
                         const esc_engine_setup *setup, void **out) {
  (void)ops;
  fake *f = calloc(1, sizeof *f);
  assert_non_null(f);
  f->problem = *p;
  f->slots = setup->slots;
  *out = f;
  return ESC_OK;
}

static esc_status load(void *handle, int slot, const esc_member *member) {
  fake *f = handle;
  f->slot[slot] = (esc_slot){.member = *member, .fresh = true};
  return ESC_OK;
}

/* A loss of 1e-6 passes thresholds above it; steps end with the budget. */
static esc_status advance(void *handle, int64_t steps, const atomic_bool *stop) {
  fake *f = handle;
  (void)stop;
  seconds_now += seconds_of_start;
  for (int i = 0; i < f->slots; i++) {
    esc_track *track = &f->slot[i].track;
    seconds_now += f->slot[i].fresh ? 10 : 0;
    f->slot[i].fresh = false;
    for (int64_t k = 0; k < steps && !track->finished; k++) {
      seconds_now += seconds_of_step;
      track->step++;
      track->finished = track->step >= f->problem.steps || f->problem.threshold[0] > 1e-6 ||
                        track->step >= diverges_at[f->slot[i].member.seed];
    }
  }
  return ESC_OK;
}

static const esc_slot *slot(const void *handle, int index) {
  return &((const fake *)handle)->slot[index];
}

static void describe(const void *handle, char *text, size_t size) {
  (void)handle;
  snprintf(text, size, "made up");
}

static double time_of(esc_problem p) {
  const esc_engine_ops ops = {.create = create,
                              .load = load,
                              .advance = advance,
                              .slot = slot,
                              .describe = describe,
                              .destroy = free};
  const esc_engine_setup setup = {.slots = SLOTS, .threads = 1};
  const esc_member member[SLOTS] = {{.seed = 0}, {.seed = 1}, {.seed = 2}, {.seed = 3}};
  const int64_t order[SLOTS] = {3, 2, 1, 0};
  char text[16];
  double seconds = NAN;
  const esc_step_timing what = {&ops, &p, &setup, member, order, now};
  esc_assert_ok(esc_step_time_measure(&what, &seconds, text, sizeof text));
  assert_string_equal(text, "made up");
  return seconds;
}

static void diverge_at(int64_t a, int64_t b, int64_t c, int64_t d) {
  const int64_t at[SLOTS] = {a, b, c, d};
  memcpy(diverges_at, at, sizeof at);
}

static esc_problem problem(int64_t steps, double threshold) {
  return (esc_problem){.steps = steps, .thresholds = 1, .threshold = {threshold}};
}

static void a_step_takes_its_time_whatever_the_budget_or_the_thresholds(void **state) {
  (void)state;
  diverge_at(1000, 1000, 1000, 1000);
  esc_assert_close(time_of(problem(400, 1e-9)), 1, 0, 0);
  esc_assert_close(time_of(problem(1, 1e-9)), 1, 0, 0);
  esc_assert_close(time_of(problem(400, 10)), 1, 0, 0);
}

/* 0.001 s of starting in at least 0.1 s; the clock's rounding is far below. */
static void the_start_of_threads_does_not_count_beside_fast_steps(void **state) {
  (void)state;
  diverge_at(1 << 30, 1 << 30, 1 << 30, 1 << 30);
  seconds_of_step = 1e-6, seconds_of_start = 1e-3;
  esc_assert_close(time_of(problem(400, 1e-9)), 1e-6, 0, 0.01);
  seconds_of_step = 1, seconds_of_start = 0;
}

static void only_steps_that_were_made_are_counted(void **state) {
  (void)state;
  diverge_at(1, 1, 1, 1000);
  esc_assert_close(time_of(problem(400, 1e-9)), 1, 0, 0);
}

static void networks_that_all_diverge_at_once_leave_the_first_steps_time(void **state) {
  (void)state;
  diverge_at(1, 1, 1, 1);
  esc_assert_close(time_of(problem(400, 1e-9)), 11, 0, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_step_takes_its_time_whatever_the_budget_or_the_thresholds),
      cmocka_unit_test(the_start_of_threads_does_not_count_beside_fast_steps),
      cmocka_unit_test(only_steps_that_were_made_are_counted),
      cmocka_unit_test(networks_that_all_diverge_at_once_leave_the_first_steps_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
