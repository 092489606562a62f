/* SPDX-License-Identifier: Apache-2.0 */
/* Segments of a result from which some members are taken: their steps and seconds are those
 * members' share. */
#include "store/segments.h"

#include "check.h"

static json_t *segments_of(int count, const int64_t *steps, double seconds) {
  json_t *segments = json_array();
  for (int i = 0; i < count; i++)
    json_array_append_new(segments,
                          json_pack("{s:I,s:f}", "steps", (json_int_t)steps[i], "wall_s", seconds));
  return segments;
}

static void steps_of_the_shared_segments_add_up_to_those_that_are_taken(void **state) {
  (void)state;
  const int64_t steps[] = {10, 10, 11};
  for (int64_t taken = 0; taken < 31; taken++) {
    json_t *segments = segments_of(3, steps, 2);
    esc_segments_scale(segments, taken, 31);
    assert_int_equal(esc_segments_sum(segments).steps, taken);
    esc_assert_close(esc_segments_sum(segments).seconds, 6.0 * (double)taken / 31, 0, 1e-14);
    json_decref(segments);
  }
}

static void segments_whose_members_are_all_taken_stay_as_they_are(void **state) {
  (void)state;
  const int64_t steps[] = {7, 0};
  json_t *segments = segments_of(2, steps, 1), *before = json_deep_copy(segments);
  esc_segments_scale(segments, 7, 7);
  assert_true(json_equal(segments, before));
  json_decref(segments);
  json_decref(before);
}

static void a_result_of_no_steps_shares_none(void **state) {
  (void)state;
  json_t *none = json_array();
  esc_segments_scale(none, 0, 0);
  assert_int_equal(json_array_size(none), 0);
  json_decref(none);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steps_of_the_shared_segments_add_up_to_those_that_are_taken),
      cmocka_unit_test(segments_whose_members_are_all_taken_stay_as_they_are),
      cmocka_unit_test(a_result_of_no_steps_shares_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
