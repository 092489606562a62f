/* SPDX-License-Identifier: Apache-2.0 */
/* Shards of one sweep joined to the result of the whole: what `escapement merge` does. */
#ifndef ESCAPEMENT_MERGE_H
#define ESCAPEMENT_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/export.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

typedef struct esc_results esc_results; /* escapement/results.h */

/* Joins the results of shards 0/n to n-1/n of one sweep, in any order, in memory. part (parts): the
 * shards' results; they stay the caller's. name (parts): their names in messages, usually the file
 * of each. *out is the result of the run without shards, equal to it in every bit of its numbers;
 * owned by the caller. Where attributes of the parts differ, as times and machines do, it holds all
 * of them. ESC_BAD_INPUT where a shard is missing or there twice, or the parts are not of one
 * sweep and precision. */
ESC_API esc_status esc_results_merge(int parts, const esc_results *const *part,
                                     const char *const *name, esc_results **out);

typedef struct esc_merge_request {
  const char *output; /* the joined file */
  int files;
  const char *const *file; /* (files) the shards' results */
  bool force;              /* replaces an existing output */
} esc_merge_request;

typedef struct esc_merge_summary {
  int64_t members, escaped, censored, diverged;
  int shards;
} esc_merge_summary;

/* Reads the shards' files, joins them as esc_results_merge does, and publishes the result at
 * request->output under its lock: a reader finds the whole file or the one before it. *summary
 * counts the members by how they ended. ESC_BAD_INPUT also where a file is not a result, the output
 * exists without `force`, or a run or another merge holds its lock; ESC_IO_FAILED where a file
 * cannot be read or written. */
ESC_API esc_status esc_files_merge(const esc_merge_request *request, esc_merge_summary *summary);

ESC_END_DECLS

#endif
