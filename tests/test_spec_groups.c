/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of a sweep: which layers are small, how small, and every network once. */
#include "spec_text.h"

static void a_bottleneck_is_at_most_the_layers(void **state) {
  (void)state;
  refuse_text(with_line(28, "    - bottleneck: 7"), "spec.yaml:28: sweep.groups[0].bottleneck: '7'",
              "0..4 = network.layers");
}

static void a_ladder_is_even_in_log_with_exact_ends(void **state) {
  (void)state;
  esc_spec *s =
      parse_good(with_line(30, "    - {bottleneck: 4, scales: {from: 0.3, to: 0.07, count: 4}}"));
  const esc_group *g = &s->group[1];
  assert_int_equal(g->scales, 4);
  assert_true(g->scale[0] == 0.3 && g->scale[3] == 0.07);
  for (int i = 1; i < 4; i++)
    esc_assert_close(log(g->scale[i - 1] / g->scale[i]), log(0.3 / 0.07) / 3, 0, 1e-14);
  esc_spec_free(s);
  accept(with_line(30, "    - {bottleneck: 4, scales: {from: 0.3, to: 0.3, count: 1}}"));
  refuse_text(with_line(30, "    - {bottleneck: 4, scales: {from: 0.3, to: 0.1, count: 1}}"),
              "spec.yaml:30: sweep.groups[1].scales.count: ", "at least 2");
  refuse_text(with_line(30, "    - {bottleneck: 4, scales: {from: 0.3, to: 0.3, count: 2}}"),
              "spec.yaml:30: sweep.groups[1].scales: ", "twice");
  refuse_text(with_line(30, "    - {bottleneck: 4, scales: {from: 0.3, to: 0.4, count: 10001}}"),
              "spec.yaml:30: sweep.groups[1].scales.count: '10001'", "1..10000");
}

static void small_layers_are_the_first_unless_named(void **state) {
  (void)state;
  esc_spec *s = parse_good(with_line(30, "    - {bottleneck: 2, layers: [4, 2], scales: [1]}"));
  assert_int_equal(s->group[0].small_layers, 0x7);
  assert_int_equal(s->group[1].small_layers, 0xa);
  esc_spec_free(s);
  s = parse_good(with_line(30, "    - {bottleneck: 0, layers: [], scales: [1]}"));
  assert_int_equal(s->group[1].small_layers, 0);
  esc_spec_free(s);
  refuse_text(with_line(30, "    - {bottleneck: 2, layers: [1], scales: [1]}"),
              "spec.yaml:30: sweep.groups[1].layers: names 1 layers", "2");
  refuse_text(with_line(30, "    - {bottleneck: 2, layers: [1, 1], scales: [1]}"),
              "spec.yaml:30: sweep.groups[1].layers: '1' appears twice", "");
  refuse_text(with_line(30, "    - {bottleneck: 2, layers: [1, 5], scales: [1]}"),
              "spec.yaml:30: sweep.groups[1].layers[1]: '5'", "1..4");
  refuse_text(with_line(30, "    - {bottleneck: 2, layers: [0, 1], scales: [1]}"),
              "spec.yaml:30: sweep.groups[1].layers[0]: '0'", "1..4");
}

static void all_sixty_four_layers_can_be_small(void **state) {
  (void)state;
  const char *const all[] = {"network.layers=64", "sweep.groups=[{bottleneck: 64, scales: [1]}]"};
  const char *text = with_line(0, "");
  esc_spec *s = NULL;
  esc_assert_ok(esc_spec_parse("s", text, strlen(text), 2, all, &s));
  assert_true(s->group[0].small_layers == UINT64_MAX);
  esc_spec_free(s);
}

static void no_network_is_there_twice(void **state) {
  (void)state;
  refuse_text(with_line(29, "      scales: [0.1, 0.05, 0.1]"),
              "spec.yaml:29: sweep.groups[0].scales: 0.1", "twice");
  refuse_text(with_line(30, "    - {bottleneck: 3, scales: [0.2, 0.05]}"),
              "spec.yaml:30: sweep.groups[1].scales: 0.05", "first in sweep.groups[0]");
  refuse_text(with_line(30, "    - {bottleneck: 3, layers: [3, 1, 2], scales: [0.1]}"),
              "spec.yaml:30: sweep.groups[1].scales: 0.1", "");
  accept(with_line(30, "    - {bottleneck: 3, layers: [4, 1, 2], scales: [0.1]}"));
  accept(with_line(30, "    - {bottleneck: 3, scales: [0.2, 0.3]}"));
}

static void groups_are_a_list_that_is_not_empty(void **state) {
  (void)state;
  refuse_override("sweep.groups=[]", "argument 1: sweep.groups: a list of 0 is too short",
                  "1..256");
  refuse_override("sweep.groups={bottleneck: 1}", "argument 1: sweep.groups: a mapping", "list");
  refuse_override("sweep.groups=[3]", "argument 1: sweep.groups[0]: '3' is not a mapping", "");
  refuse_override("sweep.groups=[{bottleneck: 1, scales: []}]",
                  "argument 1: sweep.groups[0].scales: a list of 0", "");
  refuse_override("sweep.groups=[{bottleneck: 1, scales: 1}]",
                  "argument 1: sweep.groups[0].scales: '1' is not a list", "");
}

static void the_number_of_networks_is_capped(void **state) {
  (void)state;
  refuse_text(with_line(25, "  seeds: 12500001"),
              "spec.yaml:25: sweep.seeds: 12500001 seeds x 8 scales = 100000008 networks",
              "at most 100000000");
  esc_spec *s = parse_good(with_line(25, "  seeds: 12500000"));
  assert_int_equal(esc_spec_count_members(s), ESC_MEMBERS_MAX);
  esc_spec_free(s);
}

static void the_number_of_scales_is_capped(void **state) {
  (void)state;
  refuse_override(
      "sweep.groups=[{bottleneck: 1, scales: {from: 0.1, to: 1, count: 10000}}, {bottleneck: 2, "
      "scales: {from: 0.1, to: 1, count: 10000}}, {bottleneck: 3, scales: {from: 0.1, to: 1, "
      "count: 10000}}, {bottleneck: 4, scales: [1]}]",
      "argument 1: sweep.groups: more than 30000 scales", "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_bottleneck_is_at_most_the_layers),
      cmocka_unit_test(a_ladder_is_even_in_log_with_exact_ends),
      cmocka_unit_test(small_layers_are_the_first_unless_named),
      cmocka_unit_test(all_sixty_four_layers_can_be_small),
      cmocka_unit_test(no_network_is_there_twice),
      cmocka_unit_test(groups_are_a_list_that_is_not_empty),
      cmocka_unit_test(the_number_of_networks_is_capped),
      cmocka_unit_test(the_number_of_scales_is_capped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
