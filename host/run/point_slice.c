/* SPDX-License-Identifier: Apache-2.0 */
#include "run/point_slice.h"

#include <stdlib.h>
#include <string.h>

#include "escapement/internal/results_copy.h"
#include "spec/difference.h"
#include "spec/point_id.h"
#include "store/segments.h"

esc_status esc_point_source_create(const char *path, const esc_results *results,
                                   esc_point_source *out) {
  *out = (esc_point_source){.path = path, .results = results};
  const char *const spec = results ? esc_results_attribute_text(results, "spec") : NULL;
  if (!results) return ESC_OK;
  if (!spec) return ESC_FAIL(ESC_BAD_INPUT, "%s: lacks the attribute spec", path);
  return esc_point_index_parse(path, spec, &out->index);
}

esc_status esc_point_slice_check(const char *path, const esc_results *slice,
                                 const char *precision) {
  const char *const found = slice ? esc_results_attribute_text(slice, "precision") : precision;
  if (found && !strcmp(found, precision)) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: its members of this point have the precision %s, but this run has %s", path,
                  found ? found : "(not given)", precision);
}

void esc_point_source_free(esc_point_source *source) { esc_point_index_free(&source->index); }

/* Whether the sweep of the file's point is this one, up to its extent. */
static esc_status check_same(const esc_point_source *source, int point, const char *resolved,
                             bool *same) {
  static const char *const extent[] = {"name", "escape.false_escapes", "sweep.seeds",
                                       "sweep.groups", NULL};
  esc_spec_difference d;
  char *const text = esc_spec_resolved(esc_spec_point(source->index.spec, point));
  if (!text) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (a point's spec)");
  *same = !esc_spec_differ(text, resolved, extent, &d);
  free(text);
  return ESC_OK;
}

static esc_status copy_attributes(const esc_results *from, const char *resolved, esc_results *to) {
  esc_status status = ESC_OK;
  for (int i = 0; i < from->attributes; i++)
    if (strcmp(from->attribute[i].name, "grid") != 0)
      ESC_TRY(esc_results_set_attribute(to, from->attribute[i].name, from->attribute[i].text));
  ESC_TRY(esc_results_set_attribute(to, "spec", resolved));
done:
  return status;
}

/* Points of different shapes can be trained by engines of different precision. */
static esc_status set_precision(const json_t *segments, esc_results *slice) {
  const size_t count = json_array_size(segments);
  const json_t *last = count ? json_array_get(segments, count - 1) : NULL;
  const char *precision = json_string_value(json_object_get(last, "precision"));
  return precision ? esc_results_set_attribute(slice, "precision", precision) : ESC_OK;
}

/* Segments that trained other points of the file's grid are left out. */
static esc_status select_segments(const esc_point_source *source, int point, esc_results *slice) {
  esc_status status = ESC_OK;
  json_t *const segments = esc_segments_from_results(slice);
  const esc_spec_grid *grid = source->index.spec->grid;
  char *const label = grid ? esc_grid_print_point(grid->grid, point) : NULL;
  ESC_TRY_ALLOCATE(segments);
  if (grid) ESC_TRY_ALLOCATE(label);
  if (grid) esc_segments_select_point(segments, label);
  ESC_TRY(esc_segments_store(segments, slice));
  ESC_TRY(set_precision(segments, slice));
done:
  json_decref(segments);
  free(label);
  return status;
}

esc_status esc_point_slice_create(const esc_point_source *source, const esc_spec *point,
                                  const char *resolved, esc_results **out) {
  esc_status status = ESC_OK;
  esc_results *slice = NULL;
  *out = NULL;
  const int found =
      source->results ? esc_point_index_find(&source->index, esc_point_id(resolved)) : -1;
  bool same = false;
  if (found >= 0) ESC_TRY(check_same(source, found, resolved, &same));
  if (!same) return ESC_OK;
  if (source->results->thresholds != point->problem.thresholds)
    return ESC_FAIL(ESC_BAD_INPUT, "%s: has %d thresholds, but its spec describes %d", source->path,
                    source->results->thresholds, point->problem.thresholds);
  ESC_TRY(esc_results_extract_point(source->results, found, point->problem.shape.layers, &slice));
  ESC_TRY(esc_results_check(source->path, slice, &point->problem));
  ESC_TRY(copy_attributes(source->results, resolved, slice));
  ESC_TRY(select_segments(source, found, slice));
  if (slice->members > 0) {
    *out = slice;
    slice = NULL;
  }
done:
  esc_results_free(slice);
  return status;
}
