/* SPDX-License-Identifier: Apache-2.0 */
/* One lock on an output, for every form of run (plain, a shard, the parent of a run with --devices)
 * and for merge: a run that holds it may write, replace and delete the output and the files beside
 * it (names.h), and nobody else does.
 *
 * It is flock(2) on OUT.h5.lock, so a process that dies, of kill -9 too, leaves none, and on NFS it
 * holds between machines. The file says who holds it; what a dead run left of it is taken over, and
 * the one that holds the lock deletes it. The workers of a run with --devices inherit the open file
 * and so hold the lock together with their parent, as long as any of them lives. The output
 * OUT.h5.part-I-of-S is also under the lock of OUT.h5. */
#ifndef ESC_LOCK_H
#define ESC_LOCK_H

#include <stdatomic.h>

#include "escapement/internal/status.h"

typedef struct esc_lock esc_lock;

/* Prints a line: a warning, or what is waited for. */
typedef void esc_lock_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

typedef struct esc_lock_request {
  const char *output;
  int inherited; /* a worker's descriptor of the lock of the whole, which is its own then; -1: none
                  */
  esc_lock_log *log;
  const atomic_bool *stop; /* ends a wait once it is true; NULL: nothing does */
  const esc_lock *held;    /* of the run that asks, which is shared where it is on this output or on
                              the whole of which the output is a part; NULL: none */
} esc_lock_request;

/* Takes the lock of the output. Where a living process holds it: ESC_BAD_INPUT that names the
 * process, its machine and since when. Where that process is gone and its workers are still saving,
 * waits for them, which `note` says, and is ESC_INTERRUPTED once *stop is set. Two runs of one
 * process, in its threads or one within a callback of the other, exclude each other as those of two
 * processes do; within one run a lock is shared by naming it (`held`). A file system without locks
 * is warned of. ESC_BAD_INPUT if an inherited lock is no longer the output's. */
esc_status esc_lock_acquire(const esc_lock_request *request, esc_lock **out);

/* The descriptor for workers to inherit (it closes on exec). */
int esc_lock_descriptor(const esc_lock *lock);

/* Frees it and deletes its file. NULL is fine. */
void esc_lock_release(esc_lock *lock);

#endif
