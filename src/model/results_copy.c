/* SPDX-License-Identifier: Apache-2.0 */
#include "escapement/internal/results_copy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- rows ---- */

/* `to_length` values from `from_length`, NaN beyond these. */
static void copy_padded(const double *from, int64_t from_length, double *to, int64_t to_length) {
  const int64_t both = least(from_length, to_length);
  memcpy(to, from, (size_t)both * sizeof *to);
  for (int64_t i = both; i < to_length; i++) to[i] = (double)NAN;
}

/* Only doubles have axes of different lengths. */
void esc_results_copy_row(const esc_results *from, int64_t from_row, esc_results *to,
                          int64_t to_row) {
  for (int k = 0; k < esc_result_variable_count; k++) {
    const esc_result_variable *v = &esc_result_variables[k];
    const int64_t a = esc_axis_length(from, v->axis), b = esc_axis_length(to, v->axis);
    const size_t size = esc_type_size(v->type);
    const char *const source =
        (const char *)esc_result_data(from, v) + (size_t)(from_row * a) * size;
    char *const target = (char *)esc_result_data(to, v) + (size_t)(to_row * b) * size;
    if (a == b)
      memcpy(target, source, (size_t)a * size);
    else
      copy_padded((const double *)(const void *)source, a, (double *)(void *)target, b);
  }
}

/* ---- snapshots ---- */

static int compare_steps(const void *left, const void *right) {
  const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return (a > b) - (a < b);
}

static int64_t find_step(const esc_results *r, int64_t step) {
  const int64_t *const found =
      bsearch(&step, r->snapshot_step, (size_t)r->snapshots, sizeof step, compare_steps);
  return found ? found - r->snapshot_step : -1;
}

void esc_results_copy_snapshots(const esc_results *from, int64_t from_row, esc_results *to,
                                int64_t to_row) {
  if (!from->snapshots || !to->snapshots) return;
  for (int o = 0; o < ESC_OBSERVABLES; o++) {
    const int64_t a = esc_observable_length(from->layers, esc_observables[o].axis);
    const int64_t b = esc_observable_length(to->layers, esc_observables[o].axis);
    for (int64_t k = 0; k < from->snapshots; k++) {
      const int64_t index = find_step(to, from->snapshot_step[k]);
      if (index >= 0)
        copy_padded(from->observable[o] + (from_row * from->snapshots + k) * a, a,
                    to->observable[o] + (to_row * to->snapshots + index) * b, b);
    }
    copy_padded(from->observable_end[o] + from_row * a, a, to->observable_end[o] + to_row * b, b);
  }
}

esc_status esc_results_add_union(int count, const esc_results *const *from, esc_results *to) {
  esc_status status = ESC_OK;
  size_t steps = 0, used = 0;
  int64_t *step = NULL;
  for (int i = 0; i < count; i++) steps += (size_t)from[i]->snapshots;
  if (steps == 0) return ESC_OK;
  ESC_TRY_ALLOCATE(step = malloc(steps * sizeof *step));
  for (int i = 0; i < count; i++)
    for (int64_t k = 0; k < from[i]->snapshots; k++) step[used++] = from[i]->snapshot_step[k];
  qsort(step, used, sizeof *step, compare_steps);
  size_t distinct = 0;
  for (size_t i = 0; i < used; i++)
    if (i == 0 || step[i] != step[i - 1]) step[distinct++] = step[i];
  ESC_TRY(esc_results_add_snapshots(to, (int64_t)distinct));
  memcpy(to->snapshot_step, step, distinct * sizeof *step);
done:
  free(step);
  return status;
}

/* ---- one point ---- */

static bool is_of(const esc_results *r, int64_t i, int point) {
  return !r->grid || r->point[i] == point;
}

/* Whether any member of the point has an observation at snapshot k. */
static bool has_snapshot(const esc_results *r, int point, int64_t k) {
  for (int64_t i = 0; i < r->members; i++)
    for (int o = 0; o < ESC_OBSERVABLES && is_of(r, i, point); o++) {
      const int64_t length = esc_observable_length(r->layers, esc_observables[o].axis);
      if (!isnan(r->observable[o][(i * r->snapshots + k) * length])) return true;
    }
  return false;
}

static esc_status add_snapshots(const esc_results *from, int point, esc_results *to) {
  esc_status status = ESC_OK;
  int64_t steps = 0;
  int64_t *step = malloc(((size_t)from->snapshots + 1) * sizeof *step);
  ESC_TRY_ALLOCATE(step);
  for (int64_t k = 0; k < from->snapshots; k++)
    if (has_snapshot(from, point, k)) step[steps++] = from->snapshot_step[k];
  if (steps == 0) goto done;
  ESC_TRY(esc_results_add_snapshots(to, steps));
  memcpy(to->snapshot_step, step, (size_t)steps * sizeof *step);
done:
  free(step);
  return status;
}

esc_status esc_results_extract_point(const esc_results *from, int point, int layers,
                                     esc_results **out) {
  esc_status status = ESC_OK;
  int64_t members = 0, row = 0;
  esc_results *r = NULL;
  for (int64_t i = 0; i < from->members; i++) members += is_of(from, i, point);
  ESC_TRY(esc_results_create(members, from->thresholds, layers, &r));
  memcpy(r->threshold, from->threshold, (size_t)from->thresholds * sizeof *r->threshold);
  ESC_TRY(add_snapshots(from, point, r));
  for (int64_t i = 0; i < from->members; i++) {
    if (!is_of(from, i, point)) continue;
    esc_results_copy_row(from, i, r, row);
    esc_results_copy_snapshots(from, i, r, row);
    r->member[row] = row;
    row++;
  }
  *out = r;
  r = NULL;
done:
  esc_results_free(r);
  return status;
}
