/* SPDX-License-Identifier: Apache-2.0 */
/* Merging the shards of a sweep into one result, as `escapement merge` does. */
#ifndef ESCAPEMENT_MERGE_H
#define ESCAPEMENT_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/export.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

typedef struct esc_results esc_results; /* escapement/results.h */

/* Merges the results of shards 0/n to n-1/n of one sweep, in any order, in memory. part (parts):
 * the shards' results, still owned by the caller. name (parts): their names in messages, usually
 * file names. *out, owned by the caller, equals the result of a run without shards in every bit of
 * its numbers. Attributes that differ between the parts, such as times and hosts, are concatenated.
 * ESC_BAD_INPUT if a shard is missing or duplicate, or if the parts differ in sweep or precision.
 */
ESC_API esc_status esc_results_merge(int parts, const esc_results *const *part,
                                     const char *const *name, esc_results **out);

typedef struct esc_merge_request {
  const char *output; /* the merged file */
  int files;
  const char *const *file; /* (files) result files of the shards */
  bool force;              /* replaces an existing output */
} esc_merge_request;

typedef struct esc_merge_summary {
  int64_t members, escaped, censored, diverged;
  int shards;
} esc_merge_summary;

/* Reads the shards' files, merges them as esc_results_merge does, and atomically writes the result
 * to request->output under its lock. *summary counts the members by status. ESC_BAD_INPUT also if a
 * file is not a result, if the output exists without `force`, or if a run or another merge holds
 * its lock. ESC_IO_FAILED if a file cannot be read or written. */
ESC_API esc_status esc_files_merge(const esc_merge_request *request, esc_merge_summary *summary);

ESC_END_DECLS

#endif
