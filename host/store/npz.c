/* SPDX-License-Identifier: Apache-2.0 */
#include "store/npz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/io.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays are copied byte by byte");

enum {
  END_BYTES = 22,   /* of the end of the central directory, without a comment */
  ENTRY_BYTES = 46, /* of an entry of the directory, without its name */
  LOCAL_BYTES = 30, /* of the header before a member's bytes */
  COMMENT_MAX = 65535,
};
static const size_t file_bytes_max = 0xFFFFFFFE; /* beyond, zip has another layout */

struct esc_npz {
  const char *path; /* in messages; borrowed */
  char *bytes;      /* owned */
  size_t size, directory;
  int members;
};

/* A member of the archive: its stored bytes. */
typedef struct member {
  size_t offset, size;
  uint32_t crc;
  int method;
  bool encrypted;
} member;

static uint32_t get(const char *bytes, int count) {
  uint32_t value = 0;
  for (int i = count - 1; i >= 0; i--) value = value << 8 | (unsigned char)bytes[i];
  return value;
}

static esc_status refuse(const esc_npz *z, const char *what) {
  return ESC_FAIL(ESC_BAD_INPUT, "%s: %s; allowed: an .npz file of numpy.savez", z->path, what);
}

static uint32_t compute_crc(const char *bytes, size_t size) {
  uint32_t crc = 0xFFFFFFFF;
  for (size_t i = 0; i < size; i++) {
    crc ^= (unsigned char)bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

/* ---- the archive ---- */

/* The directory's end is the last record of the file, before a comment. */
static esc_status find_directory(esc_npz *z) {
  static const char end_mark[] = "PK\5\6";
  const size_t last = z->size < END_BYTES ? 0 : z->size - END_BYTES;
  if (z->size < END_BYTES || memcmp(z->bytes, "PK\3\4", 4) != 0)
    return refuse(z, "is not a zip archive with members");
  for (size_t at = last; at + COMMENT_MAX >= last; at--) {
    const char *end = z->bytes + at;
    if (memcmp(end, end_mark, 4) == 0 && at + END_BYTES + get(end + 20, 2) == z->size) {
      z->members = (int)get(end + 10, 2);
      z->directory = get(end + 16, 4);
      return z->directory <= at ? ESC_OK : refuse(z, "damaged: its directory is outside of it");
    }
    if (at == 0) break;
  }
  return refuse(z, "truncated: it has no directory at its end");
}

esc_status esc_npz_open(const char *path, esc_npz **out) {
  esc_status status = ESC_OK;
  esc_npz *z = calloc(1, sizeof *z);
  ESC_TRY_ALLOCATE(z);
  z->path = path;
  ESC_TRY(esc_io_read_plain(path, file_bytes_max, &z->bytes, &z->size));
  ESC_TRY(find_directory(z));
  *out = z;
  z = NULL;
done:
  esc_npz_close(z);
  return status;
}

void esc_npz_close(esc_npz *z) {
  if (!z) return;
  free(z->bytes);
  free(z);
}

/* Reads the directory's entry at *at and moves on to the next: its name and member. */
static bool read_entry(const esc_npz *z, size_t *at, const char **name, size_t *length,
                       member *out) {
  const char *entry = z->bytes + *at;
  if (*at > z->size || z->size - *at < ENTRY_BYTES || memcmp(entry, "PK\1\2", 4) != 0) return false;
  *name = entry + ENTRY_BYTES;
  *length = get(entry + 28, 2);
  *out = (member){.offset = get(entry + 42, 4),
                  .size = get(entry + 20, 4),
                  .crc = get(entry + 16, 4),
                  .method = (int)get(entry + 10, 2),
                  .encrypted = get(entry + 8, 2) & 1};
  *at += ENTRY_BYTES + *length + get(entry + 30, 2) + get(entry + 32, 2);
  return *at <= z->size;
}

/* Moves m->offset from the member's header to its bytes, and checks them. */
static esc_status check_member(const esc_npz *z, const char *name, member *m) {
  char what[160];
  snprintf(what, sizeof what, "%.60s is damaged", name);
  if (m->method != 0 || m->encrypted) {
    snprintf(what, sizeof what, "%.60s is compressed or encrypted (numpy.savez_compressed?)", name);
    return refuse(z, what);
  }
  if (m->offset > z->size || z->size - m->offset < LOCAL_BYTES ||
      memcmp(z->bytes + m->offset, "PK\3\4", 4) != 0)
    return refuse(z, what);
  const char *local = z->bytes + m->offset;
  m->offset += LOCAL_BYTES + get(local + 26, 2) + get(local + 28, 2);
  if (m->offset > z->size || z->size - m->offset < m->size ||
      compute_crc(z->bytes + m->offset, m->size) != m->crc)
    return refuse(z, what);
  return ESC_OK;
}

static esc_status find_member(const esc_npz *z, const char *array, member *out, bool *found) {
  char wanted[80];
  const char *name;
  size_t at = z->directory, length;
  snprintf(wanted, sizeof wanted, "%s.npy", array);
  *found = false;
  for (int i = 0; i < z->members; i++) {
    if (!read_entry(z, &at, &name, &length, out)) return refuse(z, "damaged: its directory");
    *found = length == strlen(wanted) && memcmp(name, wanted, length) == 0;
    if (*found) return check_member(z, array, out);
  }
  return ESC_OK;
}

/* ---- an array ---- */

static bool parse_type(const char *text, esc_type *type) {
  static const struct {
    const char *text;
    esc_type type;
  } types[] = {{"<i4", ESC_TYPE_INT32},
               {"<i8", ESC_TYPE_INT64},
               {"<f4", ESC_TYPE_FLOAT32},
               {"<f8", ESC_TYPE_FLOAT64}};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    if (!strcmp(text, types[i].text)) {
      *type = types[i].type;
      return true;
    }
  return false;
}

/* "3, 8, 6" or "3," or "". */
static bool parse_lengths(const char *text, esc_npz_array *a) {
  for (a->rank = 0; *text; a->rank++) {
    int used = 0;
    long long length = -1;
    if (a->rank == ESC_RANK_MAX || *text < '0' || *text > '9' ||
        sscanf(text, "%18lld%n", &length, &used) != 1)
      return false;
    a->length[a->rank] = length;
    text += used;
    if (*text == ',') text++;
    if (*text == ' ') text++;
  }
  return true;
}

/* The header's text: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 8, 6), } */
static esc_status parse_header(const esc_npz *z, const char *name, const char *text,
                               esc_npz_array *a) {
  char descr[16], order[8], shape[80] = "", what[200];
  const char *fault = NULL;
  const int fields =
      sscanf(text, "{'descr': '%15[^']', 'fortran_order': %7[A-Za-z], 'shape': (%79[0-9, ]", descr,
             order, shape);
  if (fields < 2)
    fault = "has a header that NumPy does not write";
  else if (!parse_type(descr, &a->type))
    fault = "has another type; allowed: <i4, <i8, <f4, <f8";
  else if (strcmp(order, "False") != 0)
    fault = "is in Fortran's order; allowed: numpy.ascontiguousarray of it";
  else if (!parse_lengths(shape, a))
    fault = "has a shape of too many axes";
  if (!fault) return ESC_OK;
  snprintf(what, sizeof what, "%.60s %s", name, fault);
  return refuse(z, what);
}

/* Parses the array's header and checks the size of its data. */
static esc_status parse_array(const esc_npz *z, const char *name, member m, esc_npz_array *a) {
  esc_status status = ESC_OK;
  char header[1024] = "";
  const char *bytes = z->bytes + m.offset;
  const bool has_magic = m.size >= 12 && memcmp(bytes, "\x93NUMPY", 6) == 0;
  const size_t from = has_magic && bytes[6] == 1 ? 10 : 12;
  const size_t length = has_magic ? get(bytes + 8, from == 10 ? 2 : 4) : 0;
  if (length == 0 || length >= sizeof header || from + length > m.size)
    return refuse(z, "has a member that is not an array of NumPy");
  memcpy(header, bytes + from, length);
  ESC_TRY(parse_header(z, name, header, a));
  double size = a->type == ESC_TYPE_INT32 || a->type == ESC_TYPE_FLOAT32 ? 4 : 8;
  for (int i = 0; i < a->rank; i++) size *= (double)a->length[i];
  if (size != (double)(m.size - from - length))
    return refuse(z, "has an array of another size than its header states");
  a->data = bytes + from + length;
done:
  return status;
}

esc_status esc_npz_find(const esc_npz *z, const char *name, esc_npz_array *out, bool *found) {
  esc_status status = ESC_OK;
  member m = {0};
  *out = (esc_npz_array){.rank = 0};
  ESC_TRY(find_member(z, name, &m, found));
  if (*found) ESC_TRY(parse_array(z, name, m, out));
done:
  return status;
}

int64_t esc_npz_integer(const esc_npz_array *a, int64_t i) {
  int32_t narrow;
  int64_t wide;
  if (a->type == ESC_TYPE_INT32) {
    memcpy(&narrow, a->data + (size_t)i * sizeof narrow, sizeof narrow);
    return narrow;
  }
  memcpy(&wide, a->data + (size_t)i * sizeof wide, sizeof wide);
  return wide;
}

double esc_npz_number(const esc_npz_array *a, int64_t i) {
  float single;
  double value;
  if (a->type == ESC_TYPE_INT32 || a->type == ESC_TYPE_INT64) return (double)esc_npz_integer(a, i);
  if (a->type == ESC_TYPE_FLOAT32) {
    memcpy(&single, a->data + (size_t)i * sizeof single, sizeof single);
    return (double)single;
  }
  memcpy(&value, a->data + (size_t)i * sizeof value, sizeof value);
  return value;
}

void esc_npz_checksum(const esc_npz *z, char text[ESC_CHECKSUM_TEXT_SIZE]) {
  snprintf(text, ESC_CHECKSUM_TEXT_SIZE, "%016llx",
           (unsigned long long)XXH3_64bits(z->bytes, z->size));
}
