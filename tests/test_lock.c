/* SPDX-License-Identifier: Apache-2.0 */
/* One lock on an output: who is refused, who waits, and what becomes of the file. */
#include "store/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "base/signals.h"
#include "scratch.h"

static char noted[512];
static int tell = -1; /* gets a byte for each note */

static void note(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(noted, sizeof noted, format, arguments);
  va_end(arguments);
  if (tell >= 0) (void)!write(tell, "x", 1);
}

static esc_lock *take(const char *output) {
  esc_lock *lock = NULL;
  noted[0] = 0;
  esc_assert_ok(
      esc_lock_acquire(&(esc_lock_request){.output = output, .inherited = -1, .log = note}, &lock));
  return lock;
}

/* A process that has taken the lock and holds it until `release` is closed. */
typedef struct other {
  pid_t pid;
  int release;
} other;

static other hold_elsewhere(const char *output) {
  int ready[2], release[2];
  char byte;
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(pipe(release), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    esc_lock *lock = NULL;
    close(release[1]);
    if (esc_lock_acquire(&(esc_lock_request){.output = output, .inherited = -1, .log = note},
                         &lock) == ESC_OK &&
        write(ready[1], "x", 1) == 1 && read(release[0], &byte, 1) == 0)
      esc_lock_release(lock);
    _exit(0);
  }
  close(ready[1]);
  close(release[0]);
  assert_int_equal(read(ready[0], &byte, 1), 1);
  close(ready[0]);
  return (other){pid, release[1]};
}

static void let_go(other o) {
  close(o.release);
  assert_int_equal(waitpid(o.pid, NULL, 0), o.pid);
}

static void a_lock_leaves_nothing_behind(void **state) {
  (void)state;
  esc_lock_release(take(scratch("a.h5")));
  assert_int_equal(scratch_count(), 0);
}

static void a_reader_sees_who_holds_it_and_leaves_no_file(void **state) {
  (void)state;
  const char *output = scratch("a.h5");
  assert_false(esc_lock_peek(output).is_held);
  assert_int_equal(scratch_count(), 0);
  const other o = hold_elsewhere(output);
  const esc_lock_state held = esc_lock_peek(output);
  assert_true(held.is_held && !held.is_unknown && !held.holder_ended);
  assert_int_equal(held.holder, o.pid);
  let_go(o);
  assert_false(esc_lock_peek(output).is_held);
}

static void a_lock_left_by_a_dead_process_is_not_held(void **state) {
  (void)state;
  const char *output = scratch("a.h5");
  const other o = hold_elsewhere(output);
  assert_int_equal(kill(o.pid, SIGKILL), 0);
  let_go(o);
  const esc_lock_state left = esc_lock_peek(output);
  assert_true(!left.is_held && left.holder_ended);
  assert_int_equal(left.holder, o.pid);
}

static void a_second_process_is_refused_and_told_who_holds_it(void **state) {
  (void)state;
  esc_lock *lock = NULL;
  char pid[32], host[80] = "";
  const other o = hold_elsewhere(scratch("a.h5"));
  snprintf(pid, sizeof pid, "process %ld", (long)o.pid);
  gethostname(host, sizeof host - 1);
  assert_int_equal(
      esc_lock_acquire(&(esc_lock_request){.output = scratch("a.h5"), .inherited = -1, .log = note},
                       &lock),
      ESC_BAD_INPUT);
  assert_message_names("a.h5: another run is writing this output", pid, host, "since 20", NULL);
  let_go(o);
  esc_lock_release(take(scratch("a.h5")));
}

static void the_lock_of_the_whole_is_that_of_its_parts(void **state) {
  (void)state;
  esc_lock *lock = NULL;
  const other o = hold_elsewhere(scratch("a.h5"));
  assert_int_equal(
      esc_lock_acquire(
          &(esc_lock_request){.output = scratch("a.h5.part-0-of-2"), .inherited = -1, .log = note},
          &lock),
      ESC_BAD_INPUT);
  assert_message_names("a.h5: another run is writing", NULL);
  let_go(o);
}

static void a_part_that_is_being_written_is_refused(void **state) {
  (void)state;
  esc_lock *whole = NULL;
  const other o = hold_elsewhere(scratch("a.h5.part-0-of-2"));
  assert_int_equal(
      esc_lock_acquire(&(esc_lock_request){.output = scratch("a.h5"), .inherited = -1, .log = note},
                       &whole),
      ESC_BAD_INPUT);
  let_go(o);
  assert_int_equal(scratch_count(), 0);
}

static void a_second_run_of_the_same_process_is_refused_too(void **state) {
  (void)state;
  esc_lock *first = take(scratch("a.h5")), *second = NULL;
  assert_int_equal(
      esc_lock_acquire(&(esc_lock_request){.output = scratch("a.h5"), .inherited = -1, .log = note},
                       &second),
      ESC_BAD_INPUT);
  assert_message_names("a.h5: another run is writing this output", NULL);
  assert_int_equal(scratch_count(), 1); /* the first is still held */
  esc_lock_release(first);
  assert_int_equal(scratch_count(), 0);
}

static void a_run_shares_the_lock_that_it_names(void **state) {
  (void)state;
  esc_lock *run = take(scratch("a.h5")), *merge = NULL, *part = NULL;
  esc_assert_ok(esc_lock_acquire(
      &(esc_lock_request){.output = scratch("a.h5"), .inherited = -1, .log = note, .held = run},
      &merge));
  esc_assert_ok(esc_lock_acquire(
      &(esc_lock_request){
          .output = scratch("a.h5.part-0-of-2"), .inherited = -1, .log = note, .held = run},
      &part));
  esc_lock_release(part);
  esc_lock_release(merge);
  assert_int_equal(scratch_count(), 1);
  esc_lock_release(run);
  assert_int_equal(scratch_count(), 0);
}

static void what_a_killed_run_left_is_taken_over(void **state) {
  (void)state;
  const other o = hold_elsewhere(scratch("a.h5"));
  assert_int_equal(kill(o.pid, SIGKILL), 0);
  let_go(o);
  assert_int_equal(scratch_count(), 1);
  esc_lock_release(take(scratch("a.h5")));
  assert_int_equal(scratch_count(), 0);
}

/* The holder is dead; a child of it, a worker, has the open file until `worker` is closed. */
static void die_with_a_worker(int worker[2]) {
  esc_lock *lock = NULL;
  char byte;
  close(worker[1]);
  const bool taken =
      esc_lock_acquire(&(esc_lock_request){.output = scratch("a.h5"), .inherited = -1, .log = note},
                       &lock) == ESC_OK;
  if (taken && fork() == 0) (void)!read(worker[0], &byte, 1);
  _exit(taken ? 0 : 1);
}

/* A run takes the lock and dies; its worker lives until worker[1] is closed. */
static void leave_a_worker(int worker[2]) {
  assert_int_equal(pipe(worker), 0);
  const pid_t holder = fork();
  if (holder == 0) die_with_a_worker(worker);
  assert_int_equal(waitpid(holder, NULL, 0), holder);
}

static void a_run_waits_for_the_workers_of_a_dead_one(void **state) {
  (void)state;
  int worker[2], waits[2], ended = 1;
  char byte;
  leave_a_worker(worker);
  assert_int_equal(pipe(waits), 0);
  const pid_t later = fork();
  if (later == 0) {
    close(worker[1]);
    tell = waits[1];
    esc_lock_release(take(scratch("a.h5")));
    _exit(strstr(noted, "still saving") ? 0 : 1);
  }
  assert_int_equal(read(waits[0], &byte, 1), 1);
  assert_int_equal(waitpid(later, &ended, WNOHANG), 0);
  close(worker[1]);
  assert_int_equal(waitpid(later, &ended, 0), later);
  assert_int_equal(ended, 0);
  assert_int_equal(scratch_count(), 0);
}

/* As a run that waits for the workers of a dead one. */
static void wait_for_the_lock(int waits) {
  static esc_stop stop;
  esc_lock *lock = NULL;
  esc_signals_install(&stop);
  tell = waits;
  const esc_status status = esc_lock_acquire(
      &(esc_lock_request){
          .output = scratch("a.h5"), .inherited = -1, .log = note, .stop = &stop.requested},
      &lock);
  _exit(status == ESC_INTERRUPTED ? 0 : 1);
}

static void a_run_that_waits_can_be_stopped(void **state) {
  (void)state;
  int worker[2], waits[2], ended = 1;
  char byte;
  leave_a_worker(worker);
  assert_int_equal(pipe(waits), 0);
  const pid_t later = fork();
  if (later == 0) wait_for_the_lock(waits[1]);
  assert_int_equal(read(waits[0], &byte, 1), 1);
  assert_int_equal(kill(later, SIGTERM), 0);
  assert_int_equal(waitpid(later, &ended, 0), later);
  assert_int_equal(ended, 0);
  assert_int_equal(scratch_count(), 1); /* the worker's */
  close(worker[0]);
  close(worker[1]);
}

static void a_worker_holds_its_parents_lock_as_long_as_that_is_the_files(void **state) {
  (void)state;
  esc_lock *whole = take(scratch("a.h5")), *part = NULL;
  const int inherited = dup(esc_lock_descriptor(whole));
  esc_assert_ok(esc_lock_acquire(
      &(esc_lock_request){
          .output = scratch("a.h5.part-0-of-2"), .inherited = inherited, .log = note},
      &part));
  esc_lock_release(part);
  assert_int_equal(scratch_count(), 1);
  assert_int_equal(unlink(scratch("a.h5.lock")), 0);
  assert_int_equal(esc_lock_acquire(&(esc_lock_request){.output = scratch("a.h5.part-0-of-2"),
                                                        .inherited = esc_lock_descriptor(whole),
                                                        .log = note},
                                    &part),
                   ESC_BAD_INPUT);
  assert_message_names("no longer the lock", NULL);
  esc_lock_release(whole);
}

static void a_strangers_file_of_that_name_is_left_as_it_is(void **state) {
  (void)state;
  esc_lock *lock = NULL;
  size_t size;
  scratch_write(scratch("a.h5.lock"), "mine", 4);
  assert_int_equal(
      esc_lock_acquire(&(esc_lock_request){.output = scratch("a.h5"), .inherited = -1, .log = note},
                       &lock),
      ESC_BAD_INPUT);
  assert_message_names("a.h5.lock", "rename", NULL);
  char *bytes = scratch_read(scratch("a.h5.lock"), &size);
  assert_int_equal(size, 4);
  free(bytes);
}

static void a_link_is_no_lock(void **state) {
  (void)state;
  esc_lock *lock = NULL;
  scratch_write(scratch("victim"), "", 0);
  assert_int_equal(symlink("victim", scratch("a.h5.lock")), 0);
  assert_int_equal(
      esc_lock_acquire(&(esc_lock_request){.output = scratch("a.h5"), .inherited = -1, .log = note},
                       &lock),
      ESC_BAD_INPUT);
  assert_int_equal(scratch_count(), 2);
}

static void a_file_that_a_power_failure_zeroed_is_a_lock(void **state) {
  (void)state;
  scratch_write(scratch("a.h5.lock"), "escape\0\0\0\0\0\0\0\0\0\0\0\0\0", 19);
  esc_lock_release(take(scratch("a.h5")));
  assert_int_equal(scratch_count(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_lock_leaves_nothing_behind),
      CASE(a_reader_sees_who_holds_it_and_leaves_no_file),
      CASE(a_lock_left_by_a_dead_process_is_not_held),
      CASE(a_second_process_is_refused_and_told_who_holds_it),
      CASE(the_lock_of_the_whole_is_that_of_its_parts),
      CASE(a_part_that_is_being_written_is_refused),
      CASE(a_second_run_of_the_same_process_is_refused_too),
      CASE(a_run_shares_the_lock_that_it_names),
      CASE(what_a_killed_run_left_is_taken_over),
      CASE(a_run_waits_for_the_workers_of_a_dead_one),
      CASE(a_run_that_waits_can_be_stopped),
      CASE(a_worker_holds_its_parents_lock_as_long_as_that_is_the_files),
      CASE(a_strangers_file_of_that_name_is_left_as_it_is),
      CASE(a_link_is_no_lock),
      CASE(a_file_that_a_power_failure_zeroed_is_a_lock),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
