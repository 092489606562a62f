/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever happens to a checkpoint, what it gives back are states that were saved: of the
 * newest file, or of the one before it, or it is refused by name. */
#include "store/checkpoint.h"

#include <fcntl.h>
#include <xxhash.h>

#include "scratch.h"

static const char spec[] = "name: a small sweep\n";
/* Header with the identity: a number and the text. */
enum { STATE = 40, HEADER = 48 + 8 + sizeof spec - 1, RECORD = 24 + STATE + 8, NETWORKS = 3 };

static const char *output(void) { return scratch("out.h5"); }
static const char *newest(void) { return scratch("out.h5.checkpoint"); }
static const char *before(void) { return scratch("out.h5.checkpoint.previous"); }
static esc_member_key key_of(int i) {
  return (esc_member_key){1000000000000 + 7 * (uint64_t)i, 7, 0.25};
}

static void make_state(int version, int i, char state[STATE]) {
  for (int k = 0; k < STATE; k++) state[k] = (char)(100 * version + 31 * i + 5 * k);
}

static bool all(void *context, esc_member_key member) {
  (void)context, (void)member;
  return true;
}

static bool but_the_second(void *context, esc_member_key member) {
  (void)context;
  return !esc_member_key_equal(member, key_of(1));
}

static esc_status resume(bool (*needs_state)(void *, esc_member_key), esc_checkpoint **c) {
  const esc_checkpoint_reader reader = {.is_needed = needs_state};
  return esc_checkpoint_open(&(esc_checkpoint_request){.result_path = output(),
                                                       .identity = (esc_identity){spec, 5},
                                                       .state_size = STATE,
                                                       .resume = true,
                                                       .reader = &reader},
                             c);
}

static esc_status save(esc_checkpoint *c, int version, int first, int end) {
  char state[STATE];
  esc_status status = esc_checkpoint_write_begin(c, end - first);
  for (int i = first; i < end && status == ESC_OK; i++) {
    make_state(version, i, state);
    status = esc_checkpoint_write_member(c, key_of(i), state);
  }
  if (status == ESC_OK) status = esc_checkpoint_write_commit(c);
  if (status != ESC_OK) esc_checkpoint_write_abort(c);
  return status;
}

/* Leaves checkpoints of versions 1..versions behind. */
static void make_checkpoints(int versions) {
  esc_checkpoint *c;
  esc_assert_ok(resume(all, &c));
  for (int v = 1; v <= versions; v++) esc_assert_ok(save(c, v, 0, NETWORKS));
  esc_checkpoint_close(c, false);
}

static void assert_gives(esc_checkpoint *c, int version, int i) {
  char state[STATE], want[STATE];
  bool found;
  make_state(version, i, want);
  esc_assert_ok(esc_checkpoint_restore(c, key_of(i), state, &found));
  assert_true(found);
  assert_memory_equal(state, want, STATE);
  esc_assert_ok(esc_checkpoint_restore(c, key_of(i), state, &found));
  assert_false(found);
}

static void assert_holds(int version) {
  esc_checkpoint *c;
  esc_assert_ok(resume(all, &c));
  assert_int_equal(esc_checkpoint_count_pending(c), NETWORKS);
  for (int i = NETWORKS - 1; i >= 0; i--) assert_gives(c, version, i);
  assert_int_equal(esc_checkpoint_count_pending(c), 0);
  esc_checkpoint_close(c, false);
}

static void states_come_back_once_in_any_order(void **state) {
  (void)state;
  make_checkpoints(1);
  assert_holds(1);
  assert_int_equal(scratch_count(), 1);
}

static void the_one_before_is_kept_and_no_other(void **state) {
  (void)state;
  make_checkpoints(4);
  assert_int_equal(scratch_count(), 2);
  assert_holds(4);
  assert_int_equal(rename(before(), newest()), 0);
  assert_holds(3);
}

static void a_member_that_is_not_wanted_is_skipped(void **state) {
  (void)state;
  char restored[STATE];
  bool found;
  esc_checkpoint *c;
  make_checkpoints(1);
  esc_assert_ok(resume(but_the_second, &c));
  assert_int_equal(esc_checkpoint_count_pending(c), NETWORKS - 1);
  esc_assert_ok(esc_checkpoint_restore(c, key_of(1), restored, &found));
  assert_false(found);
  esc_checkpoint_close(c, false);
}

static void those_that_wait_go_into_the_next_checkpoint(void **state) {
  (void)state;
  esc_checkpoint *c;
  make_checkpoints(1);
  esc_assert_ok(resume(all, &c));
  assert_gives(c, 1, 0);
  esc_assert_ok(save(c, 2, 0, 1)); /* twice: the first is then the one before */
  esc_assert_ok(save(c, 3, 0, 1));
  assert_gives(c, 1, 2);
  esc_checkpoint_close(c, false);
  esc_assert_ok(resume(all, &c));
  assert_int_equal(esc_checkpoint_count_pending(c), NETWORKS);
  assert_gives(c, 3, 0);
  assert_gives(c, 1, 1);
  assert_gives(c, 1, 2);
  esc_checkpoint_close(c, false);
}

static void every_flipped_bit_makes_the_one_before_be_taken_and_said(void **state) {
  (void)state;
  size_t size;
  make_checkpoints(2);
  char *bytes = scratch_read(newest(), &size);
  assert_int_equal(size, HEADER + NETWORKS * RECORD);
  for (size_t i = 0; i < size; i++) {
    esc_checkpoint *c;
    bytes[i] ^= (char)(1 << i % 8);
    scratch_write(newest(), bytes, size);
    bytes[i] ^= (char)(1 << i % 8);
    esc_assert_ok(resume(all, &c));
    assert_non_null(esc_checkpoint_warning(c));
    assert_non_null(strstr(esc_checkpoint_warning(c), "damaged"));
    for (int k = 0; k < NETWORKS; k++) assert_gives(c, 1, k);
    esc_checkpoint_close(c, false);
  }
  free(bytes);
}

static void every_cut_makes_the_one_before_be_taken(void **state) {
  (void)state;
  size_t size;
  make_checkpoints(2);
  char *bytes = scratch_read(newest(), &size);
  for (size_t cut = 0; cut < size; cut++) {
    scratch_write(newest(), bytes, cut);
    assert_holds(1);
  }
  free(bytes);
}

static void without_one_before_a_damaged_one_is_refused_by_name(void **state) {
  (void)state;
  size_t size;
  esc_checkpoint *c;
  make_checkpoints(1);
  char *bytes = scratch_read(newest(), &size);
  for (size_t i = 0; i < size; i++) {
    bytes[i] ^= 16;
    scratch_write(newest(), bytes, size);
    bytes[i] ^= 16;
    assert_int_equal(resume(all, &c), ESC_BAD_INPUT);
    assert_message_names(newest(), "damaged", "--force", NULL);
  }
  free(bytes);
}

static void a_damaged_one_never_replaces_the_one_before(void **state) {
  (void)state;
  esc_checkpoint *c;
  make_checkpoints(2);
  scratch_write(newest(), "damaged", 7);
  esc_assert_ok(resume(all, &c));
  for (int i = 0; i < NETWORKS; i++) assert_gives(c, 1, i);
  esc_assert_ok(save(c, 3, 0, NETWORKS));
  esc_checkpoint_close(c, false);
  assert_holds(3);
  assert_int_equal(rename(before(), newest()), 0);
  assert_holds(1);
}

/* A run that dies between the two renames leaves no newest. */
static void the_one_before_alone_is_enough(void **state) {
  (void)state;
  esc_checkpoint *c;
  make_checkpoints(2);
  assert_int_equal(unlink(newest()), 0);
  esc_assert_ok(resume(all, &c));
  assert_null(esc_checkpoint_warning(c));
  esc_checkpoint_close(c, false);
  assert_holds(1);
}

static esc_status resume_as(const char *text, size_t state_size) {
  esc_checkpoint *c;
  return esc_checkpoint_open(&(esc_checkpoint_request){.result_path = output(),
                                                       .identity = (esc_identity){text, 5},
                                                       .state_size = state_size,
                                                       .resume = true},
                             &c);
}

static void one_of_another_spec_is_refused_by_name(void **state) {
  (void)state;
  make_checkpoints(2);
  assert_int_equal(resume_as("name: another sweep\n", STATE), ESC_BAD_INPUT);
  assert_message_names(newest(), "another spec", "-o", "--force", NULL);
  assert_int_equal(resume_as(spec, STATE + 8), ESC_BAD_INPUT);
  assert_message_names(newest(), "another spec", NULL);
  assert_holds(2);
}

static void one_of_another_version_is_refused_by_name(void **state) {
  (void)state;
  size_t size;
  make_checkpoints(2);
  char *bytes = scratch_read(newest(), &size);
  bytes[8]++; /* the version */
  const uint64_t check = XXH3_64bits(bytes, 48 - sizeof check);
  memcpy(bytes + 48 - sizeof check, &check, sizeof check);
  scratch_write(newest(), bytes, size);
  free(bytes);
  assert_int_equal(resume_as(spec, STATE), ESC_BAD_INPUT);
  assert_message_names(newest(), "another version", NULL);
}

static void without_resume_it_is_refused_or_discarded(void **state) {
  (void)state;
  esc_checkpoint *c;
  make_checkpoints(2);
  for (int i = 0; i < 2; i++) { /* either file is enough */
    assert_int_equal(
        esc_checkpoint_open(
            &(esc_checkpoint_request){
                .result_path = output(), .identity = (esc_identity){spec, 5}, .state_size = STATE},
            &c),
        ESC_BAD_INPUT);
    assert_message_names(i ? before() : newest(), "--resume", "--force", NULL);
    unlink(newest());
  }
  make_checkpoints(2);
  esc_assert_ok(
      esc_checkpoint_open(&(esc_checkpoint_request){.result_path = output(),
                                                    .identity = (esc_identity){"other", 5},
                                                    .state_size = STATE,
                                                    .discard = true},
                          &c));
  assert_int_equal(esc_checkpoint_count_pending(c), 0);
  assert_int_equal(scratch_count(), 0);
  esc_checkpoint_close(c, false);
}

/* A full disk: the limit stands at every length in turn. */
static void a_write_that_fails_leaves_all_as_it_was(void **state) {
  (void)state;
  make_checkpoints(2);
  for (rlim_t limit = 0; limit < HEADER + NETWORKS * RECORD; limit += 13) {
    esc_checkpoint *c;
    esc_assert_ok(resume(all, &c));
    for (int i = 0; i < NETWORKS; i++) assert_gives(c, 2, i);
    scratch_limit_files(limit);
    const esc_status status = save(c, 3, 0, NETWORKS);
    scratch_limit_files(RLIM_INFINITY);
    assert_int_equal(status, ESC_IO_FAILED);
    assert_message_names(newest(), "File too large", NULL);
    esc_checkpoint_close(c, false);
    assert_int_equal(scratch_count(), 2);
    assert_holds(2);
  }
}

/* What a run that was killed while writing leaves, too: its pid is no process's. */
static void removing_leaves_nothing(void **state) {
  (void)state;
  esc_checkpoint *c;
  make_checkpoints(2);
  scratch_write(scratch(".out.h5.checkpoint.2147483646-0.tmp"), "x", 1);
  assert_int_equal(scratch_count(), 3);
  esc_assert_ok(resume(all, &c));
  esc_checkpoint_close(c, true);
  assert_int_equal(scratch_count(), 0);
  esc_checkpoint_close(NULL, true);
}

static void what_is_no_plain_file_is_refused(void **state) {
  (void)state;
  assert_int_equal(mkfifo(newest(), 0666), 0);
  assert_int_equal(resume_as(spec, STATE), ESC_BAD_INPUT);
  assert_message_names(newest(), "not a regular file", NULL);
}

static esc_status accept_any(void *context, const char *path, esc_identity found) {
  (void)path;
  *(int64_t *)context = found.members;
  return ESC_OK;
}

static void sum_seeds(void *context, esc_member_key member, int64_t step) {
  (void)step;
  *(int64_t *)context += (int64_t)member.seed;
}

static void a_sweep_that_grew_takes_it_over(void **state) {
  (void)state;
  esc_checkpoint *c;
  int64_t members = 0;
  const esc_checkpoint_reader reader = {&members, accept_any, NULL};
  make_checkpoints(1);
  esc_assert_ok(
      esc_checkpoint_open(&(esc_checkpoint_request){.result_path = output(),
                                                    .identity = (esc_identity){"larger", 9},
                                                    .state_size = STATE,
                                                    .resume = true,
                                                    .reader = &reader},
                          &c));
  assert_int_equal(members, 5);
  assert_gives(c, 1, 1);
  esc_assert_ok(save(c, 2, 1, 2));
  esc_checkpoint_close(c, false);
  esc_assert_ok(esc_checkpoint_read(newest(), &reader, sum_seeds));
  assert_int_equal(members, 9 + 3 * 1000000000000 + 7 * 3);
}

/* A link of that name would have its target replaced, and read. */
static void a_checkpoint_that_is_a_link_is_refused_and_its_target_untouched(void **state) {
  (void)state;
  esc_checkpoint *c;
  size_t size;
  make_checkpoints(1);
  esc_assert_ok(resume(all, &c));
  assert_int_equal(rename(newest(), scratch("victim")), 0);
  assert_int_equal(symlink(scratch("victim"), newest()), 0);
  char *bytes = scratch_read(scratch("victim"), &size);
  assert_int_equal(save(c, 2, 0, NETWORKS), ESC_BAD_INPUT);
  assert_message_names(newest(), "symbolic link", NULL);
  esc_checkpoint_close(c, true);
  assert_int_equal(resume(all, &c), ESC_BAD_INPUT);
  assert_message_names(newest(), "symbolic link", NULL);
  size_t after;
  char *still = scratch_read(scratch("victim"), &after);
  assert_int_equal(after, size);
  assert_memory_equal(still, bytes, size);
  free(still);
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(states_come_back_once_in_any_order),
      CASE(the_one_before_is_kept_and_no_other),
      CASE(a_member_that_is_not_wanted_is_skipped),
      CASE(those_that_wait_go_into_the_next_checkpoint),
      CASE(every_flipped_bit_makes_the_one_before_be_taken_and_said),
      CASE(every_cut_makes_the_one_before_be_taken),
      CASE(without_one_before_a_damaged_one_is_refused_by_name),
      CASE(a_damaged_one_never_replaces_the_one_before),
      CASE(the_one_before_alone_is_enough),
      CASE(one_of_another_spec_is_refused_by_name),
      CASE(one_of_another_version_is_refused_by_name),
      CASE(without_resume_it_is_refused_or_discarded),
      CASE(a_write_that_fails_leaves_all_as_it_was),
      CASE(removing_leaves_nothing),
      CASE(what_is_no_plain_file_is_refused),
      CASE(a_sweep_that_grew_takes_it_over),
      CASE(a_checkpoint_that_is_a_link_is_refused_and_its_target_untouched),
  };
  return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
