/* SPDX-License-Identifier: Apache-2.0 */
/* A damaged journal costs the damaged records, says which, and goes on. */
#include <xxhash.h>

#include "journal_case.h"

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

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_journal_cut_at_any_byte_keeps_its_whole_records_and_goes_on),
      CASE(a_flipped_bit_anywhere_costs_no_more_than_its_own_record),
      CASE(damage_of_any_length_keeps_the_records_that_it_leaves_whole),
      CASE(bytes_that_slipped_in_or_out_cost_one_record),
      CASE(a_start_whose_copy_is_damaged_too_is_refused_and_left_alone),
      CASE(a_file_made_of_overlapping_parts_is_not_read_for_ever),
      CASE(records_of_another_journal_are_not_taken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
