/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: the members of a sweep, the run's shard of them, and the order in which they start. */
#ifndef ESC_PLAN_H
#define ESC_PLAN_H

#include "spec/spec.h"

/* One scale of one group: its seeds are members `first`, first + 1, ... of the sweep. */
typedef struct esc_plan_cell {
  uint64_t small_layers;
  double scale;
  int64_t first;
} esc_plan_cell;

typedef struct esc_plan {
  int64_t total; /* members of the whole sweep */
  int64_t shard, shards, seeds;
  uint64_t seed;
  int cells;
  esc_plan_cell *cell; /* (cells), sorted by layers and scale, owned */
  int64_t members;     /* of this shard */
  esc_member *member;  /* (members), ascending index, owned */
  int64_t *order;      /* (members) indices into `member`, longest expected first; owned */
  double false_escape[ESC_THRESHOLDS_MAX]; /* (threshold) probability for each member */
} esc_plan;

/* Number of members of shard `shard` of `shards`. */
int64_t esc_plan_count_members(const esc_spec *spec, int64_t shard, int64_t shards);

/* Memory of a plan of `members` members, bytes. */
double esc_plan_estimate_bytes(int64_t members);

/* Counts the members of a spec with a grid, whose points have plans of their own. Otherwise
 * makes the members in the order groups, scales, seeds; the shard has those with index modulo
 * `shards` equal to `shard`. */
esc_status esc_plan_create(const esc_spec *spec, int64_t shard, int64_t shards, esc_plan *plan);
void esc_plan_free(esc_plan *plan);

/* One scale of one group. Members of a cell are contiguous in the plan. */
bool esc_plan_is_same_cell(const esc_member *a, const esc_member *b);

/* Index in plan->member of the network with this key, -1 if it is not among them. */
int64_t esc_plan_find_member(const esc_plan *plan, esc_member_key key);

enum { ESC_WARNING_SIZE = 768 };

/* Estimates how many members would cross a threshold by minibatch noise alone
 * (docs/theory, section 5.6) into plan->false_escape. Above 1% of the members: ESC_BAD_INPUT with a
 * remedy, unless the spec allows it. Above 0.1%: a sentence in `warning`, else "". */
esc_status esc_plan_check_false_escapes(const esc_spec *spec, esc_plan *plan,
                                        char warning[ESC_WARNING_SIZE]);

#endif
