/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint of the networks in flight: "OUT.h5.checkpoint" beside the result, the one
 * before it as "OUT.h5.checkpoint.previous". Finished members are the journal's.
 *
 * Layout, little-endian, 48 bytes, the identity and then `count` equal records:
 *   header    "ESCCKPT" NUL, version, bytes of the identity (2 x u32), XXH3-64 of the
 *             identity (u64), bytes of a state (u64), count (u64), XXH3-64 of the header so
 *             far (u64)
 *   identity  members (i64), text (store/journal.h)
 *   record    key (seed, layers: u64, scale: f64), state (internal/state.h), XXH3-64 of
 *             both, seeded with the identity's hash
 * A file is written whole beside its name, synced and renamed, so a crash at any instant
 * leaves one that is whole. Who opens it holds the journal's lock. */
#ifndef ESC_CHECKPOINT_H
#define ESC_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/journal.h"

typedef struct esc_checkpoint esc_checkpoint;

/* Who reads an existing checkpoint. */
typedef struct esc_checkpoint_reader {
  void *context;
  /* As in esc_journal_reader; NULL: only the very same text may continue. */
  esc_status (*identity)(void *context, const char *path, esc_identity found);
  /* Whether `member` still needs its state; NULL: all do. */
  bool (*is_needed)(void *context, esc_member_key member);
} esc_checkpoint_reader;

/* How a run opens its checkpoint. */
typedef struct esc_checkpoint_request {
  const char *result_path;
  esc_identity identity; /* the run's, as for the journal */
  size_t state_size;     /* bytes of a network's state (state.h) */
  bool resume;           /* members of an existing file that are wanted wait to be taken */
  bool discard;          /* deletes an existing file */
  const esc_checkpoint_reader *reader;
} esc_checkpoint_request;

/* Opens the checkpoint of the request's result file. Without `resume` an existing one is
 * refused (ESC_BAD_INPUT), unless `discard` deletes it. One of another identity that the reader
 * does not accept, or of another version, is refused by name; a damaged one too, unless the one
 * before it is whole: see esc_checkpoint_warning. */
esc_status esc_checkpoint_open(const esc_checkpoint_request *request, esc_checkpoint **out);

/* What was wrong with the newest file if the one before it was taken, else NULL. */
const char *esc_checkpoint_warning(const esc_checkpoint *checkpoint);

/* Reads the state of `member` if it waits: *found. It waits no longer then. */
esc_status esc_checkpoint_restore(esc_checkpoint *checkpoint, esc_member_key member, void *state,
                                  bool *found);

/* Members that wait. */
int64_t esc_checkpoint_count_pending(const esc_checkpoint *checkpoint);

/* Writes a new checkpoint: begin, add each of `count` members in flight, commit, which
 * adds those that wait. After a failure nothing has changed, and `abandon` ends it. */
esc_status esc_checkpoint_write_begin(esc_checkpoint *checkpoint, int64_t count);
esc_status esc_checkpoint_write_member(esc_checkpoint *checkpoint, esc_member_key member,
                                       const void *state);
esc_status esc_checkpoint_write_commit(esc_checkpoint *checkpoint);
void esc_checkpoint_write_abort(esc_checkpoint *checkpoint);

/* Frees it (NULL is fine); with `remove` deletes both files. */
void esc_checkpoint_close(esc_checkpoint *checkpoint, bool remove);

/* Reads the file at `path`, any run's, without changing it: its identity to the reader's
 * `identity`, each network to `network` with its step. Damage is ESC_BAD_INPUT. */
esc_status esc_checkpoint_read(const char *path, const esc_checkpoint_reader *reader,
                               void (*network)(void *context, esc_member_key member, int64_t step));

#endif
