/* SPDX-License-Identifier: Apache-2.0 */
/* Grid of a sweep: the keys of the spec that it varies, and its points. A point has one value for
 * each key and is a sweep without a grid: all members of one point share a problem. */
#ifndef ESCAPEMENT_INTERNAL_GRID_H
#define ESCAPEMENT_INTERNAL_GRID_H

#include <stdbool.h>

#include "escapement/internal/status.h"

typedef struct esc_grid {
  int keys, points;
  char **key;    /* (keys) "network.width"; owned */
  bool *numeric; /* (keys) whether every value is a number */
  char **value;  /* (points, keys) text, as in a spec but without quotes; owned */
} esc_grid;

/* A grid without keys and values. Free with esc_grid_free (NULL is allowed). */
esc_status esc_grid_create(int keys, int points, esc_grid **out);
void esc_grid_free(esc_grid *grid);
esc_status esc_grid_copy(const esc_grid *grid, esc_grid **out);

/* Set key `k`, and its value at a point; texts are copied. */
esc_status esc_grid_set_key(esc_grid *grid, int k, const char *key, bool numeric);
esc_status esc_grid_set_value(esc_grid *grid, int point, int k, const char *value);

/* Value of key `k` at a point. */
const char *esc_grid_value(const esc_grid *grid, int point, int k);

/* Index of a key, -1: not swept. */
int esc_grid_find_key(const esc_grid *grid, const char *key);

/* "network.width = 16, train.batch = 8"; malloc'd, NULL: out of memory. */
char *esc_grid_print_point(const esc_grid *grid, int point);

/* Name of a key's variable in results: "network_width". Cut to `size` bytes. */
void esc_grid_print_variable(const char *key, char *text, int size);

#endif
