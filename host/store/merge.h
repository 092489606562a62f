/* SPDX-License-Identifier: Apache-2.0 */
/* Merging of the shards of one sweep. Independent of specs: between the two functions the caller
 * (host/run/merge.c) counts the members of the spec and checks the shapes of the parts against it.
 */
#ifndef ESC_STORE_MERGE_H
#define ESC_STORE_MERGE_H

#include "escapement/internal/results.h"

typedef struct esc_merge {
  int parts;                /* at least 1 */
  const esc_results **part; /* (parts); after esc_merge_sort part i is shard i */
  const char **name;        /* (parts) names in messages: the files */
  int64_t members;          /* of the whole sweep; set before esc_merge_join */
  esc_results *merged;      /* output of esc_merge_join; owned by the caller */
} esc_merge;

/* Sorts part and name by shard. ESC_BAD_INPUT if the parts differ in spec or precision, or if a
 * shard is missing or duplicate. */
esc_status esc_merge_sort(esc_merge *merge);

/* Makes `merged`: row j is member j of the sweep; attributes concatenate the distinct texts of the
 * parts. ESC_BAD_INPUT if a part does not hold exactly the members of its shard. All parts must
 * have the same numbers of thresholds and layers. */
esc_status esc_merge_join(esc_merge *merge);

#endif
