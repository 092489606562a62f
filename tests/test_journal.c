/* Whatever happens to a journal, what it gives back are whole records that were
 * appended, from the first on without a gap. */
#include "store/journal.h"

#include <errno.h>
#include <xxhash.h>

#include "scratch.h"

static const char spec[] = "name: a small sweep\n";
/* Header with the identity: a number and the text. */
enum { MEMBERS = 5, THRESHOLDS = 2, LAYERS = 3, HEADER = 48 + 8 + sizeof spec - 1 };

static size_t row_size(void) { return esc_results_row_size(THRESHOLDS, LAYERS); }
static size_t record_size(void) { return 8 + 24 + row_size() + 8; }
static const char *output(void) { return scratch("out.h5"); }
static const char *journal(void) { return scratch("out.h5.journal"); }

static esc_member_key key_of(int i) {
  return (esc_member_key){1000000000000 + 7 * (uint64_t)i, 7, 0.25};
}

/* Row i: bytes that no other row has, patterns of NaN among them. */
static void make_row(int i, char *row) {
  for (size_t k = 0; k < row_size(); k++) row[k] = (char)(i * 31 + (int)k * 5);
  memset(row + 8, 0xff, 8);
}

/* What a journal gave back; `wrong` counts records that were never appended there. */
typedef struct visited {
  int count, wrong;
} visited;

static void visit(void *context, esc_member_key member, const void *row) {
  visited *v = context;
  char *want = malloc(row_size());
  assert_non_null(want);
  make_row(v->count, want);
  if (!esc_member_key_equal(member, key_of(v->count)) || memcmp(row, want, row_size()) != 0)
    v->wrong++;
  v->count++;
  free(want);
}

static esc_identity identity_of(const char *text) { return (esc_identity){text, MEMBERS}; }

static esc_status open_as(bool resume, bool discard, visited *v, esc_journal **j) {
  const esc_journal_reader reader = {.context = v, .row = visit};
  *v = (visited){0, 0};
  return esc_journal_open(output(), identity_of(spec), THRESHOLDS, LAYERS, resume, discard, &reader,
                          j);
}

static esc_status append(esc_journal *j, int i) {
  char *row = malloc(row_size());
  assert_non_null(row);
  make_row(i, row);
  const esc_status status = esc_journal_append(j, key_of(i), row);
  free(row);
  return status;
}

/* Leaves a journal with `members` records behind. */
static void make_journal(int members) {
  visited v;
  esc_journal *j;
  esc_assert_ok(open_as(false, false, &v, &j));
  for (int i = 0; i < members; i++) esc_assert_ok(append(j, i));
  esc_assert_ok(esc_journal_sync(j));
  esc_journal_close(j, false);
}

/* Resuming gives back just the first `members` records. */
static void assert_holds(int members) {
  visited v;
  esc_journal *j;
  esc_assert_ok(open_as(true, false, &v, &j));
  esc_journal_close(j, false);
  assert_int_equal(v.count, members);
  assert_int_equal(v.wrong, 0);
}

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

static void the_file_is_a_header_and_equal_records(void **state) {
  (void)state;
  struct stat info;
  make_journal(MEMBERS);
  assert_int_equal(stat(journal(), &info), 0);
  assert_int_equal(info.st_size, HEADER + MEMBERS * record_size());
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

static void a_journal_cut_at_any_byte_keeps_its_whole_records_and_goes_on(void **state) {
  (void)state;
  size_t size;
  visited v;
  esc_journal *j;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size);
  for (size_t cut = 0; cut <= size; cut++) {
    const int whole = cut < HEADER ? 0 : (int)((cut - HEADER) / record_size());
    scratch_write(journal(), bytes, cut);
    esc_assert_ok(open_as(true, false, &v, &j));
    assert_int_equal(v.count, whole);
    assert_int_equal(v.wrong, 0);
    esc_assert_ok(append(j, whole));
    esc_journal_close(j, false);
    assert_holds(whole + 1);
  }
  free(bytes);
}

static void a_flipped_byte_keeps_the_records_before_it(void **state) {
  (void)state;
  size_t size;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size);
  for (size_t at = HEADER; at < size; at++) {
    bytes[at] ^= (char)(1 << at % 8);
    scratch_write(journal(), bytes, size);
    assert_holds((int)((at - HEADER) / record_size()));
    bytes[at] ^= (char)(1 << at % 8);
  }
  free(bytes);
}

static void a_header_with_a_flipped_byte_is_refused_and_left_alone(void **state) {
  (void)state;
  size_t size, after;
  visited v;
  esc_journal *j;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size);
  for (size_t at = 0; at < HEADER; at++) {
    bytes[at] ^= 1;
    scratch_write(journal(), bytes, size);
    assert_int_equal(open_as(true, false, &v, &j), ESC_BAD_INPUT);
    assert_message_names(journal(), at < 8 ? "not a journal" : "damaged", "--force", NULL);
    assert_int_equal(v.count, 0);
    char *kept = scratch_read(journal(), &after);
    assert_int_equal(after, size);
    assert_memory_equal(kept, bytes, size);
    free(kept);
    bytes[at] ^= 1;
  }
  free(bytes);
}

static void records_of_another_journal_are_not_taken(void **state) {
  (void)state;
  size_t size, other_size;
  esc_journal *j;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size);
  esc_assert_ok(esc_journal_open(scratch("other"), identity_of("name: a SMALL sweep\n"), THRESHOLDS,
                                 LAYERS, false, false, NULL, &j));
  for (int i = 0; i < MEMBERS; i++) esc_assert_ok(append(j, i));
  esc_journal_close(j, false);
  char *other = scratch_read(scratch("other.journal"), &other_size);
  assert_int_equal(other_size, size);
  memcpy(bytes + HEADER + record_size(), other + HEADER + record_size(), record_size());
  scratch_write(journal(), bytes, size);
  assert_holds(1);
  free(bytes);
  free(other);
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
  return esc_journal_open(output(), identity_of(text), thresholds, layers, true, false, NULL, &j);
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
  assert_int_equal(esc_journal_open(scratch("none/out.h5"), identity_of(spec), THRESHOLDS, LAYERS,
                                    true, false, NULL, &j),
                   ESC_BAD_INPUT);
  assert_message_names(scratch("none/out.h5.journal"), strerror(ENOENT), NULL);
  assert_int_equal(mkdir(scratch("dir.journal"), 0777), 0);
  assert_int_equal(mkfifo(scratch("fifo.journal"), 0666), 0);
  assert_int_equal(esc_journal_open(scratch("dir"), identity_of(spec), 1, 2, false, true, NULL, &j),
                   ESC_BAD_INPUT);
  assert_int_equal(
      esc_journal_open(scratch("fifo"), identity_of(spec), 1, 2, false, true, NULL, &j),
      ESC_BAD_INPUT);
  assert_message_names("not a plain file", NULL);
}

static void a_failed_append_leaves_whole_records_and_says_how_to_go_on(void **state) {
  (void)state;
  visited v;
  esc_journal *j;
  struct stat info;
  esc_assert_ok(open_as(false, false, &v, &j));
  esc_assert_ok(append(j, 0));
  esc_assert_ok(append(j, 1));
  scratch_limit_files(HEADER + 2 * record_size() + 20);
  const esc_status status = append(j, 2);
  scratch_limit_files(RLIM_INFINITY);
  assert_int_equal(status, ESC_IO_FAILED);
  assert_message_names(journal(), "seed 1000000000014", strerror(EFBIG),
                       "2 finished members are safe", "--resume", NULL);
  assert_int_equal(stat(journal(), &info), 0);
  assert_int_equal(info.st_size, HEADER + 2 * record_size());
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
  esc_assert_ok(
      esc_journal_open(output(), identity_of(spec), THRESHOLDS, LAYERS, false, false, NULL, &j));
  for (int i = MEMBERS - 1; i >= 0; i--) { /* members finish in any order */
    make_row(i, row);
    esc_results_unpack(out, i, row);
    out->final_loss[i] = i == 2 ? (double)NAN : 0.25 * i;
    esc_results_pack(out, i, row);
    esc_assert_ok(esc_journal_append(j, (esc_member_key){.seed = (uint64_t)i}, row));
  }
  esc_journal_close(j, false);
  esc_journal_reader into = reader;
  into.context = in;
  esc_assert_ok(
      esc_journal_open(output(), identity_of(spec), THRESHOLDS, LAYERS, true, false, &into, &j));
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
  const esc_journal_reader reader = {n, note_identity, note_segment, note_row};
  esc_journal *j;
  n->text[0] = 0;
  esc_assert_ok(esc_journal_open(output(), identity, THRESHOLDS, LAYERS, true, false, &reader, &j));
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
  esc_assert_ok(esc_journal_note_segment(j, "a", true));
  esc_assert_ok(append(j, 0));
  esc_assert_ok(esc_journal_note_segment(j, "b", false));
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
    esc_assert_ok(esc_journal_note_segment(j, "a", true));
    if (made) esc_assert_ok(esc_journal_note_segment(j, "b", false));
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
  char zeros[HEADER] = {0};
  size_t size;
  make_journal(1);
  char *bytes = scratch_read(journal(), &size);
  for (size_t written = 0; written < HEADER; written += written == 0 ? 48 : 1) {
    memcpy(zeros, bytes, written);
    scratch_write(journal(), zeros, HEADER);
    assert_holds(0);
  }
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(records_come_back_in_order),
      CASE(many_records_come_back),
      CASE(the_file_is_a_header_and_equal_records),
      CASE(resuming_goes_on_behind_the_records),
      CASE(resuming_nothing_starts_a_journal),
      CASE(a_journal_cut_at_any_byte_keeps_its_whole_records_and_goes_on),
      CASE(a_flipped_byte_keeps_the_records_before_it),
      CASE(a_header_with_a_flipped_byte_is_refused_and_left_alone),
      CASE(records_of_another_journal_are_not_taken),
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
