/* SPDX-License-Identifier: Apache-2.0 */
/* The message about false escapes: what its probability is made of, and percentages that
 * read as such. */
#include "run/plan.h"

#include "base/text.h"
#include "check.h"
#include "spec_text.h"

static void a_percentage_never_claims_more_than_is_known(void **state) {
  (void)state;
  static const struct {
    double share;
    const char *text;
  } row[] = {
      {0, "0%"},
      {1e-40, "less than 0.001%"},
      {9.9e-6, "less than 0.001%"},
      {1e-5, "0.001%"},
      {0.007034, "0.7%"},
      {0.025, "2.5%"},
      {0.0999, "10%"},
      {0.412, "41%"},
      {0.99, "99%"},
      {0.9951, "99.5%"},
      {0.9989, "99.9%"},
      {0.9995, "more than 99.9%"},
      {1 - 1e-12, "more than 99.9%"},
      {1, "100%"},
      {27.96, "2796%"},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
    assert_string_equal(esc_percent_print(row[i].share).text, row[i].text);
}

/* The warning of 16 seeds at two and six scales, 128 members. */
static void check_warning(const char *threshold, const char *smoothing, const char *const *part) {
  char line[64], warning[ESC_WARNING_SIZE];
  const char *override[] = {line, smoothing, "escape.false_escapes=allow"};
  const char *text = with_line(0, "");
  esc_spec *spec = NULL;
  esc_plan plan;
  snprintf(line, sizeof line, "escape.thresholds=[%s]", threshold);
  esc_assert_ok(esc_spec_parse("spec.yaml", text, strlen(text), 3, override, &spec));
  esc_assert_ok(esc_plan_create(spec, 0, 1, &plan));
  esc_assert_ok(esc_plan_check_false_escapes(spec, &plan, warning));
  for (; *part; part++) {
    if (!strstr(warning, *part)) fprintf(stderr, "got:  %s\nwant: ... %s ...\n", warning, *part);
    assert_non_null(strstr(warning, *part));
  }
  esc_plan_free(&plan);
  esc_spec_free(spec);
}

/* The 7e-3 a minibatch of docs/theory, section 5.6, is nearly all there is, at step 0. */
static void a_warning_of_the_first_loss_says_so(void **state) {
  (void)state;
  check_warning(
      "0.15", "escape.smoothing=0.9",
      (const char *[]){"threshold 0.15: ", "smoothed loss", "(mean 0.197)", "within 400000 steps",
                       "probability 0.7% (0.7% at step 0", "less than 0.001% in later steps",
                       "6e-28 per step", "about 0.9 of 128 members",
                       "; use a larger train.batch or a lower escape.thresholds", NULL});
}

static void a_warning_of_a_long_plateau_says_so(void **state) {
  (void)state;
  check_warning("0.165", "escape.smoothing=0.6",
                (const char *[]){"at step 0", "; 100% in later steps", "about 128 of 128",
                                 "more escape.smoothing", NULL});
}

static void without_smoothing_every_step_is_alike(void **state) {
  (void)state;
  check_warning("0.12", "escape.smoothing=none",
                (const char *[]){"the loss of a network",
                                 "with probability more than 99.9% (2e-05 "
                                 "per step)",
                                 "more escape.smoothing", NULL});
}

/* ---- members ---- */

static esc_plan plan_of(const char *text, int64_t shard, int64_t shards, esc_spec **spec) {
  esc_plan plan;
  *spec = parse_good(text);
  assert_true(esc_plan_count_members(*spec, shard, shards) >= 0);
  esc_assert_ok(esc_plan_create(*spec, shard, shards, &plan));
  return plan;
}

static void the_number_of_members_follows_from_the_specs_numbers(void **state) {
  (void)state;
  for (int64_t shards = 1; shards < 200; shards += 13)
    for (int64_t shard = 0; shard < shards; shard++) {
      esc_spec *spec;
      esc_plan plan = plan_of(with_line(0, ""), shard, shards, &spec);
      assert_int_equal(esc_plan_count_members(spec, shard, shards), plan.members);
      esc_plan_free(&plan);
      esc_spec_free(spec);
    }
}

static double length_of(const esc_member *m) {
  return m->bottleneck > 2 ? pow(m->scale, 2 - m->bottleneck) : 1;
}

static void the_longest_members_start_first_and_equals_in_their_order(void **state) {
  (void)state;
  esc_spec *spec;
  esc_plan plan = plan_of(
      with_line(28, "    - {bottleneck: 2, scales: [0.3, 0.2]}\n    - bottleneck: 3"), 1, 3, &spec);
  for (int64_t i = 1; i < plan.members; i++) {
    const int64_t a = plan.order[i - 1], b = plan.order[i];
    const double before = length_of(&plan.member[a]), after = length_of(&plan.member[b]);
    assert_true(before > after || (before == after && a < b));
  }
  esc_plan_free(&plan);
  esc_spec_free(spec);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_percentage_never_claims_more_than_is_known),
      cmocka_unit_test(a_warning_of_the_first_loss_says_so),
      cmocka_unit_test(a_warning_of_a_long_plateau_says_so),
      cmocka_unit_test(without_smoothing_every_step_is_alike),
      cmocka_unit_test(the_number_of_members_follows_from_the_specs_numbers),
      cmocka_unit_test(the_longest_members_start_first_and_equals_in_their_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
