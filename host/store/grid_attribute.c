/* SPDX-License-Identifier: Apache-2.0 */
#include "store/grid_attribute.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "escapement/internal/number.h"

enum { KEYS_MAX = 64, POINTS_MAX = 1 << 16 };

/* ---- text ---- */

/* Numbers of a spec are numbers of JSON. */
static bool print_value(FILE *out, const esc_grid *g, int point, int k) {
  const char *const value = esc_grid_value(g, point, k);
  if (g->numeric[k]) return fputs(value, out) >= 0;
  json_t *const json = esc_json_text(value);
  char *const text = json_dumps(json, JSON_ENCODE_ANY);
  const bool printed = text && fputs(text, out) >= 0;
  free(text);
  json_decref(json);
  return printed;
}

static bool print_grid(FILE *out, const esc_grid *g) {
  bool printed = fputs("{\"keys\": [", out) >= 0;
  for (int k = 0; k < g->keys; k++) fprintf(out, "%s\"%s\"", k ? ", " : "", g->key[k]);
  fputs("], \"points\": [", out);
  for (int i = 0; i < g->points; i++)
    for (int k = 0; k < g->keys; k++) {
      fputs(k ? ", " : i ? ", [" : "[", out);
      printed = print_value(out, g, i, k) && printed;
      if (k == g->keys - 1) fputs("]", out);
    }
  return fputs("]}", out) >= 0 && printed;
}

char *esc_grid_attribute_print(const esc_grid *g) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (!out) return NULL;
  const bool printed = print_grid(out, g) && !ferror(out);
  if (fclose(out) == 0 && printed) return text;
  free(text);
  return NULL;
}

/* ---- from text ---- */

static esc_status refuse(const char *path) {
  return ESC_FAIL(ESC_BAD_INPUT,
                  "%s: its attribute grid is not the grid of a sweep: allowed is JSON with the "
                  "lists keys and points",
                  path);
}

static bool is_shape(const json_t *keys, const json_t *points) {
  const size_t count = json_array_size(keys);
  if (count == 0 || count > KEYS_MAX || json_array_size(points) == 0 ||
      json_array_size(points) > POINTS_MAX)
    return false;
  for (size_t k = 0; k < count; k++)
    if (!json_is_string(json_array_get(keys, k))) return false;
  for (size_t i = 0; i < json_array_size(points); i++) {
    const json_t *const point = json_array_get(points, i);
    if (json_array_size(point) != count) return false;
    for (size_t k = 0; k < count; k++)
      if (!json_is_number(json_array_get(point, k)) && !json_is_string(json_array_get(point, k)))
        return false;
  }
  return true;
}

/* The same text as before printing. */
static esc_status set_value(esc_grid *g, int point, int k, const json_t *value) {
  char text[ESC_NUMBER_SIZE] = "";
  if (json_is_integer(value))
    snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
  else if (json_is_real(value))
    esc_number_print(json_real_value(value), text, sizeof text);
  return esc_grid_set_value(g, point, k, *text ? text : json_string_value(value));
}

static esc_status fill(const json_t *keys, const json_t *points, esc_grid *g) {
  esc_status status = ESC_OK;
  for (int k = 0; k < g->keys; k++) {
    bool numeric = true;
    for (int i = 0; i < g->points; i++) {
      const json_t *value = json_array_get(json_array_get(points, (size_t)i), (size_t)k);
      numeric = numeric && json_is_number(value);
      ESC_TRY(set_value(g, i, k, value));
    }
    ESC_TRY(esc_grid_set_key(g, k, json_string_value(json_array_get(keys, (size_t)k)), numeric));
  }
done:
  return status;
}

esc_status esc_grid_attribute_parse(const char *path, const char *text, esc_grid **out) {
  esc_status status = ESC_OK;
  esc_grid *grid = NULL;
  json_t *const object = json_loads(text, 0, NULL);
  const json_t *keys = json_object_get(object, "keys"), *points = json_object_get(object, "points");
  if (!is_shape(keys, points)) {
    status = refuse(path);
    goto done;
  }
  ESC_TRY(esc_grid_create((int)json_array_size(keys), (int)json_array_size(points), &grid));
  ESC_TRY(fill(keys, points, grid));
  *out = grid;
  grid = NULL;
done:
  esc_grid_free(grid);
  json_decref(object);
  return status;
}

esc_status esc_results_check_points(const char *path, const esc_results *r) {
  for (int64_t i = 0; r->grid && i < r->members; i++)
    if (r->point[i] < 0 || r->point[i] >= r->grid->points)
      return ESC_FAIL(ESC_BAD_INPUT, "%s: row %lld has point %d of a grid of %d", path,
                      (long long)i, r->point[i], r->grid->points);
  return ESC_OK;
}
