/* SPDX-License-Identifier: Apache-2.0 */
/* A run with `devices` in programs that treat their children and descriptors as they like. The
 * workers are this program, started as a worker. */
#include <fcntl.h>
#include <sys/wait.h>

#include "escapement/escapement.h"
#include "run/worker.h"
#include "scratch.h"

static esc_status train(const char *worker) {
  static const char *const pair[] = {"network.layers=3",
                                     "network.width=4",
                                     "train.steps=20",
                                     "escape.thresholds=[0.01]",
                                     "train.rate=0.05",
                                     "train.batch=4",
                                     "sweep.seeds=2",
                                     "escape.false_escapes=allow",
                                     "sweep.groups=[{bottleneck: 2, scales: [0.5]}]",
                                     "network.activation=tanh"};
  esc_spec *spec = NULL;
  esc_run_options options;
  esc_run_options_init(&options);
  options.output = scratch("a.h5");
  options.devices = "cpu,cpu";
  options.worker = worker;
  esc_assert_ok(esc_spec_build(sizeof pair / sizeof pair[0], pair, &spec));
  const esc_status status = esc_sweep_run(spec, &options, NULL, NULL);
  esc_spec_free(spec);
  return status;
}

static void a_program_may_ignore_its_children(void **state) {
  (void)state;
  signal(SIGCHLD, SIG_IGN);
  esc_assert_ok(train("/proc/self/exe"));
  signal(SIGCHLD, SIG_DFL);
  assert_int_equal(scratch_count(), 1);
}

static void reap_all(int number) {
  (void)number;
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
}

static void a_program_may_wait_for_every_child(void **state) {
  (void)state;
  signal(SIGCHLD, reap_all);
  esc_assert_ok(train("/proc/self/exe"));
  signal(SIGCHLD, SIG_DFL);
  assert_int_equal(scratch_count(), 1);
}

static void an_ignored_worker_that_left_no_result_has_failed(void **state) {
  (void)state;
  signal(SIGCHLD, SIG_IGN);
  assert_int_equal(train("true"), ESC_DEVICE_FAILED);
  signal(SIGCHLD, SIG_DFL);
  assert_message_names(
      "the worker on device cpu ended with an unknown status (this program ignores SIGCHLD", NULL);
}

/* The lock and the pipes of the workers would have these numbers. */
static void a_program_may_have_closed_its_standard_files(void **state) {
  (void)state;
  int saved[3];
  for (int i = 0; i < 3; i++) saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
  for (int i = 0; i < 3; i++) close(i);
  const esc_status status = train("/proc/self/exe");
  for (int i = 0; i < 3; i++) dup2(saved[i], i);
  for (int i = 0; i < 3; i++) close(saved[i]);
  esc_assert_ok(status);
  assert_int_equal(scratch_count(), 1);
}

static void a_program_that_cannot_be_started_is_named(void **state) {
  (void)state;
  assert_int_equal(train("/nonexistent/escapement"), ESC_LIBRARY_FAILED);
  assert_message_names("cannot start /nonexistent/escapement as a worker", "No such file", NULL);
}

static int work(void) {
  const esc_run_callbacks none = {0};
  return esc_status_exit_code(esc_worker_run(STDIN_FILENO, NULL, &none));
}

int main(int count, char **argument) {
  const struct CMUnitTest tests[] = {
      CASE(a_program_may_ignore_its_children),
      CASE(a_program_may_wait_for_every_child),
      CASE(an_ignored_worker_that_left_no_result_has_failed),
      CASE(a_program_may_have_closed_its_standard_files),
      CASE(a_program_that_cannot_be_started_is_named),
  };
  if (count == 2 && !strcmp(argument[1], "worker")) return work();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
