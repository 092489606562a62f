/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint of the networks in flight: "OUT.h5.checkpoint" beside the result; the previous
 * checkpoint is "OUT.h5.checkpoint.previous". Finished members are in the journal. Pending members
 * are those of the file whose states have not been restored yet.
 *
 * Layout, little-endian, 48 bytes, the identity and then `count` equal records:
 *   header    "ESCCKPT" NUL, version, bytes of the identity (2 x u32), XXH3-64 of the
 *             identity (u64), bytes of a state (u64), count (u64), XXH3-64 of the header so
 *             far (u64)
 *   identity  members (i64), text (store/journal.h)
 *   record    key (seed, layers: u64, scale: f64), state (internal/state.h), XXH3-64 of
 *             both, seeded with the identity's hash
 * A file is written under a temporary name, synced and renamed, so that a crash at any instant
 * leaves an intact file. The caller holds the journal's lock. */
#ifndef ESC_CHECKPOINT_H
#define ESC_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/journal.h"

typedef struct esc_checkpoint esc_checkpoint;

/* Callbacks for reading an existing checkpoint. */
typedef struct esc_checkpoint_reader {
  void *context;
  /* As in esc_journal_reader; NULL: only an identical text may continue. */
  esc_status (*identity)(void *context, const char *path, esc_identity found);
  /* Whether the state of `member` is still needed; NULL: all are. */
  bool (*is_needed)(void *context, esc_member_key member);
} esc_checkpoint_reader;

/* Request of a run to open its checkpoint. */
typedef struct esc_checkpoint_request {
  const char *result_path;
  esc_identity identity; /* identity of the run, as for the journal */
  size_t state_size;     /* bytes of a network's state (state.h) */
  bool resume;           /* reads an existing file, whose needed members become pending */
  bool discard;          /* deletes an existing file */
  const esc_checkpoint_reader *reader;
} esc_checkpoint_request;

/* Opens the checkpoint of the request's result file. Without `resume` an existing file is
 * ESC_BAD_INPUT, unless `discard` deletes it. ESC_BAD_INPUT also for a file of another version, of
 * an identity that the reader does not accept, or damaged, unless the previous file is intact: see
 * esc_checkpoint_warning. */
esc_status esc_checkpoint_open(const esc_checkpoint_request *request, esc_checkpoint **out);

/* Fault of the newest file if the previous one is used instead, else NULL. */
const char *esc_checkpoint_warning(const esc_checkpoint *checkpoint);

/* Reads the state of `member` if it is pending (*found), which ends that. */
esc_status esc_checkpoint_restore(esc_checkpoint *checkpoint, esc_member_key member, void *state,
                                  bool *found);

/* Number of pending members. */
int64_t esc_checkpoint_count_pending(const esc_checkpoint *checkpoint);

/* Writes a new checkpoint: begin, write each of `count` members in flight, commit, which adds the
 * pending members. After a failure the files are unchanged; call abort. */
esc_status esc_checkpoint_write_begin(esc_checkpoint *checkpoint, int64_t count);
esc_status esc_checkpoint_write_member(esc_checkpoint *checkpoint, esc_member_key member,
                                       const void *state);
esc_status esc_checkpoint_write_commit(esc_checkpoint *checkpoint);
void esc_checkpoint_write_abort(esc_checkpoint *checkpoint);

/* Digest of the networks of the file just written, in their order; identifies it among the files of
 * one run. */
uint64_t esc_checkpoint_digest(const esc_checkpoint *checkpoint);

/* Frees it (NULL is allowed); with `remove` also deletes both files. */
void esc_checkpoint_close(esc_checkpoint *checkpoint, bool remove);

/* Reads the file at `path`, of any run, without changing it: calls the reader's `identity`, then
 * `network` for each network with its step. Damage is ESC_BAD_INPUT. */
esc_status esc_checkpoint_read(const char *path, const esc_checkpoint_reader *reader,
                               void (*network)(void *context, esc_member_key member, int64_t step));

/* The same with the state of each network (internal/state.h), `size` bytes. *digest (may be NULL):
 * as esc_checkpoint_digest. */
typedef void esc_checkpoint_state(void *context, esc_member_key member, const void *state,
                                  size_t size);
esc_status esc_checkpoint_read_states(const char *path, const esc_checkpoint_reader *reader,
                                      esc_checkpoint_state *visit, uint64_t *digest);

#endif
