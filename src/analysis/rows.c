/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the members of result tables, sorts them into groups, and rejects duplicates. */
#include "rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COMPARE(field) \
  if (a->field != b->field) return a->field < b->field ? -1 : 1

static int by_scale(const void *left, const void *right) {
  const esc_fit_row *a = left, *b = right;
  COMPARE(point);
  COMPARE(bottleneck);
  COMPARE(small_layers);
  COMPARE(scale);
  return 0;
}

static int by_group(const esc_fit_row *a, const esc_fit_row *b) {
  COMPARE(point);
  COMPARE(bottleneck);
  COMPARE(small_layers);
  COMPARE(threshold);
  return 0;
}

static int by_group_scale_seed(const void *left, const void *right) {
  const esc_fit_row *a = left, *b = right;
  const int order = by_group(a, b);
  if (order) return order;
  COMPARE(scale);
  COMPARE(seed);
  COMPARE(table);
  return 0;
}

static esc_fit_row read_row(const esc_results *r, int table, int64_t i, int k) {
  const int64_t step = r->escape_step[i * r->thresholds + k];
  return (esc_fit_row){.bottleneck = r->bottleneck[i],
                       .small_layers = r->small_layers[i],
                       .table = table,
                       .threshold = r->threshold[k],
                       .scale = r->scale[i],
                       .seed = r->seed[i],
                       .budget = r->observed ? r->observed[i] : (double)INFINITY,
                       .signal = r->signal_initial[i],
                       .step = (double)(step < 0 ? r->steps_run[i] : step),
                       .censored = step < 0,
                       .diverged = r->status[i] == ESC_MEMBER_DIVERGED,
                       .running = step < 0 && r->status[i] == ESC_MEMBER_RUNNING,
                       .waiting = r->status[i] == ESC_MEMBER_WAITING};
}

/* Rejects invalid numbers of a fabricated or damaged table. A NaN, which is equal to nothing, would
 * make a group endless. */
static esc_status check_row(const esc_results *r, int table, int64_t i, int k) {
  const int64_t step = r->escape_step[i * r->thresholds + k];
  const char *name = NULL, *allowed = "finite, 0 or above";
  double value = 0;
  if (!(isfinite(r->scale[i]) && r->scale[i] >= 0))
    name = "scale", value = r->scale[i];
  else if (!isfinite(r->threshold[k]))
    name = "threshold", value = r->threshold[k], allowed = "a finite number";
  else if (r->bottleneck[i] < 0)
    name = "bottleneck", value = r->bottleneck[i], allowed = "0 or above";
  else if (step < -1)
    name = "escape_step", value = (double)step, allowed = "-1 (not crossed) or above";
  else if (step < 0 && r->steps_run[i] < 0)
    name = "steps_run", value = (double)r->steps_run[i], allowed = "0 or above";
  if (!name) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "fit: table %d, member %lld: %s is %g; allowed: %s", table + 1,
                  (long long)r->member[i], name, value, allowed);
}

static esc_status collect_rows(int tables, const esc_results *const *table,
                               const esc_fit_points *points, esc_fit_row **out, size_t *count) {
  esc_status status = ESC_OK;
  size_t total = 0, n = 0;
  esc_fit_row *rows = NULL;
  for (int t = 0; t < tables; t++)
    total += (size_t)table[t]->members * (size_t)table[t]->thresholds;
  rows = malloc((total > 0 ? total : 1) * sizeof *rows);
  ESC_TRY_ALLOCATE(rows);
  for (int t = 0; t < tables; t++)
    for (int64_t i = 0; i < table[t]->members; i++)
      for (int k = 0; k < table[t]->thresholds; k++) {
        ESC_TRY(check_row(table[t], t, i, k));
        rows[n] = read_row(table[t], t, i, k);
        rows[n++].point = esc_fit_points_of_member(points, t, table[t], i);
      }
  *out = rows;
  *count = n;
  rows = NULL;
done:
  free(rows);
  return status;
}

/* Merges scales that differ by rounding (0.3 and the end of a log-spaced range). Rows in the order
 * of by_scale. */
static void merge_scales(size_t n, esc_fit_row *rows) {
  for (size_t i = 1; i < n; i++)
    if (rows[i].point == rows[i - 1].point && rows[i].bottleneck == rows[i - 1].bottleneck &&
        rows[i].small_layers == rows[i - 1].small_layers &&
        rows[i].scale <= rows[i - 1].scale * (1 + 1e-12))
      rows[i].scale = rows[i - 1].scale;
}

static esc_status refuse_twice(const esc_fit_points *points, const esc_fit_row *a,
                               const esc_fit_row *b) {
  esc_status status = ESC_OK;
  const esc_grid *const grid = points->grid[a->point];
  char *const label = grid ? esc_grid_print_point(grid, points->point[a->point]) : strdup("");
  ESC_TRY_ALLOCATE(label);
  status = ESC_FAIL(ESC_BAD_INPUT,
                    "fit: %.300s%sbottleneck %d, scale %g, seed %lld at threshold %g appears twice "
                    "(tables %d and %d); give every member once",
                    label, label[0] ? ", " : "", a->bottleneck, a->scale, (long long)a->seed,
                    a->threshold, a->table + 1, b->table + 1);
done:
  free(label);
  return status;
}

static esc_status check_duplicates(const esc_fit_points *points, size_t n,
                                   const esc_fit_row *rows) {
  for (size_t i = 1; i < n; i++) {
    const esc_fit_row *a = &rows[i - 1], *b = &rows[i];
    if (by_group(a, b) || a->scale != b->scale || a->seed != b->seed) continue;
    return refuse_twice(points, a, b);
  }
  return ESC_OK;
}

/* All members of a scale in one run have the same budget; that of an escaped member is at least its
 * escape step. Rows of an unfinished run have their budget already: any choice by their steps would
 * depend on them. `budget` (tables) is workspace. */
static void find_budgets(size_t n, esc_fit_row *rows, int tables, double *budget) {
  for (size_t first = 0, end; first < n; first = end) {
    for (end = first; end < n && by_group(&rows[first], &rows[end]) == 0 &&
                      rows[end].scale == rows[first].scale;)
      end++;
    for (int t = 0; t < tables; t++) budget[t] = -1;
    for (size_t i = first; i < end; i++)
      if (rows[i].censored && !rows[i].diverged && isinf(rows[i].budget))
        budget[rows[i].table] = fmax(budget[rows[i].table], rows[i].step);
    for (size_t i = first; i < end; i++) {
      const double given = budget[rows[i].table];
      if (given >= 0 && isinf(rows[i].budget))
        rows[i].budget = rows[i].censored ? rows[i].step : fmax(given, rows[i].step);
    }
  }
}

size_t esc_fit_group_end(size_t n, const esc_fit_row *rows, size_t first) {
  size_t end = first + 1;
  while (end < n && by_group(&rows[first], &rows[end]) == 0) end++;
  return end;
}

esc_status esc_fit_rows(int tables, const esc_results *const *table, const esc_fit_points *points,
                        esc_fit_row **rows, size_t *count) {
  esc_status status = ESC_OK;
  double *budget = malloc(((size_t)tables + 1) * sizeof *budget);
  ESC_TRY_ALLOCATE(budget);
  ESC_TRY(collect_rows(tables, table, points, rows, count));
  qsort(*rows, *count, sizeof **rows, by_scale);
  merge_scales(*count, *rows);
  qsort(*rows, *count, sizeof **rows, by_group_scale_seed);
  ESC_TRY(check_duplicates(points, *count, *rows));
  find_budgets(*count, *rows, tables, budget);
done:
  free(budget);
  return status;
}
