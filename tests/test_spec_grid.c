/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.grid and sweep.zip: points, their order, and refusals. */
#include "spec_text.h"

static esc_spec *grid_of(const char *const *override, int overrides) {
  const char *text = with_line(0, "");
  esc_spec *s = NULL;
  esc_assert_ok(esc_spec_parse("spec.yaml", text, strlen(text), overrides, override, &s));
  return s;
}

#define GRID(...)                             \
  grid_of((const char *const[]){__VA_ARGS__}, \
          (int)(sizeof(const char *const[]){__VA_ARGS__} / sizeof(const char *)))

static void points_are_a_nested_loop_with_the_zip_innermost(void **state) {
  static const int width[] = {8, 8, 8, 8, 16, 16, 16, 16}, batch[] = {4, 4, 2, 2, 4, 4, 2, 2};
  static const double rate[] = {0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1, 0.2};
  esc_spec *s = GRID("sweep.grid={network.width: [8, 16], train.batch: [4, 2]}",
                     "sweep.zip={train.rate: [0.1, 0.2], train.steps: [10, 20]}");
  (void)state;
  assert_int_equal(esc_spec_count_points(s), 8);
  for (int i = 0; i < 8; i++) {
    const esc_problem *p = &esc_spec_point(s, i)->problem;
    assert_int_equal(p->shape.width, width[i]);
    assert_int_equal(p->batch, batch[i]);
    assert_true(p->rate == rate[i]);
    assert_int_equal(p->steps, rate[i] == 0.1 ? 10 : 20);
  }
  esc_spec_free(s);
}

static void a_range_is_even_in_log_and_whole_for_whole_numbers(void **state) {
  static const int width[] = {8, 16, 32};
  esc_spec *s = GRID("sweep.grid={network.width: {from: 8, to: 32, count: 3}}");
  (void)state;
  assert_int_equal(esc_spec_count_points(s), 3);
  for (int i = 0; i < 3; i++) assert_int_equal(esc_spec_point(s, i)->problem.shape.width, width[i]);
  esc_spec_free(s);
}

/* `inputs` follows the width at each point, unless it is given. */
static void defaults_follow_the_swept_key(void **state) {
  static const char text[] =
      "network: {layers: 2}\ntrain: {rate: 0.1, batch: 4, steps: 9}\n"
      "escape: {thresholds: [0.1]}\n"
      "sweep: {groups: [{bottleneck: 2, scales: [1]}], grid: {network.width: [3, 5]}}\n";
  esc_spec *s = NULL, *again = NULL;
  (void)state;
  esc_assert_ok(esc_spec_parse("a", text, strlen(text), 0, NULL, &s));
  assert_int_equal(esc_spec_point(s, 1)->problem.shape.inputs, 5);
  char *resolved = esc_spec_resolved(s);
  esc_assert_ok(esc_spec_parse("b", resolved, strlen(resolved), 0, NULL, &again));
  char *twice = esc_spec_resolved(again);
  assert_string_equal(resolved, twice);
  for (int i = 0; i < 2; i++) {
    char *one = esc_spec_resolved(esc_spec_point(s, i));
    char *other = esc_spec_resolved(esc_spec_point(again, i));
    assert_string_equal(one, other);
    free(one);
    free(other);
  }
  free(resolved);
  free(twice);
  esc_spec_free(s);
  esc_spec_free(again);
}

static void a_key_of_one_loss_is_left_out_at_the_others(void **state) {
  esc_spec *s = GRID("sweep.grid={train.loss: [squared, huber]}", "train.huber_delta=0.5");
  (void)state;
  assert_true(esc_spec_point(s, 1)->problem.huber_delta == 0.5);
  esc_spec_free(s);
}

static void keys_of_one_optimizer_are_left_out_at_the_others(void **state) {
  esc_spec *s = GRID("sweep.grid={train.optimizer: [sgd, adam]}", "train.momentum=0.5",
                     "train.nesterov=true", "train.adam_beta1=0.8");
  const esc_optimizer *sgd = &esc_spec_point(s, 0)->problem.optimizer,
                      *adam = &esc_spec_point(s, 1)->problem.optimizer;
  (void)state;
  assert_true(sgd->momentum == 0.5 && sgd->nesterov && sgd->adam_beta1 != 0.8);
  assert_true(adam->momentum == 0 && !adam->nesterov && adam->adam_beta1 == 0.8);
  esc_spec_free(s);
}

static void nesterov_is_left_out_where_the_swept_momentum_is_0(void **state) {
  esc_spec *s = GRID("sweep.grid={train.momentum: [0, 0.9]}", "train.nesterov=true");
  (void)state;
  assert_false(esc_spec_point(s, 0)->problem.optimizer.nesterov);
  assert_true(esc_spec_point(s, 1)->problem.optimizer.nesterov);
  esc_spec_free(s);
}

/* Momentum has the value 0 of Adam, so a zip can pair it; adam_beta1 has none of sgd. */
static void a_zip_pairs_optimizers_with_their_keys(void **state) {
  esc_spec *s = GRID(
      "sweep.zip={train.optimizer: [sgd, adam, adam], train.momentum: [0.9, 0, 0], "
      "train.adam_beta1: [0.9, 0.9, 0.5]}");
  (void)state;
  assert_true(esc_spec_point(s, 0)->problem.optimizer.momentum == 0.9);
  assert_true(esc_spec_point(s, 2)->problem.optimizer.adam_beta1 == 0.5);
  esc_spec_free(s);
}

static void what_is_no_grid_is_refused(void **state) {
  static const struct {
    const char *override, *message;
  } refused[] = {
      {"sweep.grid={}", "is empty"},
      {"sweep.grid=3", "is not a mapping"},
      {"sweep.grid={network.width: 16}", "network.width is a single value"},
      {"sweep.grid={network.width: []}", "network.width is an empty list"},
      {"sweep.grid={network.widht: [1]}", "did you mean network.width?"},
      {"sweep.grid={sweep.seeds: [1]}", "is swept by sweep.seeds and sweep.groups"},
      {"sweep.grid={escape.thresholds: [[0.1]]}", "list them in escape.thresholds"},
      {"sweep.grid={network.width: [16, abc]}", "'abc' is not a whole number"},
      {"sweep.grid={network.width: [16, 1.6e1]}",
       "two points have the same values of all keys (network.width = 16)"},
      {"sweep.grid={train.optimizer: [sgd, adam], train.adam_beta1: [0.5, 0.8]}",
       "two points have the same values"},
      {"sweep.grid={train.optimizer: [sgd, adam], train.momentum: [0, 0.9]}",
       "given, but train.optimizer is not sgd"},
      {"sweep.grid={record.weights: [[start], [end]]}", "is not supported with record.weights"},
      {"sweep.grid={init.file: [a.h5, b.h5], init.scheme: [file]}",
       "is not supported with init.scheme file"},
      {"sweep.grid={train.rate: [.nan]}", "'.nan' is not a decimal number"},
      {"sweep.grid={network.width: {from: 1, to: 3, count: 9}}", "the same whole number"},
      {"sweep.grid={network.width: {from: 0, to: 3, count: 2}}", "'from' is not above 0"},
      {"sweep.grid={train.loss: {from: 1, to: 3, count: 2}}", "its values are no numbers"},
      {"sweep.grid={train.rate: {from: 0.1, to: 1, count: 4096}, train.batch: [1, 2]}",
       "more than 4096 points"},
      {"sweep.zip={network.width: [4, 5], train.batch: [1]}",
       "train.batch has 1 values and network.width has 2"}};
  (void)state;
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
    refuse_override(refused[i].override, "", refused[i].message);
}

static void refuse_grid(const char *override, const char *grid, const char *message) {
  const char *const overrides[] = {override, grid}, *const text = with_line(0, "");
  esc_spec *s = NULL;
  assert_int_equal(esc_spec_parse("spec.yaml", text, strlen(text), 2, overrides, &s),
                   ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), message));
}

static void a_key_of_use_at_no_point_is_refused(void **state) {
  (void)state;
  refuse_grid("train.momentum=0.5", "sweep.grid={train.optimizer: [adam]}",
              "given, but train.optimizer is not sgd");
  refuse_grid("train.nesterov=true", "sweep.grid={train.momentum: [0]}", "true without momentum");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(points_are_a_nested_loop_with_the_zip_innermost),
      cmocka_unit_test(a_range_is_even_in_log_and_whole_for_whole_numbers),
      cmocka_unit_test(defaults_follow_the_swept_key),
      cmocka_unit_test(a_key_of_one_loss_is_left_out_at_the_others),
      cmocka_unit_test(keys_of_one_optimizer_are_left_out_at_the_others),
      cmocka_unit_test(nesterov_is_left_out_where_the_swept_momentum_is_0),
      cmocka_unit_test(a_zip_pairs_optimizers_with_their_keys),
      cmocka_unit_test(what_is_no_grid_is_refused),
      cmocka_unit_test(a_key_of_use_at_no_point_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
