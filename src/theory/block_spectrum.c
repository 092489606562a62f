/* SPDX-License-Identifier: Apache-2.0 */
/* Rotations theta and off-block amplitudes omega on the plateau of several modes (docs/theory,
 * sections 6.7 and 6.9): their block of the Jacobian, and Duhamel's form with frozen coefficients
 * compared with the integrated flow. */
#include <cvodes/cvodes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "block_path.h"
#include "escapement/internal/spectrum.h"

enum { MODES = ESC_BLOCK_MODES_MAX, PAIRS_MAX = MODES * (MODES - 1) };
static const double zero_tolerance = 1e-10, departure_tolerance = 0.1;

esc_status esc_block_pairs(const esc_block_problem *p, int *count, int *coordinate) {
  if (p->layers < 3)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "with 2 layers there are no off-block amplitudes; allowed: 3 layers or more");
  *count = 0;
  for (int l = 0; l < 2; l++)
    for (int i = 0; i < p->modes; i++)
      for (int j = 0; j < p->modes; j++)
        if (i != j) coordinate[(*count)++] = (l * p->modes + i) * p->modes + j;
  *count /= 2;
  return ESC_OK;
}

esc_status esc_block_spectrum(const esc_block_problem *p, const esc_block_grid *grid,
                              const double *state, esc_schur *out) {
  esc_status status = ESC_OK;
  int pairs, coordinate[2 * PAIRS_MAX];
  const int n = esc_block_size(p);
  double *jacobian = malloc((size_t)(n * n) * sizeof *jacobian), *submatrix = NULL;
  ESC_TRY_ALLOCATE(jacobian);
  ESC_TRY(esc_block_pairs(p, &pairs, coordinate));
  ESC_TRY_ALLOCATE(submatrix = malloc((size_t)(4 * pairs * pairs) * sizeof *submatrix));
  ESC_TRY(esc_block_jacobian(p, grid, state, jacobian));
  for (int i = 0; i < 2 * pairs; i++)
    for (int j = 0; j < 2 * pairs; j++)
      submatrix[i * 2 * pairs + j] = jacobian[coordinate[i] * n + coordinate[j]];
  ESC_TRY(esc_schur_perron(pairs, pairs, submatrix, zero_tolerance, out));
done:
  free(jacobian);
  free(submatrix);
  return status;
}

esc_status esc_block_trajectory(const esc_block_problem *p, const esc_block_grid *grid, int count,
                                const double *time, double *state) {
  esc_status status = ESC_OK;
  esc_block_path path;
  const esc_block_plan plan = {
      .problem = p, .grid = grid, .lower = p->level, .lambda = 1, .tolerance_factor = 1};
  const size_t n = (size_t)esc_block_size(p);
  double t;
  ESC_TRY(esc_block_path_open(&plan, &path));
  ESC_TRY(esc_block_path_check(&path, CVodeRootInit(path.cvode, 0, NULL)));
  for (int i = 0; i < count; i++) {
    if (time[i] > 0)
      ESC_TRY(esc_block_path_check(&path, CVode(path.cvode, time[i], path.y, &t, CV_NORMAL)));
    memcpy(state + (size_t)i * n, N_VGetArrayPointer(path.y), n * sizeof *state);
  }
done:
  esc_block_path_close(&path);
  return status;
}

static double frozen_form(const esc_duhamel *d, double t) {
  return d->beta == 0 ? d->alpha * t : -d->alpha / d->beta * expm1(-d->beta * t);
}

static double departure(const esc_duhamel *d, double t, double y) {
  return fabs(frozen_form(d, t) - y) / fabs(y);
}

/* Without a quotient, because both are 0 at the start. */
static bool has_departed(const esc_duhamel *d, double t, double y) {
  return fabs(frozen_form(d, t) - y) > departure_tolerance * fabs(y);
}

/* Coefficients at the start. */
static esc_status freeze_coefficients(const esc_block_problem *p, const esc_block_grid *grid,
                                      int count, const int *coordinate, esc_duhamel *out) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(p);
  double *workspace = malloc((size_t)(n * (n + 2)) * sizeof *workspace);
  esc_block_signals unused;
  ESC_TRY_ALLOCATE(workspace);
  double *const start = workspace + n * n, *const rhs = start + n;
  esc_block_initial_state(p, start);
  ESC_TRY(esc_block_flow(p, grid, start, rhs, &unused));
  ESC_TRY(esc_block_jacobian(p, grid, start, workspace));
  for (int i = 0; i < count; i++) {
    const int index = coordinate[i];
    out[i] = (esc_duhamel){.alpha = rhs[index], .beta = -workspace[index * n + index]};
  }
done:
  free(workspace);
  return status;
}

/* The time of departure within the solver's last step, from..path->t, by bisection on CVODES's
 * interpolant. */
static esc_status find_departure(const esc_block_path *path, double from, int index,
                                 const esc_duhamel *form, N_Vector work, double *until) {
  esc_status status = ESC_OK;
  double before = from, after = path->t;
  while (after - before > 1e-12 * after) {
    const double middle = (before + after) / 2;
    if (!(middle > before && middle < after)) break;
    ESC_TRY(esc_block_path_check(path, CVodeGetDky(path->cvode, middle, 0, work)));
    if (has_departed(form, middle, NV_Ith_S(work, index)))
      after = middle;
    else
      before = middle;
  }
  *until = after;
done:
  return status;
}

/* Fills `until`: integrates to the horizon step by step, and locates a departure within the step in
 * which it occurs. */
static esc_status find_departures(const esc_block_problem *p, const esc_block_grid *grid, int count,
                                  const int *coordinate, double horizon, esc_duhamel *out) {
  esc_status status = ESC_OK;
  esc_block_path path;
  const esc_block_plan plan = {
      .problem = p, .grid = grid, .lower = p->level, .lambda = 1, .tolerance_factor = 1};
  N_Vector work = NULL;
  int remaining = count;
  for (int i = 0; i < count; i++) out[i].until = (double)INFINITY;
  ESC_TRY(esc_block_path_open(&plan, &path));
  ESC_TRY_ALLOCATE(work = N_VClone(path.y));
  ESC_TRY(esc_block_path_check(&path, CVodeRootInit(path.cvode, 0, NULL)));
  ESC_TRY(esc_block_path_check(&path, CVodeSetStopTime(path.cvode, horizon)));
  for (double from = 0; remaining > 0 && path.t < horizon; from = path.t) {
    ESC_TRY(esc_block_path_check(&path, CVode(path.cvode, horizon, path.y, &path.t, CV_ONE_STEP)));
    for (int i = 0; i < count; i++) {
      if (isfinite(out[i].until) || !has_departed(&out[i], path.t, NV_Ith_S(path.y, coordinate[i])))
        continue;
      ESC_TRY(find_departure(&path, from, coordinate[i], &out[i], work, &out[i].until));
      remaining--;
    }
  }
  for (int i = 0; i < count; i++) out[i].until = fmin(out[i].until, horizon);
done:
  if (work) N_VDestroy(work);
  esc_block_path_close(&path);
  return status;
}

esc_status esc_block_duhamel(const esc_block_problem *p, const esc_block_grid *grid,
                             const esc_duhamel_request *r, esc_duhamel *out, double *departures) {
  esc_status status = ESC_OK;
  const int count = r->count, times = r->times;
  const size_t n = (size_t)esc_block_size(p);
  double *state = NULL;
  ESC_TRY(freeze_coefficients(p, grid, count, r->coordinate, out));
  ESC_TRY(find_departures(p, grid, count, r->coordinate, r->horizon, out));
  if (times == 0) goto done;
  ESC_TRY_ALLOCATE(state = malloc(n * (size_t)times * sizeof *state));
  ESC_TRY(esc_block_trajectory(p, grid, times, r->time, state));
  for (int i = 0; i < count; i++)
    for (int t = 0; t < times; t++)
      departures[i * times + t] =
          departure(&out[i], r->time[t], state[n * (size_t)t + (size_t)r->coordinate[i]]);
done:
  free(state);
  return status;
}
