/* SPDX-License-Identifier: Apache-2.0 */
/* What stop signals do: how many count, and when they end the process. */
#include "base/signals.h"

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "run/worker_process.h"

static esc_stop stop;

static void the_first_signal_of_any_kind_asks_to_stop(void **state) {
  (void)state;
  assert_int_equal(esc_signals_next_level(0, SIGTERM, 100), 1);
  assert_int_equal(esc_signals_next_level(0, SIGINT, 100), 1);
}

static void terms_count_as_one_however_many_and_however_late(void **state) {
  (void)state;
  assert_int_equal(esc_signals_next_level(1, SIGTERM, 0), 1);
  assert_int_equal(esc_signals_next_level(1, SIGTERM, 1000), 1);
  assert_int_equal(esc_signals_next_level(1, SIGHUP, 1000), 1);
}

static void a_second_int_counts_a_second_later(void **state) {
  (void)state;
  assert_int_equal(esc_signals_next_level(1, SIGINT, 0.999), 1);
  assert_int_equal(esc_signals_next_level(1, SIGINT, 1), 2);
  assert_int_equal(esc_signals_next_level(2, SIGINT, 0.999), 2);
  assert_int_equal(esc_signals_next_level(2, SIGINT, 1), 3);
  assert_int_equal(esc_signals_next_level(3, SIGINT, 1), 3);
}

/* How a process ends in which `deed` is done; it exits with 7 where nothing ended it. */
static int end_of(void (*deed)(void)) {
  int ended = 0;
  const pid_t pid = fork();
  if (pid == 0) {
    deed();
    _exit(7);
  }
  assert_int_equal(waitpid(pid, &ended, 0), pid);
  return WIFSIGNALED(ended) ? -WTERMSIG(ended) : WEXITSTATUS(ended);
}

static void stop_many_times(void) {
  esc_signals_install(&stop);
  static const int numbers[] = {SIGTERM, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) raise(numbers[i]);
  _exit(atomic_load(&stop.requested) && esc_signals_exit_code() == 143 ? 0 : 1);
}

static void a_burst_of_stop_signals_is_one(void **state) {
  (void)state;
  assert_int_equal(end_of(stop_many_times), 0);
}

static void be_interrupted(void) {
  esc_signals_install(&stop);
  raise(SIGINT);
  _exit(esc_signals_exit_code());
}

static void an_interrupted_process_exits_with_130(void **state) {
  (void)state;
  assert_int_equal(end_of(be_interrupted), 130);
}

/* A parent's count needs no clock: the test is the parent. */
static void follow_the_test(void) {
  char parent[24];
  snprintf(parent, sizeof parent, "%ld", (long)getppid());
  setenv(esc_signals_parent_variable, parent, 1);
  esc_signals_stop_with_parent();
  esc_signals_install(&stop);
}

static bool told; /* a follower wrote once more */

/* Runs `deed` in a follower, which tells when it is ready, and sends it `level`, `times` times. */
static int end_of_follower(void (*deed)(int ready), int level, int times) {
  int ended = 0, ready[2];
  char byte;
  assert_int_equal(pipe(ready), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    follow_the_test();
    deed(ready[1]);
    _exit(7);
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  for (int i = 0; i < times; i++) esc_worker_process_stop(pid, level);
  assert_int_equal(waitpid(pid, &ended, 0), pid);
  close(ready[1]);
  told = read(ready[0], &byte, 1) == 1;
  close(ready[0]);
  return WIFSIGNALED(ended) ? -WTERMSIG(ended) : WEXITSTATUS(ended);
}

static void wait_for_level(int level) {
  while (esc_stop_level(&stop) < level) usleep(100);
}

static void get_direct_ones_too(int ready) {
  raise(SIGTERM);
  raise(SIGINT);
  if (write(ready, "x", 1) == 1) wait_for_level(1);
  raise(SIGTERM);
}

static void a_signal_that_a_child_gets_directly_and_passed_on_counts_once(void **state) {
  (void)state;
  assert_int_equal(end_of_follower(get_direct_ones_too, 1, 3), 7);
}

static void train(int ready) {
  if (write(ready, "x", 1) == 1) wait_for_level(4);
}

static void a_second_int_ends_what_does_not_save(void **state) {
  (void)state;
  assert_int_equal(end_of_follower(train, 2, 1), -SIGINT);
}

static void save(int ready) {
  esc_signals_save_begin();
  if (write(ready, "x", 1) == 1) wait_for_level(2);
  if (write(ready, "x", 1) != 1) _exit(1);
  esc_signals_save_end();
}

static void a_second_int_during_a_save_ends_the_process_behind_it(void **state) {
  (void)state;
  assert_int_equal(end_of_follower(save, 2, 1), -SIGINT);
  assert_true(told);
}

static void hang_in_a_save(int ready) {
  esc_signals_save_begin();
  if (write(ready, "x", 1) == 1) wait_for_level(4);
}

static void a_third_int_ends_a_save_that_hangs(void **state) {
  (void)state;
  assert_int_equal(end_of_follower(hang_in_a_save, 3, 1), -SIGINT);
}

static void hang_up_under_nohup(void) {
  signal(SIGHUP, SIG_IGN);
  esc_signals_install(&stop);
  raise(SIGHUP);
  _exit(atomic_load(&stop.requested) ? 1 : 0);
}

static void an_ignored_hang_up_stays_ignored(void **state) {
  (void)state;
  assert_int_equal(end_of(hang_up_under_nohup), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_signal_of_any_kind_asks_to_stop),
      cmocka_unit_test(terms_count_as_one_however_many_and_however_late),
      cmocka_unit_test(a_second_int_counts_a_second_later),
      cmocka_unit_test(a_burst_of_stop_signals_is_one),
      cmocka_unit_test(an_interrupted_process_exits_with_130),
      cmocka_unit_test(a_signal_that_a_child_gets_directly_and_passed_on_counts_once),
      cmocka_unit_test(a_second_int_ends_what_does_not_save),
      cmocka_unit_test(a_second_int_during_a_save_ends_the_process_behind_it),
      cmocka_unit_test(a_third_int_ends_a_save_that_hangs),
      cmocka_unit_test(an_ignored_hang_up_stays_ignored),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
