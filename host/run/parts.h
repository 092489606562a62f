/* Files of the shards of a run with several devices, beside its output. */
#ifndef ESC_PARTS_H
#define ESC_PARTS_H

#include "run/run.h"
#include "store/store.h"

enum { ESC_PART_PATH_SIZE = 4200 };

/* What parts hold: finished members, those of a base among them, and networks in flight. */
typedef struct esc_parts_found {
  int64_t finished, in_flight;
} esc_parts_found;

/* The result file of shard `shard` of `shards`. */
void esc_part_path(const char *output, int shard, int shards, char path[ESC_PART_PATH_SIZE]);

/* Number of shards that the names of parts beside the output state, 0 if there are none.
 * ESC_BAD_INPUT where they state several. */
esc_status esc_parts_count(const char *output, int *shards);

/* Deletes the parts beside the output, of any number of shards. */
esc_status esc_parts_remove(const char *output);

/* What is safe: found by syncing and reading the parts, whatever their workers reported. A part
 * that cannot be synced or read counts as nothing. */
esc_parts_found esc_parts_confirm(const esc_run *run, int shards);

#endif
