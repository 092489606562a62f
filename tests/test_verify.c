/* The bookkeeping of verify: the worst error counts, and what is not a number fails. */
#include "check.h"
#include "verify/verify.h"

static void the_worst_error_by_its_own_tolerance_is_kept(void **state) {
  (void)state;
  esc_verify_worst w = {.compared = 0};
  esc_verify_take(&w, 0.5, 1, "half of %d", 1);
  esc_verify_take(&w, -3, 4, "three quarters");
  esc_verify_take(&w, 5, 100, "a twentieth");
  assert_int_equal(w.compared, 3);
  esc_assert_close(w.error, 3, 0, 0);
  esc_assert_close(w.tolerance, 4, 0, 0);
  assert_string_equal(w.at, "three quarters");
  assert_true(esc_verify_passed(&w));
  esc_verify_take(&w, 1, 0, "any error where none is allowed");
  assert_false(esc_verify_passed(&w));
}

static void exact_equality_passes_with_tolerance_0(void **state) {
  (void)state;
  esc_verify_worst w = {.compared = 0};
  esc_verify_take(&w, 0, 0, "equal");
  assert_true(esc_verify_passed(&w));
}

static void what_is_not_a_number_fails_for_good(void **state) {
  (void)state;
  const double bad[][2] = {{NAN, 1}, {INFINITY, 1}, {0, NAN}, {INFINITY, INFINITY}, {0, INFINITY}};
  for (int i = 0; i < 5; i++) {
    esc_verify_worst w = {.compared = 0};
    esc_verify_take(&w, 0, 1, "good");
    esc_verify_take(&w, bad[i][0], bad[i][1], "bad");
    esc_verify_take(&w, 0.9, 1, "good");
    assert_false(esc_verify_passed(&w));
    assert_string_equal(w.at, "bad");
  }
}

static void a_check_that_compared_nothing_fails(void **state) {
  (void)state;
  const esc_verify_worst w = {.compared = 0};
  assert_false(esc_verify_passed(&w));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_worst_error_by_its_own_tolerance_is_kept),
      cmocka_unit_test(exact_equality_passes_with_tolerance_0),
      cmocka_unit_test(what_is_not_a_number_fails_for_good),
      cmocka_unit_test(a_check_that_compared_nothing_fails),
  };
  return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
