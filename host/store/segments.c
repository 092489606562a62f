/* SPDX-License-Identifier: Apache-2.0 */
#include "store/segments.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void esc_segments_print_digest(uint64_t digest, char text[ESC_SEGMENT_DIGEST_SIZE]) {
  snprintf(text, ESC_SEGMENT_DIGEST_SIZE, "%016llx", (unsigned long long)digest);
}

/* Steps of a result without segments: the sum over its members. */
static int64_t count_steps(const esc_results *r) {
  int64_t steps = 0;
  for (int64_t i = 0; i < r->members; i++) steps += r->steps_run[i];
  return steps;
}

static void copy_text(json_t *segment, const esc_results *r, const char *name) {
  const char *text = esc_results_attribute_text(r, name);
  json_object_set_new(segment, name, text ? json_string(text) : json_null());
}

static json_t *make_segment(const esc_results *r) {
  static const char *const names[] = {"start_time", "end_time",    "backend", "precision",
                                      "engine",     "device",      "host",    "version",
                                      "commit",     "command_line"};
  json_t *segment = json_object();
  const char *wall = esc_results_attribute_text(r, "wall_s");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) copy_text(segment, r, names[i]);
  json_object_set_new(segment, "wall_s", json_real(wall ? strtod(wall, NULL) : 0));
  json_object_set_new(segment, "steps", json_integer(count_steps(r)));
  json_object_set_new(segment, "members", json_integer(r->members));
  json_object_set_new(segment, "ended", json_string("finished"));
  return segment;
}

json_t *esc_segments_from_results(const esc_results *r) {
  const char *text = esc_results_attribute_text(r, "segments");
  json_t *segments = text ? json_loads(text, 0, NULL) : NULL;
  if (json_is_array(segments)) return segments;
  json_decref(segments);
  segments = json_array();
  if (esc_results_attribute_text(r, "start_time")) json_array_append_new(segments, make_segment(r));
  return segments;
}

void esc_segments_add_text(json_t *segments, const char *text, bool begins) {
  json_t *segment = json_loads(text, 0, NULL);
  const size_t count = json_array_size(segments);
  if (!json_is_object(segment))
    json_decref(segment);
  else if (begins || count == 0)
    json_array_append_new(segments, segment);
  else
    json_array_set_new(segments, count - 1, segment);
}

static bool is_among(const json_t *segments, const json_t *segment) {
  for (size_t i = 0; i < json_array_size(segments); i++)
    if (json_equal(json_array_get(segments, i), segment)) return true;
  return false;
}

esc_status esc_segments_join(json_t *segments, const json_t *more) {
  for (size_t i = 0; i < json_array_size(more); i++) {
    json_t *segment = json_array_get(more, i);
    if (is_among(segments, segment)) continue;
    if (json_array_append(segments, segment) != 0)
      return ESC_FAIL(ESC_NO_MEMORY, "out of memory (segments)");
  }
  return ESC_OK;
}

void esc_segments_scale(json_t *segments, int64_t taken, int64_t all) {
  const double share = all > 0 ? (double)taken / (double)all : 0;
  double exact = 0; /* cumulative rounding, so that the sum is `taken` */
  int64_t before = 0;
  if (taken == all) return;
  for (size_t i = 0; i < json_array_size(segments); i++) {
    json_t *segment = json_array_get(segments, i);
    const double seconds = json_number_value(json_object_get(segment, "wall_s"));
    exact += share * (double)json_integer_value(json_object_get(segment, "steps"));
    const int64_t steps = llround(exact) - before;
    before += steps;
    json_object_set_new(segment, "steps", json_integer(steps));
    json_object_set_new(segment, "wall_s", json_real(share * seconds));
    json_object_set_new(segment, "share", json_real(share));
  }
}

static bool is_same_point(const json_t *a, const json_t *b) {
  const json_t *of_a = json_object_get(a, "point"), *of_b = json_object_get(b, "point");
  return of_a && of_b ? json_equal(of_a, of_b) : of_a == of_b;
}

/* Whether two segments are of one invocation; wall_s may have been printed with fewer digits. */
static bool is_same_start(const json_t *a, const json_t *b) {
  static const char *const names[] = {"start_time",   "end_time", "host",
                                      "command_line", "steps",    "members"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (!json_equal(json_object_get(a, names[i]), json_object_get(b, names[i]))) return false;
  if (!is_same_point(a, b)) return false;
  return fabs(json_number_value(json_object_get(a, "wall_s")) -
              json_number_value(json_object_get(b, "wall_s"))) < 1e-3;
}

void esc_segments_remove_duplicates(json_t *segments) {
  for (size_t i = 0; i < json_array_size(segments); i++)
    for (size_t k = json_array_size(segments) - 1; k > i; k--)
      if (is_same_start(json_array_get(segments, i), json_array_get(segments, k)))
        json_array_remove(segments, k);
}

void esc_segments_set_point(json_t *segments, const char *point) {
  for (size_t i = 0; i < json_array_size(segments); i++)
    json_object_set_new(json_array_get(segments, i), "point", json_string(point));
}

void esc_segments_select_point(json_t *segments, const char *point) {
  for (size_t i = json_array_size(segments); i-- > 0;) {
    const char *of = json_string_value(json_object_get(json_array_get(segments, i), "point"));
    if (of && strcmp(of, point) != 0) json_array_remove(segments, i);
  }
}

static const char *text_of(const json_t *segment, const char *key) {
  const char *text = json_string_value(json_object_get(segment, key));
  return text ? text : "";
}

/* Insertion sort, which is stable for segments of the same second. */
esc_status esc_segments_sort(json_t **segments) {
  json_t *sorted = json_array();
  if (!sorted) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (segments)");
  for (size_t i = 0; i < json_array_size(*segments); i++) {
    json_t *segment = json_array_get(*segments, i);
    size_t k = json_array_size(sorted);
    while (k > 0 && strcmp(text_of(json_array_get(sorted, k - 1), "start_time"),
                           text_of(segment, "start_time")) > 0)
      k--;
    json_array_insert(sorted, k, segment);
  }
  json_decref(*segments);
  *segments = sorted;
  return ESC_OK;
}

esc_segments_total esc_segments_sum(const json_t *segments) {
  esc_segments_total total = {0};
  for (size_t i = 0; i < json_array_size(segments); i++) {
    const json_t *segment = json_array_get(segments, i);
    const char *start = text_of(segment, "start_time"), *end = text_of(segment, "end_time");
    total.seconds += json_number_value(json_object_get(segment, "wall_s"));
    total.steps += json_integer_value(json_object_get(segment, "steps"));
    if (!total.start || strcmp(start, total.start) < 0) total.start = start;
    if (!total.end || strcmp(end, total.end) > 0) total.end = end;
  }
  return total;
}

esc_status esc_segments_store(const json_t *segments, esc_results *results) {
  esc_status status = ESC_OK;
  const esc_segments_total total = esc_segments_sum(segments);
  char number[64];
  char *text = json_dumps(segments, JSON_COMPACT | JSON_REAL_PRECISION(9));
  ESC_TRY_ALLOCATE(text);
  ESC_TRY(esc_results_set_attribute(results, "segments", text));
  snprintf(number, sizeof number, "%.3f", total.seconds);
  ESC_TRY(esc_results_set_attribute(results, "wall_s", number));
  snprintf(number, sizeof number, "%lld", (long long)total.steps);
  ESC_TRY(esc_results_set_attribute(results, "network_steps", number));
  if (total.start) ESC_TRY(esc_results_set_attribute(results, "start_time", total.start));
  if (total.end) ESC_TRY(esc_results_set_attribute(results, "end_time", total.end));
done:
  free(text);
  return status;
}
