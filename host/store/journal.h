/* Journal of finished members: an append-only file beside the result
 * ("OUT.h5.journal") that survives kill -9, so that finished work is never
 * trained again. Each record is one member's row (results.h) with its index and
 * an XXH3 checksum; the header names the format, the shape and the hash of the
 * resolved spec. A torn tail is cut off when the journal is opened again. */
#ifndef ESC_JOURNAL_H
#define ESC_JOURNAL_H

#include <stdbool.h>

#include "escapement/results.h"

typedef struct esc_journal esc_journal;

/* Called for each whole record of an existing journal. `row` as in
 * esc_results_unpack. */
typedef void esc_journal_visit(void *context, int64_t member, const void *row);

/* Opens the journal of the result file `result_path`, creating it if there is
 * none, and takes an exclusive lock on it (a second run on the same output is
 * refused). With `resume` the records there are visited and kept; without it an
 * existing journal is refused with ESC_BAD_INPUT, saying that --resume goes on
 * and --force starts anew (`discard` does that). A journal of another spec is
 * refused by name. `spec` is the resolved spec's text. */
esc_status esc_journal_open(const char *result_path, const char *spec, int thresholds, int layers,
                            bool resume, bool discard, esc_journal_visit *visit, void *context,
                            esc_journal **out);

/* The same for snapshots ("OUT.h5.snapshots"): a record is a member's index and an
 * esc_journal_snapshot with `length` observations. A member has many; one that is not
 * among the finished may have some too. Step k of the member's end is stored as -1 - k. */
typedef struct esc_journal_snapshot {
  int64_t step;
  double observation[];
} esc_journal_snapshot;
esc_status esc_journal_open_snapshots(const char *result_path, const char *spec, int length,
                                      bool resume, bool discard, esc_journal_visit *visit,
                                      void *context, esc_journal **out);

/* Appends one member's row with one write(2). Not synced: see esc_journal_sync. */
esc_status esc_journal_append(esc_journal *journal, int64_t member, const void *row);

/* fdatasync: records appended before this survive a power loss. */
esc_status esc_journal_sync(esc_journal *journal);

/* Closes; with `remove` also deletes the file (after the result is published), as
 * it does with a journal that holds no member. */
void esc_journal_close(esc_journal *journal, bool remove);

#endif
