/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the table of a fit group from its rows. */
#include "seed_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double esc_log_step(double step) { return log(step < 0.5 ? 0.5 : step); }

static int compare_seeds(const void *left, const void *right) {
  const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return (a > b) - (a < b);
}

/* Distinct seeds of the used members, ascending. */
static int64_t list_seeds(size_t n, const esc_fit_row *rows, int64_t *seed) {
  size_t all = 0;
  int64_t distinct = 0;
  for (size_t i = 0; i < n; i++)
    if (esc_fit_row_is_used(&rows[i])) seed[all++] = rows[i].seed;
  qsort(seed, all, sizeof *seed, compare_seeds);
  for (size_t i = 0; i < all; i++)
    if (distinct == 0 || seed[i] != seed[distinct - 1]) seed[distinct++] = seed[i];
  return distinct;
}

static int count_scales(size_t n, const esc_fit_row *rows) {
  int points = 1;
  for (size_t i = 1; i < n; i++) points += rows[i].scale != rows[i - 1].scale;
  return points;
}

static void fill_scales(size_t n, const esc_fit_row *rows, esc_seed_table *table) {
  int point = -1;
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || rows[i].scale != rows[i - 1].scale) {
      table->scale[++point] = rows[i].scale;
      table->log_scale[point] = log(rows[i].scale);
    }
    table->waiting[point] += rows[i].waiting;
  }
}

/* The cells in the order of the rows, by point and then by seed. */
static void list_cells(size_t n, const esc_fit_row *rows, const int64_t *seed,
                       const esc_seed_table *table, esc_cell *cell) {
  int point = 0;
  for (size_t i = 0; i < n; i++) {
    if (i > 0 && rows[i].scale != rows[i - 1].scale) point++;
    if (!esc_fit_row_is_used(&rows[i])) continue;
    const int64_t *found =
        bsearch(&rows[i].seed, seed, (size_t)table->seeds, sizeof *seed, compare_seeds);
    *cell++ = (esc_cell){point,          found - seed,     rows[i].step,
                         rows[i].budget, rows[i].censored, rows[i].running};
  }
}

/* Counting sorts: the cells by seed, and the index of the order by point. */
static void index_cells(const esc_cell *by_point, esc_seed_table *table) {
  for (int64_t i = 0; i < table->cells; i++) {
    table->seed_begin[by_point[i].seed + 1]++;
    table->point_begin[by_point[i].point + 1]++;
  }
  for (int64_t s = 0; s < table->seeds; s++) table->seed_begin[s + 1] += table->seed_begin[s];
  for (int p = 0; p < table->points; p++) table->point_begin[p + 1] += table->point_begin[p];
  for (int64_t i = 0; i < table->cells; i++) {
    const int64_t index = table->seed_begin[by_point[i].seed]++;
    table->cell[index] = by_point[i];
    table->column[i] = index;
  }
  memmove(table->seed_begin + 1, table->seed_begin,
          (size_t)table->seeds * sizeof *table->seed_begin);
  table->seed_begin[0] = 0;
}

static esc_status allocate(esc_seed_table *table) {
  esc_status status = ESC_OK;
  const size_t points = (size_t)table->points, cells = (size_t)table->cells;
  table->scale = malloc(points * sizeof *table->scale);
  table->log_scale = malloc(points * sizeof *table->log_scale);
  table->waiting = calloc(points, sizeof *table->waiting);
  table->cell = malloc((cells + 1) * sizeof *table->cell);
  table->column = malloc((cells + 1) * sizeof *table->column);
  table->seed_begin = calloc((size_t)table->seeds + 2, sizeof *table->seed_begin);
  table->point_begin = calloc(points + 1, sizeof *table->point_begin);
  ESC_TRY_ALLOCATE(table->scale);
  ESC_TRY_ALLOCATE(table->log_scale);
  ESC_TRY_ALLOCATE(table->waiting);
  ESC_TRY_ALLOCATE(table->cell);
  ESC_TRY_ALLOCATE(table->column);
  ESC_TRY_ALLOCATE(table->seed_begin);
  ESC_TRY_ALLOCATE(table->point_begin);
done:
  return status;
}

esc_status esc_seed_table_create(size_t n, const esc_fit_row *rows, esc_seed_table *table) {
  esc_status status = ESC_OK;
  *table = (esc_seed_table){.points = 0};
  esc_cell *by_point = malloc(n * sizeof *by_point);
  int64_t *seed = malloc(n * sizeof *seed);
  ESC_TRY_ALLOCATE(by_point);
  ESC_TRY_ALLOCATE(seed);
  table->seeds = list_seeds(n, rows, seed);
  table->points = count_scales(n, rows);
  for (size_t i = 0; i < n; i++) table->cells += esc_fit_row_is_used(&rows[i]);
  ESC_TRY(allocate(table));
  fill_scales(n, rows, table);
  list_cells(n, rows, seed, table, by_point);
  index_cells(by_point, table);
done:
  free(seed);
  free(by_point);
  return status;
}

void esc_seed_table_free(esc_seed_table *table) {
  free(table->scale);
  free(table->log_scale);
  free(table->waiting);
  free(table->cell);
  free(table->seed_begin);
  free(table->column);
  free(table->point_begin);
  *table = (esc_seed_table){.points = 0};
}
