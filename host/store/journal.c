/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the journal of finished members. Format: journal_format.h. */
#include "store/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file_kind.h"
#include "base/io.h"
#include "store/journal_format.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the journal is written as in memory (little-endian)");

enum { COPIES_MAX = 9, VOID_MAX = 1 << 20, READER_ATTEMPTS = 5, UNWRITTEN_MAX = 1 << 20 };

/* Format of a journal's records, as in its header. */
typedef struct journal_format {
  const char *suffix, *record_name;
  int thresholds, layers;
  size_t row_size;
  uint64_t schema;
} journal_format;

/* Fills the journal's header and identity. */
static esc_status set_header(esc_journal *j, esc_identity identity, const journal_format *k) {
  esc_status status = ESC_OK;
  const size_t size = sizeof identity.members + strlen(identity.text);
  ESC_TRY_ALLOCATE(j->identity = malloc(size));
  memcpy(j->identity, &identity.members, sizeof identity.members);
  memcpy(j->identity + sizeof identity.members, identity.text, strlen(identity.text));
  j->header = (esc_journal_header){.magic = ESC_JOURNAL_MAGIC,
                                   .version = ESC_JOURNAL_VERSION,
                                   .thresholds = (uint16_t)k->thresholds,
                                   .layers = (uint16_t)k->layers,
                                   .row_size = (uint32_t)k->row_size,
                                   .identity_size = (uint32_t)size,
                                   .identity = XXH3_64bits(j->identity, size),
                                   .schema = k->schema};
  j->header.checksum = esc_journal_header_checksum(&j->header);
  j->last_identity = j->header.identity;
  j->identity_size = size;
done:
  return status;
}

/* ---- the file of that name ---- */

/* On a file system without locks the run continues with a warning. */
static esc_status lock(const esc_journal *j) {
  const struct timespec pause = {0, 10000000};
  int result = -1;
  for (int attempt = 0; attempt < READER_ATTEMPTS && result != 0; attempt++) {
    if (attempt) nanosleep(&pause, NULL); /* a reader can have it for an instant */
    do {
      result = flock(j->fd, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno != EWOULDBLOCK) break;
  }
  if (result == 0) return ESC_OK;
  if (errno == EWOULDBLOCK)
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "%s: another run is writing this output; wait for it, or choose another output with -o",
        j->path);
  if (j->warn)
    j->warn(
        "warning: %s: cannot be locked (%s): nothing prevents a second run from writing this "
        "output; do not start one",
        j->path, strerror(errno));
  return ESC_OK;
}

/* State of the file of the journal's name. */
typedef enum file_state { IN_PLACE, MISSING, REPLACED } file_state;

/* A run that just ended can have removed the file between open and lock, and any program can at any
 * time. */
static file_state find_file_state(const esc_journal *j) {
  struct stat ours, named;
  if (fstat(j->fd, &ours) != 0) return REPLACED;
  if (lstat(j->path, &named) != 0) return errno == ENOENT ? MISSING : REPLACED;
  return ours.st_dev == named.st_dev && ours.st_ino == named.st_ino ? IN_PLACE : REPLACED;
}

static esc_status open_locked(esc_journal *j) {
  struct stat info;
  for (int attempt = 0; attempt < 100; attempt++) {
    esc_status status = esc_io_open_sidecar(j->path, true, &j->fd);
    if (status == ESC_OK) status = lock(j);
    if (status != ESC_OK) return status;
    j->was_empty = fstat(j->fd, &info) == 0 && info.st_size == 0;
    if (find_file_state(j) == IN_PLACE) return ESC_OK;
    close(j->fd);
    j->fd = -1;
  }
  return ESC_FAIL(ESC_BAD_INPUT, "%s: other runs keep replacing this journal", j->path);
}

/* ---- parts ---- */

/* Payload of an entry, in two pieces. */
typedef struct payload {
  const void *first;
  size_t first_size;
  const void *second;
  size_t second_size;
} payload;

/* Builds an entry in the buffer, behind those that are not written yet; *size: its bytes. */
static esc_status build_entry(esc_journal *j, esc_journal_entry_kind kind, payload given,
                              size_t *size) {
  const uint64_t seed = esc_journal_checksum_seed(j, kind);
  const esc_journal_entry_header p =
      esc_journal_make_entry_header(kind, given.first_size + given.second_size, seed);
  *size = sizeof p + p.size + sizeof(uint64_t);
  const esc_status status = esc_journal_reserve(j, j->unwritten + *size);
  if (status != ESC_OK) return status;
  char *const entry = j->buffer + j->unwritten;
  j->filled = 0; /* the buffer no longer holds bytes of the file */
  memcpy(entry, &p, sizeof p);
  if (given.first_size) memcpy(entry + sizeof p, given.first, given.first_size);
  if (given.second_size)
    memcpy(entry + sizeof p + given.first_size, given.second, given.second_size);
  const uint64_t checksum = esc_journal_entry_checksum(entry, sizeof p + p.size, seed);
  memcpy(entry + sizeof p + p.size, &checksum, sizeof checksum);
  return ESC_OK;
}

/* Truncates the file after the last valid entry and continues writing there. */
static int truncate_tail(const esc_journal *j) {
  if (ftruncate(j->fd, j->end) != 0) return -1;
  return lseek(j->fd, j->end, SEEK_SET) < 0 ? -1 : 0;
}

/* Writing after another program has truncated the file would leave a hole. */
static esc_status check_length(const esc_journal *j) {
  struct stat info;
  if (fstat(j->fd, &info) == 0 && info.st_size == j->end) return ESC_OK;
  return ESC_FAIL(ESC_IO_FAILED, "another program changed its length from %lld to %lld bytes",
                  (long long)j->end, (long long)info.st_size);
}

/* Writes the first `size` bytes of the buffer. */
static esc_status write_buffer(esc_journal *j, size_t size) {
  if (j->has_torn_tail)
    return ESC_FAIL(ESC_IO_FAILED, "an earlier write failed and left an incomplete entry");
  if (j->sync_failed) return ESC_FAIL(ESC_IO_FAILED, "an earlier sync failed");
  const esc_status status = check_length(j);
  if (status != ESC_OK) return status;
  if (esc_io_write_all(j->fd, j->path, j->buffer, size) == ESC_OK) {
    j->end += (off_t)size;
    return ESC_OK;
  }
  const int error = errno;
  j->has_torn_tail = truncate_tail(j) != 0;
  return ESC_FAIL(ESC_IO_FAILED, "%s", strerror(error));
}

/* Writes the entries in the buffer, which is empty afterwards, also after a failure. */
static esc_status write_entries(esc_journal *j) {
  const size_t size = j->unwritten;
  const int64_t records = j->unwritten_records;
  j->unwritten = 0;
  j->unwritten_records = 0;
  if (size == 0) return ESC_OK;
  const esc_status status = write_buffer(j, size);
  if (status == ESC_OK) j->records += records;
  return status;
}

/* Adds an entry to the buffer. */
static esc_status add_entry(esc_journal *j, esc_journal_entry_kind kind, payload given) {
  size_t size;
  const esc_status status = build_entry(j, kind, given, &size);
  if (status == ESC_OK) j->unwritten += size;
  return status;
}

static esc_status append_entry(esc_journal *j, esc_journal_entry_kind kind, payload given) {
  const esc_status status = add_entry(j, kind, given);
  return status == ESC_OK ? write_entries(j) : status;
}

static esc_status append_header_copy(esc_journal *j) {
  j->has_header_copy = true;
  return append_entry(
      j, ESC_ENTRY_HEADER_COPY,
      (payload){&j->header, sizeof j->header, j->first_identity, j->header.identity_size});
}

/* Truncates the file and writes the header. */
static esc_status write_header(esc_journal *j) {
  esc_status status = ESC_OK;
  j->records = j->synced = j->segment_updates = 0;
  free(j->first_identity);
  ESC_TRY_ALLOCATE(j->first_identity = malloc(j->identity_size));
  memcpy(j->first_identity, j->identity, j->identity_size);
  if (ftruncate(j->fd, 0) != 0 || lseek(j->fd, 0, SEEK_SET) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot empty the journal: %s", j->path, strerror(errno));
  ESC_TRY(esc_io_write_all(j->fd, j->path, &j->header, sizeof j->header));
  ESC_TRY(esc_io_write_all(j->fd, j->path, j->first_identity, j->header.identity_size));
  j->end = (off_t)(sizeof j->header + j->header.identity_size);
  if (append_header_copy(j) != ESC_OK)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot start the journal: %s", j->path, strerror(errno));
  ESC_TRY(esc_journal_sync(j));
  ESC_TRY(esc_io_sync_directory(j->path));
done:
  return status;
}

/* ---- what is synced ---- */

/* fdatasync: earlier records survive a power loss. After a failed sync the system may have dropped
 * unwritten pages, and a later sync does not report that. */
static int sync_file(esc_journal *j) {
  int result;
  if (j->sync_failed) return EIO;
  do {
    result = fdatasync(j->fd);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    j->sync_failed = true;
    return errno;
  }
  j->synced = j->records;
  j->synced_bytes = j->end;
  return 0;
}

/* Counts the valid records in the first `end` bytes of the file of that name, read again, from the
 * disk if possible. */
static int64_t count_records(const esc_journal *j, off_t end) {
  esc_journal *again = NULL;
  int64_t records = 0;
  bool is_new = true;
  esc_status status = ESC_OK;
  if (find_file_state(j) != IN_PLACE) return 0;
  ESC_TRY(esc_journal_allocate(j->path, "", j->record_name, &again));
  ESC_TRY(esc_io_open_sidecar(j->path, false, &again->fd));
  (void)posix_fadvise(again->fd, 0, 0, POSIX_FADV_DONTNEED);
  ESC_TRY(esc_journal_read_header(again, &is_new));
  if (again->size > end) again->size = end;
  if (!is_new) status = esc_journal_read_entries(again);
  records = again->records; /* those before the first unreadable byte */
done:
  esc_journal_free(again);
  return records;
}

int64_t esc_journal_count_synced(esc_journal *j) {
  char why[1024]; /* keep the message of the caller's failure */
  snprintf(why, sizeof why, "%s", esc_error_message());
  (void)sync_file(j);
  const int64_t found = count_records(j, j->synced_bytes);
  (void)ESC_FAIL(ESC_IO_FAILED, "%s", why);
  return found < j->synced ? found : j->synced;
}

static esc_status fail_append_of(esc_journal *j, const char *what) {
  char why[200];
  snprintf(why, sizeof why, "%.190s", esc_error_message());
  const long long safe = esc_journal_count_synced(j);
  return ESC_FAIL(ESC_IO_FAILED,
                  "%s: cannot save %s: %s; %lld %s are saved in the journal; continue with the "
                  "same command and --resume",
                  j->path, what, why, safe, j->record_name);
}

static esc_status fail_append(esc_journal *j) {
  char what[80];
  snprintf(what, sizeof what, "the member of seed %llu at scale %g",
           (unsigned long long)j->unwritten_first.seed, j->unwritten_first.scale);
  return fail_append_of(j, what);
}

/* ---- copies of the file ---- */

static esc_status copy_bytes(const esc_journal *j, off_t size, esc_io_file *to) {
  esc_status status = ESC_OK;
  char bytes[1 << 16];
  for (off_t at = 0; at < size; at += (off_t)sizeof bytes) {
    const size_t rest = (size_t)(size - at);
    const size_t more = rest < sizeof bytes ? rest : sizeof bytes;
    ESC_TRY(esc_io_read_at(j->fd, j->path, bytes, more, (size_t)at));
    ESC_TRY(esc_io_write(to, bytes, more));
  }
done:
  return status;
}

/* Copies the open file to "PATH.REASON-N" with the first free N; `copy`: its name. */
static esc_status save_copy(const esc_journal *j, const char *reason, char *copy, size_t size) {
  esc_status status = ESC_OK;
  struct stat info;
  esc_io_file *file = NULL;
  int n = 1;
  for (; n <= COPIES_MAX; n++) {
    snprintf(copy, size, "%s.%s-%d", j->path, reason, n);
    if (lstat(copy, &info) != 0) break;
  }
  if (n > COPIES_MAX)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "%s.%s-1 to -%d: copies of earlier damaged files; move them away", j->path,
                    reason, COPIES_MAX);
  if (fstat(j->fd, &info) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot read: %s", j->path, strerror(errno));
  ESC_TRY(esc_io_begin_sidecar(copy, &file));
  ESC_TRY(copy_bytes(j, info.st_size, file));
  esc_io_file *const whole = file;
  file = NULL;
  ESC_TRY(esc_io_commit(whole, NULL));
done:
  esc_io_discard(file);
  return status;
}

/* ---- a journal that is removed or replaced while it is written ---- */

/* Another file has the journal's name and is left unchanged; this run's journal is copied to a file
 * beside it. */
static esc_status fail_as_replaced(esc_journal *j) {
  char copy[4200];
  if (save_copy(j, "rescued", copy, sizeof copy) != ESC_OK)
    return ESC_FAIL(
        ESC_IO_FAILED,
        "%.900s: was replaced by another program during the run; none of its %s are saved there",
        j->path, j->record_name);
  return ESC_FAIL(ESC_IO_FAILED,
                  "%.400s: was replaced by another program during the run; its %lld %s are saved "
                  "in %.400s: rename that file to the name of the journal, and continue with the "
                  "same command and --resume",
                  j->path, (long long)j->records, j->record_name, copy);
}

/* The name was removed, but the file is still open: writes it again under its name and continues
 * there. */
static esc_status recreate_file(esc_journal *j) {
  esc_status status = ESC_OK;
  esc_io_file *file = NULL;
  int made = -1;
  ESC_TRY(esc_io_begin_sidecar(j->path, &file));
  ESC_TRY(copy_bytes(j, j->end, file));
  esc_io_file *const whole = file;
  file = NULL;
  status = esc_io_commit_locked(whole, &made);
  if (status != ESC_OK && find_file_state(j) == REPLACED) return fail_as_replaced(j);
  if (status != ESC_OK) goto done;
  close(j->fd);
  j->fd = made;
  if (lseek(j->fd, j->end, SEEK_SET) < 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot write: %s", j->path, strerror(errno));
  if (j->warn)
    j->warn("warning: %s: was removed during the run; it has been written again in full", j->path);
done:
  esc_io_discard(file);
  return status;
}

/* Fails unless the open file still is the file of the journal's name; recreates a removed one. */
static esc_status check_presence(esc_journal *j) {
  const file_state there = find_file_state(j);
  if (there == REPLACED) return fail_as_replaced(j);
  if (check_length(j) != ESC_OK) {
    char why[200];
    snprintf(why, sizeof why, "%.190s", esc_error_message());
    const long long found = count_records(j, j->end);
    return ESC_FAIL(ESC_IO_FAILED,
                    "%s: %s during the run; %lld of %lld %s are saved in it; continue with the "
                    "same command and --resume",
                    j->path, why, found < j->synced ? found : (long long)j->synced,
                    (long long)j->records, j->record_name);
  }
  return there == MISSING ? recreate_file(j) : ESC_OK;
}

esc_status esc_journal_sync(esc_journal *journal) {
  const esc_status written = esc_journal_flush(journal);
  if (written != ESC_OK) return written;
  const bool failed_before = journal->sync_failed;
  const int error = sync_file(journal);
  if (error == 0) return check_presence(journal);
  return ESC_FAIL(ESC_IO_FAILED,
                  "%s: cannot sync the journal%s: %s; %lld %s are saved in it; continue with the "
                  "same command and --resume",
                  journal->path, failed_before ? " (an earlier sync failed)" : "", strerror(error),
                  (long long)esc_journal_count_synced(journal), journal->record_name);
}

/* ---- damage ---- */

/* Overwrites a damaged region with padding entries. */
static esc_status pad_region(esc_journal *j, esc_journal_region region) {
  esc_status status = ESC_OK;
  static const char nothing[VOID_MAX];
  size_t size, left = (size_t)region.size;
  for (off_t at = region.offset; left > 0; at += (off_t)size, left -= size) {
    size = left < VOID_MAX ? left : VOID_MAX;
    if (left - size > 0 && left - size < ESC_JOURNAL_ENTRY_MIN) size -= ESC_JOURNAL_ENTRY_MIN;
    ESC_TRY(esc_journal_reserve(j, size));
    if (size < ESC_JOURNAL_ENTRY_MIN)
      memset(j->buffer, ESC_JOURNAL_PAD_BYTE, size);
    else
      ESC_TRY(build_entry(j, ESC_ENTRY_PADDING,
                          (payload){nothing, size - ESC_JOURNAL_ENTRY_MIN, NULL, 0}, &size));
    if (lseek(j->fd, at, SEEK_SET) < 0)
      return ESC_FAIL(ESC_IO_FAILED, "%s: cannot write: %s", j->path, strerror(errno));
    ESC_TRY(esc_io_write_all(j->fd, j->path, j->buffer, size));
  }
done:
  return status;
}

static esc_status rewrite_header(esc_journal *j) {
  esc_status status = ESC_OK;
  if (lseek(j->fd, 0, SEEK_SET) < 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot write: %s", j->path, strerror(errno));
  ESC_TRY(esc_io_write_all(j->fd, j->path, &j->header, sizeof j->header));
  ESC_TRY(esc_io_write_all(j->fd, j->path, j->first_identity, j->header.identity_size));
done:
  return status;
}

/* Overwrites the damaged regions; valid entries are never overwritten. Damage after the last valid
 * entry is truncated later. */
static esc_status repair_regions(esc_journal *j) {
  esc_status status = ESC_OK;
  for (int64_t i = 0; i < j->damaged_regions; i++) {
    if (i == 0 && j->header_damaged)
      ESC_TRY(rewrite_header(j));
    else if (j->damaged_region[i].offset < j->end)
      ESC_TRY(pad_region(j, j->damaged_region[i]));
  }
done:
  return status;
}

/* Number of records of the usual size that the damaged regions could hold. */
static int64_t estimate_lost_records(const esc_journal *j) {
  const size_t record = ESC_JOURNAL_ENTRY_MIN + sizeof(esc_member_key) + j->header.row_size;
  int64_t lost = 0;
  for (int64_t i = j->header_damaged; i < j->damaged_regions; i++)
    lost += j->damaged_region[i].size / (off_t)record;
  return lost;
}

/* Copies the damaged file, warns of the loss, and repairs the file. */
static esc_status repair(esc_journal *j) {
  esc_status status = ESC_OK;
  char copy[4200];
  if (j->damaged_regions == 0) return ESC_OK;
  ESC_TRY(save_copy(j, "damaged", copy, sizeof copy));
  if (j->warn)
    j->warn(
        "warning: %s: damaged: %lld bytes in %lld regions, the first at offset %lld: about %lld %s "
        "are lost and computed again, %lld are intact%s; the damaged file was copied to %s",
        j->path, (long long)esc_journal_damaged_bytes(j), (long long)j->damaged_regions,
        (long long)j->damaged_region[0].offset, (long long)estimate_lost_records(j), j->record_name,
        (long long)j->records, j->header_damaged ? ", the header is restored from its copy" : "",
        copy);
  ESC_TRY(repair_regions(j));
done:
  return status;
}

/* ---- opening ---- */

static esc_status refuse_without_resume(esc_journal *j) {
  esc_journal_summary found = {0};
  (void)esc_journal_read(j->path, NULL, &found);
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: journal of an unfinished run, with %lld %s; continue with --resume, or "
                  "start over with --force",
                  j->path, (long long)found.records, j->record_name);
}

/* Continues an existing file: reads and repairs it, truncates an incomplete last entry, appends the
 * identity if the sweep was extended. */
static esc_status continue_file(esc_journal *j, bool resume) {
  esc_status status = ESC_OK;
  const uint64_t ours = j->header.identity;
  bool is_new;
  ESC_TRY(esc_journal_read_header(j, &is_new));
  if (is_new) return write_header(j);
  if (!resume) return refuse_without_resume(j);
  ESC_TRY(esc_journal_read_entries(j));
  ESC_TRY(repair(j));
  if (truncate_tail(j) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot truncate the journal's incomplete last entry: %s",
                    j->path, strerror(errno));
  if (!j->has_header_copy && append_header_copy(j) != ESC_OK)
    return fail_append_of(j, "a copy of its header");
  if (j->last_identity != ours &&
      append_entry(j, ESC_ENTRY_IDENTITY, (payload){j->identity, j->identity_size, NULL, 0}) !=
          ESC_OK)
    return fail_append_of(j, "the new spec");
  ESC_TRY(esc_journal_sync(j));
done:
  return status;
}

static esc_status open_with(const esc_journal_request *r, const journal_format *k,
                            esc_journal **out) {
  esc_journal *j = NULL;
  esc_status status = ESC_OK;
  ESC_TRY(esc_journal_allocate(r->result_path, k->suffix, k->record_name, &j));
  j->warn = r->reader ? r->reader->warn : NULL;
  ESC_TRY(set_header(j, r->identity, k));
  ESC_TRY(open_locked(j));
  j->reader = r->reader;
  ESC_TRY(r->discard ? write_header(j) : continue_file(j, r->resume));
  j->reader = NULL;
  j->is_open = true;
  *out = j;
  j = NULL;
done:
  esc_journal_close(j, j && j->was_empty);
  return status;
}

esc_status esc_journal_open(const esc_journal_request *request, int thresholds, int layers,
                            esc_journal **out) {
  const journal_format k = {.suffix = ".journal",
                            .record_name = "finished members",
                            .thresholds = thresholds,
                            .layers = layers,
                            .row_size = esc_results_row_size(thresholds, layers),
                            .schema = esc_journal_schema_hash(false)};
  return open_with(request, &k, out);
}

esc_status esc_journal_open_snapshots(const esc_journal_request *request, int length,
                                      esc_journal **out) {
  const journal_format k = {
      .suffix = ".snapshots",
      .record_name = "snapshots",
      .layers = length,
      .row_size = sizeof(esc_journal_snapshot) + (size_t)length * sizeof(double),
      .schema = esc_journal_schema_hash(true)};
  return open_with(request, &k, out);
}

esc_status esc_journal_open_weights(const esc_journal_request *request, int layers, size_t weights,
                                    esc_journal **out) {
  const journal_format k = {.suffix = ".weights",
                            .record_name = "records of weights",
                            .layers = layers,
                            .row_size = esc_journal_weights_row_size(weights),
                            .schema = esc_journal_weights_hash()};
  return open_with(request, &k, out);
}

esc_status esc_journal_add(esc_journal *j, esc_member_key member, const void *row) {
  esc_status status = ESC_OK;
  if (j->unwritten_records == 0) j->unwritten_first = member;
  if (add_entry(j, ESC_ENTRY_RECORD, (payload){&member, sizeof member, row, j->header.row_size}))
    return fail_append(j);
  j->unwritten_records++;
  if (j->unwritten >= UNWRITTEN_MAX) status = esc_journal_flush(j);
  return status;
}

esc_status esc_journal_flush(esc_journal *j) {
  return write_entries(j) == ESC_OK ? ESC_OK : fail_append(j);
}

esc_status esc_journal_append_segment(esc_journal *j, const char *text, bool begins) {
  esc_status status = ESC_OK;
  const esc_journal_entry_kind noted = begins ? ESC_ENTRY_SEGMENT_BEGIN : ESC_ENTRY_SEGMENT;
  ESC_TRY(esc_journal_flush(j));
  if (append_entry(j, noted, (payload){text, strlen(text), NULL, 0}))
    return fail_append_of(j, "times and steps of the run");
  j->segment_updates += !begins;
done:
  return status;
}

int64_t esc_journal_count_records(const esc_journal *journal) { return journal->records; }

void esc_journal_close(esc_journal *journal, bool remove) {
  if (!journal) return;
  if (!remove) (void)write_entries(journal);
  const bool is_empty = journal->is_open && journal->records == 0 && journal->segment_updates == 0;
  if ((remove || is_empty) && journal->fd >= 0 && find_file_state(journal) == IN_PLACE)
    unlink(journal->path);
  esc_journal_free(journal);
}
