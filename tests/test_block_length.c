/* SPDX-License-Identifier: Apache-2.0 */
/* The length of blocks of steps, after rounds of made-up times. */
#include "check.h"
#include "run/block_length.h"

/* After a round of 100 networks and blocks of 64 steps, of which `missed` were not made. */
static int64_t next(double seconds, int64_t missed, int slots) {
  return esc_next_block(&(esc_round){.block = 64,
                                     .advanced = 64,
                                     .made = 6400 - missed,
                                     .possible = 6400,
                                     .seconds = seconds,
                                     .slots = slots});
}

static void blocks_take_a_twentieth_of_a_second(void **state) {
  (void)state;
  assert_int_equal(next(0.02, 0, 100), 128);
  assert_int_equal(next(0.05, 0, 100), 64);
  assert_int_equal(next(0.11, 0, 100), 32);
}

static void blocks_are_shorter_while_networks_miss_steps(void **state) {
  (void)state;
  assert_int_equal(next(0.02, 250, 100), 128); /* less than 1/24 */
  assert_int_equal(next(0.02, 300, 100), 32);
  assert_int_equal(next(0.005, 300, 100), 64);
  assert_int_equal(next(0.002, 300, 100), 128);
}

static void many_slots_are_not_looked_at_too_often(void **state) {
  (void)state;
  assert_int_equal(next(0.02, 300, 20000), 64);
  assert_int_equal(next(0.02, 300, 1000000), 128);
}

static void a_block_that_no_network_fills_does_not_grow(void **state) {
  (void)state;
  const esc_round round = {
      .block = 64, .advanced = 63, .made = 63, .possible = 64, .seconds = 0.001, .slots = 1};
  assert_int_equal(esc_next_block(&round), 64);
}

static void a_block_has_a_step_at_least_and_a_launch_at_most(void **state) {
  (void)state;
  const int64_t most = 1 << 20;
  assert_int_equal(esc_next_block(&(esc_round){1, 1, 1, 1, .seconds = 9, .slots = 1}), 1);
  assert_int_equal(esc_next_block(&(esc_round){most, most, most, most, .slots = 1}), most);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_take_a_twentieth_of_a_second),
      cmocka_unit_test(blocks_are_shorter_while_networks_miss_steps),
      cmocka_unit_test(many_slots_are_not_looked_at_too_often),
      cmocka_unit_test(a_block_that_no_network_fills_does_not_grow),
      cmocka_unit_test(a_block_has_a_step_at_least_and_a_launch_at_most),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
