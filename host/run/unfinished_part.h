/* SPDX-License-Identifier: Apache-2.0 */
/* One part of an unfinished run: the whole run, or a shard of a run with --devices. Private to
 * unfinished*.c. */
#ifndef ESC_UNFINISHED_PART_H
#define ESC_UNFINISHED_PART_H

#include "run/run.h"
#include "run/unfinished.h"
#include "store/segments.h"

/* A network in the checkpoint. */
typedef struct esc_saved_network {
  int64_t index; /* in the plan */
  int64_t step;
  int64_t escape_step[ESC_THRESHOLDS_MAX];
  double signal, signal_error;
} esc_saved_network;

/* Position of a checkpoint among the rows of the journal. */
typedef struct esc_checkpoint_mark {
  char digest[ESC_SEGMENT_DIGEST_SIZE];
  int64_t rows; /* before it */
  double clock; /* then; see esc_unfinished_part */
} esc_checkpoint_mark;

enum { ESC_MARKS = 2 };

typedef struct esc_unfinished_part {
  esc_run run;       /* spec, plan, results, done, segments; no engine, no open file */
  int64_t *position; /* (members) rows of the journal before the member's row; reused: -1 */
  int64_t rows;
  /* Steps that every slot of the run has advanced, at each entry of a segment, without what a
   * resume repeats; and the number of such entries before each member's row. */
  double *clock; /* (entries) */
  int64_t entries, entries_max;
  int64_t *entry;                      /* (members) */
  double clock_before, clock_marked;   /* of the segments before; at the checkpoint of this one */
  esc_checkpoint_mark mark[ESC_MARKS]; /* newest first */
  int64_t networks;
  esc_saved_network *network; /* (networks) of the checkpoint */
  bool has_checkpoint;
  int64_t cut; /* rows of the journal before the checkpoint; -1: not known */
  double cut_clock;
  int64_t damaged_bytes;
} esc_unfinished_part;

/* Identity of the run that writes `output`, from its journal or a finished result; owned by the
 * caller, NULL if there is neither. */
esc_status esc_unfinished_identity(const char *output, char **identity);

/* Reads shard `shard` of `shards`, of the run of `spec` and `identity`, whose files are beside
 * `output`. `whole` (may be NULL): the result whose members a run with --devices reuses. is_held:
 * a run writes. Free with esc_unfinished_part_free in either case. */
typedef struct esc_part_request {
  const char *output, *identity, *whole;
  const esc_spec *spec;
  int64_t shard, shards;
  bool is_held;
} esc_part_request;
esc_status esc_unfinished_part_read(const esc_part_request *request, esc_unfinished_part *part);
void esc_unfinished_part_free(esc_unfinished_part *part);

/* Fills rows `to`, `to` + 1, ... for the members of the part: in their present state (`active`:
 * a run trains), and for statistics, with `observed`. */
esc_status esc_unfinished_part_fill_now(const esc_unfinished_part *part, bool active,
                                        esc_results *now, int64_t to);
esc_status esc_unfinished_part_fill_results(const esc_unfinished_part *part, esc_results *results,
                                            int64_t to, esc_unfinished_basis *basis);

#endif
