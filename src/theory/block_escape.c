/* SPDX-License-Identifier: Apache-2.0 */
/* Escape times of the modes on the block reduction (docs/theory, section 6.2): the flow is
 * integrated twice, on a coarser grid of nodes and on a finer one with a ten times tighter solver,
 * and the differences of the times are their error estimates. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "block_path.h"
#include "escapement/internal/theory.h"

/* Fineness of the two grids; the times of the finer one are reported. Up to two modes the finer one
 * exceeds the default 1; for more modes it would be 3 to 15 times slower. */
enum { FINE_MODES_MAX = 2 };
static const double fineness_few[] = {1, 1.25}, fineness_many[] = {0.8, 1};
/* The solver's relative tolerance on the two grids, over esc_block_path_tolerance. */
static const double tolerance_factor[] = {1, 0.1};

/* Relative difference of the right-hand sides above which the quadrature converges only
 * algebraically, so that the difference of the times underestimates their error. */
static const double rough_difference = 1e-3;

/* ---- time scales ---- */

/* Time of mode k alone (docs/theory, section 6.5); NaN if there is none. */
static esc_status leading_order_time(const esc_block_problem *p, int k, double *closed) {
  esc_escape_times times;
  esc_escape_problem single_mode = {
      .activation = p->activation, .amplitude = p->amplitude[k], .layers = p->layers};
  for (int l = 0; l < p->layers; l++) {
    single_mode.scale[l] = p->scale[k][l];
    if (single_mode.scale[l] < single_mode.scale[single_mode.layer]) single_mode.layer = l;
  }
  single_mode.to = fmax(0.5, 2 * single_mode.scale[single_mode.layer]);
  const esc_status status = esc_escape_times_find(&single_mode, &times);
  /* Only the closed form is needed, so a failure of the reduced ODE's solver is ignored. */
  *closed = status == ESC_OK ? times.closed : (double)NAN;
  return status == ESC_NO_MEMORY ? status : ESC_OK;
}

/* s / |s'| of mode k's fastest scale; infinite where none moves. */
static double mode_time_scale(const esc_block_problem *p, int k, const double *rhs) {
  double fastest = INFINITY;
  for (int l = 0; l < p->layers; l++) {
    const int index = l * p->modes * p->modes + (l == p->layers - 1 ? k : k * p->modes + k);
    fastest = fmin(fastest, p->scale[k][l] / fabs(rhs[index]));
  }
  return fastest;
}

esc_status esc_block_decoupled_times(const esc_block_problem *p, const esc_block_grid *grid,
                                     double *decoupled, double *time_scale) {
  esc_status status = ESC_OK;
  double start[ESC_BLOCK_SIZE_MAX], rhs[ESC_BLOCK_SIZE_MAX];
  esc_block_signals unused;
  esc_block_initial_state(p, start);
  ESC_TRY(esc_block_flow(p, grid, start, rhs, &unused));
  *time_scale = 0;
  for (int k = 0; k < p->modes; k++) {
    const double mode_scale = mode_time_scale(p, k, rhs);
    ESC_TRY(leading_order_time(p, k, &decoupled[k]));
    if (isfinite(mode_scale)) *time_scale = fmax(*time_scale, mode_scale);
    if (isfinite(decoupled[k])) *time_scale = fmax(*time_scale, decoupled[k]);
  }
  if (*time_scale == 0) *time_scale = 1; /* nothing moves */
done:
  return status;
}

/* ---- the note ---- */

__attribute__((format(printf, 2, 3))) static void append(esc_block_times *out, const char *format,
                                                         ...) {
  char *text = out->note;
  const size_t size = sizeof out->note, used = strlen(text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text + used, size - used, format, arguments);
  va_end(arguments);
}

static void append_separator(esc_block_times *out) { append(out, "%s", out->note[0] ? "; " : ""); }

/* "S_1, S_2, H_1, loss": the events watched by `path` that `wanted` selects. */
static int name_events(const esc_block_path *path, bool (*wanted)(double time),
                       esc_block_times *out) {
  int count = 0;
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++) {
    if (!path->watched[i] || !wanted(path->time[i])) continue;
    append(out, "%s", count++ ? ", " : "");
    if (i == ESC_BLOCK_LOSS)
      append(out, "loss");
    else
      append(out, "%c_%d", i < path->upper.modes ? 'S' : 'H', i % path->upper.modes + 1);
  }
  return count;
}

static bool is_missing(double time) { return isnan(time); }
static bool is_at_start(double time) { return time == 0; }

/* Events without a time on either grid. */
static void explain_missing(const esc_block_path *pair, esc_block_times *out) {
  esc_block_path merged = pair[0], *path = &merged;
  int missing = 0;
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++) {
    if (isfinite(pair[1].time[i])) path->time[i] = pair[1].time[i];
    missing += path->watched[i] && isnan(path->time[i]);
  }
  if (missing == 0) return;
  append_separator(out);
  name_events(path, is_missing, out);
  if (path->end == ESC_BLOCK_EQUILIBRIUM)
    append(out, ": not reached; the flow is at rest at t = %.6g", path->t);
  else if (path->end == ESC_BLOCK_DECAYED)
    append(out,
           ": not reached; every coordinate has decayed to 1e-4 of the start by t = %.6g, on the "
           "border of escape, beyond which the solver cannot follow",
           path->t);
  else
    append(out, ": not reached by t = %.6g, the limit of the search", path->t);
}

static void explain_start(const esc_block_path *path, esc_block_times *out) {
  const size_t used = strlen(out->note);
  append_separator(out);
  if (name_events(path, is_at_start, out) > 0)
    append(out, ": passed at the start");
  else
    out->note[used] = 0;
}

static bool is_on_one_grid(const esc_block_path *path, int i) {
  return path->watched[i] && isnan(path[0].time[i]) != isnan(path[1].time[i]);
}

/* Events with a time on one of the two grids only. */
static void explain_disagreement(const esc_block_path *path, esc_block_times *out) {
  esc_block_path disputed = path[0];
  bool any = false;
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++) {
    disputed.time[i] = is_on_one_grid(path, i) ? (double)NAN : 1;
    any = any || isnan(disputed.time[i]);
  }
  if (!any) return;
  append_separator(out);
  name_events(&disputed, is_missing, out);
  append(
      out,
      ": passed on one of the two grids of nodes that are compared, not on the other: so near the "
      "border of escape that neither is right");
}

static void explain_roughness(esc_block_times *out) {
  if (!(out->quadrature_error > rough_difference)) return;
  append_separator(out);
  append(out,
         "rough: the two grids of nodes that are compared differ by %.2g of the rate or of a time; "
         "the "
         "activation is too steep for their spacing, or grows too fast for their range",
         out->quadrature_error);
}

static void write_note(const esc_block_path *path, esc_block_times *out) {
  if (path->c1 == 0)
    append(out, "c_1 = 0 for this activation: S_k is not defined relative to a_k c_1");
  if (path->c3 == 0) {
    append_separator(out);
    append(out, "c_3 = 0 for this activation: no hermite time");
  }
  explain_start(path, out);
  explain_missing(path, out);
  explain_disagreement(path, out);
  explain_roughness(out);
}

/* ---- times and their errors ---- */

/* Relative difference of the right-hand sides on the two grids at a state. */
static esc_status compare_rhs(const esc_block_problem *p, const esc_block_grid *grid,
                              const double *state, double *error) {
  esc_status status = ESC_OK;
  esc_block_signals unused;
  double difference = 0, size = 0, rhs[2][ESC_BLOCK_SIZE_MAX];
  for (int i = 0; i < 2; i++) ESC_TRY(esc_block_flow(p, &grid[i], state, rhs[i], &unused));
  for (int i = 0; i < esc_block_size(p); i++) {
    difference = hypot(difference, rhs[0][i] - rhs[1][i]);
    size = hypot(size, rhs[1][i]);
  }
  *error = size > 0 ? difference / size : 0;
done:
  return status;
}

/* The state where the first mode escaped, at the start if none did. */
static void first_escape(const esc_block_path *path, double *state) {
  int first = -1;
  const int n = esc_block_size(&path->upper);
  for (int i = 0; i < path->upper.modes; i++)
    if (isfinite(path->time[i]) && (first < 0 || path->time[i] < path->time[first])) first = i;
  if (first < 0)
    esc_block_initial_state(&path->upper, state);
  else
    memcpy(state, path->state + first * n, (size_t)n * sizeof *state);
}

static double last_time(const esc_block_path *path) {
  double last = 0;
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++) last = fmax(last, path->time[i]); /* passes NaN over */
  return last;
}

/* Time and error of event i; updates the largest relative error. */
static void store_time(const esc_block_path *path, int i, double error_factor, double *time,
                       double *error, double *max_relative_error) {
  *error = error_factor * fabs(path[1].time[i] - path[0].time[i]);
  *time = isnan(*error) ? (double)NAN : path[1].time[i];
  if (*error > 0) *max_relative_error = fmax(*max_relative_error, *error / *time);
}

static void store_times(const esc_block_path *path, esc_block_times *out) {
  const int modes = path->upper.modes;
  const double error_factor = out->quadrature_error > rough_difference ? 10 : 1;
  double *max_relative_error = &out->quadrature_error;
  for (int k = 0; k < modes; k++) {
    store_time(path, k, error_factor, &out->escape[k], &out->escape_error[k], max_relative_error);
    store_time(path, modes + k, error_factor, &out->hermite[k], &out->hermite_error[k],
               max_relative_error);
  }
  store_time(path, ESC_BLOCK_LOSS, error_factor, &out->loss, &out->loss_error, max_relative_error);
}

/* Integrates the finer path to 1.01 times the coarser one's last time, and to 3 times that if an
 * event is still missing: beyond it the two grids disagree. */
static esc_status run_finer(esc_block_path *path) {
  esc_status status = ESC_OK;
  const double last = last_time(&path[0]);
  bool all = true;
  ESC_TRY(esc_block_path_run(&path[1], 1.01 * last));
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++)
    all = all && !(isfinite(path[0].time[i]) && isnan(path[1].time[i]));
  if (!all && path[1].end != ESC_BLOCK_GAVE_UP) ESC_TRY(esc_block_path_run(&path[1], 3 * last));
done:
  return status;
}

static esc_status open_pair(const esc_block_problem *p, esc_block_grid *grid,
                            esc_block_path *path) {
  esc_status status = ESC_OK;
  const double *fineness = p->modes <= FINE_MODES_MAX ? fineness_few : fineness_many;
  for (int i = 0; i < 2; i++) {
    const esc_block_plan plan = {.problem = p,
                                 .grid = &grid[i],
                                 .lower = p->level,
                                 .lambda = 1,
                                 .hermite = true,
                                 .loss = true,
                                 .tolerance_factor = tolerance_factor[i]};
    ESC_TRY(esc_block_grid_create(p, fineness[i], &grid[i]));
    ESC_TRY(esc_block_path_open(&plan, &path[i]));
  }
done:
  return status;
}

esc_status esc_block_times_find(const esc_block_problem *p, esc_block_times *out) {
  esc_status status = ESC_OK;
  esc_block_path path[2] = {0};
  esc_block_grid grid[2] = {0};
  double time_scale, state[ESC_BLOCK_SIZE_MAX];
  *out = (esc_block_times){.loss = (double)NAN, .loss_error = (double)NAN};
  ESC_TRY(open_pair(p, grid, path));
  ESC_TRY(esc_block_decoupled_times(p, &grid[0], out->decoupled, &time_scale));
  ESC_TRY(esc_block_path_search(&path[0], time_scale));
  ESC_TRY(run_finer(path));
  first_escape(&path[1], state);
  ESC_TRY(compare_rhs(p, grid, state, &out->quadrature_error));
  store_times(path, out);
  write_note(path, out);
done:
  for (int i = 0; i < 2; i++) {
    esc_block_path_close(&path[i]);
    esc_block_grid_free(&grid[i]);
  }
  return status;
}
