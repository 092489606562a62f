/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions that verify and time what runs here: results as data, and a callback that
 * ends the work. */
#include "check.h"
#include "escapement/bench.h"
#include "escapement/verify.h"

static bool end_after_two(void *context, const esc_verify_result *result) {
  int *calls = context;
  assert_true(result->passed);
  assert_true(result->compared > 0);
  return ++*calls < 2;
}

static void a_report_ends_the_checks(void **state) {
  (void)state;
  const esc_verify_request request = {.quick = true};
  esc_verification v;
  int calls = 0;
  assert_int_equal(esc_machine_verify(&request, end_after_two, &calls, &v), ESC_INTERRUPTED);
  assert_int_equal(calls, 2);
  assert_int_equal(v.results, 2);
  assert_int_equal(v.passed, 2);
  esc_verification_free(&v);
}

static void an_unknown_backend_is_refused_before_a_check(void **state) {
  (void)state;
  const esc_verify_request request = {.backend = "abacus"};
  esc_verification v;
  assert_int_equal(esc_machine_verify(&request, NULL, NULL, &v), ESC_BAD_INPUT);
  assert_int_equal(v.results, 0);
  esc_verification_free(&v);
}

/* Two widths, of which the first is timed. */
static const esc_bench_request tiny = {.backend = "cpu",
                                       .width = "4,5",
                                       .layers = "3",
                                       .inputs = "2",
                                       .batch = "8",
                                       .slots = "1",
                                       .seconds = "0.01",
                                       .device = -1};

static bool end_at_once(void *context, const esc_bench_result *result) {
  *(esc_bench_result *)context = *result;
  return false;
}

static void a_benchmark_is_data_and_ends_when_told(void **state) {
  (void)state;
  esc_bench_result r;
  const esc_bench_receiver receiver = {.context = &r, .result = end_at_once};
  esc_benchmark b;
  assert_int_equal(esc_machine_benchmark(&tiny, &receiver, &b), ESC_INTERRUPTED);
  assert_int_equal(b.results, 1);
  assert_int_equal(b.backends, 1);
  assert_string_equal(b.backend[0].name, "cpu");
  assert_string_equal(r.activation, "tanh");
  assert_int_equal(r.width, 4);
  /* 2B(2(Nd + N^2 + N) + N^2 + N) for N = 4, d = 2, B = 8 */
  esc_assert_close(r.flop_per_step, 16 * (2 * (8 + 16 + 4) + 16 + 4), 0, 0);
  esc_assert_close(r.fraction, r.flop_per_s / r.ceiling.median, 0, 1e-15);
  assert_int_equal(r.wrong, 0);
  esc_benchmark_free(&b);
}

static void a_list_out_of_range_is_refused_before_a_row(void **state) {
  (void)state;
  esc_bench_request request = tiny;
  esc_benchmark b;
  request.width = "4,0";
  assert_int_equal(esc_machine_benchmark(&request, NULL, &b), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "width"));
  assert_int_equal(b.results, 0);
  esc_benchmark_free(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_report_ends_the_checks),
      cmocka_unit_test(an_unknown_backend_is_refused_before_a_check),
      cmocka_unit_test(a_benchmark_is_data_and_ends_when_told),
      cmocka_unit_test(a_list_out_of_range_is_refused_before_a_row),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
