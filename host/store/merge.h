/* SPDX-License-Identifier: Apache-2.0 */
/* The shards of one sweep joined to the result of the whole. Knows results, not specs: who calls it
 * (host/run/merge.c) counts the members that the spec describes and checks the shapes of the parts
 * against it between the two functions. */
#ifndef ESC_STORE_MERGE_H
#define ESC_STORE_MERGE_H

#include "escapement/internal/results.h"

typedef struct esc_merge {
  int parts;                /* at least 1 */
  const esc_results **part; /* (parts); after esc_merge_sort part i is shard i */
  const char **name;        /* (parts) of each in messages: its file */
  int64_t members;          /* of the whole sweep; set before esc_merge_join */
  esc_results *merged;      /* what esc_merge_join makes; owned by the caller */
} esc_merge;

/* Sorts part and name by shard. ESC_BAD_INPUT where the parts are of different specs or precisions,
 * a shard is missing or there twice. */
esc_status esc_merge_sort(esc_merge *merge);

/* Makes `whole`: row j is member j of the sweep, attributes hold the different texts of the parts.
 * ESC_BAD_INPUT where a part does not hold the members of its shard, all of them and no others. All
 * parts must have one number of thresholds and of layers. */
esc_status esc_merge_join(esc_merge *merge);

#endif
