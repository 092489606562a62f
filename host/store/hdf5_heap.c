/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hdf5_heap.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char signature[] = "GCOL\1"; /* with the version */

/* The bytes of an image, its "size of lengths", and the number of objects that may still be
 * visited: valid collections do not overlap, and their objects have at least 16 bytes. */
typedef struct image {
  const char *path, *bytes;
  size_t size, length_size, objects_remaining;
} image;

/* Little-endian. */
static uint64_t read_number(const image *m, size_t offset, size_t size) {
  uint64_t number = 0;
  memcpy(&number, m->bytes + offset, size);
  return number;
}

static size_t round_up(size_t size) { return (size + 7) & ~(size_t)7; }

/* "Size of lengths" of the superblock; 0: unsupported. */
static size_t length_size(const char *bytes, size_t size) {
  enum { VERSION = 8, OLD = 14, NEW = 10 };
  if (size <= OLD) return 0;
  const size_t length = (unsigned char)bytes[bytes[VERSION] < 2 ? OLD : NEW];
  return length == 2 || length == 4 || length == 8 ? length : 0;
}

static esc_status refuse(const image *m, size_t offset, const char *why) {
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: damaged or malicious: the HDF5 global heap collection at byte %zu %s",
                  m->path, offset, why);
}

/* Iterates over the objects of the collection at `start` as HDF5 does. */
static esc_status check_collection(image *m, size_t start) {
  enum { BEFORE_SIZE = 8 }; /* signature and version; of an object its index and references */
  const size_t header = round_up(BEFORE_SIZE + m->length_size), rest = m->size - start;
  if (rest < header) return ESC_OK;
  const uint64_t declared = read_number(m, start + BEFORE_SIZE, m->length_size);
  const size_t end = start + (declared < rest ? (size_t)declared : rest);
  for (size_t at = start + header; at + header <= end;) {
    if (m->objects_remaining == 0) return refuse(m, start, "overlaps others");
    m->objects_remaining--;
    const bool is_free = read_number(m, at, 2) == 0; /* index 0, whose size has its header in it */
    const uint64_t size = read_number(m, at + BEFORE_SIZE, m->length_size);
    const size_t header_bytes = is_free ? 0 : header, size_max = end - at - header_bytes;
    if (size > size_max || (is_free && size == 0))
      return refuse(m, start, "has an object of invalid size");
    at += is_free ? (size_t)size : header_bytes + round_up((size_t)size);
  }
  return ESC_OK;
}

esc_status esc_hdf5_heap_check(const char *path, const char *bytes, size_t size) {
  image m = {path, bytes, size, length_size(bytes, size), size / 8};
  const size_t length = sizeof signature - 1;
  for (size_t at = 0; m.length_size > 0;) {
    const char *found = memmem(bytes + at, size - at, signature, length);
    if (!found) break;
    const size_t start = (size_t)(found - bytes);
    const esc_status status = check_collection(&m, start);
    if (status != ESC_OK) return status;
    at = start + length;
  }
  return ESC_OK;
}
