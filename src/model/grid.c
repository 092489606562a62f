/* SPDX-License-Identifier: Apache-2.0 */
/* The swept keys of a grid and their values (grid.h). */
#include "escapement/internal/grid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

esc_status esc_grid_create(int keys, int points, esc_grid **out) {
  esc_status status = ESC_OK;
  const size_t values = (size_t)keys * (size_t)points;
  esc_grid *g = calloc(1, sizeof *g);
  ESC_TRY_ALLOCATE(g);
  g->keys = keys;
  g->points = points;
  ESC_TRY_ALLOCATE(g->key = calloc((size_t)keys + 1, sizeof *g->key));
  ESC_TRY_ALLOCATE(g->numeric = calloc((size_t)keys + 1, sizeof *g->numeric));
  ESC_TRY_ALLOCATE(g->value = calloc(values + 1, sizeof *g->value));
  *out = g;
  g = NULL;
done:
  esc_grid_free(g);
  return status;
}

void esc_grid_free(esc_grid *g) {
  if (!g) return;
  for (int k = 0; g->key && k < g->keys; k++) free(g->key[k]);
  for (int i = 0; g->value && i < g->keys * g->points; i++) free(g->value[i]);
  free(g->key);
  free(g->numeric);
  free(g->value);
  free(g);
}

static esc_status set(char **text, const char *value) {
  char *const copy = strdup(value);
  if (!copy) return ESC_FAIL(ESC_NO_MEMORY, "out of memory (grid)");
  free(*text);
  *text = copy;
  return ESC_OK;
}

esc_status esc_grid_set_key(esc_grid *g, int k, const char *key, bool numeric) {
  g->numeric[k] = numeric;
  return set(&g->key[k], key);
}

esc_status esc_grid_set_value(esc_grid *g, int point, int k, const char *value) {
  return set(&g->value[point * g->keys + k], value);
}

const char *esc_grid_value(const esc_grid *g, int point, int k) {
  return g->value[point * g->keys + k];
}

esc_status esc_grid_copy(const esc_grid *g, esc_grid **out) {
  esc_status status = ESC_OK;
  esc_grid *copy = NULL;
  ESC_TRY(esc_grid_create(g->keys, g->points, &copy));
  for (int k = 0; k < g->keys; k++) ESC_TRY(esc_grid_set_key(copy, k, g->key[k], g->numeric[k]));
  for (int i = 0; i < g->keys * g->points; i++) ESC_TRY(set(&copy->value[i], g->value[i]));
  *out = copy;
  copy = NULL;
done:
  esc_grid_free(copy);
  return status;
}

int esc_grid_find_key(const esc_grid *g, const char *key) {
  for (int k = 0; k < g->keys; k++)
    if (!strcmp(g->key[k], key)) return k;
  return -1;
}

char *esc_grid_print_point(const esc_grid *g, int point) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (!out) return NULL;
  for (int k = 0; k < g->keys; k++)
    fprintf(out, "%s%s = %s", k ? ", " : "", g->key[k], esc_grid_value(g, point, k));
  const bool failed = ferror(out) != 0;
  if (fclose(out) == 0 && !failed) return text;
  free(text);
  return NULL;
}

void esc_grid_print_variable(const char *key, char *text, int size) {
  snprintf(text, (size_t)size, "%s", key);
  for (char *c = text; *c; c++)
    if (*c == '.') *c = '_';
}
