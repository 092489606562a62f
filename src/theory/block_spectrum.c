/* SPDX-License-Identifier: Apache-2.0 */
/* Rotations theta and off-block amplitudes omega on the plateau of several modes: their part of
 * the Jacobian, and Duhamel's form with frozen coefficients against the integrated flow. */
#include <cvodes/cvodes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "block_path.h"
#include "escapement/internal/spectrum.h"

enum { MODES = ESC_BLOCK_MODES_MAX, PAIRS_MAX = MODES * (MODES - 1) };
static const double counts_as_zero = 1e-10, too_far = 0.1;

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
  double *whole = malloc((size_t)(n * n) * sizeof *whole), *part = NULL;
  ESC_TRY_ALLOCATE(whole);
  ESC_TRY(esc_block_pairs(p, &pairs, coordinate));
  ESC_TRY_ALLOCATE(part = malloc((size_t)(4 * pairs * pairs) * sizeof *part));
  ESC_TRY(esc_block_jacobian(p, grid, state, whole));
  for (int i = 0; i < 2 * pairs; i++)
    for (int j = 0; j < 2 * pairs; j++)
      part[i * 2 * pairs + j] = whole[coordinate[i] * n + coordinate[j]];
  ESC_TRY(esc_schur_perron(pairs, pairs, part, counts_as_zero, out));
done:
  free(whole);
  free(part);
  return status;
}

esc_status esc_block_states(const esc_block_problem *p, const esc_block_grid *grid, int count,
                            const double *time, double *state) {
  esc_status status = ESC_OK;
  esc_block_path path;
  const esc_block_plan plan = {
      .problem = p, .grid = grid, .lower = p->level, .lambda = 1, .accuracy = 1};
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

static double frozen(const esc_duhamel *d, double t) {
  return d->beta == 0 ? d->alpha * t : -d->alpha / d->beta * expm1(-d->beta * t);
}

static double departure(const esc_duhamel *d, double t, double y) {
  return fabs(frozen(d, t) - y) / fabs(y);
}

/* Both are 0 at the start: no quotient. */
static bool is_off(const esc_duhamel *d, double t, double y) {
  return fabs(frozen(d, t) - y) > too_far * fabs(y);
}

/* Coefficients at the start. */
static esc_status freeze(const esc_block_problem *p, const esc_block_grid *grid, int count,
                         const int *coordinate, esc_duhamel *out) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(p);
  double *room = malloc((size_t)(n * (n + 2)) * sizeof *room);
  esc_block_signals unused;
  ESC_TRY_ALLOCATE(room);
  double *const start = room + n * n, *const rate = start + n;
  esc_block_start(p, start);
  ESC_TRY(esc_block_flow(p, grid, start, rate, &unused));
  ESC_TRY(esc_block_jacobian(p, grid, start, room));
  for (int i = 0; i < count; i++) {
    const int at = coordinate[i];
    out[i] = (esc_duhamel){.alpha = rate[at], .beta = -room[at * n + at]};
  }
done:
  free(room);
  return status;
}

/* Within the solver's last step, from..path->t: bisects its own interpolant. */
static esc_status find_departure(const esc_block_path *path, double from, int at,
                                 const esc_duhamel *form, N_Vector work, double *until) {
  esc_status status = ESC_OK;
  double near = from, far = path->t;
  while (far - near > 1e-12 * far) {
    const double middle = (near + far) / 2;
    if (!(middle > near && middle < far)) break;
    ESC_TRY(esc_block_path_check(path, CVodeGetDky(path->cvode, middle, 0, work)));
    if (is_off(form, middle, NV_Ith_S(work, at)))
      far = middle;
    else
      near = middle;
  }
  *until = far;
done:
  return status;
}

/* Fills `until`: steps to the horizon, and looks back where a coordinate has gone off. */
static esc_status find_departures(const esc_block_problem *p, const esc_block_grid *grid, int count,
                                  const int *coordinate, double horizon, esc_duhamel *out) {
  esc_status status = ESC_OK;
  esc_block_path path;
  const esc_block_plan plan = {
      .problem = p, .grid = grid, .lower = p->level, .lambda = 1, .accuracy = 1};
  N_Vector work = NULL;
  int left = count;
  for (int i = 0; i < count; i++) out[i].until = (double)INFINITY;
  ESC_TRY(esc_block_path_open(&plan, &path));
  ESC_TRY_ALLOCATE(work = N_VClone(path.y));
  ESC_TRY(esc_block_path_check(&path, CVodeRootInit(path.cvode, 0, NULL)));
  ESC_TRY(esc_block_path_check(&path, CVodeSetStopTime(path.cvode, horizon)));
  for (double from = 0; left > 0 && path.t < horizon; from = path.t) {
    ESC_TRY(esc_block_path_check(&path, CVode(path.cvode, horizon, path.y, &path.t, CV_ONE_STEP)));
    for (int i = 0; i < count; i++) {
      if (isfinite(out[i].until) || !is_off(&out[i], path.t, NV_Ith_S(path.y, coordinate[i])))
        continue;
      ESC_TRY(find_departure(&path, from, coordinate[i], &out[i], work, &out[i].until));
      left--;
    }
  }
  for (int i = 0; i < count; i++) out[i].until = fmin(out[i].until, horizon);
done:
  if (work) N_VDestroy(work);
  esc_block_path_close(&path);
  return status;
}

esc_status esc_block_duhamel(const esc_block_problem *p, const esc_block_grid *grid,
                             const esc_duhamel_request *r, esc_duhamel *out, double *off) {
  esc_status status = ESC_OK;
  const int count = r->count, times = r->times;
  const size_t n = (size_t)esc_block_size(p);
  double *state = NULL;
  ESC_TRY(freeze(p, grid, count, r->coordinate, out));
  ESC_TRY(find_departures(p, grid, count, r->coordinate, r->horizon, out));
  if (times == 0) goto done;
  ESC_TRY_ALLOCATE(state = malloc(n * (size_t)times * sizeof *state));
  ESC_TRY(esc_block_states(p, grid, times, r->time, state));
  for (int i = 0; i < count; i++)
    for (int t = 0; t < times; t++)
      off[i * times + t] =
          departure(&out[i], r->time[t], state[n * (size_t)t + (size_t)r->coordinate[i]]);
done:
  free(state);
  return status;
}
