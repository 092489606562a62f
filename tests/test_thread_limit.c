/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that cannot be started are found out before OpenMP's library ends the process. */
#include "machine/thread_limit.h"

#include <sys/resource.h>

#include "check.h"

static int possible_of(int threads) {
  int possible = 0;
  esc_assert_ok(esc_threads_probe(threads, &possible));
  return possible;
}

static void all_threads_start_on_a_machine_without_limits(void **state) {
  (void)state;
  assert_int_equal(possible_of(1), 1);
  assert_int_equal(possible_of(3), 3);
}

static void stacks_that_no_thread_can_have_leave_the_callers_thread(void **state) {
  (void)state;
  setenv("OMP_STACKSIZE", "100000G", 1);
  assert_int_equal(possible_of(2), 1);
  setenv("OMP_STACKSIZE", "99999999999999G", 1);
  assert_int_equal(possible_of(2), 1);
  unsetenv("OMP_STACKSIZE");
}

static void refuse_stack(const char *name, const char *value) {
  int possible = 0;
  setenv(name, value, 1);
  assert_int_equal(esc_threads_probe(2, &possible), ESC_LIBRARY_FAILED);
  assert_non_null(strstr(esc_error_message(), name));
  assert_non_null(strstr(esc_error_message(), "at least 256 KiB"));
  unsetenv(name);
}

static void stacks_too_small_for_a_network_are_refused_by_the_variable(void **state) {
  (void)state;
  refuse_stack("OMP_STACKSIZE", "32");
  refuse_stack("OMP_STACKSIZE", "255k");
  refuse_stack("GOMP_STACKSIZE", "32 K");
}

static void values_that_openmp_ignores_are_ignored(void **state) {
  (void)state;
  setenv("OMP_STACKSIZE", "abc", 1);
  assert_int_equal(possible_of(2), 2);
  setenv("OMP_STACKSIZE", "1k", 1); /* less than any thread may have */
  assert_int_equal(possible_of(2), 2);
  unsetenv("OMP_STACKSIZE");
}

static void a_stack_size_has_the_units_of_openmp(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double bytes;
  } sizes[] = {{"64", 65536}, {"64B", 64}, {" 2 m ", 2097152}, {"1G", 1073741824}, {"1K", 1024},
               {"", 0},       {"-1", 0},   {"1x", 0},          {"1 kilobyte", 0},  {"1 k k", 0},
               {"K", 0}};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
    esc_assert_close(esc_threads_stack_size(sizes[i].text), sizes[i].bytes, 0, 0);
}

static void a_tiny_stack_of_the_process_is_refused(void **state) {
  (void)state;
  struct rlimit before, tiny;
  assert_int_equal(getrlimit(RLIMIT_STACK, &before), 0);
  tiny = before;
  tiny.rlim_cur = 128 * 1024;
  assert_int_equal(setrlimit(RLIMIT_STACK, &tiny), 0);
  const esc_status status = esc_threads_check_stack();
  assert_int_equal(setrlimit(RLIMIT_STACK, &before), 0);
  assert_int_equal(status, ESC_LIBRARY_FAILED);
  assert_non_null(strstr(esc_error_message(), "128 KiB (ulimit -s)"));
  esc_assert_ok(esc_threads_check_stack());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_threads_start_on_a_machine_without_limits),
      cmocka_unit_test(stacks_that_no_thread_can_have_leave_the_callers_thread),
      cmocka_unit_test(stacks_too_small_for_a_network_are_refused_by_the_variable),
      cmocka_unit_test(values_that_openmp_ignores_are_ignored),
      cmocka_unit_test(a_stack_size_has_the_units_of_openmp),
      cmocka_unit_test(a_tiny_stack_of_the_process_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
