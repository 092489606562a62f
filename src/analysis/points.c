/* SPDX-License-Identifier: Apache-2.0 */
#include "points.h"

#include <stdlib.h>
#include <string.h>

static int count_points(const esc_results *r) { return r->grid ? r->grid->points : 1; }

static bool is_same(const esc_grid *a, int at, const esc_grid *b, int bt) {
  if (!a || !b) return a == b;
  if (a->keys != b->keys) return false;
  for (int k = 0; k < a->keys; k++) {
    const int other = esc_grid_find_key(b, a->key[k]);
    if (other < 0 || strcmp(esc_grid_value(a, at, k), esc_grid_value(b, bt, other)) != 0)
      return false;
  }
  return true;
}

/* Points of one table differ from each other, so that only those of earlier tables are compared. */
static int find_point(const esc_fit_points *p, int earlier, const esc_grid *grid, int point) {
  for (int i = 0; i < earlier; i++)
    if (is_same(p->grid[i], p->point[i], grid, point)) return i;
  return -1;
}

static void add_table(esc_fit_points *p, const esc_results *r, int first) {
  const int earlier = p->count;
  for (int i = 0; i < count_points(r); i++) {
    int number = find_point(p, earlier, r->grid, i);
    if (number < 0) {
      number = p->count++;
      p->grid[number] = r->grid;
      p->point[number] = i;
    }
    p->number[first + i] = number;
  }
}

esc_status esc_fit_points_create(int tables, const esc_results *const *table, esc_fit_points *out) {
  esc_status status = ESC_OK;
  size_t all = 0;
  *out = (esc_fit_points){.count = 0};
  for (int t = 0; t < tables; t++) all += (size_t)count_points(table[t]);
  ESC_TRY_ALLOCATE(out->grid = calloc(all + 1, sizeof *out->grid));
  ESC_TRY_ALLOCATE(out->point = calloc(all + 1, sizeof *out->point));
  ESC_TRY_ALLOCATE(out->first = calloc((size_t)tables + 1, sizeof *out->first));
  ESC_TRY_ALLOCATE(out->number = calloc(all + 1, sizeof *out->number));
  for (int t = 0; t < tables; t++) {
    add_table(out, table[t], out->first[t]);
    out->first[t + 1] = out->first[t] + count_points(table[t]);
  }
done:
  return status;
}

void esc_fit_points_free(esc_fit_points *points) {
  free(points->grid);
  free(points->point);
  free(points->first);
  free(points->number);
  *points = (esc_fit_points){.count = 0};
}

int esc_fit_points_of_member(const esc_fit_points *points, int table, const esc_results *results,
                             int64_t i) {
  return points->number[points->first[table] + (results->grid ? results->point[i] : 0)];
}
