/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a journal, damaged or not. */
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/file_kind.h"
#include "base/io.h"
#include "store/journal_format.h"

enum { READ_BYTES = 1 << 16, WORK_FACTOR = 8, WORK_MIN = 1 << 26 };

static const char journal_magic[8] = ESC_JOURNAL_MAGIC;

/* ---- bytes of the file ---- */

/* *bytes: the `size` bytes at `offset`, followed by at least one writable byte; NULL if the file
 * ends before. Valid until the next call. */
static esc_status read_window(esc_journal *j, off_t offset, size_t size, char **bytes) {
  esc_status status = ESC_OK;
  *bytes = NULL;
  if (offset > j->size || (off_t)size > j->size - offset) return ESC_OK;
  const bool here = offset >= j->window && offset + (off_t)size <= j->window + (off_t)j->filled;
  if (!here) {
    size_t more = size > READ_BYTES ? size : READ_BYTES;
    if ((off_t)more > j->size - offset) more = (size_t)(j->size - offset);
    j->filled = 0;
    ESC_TRY(esc_journal_reserve(j, more + 1));
    ESC_TRY(esc_io_read_at(j->fd, j->path, j->buffer, more, (size_t)offset));
    j->window = offset;
    j->filled = more;
    j->scanned_bytes += (off_t)more;
  }
  *bytes = j->buffer + (offset - j->window);
done:
  return status;
}

/* Discards the buffer: it was overwritten, or the file has grown. */
static esc_status begin_reading(esc_journal *j) {
  struct stat info;
  if (fstat(j->fd, &info) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot read the journal: %s", j->path, strerror(errno));
  j->size = info.st_size;
  j->filled = 0;
  j->scanned_bytes = 0;
  return ESC_OK;
}

/* ---- one entry ---- */

typedef enum entry_state {
  NO_ENTRY,     /* no valid entry header */
  TRUNCATED,    /* a valid header, but the file ends within the entry */
  BAD_CHECKSUM, /* wrong checksum */
  VALID
} entry_state;

static size_t entry_bytes(const esc_journal_entry_header *p) {
  return sizeof *p + p->size + sizeof(uint64_t);
}

static bool is_entry_header(const esc_journal *j, const char *bytes,
                            esc_journal_entry_header *out) {
  memcpy(out, bytes, sizeof *out);
  return out->magic == ESC_JOURNAL_ENTRY_MAGIC && out->size <= ESC_JOURNAL_PAYLOAD_MAX &&
         out->checksum ==
             esc_journal_entry_header_checksum(out, esc_journal_checksum_seed(j, out->kind));
}

/* Reads the entry at `offset`; *payload of a valid entry is valid until the next one is read. */
static esc_status read_entry(esc_journal *j, off_t offset, esc_journal_entry_header *p,
                             char **payload, entry_state *out) {
  esc_status status = ESC_OK;
  char *bytes;
  uint64_t checksum;
  *out = NO_ENTRY;
  ESC_TRY(read_window(j, offset, sizeof *p, &bytes));
  if (!bytes || !is_entry_header(j, bytes, p)) return ESC_OK;
  *out = TRUNCATED;
  ESC_TRY(read_window(j, offset, entry_bytes(p), &bytes));
  if (!bytes) return ESC_OK;
  memcpy(&checksum, bytes + sizeof *p + p->size, sizeof checksum);
  const uint64_t seed = esc_journal_checksum_seed(j, p->kind);
  *out = checksum == esc_journal_entry_checksum(bytes, sizeof *p + p->size, seed) ? VALID
                                                                                  : BAD_CHECKSUM;
  *payload = bytes + sizeof *p;
  j->scanned_bytes += (off_t)entry_bytes(p);
done:
  return status;
}

/* Offset of the next valid entry header at or after `offset`, or the file's size. */
static esc_status find_entry_header(esc_journal *j, off_t *offset) {
  esc_status status = ESC_OK;
  static const uint32_t magic = ESC_JOURNAL_ENTRY_MAGIC;
  char *bytes;
  for (esc_journal_entry_header p; *offset + (off_t)ESC_JOURNAL_ENTRY_MIN <= j->size;) {
    ESC_TRY(read_window(j, *offset, sizeof p, &bytes));
    if (!bytes) break;
    const size_t here = (size_t)(j->window + (off_t)j->filled - *offset);
    const char *found = memmem(bytes, here, &magic, sizeof magic);
    const size_t before = found ? (size_t)(found - bytes) : here - (sizeof p - 1);
    if (found && before + sizeof p <= here && is_entry_header(j, found, &p)) {
      *offset += (off_t)before;
      return ESC_OK;
    }
    /* A header that ends beyond the buffer is examined again with the following bytes. */
    *offset += (off_t)(found && before + sizeof p <= here ? before + 1 : before ? before : 1);
  }
  *offset = j->size;
done:
  return status;
}

/* Finds the next valid entry after `offset`. The search is bounded, because a malicious file can
 * have many overlapping headers; the rest of the file then counts as damaged. */
static esc_status find_entry(esc_journal *j, off_t *offset) {
  esc_status status = ESC_OK;
  const off_t most = WORK_FACTOR * j->size + WORK_MIN;
  esc_journal_entry_header p;
  char *payload;
  entry_state v = NO_ENTRY;
  while (*offset < j->size && v != VALID) {
    ++*offset;
    ESC_TRY(find_entry_header(j, offset));
    if (j->scanned_bytes > most) *offset = j->size;
    if (*offset < j->size) ESC_TRY(read_entry(j, *offset, &p, &payload, &v));
  }
done:
  return status;
}

/* ---- contents of entries ---- */

/* Parses the payload of an identity; false if it is too short. */
static bool parse_identity(char *payload, size_t size, esc_identity *out) {
  if (size < sizeof out->members) return false;
  memcpy(&out->members, payload, sizeof out->members);
  memmove(payload, payload + sizeof out->members, size - sizeof out->members);
  payload[size - sizeof out->members] = 0; /* the bytes before it have moved */
  out->text = payload;
  return true;
}

/* Passes an identity to the reader; the payload is overwritten. */
static esc_status check_identity(esc_journal *j, char *payload, size_t size) {
  esc_identity found;
  const uint64_t hash = XXH3_64bits(payload, size);
  const bool same =
      j->identity && size == j->identity_size && memcmp(payload, j->identity, size) == 0;
  j->last_identity = hash;
  if (!parse_identity(payload, size, &found))
    return ESC_FAIL(ESC_BAD_INPUT, "%s: damaged: an identity without a number of members", j->path);
  if (j->reader && j->reader->identity)
    return j->reader->identity(j->reader->context, j->path, found);
  if (same || !j->identity) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: the journal belongs to another spec, shard or precision; choose another "
                  "output with -o, or start over with --force",
                  j->path);
}

/* Moves the payload down to an aligned address, over the entry's header, because a row is read as a
 * structure. */
static const char *align_payload(char *payload, size_t size) {
  char *const aligned = payload - (uintptr_t)payload % alignof(esc_journal_snapshot);
  _Static_assert(alignof(esc_journal_snapshot) <= sizeof(esc_journal_entry_header),
                 "over the head only");
  return memmove(aligned, payload, size);
}

/* Passes one entry to the reader. Unknown kinds are skipped. */
static esc_status visit_entry(esc_journal *j, const esc_journal_entry_header *p, char *payload) {
  const esc_journal_reader *reader = j->reader;
  esc_member_key key;
  switch (p->kind) {
    case ESC_ENTRY_RECORD:
      if (p->size != sizeof key + j->header.row_size) return ESC_OK;
      j->records++;
      memcpy(&key, payload, sizeof key);
      if (reader && reader->row)
        reader->row(reader->context, key, align_payload(payload, p->size) + sizeof key);
      return ESC_OK;
    case ESC_ENTRY_IDENTITY: return check_identity(j, payload, p->size);
    case ESC_ENTRY_SEGMENT_BEGIN:
    case ESC_ENTRY_SEGMENT:
      j->segment_updates += p->kind == ESC_ENTRY_SEGMENT;
      payload[p->size] = 0; /* overwrites the checksum, which has been verified */
      if (reader && reader->segment)
        reader->segment(reader->context, payload, p->kind == ESC_ENTRY_SEGMENT_BEGIN);
      return ESC_OK;
    case ESC_ENTRY_HEADER_COPY: j->has_header_copy = true; return ESC_OK;
    default: return ESC_OK;
  }
}

/* ---- all entries ---- */

static esc_status add_damaged_region(esc_journal *j, off_t from, off_t to) {
  if ((j->damaged_regions & (j->damaged_regions - 1)) == 0) {
    const size_t capacity = j->damaged_regions ? 2 * (size_t)j->damaged_regions : 1;
    esc_journal_region *grown = realloc(j->damaged_region, capacity * sizeof *grown);
    if (!grown) return ESC_FAIL(ESC_NO_MEMORY, "%s: out of memory (its damages)", j->path);
    j->damaged_region = grown;
  }
  j->damaged_region[j->damaged_regions++] = (esc_journal_region){from, to - from};
  return ESC_OK;
}

off_t esc_journal_damaged_bytes(const esc_journal *j) {
  off_t bytes = 0;
  for (int64_t i = 0; i < j->damaged_regions; i++) bytes += j->damaged_region[i].size;
  return bytes;
}

/* Whether this region, too short for an entry, was overwritten with pad bytes by an earlier repair.
 */
static esc_status is_padding(esc_journal *j, off_t from, off_t to, bool *out) {
  char *bytes;
  *out = false;
  if (to - from >= (off_t)ESC_JOURNAL_ENTRY_MIN) return ESC_OK;
  const esc_status status = read_window(j, from, (size_t)(to - from), &bytes);
  if (status != ESC_OK || !bytes) return status;
  *out = true;
  for (off_t i = 0; i < to - from; i++) *out = *out && bytes[i] == ESC_JOURNAL_PAD_BYTE;
  return ESC_OK;
}

/* Whether the invalid rest of the file from `offset` is what a crash leaves: an incomplete entry,
 * or after a power loss zeros that did not reach the disk. */
static esc_status is_torn(esc_journal *j, off_t offset, entry_state here, bool *out) {
  esc_status status = ESC_OK;
  char *bytes;
  const size_t least = sizeof(uint64_t);
  *out = here == TRUNCATED || j->size - offset < (off_t)sizeof(esc_journal_entry_header);
  if (*out) return ESC_OK;
  ESC_TRY(read_window(j, j->size - (off_t)least, least, &bytes));
  *out = true;
  for (size_t i = 0; bytes && i < least; i++) *out = *out && bytes[i] == 0;
done:
  return status;
}

/* Skips invalid bytes at `offset` up to the next valid entry. */
static esc_status skip_damage(esc_journal *j, entry_state here, off_t *offset) {
  esc_status status = ESC_OK;
  const off_t from = *offset;
  bool harmless;
  ESC_TRY(find_entry(j, offset));
  if (*offset == j->size)
    ESC_TRY(is_torn(j, from, here, &harmless));
  else
    ESC_TRY(is_padding(j, from, *offset, &harmless));
  if (!harmless) ESC_TRY(add_damaged_region(j, from, *offset));
done:
  return status;
}

esc_status esc_journal_read_entries(esc_journal *j) {
  esc_status status = ESC_OK;
  esc_journal_entry_header p;
  entry_state v;
  char *payload;
  off_t offset = j->end;
  while (offset < j->size) {
    ESC_TRY(read_entry(j, offset, &p, &payload, &v));
    if (v == VALID) {
      ESC_TRY(visit_entry(j, &p, payload));
      offset += (off_t)entry_bytes(&p);
      j->end = offset;
    } else {
      ESC_TRY(skip_damage(j, v, &offset));
    }
  }
done:
  return status;
}

/* ---- the header ---- */

static esc_status refuse_header(const esc_journal *j, const esc_journal_header *found) {
  if (memcmp(found->magic, journal_magic, sizeof journal_magic) != 0)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: is not a journal of escapement; move it away, choose another output with "
                    "-o, or overwrite it with --force",
                    j->path);
  if (found->checksum != esc_journal_header_checksum(found) ||
      found->version == ESC_JOURNAL_VERSION)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: the journal's header is damaged, and the file has no intact copy of it; "
                    "start over with --force",
                    j->path);
  return ESC_FAIL(
      ESC_BAD_INPUT,
      "%s: the journal was written by another version of this program (format %u, this one reads "
      "%d); continue with that one, choose another output with -o, or start over with --force",
      j->path, found->version, ESC_JOURNAL_VERSION);
}

static bool is_header(const esc_journal_header *found) {
  return !memcmp(found->magic, journal_magic, sizeof journal_magic) &&
         found->checksum == esc_journal_header_checksum(found) &&
         found->version == ESC_JOURNAL_VERSION && found->identity_size <= ESC_JOURNAL_PAYLOAD_MAX;
}

static bool has_other_version(const esc_journal_header *found) {
  return !memcmp(found->magic, journal_magic, sizeof journal_magic) &&
         found->checksum == esc_journal_header_checksum(found) &&
         found->version != ESC_JOURNAL_VERSION;
}

/* Size of a file that has only its header and the header copy. */
static off_t header_bytes_with_copy(size_t identity_size) {
  return (off_t)(2 * (sizeof(esc_journal_header) + identity_size) + ESC_JOURNAL_ENTRY_MIN);
}

/* Finds the header copy if the header is damaged: *header, zeros if there is none, and its identity
 * in *payload. */
static esc_status find_header_copy(esc_journal *j, esc_journal_header *header, char **payload) {
  esc_status status = ESC_OK;
  esc_journal_entry_header p;
  entry_state v;
  off_t offset = 0;
  for (;;) {
    ESC_TRY(find_entry(j, &offset));
    if (offset >= j->size) break;
    ESC_TRY(read_entry(j, offset, &p, payload, &v));
    if (p.kind != ESC_ENTRY_HEADER_COPY || p.size < sizeof *header) continue;
    memcpy(header, *payload, sizeof *header);
    *payload += sizeof *header;
    if (is_header(header) && header->identity_size == p.size - sizeof *header) return ESC_OK;
  }
  *header = (esc_journal_header){.version = 0};
done:
  return status;
}

/* *payload: the first identity if it is intact, else NULL. */
static esc_status read_identity(esc_journal *j, const esc_journal_header *h, char **payload) {
  const esc_status status = read_window(j, sizeof *h, h->identity_size, payload);
  if (status == ESC_OK && *payload && XXH3_64bits(*payload, h->identity_size) != h->identity)
    *payload = NULL;
  return status;
}

/* Whether a run died while it wrote the header: the file ends within it, or in zeros, because after
 * a power loss a file can be longer than its written bytes. */
static esc_status is_unfinished(esc_journal *j, const esc_journal_header *found, bool *out) {
  esc_status status = ESC_OK;
  char *last;
  const bool whole = is_header(found);
  const size_t identity = whole ? found->identity_size : j->identity_size;
  static const esc_journal_header zeros;
  ESC_TRY(read_window(j, j->size - 1, 1, &last));
  const bool ends_in_zeros = j->size == 0 || (last && *last == 0);
  *out = (whole && j->size < (off_t)(sizeof *found + identity)) ||
         (ends_in_zeros && j->size <= header_bytes_with_copy(identity) &&
          (whole || memcmp(found, &zeros, sizeof zeros) == 0));
done:
  return status;
}

/* A file shorter than a header is a journal that was being started, or another program's file. */
static esc_status check_short_file(esc_journal *j, bool *is_new) {
  esc_journal_header found = {.version = 0};
  const esc_journal_header zeros = {.version = 0};
  const size_t size = (size_t)j->size, fixed = offsetof(esc_journal_header, identity_size);
  const esc_status status = esc_io_read_at(j->fd, j->path, &found, size, 0);
  if (status != ESC_OK) return status;
  *is_new = memcmp(&found, &j->header, size < fixed ? size : fixed) == 0 ||
            memcmp(&found, &zeros, size) == 0;
  return *is_new ? ESC_OK : refuse_header(j, &found);
}

/* Reads the header, or its copy if damaged: *header, and its identity in *payload. */
static esc_status read_header_and_identity(esc_journal *j, esc_journal_header *header,
                                           char **payload, bool *is_new) {
  esc_status status = ESC_OK;
  esc_journal_header found;
  ESC_TRY(esc_io_read_at(j->fd, j->path, &found, sizeof found, 0));
  if (has_other_version(&found)) return refuse_header(j, &found);
  *payload = NULL;
  *header = found;
  if (is_header(&found)) ESC_TRY(read_identity(j, &found, payload));
  if (*payload) return ESC_OK;
  ESC_TRY(is_unfinished(j, &found, is_new));
  if (*is_new) return ESC_OK;
  ESC_TRY(find_header_copy(j, header, payload));
  if (header->version == 0) return refuse_header(j, &found);
  j->header_damaged = true;
done:
  return status;
}

esc_status esc_journal_read_header(esc_journal *j, bool *is_new) {
  esc_status status = ESC_OK;
  esc_journal_header found;
  char *payload;
  *is_new = false;
  ESC_TRY(begin_reading(j));
  if (j->size < (off_t)sizeof found) return check_short_file(j, is_new);
  ESC_TRY(read_header_and_identity(j, &found, &payload, is_new));
  if (*is_new) return ESC_OK;
  ESC_TRY_ALLOCATE(j->first_identity = malloc(found.identity_size + 1));
  memcpy(j->first_identity, payload, found.identity_size);
  ESC_TRY(check_identity(j, payload, found.identity_size));
  if (j->identity && (found.thresholds != j->header.thresholds || found.layers != j->header.layers))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: the journal belongs to another spec; choose another output with -o, or "
                    "start over with --force",
                    j->path);
  if (j->identity && (found.schema != j->header.schema || found.row_size != j->header.row_size))
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "%s: the journal was written by another version of this program, with other variables; "
        "continue with that one, choose another output with -o, or start over with --force",
        j->path);
  j->filled = 0;     /* overwritten */
  j->header = found; /* seeds the parts' checksums */
  j->end = (off_t)(sizeof found + found.identity_size);
  if (j->end > j->size) j->end = j->size;
  if (j->header_damaged) ESC_TRY(add_damaged_region(j, 0, j->end));
done:
  return status;
}

/* ---- journals of any run ---- */

/* Whether another process holds the lock. */
static bool is_locked(int fd) {
  if (flock(fd, LOCK_SH | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  flock(fd, LOCK_UN);
  return false;
}

/* Wraps the caller's reader and records the members of the newest identity. */
typedef struct summary_reader {
  const esc_journal_reader *reader;
  esc_journal *journal;
  esc_journal_summary *out;
} summary_reader;

static esc_status read_summary_identity(void *context, const char *path, esc_identity found) {
  const summary_reader *s = context;
  s->out->members = found.members;
  const bool asked = s->reader && s->reader->identity;
  return asked ? s->reader->identity(s->reader->context, path, found) : ESC_OK;
}

static void read_summary_segment(void *context, const char *text, bool begins) {
  const summary_reader *s = context;
  if (s->reader && s->reader->segment) s->reader->segment(s->reader->context, text, begins);
}

static void read_summary_row(void *context, esc_member_key member, const void *row) {
  const summary_reader *s = context;
  const uint64_t schema = s->journal->header.schema;
  const bool readable = schema == esc_journal_schema_hash(false) ||
                        schema == esc_journal_schema_hash(true) ||
                        schema == esc_journal_weights_hash();
  if (readable && s->reader && s->reader->row) s->reader->row(s->reader->context, member, row);
}

esc_status esc_journal_read(const char *path, const esc_journal_reader *reader,
                            esc_journal_summary *out) {
  esc_status status = ESC_OK;
  esc_journal *j = NULL;
  bool is_new = false;
  size_t size;
  *out = (esc_journal_summary){.thresholds = 0};
  ESC_TRY(esc_journal_allocate(path, "", "finished members", &j));
  summary_reader s = {reader, j, out};
  const esc_journal_reader all = {&s, read_summary_identity, read_summary_segment, read_summary_row,
                                  NULL};
  ESC_TRY(esc_io_open(path, &j->fd, &size));
  j->reader = &all;
  if (size < sizeof j->header) {
    status = refuse_header(j, &j->header);
    goto done;
  }
  ESC_TRY(esc_journal_read_header(j, &is_new));
  const esc_journal_header *h = &j->header;
  if (!is_new) ESC_TRY(esc_journal_read_entries(j));
  out->thresholds = h->thresholds;
  out->layers = h->layers;
  out->weights = h->schema == esc_journal_weights_hash();
  out->snapshots = !out->weights &&
                   (h->schema == esc_journal_schema_hash(true) || (!is_new && h->thresholds == 0));
  out->readable = out->weights || h->schema == esc_journal_schema_hash(out->snapshots);
  out->records = j->records;
  out->damaged_regions = j->damaged_regions;
  out->damaged_bytes = esc_journal_damaged_bytes(j);
  out->first_damaged_offset = j->damaged_regions ? j->damaged_region[0].offset : 0;
  out->locked = is_locked(j->fd);
done:
  esc_journal_free(j);
  return status;
}
