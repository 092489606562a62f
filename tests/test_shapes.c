/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers from outside that memory is sized or indexed by: coefficients without bound, results
 * whose shape is not that of their spec, figures of too few scales. */
#include "check.h"
#include "cli/cli.h"
#include "escapement/internal/fit.h"
#include "escapement/internal/results.h"
#include "figure/figure.h"
#include "scratch.h"
#include "spec_text.h"
#include "store/store.h"

/* ---- coefficients ---- */

static esc_problem steep(double a0, double a1, double a2, int modes) {
  return (esc_problem){
      .activation = {.kind = ESC_ACTIVATION_POLYNOMIAL, .terms = 3, .coefficient = {a0, a1, a2}},
      .teacher = {.modes = modes, .amplitude = {1, 0.5}},
      .batch = 8,
      .smoothing = 0.9,
      .huber_delta = 1};
}

/* Their values, or the squares of these, are infinite. */
static void a_false_escape_of_an_infinite_loss_is_refused(void **state) {
  (void)state;
  static const double a[][3] = {
      {0, 1e160, 1}, {0, 1e300, 1e300}, {1e160, 1, 0}, {0, 1e308, 1e308}, {0, 1e80, 1}};
  for (size_t i = 0; i < sizeof a / sizeof *a; i++)
    for (int modes = 1; modes <= 2; modes++) {
      const esc_problem p = steep(a[i][0], a[i][1], a[i][2], modes);
      esc_false_escape of_noise;
      assert_int_equal(esc_false_escapes(&p, 100, 1, &(double){0.05}, &of_noise), ESC_BAD_INPUT);
      assert_non_null(strstr(esc_error_message(), "exceeds the range of a double"));
    }
}

static void networks_are_trained_with_coefficients_up_to_1e30(void **state) {
  (void)state;
  esc_spec *spec = NULL;
  const char *text = with_line(6, "  activation: \"poly:0,1e30,-1e30\"");
  esc_assert_ok(parse_bytes(text, strlen(text), &spec));
  esc_spec_free(spec);
  static const char *const wrong[] = {"0,1e160,1", "0,1e300,1e300", "-1.1e30"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char line[80];
    snprintf(line, sizeof line, "  activation: \"poly:%s\"", wrong[i]);
    text = with_line(6, line);
    assert_int_equal(parse_bytes(text, strlen(text), &spec), ESC_BAD_INPUT);
    assert_non_null(strstr(esc_error_message(), "has a coefficient above 1e30 in size"));
  }
}

/* ---- shapes ---- */

static const char spec_text[] =
    "name: s\nnetwork: {layers: 3, width: 4, inputs: 4, activation: tanh}\n"
    "train: {rate: 0.01, batch: 8, steps: 100}\nescape: {thresholds: [0.1, 0.05]}\n"
    "sweep: {seeds: 4, groups: [{bottleneck: 3, scales: [0.1]}]}\n";

typedef struct shape {
  int members, thresholds, layers, snapshots, bottleneck;
} shape;

static esc_results *make_shard(int number, shape s) {
  esc_results *r = NULL;
  char text[8];
  esc_assert_ok(esc_results_create(s.members, s.thresholds, s.layers, &r));
  if (s.snapshots) esc_assert_ok(esc_results_add_snapshots(r, s.snapshots));
  for (int t = 0; t < s.thresholds; t++) r->threshold[t] = 0.1 / (t + 1);
  for (int k = 0; k < s.snapshots; k++) r->snapshot_step[k] = 10 * k;
  for (int i = 0; i < s.members; i++) {
    r->member[i] = number + 2 * i;
    r->seed[i] = 1 + r->member[i];
    r->bottleneck[i] = s.bottleneck;
  }
  snprintf(text, sizeof text, "%d/2", number);
  esc_assert_ok(esc_results_set_attribute(r, "spec", spec_text));
  esc_assert_ok(esc_results_set_attribute(r, "precision", "float32"));
  esc_assert_ok(esc_results_set_attribute(r, "shard", text));
  return r;
}

/* Joins a shard of the spec's shape and another, each with its checksum. */
static esc_status merge(shape first, shape second) {
  const shape both[] = {first, second};
  char *argument[] = {"merge", "-o", NULL, "--force", NULL, NULL, NULL};
  argument[2] = (char *)scratch("all.h5");
  for (int i = 0; i < 2; i++) {
    esc_results *r = make_shard(i, both[i]);
    argument[4 + i] = (char *)scratch(i ? "1.h5" : "0.h5");
    esc_assert_ok(esc_store_write(argument[4 + i], r));
    esc_results_free(r);
  }
  return esc_command_merge(6, argument);
}

static const shape right = {2, 2, 3, 2, 3};

static void shards_of_the_specs_shape_are_joined(void **state) {
  (void)state;
  esc_assert_ok(merge(right, right));
  esc_assert_ok(merge(right, (shape){2, 2, 3, 3, 3})); /* a longer run has more snapshots */
}

static void shards_of_another_shape_are_refused_before_a_row_is_copied(void **state) {
  (void)state;
  static const struct {
    shape shape;
    const char *why;
  } wrong[] = {
      {{2, 16, 3, 2, 3}, "has 16 thresholds and 3 layers, but its spec describes 2 and 3"},
      {{2, 1, 3, 2, 3}, "has 1 thresholds and 3 layers, but its spec describes 2 and 3"},
      {{2, 2, 64, 2, 3}, "has 2 thresholds and 64 layers, but its spec describes 2 and 3"},
      {{2, 2, 2, 2, 2}, "has 2 thresholds and 2 layers, but its spec describes 2 and 3"},
      {{2, 2, 3, 2, 65}, "row 0 has 65 small layers of 3"},
      {{2, 2, 3, 0, 3}, "has none"},
      {{3, 2, 3, 2, 3}, "holds 3 members; its shard has 2"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    for (int swapped = 0; swapped < 2; swapped++) {
      assert_int_equal(swapped ? merge(wrong[i].shape, right) : merge(right, wrong[i].shape),
                       ESC_BAD_INPUT);
      if (!strstr(esc_error_message(), wrong[i].why)) fail_msg("%s", esc_error_message());
    }
}

/* ---- figures ---- */

static void figure_4_of_too_few_scales_fails_its_check(void **state) {
  (void)state;
  static const esc_figure_sweep sweep = {.figure = 4, .name = "corners"};
  for (int small = 1; small <= 2; small++) {
    esc_figure f = {.number = 4, .runs = 1, .panels = json_array(), .checks = json_array()};
    f.caption = open_memstream(&f.caption_text, &f.caption_size);
    f.run[0].sweep = &sweep;
    f.run[0].results = make_shard(0, (shape){4, 2, 3, 0, small});
    for (int i = 0; i < 4; i++) {
      esc_results *r = f.run[0].results;
      r->small_layers[i] = (1 << small) - 1;
      r->scale[i] = 0.1;
      r->escape_step[2 * i] = r->escape_step[2 * i + 1] = r->steps_run[i] = 50 + i;
    }
    esc_assert_ok(esc_spec_parse("s", spec_text, strlen(spec_text), 0, NULL, &f.run[0].spec));
    esc_assert_ok(esc_figure_4(&f));
    assert_int_equal(f.failed, 1);
    assert_int_equal(json_array_size(f.checks), 1);
    fclose(f.caption);
    esc_figure_free(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_false_escape_of_an_infinite_loss_is_refused),
      cmocka_unit_test(networks_are_trained_with_coefficients_up_to_1e30),
      CASE(shards_of_the_specs_shape_are_joined),
      CASE(shards_of_another_shape_are_refused_before_a_row_is_copied),
      cmocka_unit_test(figure_4_of_too_few_scales_fails_its_check),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
