/* SPDX-License-Identifier: Apache-2.0 */
/* Journal of finished members: an append-only file beside the result
 * ("OUT.h5.journal") that survives kill -9, so that finished work is never
 * trained again. It holds
 *   - the identity of the run: the resolved spec and what else the numbers depend on,
 *     as text, and the number of members; again where the sweep grew since;
 *   - the run's segments (one for each start of the program), as text;
 *   - a record for each finished member: its key and its row (results.h).
 * Each part has an XXH3 checksum; the header names the format and the shape, and is there twice.
 * When the journal is opened again, a torn tail is cut off; damaged bytes are passed over, the
 * parts behind them are kept, and a copy of the damaged file stays beside it
 * ("OUT.h5.journal.damaged-1"). */
#ifndef ESC_JOURNAL_H
#define ESC_JOURNAL_H

#include <stdbool.h>

#include "escapement/internal/problem.h"
#include "escapement/internal/results.h"

typedef struct esc_journal esc_journal;

/* What identifies a run, and the members of its sweep or shard. */
typedef struct esc_identity {
  const char *text;
  int64_t members;
} esc_identity;

/* Says on the side what the user should know. */
typedef void esc_journal_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Who reads an existing journal; every function may be NULL. */
typedef struct esc_journal_reader {
  void *context;
  /* Whether a run of identity `found` may continue as the one that opens `path`: not
   * ESC_OK refuses the journal. NULL: only the very same text may. */
  esc_status (*identity)(void *context, const char *path, esc_identity found);
  /* A segment; `begins`: a new one, else what the last one has become. */
  void (*segment)(void *context, const char *text, bool begins);
  /* A finished member. `row` as in esc_results_unpack. */
  void (*row)(void *context, esc_member_key member, const void *row);
  /* Of damage, of a missing lock, of a journal that was removed; also while it is written. */
  esc_journal_warn *warn;
} esc_journal_reader;

/* How a run opens its journal. */
typedef struct esc_journal_request {
  const char *result_path;
  esc_identity identity;
  bool resume;                      /* continues an existing journal */
  bool discard;                     /* starts anew, whatever is there */
  const esc_journal_reader *reader; /* of an existing journal; NULL: none */
} esc_journal_request;

/* Opens the journal of the request's result file, creating it if there is
 * none, and takes an exclusive lock on it (a second run on the same output is
 * refused). With `resume` its parts are read and kept, and where its last identity is
 * another one than the request's, which the reader accepted, this one is noted too; without
 * `resume` an existing journal is refused with ESC_BAD_INPUT, saying that --resume
 * continues it and --force starts anew (`discard` does that). */
esc_status esc_journal_open(const esc_journal_request *request, int thresholds, int layers,
                            esc_journal **out);

/* The same for snapshots ("OUT.h5.snapshots"): a record is a member's key and an
 * esc_journal_snapshot with `length` observations. A member has many; one that is not
 * among the finished may have some too. Step k of the member's end is stored as -1 - k. */
typedef struct esc_journal_snapshot {
  int64_t step;
  double observation[];
} esc_journal_snapshot;
esc_status esc_journal_open_snapshots(const esc_journal_request *request, int length,
                                      esc_journal **out);

/* Appends one member's row with one write(2). Not synced: see esc_journal_sync. */
esc_status esc_journal_append(esc_journal *journal, esc_member_key member, const void *row);

/* Appends a segment, or with `begins` false what the last one has become. */
esc_status esc_journal_append_segment(esc_journal *journal, const char *text, bool begins);

/* fdatasync: records appended before this survive a power loss. A journal that was removed
 * meanwhile is written anew; one that another program cut or replaced is ESC_IO_FAILED. */
esc_status esc_journal_sync(esc_journal *journal);

/* Records that a sync has confirmed and that are found when the file of that name is read again;
 * syncs first. The last message stays. */
int64_t esc_journal_count_synced(esc_journal *journal);

/* Records in it, earlier runs' too. */
int64_t esc_journal_count_records(const esc_journal *journal);

/* Closes; with `remove` also deletes the file (after the result is published), as
 * it does with a journal that holds neither a member nor a segment beyond its begin. */
void esc_journal_close(esc_journal *journal, bool remove);

/* What a journal at any path holds, found without changing or locking it. */
typedef struct esc_journal_summary {
  int thresholds, layers;  /* 0, length of a snapshot's observations: of snapshots */
  int64_t members;         /* of the sweep or shard */
  int64_t records;         /* whole ones */
  int64_t damaged_regions; /* places of damage */
  int64_t damaged_bytes, first_damaged_offset; /* bytes in them all, offset of the first */
  bool snapshots;                              /* its records are snapshots */
  bool readable; /* its rows are those of this version: the reader was shown them */
  bool locked;   /* a run is writing it now */
} esc_journal_summary;

/* Reads the file at `path`; a damaged header is ESC_BAD_INPUT. */
esc_status esc_journal_read(const char *path, const esc_journal_reader *reader,
                            esc_journal_summary *out);

#endif
