/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading the checkpoint. States stay in the file until they are restored: the
 * descriptor keeps the opened file, even when a new one is published under its name. */
#include "store/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file_kind.h"
#include "base/io.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "a checkpoint is written as in memory (little-endian)");

enum { CHECKPOINT_VERSION = 2, IDENTITY_MAX = 1 << 26 };
static const char checkpoint_magic[8] = ESC_CHECKPOINT_MAGIC;

typedef struct header {
  char magic[8];
  uint32_t version, identity_size;
  uint64_t identity, state_size, count;
  uint64_t checksum; /* of all bytes before it */
} header;

_Static_assert(sizeof(header) == 48, "the header has no padding");

struct esc_checkpoint {
  char *path, *previous;
  char warning[1024];                  /* "" for none */
  const esc_checkpoint_reader *reader; /* while opening */
  char *identity;                      /* identity of this run: members and text */
  size_t identity_size;
  uint64_t identity_hash; /* of it */
  char *file_identity;    /* identity of the file that was opened */
  size_t file_identity_size;
  uint64_t file_identity_hash;
  size_t state_size, record_size;
  char *record;
  int fd; /* of the opened file, or -1 */
  int64_t records, pending_count;
  esc_member_key *member; /* (entry) */
  bool *is_pending;       /* (entry) */
  bool is_sidecar;        /* a file beside this run's output: links are not followed */
  bool newest_is_valid;   /* the file at `path` is valid, to be kept as the previous one */
  esc_io_file *file;      /* being written, or NULL */
  uint64_t digest;        /* of the networks of the file being written or just written */
};

/* State of a checkpoint file. */
typedef enum file_state { ABSENT, VALID, DAMAGED, MISMATCHED } file_state;

static header make_header(const esc_checkpoint *c, int64_t count) {
  header h = {.version = CHECKPOINT_VERSION,
              .identity_size = (uint32_t)c->identity_size,
              .identity = c->identity_hash,
              .state_size = c->state_size,
              .count = (uint64_t)count};
  memcpy(h.magic, checkpoint_magic, sizeof h.magic);
  h.checksum = XXH3_64bits(&h, offsetof(header, checksum));
  return h;
}

/* Adds a record's checksum to the digest of a file's networks, in the order of the file. */
static uint64_t add_to_digest(uint64_t digest, uint64_t checksum) {
  return XXH3_64bits_withSeed(&checksum, sizeof checksum, digest);
}

static uint64_t record_checksum(const esc_checkpoint *c, uint64_t seed) {
  return XXH3_64bits_withSeed(c->record, c->record_size - sizeof(uint64_t), seed);
}

/* Reads record `index` of the open file into c->record; damage is ESC_BAD_INPUT. */
static esc_status read_record(const esc_checkpoint *c, const char *path, int64_t index) {
  uint64_t checksum;
  const size_t offset = sizeof(header) + c->file_identity_size + (size_t)index * c->record_size;
  const esc_status status = esc_io_read_at(c->fd, path, c->record, c->record_size, offset);
  if (status != ESC_OK) return status;
  memcpy(&checksum, c->record + c->record_size - sizeof checksum, sizeof checksum);
  if (checksum == record_checksum(c, c->file_identity_hash)) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "%s: damaged: the checksum of network %lld of %lld is wrong", path,
                  (long long)index + 1, (long long)c->records);
}

/* Checks the header of a file of `size` bytes, without its identity. */
static file_state check_header(const char *path, const header *found, size_t size) {
  if (found->checksum != XXH3_64bits(found, offsetof(header, checksum))) {
    (void)ESC_FAIL(ESC_BAD_INPUT, "%s: damaged: the checksum of its header is wrong", path);
    return DAMAGED;
  }
  if (memcmp(found->magic, checkpoint_magic, sizeof found->magic) != 0 ||
      found->version != CHECKPOINT_VERSION) {
    (void)ESC_FAIL(ESC_BAD_INPUT, "%s: was written by another version of escapement", path);
    return MISMATCHED;
  }
  const size_t record = sizeof(esc_member_key) + found->state_size + sizeof(uint64_t);
  const size_t rest = size - sizeof *found - found->identity_size;
  if (found->identity_size > size - sizeof *found || found->identity_size > IDENTITY_MAX ||
      found->state_size > size || found->count > rest / record || rest != found->count * record) {
    (void)ESC_FAIL(ESC_BAD_INPUT, "%s: damaged: %zu bytes do not hold %llu networks", path, size,
                   (unsigned long long)found->count);
    return DAMAGED;
  }
  return VALID;
}

/* Checks whether a run of the file's identity may continue as this one. */
static file_state check_identity(esc_checkpoint *c, const char *path) {
  esc_identity found = {.text = c->file_identity + sizeof found.members};
  const bool same = c->file_identity_size == c->identity_size &&
                    memcmp(c->file_identity, c->identity, c->identity_size) == 0;
  if (c->file_identity_hash != XXH3_64bits(c->file_identity, c->file_identity_size) ||
      c->file_identity_size < sizeof(int64_t)) {
    (void)ESC_FAIL(ESC_BAD_INPUT, "%s: damaged: the checksum of its identity is wrong", path);
    return DAMAGED;
  }
  memcpy(&found.members, c->file_identity, sizeof found.members);
  if (c->reader && c->reader->identity)
    return c->reader->identity(c->reader->context, path, found) == ESC_OK ? VALID : MISMATCHED;
  if (same) return VALID;
  (void)ESC_FAIL(ESC_BAD_INPUT, "%s: belongs to another spec, shard or precision", path);
  return MISMATCHED;
}

/* Reads and checks the identity after the header. */
static esc_status read_identity(esc_checkpoint *c, const char *path, const header *found,
                                file_state *out) {
  esc_status status = ESC_OK;
  free(c->file_identity);
  c->file_identity_size = found->identity_size;
  c->file_identity_hash = found->identity;
  ESC_TRY_ALLOCATE(c->file_identity = calloc(1, c->file_identity_size + sizeof(int64_t) + 1));
  ESC_TRY(esc_io_read_at(c->fd, path, c->file_identity, c->file_identity_size, sizeof *found));
  *out = check_identity(c, path);
  if (*out == VALID && c->state_size && found->state_size != c->state_size) {
    (void)ESC_FAIL(ESC_BAD_INPUT, "%s: belongs to another spec, shard or precision", path);
    *out = MISMATCHED;
  }
done:
  return status;
}

static file_state check_records(esc_checkpoint *c, const char *path) {
  for (int64_t i = 0; i < c->records; i++) {
    if (read_record(c, path, i) != ESC_OK) return DAMAGED;
    memcpy(&c->member[i], c->record, sizeof *c->member);
  }
  return VALID;
}

static void close_file(esc_checkpoint *c) {
  if (c->fd >= 0) close(c->fd);
  free(c->member);
  free(c->is_pending);
  c->fd = -1;
  c->member = NULL;
  c->is_pending = NULL;
  c->records = c->pending_count = 0;
}

/* True for a dangling link too. */
static bool exists(const char *path) {
  struct stat info;
  return lstat(path, &info) == 0;
}

static esc_status open_file(esc_checkpoint *c, const char *path, size_t *size) {
  esc_status status = ESC_OK;
  struct stat info;
  if (!c->is_sidecar) return esc_io_open(path, &c->fd, size);
  ESC_TRY(esc_io_open_sidecar(path, false, &c->fd));
  if (fstat(c->fd, &info) != 0)
    return ESC_FAIL(ESC_IO_FAILED, "%s: cannot read: %s", path, strerror(errno));
  *size = (size_t)info.st_size;
done:
  return status;
}

/* Opens the file at `path` and verifies all of it. The fault of an invalid file is the last
 * message; the returned status is for system failures. */
static esc_status read_file(esc_checkpoint *c, const char *path, file_state *out) {
  esc_status status = ESC_OK;
  header found;
  size_t size = 0;
  *out = ABSENT;
  close_file(c);
  if (!exists(path)) return ESC_OK;
  ESC_TRY(open_file(c, path, &size));
  if (size < sizeof found) {
    (void)ESC_FAIL(ESC_BAD_INPUT, "%s: damaged: shorter than its header", path);
    *out = DAMAGED;
    return ESC_OK;
  }
  ESC_TRY(esc_io_read_at(c->fd, path, &found, sizeof found, 0));
  *out = check_header(path, &found, size);
  if (*out != VALID) return ESC_OK;
  ESC_TRY(read_identity(c, path, &found, out));
  if (*out != VALID) return ESC_OK;
  c->records = (int64_t)found.count;
  ESC_TRY_ALLOCATE(c->member = calloc(found.count + 1, sizeof *c->member));
  ESC_TRY_ALLOCATE(c->is_pending = calloc(found.count + 1, sizeof *c->is_pending));
  *out = check_records(c, path);
done:
  return status;
}

static esc_status refuse(const char *why) {
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s; move it away to train its networks again, choose another output with -o, or "
                  "start over with --force",
                  why);
}

/* Reads the newest file, or the previous one if the newest is damaged or missing (a run can die
 * between the two renames). */
static esc_status read_newest_valid(esc_checkpoint *c) {
  esc_status status = ESC_OK;
  file_state newest, previous;
  char why[512];
  ESC_TRY(read_file(c, c->path, &newest));
  snprintf(why, sizeof why, "%.500s", newest == VALID ? "" : esc_error_message());
  c->newest_is_valid = newest == VALID;
  if (newest == VALID) return ESC_OK;
  if (newest == MISMATCHED) return refuse(why);
  ESC_TRY(read_file(c, c->previous, &previous));
  if (previous == VALID && newest == DAMAGED)
    snprintf(c->warning, sizeof c->warning, "%s; using %s, which is intact", why, c->previous);
  if (previous == VALID) return ESC_OK;
  if (newest == DAMAGED) return refuse(why);
  if (previous != ABSENT) {
    snprintf(why, sizeof why, "%.500s", esc_error_message());
    return refuse(why);
  }
done:
  return status;
}

static esc_status refuse_without_resume(const esc_checkpoint *c) {
  const char *path = exists(c->path) ? c->path : exists(c->previous) ? c->previous : NULL;
  int fd;
  if (!path) return ESC_OK;
  const esc_status status = esc_io_open_sidecar(path, false, &fd);
  if (fd >= 0) close(fd);
  if (status != ESC_OK) return status;
  return ESC_FAIL(
      ESC_BAD_INPUT,
      "%s: checkpoint of an unfinished run; continue with --resume, or start over with --force",
      path);
}

static void delete_files(const esc_checkpoint *c) {
  esc_io_remove(c->path);
  esc_io_remove(c->previous);
}

static esc_status allocate(const char *result_path, size_t state_size, esc_checkpoint **out) {
  esc_status status = ESC_OK;
  const size_t path_size = strlen(result_path) + sizeof ".checkpoint.previous";
  esc_checkpoint *c = calloc(1, sizeof *c);
  ESC_TRY_ALLOCATE(c);
  c->fd = -1;
  c->state_size = state_size;
  c->record_size = sizeof(esc_member_key) + state_size + sizeof(uint64_t);
  ESC_TRY_ALLOCATE(c->record = calloc(1, c->record_size));
  ESC_TRY_ALLOCATE(c->path = malloc(path_size));
  ESC_TRY_ALLOCATE(c->previous = malloc(path_size));
  snprintf(c->path, path_size, "%s.checkpoint", result_path);
  snprintf(c->previous, path_size, "%s.checkpoint.previous", result_path);
  *out = c;
  c = NULL;
done:
  esc_checkpoint_close(c, false);
  return status;
}

static esc_status set_identity(esc_checkpoint *c, esc_identity identity) {
  esc_status status = ESC_OK;
  c->identity_size = sizeof identity.members + strlen(identity.text);
  ESC_TRY_ALLOCATE(c->identity = malloc(c->identity_size));
  memcpy(c->identity, &identity.members, sizeof identity.members);
  memcpy(c->identity + sizeof identity.members, identity.text, strlen(identity.text));
  c->identity_hash = XXH3_64bits(c->identity, c->identity_size);
done:
  return status;
}

static bool is_needed(const esc_checkpoint *c, esc_member_key member) {
  return !c->reader || !c->reader->is_needed || c->reader->is_needed(c->reader->context, member);
}

esc_status esc_checkpoint_open(const esc_checkpoint_request *r, esc_checkpoint **out) {
  esc_status status = ESC_OK;
  esc_checkpoint *c = NULL;
  ESC_TRY(allocate(r->result_path, r->state_size, &c));
  ESC_TRY(set_identity(c, r->identity));
  c->reader = r->reader;
  c->is_sidecar = true;
  if (r->discard) delete_files(c);
  ESC_TRY(r->resume ? read_newest_valid(c) : refuse_without_resume(c));
  for (int64_t i = 0; i < c->records; i++)
    c->pending_count += c->is_pending[i] = is_needed(c, c->member[i]);
  c->reader = NULL;
  *out = c;
  c = NULL;
done:
  esc_checkpoint_close(c, false);
  return status;
}

const char *esc_checkpoint_warning(const esc_checkpoint *c) {
  return c->warning[0] ? c->warning : NULL;
}

int64_t esc_checkpoint_count_pending(const esc_checkpoint *c) { return c->pending_count; }

esc_status esc_checkpoint_restore(esc_checkpoint *c, esc_member_key member, void *state,
                                  bool *found) {
  esc_status status = ESC_OK;
  int64_t i = 0;
  *found = false;
  if (c->pending_count == 0) return ESC_OK;
  while (i < c->records && !(c->is_pending[i] && esc_member_key_equal(c->member[i], member))) i++;
  if (i == c->records) return ESC_OK;
  ESC_TRY(read_record(c, c->path, i));
  memcpy(state, c->record + sizeof member, c->state_size);
  c->is_pending[i] = false;
  c->pending_count--;
  *found = true;
done:
  return status;
}

esc_status esc_checkpoint_write_begin(esc_checkpoint *c, int64_t count) {
  esc_status status = ESC_OK;
  const header h = make_header(c, count + c->pending_count);
  c->digest = 0;
  ESC_TRY(esc_io_begin_sidecar(c->path, &c->file));
  ESC_TRY(esc_io_write(c->file, &h, sizeof h));
  ESC_TRY(esc_io_write(c->file, c->identity, c->identity_size));
done:
  return status;
}

/* Writes c->record with its checksum, seeded with this run's identity. */
static esc_status write_record(esc_checkpoint *c) {
  const uint64_t checksum = record_checksum(c, c->identity_hash);
  memcpy(c->record + c->record_size - sizeof checksum, &checksum, sizeof checksum);
  c->digest = add_to_digest(c->digest, checksum);
  return esc_io_write(c->file, c->record, c->record_size);
}

esc_status esc_checkpoint_write_member(esc_checkpoint *c, esc_member_key member,
                                       const void *state) {
  memcpy(c->record, &member, sizeof member);
  memcpy(c->record + sizeof member, state, c->state_size);
  return write_record(c);
}

esc_status esc_checkpoint_write_commit(esc_checkpoint *c) {
  esc_status status = ESC_OK;
  for (int64_t i = 0; i < c->records; i++) {
    if (!c->is_pending[i]) continue;
    ESC_TRY(read_record(c, c->path, i));
    ESC_TRY(write_record(c));
  }
  esc_io_file *file = c->file;
  c->file = NULL;
  ESC_TRY(esc_io_commit(file, c->newest_is_valid ? c->previous : NULL));
  c->newest_is_valid = true;
done:
  return status;
}

uint64_t esc_checkpoint_digest(const esc_checkpoint *c) { return c->digest; }

void esc_checkpoint_write_abort(esc_checkpoint *c) {
  esc_io_discard(c->file);
  c->file = NULL;
}

void esc_checkpoint_close(esc_checkpoint *c, bool remove) {
  if (!c) return;
  esc_checkpoint_write_abort(c);
  if (remove) delete_files(c);
  close_file(c);
  free(c->record);
  free(c->identity);
  free(c->file_identity);
  free(c->path);
  free(c->previous);
  free(c);
}

/* ---- checkpoints of any run ---- */

/* Size of a state, from the file's header. */
static esc_status read_state_size(const char *path, size_t *state_size) {
  esc_status status = ESC_OK;
  header found;
  size_t size;
  int fd = -1;
  ESC_TRY(esc_io_open(path, &fd, &size));
  if (size < sizeof found) {
    status = ESC_FAIL(ESC_BAD_INPUT, "%s: damaged: shorter than its header", path);
    goto done;
  }
  ESC_TRY(esc_io_read_at(fd, path, &found, sizeof found, 0));
  if (check_header(path, &found, size) != VALID)
    status = ESC_BAD_INPUT;
  else
    *state_size = found.state_size;
done:
  if (fd >= 0) close(fd);
  return status;
}

esc_status esc_checkpoint_read_states(const char *path, const esc_checkpoint_reader *reader,
                                      esc_checkpoint_state *visit, uint64_t *digest) {
  esc_status status = ESC_OK;
  esc_checkpoint *c = NULL;
  file_state found;
  uint64_t checksum;
  size_t state_size = 0;
  ESC_TRY(read_state_size(path, &state_size));
  ESC_TRY(allocate(path, state_size, &c));
  c->reader = reader;
  ESC_TRY(read_file(c, path, &found));
  if (found != VALID) status = ESC_BAD_INPUT;
  for (int64_t i = 0; i < c->records && status == ESC_OK; i++) {
    ESC_TRY(read_record(c, path, i));
    memcpy(&checksum, c->record + c->record_size - sizeof checksum, sizeof checksum);
    c->digest = add_to_digest(c->digest, checksum);
    if (visit) visit(reader->context, c->member[i], c->record + sizeof(esc_member_key), state_size);
  }
  if (digest) *digest = c->digest;
done:
  esc_checkpoint_close(c, false);
  return status;
}

/* The caller's reader, and its function for the step of a network. */
typedef struct step_reader {
  const esc_checkpoint_reader *reader;
  void (*network)(void *context, esc_member_key member, int64_t step);
} step_reader;

static void visit_step(void *context, esc_member_key member, const void *state, size_t size) {
  const step_reader *s = context;
  int64_t step = 0;
  if (size >= sizeof step) memcpy(&step, state, sizeof step); /* first of the state */
  s->network(s->reader->context, member, step);
}

static esc_status forward_identity(void *context, const char *path, esc_identity found) {
  const step_reader *s = context;
  return s->reader->identity(s->reader->context, path, found);
}

esc_status esc_checkpoint_read(const char *path, const esc_checkpoint_reader *reader,
                               void (*network)(void *context, esc_member_key member,
                                               int64_t step)) {
  step_reader s = {reader, network};
  const esc_checkpoint_reader steps = {&s, reader->identity ? forward_identity : NULL, NULL};
  return esc_checkpoint_read_states(path, &steps, network ? visit_step : NULL, NULL);
}
