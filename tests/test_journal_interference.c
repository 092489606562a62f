/* SPDX-License-Identifier: Apache-2.0 */
/* What other programs, and a system that fails, do to a journal that is written: only records that
 * are there are called safe, and no file of others is touched. */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "journal_case.h"

/* The system's, or one that fails with this errno. */
static int sync_error;

int fdatasync(int fd) {
  errno = sync_error;
  return sync_error ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* The same of locks. */
static int lock_error;

int flock(int fd, int operation) {
  errno = lock_error;
  return lock_error ? -1 : (int)syscall(SYS_flock, fd, operation);
}

static void a_journal_removed_while_it_is_written_is_written_anew_whole(void **state) {
  (void)state;
  esc_journal *j, *second;
  visited v;
  const esc_journal_reader reader = {.context = &v, .warn = keep_warning};
  esc_assert_ok(esc_journal_open(
      &(esc_journal_request){
          .result_path = output(), .identity = identity_of(spec), .reader = &reader},
      THRESHOLDS, LAYERS, &j));
  esc_assert_ok(append(j, 0));
  unlink(journal());
  esc_assert_ok(esc_journal_sync(j));
  assert_non_null(strstr(warning, "was removed"));
  assert_int_equal(open_as(true, false, &v, &second), ESC_BAD_INPUT);
  assert_message_names("another run is writing", NULL);
  esc_assert_ok(append(j, 1));
  assert_int_equal(esc_journal_count_synced(j), 2);
  esc_journal_close(j, false);
  assert_holds(2);
}

/* After a failed sync the system may have dropped what it did not write, and a later sync that
 * succeeds says nothing about that. */
static void only_what_a_sync_has_confirmed_is_called_safe(void **state) {
  (void)state;
  esc_journal *j;
  visited v;
  esc_assert_ok(open_as(false, false, &v, &j));
  for (int i = 0; i < 2; i++) esc_assert_ok(append(j, i));
  esc_assert_ok(esc_journal_sync(j));
  esc_assert_ok(append(j, 2));
  sync_error = EIO;
  const esc_status first = esc_journal_sync(j);
  assert_message_names(journal(), strerror(EIO), "; 2 finished members are saved", NULL);
  sync_error = 0;
  assert_int_equal(first, ESC_IO_FAILED);
  assert_int_equal(esc_journal_sync(j), ESC_IO_FAILED);
  assert_message_names(journal(), "an earlier sync failed", "; 2 finished members are saved", NULL);
  assert_int_equal(append(j, 3), ESC_IO_FAILED);
  assert_message_names("; 2 finished members are saved", NULL);
  assert_int_equal(esc_journal_count_synced(j), 2);
  esc_journal_close(j, false);
}

static void a_write_and_a_sync_that_fail_leave_what_was_confirmed(void **state) {
  (void)state;
  esc_journal *j;
  visited v;
  esc_assert_ok(open_as(false, false, &v, &j));
  esc_assert_ok(append(j, 0));
  esc_assert_ok(esc_journal_sync(j));
  esc_assert_ok(append(j, 1));
  sync_error = EIO;
  scratch_limit_files(START + 2 * record_size() + 20);
  const esc_status status = append(j, 2);
  scratch_limit_files(RLIM_INFINITY);
  sync_error = 0;
  assert_int_equal(status, ESC_IO_FAILED);
  assert_message_names(strerror(EFBIG), "; 1 finished members are saved", NULL);
  esc_journal_close(j, false);
}

/* What is confirmed is read again: here the disk has lost it since. */
static void what_reading_again_does_not_find_is_not_called_safe(void **state) {
  (void)state;
  esc_journal *j;
  visited v;
  make_journal(3);
  esc_assert_ok(open_as(true, false, &v, &j));
  assert_int_equal(esc_journal_count_synced(j), 3);
  const int fd = open(journal(), O_WRONLY | O_CLOEXEC);
  assert_int_equal(pwrite(fd, "spoilt", 6, (off_t)(START + record_size() + 40)), 6);
  close(fd);
  assert_int_equal(esc_journal_count_synced(j), 2);
  esc_journal_close(j, false);
}

static void a_file_system_without_locks_is_told_in_one_line_and_used(void **state) {
  (void)state;
  static const int errors[] = {ENOLCK, ENOSYS, EOPNOTSUPP};
  make_journal(2);
  for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
    lock_error = errors[i];
    const unsigned found = survivors();
    lock_error = 0;
    assert_int_equal(found, 3);
    assert_non_null(strstr(warning, "cannot be locked"));
    assert_non_null(strstr(warning, strerror(errors[i])));
    assert_null(strchr(warning, '\n'));
  }
}

static void a_journal_emptied_while_it_is_written_is_not_called_safe(void **state) {
  (void)state;
  esc_journal *j;
  visited v;
  for (int way = 0; way < 2; way++) {
    make_journal(2);
    esc_assert_ok(open_as(true, false, &v, &j));
    assert_int_equal(truncate(journal(), (off_t)(START + record_size() * (way ? 1 : 0))), 0);
    assert_int_equal(way ? esc_journal_sync(j) : append(j, 2), ESC_IO_FAILED);
    assert_message_names(journal(), "another program changed its length",
                         way ? "1 of 2 finished members are saved" : "0 finished members are saved",
                         NULL);
    assert_int_equal(esc_journal_count_synced(j), way);
    esc_journal_close(j, false);
    unlink(journal());
  }
}

static void a_stranger_s_file_in_the_journal_s_place_stays_and_the_records_go_beside_it(
    void **state) {
  (void)state;
  esc_journal *j;
  visited v;
  size_t size;
  make_journal(2);
  esc_assert_ok(open_as(true, false, &v, &j));
  unlink(journal());
  scratch_write(journal(), "mine", 4);
  assert_int_equal(esc_journal_sync(j), ESC_IO_FAILED);
  assert_message_names(journal(), "replaced", scratch("out.h5.journal.rescued-1"), NULL);
  assert_int_equal(esc_journal_count_synced(j), 0);
  esc_journal_close(j, true);
  char *bytes = scratch_read(journal(), &size);
  assert_memory_equal(bytes, "mine", 4);
  free(bytes);
  assert_int_equal(rename(scratch("out.h5.journal.rescued-1"), journal()), 0);
  assert_holds(2);
}

static void a_journal_that_is_a_link_is_refused_and_its_target_untouched(void **state) {
  (void)state;
  esc_journal *j;
  visited v;
  size_t size;
  scratch_write(scratch("victim"), "precious", 8);
  assert_int_equal(symlink(scratch("victim"), journal()), 0);
  for (int way = 0; way < 3; way++) {
    assert_int_equal(open_as(way == 1, way == 2, &v, &j), ESC_BAD_INPUT);
    assert_message_names(journal(), "symbolic link", NULL);
  }
  unlink(journal());
  assert_int_equal(symlink(scratch("nothing"), journal()), 0); /* would be created there */
  assert_int_equal(open_as(false, false, &v, &j), ESC_BAD_INPUT);
  char *bytes = scratch_read(scratch("victim"), &size);
  assert_int_equal(size, 8);
  assert_memory_equal(bytes, "precious", 8);
  free(bytes);
  assert_int_equal(scratch_count(), 2);
}

static void a_journal_of_another_user_is_refused(void **state) {
  (void)state;
  esc_journal *j;
  visited v;
  make_journal(1);
  if (geteuid() != 0 || chown(journal(), 12345, (gid_t)-1) != 0) skip();
  assert_int_equal(open_as(true, false, &v, &j), ESC_BAD_INPUT);
  assert_message_names(journal(), "another user", "12345", NULL);
  assert_int_equal(scratch_count(), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_journal_removed_while_it_is_written_is_written_anew_whole),
      CASE(only_what_a_sync_has_confirmed_is_called_safe),
      CASE(a_write_and_a_sync_that_fail_leave_what_was_confirmed),
      CASE(what_reading_again_does_not_find_is_not_called_safe),
      CASE(a_file_system_without_locks_is_told_in_one_line_and_used),
      CASE(a_journal_emptied_while_it_is_written_is_not_called_safe),
      CASE(a_stranger_s_file_in_the_journal_s_place_stays_and_the_records_go_beside_it),
      CASE(a_journal_that_is_a_link_is_refused_and_its_target_untouched),
      CASE(a_journal_of_another_user_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
