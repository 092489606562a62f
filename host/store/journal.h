/* SPDX-License-Identifier: Apache-2.0 */
/* Journal of finished members: an append-only file beside the result ("OUT.h5.journal"). It
 * survives kill -9, so that finished members are never trained again. It holds
 *   - the identity of the run: the resolved spec, precision and shard as text, and the number of
 * members; once more whenever the sweep was extended;
 *   - the run's segments (one for each invocation of the program), as text;
 *   - a record for each finished member: its key and its row (results.h).
 * Each entry has an XXH3 checksum. The header states the format and the shape, and is stored twice.
 * When the journal is opened again, an incomplete last entry is truncated; damaged bytes are
 * skipped, the entries after them are kept, and the damaged file is copied to
 * "OUT.h5.journal.damaged-1". */
#ifndef ESC_JOURNAL_H
#define ESC_JOURNAL_H

#include <stdbool.h>

#include "escapement/internal/problem.h"
#include "escapement/internal/results.h"

typedef struct esc_journal esc_journal;

/* Identity of a run: the text that its numbers depend on, and the number of members of its sweep or
 * shard. */
typedef struct esc_identity {
  const char *text;
  int64_t members;
} esc_identity;

/* Sends a warning to the user. */
typedef void esc_journal_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Callbacks for reading an existing journal; each may be NULL. */
typedef struct esc_journal_reader {
  void *context;
  /* ESC_OK if a run of identity `found` may continue as the run that opens `path`. NULL: only an
   * identical text may. */
  esc_status (*identity)(void *context, const char *path, esc_identity found);
  /* A segment; `begins`: a new one, else an update of the last one. */
  void (*segment)(void *context, const char *text, bool begins);
  /* A finished member. `row` as in esc_results_unpack. */
  void (*row)(void *context, esc_member_key member, const void *row);
  /* Warns of damage, of a missing lock, of a removed journal; also while the journal is written. */
  esc_journal_warn *warn;
} esc_journal_reader;

/* Request of a run to open its journal. */
typedef struct esc_journal_request {
  const char *result_path;
  esc_identity identity;
  bool resume;                      /* continues an existing journal */
  bool discard;                     /* starts a new journal and discards an existing one */
  const esc_journal_reader *reader; /* of an existing journal; NULL: none */
} esc_journal_request;

/* Opens the journal of the request's result file, creating it if there is none, and acquires an
 * exclusive lock on it (a second run on the same output is refused). With `resume` its entries are
 * read and kept; if its last identity differs from the request's and the reader accepts it, the
 * request's identity is appended. Without `resume` an existing journal is ESC_BAD_INPUT, unless
 * `discard`. */
esc_status esc_journal_open(const esc_journal_request *request, int thresholds, int layers,
                            esc_journal **out);

/* The same for snapshots ("OUT.h5.snapshots"): a record is a member's key and an
 * esc_journal_snapshot with `length` observations. A member has many records, an unfinished one
 * too. The step k of a member's final snapshot is stored as -1 - k. */
typedef struct esc_journal_snapshot {
  int64_t step;
  double observation[];
} esc_journal_snapshot;
esc_status esc_journal_open_snapshots(const esc_journal_request *request, int length,
                                      esc_journal **out);

/* The same for recorded weights ("OUT.h5.weights"): a record is a member's key and an
 * esc_journal_weights. A network of more weights than a block has several records, in order. */
enum { ESC_JOURNAL_WEIGHTS_BLOCK = 1 << 16 };
typedef struct esc_journal_weights {
  int32_t kind, threshold; /* esc_weights_kind; which threshold, of an escape, else 0 */
  int64_t step;            /* updates made before */
  int64_t first;           /* index of the first weight, flat as in esc_weight_offset */
  float weight[];          /* esc_journal_weights_in_block, then zeros */
} esc_journal_weights;

/* Weights in the record that begins with weight `first`; bytes of a record. */
size_t esc_journal_weights_in_block(size_t weights, size_t first);
size_t esc_journal_weights_row_size(size_t weights);
esc_status esc_journal_open_weights(const esc_journal_request *request, int layers, size_t weights,
                                    esc_journal **out);

/* Adds one member's row to a buffer of records in memory. */
esc_status esc_journal_add(esc_journal *journal, esc_member_key member, const void *row);

/* Appends all buffered records to the file with one write(2), as esc_journal_append_segment,
 * esc_journal_sync and a full buffer do. Not synced: see esc_journal_sync. */
esc_status esc_journal_flush(esc_journal *journal);

/* Appends a segment, or with `begins` false an update of the last one. */
esc_status esc_journal_append_segment(esc_journal *journal, const char *text, bool begins);

/* Flushes, and fdatasync: earlier records survive a power loss. A journal that was removed
 * meanwhile is written again; one that another program truncated or replaced is ESC_IO_FAILED. */
esc_status esc_journal_sync(esc_journal *journal);

/* Syncs, reads the file again, and counts the records that are both synced and found. Keeps the
 * last failure's message. */
int64_t esc_journal_count_synced(esc_journal *journal);

/* Number of records, including those of earlier invocations. */
int64_t esc_journal_count_records(const esc_journal *journal);

/* Closes the journal. Deletes the file with `remove` (after the result is written), or if it has no
 * record and no segment update. */
void esc_journal_close(esc_journal *journal, bool remove);

/* Contents of a journal, read without changing or locking it. */
typedef struct esc_journal_summary {
  int thresholds, layers;  /* of a journal of snapshots: 0, and the length of an observation;
                              of weights: 0, and the layers */
  int64_t members;         /* of the sweep or shard */
  int64_t records;         /* whole ones */
  int64_t damaged_regions; /* number of damaged regions */
  int64_t damaged_bytes, first_damaged_offset; /* total size, offset of the first */
  bool snapshots, weights;                     /* the records are snapshots, or weights */
  bool readable; /* the rows have this version's variables, and the reader's `row` was called */
  bool locked;   /* a running process holds its lock */
} esc_journal_summary;

/* Reads the file at `path`; a damaged header is ESC_BAD_INPUT. */
esc_status esc_journal_read(const char *path, const esc_journal_reader *reader,
                            esc_journal_summary *out);

#endif
