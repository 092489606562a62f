/* SPDX-License-Identifier: Apache-2.0 */
/* Segments of a run: one for each start of the program that trained members of a result,
 * as JSON objects
 *   {start_time, end_time, wall_s, steps, members, ended, backend, precision, engine,
 *    device, threads, slots, host, version, commit, command_line}
 * (and `share`: see esc_segments_scale) with steps and members finished in it, and `ended` one of
 * "finished", "interrupted", "max-time", "failed"; null where the process was killed, whose last
 * steps and seconds are then not counted. */
#ifndef ESC_SEGMENTS_H
#define ESC_SEGMENTS_H

#include <jansson.h>
#include <stdbool.h>

#include "escapement/internal/results.h"

/* The segments of a result, a new reference; of one that was written before there were
 * segments, a single one from its attributes. */
json_t *esc_segments_from_results(const esc_results *results);

/* Adds a segment given as text; `begins` false: it replaces the last. What is no JSON
 * object is left out. */
void esc_segments_add_text(json_t *segments, const char *text, bool begins);

/* Keeps the first of segments that are the same start of the program: a journal that a crash
 * left beside its published result repeats those of the result. */
void esc_segments_remove_duplicates(json_t *segments);

/* Adds those of `more` that are not there yet. */
esc_status esc_segments_join(json_t *segments, const json_t *more);

/* Makes steps and seconds of `segments` those of the members that are taken from their result,
 * whose steps are `taken` of `all`; `share` in each segment is the fraction. */
void esc_segments_scale(json_t *segments, int64_t taken, int64_t all);

/* Sorts by start time (shards are joined one after the other). */
esc_status esc_segments_sort(json_t **segments);

typedef struct esc_segments_total {
  double seconds;
  int64_t steps;
  const char *start, *end; /* first and last time, NULL without segments; borrowed */
} esc_segments_total;
esc_segments_total esc_segments_sum(const json_t *segments);

/* Sets the attributes segments, wall_s, network_steps, start_time and end_time. */
esc_status esc_segments_store(const json_t *segments, esc_results *results);

#endif
