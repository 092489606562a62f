/* Checkpoint of the networks in flight: "OUT.h5.checkpoint" beside the result, the one
 * before it as "OUT.h5.checkpoint.previous". Finished members are the journal's.
 *
 * Layout, little-endian, 48 bytes and then `count` equal records:
 *   header  "ESCCKPT" NUL, version (u32), 0 (u32), XXH3-64 of the spec (u64), bytes of a
 *           state (u64), count (u64), XXH3-64 of the header so far (u64)
 *   record  member (i64), state (escapement/state.h), XXH3-64 of both, seeded with the
 *           spec's hash
 * A file is written whole beside its name, synced and renamed, so a crash at any instant
 * leaves one that is whole. Who opens it holds the journal's lock. */
#ifndef ESC_CHECKPOINT_H
#define ESC_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "escapement/status.h"

typedef struct esc_checkpoint esc_checkpoint;

/* Whether `member` still needs its state. */
typedef bool esc_checkpoint_wanted(void *context, int64_t member);

/* Opens the checkpoint of the result file `result_path`; `spec` identifies the run, as for
 * the journal. With `resume` the members of the file that are `wanted` wait to be taken.
 * Without it an existing one is refused (ESC_BAD_INPUT), unless `discard` deletes it. One
 * of another spec, precision, shard or version is refused by name; a damaged one too,
 * unless the one before it is whole: see esc_checkpoint_warning. */
esc_status esc_checkpoint_open(const char *result_path, const char *spec, size_t state_size,
                               bool resume, bool discard, esc_checkpoint_wanted *wanted,
                               void *context, esc_checkpoint **out);

/* What was wrong with the newest file if the one before it was taken, else NULL. */
const char *esc_checkpoint_warning(const esc_checkpoint *checkpoint);

/* Reads the state of `member` if it waits: *found. It waits no longer then. */
esc_status esc_checkpoint_take(esc_checkpoint *checkpoint, int64_t member, void *state,
                               bool *found);

/* Members that wait. */
int64_t esc_checkpoint_waiting(const esc_checkpoint *checkpoint);

/* Writes a new checkpoint: begin, add each of `count` members in flight, commit, which
 * adds those that wait. After a failure nothing has changed, and `abandon` ends it. */
esc_status esc_checkpoint_begin(esc_checkpoint *checkpoint, int64_t count);
esc_status esc_checkpoint_add(esc_checkpoint *checkpoint, int64_t member, const void *state);
esc_status esc_checkpoint_commit(esc_checkpoint *checkpoint);
void esc_checkpoint_abandon(esc_checkpoint *checkpoint);

/* Frees it (NULL is fine); with `remove` deletes both files. */
void esc_checkpoint_close(esc_checkpoint *checkpoint, bool remove);

#endif
