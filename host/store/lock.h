/* SPDX-License-Identifier: Apache-2.0 */
/* Lock on an output, for every kind of run (plain, a shard, the parent of a run with --devices) and
 * for merge: only its holder writes, replaces or deletes the output and the files beside it
 * (names.h).
 *
 * It is flock(2) on OUT.h5.lock, so that a process that dies, even by kill -9, releases it; on NFS
 * it also excludes other machines. The file names the holder; a file left by a dead run is reused,
 * and the holder deletes it at the end. The workers of a run with --devices inherit the open file
 * and hold the lock together with their parent, as long as any of them lives. The output
 * OUT.h5.part-I-of-S is also under the lock of OUT.h5. */
#ifndef ESC_LOCK_H
#define ESC_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>

#include "escapement/internal/status.h"

typedef struct esc_lock esc_lock;

/* Prints one line: a warning, or a notice of waiting. */
typedef void esc_lock_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

typedef struct esc_lock_request {
  const char *output;
  int inherited; /* a worker's inherited descriptor of its parent's lock, owned from then on; -1:
                  * none */
  esc_lock_log *log;
  const atomic_bool *stop; /* ends a wait once it is true; NULL: never */
  const esc_lock *held; /* lock already held by the requesting run; shared if it is on this output
                           or on the output of which this one is a part; NULL: none */
} esc_lock_request;

/* Acquires the lock of the output. If a living process holds it: ESC_BAD_INPUT with the process,
 * its host and the time of locking. If that process has ended and its workers are still saving:
 * waits for them, as reported through `log`; ESC_INTERRUPTED once *stop is set. Two runs of one
 * process exclude each other as those of two processes do; within one run a lock is shared through
 * `held`. Warns of a file system without locks. ESC_BAD_INPUT if an inherited lock is no longer
 * that of the output. */
esc_status esc_lock_acquire(const esc_lock_request *request, esc_lock **out);

/* Descriptor for workers to inherit (close-on-exec). */
int esc_lock_descriptor(const esc_lock *lock);

/* Releases the lock and deletes its file. NULL is allowed. */
void esc_lock_release(esc_lock *lock);

/* Whether a run holds the lock of an output, for readers. */
typedef struct esc_lock_state {
  bool is_held;
  bool is_unknown;   /* the file system has no locks, or the lock file cannot be read */
  bool holder_ended; /* the named process has ended: with is_held, its workers are still saving */
  long holder;       /* process named in the file; 0: none */
  char host[72], since[32];
} esc_lock_state;

/* Changes nothing. Parts (OUT.h5.part-I-of-S) are under the lock of OUT.h5. */
esc_lock_state esc_lock_peek(const char *output);

#endif
