/* A block flow integrated until its modes have escaped. Modes that have escaped are held at
 * rest with rates of order 1 while others wait on their plateaus, for tens of their own times
 * only: not stiff, so Adams' formulas with functional iteration, whose high orders a tight
 * tolerance rewards. */
#include "block_path.h"

#include <cvodes/cvodes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

#include "escapement/activation.h"
#include "escapement/theory.h"

enum { STEPS_MAX = 200000 };
static const double no_hermite = 1e-10;

esc_status esc_block_path_rate(const esc_block_path *path, const double *y, double *rate,
                               double *lower, double *upper) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(&path->upper);
  double masked[ESC_BLOCK_SIZE_MAX], below[ESC_BLOCK_SIZE_MAX] = {0}, above[ESC_BLOCK_SIZE_MAX];
  esc_block_signals unused;
  ESC_TRY(esc_block_flow(&path->upper, path->grid, y, above, &unused));
  if (lower || path->lambda < 1) {
    memcpy(masked, y, (size_t)n * sizeof *y);
    esc_block_mask(&path->lower, masked);
    ESC_TRY(esc_block_flow(&path->lower, path->grid, masked, below, &unused));
  }
  for (int i = 0; rate && i < n; i++)
    rate[i] = (1 - path->lambda) * below[i] + path->lambda * above[i];
  if (lower) memcpy(lower, below, (size_t)n * sizeof *y);
  if (upper) memcpy(upper, above, (size_t)n * sizeof *y);
done:
  return status;
}

static int derivative(realtype t, N_Vector y, N_Vector rate, void *data) {
  (void)t;
  return esc_block_path_rate(data, N_VGetArrayPointer(y), N_VGetArrayPointer(rate), NULL, NULL) ==
                 ESC_OK
             ? 0
             : -1;
}

/* How far each event is from its passage, rising; -1: not waited for. */
static int events(realtype t, N_Vector y, realtype *root, void *data) {
  (void)t;
  const esc_block_path *path = data;
  const esc_block_problem *p = &path->upper;
  esc_block_signals at;
  if (esc_block_flow(p, path->grid, N_VGetArrayPointer(y), NULL, &at) != ESC_OK) return -1;
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++) root[i] = -1;
  for (int k = 0; k < p->modes; k++) {
    root[k] = at.s[k] / (p->amplitude[k] * path->c1) - 0.5;
    if (path->hermite) root[p->modes + k] = at.h[k] / (p->amplitude[k] * path->c3) - 0.5;
  }
  if (p->threshold > 0) root[ESC_BLOCK_LOSS] = 1 - at.loss / p->threshold;
  return 0;
}

static void keep_message(int code, const char *module, const char *function, char *message,
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
  out[0] = (g * g - 3) * g * esc_activate_f64((const esc_activation *)context, g).value;
}

esc_status esc_block_constants(const esc_activation *activation, double *c1, double *c3) {
  esc_status status = ESC_OK;
  esc_activation copy = *activation;
  esc_classification c;
  double error;
  ESC_TRY(esc_classify(activation, &c));
  ESC_TRY(esc_gaussian_expectation(hermite_integrand, &copy, 1,
                                   activation->kind == ESC_ACTIVATION_RELU, 1e-9, c3, &error));
  *c1 = c.c1;
  if (fabs(*c3) <= no_hermite) *c3 = 0;
done:
  return status;
}

static esc_status open_solver(esc_block_path *path) {
  esc_status status = ESC_OK;
  /* By K: no finer than the grid. */
  static const double tolerance[] = {1e-10, 1e-10, 1e-10, 1e-9, 1e-8, 1e-7, 1e-7, 1e-7};
  const esc_block_problem *p = &path->upper;
  double smallest = INFINITY;
  for (int k = 0; k < p->modes; k++)
    for (int l = 0; l < p->layers; l++) smallest = fmin(smallest, p->scale[k][l]);
  path->tolerance = tolerance[p->modes - 1];
  ESC_TRY_ALLOCATE(path->solver = SUNNonlinSol_FixedPoint(path->y, 0, path->context));
  ESC_TRY_ALLOCATE(path->cvode = CVodeCreate(CV_ADAMS, path->context));
  void *const cvode = path->cvode;
  ESC_TRY(esc_block_path_check(path, CVodeSetErrHandlerFn(cvode, keep_message, path)));
  ESC_TRY(esc_block_path_check(path, CVodeInit(cvode, derivative, 0, path->y)));
  ESC_TRY(esc_block_path_check(
      path, CVodeSStolerances(cvode, path->tolerance, 1e-2 * path->tolerance * smallest)));
  ESC_TRY(esc_block_path_check(path, CVodeSetUserData(cvode, path)));
  ESC_TRY(esc_block_path_check(path, CVodeSetNonlinearSolver(cvode, path->solver)));
  ESC_TRY(esc_block_path_check(path, CVodeSetMaxNumSteps(cvode, STEPS_MAX)));
done:
  return status;
}

esc_status esc_block_path_open(const esc_block_problem *problem, const esc_block_grid *grid,
                               esc_block_path *path) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(problem);
  *path = (esc_block_path){.lower = *problem, .upper = *problem, .lambda = 1, .grid = grid};
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++) path->time[i] = (double)NAN;
  ESC_TRY(esc_block_constants(&problem->activation, &path->c1, &path->c3));
  path->hermite = path->c3 != 0;
  ESC_TRY_ALLOCATE(path->state = calloc((size_t)(problem->modes * n), sizeof *path->state));
  if (SUNContext_Create(NULL, &path->context) != 0)
    return ESC_FAIL(ESC_LIBRARY_FAILED, "SUNDIALS could not be started");
  ESC_TRY_ALLOCATE(path->y = N_VNew_Serial(n, path->context));
  esc_block_start(problem, N_VGetArrayPointer(path->y));
  ESC_TRY(open_solver(path));
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

/* Notes the events that the solver has found; how many of them are new. */
static int note(esc_block_path *path, double t) {
  int found[ESC_BLOCK_EVENTS] = {0}, fresh = 0;
  const int n = esc_block_size(&path->upper);
  CVodeGetRootInfo(path->cvode, found);
  for (int i = 0; i < ESC_BLOCK_EVENTS; i++) {
    if (found[i] <= 0 || !isnan(path->time[i])) continue;
    path->time[i] = t;
    if (i < path->upper.modes)
      memcpy(path->state + i * n, N_VGetArrayPointer(path->y), (size_t)n * sizeof *path->state);
    fresh++;
  }
  return fresh;
}

esc_status esc_block_path_run(esc_block_path *path, double end) {
  esc_status status = ESC_OK;
  void *const cvode = path->cvode;
  ESC_TRY(esc_block_path_check(path, CVodeRootInit(cvode, ESC_BLOCK_EVENTS, events)));
  ESC_TRY(esc_block_path_check(path, CVodeSetNoInactiveRootWarn(cvode)));
  ESC_TRY(esc_block_path_check(path, CVodeSetStopTime(cvode, end)));
  double t = 0;
  for (int left = path->upper.modes * (path->hermite ? 2 : 1) + (path->upper.threshold > 0);
       left > 0 && t < end;) {
    const int code = CVode(cvode, end, path->y, &t, CV_NORMAL);
    ESC_TRY(esc_block_path_check(path, code));
    if (code == CV_ROOT_RETURN) left -= note(path, t);
    if (code == CV_TSTOP_RETURN) break;
  }
done:
  return status;
}

esc_status esc_block_path_keep(esc_block_path *path, double end) {
  esc_status status = ESC_OK;
  void *const cvode = path->cvode;
  const double tolerance = path->tolerance / 100; /* adjoints interpolate this path */
  double t;
  long steps;
  int kept;
  /* No checkpoint before the end: CVODES (6.4, 7.1) can crash where it takes more steps from a
   * checkpoint than it took the first time (llnl/sundials issue 49). */
  ESC_TRY(esc_block_path_check(path, CVodeGetNumSteps(cvode, &steps)));
  esc_block_start(&path->upper, N_VGetArrayPointer(path->y));
  ESC_TRY(esc_block_path_check(path, CVodeRootInit(cvode, 0, NULL)));
  ESC_TRY(esc_block_path_check(path, CVodeReInit(cvode, 0, path->y)));
  ESC_TRY(esc_block_path_check(path, CVodeSStolerances(cvode, tolerance, 1e-2 * tolerance)));
  ESC_TRY(esc_block_path_check(path, CVodeSetStopTime(cvode, end)));
  ESC_TRY(esc_block_path_check(path, CVodeAdjInit(cvode, 20 * steps + 1000, CV_POLYNOMIAL)));
  ESC_TRY(esc_block_path_check(path, CVodeF(cvode, end, path->y, &t, CV_NORMAL, &kept)));
done:
  return status;
}
