/* SPDX-License-Identifier: Apache-2.0 */
/* Collections of texts (global heaps) of HDF5 images, without HDF5. */
#include <string.h>

#include "scratch.h"
#include "store/hdf5_heap.h"

enum { START = 96, HEADER = 16, SIZE = 4096, IMAGE = START + SIZE, LENGTHS = 14 };

static void put(char *bytes, size_t offset, uint64_t number) {
  memcpy(bytes + offset, &number, sizeof number);
}

/* A superblock of version 0 whose lengths have 8 bytes, and a collection with a text of 13 bytes at
 * its start and free space behind it. */
static void make(char bytes[IMAGE]) {
  memset(bytes, 0, IMAGE);
  bytes[LENGTHS] = 8;
  memcpy(bytes + START, "GCOL\1", 5);
  put(bytes, START + 8, SIZE);
  bytes[START + HEADER] = 1;
  put(bytes, START + HEADER + 8, 13);
  put(bytes, START + 3 * HEADER + 8, SIZE - 3 * HEADER);
}

static esc_status check_with(size_t offset, uint64_t number) {
  char bytes[IMAGE];
  make(bytes);
  if (offset) put(bytes, offset, number);
  return esc_hdf5_heap_check("a.h5", bytes, IMAGE);
}

static const size_t text_size = START + HEADER + 8, free_size = START + 3 * HEADER + 8;

static void a_collection_as_hdf5_writes_it_is_taken(void **state) {
  (void)state;
  esc_assert_ok(check_with(0, 0));
}

static void an_object_that_ends_before_or_behind_its_collection_is_refused(void **state) {
  const uint64_t past = UINT64_MAX - HEADER + 1; /* with its header: 0 bytes */
  (void)state;
  assert_int_equal(check_with(free_size, 0), ESC_BAD_INPUT);
  assert_message_names("a.h5", "global heap collection at byte 96 has an object of invalid size",
                       NULL);
  assert_int_equal(check_with(text_size, past), ESC_BAD_INPUT);
  assert_int_equal(check_with(text_size, UINT64_MAX), ESC_BAD_INPUT);
  assert_int_equal(check_with(text_size, SIZE - 2 * HEADER + 1), ESC_BAD_INPUT);
}

/* A collection each 32 bytes, whose objects cover the headers of those behind it: the walks have
 * n^2 / 2 steps. */
static void walks_over_overlapping_collections_have_a_limit(void **state) {
  enum { PERIOD = 2 * HEADER, END = START + SIZE };
  char bytes[IMAGE];
  (void)state;
  make(bytes);
  for (size_t offset = START; offset < END; offset += PERIOD) {
    memcpy(bytes + offset, "GCOL\1", 5);
    put(bytes, offset + 8, END - offset);
    put(bytes, offset + HEADER, 1);
    put(bytes, offset + HEADER + 8, offset + PERIOD < END ? HEADER : 0);
  }
  assert_int_equal(esc_hdf5_heap_check("a.h5", bytes, IMAGE), ESC_BAD_INPUT);
  assert_message_names("a.h5", "overlaps others", NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_collection_as_hdf5_writes_it_is_taken),
      CASE(an_object_that_ends_before_or_behind_its_collection_is_refused),
      CASE(walks_over_overlapping_collections_have_a_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
