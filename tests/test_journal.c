/* SPDX-License-Identifier: Apache-2.0 */
/* What a journal gives back are whole records that were appended, from the first on without a gap;
 * refusals, identities and segments. Damage: test_journal_damage; failures and other programs:
 * test_journal_interference. */
#include <errno.h>
#include <fcntl.h>
#include <xxhash.h>

#include "journal_case.h"

static void records_come_back_in_order(void **state) {
  (void)state;
  make_journal(MEMBERS);
  assert_holds(MEMBERS);
}

static void many_records_come_back(void **state) {
  (void)state;
  for (int i = 255; i <= 257; i++) {
    make_journal(i);
    assert_holds(i);
    unlink(journal());
  }
}

static void the_file_is_a_start_and_equal_records(void **state) {
  (void)state;
  struct stat info;
  make_journal(MEMBERS);
  assert_int_equal(stat(journal(), &info), 0);
  assert_int_equal(info.st_size, START + MEMBERS * record_size());
}

static void resuming_goes_on_behind_the_records(void **state) {
  (void)state;
  visited v;
  esc_journal *j;
  make_journal(2);
  for (int i = 2; i < MEMBERS; i++) {
    esc_assert_ok(open_as(true, false, &v, &j));
    assert_int_equal(v.count, i);
    esc_assert_ok(append(j, i));
    esc_journal_close(j, false);
  }
  assert_holds(MEMBERS);
}

static void resuming_nothing_starts_a_journal(void **state) {
  (void)state;
  visited v;
  esc_journal *j;
  esc_assert_ok(open_as(true, false, &v, &j));
  assert_int_equal(v.count, 0);
  assert_true(access(journal(), F_OK) == 0);
  esc_journal_close(j, false);
}

/* Behind the records of the file, in the order in which they were added. */
static void added_records_are_in_the_file_after_a_flush_a_sync_or_a_close(void **state) {
  (void)state;
  for (int way = 0; way < 3; way++) {
    esc_journal *j;
    visited v;
    char row[1 << 10];
    make_journal(2);
    esc_assert_ok(open_as(true, false, &v, &j));
    for (int i = 2; i < 4; i++) {
      make_row(i, row);
      esc_assert_ok(esc_journal_add(j, key_of(i), row));
    }
    assert_int_equal(esc_journal_count_records(j), 2);
    if (way < 2) esc_assert_ok(way ? esc_journal_sync(j) : esc_journal_flush(j));
    if (way < 2) assert_int_equal(esc_journal_count_records(j), 4);
    esc_journal_close(j, false);
    assert_holds(4);
    unlink(journal());
  }
}

static void without_resume_a_journal_is_refused_and_kept(void **state) {
  (void)state;
  visited v;
  esc_journal *j;
  make_journal(MEMBERS);
  assert_int_equal(open_as(false, false, &v, &j), ESC_BAD_INPUT);
  assert_message_names(journal(), "5 finished members", "--resume", "--force", NULL);
  assert_int_equal(v.count, 0);
  assert_holds(MEMBERS);
}

static void discarding_starts_anew(void **state) {
  (void)state;
  visited v;
  esc_journal *j;
  make_journal(MEMBERS);
  esc_assert_ok(open_as(false, true, &v, &j));
  assert_int_equal(v.count, 0);
  esc_assert_ok(append(j, 0));
  esc_journal_close(j, false);
  assert_holds(1);
}

static void discarding_overwrites_what_is_no_journal(void **state) {
  (void)state;
  visited v;
  esc_journal *j;
  scratch_write(journal(), "something else that is longer than a header of a journal", 56);
  assert_int_equal(open_as(true, false, &v, &j), ESC_BAD_INPUT);
  assert_message_names(journal(), "not a journal", NULL);
  esc_assert_ok(open_as(false, true, &v, &j));
  esc_journal_close(j, false);
  assert_holds(0);
}

static esc_status resume_with(const char *text, int thresholds, int layers) {
  esc_journal *j;
  return esc_journal_open(
      &(esc_journal_request){
          .result_path = output(), .identity = identity_of(text), .resume = true},
      thresholds, layers, &j);
}

static void a_journal_of_another_spec_is_refused_by_name(void **state) {
  (void)state;
  make_journal(MEMBERS);
  assert_int_equal(resume_with("name: another sweep\n", THRESHOLDS, LAYERS), ESC_BAD_INPUT);
  assert_message_names(journal(), "another spec", "-o", "--force", NULL);
  assert_int_equal(resume_with(spec, THRESHOLDS + 1, LAYERS), ESC_BAD_INPUT);
  assert_message_names(journal(), "another spec", NULL);
  assert_int_equal(resume_with(spec, THRESHOLDS, LAYERS + 1), ESC_BAD_INPUT);
  assert_holds(MEMBERS);
}

static void a_journal_of_another_version_is_refused(void **state) {
  (void)state;
  size_t size;
  visited v;
  esc_journal *j;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size);
  bytes[8]++; /* the version */
  const uint64_t check = XXH3_64bits(bytes, 48 - sizeof check);
  memcpy(bytes + 48 - sizeof check, &check, sizeof check);
  scratch_write(journal(), bytes, size);
  free(bytes);
  assert_int_equal(open_as(true, false, &v, &j), ESC_BAD_INPUT);
  assert_message_names(journal(), "another version", NULL);
}

static void a_second_run_on_the_same_output_is_refused(void **state) {
  (void)state;
  visited v;
  esc_journal *first, *second;
  esc_assert_ok(open_as(false, false, &v, &first));
  esc_assert_ok(append(first, 0));
  for (int way = 0; way < 3; way++) {
    assert_int_equal(open_as(way == 1, way == 2, &v, &second), ESC_BAD_INPUT);
    assert_message_names(journal(), "another run is writing this output", NULL);
    assert_int_equal(v.count, 0);
  }
  esc_assert_ok(append(first, 1));
  esc_journal_close(first, false);
  assert_holds(2);
}

static void closing_keeps_the_file_if_it_holds_a_member_unless_told(void **state) {
  (void)state;
  visited v;
  esc_journal *j;
  esc_assert_ok(open_as(false, false, &v, &j));
  esc_journal_close(j, false);
  assert_int_equal(scratch_count(), 0);
  esc_assert_ok(open_as(false, false, &v, &j));
  esc_assert_ok(append(j, 0));
  esc_journal_close(j, false);
  assert_int_equal(scratch_count(), 1);
  esc_assert_ok(open_as(true, false, &v, &j));
  esc_journal_close(j, true);
  assert_int_equal(scratch_count(), 0);
  esc_journal_close(NULL, true);
}

static void a_place_that_cannot_hold_a_journal_is_refused(void **state) {
  (void)state;
  esc_journal *j;
  assert_int_equal(esc_journal_open(&(esc_journal_request){.result_path = scratch("none/out.h5"),
                                                           .identity = identity_of(spec),
                                                           .resume = true},
                                    THRESHOLDS, LAYERS, &j),
                   ESC_BAD_INPUT);
  assert_message_names(scratch("none/out.h5.journal"), strerror(ENOENT), NULL);
  assert_int_equal(mkdir(scratch("dir.journal"), 0777), 0);
  assert_int_equal(mkfifo(scratch("fifo.journal"), 0666), 0);
  assert_int_equal(esc_journal_open(&(esc_journal_request){.result_path = scratch("dir"),
                                                           .identity = identity_of(spec),
                                                           .discard = true},
                                    1, 2, &j),
                   ESC_BAD_INPUT);
  assert_int_equal(esc_journal_open(&(esc_journal_request){.result_path = scratch("fifo"),
                                                           .identity = identity_of(spec),
                                                           .discard = true},
                                    1, 2, &j),
                   ESC_BAD_INPUT);
  assert_message_names("not a regular file", NULL);
}

static void a_failed_append_leaves_whole_records_and_says_how_to_go_on(void **state) {
  (void)state;
  visited v;
  esc_journal *j;
  struct stat info;
  esc_assert_ok(open_as(false, false, &v, &j));
  esc_assert_ok(append(j, 0));
  esc_assert_ok(append(j, 1));
  scratch_limit_files(START + 2 * record_size() + 20);
  const esc_status status = append(j, 2);
  scratch_limit_files(RLIM_INFINITY);
  assert_int_equal(status, ESC_IO_FAILED);
  assert_message_names(journal(), "seed 1000000000014", strerror(EFBIG),
                       "2 finished members are saved", "--resume", NULL);
  assert_int_equal(stat(journal(), &info), 0);
  assert_int_equal(info.st_size, START + 2 * record_size());
  esc_assert_ok(append(j, 2));
  esc_journal_close(j, false);
  assert_holds(3);
}

static void a_journal_that_cannot_be_started_is_not_left_behind(void **state) {
  (void)state;
  visited v;
  esc_journal *j;
  scratch_limit_files(20);
  const esc_status status = open_as(false, false, &v, &j);
  scratch_limit_files(RLIM_INFINITY);
  assert_int_equal(status, ESC_IO_FAILED);
  assert_message_names(journal(), strerror(EFBIG), NULL);
  assert_int_equal(scratch_count(), 0);
}

static void unpack_row(void *context, esc_member_key member, const void *row) {
  esc_results_unpack(context, (int64_t)member.seed, row);
}

static void packed_rows_round_trip_through_the_journal(void **state) {
  (void)state;
  esc_results *out, *in;
  esc_journal *j;
  char *row = malloc(row_size());
  const esc_journal_reader reader = {.row = unpack_row};
  assert_non_null(row);
  esc_assert_ok(esc_results_create(MEMBERS, THRESHOLDS, LAYERS, &out));
  esc_assert_ok(esc_results_create(MEMBERS, THRESHOLDS, LAYERS, &in));
  esc_assert_ok(esc_journal_open(
      &(esc_journal_request){.result_path = output(), .identity = identity_of(spec)}, THRESHOLDS,
      LAYERS, &j));
  for (int i = MEMBERS - 1; i >= 0; i--) { /* members finish in any order */
    make_row(i, row);
    esc_results_unpack(out, i, row);
    out->final_loss[i] = i == 2 ? (double)NAN : 0.25 * i;
    esc_results_pack(out, i, row);
    esc_assert_ok(append_row(j, (esc_member_key){.seed = (uint64_t)i}, row));
  }
  esc_journal_close(j, false);
  esc_journal_reader into = reader;
  into.context = in;
  esc_assert_ok(esc_journal_open(
      &(esc_journal_request){
          .result_path = output(), .identity = identity_of(spec), .resume = true, .reader = &into},
      THRESHOLDS, LAYERS, &j));
  esc_journal_close(j, true);
  for (int k = 0; k < esc_result_variable_count; k++) {
    const esc_result_variable *v = &esc_result_variables[k];
    const size_t cells = (size_t)(MEMBERS * esc_axis_length(out, v->axis));
    assert_memory_equal(esc_result_data(in, v), esc_result_data(out, v),
                        cells * esc_type_size(v->type));
  }
  esc_results_free(out);
  esc_results_free(in);
  free(row);
}

/* ---- identities and segments ---- */

typedef struct notes {
  char text[256];
} notes;

static esc_status note_identity(void *context, const char *path, esc_identity found) {
  notes *n = context;
  (void)path;
  snprintf(n->text + strlen(n->text), sizeof n->text - strlen(n->text), "%lld %s",
           (long long)found.members, found.text);
  return ESC_OK;
}

static void note_segment(void *context, const char *text, bool begins) {
  notes *n = context;
  snprintf(n->text + strlen(n->text), sizeof n->text - strlen(n->text), "%s%s;", begins ? "+" : "=",
           text);
}

static void note_row(void *context, esc_member_key member, const void *row) {
  notes *n = context;
  (void)row;
  snprintf(n->text + strlen(n->text), sizeof n->text - strlen(n->text), "%llu;",
           (unsigned long long)member.seed - 1000000000000);
}

static esc_journal *reopen(esc_identity identity, notes *n) {
  const esc_journal_reader reader = {n, note_identity, note_segment, note_row, NULL};
  esc_journal *j;
  n->text[0] = 0;
  esc_assert_ok(esc_journal_open(
      &(esc_journal_request){
          .result_path = output(), .identity = identity, .resume = true, .reader = &reader},
      THRESHOLDS, LAYERS, &j));
  return j;
}

static void a_sweep_that_grows_is_noted_and_keeps_its_records(void **state) {
  (void)state;
  notes n;
  esc_journal_summary found;
  make_journal(2);
  esc_journal *j = reopen((esc_identity){"larger\n", 9}, &n);
  assert_string_equal(n.text, "5 name: a small sweep\n0;7;");
  esc_assert_ok(append(j, 2));
  esc_journal_close(j, false);
  esc_journal_close(reopen((esc_identity){"larger\n", 9}, &n), false);
  assert_string_equal(n.text, "5 name: a small sweep\n0;7;9 larger\n14;");
  esc_assert_ok(esc_journal_read(journal(), NULL, &found));
  assert_int_equal(found.members, 9);
  assert_int_equal(found.records, 3);
}

static void segments_come_back_in_order(void **state) {
  (void)state;
  notes n;
  esc_journal *j;
  visited v;
  esc_assert_ok(open_as(false, false, &v, &j));
  esc_assert_ok(esc_journal_append_segment(j, "a", true));
  esc_assert_ok(append(j, 0));
  esc_assert_ok(esc_journal_append_segment(j, "b", false));
  esc_journal_close(j, false);
  esc_journal_close(reopen(identity_of(spec), &n), false);
  assert_string_equal(n.text, "5 name: a small sweep\n+a;0;=b;");
}

static void a_segment_alone_keeps_the_file_only_once_it_has_made_steps(void **state) {
  (void)state;
  esc_journal *j;
  visited v;
  for (int made = 0; made < 2; made++) {
    esc_assert_ok(open_as(false, false, &v, &j));
    esc_assert_ok(esc_journal_append_segment(j, "a", true));
    if (made) esc_assert_ok(esc_journal_append_segment(j, "b", false));
    esc_journal_close(j, false);
    assert_int_equal(scratch_count(), made);
  }
}

static void looking_at_a_journal_changes_nothing_and_sees_who_writes_it(void **state) {
  (void)state;
  size_t size, after;
  visited v;
  esc_journal *j;
  esc_journal_summary found;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size);
  scratch_write(journal(), bytes, size - 3);
  esc_assert_ok(esc_journal_read(journal(), NULL, &found));
  assert_int_equal(found.records, MEMBERS - 1);
  assert_true(found.readable && !found.locked && !found.snapshots);
  free(scratch_read(journal(), &after));
  assert_int_equal(after, size - 3);
  esc_assert_ok(open_as(true, false, &v, &j));
  esc_assert_ok(esc_journal_read(journal(), NULL, &found));
  assert_true(found.locked);
  esc_journal_close(j, false);
  free(bytes);
}

/* The length came to disk, the bytes did not. */
static void a_start_lost_with_the_power_is_started_again(void **state) {
  (void)state;
  char zeros[START] = {0};
  size_t size;
  make_journal(1);
  char *bytes = scratch_read(journal(), &size);
  for (size_t written = 0; written < HEADER; written += written == 0 ? 48 : 1) {
    memcpy(zeros, bytes, written);
    scratch_write(journal(), zeros, written % 2 ? HEADER : START);
    assert_holds(0);
  }
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(records_come_back_in_order),
      CASE(many_records_come_back),
      CASE(the_file_is_a_start_and_equal_records),
      CASE(resuming_goes_on_behind_the_records),
      CASE(resuming_nothing_starts_a_journal),
      CASE(added_records_are_in_the_file_after_a_flush_a_sync_or_a_close),
      CASE(without_resume_a_journal_is_refused_and_kept),
      CASE(discarding_starts_anew),
      CASE(discarding_overwrites_what_is_no_journal),
      CASE(a_journal_of_another_spec_is_refused_by_name),
      CASE(a_journal_of_another_version_is_refused),
      CASE(a_second_run_on_the_same_output_is_refused),
      CASE(closing_keeps_the_file_if_it_holds_a_member_unless_told),
      CASE(a_place_that_cannot_hold_a_journal_is_refused),
      CASE(a_failed_append_leaves_whole_records_and_says_how_to_go_on),
      CASE(a_journal_that_cannot_be_started_is_not_left_behind),
      CASE(packed_rows_round_trip_through_the_journal),
      CASE(a_sweep_that_grows_is_noted_and_keeps_its_records),
      CASE(segments_come_back_in_order),
      CASE(a_segment_alone_keeps_the_file_only_once_it_has_made_steps),
      CASE(looking_at_a_journal_changes_nothing_and_sees_who_writes_it),
      CASE(a_start_lost_with_the_power_is_started_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
