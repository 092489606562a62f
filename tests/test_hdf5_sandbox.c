/* SPDX-License-Identifier: Apache-2.0 */
/* The reading of a file in a process of its own. */
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "scratch.h"
#include "store/hdf5_sandbox.h"

static int calls; /* of the reading, in this process */

static void read_well(void *context) {
  (void)context;
  calls++;
}

static void crash(void *context) {
  (void)context;
  raise(SIGSEGV);
}

static void end_early(void *context) {
  (void)context;
  _exit(1);
}

/* As the kernel ends a process that is past its limit. */
static void never_end(void *context) {
  struct rlimit limit;
  (void)context;
  if (getrlimit(RLIMIT_CPU, &limit) == 0 && limit.rlim_cur < RLIM_INFINITY) raise(SIGXCPU);
}

static void a_reading_that_ends_changes_nothing_here(void **state) {
  (void)state;
  esc_assert_ok(esc_hdf5_sandbox_read("a.h5", 1000, read_well, NULL));
  assert_int_equal(calls, 0);
}

static void a_crash_is_a_refusal_by_name(void **state) {
  (void)state;
  signal(SIGSEGV, SIG_DFL); /* also where a sanitizer would report it */
  assert_int_equal(esc_hdf5_sandbox_read("a.h5", 1000, crash, NULL), ESC_BAD_INPUT);
  assert_message_names("a.h5", "HDF5 crashed on reading it", NULL);
  assert_int_equal(esc_hdf5_sandbox_read("a.h5", 1000, end_early, NULL), ESC_BAD_INPUT);
  assert_message_names("a.h5", "HDF5 crashed on reading it", NULL);
}

static void a_reading_without_end_is_a_refusal_by_name(void **state) {
  (void)state;
  assert_int_equal(esc_hdf5_sandbox_read("a.h5", 5000000, never_end, NULL), ESC_BAD_INPUT);
  assert_message_names("a.h5", "did not finish reading it in 10 s", NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_reading_that_ends_changes_nothing_here),
      CASE(a_crash_is_a_refusal_by_name),
      CASE(a_reading_without_end_is_a_refusal_by_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
