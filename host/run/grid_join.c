/* SPDX-License-Identifier: Apache-2.0 */
/* Joins the results of a grid's points: one row a member, in the order of the sweep. */
#include <stdlib.h>

#include "escapement/internal/results_copy.h"
#include "run/grid.h"

/* The row of member `member` of a point in the results of the shard. */
static int64_t row_of(const esc_grid_run *g, int point, int64_t member) {
  const int64_t members_of_point = g->whole->plan.total / g->points;
  return (point * members_of_point + member - g->whole->shard) / g->whole->shards;
}

static void copy_point(const esc_grid_run *g, int point, esc_results *to) {
  const esc_results *from = g->point[point].run.results;
  for (int64_t i = 0; i < from->members; i++) {
    const int64_t row = row_of(g, point, from->member[i]);
    esc_results_copy_row(from, i, to, row);
    esc_results_copy_snapshots(from, i, to, row);
    to->member[row] = row * g->whole->shards + g->whole->shard;
    to->point[row] = point;
  }
}

static esc_status add_snapshots(const esc_grid_run *g, esc_results *to) {
  esc_status status = ESC_OK;
  const esc_results **from = malloc((size_t)g->points * sizeof *from);
  ESC_TRY_ALLOCATE(from);
  for (int i = 0; i < g->points; i++) from[i] = g->point[i].run.results;
  status = esc_results_add_union(g->points, from, to);
done:
  free(from);
  return status;
}

esc_status esc_grid_run_join(esc_grid_run *g) {
  esc_status status = ESC_OK;
  esc_run *const whole = g->whole;
  const esc_problem *p = &whole->spec->problem;
  ESC_TRY(esc_results_create(whole->plan.members, p->thresholds, esc_spec_layers_max(whole->spec),
                             &whole->results));
  for (int t = 0; t < p->thresholds; t++) whole->results->threshold[t] = p->threshold[t];
  ESC_TRY(esc_results_add_grid(whole->results, whole->spec->grid->grid));
  ESC_TRY(add_snapshots(g, whole->results));
  for (int i = 0; i < g->points; i++) copy_point(g, i, whole->results);
done:
  return status;
}
