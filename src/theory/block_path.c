/* SPDX-License-Identifier: Apache-2.0 */
/* Integration of a block flow until its modes have escaped (docs/theory, section 6.2), by CVODES.
 * While late modes are on their plateaus, modes that have escaped relax at rates of order 1, over
 * some tens of their time constants only. So the problem is not stiff: Adams formulas with
 * fixed-point iteration, whose high orders suit a tight tolerance. Error control: the solver's
 * relative tolerance (esc_block_path_tolerance) in a norm over the state, its root finder for the
 * events. */
#include "block_path.h"

#include <cvodes/cvodes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

#include "escapement/internal/pieces.h"
#include "escapement/internal/theory.h"

/* Limits on the solver's steps in one call, before and after the first test of equilibrium. */
enum { STEPS_MAX = 8000, STEPS_MAX_LATE = 1000, SIZE = ESC_BLOCK_SIZE_MAX };
static const double zero_constant = 1e-10;  /* |c_1|, |c_3| that count as 0 */
static const double rest_check_factor = 20; /* time scales before the first test of equilibrium */
static const double max_time_factor = 1e4;  /* time scales at which the search ends */
static const double sensitivity_tolerance_factor = 10; /* over the state's tolerance */
/* Of the smallest initial scale: below it, integration errors would decide on a later escape. */
static const double decay_limit = 1e-4;

/* ---- right-hand side and event functions for CVODES ---- */

static bool are_finite(int n, const double *value) {
  for (int i = 0; i < n; i++)
    if (!isfinite(value[i])) return false;
  return true;
}

/* On overflow, 1 makes CVODES retry with a smaller step. */
static int evaluate_rhs(realtype t, N_Vector y, N_Vector rhs, void *data) {
  (void)t;
  const esc_block_path *path = data;
  double *out = N_VGetArrayPointer(rhs);
  if (esc_block_path_extended_rhs(path, N_VGetArrayPointer(y), out) != ESC_OK) return -1;
  return are_finite((1 + path->channels) * esc_block_size(&path->upper), out) ? 0 : 1;
}

static int evaluate_events(realtype t, N_Vector y, realtype *root, void *data) {
  (void)t;
  return esc_block_path_events(data, N_VGetArrayPointer(y), root) == ESC_OK ? 0 : -1;
}

/* Records the current time, and the state of an escape, for event i. */
static void record_event(esc_block_path *path, int i) {
  const size_t row = (size_t)((1 + path->channels) * esc_block_size(&path->upper));
  if (!path->watched[i] || !isnan(path->time[i])) return;
  path->time[i] = path->t;
  path->pending--;
  if (i < path->upper.modes)
    memcpy(path->state + (size_t)i * row, N_VGetArrayPointer(path->y), row * sizeof *path->state);
}

/* ---- opening ---- */

static void store_message(int code, const char *module, const char *function, char *message,
                          void *data) {
  (void)module;
  esc_block_path *path = data;
  if (code < 0) snprintf(path->message, sizeof path->message, "%s: %s", function, message);
}

esc_status esc_block_path_check(const esc_block_path *path, int result) {
  if (result >= 0) return ESC_OK;
  return ESC_FAIL(ESC_LIBRARY_FAILED, "the block flow: CVODES failed (%d): %s", result,
                  path->message[0] ? path->message : "no message");
}

static void hermite_integrand(void *context, double g, double *out) {
  const double value = esc_theory_activate((const esc_activation *)context, g).value;
  out[0] = (g * g - 3) * g * value;
  out[1] = g * value;
  out[2] = value * value;
}

/* c_1 and c_3 of an activation, 0 where they are negligible against its root mean square. */
static esc_status find_constants(const esc_activation *activation, double *c1, double *c3) {
  esc_status status = ESC_OK;
  esc_activation copy = *activation;
  esc_classification c;
  double mean[3], error;
  ESC_TRY(esc_classify(activation, &c));
  ESC_TRY(esc_gaussian_expectation(
      &(esc_gaussian_integral){hermite_integrand, &copy, 3, esc_activation_has_corner(activation)},
      1e-9, mean, &error));
  const double size = sqrt(mean[2]);
  *c1 = fabs(c.c1) <= zero_constant * size ? 0 : c.c1;
  *c3 = fabs(mean[0]) <= zero_constant * size ? 0 : mean[0];
done:
  return status;
}

static double find_min_scale(const esc_block_problem *p) {
  double min_scale = INFINITY;
  for (int k = 0; k < p->modes; k++)
    for (int l = 0; l < p->layers; l++) min_scale = fmin(min_scale, p->scale[k][l]);
  return min_scale;
}

/* Weights of the solver's weighted RMS norm, scaled so that the norm of the state is the same with
 * and without sensitivities. The sensitivities share one weight, by their largest entry: the small
 * ones need no relative accuracy. */
static int set_error_weights(N_Vector y, N_Vector weight, void *data) {
  const esc_block_path *path = data;
  const int n = esc_block_size(&path->upper), all = (1 + path->channels) * n;
  const double *value = N_VGetArrayPointer(y),
               absolute_tolerance = 1e-2 * path->tolerance * path->min_scale;
  const double rows = sqrt(1 + path->channels);
  double *w = N_VGetArrayPointer(weight), largest = 0;
  for (int i = n; i < all; i++) largest = fmax(largest, fabs(value[i]));
  const double sensitivity_weight =
      1 / (sensitivity_tolerance_factor * path->tolerance * largest + absolute_tolerance);
  for (int i = 0; i < n; i++) w[i] = rows / (path->tolerance * fabs(value[i]) + absolute_tolerance);
  for (int i = n; i < all; i++) w[i] = sensitivity_weight;
  return are_finite(all, w) ? 0 : -1;
}

double esc_block_path_tolerance(int modes) {
  /* For K = 1, ..., 8 modes: no tighter than the error of the grid of nodes. */
  static const double tolerance[] = {1e-10, 1e-10, 1e-10, 1e-9, 1e-8, 1e-7, 1e-7, 1e-7};
  return tolerance[modes - 1];
}

static esc_status open_solver(esc_block_path *path) {
  esc_status status = ESC_OK;
  path->tolerance = esc_block_path_tolerance(path->upper.modes) * path->plan.tolerance_factor;
  path->min_scale = find_min_scale(&path->upper);
  ESC_TRY_ALLOCATE(path->solver = SUNNonlinSol_FixedPoint(path->y, 0, path->context));
  ESC_TRY_ALLOCATE(path->cvode = CVodeCreate(CV_ADAMS, path->context));
  void *const cvode = path->cvode;
  ESC_TRY(esc_block_path_check(path, CVodeSetErrHandlerFn(cvode, store_message, path)));
  ESC_TRY(esc_block_path_check(path, CVodeInit(cvode, evaluate_rhs, 0, path->y)));
  ESC_TRY(esc_block_path_check(path, CVodeWFtolerances(cvode, set_error_weights)));
  ESC_TRY(esc_block_path_check(path, CVodeSetUserData(cvode, path)));
  ESC_TRY(esc_block_path_check(path, CVodeSetNonlinearSolver(cvode, path->solver)));
  ESC_TRY(esc_block_path_check(path, CVodeSetMaxNumSteps(cvode, STEPS_MAX)));
  ESC_TRY(esc_block_path_check(path, CVodeRootInit(cvode, ESC_BLOCK_EVENTS, evaluate_events)));
  ESC_TRY(esc_block_path_check(path, CVodeSetNoInactiveRootWarn(cvode)));
done:
  return status;
}

/* Selects the events to watch; events that have already occurred at the start have time 0. */
static esc_status find_initial_events(esc_block_path *path) {
  esc_status status = ESC_OK;
  const esc_block_problem *p = &path->upper;
  double distance[ESC_BLOCK_EVENTS];
  for (int k = 0; k < p->modes; k++) {
    path->watched[k] = path->c1 != 0;
    path->watched[p->modes + k] = path->plan.hermite && path->c3 != 0;
  }
  path->watched[ESC_BLOCK_LOSS] = path->plan.loss && p->threshold > 0;
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++) path->pending += path->watched[i];
  ESC_TRY(esc_block_path_events(path, N_VGetArrayPointer(path->y), distance));
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++)
    if (distance[i] >= 0) record_event(path, i);
done:
  return status;
}

static esc_status check_start(const esc_block_path *path) {
  double rhs[SIZE], distance[ESC_BLOCK_EVENTS];
  const double *start = N_VGetArrayPointer(path->y);
  esc_status status = ESC_OK;
  ESC_TRY(esc_block_path_rhs(path, start, rhs));
  ESC_TRY(esc_block_path_events(path, start, distance));
  if (!are_finite(esc_block_size(&path->upper), rhs) || !are_finite(ESC_BLOCK_EVENTS, distance))
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "the block flow overflows a double at its start; allowed: smaller scales, "
                      "amplitudes or coefficients of the polynomial");
done:
  return status;
}

esc_status esc_block_path_open(const esc_block_plan *plan, esc_block_path *path) {
  esc_status status = ESC_OK;
  const esc_block_problem *p = plan->problem;
  const int channels = plan->sensitivities ? p->layers : 0, n = esc_block_size(p);
  *path = (esc_block_path){.plan = *plan, .lower = *p, .upper = *p, .channels = channels};
  path->lower.level = plan->lower;
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++) path->time[i] = (double)NAN;
  ESC_TRY(find_constants(&p->activation, &path->c1, &path->c3));
  const size_t row = (size_t)((1 + channels) * n);
  ESC_TRY_ALLOCATE(path->state = calloc((size_t)p->modes * row, sizeof *path->state));
  if (SUNContext_Create(NULL, &path->context) != 0)
    return ESC_FAIL(ESC_LIBRARY_FAILED, "SUNDIALS could not be started");
  ESC_TRY_ALLOCATE(path->y = N_VNew_Serial((sunindextype)row, path->context));
  N_VConst(0, path->y);
  esc_block_initial_state(p, N_VGetArrayPointer(path->y));
  ESC_TRY(open_solver(path));
  ESC_TRY(check_start(path));
  ESC_TRY(find_initial_events(path));
done:
  return status;
}

void esc_block_path_close(esc_block_path *path) {
  if (path->cvode) CVodeFree(&path->cvode);
  if (path->solver) SUNNonlinSolFree(path->solver);
  if (path->y) N_VDestroy(path->y);
  if (path->context) SUNContext_Free(&path->context);
  free(path->state);
  path->state = NULL;
}

/* ---- running ---- */

/* Return codes that end a search without an error: too many steps, or too small ones. */
static bool is_solver_limit(int code) {
  return code == CV_TOO_MUCH_WORK || code == CV_ERR_FAILURE || code == CV_CONV_FAILURE ||
         code == CV_REPTD_RHSFUNC_ERR || code == CV_FIRST_RHSFUNC_ERR || code == CV_TOO_MUCH_ACC;
}

esc_status esc_block_path_run(esc_block_path *path, double end) {
  esc_status status = ESC_OK;
  void *const cvode = path->cvode;
  int found[ESC_BLOCK_EVENTS];
  path->end = ESC_BLOCK_ALL_TIMED;
  if (end > path->t) ESC_TRY(esc_block_path_check(path, CVodeSetStopTime(cvode, end)));
  while (path->pending > 0 && path->t < end) {
    const int code = CVode(cvode, end, path->y, &path->t, CV_NORMAL);
    if (is_solver_limit(code)) {
      path->end = ESC_BLOCK_GAVE_UP;
      break;
    }
    ESC_TRY(esc_block_path_check(path, code));
    if (code != CV_ROOT_RETURN) continue;
    CVodeGetRootInfo(cvode, found);
    for (int i = 0; i < ESC_BLOCK_EVENTS; i++)
      if (found[i] > 0) record_event(path, i);
  }
done:
  return status;
}

static bool has_decayed(const esc_block_path *path) {
  const double *y = N_VGetArrayPointer(path->y);
  double largest = 0;
  for (int i = 0; i < esc_block_size(&path->upper); i++) largest = fmax(largest, fabs(y[i]));
  return largest <= decay_limit * path->min_scale;
}

esc_status esc_block_path_search(esc_block_path *path, double time_scale) {
  esc_status status = ESC_OK;
  bool at_rest = false;
  ESC_TRY(esc_block_path_run(path, rest_check_factor * time_scale));
  ESC_TRY(esc_block_path_check(path, CVodeSetMaxNumSteps(path->cvode, STEPS_MAX_LATE)));
  while (path->pending > 0 && path->end != ESC_BLOCK_GAVE_UP) {
    const double time_left = max_time_factor * time_scale - path->t;
    ESC_TRY(esc_block_path_check_equilibrium(path, fmax(time_left, 0), &at_rest));
    path->end = at_rest             ? ESC_BLOCK_EQUILIBRIUM
                : has_decayed(path) ? ESC_BLOCK_DECAYED
                : !(time_left > 0)  ? ESC_BLOCK_GAVE_UP
                                    : ESC_BLOCK_ALL_TIMED;
    if (path->end != ESC_BLOCK_ALL_TIMED) break;
    ESC_TRY(esc_block_path_run(path, fmin(3 * path->t, max_time_factor * time_scale)));
  }
done:
  return status;
}
