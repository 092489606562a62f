/* SPDX-License-Identifier: Apache-2.0 */
/* Segments of a run: one for each invocation of the program that trained members of the result (as
 * job steps are of a job), as JSON objects {start_time, end_time, wall_s, steps, slot_steps,
 * members, ended, backend, precision, engine, device, threads, slots, host, version, commit,
 * command_line} (and `share`: see esc_segments_scale). steps and members are those finished in the
 * segment; `ended` is "finished", "interrupted", "max-time", "failed", or null if the process was
 * killed, whose last steps and seconds are then not counted. In the journal of an unfinished run
 * also `checkpoint`, the digest of the newest checkpoint (checkpoint.h) as 16 hexadecimal digits.
 */
#ifndef ESC_SEGMENTS_H
#define ESC_SEGMENTS_H

#include <jansson.h>
#include <stdbool.h>

#include "escapement/internal/results.h"

#define ESC_SEGMENT_CHECKPOINT "checkpoint"
enum { ESC_SEGMENT_DIGEST_SIZE = 17 };

void esc_segments_print_digest(uint64_t digest, char text[ESC_SEGMENT_DIGEST_SIZE]);

/* The segments of a result, a new reference; for a file without segments, of an earlier version,
 * one made from its attributes. */
json_t *esc_segments_from_results(const esc_results *results);

/* Adds a segment given as text, or with `begins` false replaces the last. Text that is not a JSON
 * object is ignored. */
void esc_segments_add_text(json_t *segments, const char *text, bool begins);

/* Removes repeated segments of one invocation: a journal left by a crash beside its result repeats
 * the segments of the result. */
void esc_segments_remove_duplicates(json_t *segments);

/* Adds the segments of `more` that `segments` lacks. */
esc_status esc_segments_join(json_t *segments, const json_t *more);

/* Scales steps and seconds of `segments` by `taken` / `all`, the fraction of the steps whose
 * members are reused; stores the fraction as `share` in each segment. */
void esc_segments_scale(json_t *segments, int64_t taken, int64_t all);

/* Sets the point of a grid that the segments trained; and removes those of other points. */
void esc_segments_set_point(json_t *segments, const char *point);
void esc_segments_select_point(json_t *segments, const char *point);

/* Sorts by start time. */
esc_status esc_segments_sort(json_t **segments);

typedef struct esc_segments_total {
  double seconds;
  int64_t steps;
  const char *start, *end; /* first and last time; NULL without segments; borrowed */
} esc_segments_total;
esc_segments_total esc_segments_sum(const json_t *segments);

/* Sets the attributes segments, wall_s, network_steps, start_time and end_time. */
esc_status esc_segments_store(const json_t *segments, esc_results *results);

#endif
