/* SPDX-License-Identifier: Apache-2.0 */
/* The progress line at terminals of several widths, and the steps that it is measured against. */
#include "cli/progress.h"

#include <math.h>
#include <string.h>

#include "check.h"

/* 1.2 of an expected 4.51 million steps after 83 seconds. */
static const esc_progress sample = {.members = 192,
                                    .escaped = 118,
                                    .censored = 2,
                                    .running = 24,
                                    .network_steps = 1200000,
                                    .seconds = 83,
                                    .steps = {.made = 1200000, .expected = 4510000}};

static const char *print(const esc_progress *p, int columns) {
  static char line[640];
  esc_progress_print(p, columns, line, sizeof line);
  return line;
}

static void a_narrow_line_has_share_time_and_members(void **state) {
  (void)state;
  assert_string_equal(print(&sample, 40), "26%  1m23s  ETA 3m49s  120/192 members");
}

static void a_wider_line_has_steps_too(void **state) {
  (void)state;
  assert_string_equal(print(&sample, 60),
                      "26%  1.20M of 4.51M steps  1m23s  ETA 3m49s  120/192 members");
}

static void eighty_columns_have_a_bar(void **state) {
  (void)state;
  assert_string_equal(print(&sample, 80),
                      "[##........]  26%  1.20M of 4.51M steps  1m23s  ETA 3m49s  120/192 members");
}

static void a_wide_line_says_how_members_ended(void **state) {
  (void)state;
  assert_string_equal(print(&sample, 120),
                      "[##........]  26%  1.20M of 4.51M steps  1m23s  ETA 3m49s  120/192 members  "
                      "118 escaped, 2 censored, 24 running");
}

static void off_a_terminal_all_but_the_bar_is_printed(void **state) {
  (void)state;
  assert_string_equal(print(&sample, 0),
                      "26%  1.20M of 4.51M steps  1m23s  ETA 3m49s  120/192 members  118 escaped, "
                      "2 censored, 24 running  14.5k steps/s");
}

static void no_line_is_wider_than_its_terminal(void **state) {
  (void)state;
  esc_progress p = sample;
  p.members = p.running = 10000000;
  p.seconds = 9e5;
  p.steps = (esc_workload_steps){.made = 123456789012, .expected = 9.99e17, .is_upper_bound = true};
  for (int columns = 1; columns < 300; columns++)
    assert_true(strlen(print(&p, columns)) <= (size_t)columns);
}

static void a_bound_is_called_one(void **state) {
  (void)state;
  esc_progress p = sample;
  p.steps.is_upper_bound = true;
  assert_string_equal(print(&p, 80),
                      "26%  1.20M of at most 4.51M steps  1m23s  ETA <3m49s  120/192 members");
}

static void before_the_first_step_no_time_is_promised(void **state) {
  (void)state;
  const esc_progress p = {.members = 3, .running = 3, .steps = {.expected = 3000}};
  assert_string_equal(print(&p, 60), "[..........]  0%  0 of 3.00k steps  0s  ETA ?  0/3 members");
}

/* ---- expected steps ---- */

/* Four members of one scale and two of another. */
static esc_plan two_scales(esc_member member[6]) {
  for (int i = 0; i < 6; i++) member[i] = (esc_member){.index = i, .scale = i < 4 ? 0.1 : 0.2};
  return (esc_plan){.total = 6, .members = 6, .member = member};
}

static esc_workload_steps expect(const double *predicted, int finished, const int64_t *ends,
                                 int running, const int64_t *steps) {
  esc_member member[6];
  const esc_plan plan = two_scales(member);
  int64_t index[6];
  esc_workload *f = NULL;
  esc_assert_ok(esc_workload_create(&plan, 1000, predicted, &f));
  for (int i = 0; i < finished; i++) esc_workload_finish(f, i, ends[i]);
  for (int i = 0; i < running; i++) index[i] = finished + i;
  const esc_workload_steps out = esc_workload_expect(f, running, index, steps);
  esc_workload_free(f);
  return out;
}

static void without_a_prediction_the_budget_is_the_bound(void **state) {
  (void)state;
  const esc_workload_steps e = expect(NULL, 0, NULL, 2, (const int64_t[]){10, 20});
  assert_true(e.made == 30 && e.expected == 6000 && e.is_upper_bound);
}

static void a_prediction_is_taken_up_to_the_budget(void **state) {
  (void)state;
  const double predicted[6] = {100, 100, 100, 100, 5000, 5000};
  const esc_workload_steps e = expect(predicted, 0, NULL, 0, NULL);
  assert_true(e.made == 0 && e.expected == 4 * 100 + 2 * 1000 && !e.is_upper_bound);
}

static void a_prediction_of_nan_is_none(void **state) {
  (void)state;
  const double predicted[6] = {100, 100, 100, 100, 50, NAN};
  const esc_workload_steps e = expect(predicted, 0, NULL, 0, NULL);
  assert_true(e.expected == 4 * 100 + 2 * 1000 && e.is_upper_bound);
}

static void finished_members_speak_for_their_scale_and_the_longest_for_others(void **state) {
  (void)state;
  const esc_workload_steps e =
      expect(NULL, 2, (const int64_t[]){200, 300}, 1, (const int64_t[]){40});
  assert_true(e.made == 540 && e.expected == 500 + 2 * 250 + 2 * 300 && !e.is_upper_bound);
}

static void a_member_that_outlives_the_mean_is_given_a_quarter_more(void **state) {
  (void)state;
  const esc_workload_steps e =
      expect(NULL, 2, (const int64_t[]){200, 200}, 2, (const int64_t[]){400, 900});
  assert_true(e.expected == 400 + 500 + 1000 + 2 * 200);
}

static void at_the_end_what_is_expected_is_what_was_made(void **state) {
  (void)state;
  const esc_workload_steps e = expect(NULL, 6, (const int64_t[]){1, 2, 3, 4, 5, 1000}, 0, NULL);
  assert_true(e.made == 1015 && e.expected == 1015 && !e.is_upper_bound);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_narrow_line_has_share_time_and_members),
      cmocka_unit_test(a_wider_line_has_steps_too),
      cmocka_unit_test(eighty_columns_have_a_bar),
      cmocka_unit_test(a_wide_line_says_how_members_ended),
      cmocka_unit_test(off_a_terminal_all_but_the_bar_is_printed),
      cmocka_unit_test(no_line_is_wider_than_its_terminal),
      cmocka_unit_test(a_bound_is_called_one),
      cmocka_unit_test(before_the_first_step_no_time_is_promised),
      cmocka_unit_test(without_a_prediction_the_budget_is_the_bound),
      cmocka_unit_test(a_prediction_is_taken_up_to_the_budget),
      cmocka_unit_test(a_prediction_of_nan_is_none),
      cmocka_unit_test(finished_members_speak_for_their_scale_and_the_longest_for_others),
      cmocka_unit_test(a_member_that_outlives_the_mean_is_given_a_quarter_more),
      cmocka_unit_test(at_the_end_what_is_expected_is_what_was_made),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
