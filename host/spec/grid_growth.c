/* SPDX-License-Identifier: Apache-2.0 */
#include "spec/grid_growth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spec/difference.h"
#include "spec/point_id.h"

/* ---- points by identity ---- */

typedef struct entry {
  uint64_t id;
  int point;
} entry;

static int compare(const void *left, const void *right) {
  const entry *a = left, *b = right;
  return (a->id > b->id) - (a->id < b->id);
}

static esc_status list_points(const esc_spec *spec, entry *list) {
  for (int i = 0; i < esc_spec_count_points(spec); i++) {
    char *const text = esc_spec_resolved(esc_spec_point(spec, i));
    if (!text) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (points)");
    list[i] = (entry){esc_point_id(text), i};
    free(text);
  }
  qsort(list, (size_t)esc_spec_count_points(spec), sizeof *list, compare);
  return ESC_OK;
}

esc_status esc_point_index_create(const esc_spec *spec, esc_point_index *out) {
  esc_status status = ESC_OK;
  const size_t points = (size_t)esc_spec_count_points(spec);
  entry *list = malloc(points * sizeof *list);
  *out = (esc_point_index){.points = (int)points};
  ESC_TRY_ALLOCATE(list);
  ESC_TRY_ALLOCATE(out->id = malloc(points * sizeof *out->id));
  ESC_TRY_ALLOCATE(out->point = malloc(points * sizeof *out->point));
  ESC_TRY(list_points(spec, list));
  for (size_t i = 0; i < points; i++) {
    out->id[i] = list[i].id;
    out->point[i] = list[i].point;
  }
done:
  free(list);
  return status;
}

esc_status esc_point_index_parse(const char *path, const char *text, esc_point_index *out) {
  esc_status status = ESC_OK;
  esc_spec *spec = NULL;
  *out = (esc_point_index){.points = 0};
  ESC_TRY(esc_spec_parse(path, text, strlen(text), 0, NULL, &spec));
  status = esc_point_index_create(spec, out);
  out->spec = spec;
done:
  return status;
}

void esc_point_index_free(esc_point_index *index) {
  free(index->id);
  free(index->point);
  esc_spec_free(index->spec);
  *index = (esc_point_index){.points = 0};
}

static int compare_ids(const void *left, const void *right) {
  const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

int esc_point_index_find(const esc_point_index *index, uint64_t id) {
  if (!index->points) return -1;
  const uint64_t *const found =
      bsearch(&id, index->id, (size_t)index->points, sizeof id, compare_ids);
  return found ? index->point[found - index->id] : -1;
}

/* ---- growth ---- */

static esc_status refuse_point(const char *path, const esc_spec *before, int point) {
  char *const label = before->grid ? esc_grid_print_point(before->grid->grid, point) : NULL;
  const esc_status status = ESC_FAIL(
      ESC_BAD_INPUT,
      "%s: %s%.600s is not a point of this sweep, which would remove its members; --resume may add "
      "seeds, scales, groups and points of the grid; choose another output with -o, or start over "
      "with --force",
      path, label ? "" : "its sweep without a grid", label ? label : "");
  free(label);
  return status;
}

/* Every network of a point of `before` is at the same point of `now`. */
static esc_status check_point(const char *path, const esc_spec *before, int point,
                              const esc_point_index *index, const esc_spec *now) {
  esc_status status = ESC_OK;
  esc_spec *parsed = NULL;
  char *then = NULL, *text = NULL;
  ESC_TRY_ALLOCATE(then = esc_spec_resolved(esc_spec_point(before, point)));
  const int found = esc_point_index_find(index, esc_point_id(then));
  if (found < 0) {
    status = refuse_point(path, before, point);
    goto done;
  }
  ESC_TRY_ALLOCATE(text = esc_spec_resolved(esc_spec_point(now, found)));
  ESC_TRY(esc_spec_check_growth(path, then, esc_spec_point(now, found), text, &parsed));
done:
  esc_spec_free(parsed);
  free(then);
  free(text);
  return status;
}

esc_status esc_grid_check_growth(const char *path, const char *before_text, const esc_spec *now) {
  esc_status status = ESC_OK;
  esc_spec *before = NULL;
  esc_point_index index = {.points = 0};
  ESC_TRY(esc_point_index_create(now, &index));
  ESC_TRY(esc_spec_parse(path, before_text, strlen(before_text), 0, NULL, &before));
  for (int i = 0; i < esc_spec_count_points(before); i++)
    ESC_TRY(check_point(path, before, i, &index, now));
done:
  esc_point_index_free(&index);
  esc_spec_free(before);
  return status;
}
