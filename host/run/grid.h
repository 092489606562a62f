/* SPDX-License-Identifier: Apache-2.0 */
/* A run of a spec with a grid. Its points are trained one after another, each as a run of a sweep
 * without a grid with the files OUT.h5.point-ID (points.h), so that a network has the same bits as
 * in that sweep. When all points are complete, their results are joined to OUT.h5 and their files
 * deleted. Member m of the sweep is member m modulo n of point m / n, where n is the number of
 * members of a point; a shard has the members with m modulo the number of shards, of every point.
 */
#ifndef ESC_RUN_GRID_H
#define ESC_RUN_GRID_H

#include "run/point_slice.h"
#include "run/points.h"
#include "run/run.h"

typedef struct esc_grid_point {
  esc_run run; /* free with esc_run_free */
  char path[ESC_POINT_PATH_SIZE];
  char *label; /* "network.width = 16"; owned */
} esc_grid_point;

typedef struct esc_grid_run {
  esc_run *whole;
  int points, current;   /* current: the point in training */
  esc_grid_point *point; /* (points); owned */
  esc_progress before;   /* sums over the points before the current one */
  double seconds, flop;  /* of training; of all steps */
  double spent;          /* seconds at points that made steps, with their files */
} esc_grid_run;

/* Prepares every point of a prepared run: engine, resources, plan, and slices of whole->reused. */
esc_status esc_grid_run_create(esc_run *whole, esc_grid_run *out);
void esc_grid_run_free(esc_grid_run *grid);

/* esc_run_execute for a run of a spec with a grid. */
esc_status esc_grid_run_execute(esc_run *whole, int lock, bool *complete);

/* Refuses a high probability of false escapes at a point, or warns of it. */
esc_status esc_grid_run_check_false_escapes(esc_grid_run *grid);

/* Whether a step of a network, and a snapshot, cost as much at one point as at another: the same
 * shape, batch and rule, with other numbers. */
bool esc_grid_points_cost_the_same(const esc_run *a, const esc_run *b);

/* Joins the results of all points in whole->results. */
esc_status esc_grid_run_join(esc_grid_run *grid);

#endif
