/* The journal of finished members, so that no finished work is done twice.
 *
 * Layout, little-endian:
 *   header    "ESCJRNL" NUL, version (u32), thresholds, layers (2 x u16), bytes of a row,
 *             bytes of the identity (2 x u32), XXH3-64 of the identity, of the table of
 *             variables, of the header so far
 *   identity  members (i64), text: the run that began the journal
 *   parts     kind, bytes of the payload (2 x u32), payload, XXH3-64 of all three, seeded
 *             with the first identity's hash. Payloads: a record is a key (seed, layers:
 *             u64, scale: f64) and a row; an identity as above; a segment its text
 * Parts are only ever appended, so whatever a crash cuts off or a disk spoils, the parts
 * before it are whole. */
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "escapement/observe.h"
#include "store/io.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the journal is written as it lies");

enum {
  JOURNAL_VERSION = 2,
  READ_AT_ONCE = 1 << 16,
  PAYLOAD_MAX = 1 << 26, /* larger than any spec and any row */
};
static const char journal_magic[8] = "ESCJRNL";

typedef struct header {
  char magic[8];
  uint32_t version;
  uint16_t thresholds, layers;
  uint32_t row_size, identity_size;
  uint64_t identity, table;
  uint64_t check; /* of all before it */
} header;

_Static_assert(sizeof(header) == 48, "the header has no padding");

typedef enum part_kind {
  PART_RECORD = 1,
  PART_IDENTITY,
  PART_SEGMENT_BEGIN,
  PART_SEGMENT
} part_kind;

typedef struct part {
  uint32_t kind, size; /* of the payload, which follows with its check behind it */
} part;

_Static_assert(sizeof(part) == 8, "a part's head has no padding");

struct esc_journal {
  char *path;
  const char *what; /* name of its records in messages */
  int fd;
  header header;  /* as this run writes it, and once opened as it is in the file */
  char *identity; /* payload of this run's; NULL: it only reads */
  size_t identity_size;
  char *buffer;                     /* parts being read, or one being written */
  size_t capacity;                  /* of the buffer */
  size_t filled;                    /* bytes read into it */
  const esc_journal_reader *reader; /* while opening */
  uint64_t last_identity;           /* hash of the newest in the file */
  off_t end;                        /* of the whole parts in the file */
  int64_t records;                  /* whole ones in the file */
  int64_t notes;                    /* of segments behind their begin */
  int64_t synced;                   /* records known to be on the disk */
  bool torn;                        /* a failed append could not be undone */
  bool ready;                       /* opened: locked, header written */
  bool empty;                       /* when it was locked: removed again if it cannot be started */
};

/* Tells tables of variables apart: a row means nothing without its table. */
static uint64_t hash_table(void) {
  uint64_t hash = 0;
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    const int kind[2] = {(int)v->type, (int)v->axis};
    hash = XXH3_64bits_withSeed(v->name, strlen(v->name), hash);
    hash = XXH3_64bits_withSeed(kind, sizeof kind, hash);
  }
  return hash;
}

static uint64_t hash_observables(void) {
  uint64_t hash = 1;
  for (int i = 0; i < ESC_OBSERVABLES; i++)
    hash = XXH3_64bits_withSeed(esc_observables[i].name, strlen(esc_observables[i].name), hash);
  return hash;
}

static uint64_t hash_of_header(const header *h) { return XXH3_64bits(h, offsetof(header, check)); }

/* Fills the journal's header and identity. */
static esc_status set_header(esc_journal *j, esc_identity identity, int thresholds, int layers,
                             size_t row_size, uint64_t table) {
  esc_status status = ESC_OK;
  const size_t size = sizeof identity.members + strlen(identity.text);
  ESC_TRY_ALLOCATE(j->identity = malloc(size));
  memcpy(j->identity, &identity.members, sizeof identity.members);
  memcpy(j->identity + sizeof identity.members, identity.text, strlen(identity.text));
  j->header = (header){.version = JOURNAL_VERSION,
                       .thresholds = (uint16_t)thresholds,
                       .layers = (uint16_t)layers,
                       .row_size = (uint32_t)row_size,
                       .identity_size = (uint32_t)size,
                       .identity = XXH3_64bits(j->identity, size),
                       .table = table};
  memcpy(j->header.magic, journal_magic, sizeof journal_magic);
  j->header.check = hash_of_header(&j->header);
  j->last_identity = j->header.identity;
  j->identity_size = size;
done:
  return status;
}

static uint64_t part_check(const esc_journal *j, const char *bytes, size_t size) {
  return XXH3_64bits_withSeed(bytes, size, j->header.identity);
}

/* A file system without locks goes without: then only the user guards. */
static esc_status lock(const esc_journal *j) {
  int result;
  do {
    result = flock(j->fd, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0 || errno != EWOULDBLOCK) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: another run is writing this output; wait for it, or name another with -o",
                  j->path);
}

/* Whether the open file is still the one of that name: a run that just ended
 * may have removed it between our open and our lock. */
static bool is_in_place(const esc_journal *j) {
  struct stat ours, named;
  return fstat(j->fd, &ours) == 0 && stat(j->path, &named) == 0 && ours.st_dev == named.st_dev &&
         ours.st_ino == named.st_ino;
}

static esc_status open_locked(esc_journal *j) {
  struct stat info;
  for (int attempt = 0; attempt < 100; attempt++) {
    j->fd = open(j->path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0666);
    if (j->fd < 0 || fstat(j->fd, &info) != 0)
      return ESC_FAIL(esc_io_status(errno), "%s: cannot open the journal: %s", j->path,
                      strerror(errno));
    if (!S_ISREG(info.st_mode))
      return ESC_FAIL(ESC_BAD_INPUT, "%s: not a plain file, so not a journal", j->path);
    const esc_status status = lock(j);
    if (status != ESC_OK) return status;
    j->empty = fstat(j->fd, &info) == 0 && info.st_size == 0;
    if (is_in_place(j)) return ESC_OK;
    close(j->fd);
    j->fd = -1;
  }
  return ESC_FAIL(ESC_BAD_INPUT, "%s: other runs keep replacing this journal", j->path);
}

/* Empties the file and writes the header. */
static esc_status start(esc_journal *j) {
  esc_status status = ESC_OK;
  j->records = j->synced = j->notes = 0;
  if (ftruncate(j->fd, 0) != 0 || lseek(j->fd, 0, SEEK_SET) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot empty the journal: %s", j->path, strerror(errno));
  ESC_TRY(esc_io_write_all(j->fd, j->path, &j->header, sizeof j->header));
  ESC_TRY(esc_io_write_all(j->fd, j->path, j->identity, j->header.identity_size));
  j->end = (off_t)(sizeof j->header + j->header.identity_size);
  ESC_TRY(esc_journal_sync(j));
  ESC_TRY(esc_io_sync_directory(j->path));
done:
  return status;
}

/* ---- reading ---- */

/* Reads up to `size` bytes at the file's position; fewer only at its end. */
static esc_status read_up_to(const esc_journal *j, void *bytes, size_t size, size_t *got) {
  char *to = bytes;
  for (*got = 0; *got < size;) {
    const ssize_t n = read(j->fd, to + *got, size - *got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return ESC_FAIL(ESC_IO_FAILED, "%s: cannot read the journal: %s", j->path, strerror(errno));
    if (n == 0) break;
    *got += (size_t)n;
  }
  return ESC_OK;
}

static esc_status reserve(esc_journal *j, size_t size) {
  if (size <= j->capacity) return ESC_OK;
  char *grown = realloc(j->buffer, size);
  if (!grown) return ESC_FAIL(ESC_NO_MEMORY, "%s: out of memory (%zu bytes)", j->path, size);
  j->buffer = grown;
  j->capacity = size;
  return ESC_OK;
}

/* Shifts the buffer so that what begins at `from` is in front, and reads more behind it,
 * up to at least `size` bytes unless the file ends before. */
static esc_status refill(esc_journal *j, size_t from, size_t size) {
  esc_status status = ESC_OK;
  size_t got;
  if (j->filled > from) memmove(j->buffer, j->buffer + from, j->filled - from);
  j->filled -= from;
  ESC_TRY(reserve(j, size > READ_AT_ONCE ? size : READ_AT_ONCE));
  ESC_TRY(read_up_to(j, j->buffer + j->filled, j->capacity - j->filled, &got));
  j->filled += got;
done:
  return status;
}

/* Payload of an identity as text with its number of members; false if it is none. */
static bool parse_identity(char *payload, size_t size, esc_identity *out) {
  if (size < sizeof out->members) return false;
  memcpy(&out->members, payload, sizeof out->members);
  memmove(payload, payload + sizeof out->members, size - sizeof out->members);
  payload[size - sizeof out->members] = 0; /* the bytes before it have moved */
  out->text = payload;
  return true;
}

/* Shows the reader an identity; the payload is overwritten. */
static esc_status judge_identity(esc_journal *j, char *payload, size_t size) {
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
                  "%s: the journal belongs to another spec, shard or precision; name another "
                  "output with -o, or start anew with --force",
                  j->path);
}

/* Shows the reader one part. A kind that this version does not know is passed over. */
static esc_status visit_part(esc_journal *j, const part *p, char *payload) {
  const esc_journal_reader *reader = j->reader;
  esc_member_key key;
  switch (p->kind) {
    case PART_RECORD:
      if (p->size != sizeof key + j->header.row_size) return ESC_OK;
      j->records++;
      memcpy(&key, payload, sizeof key);
      if (reader && reader->row) reader->row(reader->context, key, payload + sizeof key);
      return ESC_OK;
    case PART_IDENTITY: return judge_identity(j, payload, p->size);
    case PART_SEGMENT_BEGIN:
    case PART_SEGMENT:
      j->notes += p->kind == PART_SEGMENT;
      payload[p->size] = 0; /* over the check, which has been compared */
      if (reader && reader->segment)
        reader->segment(reader->context, payload, p->kind == PART_SEGMENT_BEGIN);
      return ESC_OK;
    default: return ESC_OK;
  }
}

/* Visits the parts behind the header, up to the first that is not whole. */
static esc_status visit_parts(esc_journal *j) {
  esc_status status = ESC_OK;
  size_t from = 0;
  uint64_t check;
  part p;
  for (j->filled = 0;;) {
    if (j->filled < from + sizeof p) {
      ESC_TRY(refill(j, from, sizeof p));
      from = 0;
    }
    if (j->filled < from + sizeof p) break;
    memcpy(&p, j->buffer + from, sizeof p);
    const size_t size = sizeof p + p.size + sizeof check;
    if (p.size > PAYLOAD_MAX) break;
    if (j->filled < from + size) {
      ESC_TRY(refill(j, from, size));
      from = 0;
    }
    if (j->filled < from + size) break;
    memcpy(&check, j->buffer + from + sizeof p + p.size, sizeof check);
    if (check != part_check(j, j->buffer + from, sizeof p + p.size)) break;
    ESC_TRY(visit_part(j, &p, j->buffer + from + sizeof p));
    j->end += (off_t)size;
    from += size;
  }
done:
  return status;
}

/* ---- the header ---- */

static esc_status refuse_header(const esc_journal *j, const header *found) {
  if (memcmp(found->magic, journal_magic, sizeof journal_magic) != 0)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: not a journal of this program; move it away, name another output with "
                    "-o, or overwrite it with --force",
                    j->path);
  if (found->check != hash_of_header(found))
    return ESC_FAIL(ESC_BAD_INPUT, "%s: the journal's header is damaged; --force starts anew",
                    j->path);
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: the journal was written by another version of this program; continue with "
                  "that one, name another output with -o, or start anew with --force",
                  j->path);
}

static bool is_header(const header *found) {
  return !memcmp(found->magic, journal_magic, sizeof journal_magic) &&
         found->check == hash_of_header(found) && found->version == JOURNAL_VERSION &&
         found->identity_size <= PAYLOAD_MAX;
}

/* Whether the file ends here: nothing was written behind what was read. */
static bool is_at_end(const esc_journal *j) {
  struct stat info;
  return fstat(j->fd, &info) == 0 && lseek(j->fd, 0, SEEK_CUR) >= info.st_size;
}

static bool is_no_longer_than_a_start(const esc_journal *j) {
  struct stat info;
  return fstat(j->fd, &info) == 0 && info.st_size <= (off_t)(sizeof(header) + j->identity_size);
}

/* Reads the first identity and shows it to the reader. A file that ends within it is a run
 * that died while starting: *fresh. */
static esc_status read_first_identity(esc_journal *j, const header *found, bool *fresh) {
  esc_status status = ESC_OK;
  const size_t size = found->identity_size;
  size_t got;
  ESC_TRY(reserve(j, size + 1));
  ESC_TRY(read_up_to(j, j->buffer, size, &got));
  /* A text has no zeros: after a loss of power a file can be longer than what reached it. */
  *fresh = got < size || (size > 0 && j->buffer[size - 1] == 0 && is_at_end(j));
  if (*fresh) return ESC_OK;
  if (XXH3_64bits(j->buffer, size) != found->identity)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: the journal's identity is damaged; --force starts anew",
                    j->path);
  ESC_TRY(judge_identity(j, j->buffer, size));
done:
  return status;
}

/* Checks the header. A part of one is a run that died while starting: *fresh. */
static esc_status check_header(esc_journal *j, bool *fresh) {
  esc_status status = ESC_OK;
  header found = {0};
  size_t got;
  ESC_TRY(read_up_to(j, &found, sizeof found, &got));
  const size_t fixed = offsetof(header, identity_size);
  const header zeros = {0};
  *fresh = got < sizeof found && memcmp(&found, &j->header, got < fixed ? got : fixed) == 0;
  *fresh = *fresh || (memcmp(&found, &zeros, got) == 0 && is_no_longer_than_a_start(j));
  if (*fresh) return ESC_OK;
  if (got < sizeof found || !is_header(&found)) return refuse_header(j, &found);
  ESC_TRY(read_first_identity(j, &found, fresh));
  if (*fresh) return ESC_OK;
  if (found.thresholds != j->header.thresholds || found.layers != j->header.layers)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: the journal belongs to another spec; name another output with -o, or "
                    "start anew with --force",
                    j->path);
  if (found.table != j->header.table || found.row_size != j->header.row_size)
    return refuse_header(j, &found);
  j->header = found; /* seeds the parts' checks */
  j->end = (off_t)(sizeof found + found.identity_size);
done:
  return status;
}

/* ---- opening ---- */

/* Cuts the file behind the last whole part and continues writing there. */
static int cut_back(const esc_journal *j) {
  if (ftruncate(j->fd, j->end) != 0) return -1;
  return lseek(j->fd, j->end, SEEK_SET) < 0 ? -1 : 0;
}

static esc_status refuse_without_resume(esc_journal *j) {
  esc_journal_summary found = {0};
  (void)esc_journal_read(j->path, NULL, &found);
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: an unfinished run left this journal of %lld %s; --resume goes on with "
                  "it, --force starts anew",
                  j->path, (long long)found.records, j->what);
}

static esc_status append_part(esc_journal *j, part_kind kind, const void *first, size_t first_size,
                              const void *rest, size_t rest_size) {
  const part p = {kind, (uint32_t)(first_size + rest_size)};
  const size_t size = sizeof p + p.size;
  const esc_status status = reserve(j, size + sizeof(uint64_t));
  if (status != ESC_OK) return status;
  memcpy(j->buffer, &p, sizeof p);
  memcpy(j->buffer + sizeof p, first, first_size);
  if (rest_size) memcpy(j->buffer + sizeof p + first_size, rest, rest_size);
  const uint64_t check = part_check(j, j->buffer, size);
  memcpy(j->buffer + size, &check, sizeof check);
  if (esc_io_write_all(j->fd, j->path, j->buffer, size + sizeof check) == ESC_OK) {
    j->end += (off_t)(size + sizeof check);
    return ESC_OK;
  }
  const int error = errno;
  j->torn = cut_back(j) != 0;
  return ESC_FAIL(ESC_IO_FAILED, "%s", strerror(error));
}

static esc_status fail_append(const esc_journal *j, const char *what) {
  char why[200];
  snprintf(why, sizeof why, "%.190s", esc_error_message());
  return ESC_FAIL(ESC_IO_FAILED,
                  "%s: cannot save %s: %s; %lld %s are safe in the journal, and the same "
                  "command with --resume goes on",
                  j->path, what, why, (long long)j->records, j->what);
}

/* Continues the file: reads it, cuts off a torn tail, notes that the sweep grew. */
static esc_status take_over(esc_journal *j, bool resume) {
  esc_status status = ESC_OK;
  const uint64_t ours = j->header.identity;
  bool fresh;
  ESC_TRY(check_header(j, &fresh));
  if (fresh) return start(j);
  if (!resume) return refuse_without_resume(j);
  ESC_TRY(visit_parts(j));
  if (cut_back(j) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot cut off the journal's torn tail: %s", j->path,
                    strerror(errno));
  if (j->last_identity != ours &&
      append_part(j, PART_IDENTITY, j->identity, j->identity_size, NULL, 0) != ESC_OK)
    return fail_append(j, "the new spec");
  ESC_TRY(esc_journal_sync(j));
done:
  return status;
}

static esc_status allocate(const char *result_path, const char *suffix, const char *what,
                           esc_journal **out) {
  esc_status status = ESC_OK;
  esc_journal *j = calloc(1, sizeof *j);
  ESC_TRY_ALLOCATE(j);
  j->fd = -1;
  j->what = what;
  j->path = malloc(strlen(result_path) + strlen(suffix) + 1);
  ESC_TRY_ALLOCATE(j->path);
  sprintf(j->path, "%s%s", result_path, suffix);
  *out = j;
  j = NULL;
done:
  esc_journal_close(j, false);
  return status;
}

/* What a journal is opened with: its header's contents. */
typedef struct kind {
  const char *suffix, *what;
  int thresholds, layers;
  size_t row_size;
  uint64_t table;
} kind;

static esc_status open_with(const char *result_path, const kind *k, esc_identity identity,
                            bool resume, bool discard, const esc_journal_reader *reader,
                            esc_journal **out) {
  esc_journal *j = NULL;
  esc_status status = ESC_OK;
  ESC_TRY(allocate(result_path, k->suffix, k->what, &j));
  ESC_TRY(set_header(j, identity, k->thresholds, k->layers, k->row_size, k->table));
  ESC_TRY(open_locked(j));
  j->reader = reader;
  ESC_TRY(discard ? start(j) : take_over(j, resume));
  j->reader = NULL;
  j->ready = true;
  *out = j;
  j = NULL;
done:
  esc_journal_close(j, j && j->empty);
  return status;
}

esc_status esc_journal_open(const char *result_path, esc_identity identity, int thresholds,
                            int layers, bool resume, bool discard, const esc_journal_reader *reader,
                            esc_journal **out) {
  const kind k = {
      ".journal",  "finished members", thresholds, layers, esc_results_row_size(thresholds, layers),
      hash_table()};
  return open_with(result_path, &k, identity, resume, discard, reader, out);
}

esc_status esc_journal_open_snapshots(const char *result_path, esc_identity identity, int length,
                                      bool resume, bool discard, const esc_journal_reader *reader,
                                      esc_journal **out) {
  const size_t row = sizeof(esc_journal_snapshot) + (size_t)length * sizeof(double);
  const kind k = {".snapshots", "snapshots", 0, length, row, hash_observables()};
  return open_with(result_path, &k, identity, resume, discard, reader, out);
}

esc_status esc_journal_append(esc_journal *journal, esc_member_key member, const void *row) {
  esc_journal *j = journal;
  char what[80];
  snprintf(what, sizeof what, "the member of seed %llu at scale %g",
           (unsigned long long)member.seed, member.scale);
  if (j->torn) (void)ESC_FAIL(ESC_IO_FAILED, "an earlier failure left a torn tail");
  if (j->torn || append_part(j, PART_RECORD, &member, sizeof member, row, j->header.row_size))
    return fail_append(j, what);
  j->records++;
  return ESC_OK;
}

esc_status esc_journal_note_segment(esc_journal *j, const char *text, bool begins) {
  if (j->torn) (void)ESC_FAIL(ESC_IO_FAILED, "an earlier failure left a torn tail");
  if (j->torn ||
      append_part(j, begins ? PART_SEGMENT_BEGIN : PART_SEGMENT, text, strlen(text), NULL, 0))
    return fail_append(j, "times and steps of the run");
  j->notes += !begins;
  return ESC_OK;
}

esc_status esc_journal_sync(esc_journal *journal) {
  int result;
  do {
    result = fdatasync(journal->fd);
  } while (result != 0 && errno == EINTR);
  if (result == 0) {
    journal->synced = journal->records;
    return ESC_OK;
  }
  return ESC_FAIL(ESC_IO_FAILED,
                  "%s: syncing the journal failed: %s; %lld %s are safe in it, and the same "
                  "command with --resume goes on",
                  journal->path, strerror(errno), (long long)journal->synced, journal->what);
}

void esc_journal_close(esc_journal *journal, bool remove) {
  if (!journal) return;
  const bool worthless = journal->ready && journal->records == 0 && journal->notes == 0;
  if (remove || worthless) unlink(journal->path);
  if (journal->fd >= 0) close(journal->fd);
  free(journal->identity);
  free(journal->buffer);
  free(journal->path);
  free(journal);
}

/* ---- any journal, as it is ---- */

bool esc_journal_is(const char *bytes, size_t size) {
  return size >= sizeof journal_magic && !memcmp(bytes, journal_magic, sizeof journal_magic);
}

/* Whether another process holds the lock. */
static bool is_locked(int fd) {
  if (flock(fd, LOCK_SH | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  flock(fd, LOCK_UN);
  return false;
}

/* Notes the members of the newest identity on the way to the caller's reader. */
typedef struct summing {
  const esc_journal_reader *reader;
  esc_journal_summary *out;
} summing;

static esc_status sum_identity(void *context, const char *path, esc_identity found) {
  const summing *s = context;
  s->out->members = found.members;
  const bool asked = s->reader && s->reader->identity;
  return asked ? s->reader->identity(s->reader->context, path, found) : ESC_OK;
}

static void sum_segment(void *context, const char *text, bool begins) {
  const summing *s = context;
  if (s->reader && s->reader->segment) s->reader->segment(s->reader->context, text, begins);
}

static void sum_row(void *context, esc_member_key member, const void *row) {
  const summing *s = context;
  if (s->out->readable && s->reader && s->reader->row)
    s->reader->row(s->reader->context, member, row);
}

esc_status esc_journal_read(const char *path, const esc_journal_reader *reader,
                            esc_journal_summary *out) {
  esc_status status = ESC_OK;
  esc_journal *j = NULL;
  bool fresh = false;
  size_t got, size;
  summing s = {reader, out};
  const esc_journal_reader all = {&s, sum_identity, sum_segment, sum_row};
  *out = (esc_journal_summary){.thresholds = 0};
  ESC_TRY(allocate(path, "", "finished members", &j));
  ESC_TRY(esc_io_open(path, &j->fd, &size));
  ESC_TRY(read_up_to(j, &j->header, sizeof j->header, &got));
  const header *h = &j->header;
  if (got < sizeof *h || !is_header(h)) {
    status = refuse_header(j, h);
    goto done;
  }
  out->thresholds = h->thresholds;
  out->layers = h->layers;
  out->snapshots = h->table == hash_observables() || h->thresholds == 0;
  out->readable = h->table == (out->snapshots ? hash_observables() : hash_table());
  j->reader = &all;
  ESC_TRY(read_first_identity(j, h, &fresh));
  if (!fresh) ESC_TRY(visit_parts(j));
  out->records = j->records;
  out->locked = is_locked(j->fd);
done:
  esc_journal_close(j, false);
  return status;
}
