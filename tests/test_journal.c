/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever happens to a journal, what it gives back are whole records that were
 * appended, from the first on without a gap. */
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <xxhash.h>

#include "scratch.h"

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

static const char spec[] = "name: a small sweep\n";
/* Header with the identity, a number and the text; the start is that and a part with its copy. */
enum {
  MEMBERS = 5,
  THRESHOLDS = 2,
  LAYERS = 3,
  HEADER = 48 + 8 + sizeof spec - 1,
  PART = 24, /* bytes of a part beside its payload */
  START = 2 * HEADER + PART
};

static size_t row_size(void) { return esc_results_row_size(THRESHOLDS, LAYERS); }
static size_t record_size(void) { return PART + 24 + row_size(); }
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

/* What a journal gave back; `wrong` counts records that were never appended there, or not at
 * an address from which a structure can be read. */
typedef struct visited {
  int count, wrong;
} visited;

static void visit(void *context, esc_member_key member, const void *row) {
  visited *v = context;
  char *want = malloc(row_size());
  assert_non_null(want);
  make_row(v->count, want);
  if (!esc_member_key_equal(member, key_of(v->count)) || memcmp(row, want, row_size()) != 0 ||
      (uintptr_t)row % sizeof(double) != 0)
    v->wrong++;
  v->count++;
  free(want);
}

static esc_identity identity_of(const char *text) { return (esc_identity){text, MEMBERS}; }

static esc_status open_as(bool resume, bool discard, visited *v, esc_journal **j) {
  const esc_journal_reader reader = {.context = v, .row = visit};
  *v = (visited){0, 0};
  return esc_journal_open(&(esc_journal_request){.result_path = output(),
                                                 .identity = identity_of(spec),
                                                 .resume = resume,
                                                 .discard = discard,
                                                 .reader = &reader},
                          THRESHOLDS, LAYERS, j);
}

static esc_status append_row(esc_journal *j, esc_member_key member, const void *row) {
  const esc_status status = esc_journal_add(j, member, row);
  return status == ESC_OK ? esc_journal_flush(j) : status;
}

static esc_status append(esc_journal *j, int i) {
  char *row = malloc(row_size());
  assert_non_null(row);
  make_row(i, row);
  const esc_status status = append_row(j, key_of(i), row);
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

static void a_journal_cut_at_any_byte_keeps_its_whole_records_and_goes_on(void **state) {
  (void)state;
  size_t size;
  visited v;
  esc_journal *j;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size);
  for (size_t cut = 0; cut <= size; cut++) {
    const int whole = cut < START ? 0 : (int)((cut - START) / record_size());
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

/* What is kept of a damaged journal: bit i for record i; the last warning. */
static unsigned kept;
static char warning[2048];

static void keep_row(void *context, esc_member_key member, const void *row) {
  char *want = malloc(row_size());
  const int i = (int)((member.seed - 1000000000000) / 7);
  assert_non_null(want);
  make_row(i, want);
  *(int *)context += memcmp(row, want, row_size()) != 0;
  kept |= 1u << i;
  free(want);
}

__attribute__((format(printf, 1, 2))) static void keep_warning(const char *format, ...) {
  va_list more;
  va_start(more, format);
  vsnprintf(warning, sizeof warning, format, more);
  va_end(more);
}

/* Resumes and closes; which records came back, all of them right. */
static unsigned survivors(void) {
  int wrong = 0;
  esc_journal *j;
  const esc_journal_reader reader = {&wrong, NULL, NULL, keep_row, keep_warning};
  kept = 0;
  warning[0] = 0;
  esc_assert_ok(esc_journal_open(&(esc_journal_request){.result_path = output(),
                                                        .identity = identity_of(spec),
                                                        .resume = true,
                                                        .reader = &reader},
                                 THRESHOLDS, LAYERS, &j));
  esc_journal_close(j, false);
  assert_int_equal(wrong, 0);
  return kept;
}

static const char *copy_of_damage(void) { return scratch("out.h5.journal.damaged-1"); }

/* The warning names what is lost and where, the copy has the damaged bytes, and the file is
 * whole from now on. */
static void assert_damage_is_told(const char *bytes, size_t size, const char *what) {
  size_t copied;
  if (!strstr(warning, what) || !strstr(warning, copy_of_damage())) {
    fprintf(stderr, "\"%s\" does not say \"%s\"\n", warning, what);
    fail();
  }
  char *copy = scratch_read(copy_of_damage(), &copied);
  assert_int_equal(copied, size);
  assert_memory_equal(copy, bytes, size);
  free(copy);
  unlink(copy_of_damage());
  (void)survivors();
  assert_string_equal(warning, "");
}

static void a_flipped_bit_anywhere_costs_no_more_than_its_own_record(void **state) {
  (void)state;
  size_t size;
  char where[80];
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size);
  for (size_t at = 0; at < size; at += at < START ? 3 : 23) {
    const int hit = at < START ? -1 : (int)((at - START) / record_size());
    const size_t first = at < HEADER ? 0 : hit < 0 ? HEADER : START + (size_t)hit * record_size();
    bytes[at] ^= (char)(1 << at % 8);
    scratch_write(journal(), bytes, size);
    const unsigned all = (1u << MEMBERS) - 1;
    assert_int_equal(survivors(), hit < 0 ? all : all & ~(1u << hit));
    snprintf(where, sizeof where, "offset %zu: about %d finished members are lost", first,
             hit >= 0);
    assert_damage_is_told(bytes, size, where);
    bytes[at] ^= (char)(1 << at % 8);
  }
  free(bytes);
}

static void damage_of_any_length_keeps_the_records_that_it_leaves_whole(void **state) {
  (void)state;
  size_t size;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size), *hurt = malloc(size);
  assert_non_null(hurt);
  for (size_t length = 1; length < 3 * record_size(); length += 61) {
    const size_t from = START + record_size() / 2, last = from + length - 1 - START;
    memcpy(hurt, bytes, size);
    memset(hurt + from, 'E', length);
    scratch_write(journal(), hurt, size);
    const unsigned lost = (1u << (last / record_size() + 1)) - 1;
    assert_int_equal(survivors(), ((1u << MEMBERS) - 1) & ~lost);
    assert_damage_is_told(hurt, size, "offset");
  }
  free(bytes);
  free(hurt);
}

static void bytes_that_slipped_in_or_out_cost_one_record(void **state) {
  (void)state;
  size_t size;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size), *hurt = malloc(size + 8);
  const size_t from = START + record_size() + 5;
  assert_non_null(hurt);
  for (int more = -3; more <= 3; more += 6) {
    const size_t all = more < 0 ? size - 3 : size + 3;
    memcpy(hurt, bytes, from);
    memset(hurt + from, 'E', 3);
    memcpy(hurt + from + (more > 0 ? 3 : 0), bytes + from + (more < 0 ? 3 : 0),
           size - from - (more < 0 ? 3 : 0));
    scratch_write(journal(), hurt, all);
    assert_int_equal(survivors(), ((1u << MEMBERS) - 1) & ~2u);
    assert_damage_is_told(hurt, all, "offset");
  }
  free(bytes);
  free(hurt);
}

static void a_start_whose_copy_is_damaged_too_is_refused_and_left_alone(void **state) {
  (void)state;
  size_t size, after;
  visited v;
  esc_journal *j;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size);
  for (size_t at = 0; at < HEADER; at += 5) {
    bytes[at] ^= 1;
    bytes[HEADER + 16 + at] ^= 1;
    scratch_write(journal(), bytes, size);
    assert_int_equal(open_as(true, false, &v, &j), ESC_BAD_INPUT);
    assert_message_names(journal(), at < 8 ? "not a journal" : "damaged", "--force", NULL);
    char *still = scratch_read(journal(), &after);
    assert_int_equal(after, size);
    assert_memory_equal(still, bytes, size);
    free(still);
    bytes[at] ^= 1;
    bytes[HEADER + 16 + at] ^= 1;
  }
  assert_int_equal(scratch_count(), 1);
  free(bytes);
}

/* Heads of parts that overlap, each with a wrong checksum behind it: the search ends. */
static void a_file_made_of_overlapping_parts_is_not_read_for_ever(void **state) {
  (void)state;
  size_t size;
  const uint64_t many = 1 << 16;
  make_journal(1);
  char *bytes = scratch_read(journal(), &size);
  char *hostile = calloc(1, size + 16 * many);
  assert_non_null(hostile);
  memcpy(hostile, bytes, size);
  const uint64_t seed = XXH3_64bits(bytes + 48, HEADER - 48);
  for (uint64_t i = 0; i < many; i++) {
    uint32_t head[4] = {0x54525045, 1, (uint32_t)(16 * (many - i) - 24), 0};
    if (i + 2 > many) head[2] = 0;
    head[3] = (uint32_t)XXH3_64bits_withSeed(head, 12, seed);
    memcpy(hostile + size + 16 * i, head, 16);
  }
  scratch_write(journal(), hostile, size + 16 * many);
  assert_int_equal(survivors(), 1);
  free(bytes);
  free(hostile);
}

static void records_of_another_journal_are_not_taken(void **state) {
  (void)state;
  size_t size, other_size;
  esc_journal *j;
  make_journal(MEMBERS);
  char *bytes = scratch_read(journal(), &size);
  esc_assert_ok(
      esc_journal_open(&(esc_journal_request){.result_path = scratch("other"),
                                              .identity = identity_of("name: a SMALL sweep\n")},
                       THRESHOLDS, LAYERS, &j));
  for (int i = 0; i < MEMBERS; i++) esc_assert_ok(append(j, i));
  esc_journal_close(j, false);
  char *other = scratch_read(scratch("other.journal"), &other_size);
  assert_int_equal(other_size, size);
  memcpy(bytes + START + record_size(), other + START + record_size(), record_size());
  scratch_write(journal(), bytes, size);
  assert_int_equal(survivors(), ((1u << MEMBERS) - 1) & ~2u);
  free(bytes);
  free(other);
}

/* ---- what another program does to a journal that is written ---- */

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
      CASE(a_journal_cut_at_any_byte_keeps_its_whole_records_and_goes_on),
      CASE(a_flipped_bit_anywhere_costs_no_more_than_its_own_record),
      CASE(damage_of_any_length_keeps_the_records_that_it_leaves_whole),
      CASE(bytes_that_slipped_in_or_out_cost_one_record),
      CASE(a_start_whose_copy_is_damaged_too_is_refused_and_left_alone),
      CASE(a_file_made_of_overlapping_parts_is_not_read_for_ever),
      CASE(a_journal_removed_while_it_is_written_is_written_anew_whole),
      CASE(only_what_a_sync_has_confirmed_is_called_safe),
      CASE(a_write_and_a_sync_that_fail_leave_what_was_confirmed),
      CASE(what_reading_again_does_not_find_is_not_called_safe),
      CASE(added_records_are_in_the_file_after_a_flush_a_sync_or_a_close),
      CASE(a_file_system_without_locks_is_told_in_one_line_and_used),
      CASE(a_journal_emptied_while_it_is_written_is_not_called_safe),
      CASE(a_stranger_s_file_in_the_journal_s_place_stays_and_the_records_go_beside_it),
      CASE(a_journal_that_is_a_link_is_refused_and_its_target_untouched),
      CASE(a_journal_of_another_user_is_refused),
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
