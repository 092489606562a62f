/* The journal of finished members, so that no finished work is done twice.
 *
 * Layout, little-endian:
 *   header  "ESCJRNL" NUL, version, thresholds, layers, bytes of a row (4 x u32),
 *           XXH3-64 of the spec, of the table of variables, of the header so far
 *   record  member (i64), row, XXH3-64 of both, seeded with the spec's hash
 * All records are equally long and only ever appended, so whatever a crash cuts
 * off or a disk spoils, the records before it are whole. */
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

enum { JOURNAL_VERSION = 1, RECORDS_AT_ONCE = 256 };

typedef struct header {
  char magic[8];
  uint32_t version, thresholds, layers, row_size;
  uint64_t spec, table;
  uint64_t check; /* of all before it */
} header;

_Static_assert(sizeof(header) == 48, "the header has no padding");

struct esc_journal {
  char *path;
  const char *what; /* its records are, in words */
  int fd;
  header header;
  size_t record_size;
  char *record;    /* one, being written */
  int64_t records; /* whole ones in the file */
  int64_t synced;  /* of these, known to be on the disk */
  bool torn;       /* a failed append could not be undone */
  bool ready;      /* opened: locked, header written */
  bool empty;      /* when it was locked: removed again if it cannot be started */
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

static header make_header(const char *spec, int thresholds, int layers, size_t row_size,
                          uint64_t table) {
  header h = {.magic = "ESCJRNL",
              .version = JOURNAL_VERSION,
              .thresholds = (uint32_t)thresholds,
              .layers = (uint32_t)layers,
              .row_size = (uint32_t)row_size,
              .spec = XXH3_64bits(spec, strlen(spec)),
              .table = table};
  h.check = XXH3_64bits(&h, offsetof(header, check));
  return h;
}

static uint64_t record_check(const esc_journal *j, const char *record) {
  return XXH3_64bits_withSeed(record, j->record_size - sizeof(uint64_t), j->header.spec);
}

static bool record_is_whole(const esc_journal *j, const char *record) {
  uint64_t check;
  memcpy(&check, record + j->record_size - sizeof check, sizeof check);
  return check == record_check(j, record);
}

static off_t end_of(const esc_journal *j) {
  return (off_t)(sizeof(header) + (size_t)j->records * j->record_size);
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
  j->records = j->synced = 0;
  if (ftruncate(j->fd, 0) != 0 || lseek(j->fd, 0, SEEK_SET) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot empty the journal: %s", j->path, strerror(errno));
  ESC_TRY(esc_io_write_all(j->fd, j->path, &j->header, sizeof j->header));
  ESC_TRY(esc_journal_sync(j));
  ESC_TRY(esc_io_sync_directory(j->path));
done:
  return status;
}

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

static esc_status refuse_header(const esc_journal *j, const header *found) {
  const header *want = &j->header;
  if (memcmp(found->magic, want->magic, sizeof want->magic) != 0)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: not a journal of this program; move it away, name another output with "
                    "-o, or overwrite it with --force",
                    j->path);
  if (found->check != XXH3_64bits(found, offsetof(header, check)))
    return ESC_FAIL(ESC_BAD_INPUT, "%s: the journal's header is damaged; --force starts anew",
                    j->path);
  if (found->version != want->version || found->table != want->table)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: the journal was written by another version of this program; go on with "
                    "that one, name another output with -o, or start anew with --force",
                    j->path);
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: the journal belongs to another spec, shard or precision; name another "
                  "output with -o, or start "
                  "anew with --force",
                  j->path);
}

/* Checks the header. A part of ours is a run that died while starting: *fresh. */
static esc_status check_header(const esc_journal *j, bool *fresh) {
  header found = {0};
  size_t got;
  const esc_status status = read_up_to(j, &found, sizeof found, &got);
  if (status != ESC_OK) return status;
  *fresh = got < sizeof found && memcmp(&found, &j->header, got) == 0;
  if (*fresh || (got == sizeof found && memcmp(&found, &j->header, got) == 0)) return ESC_OK;
  return refuse_header(j, &found);
}

/* Visits the records of a block; false at the first that is not whole. */
static bool visit_block(esc_journal *j, const char *block, size_t size, esc_journal_visit *visit,
                        void *context) {
  for (; size >= j->record_size; size -= j->record_size, block += j->record_size) {
    int64_t member;
    if (!record_is_whole(j, block)) return false;
    memcpy(&member, block, sizeof member);
    visit(context, member, block + sizeof member);
    j->records++;
  }
  return true;
}

/* Visits what follows the header, up to the first record that is not whole. */
static esc_status visit_records(esc_journal *j, esc_journal_visit *visit, void *context) {
  esc_status status = ESC_OK;
  const size_t size = RECORDS_AT_ONCE * j->record_size;
  size_t got;
  char *block = malloc(size);
  ESC_TRY_ALLOCATE(block);
  do {
    ESC_TRY(read_up_to(j, block, size, &got));
  } while (visit_block(j, block, got, visit, context) && got == size);
done:
  free(block);
  return status;
}

/* Cuts the file behind the last whole record and goes on writing there. */
static int cut_back(const esc_journal *j) {
  if (ftruncate(j->fd, end_of(j)) != 0) return -1;
  return lseek(j->fd, end_of(j), SEEK_SET) < 0 ? -1 : 0;
}

/* How many members an existing journal seems to hold, for the message. */
static int64_t count_records(const esc_journal *j) {
  struct stat info;
  if (fstat(j->fd, &info) != 0 || info.st_size < (off_t)sizeof(header)) return 0;
  return (info.st_size - (off_t)sizeof(header)) / (off_t)j->record_size;
}

/* Goes on with the file as it is. */
static esc_status take_over(esc_journal *j, bool resume, esc_journal_visit *visit, void *context) {
  bool fresh;
  esc_status status = check_header(j, &fresh);
  if (status != ESC_OK) return status;
  if (fresh) return start(j);
  if (!resume)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s: an unfinished run left this journal of %lld %s; --resume goes on with "
                    "it, --force starts anew",
                    j->path, (long long)count_records(j), j->what);
  status = visit_records(j, visit, context);
  if (status != ESC_OK) return status;
  if (cut_back(j) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot cut off the journal's torn tail: %s", j->path,
                    strerror(errno));
  return esc_journal_sync(j);
}

static esc_status allocate(const char *result_path, const char *suffix, const char *what,
                           const header *h, esc_journal **out) {
  esc_status status = ESC_OK;
  esc_journal *j = calloc(1, sizeof *j);
  ESC_TRY_ALLOCATE(j);
  j->fd = -1;
  j->what = what;
  j->header = *h;
  j->record_size = sizeof(int64_t) + h->row_size + sizeof(uint64_t);
  j->record = malloc(j->record_size);
  ESC_TRY_ALLOCATE(j->record);
  j->path = malloc(strlen(result_path) + strlen(suffix) + 1);
  ESC_TRY_ALLOCATE(j->path);
  sprintf(j->path, "%s%s", result_path, suffix);
  *out = j;
  j = NULL;
done:
  esc_journal_close(j, false);
  return status;
}

static esc_status open_with(const char *result_path, const char *suffix, const char *what,
                            const header *h, bool resume, bool discard, esc_journal_visit *visit,
                            void *context, esc_journal **out) {
  esc_journal *j = NULL;
  esc_status status = ESC_OK;
  ESC_TRY(allocate(result_path, suffix, what, h, &j));
  ESC_TRY(open_locked(j));
  ESC_TRY(discard ? start(j) : take_over(j, resume, visit, context));
  j->ready = true;
  *out = j;
  j = NULL;
done:
  esc_journal_close(j, j && j->empty);
  return status;
}

esc_status esc_journal_open(const char *result_path, const char *spec, int thresholds, int layers,
                            bool resume, bool discard, esc_journal_visit *visit, void *context,
                            esc_journal **out) {
  const header h =
      make_header(spec, thresholds, layers, esc_results_row_size(thresholds, layers), hash_table());
  return open_with(result_path, ".journal", "finished members", &h, resume, discard, visit, context,
                   out);
}

esc_status esc_journal_open_snapshots(const char *result_path, const char *spec, int length,
                                      bool resume, bool discard, esc_journal_visit *visit,
                                      void *context, esc_journal **out) {
  const size_t row = sizeof(esc_journal_snapshot) + (size_t)length * sizeof(double);
  const header h = make_header(spec, 0, length, row, hash_observables());
  return open_with(result_path, ".snapshots", "snapshots", &h, resume, discard, visit, context,
                   out);
}

static esc_status fail_append(const esc_journal *j, int64_t member, const char *why) {
  return ESC_FAIL(ESC_IO_FAILED,
                  "%s: cannot save member %lld: %s; %lld %s are safe in the journal, and the same "
                  "command with --resume goes on",
                  j->path, (long long)member, why, (long long)j->records, j->what);
}

esc_status esc_journal_append(esc_journal *journal, int64_t member, const void *row) {
  esc_journal *j = journal;
  const size_t payload = sizeof member + j->header.row_size;
  if (j->torn) return fail_append(j, member, "an earlier failure left a torn tail");
  memcpy(j->record, &member, sizeof member);
  memcpy(j->record + sizeof member, row, j->header.row_size);
  const uint64_t check = record_check(j, j->record);
  memcpy(j->record + payload, &check, sizeof check);
  if (esc_io_write_all(j->fd, j->path, j->record, j->record_size) == ESC_OK) {
    j->records++;
    return ESC_OK;
  }
  const int error = errno;
  j->torn = cut_back(j) != 0;
  return fail_append(j, member, strerror(error));
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
  if (remove || (journal->ready && journal->records == 0)) unlink(journal->path);
  if (journal->fd >= 0) close(journal->fd);
  free(journal->record);
  free(journal->path);
  free(journal);
}
