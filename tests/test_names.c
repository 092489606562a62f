/* SPDX-License-Identifier: Apache-2.0 */
/* Which names are the program's own, and what is deleted of them. */
#include "base/names.h"

#include <errno.h>

#include "base/io.h"
#include "scratch.h"

static bool is_part(const char *name) {
  size_t whole = 0;
  int shard = 0, shards = 0;
  return esc_names_parse_part(name, &whole, &shard, &shards) && whole == strlen("o.h5");
}

static void a_part_is_a_name_that_the_program_makes(void **state) {
  (void)state;
  assert_true(is_part("o.h5.part-0-of-2"));
  assert_true(is_part("o.h5.part-1-of-2.journal"));
  assert_true(is_part("o.h5.part-63-of-64.checkpoint.previous"));
}

static void a_name_that_only_begins_like_a_part_is_somebody_elses(void **state) {
  (void)state;
  static const char *const others[] = {"o.h5.part-0-of-2.notes.txt",
                                       "o.h5.part-0-of-2.journal.bak",
                                       "o.h5.part-0-of-2~",
                                       "o.h5.part-00-of-2",
                                       "o.h5.part-+0-of-2",
                                       "o.h5.part-2-of-2",
                                       "o.h5.part-0-of-65",
                                       "o.h5.part- 0-of-2",
                                       "o.h5.part-0-of-2 .journal",
                                       ".part-0-of-2",
                                       "o.h5.part-0-of-",
                                       "o.h5"};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) assert_false(is_part(others[i]));
}

static void the_part_of_a_part_belongs_to_the_inner_one(void **state) {
  (void)state;
  size_t whole;
  int shard, shards;
  assert_true(esc_names_parse_part("d/o.part-0-of-2.part-1-of-3", &whole, &shard, &shards));
  assert_int_equal(whole, strlen("d/o.part-0-of-2"));
  assert_int_equal(shards, 3);
}

static void a_runs_own_files_are_known_by_their_ends(void **state) {
  (void)state;
  assert_string_equal(esc_names_sidecar_suffix("a.h5.checkpoint.previous"), ".checkpoint.previous");
  assert_string_equal(esc_names_sidecar_suffix("d/a.lock"), ".lock");
  assert_null(esc_names_sidecar_suffix("a.h5"));
  assert_null(esc_names_sidecar_suffix("a.journal/b.h5"));
  assert_null(esc_names_sidecar_suffix(".journal"));
}

static void a_plain_file_of_ones_own_is_deleted(void **state) {
  (void)state;
  scratch_write(scratch("mine"), "x", 1);
  assert_true(esc_io_remove_owned(scratch("mine")));
  assert_int_equal(scratch_count(), 0);
}

static void a_link_is_not_deleted_and_neither_is_its_file(void **state) {
  (void)state;
  scratch_write(scratch("file"), "x", 1);
  assert_int_equal(symlink("file", scratch("link")), 0);
  assert_false(esc_io_remove_owned(scratch("link")));
  esc_io_remove(scratch("link"));
  assert_int_equal(scratch_count(), 2);
}

static void a_directory_and_a_pipe_are_not_deleted(void **state) {
  (void)state;
  assert_int_equal(mkdir(scratch("directory"), 0700), 0);
  assert_int_equal(mkfifo(scratch("pipe"), 0600), 0);
  assert_false(esc_io_remove_owned(scratch("directory")));
  assert_false(esc_io_remove_owned(scratch("pipe")));
  assert_int_equal(scratch_count(), 2);
}

static void another_users_file_is_not_deleted(void **state) {
  (void)state;
  scratch_write(scratch("theirs"), "x", 1);
  if (chown(scratch("theirs"), 12345, 12345) != 0) skip(); /* takes root */
  assert_false(esc_io_remove_owned(scratch("theirs")));
  assert_int_equal(scratch_count(), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_part_is_a_name_that_the_program_makes),
      CASE(a_name_that_only_begins_like_a_part_is_somebody_elses),
      CASE(the_part_of_a_part_belongs_to_the_inner_one),
      CASE(a_runs_own_files_are_known_by_their_ends),
      CASE(a_plain_file_of_ones_own_is_deleted),
      CASE(a_link_is_not_deleted_and_neither_is_its_file),
      CASE(a_directory_and_a_pipe_are_not_deleted),
      CASE(another_users_file_is_not_deleted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
