/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the shards of a run with several devices, beside its output. */
#ifndef ESC_PARTS_H
#define ESC_PARTS_H

#include "run/run.h"
#include "store/store.h"

enum { ESC_PART_PATH_SIZE = 4200 };

/* Contents of parts: finished members, including reused ones, and networks in flight. */
typedef struct esc_parts_contents {
  int64_t finished, in_flight;
  bool complete; /* the result of the part that was read last has every member */
} esc_parts_contents;

/* The result file of shard `shard` of `shards`. */
void esc_part_print_path(const char *output, int shard, int shards, char path[ESC_PART_PATH_SIZE]);

/* Number of shards S in the names of the parts beside the output; 0 without parts. ESC_BAD_INPUT if
 * the names differ in S. */
esc_status esc_parts_count(const char *output, int *shards);

/* Deletes the parts beside the run's output, of any number of shards, under the run's lock. */
esc_status esc_parts_remove(const esc_run *run);

/* Whether the result of a shard exists and has every member. */
bool esc_part_is_complete(const esc_run *run, int shard, int shards);

/* Counts what is on disk, by syncing and reading the parts. A part that cannot be synced or read
 * counts as empty. */
esc_parts_contents esc_parts_count_synced(const esc_run *run, int shards);

#endif
