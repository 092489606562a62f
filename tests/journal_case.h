/* SPDX-License-Identifier: Apache-2.0 */
/* Common parts of the tests of the journal: a small sweep's journal in the scratch directory, what
 * is appended to it and what it gives back. */
#ifndef ESC_JOURNAL_CASE_H
#define ESC_JOURNAL_CASE_H

#include "scratch.h"
#include "store/journal.h"

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

static inline size_t row_size(void) { return esc_results_row_size(THRESHOLDS, LAYERS); }
static inline size_t record_size(void) { return PART + 24 + row_size(); }
static inline const char *output(void) { return scratch("out.h5"); }
static inline const char *journal(void) { return scratch("out.h5.journal"); }

static inline esc_member_key key_of(int i) {
  return (esc_member_key){1000000000000 + 7 * (uint64_t)i, 7, 0.25};
}

/* Row i: bytes that no other row has, patterns of NaN among them. */
static inline void make_row(int i, char *row) {
  for (size_t k = 0; k < row_size(); k++) row[k] = (char)(i * 31 + (int)k * 5);
  memset(row + 8, 0xff, 8);
}

/* What a journal gave back; `wrong` counts records that were never appended there, or not at
 * an address from which a structure can be read. */
typedef struct visited {
  int count, wrong;
} visited;

static inline void visit(void *context, esc_member_key member, const void *row) {
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

static inline esc_identity identity_of(const char *text) { return (esc_identity){text, MEMBERS}; }

static inline esc_status open_as(bool resume, bool discard, visited *v, esc_journal **j) {
  const esc_journal_reader reader = {.context = v, .row = visit};
  *v = (visited){0, 0};
  return esc_journal_open(&(esc_journal_request){.result_path = output(),
                                                 .identity = identity_of(spec),
                                                 .resume = resume,
                                                 .discard = discard,
                                                 .reader = &reader},
                          THRESHOLDS, LAYERS, j);
}

static inline esc_status append_row(esc_journal *j, esc_member_key member, const void *row) {
  const esc_status status = esc_journal_add(j, member, row);
  return status == ESC_OK ? esc_journal_flush(j) : status;
}

static inline esc_status append(esc_journal *j, int i) {
  char *row = malloc(row_size());
  assert_non_null(row);
  make_row(i, row);
  const esc_status status = append_row(j, key_of(i), row);
  free(row);
  return status;
}

/* Leaves a journal with `members` records behind. */
static inline void make_journal(int members) {
  visited v;
  esc_journal *j;
  esc_assert_ok(open_as(false, false, &v, &j));
  for (int i = 0; i < members; i++) esc_assert_ok(append(j, i));
  esc_assert_ok(esc_journal_sync(j));
  esc_journal_close(j, false);
}

/* Resuming gives back just the first `members` records. */
static inline void assert_holds(int members) {
  visited v;
  esc_journal *j;
  esc_assert_ok(open_as(true, false, &v, &j));
  esc_journal_close(j, false);
  assert_int_equal(v.count, members);
  assert_int_equal(v.wrong, 0);
}

/* What is kept of a damaged journal: bit i for record i; the last warning. */
static unsigned kept;
static char warning[2048];

static inline void keep_row(void *context, esc_member_key member, const void *row) {
  char *want = malloc(row_size());
  const int i = (int)((member.seed - 1000000000000) / 7);
  assert_non_null(want);
  make_row(i, want);
  *(int *)context += memcmp(row, want, row_size()) != 0;
  kept |= 1u << i;
  free(want);
}

__attribute__((format(printf, 1, 2))) static inline void keep_warning(const char *format, ...) {
  va_list more;
  va_start(more, format);
  vsnprintf(warning, sizeof warning, format, more);
  va_end(more);
}

/* Resumes and closes; which records came back, all of them right. */
static inline unsigned survivors(void) {
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

#endif
