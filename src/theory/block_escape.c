/* When each mode escapes on the block reduction, by CVODE: modes that have escaped are held
 * at rest with rates of order 1 while others wait on their plateaus, for tens of their own
 * times only: not stiff, so Adams' formulas with functional iteration, whose high orders a
 * tight tolerance rewards. */
#include <cvodes/cvodes.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sundials/sundials_context.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

#include "escapement/activation.h"
#include "escapement/blocks.h"
#include "escapement/theory.h"

enum { STEPS_MAX = 200000 };
/* By K: no finer than the grid. */
static const double relative_tolerance[] = {1e-10, 1e-10, 1e-10, 1e-9, 1e-8, 1e-7, 1e-7, 1e-7};
static const double patience = 20; /* in the slowest mode's own time */
static const double no_hermite = 1e-10;

typedef struct flow {
  const esc_block_problem *problem;
  esc_block_grid grid;
  double c1, c3; /* E[He_1 sigma], E[He_3 sigma] */
  char message[200];
  SUNContext context;
  N_Vector y;
  SUNNonlinearSolver solver;
  double *first; /* the state where the first mode escaped */
  void *cvode;
} flow;

static int derivative(realtype t, N_Vector y, N_Vector rate, void *data) {
  (void)t;
  const flow *f = data;
  esc_block_signals unused;
  return esc_block_flow(f->problem, &f->grid, N_VGetArrayPointer(y), N_VGetArrayPointer(rate),
                        &unused) == ESC_OK
             ? 0
             : -1;
}

/* S_k and H_k over their final values, minus a half. */
static int events(realtype t, N_Vector y, realtype *root, void *data) {
  (void)t;
  const flow *f = data;
  const esc_block_problem *p = f->problem;
  esc_block_signals at;
  if (esc_block_flow(p, &f->grid, N_VGetArrayPointer(y), NULL, &at) != ESC_OK) return -1;
  for (int k = 0; k < p->modes; k++) {
    root[k] = at.s[k] / (p->amplitude[k] * f->c1) - 0.5;
    root[p->modes + k] = fabs(f->c3) > no_hermite ? at.h[k] / (p->amplitude[k] * f->c3) - 0.5 : -1;
  }
  return 0;
}

static void keep_message(int code, const char *module, const char *function, char *message,
                         void *data) {
  (void)module;
  flow *f = data;
  if (code < 0) snprintf(f->message, sizeof f->message, "%s: %s", function, message);
}

#define TRY_CVODE(call)                                                                      \
  do {                                                                                       \
    const int result = (call);                                                               \
    if (result < 0) {                                                                        \
      status = ESC_FAIL(ESC_LIBRARY_FAILED, "the block flow: CVODE failed (%d): %s", result, \
                        f->message[0] ? f->message : "no message");                          \
      goto done;                                                                             \
    }                                                                                        \
  } while (0)

static esc_status open_flow(flow *f) {
  esc_status status = ESC_OK;
  const esc_block_problem *p = f->problem;
  const double tolerance = relative_tolerance[p->modes - 1];
  double smallest = INFINITY;
  for (int k = 0; k < p->modes; k++)
    for (int l = 0; l < p->layers; l++) smallest = fmin(smallest, p->scale[k][l]);
  if (SUNContext_Create(NULL, &f->context) != 0)
    return ESC_FAIL(ESC_LIBRARY_FAILED, "SUNDIALS could not be started");
  ESC_TRY_ALLOCATE(f->y = N_VNew_Serial(esc_block_size(p), f->context));
  esc_block_start(p, N_VGetArrayPointer(f->y));
  ESC_TRY_ALLOCATE(f->first = calloc((size_t)esc_block_size(p), sizeof *f->first));
  ESC_TRY_ALLOCATE(f->solver = SUNNonlinSol_FixedPoint(f->y, 0, f->context));
  ESC_TRY_ALLOCATE(f->cvode = CVodeCreate(CV_ADAMS, f->context));
  TRY_CVODE(CVodeSetErrHandlerFn(f->cvode, keep_message, f));
  TRY_CVODE(CVodeInit(f->cvode, derivative, 0, f->y));
  TRY_CVODE(CVodeSStolerances(f->cvode, tolerance, 1e-2 * tolerance * smallest));
  TRY_CVODE(CVodeSetUserData(f->cvode, f));
  TRY_CVODE(CVodeSetNonlinearSolver(f->cvode, f->solver));
  TRY_CVODE(CVodeSetMaxNumSteps(f->cvode, STEPS_MAX));
  TRY_CVODE(CVodeRootInit(f->cvode, 2 * p->modes, events));
  TRY_CVODE(CVodeSetNoInactiveRootWarn(f->cvode));
done:
  return status;
}

static void close_flow(flow *f) {
  if (f->cvode) CVodeFree(&f->cvode);
  if (f->solver) SUNNonlinSolFree(f->solver);
  free(f->first);
  if (f->y) N_VDestroy(f->y);
  if (f->context) SUNContext_Free(&f->context);
  esc_block_grid_free(&f->grid);
}

static void hermite_integrand(void *context, double g, double *out) {
  esc_activation *a = context;
  out[0] = (g * g - 3) * g * esc_activate_f64(a, g).value;
}

/* Leading-order time of each mode alone, to a half at its smallest layer; their largest. */
static esc_status predict(const esc_block_problem *p, esc_block_times *out, double *longest) {
  esc_status status = ESC_OK;
  *longest = 0;
  for (int k = 0; k < p->modes; k++) {
    esc_escape_problem alone = {
        .activation = p->activation, .amplitude = p->amplitude[k], .layers = p->layers};
    esc_escape_times times;
    for (int l = 0; l < p->layers; l++) {
      alone.scale[l] = p->scale[k][l];
      if (alone.scale[l] < alone.scale[alone.layer]) alone.layer = l;
    }
    alone.to = fmax(0.5, 2 * alone.scale[alone.layer]);
    ESC_TRY(esc_escape(&alone, &times));
    out->decoupled[k] = times.closed;
    *longest = fmax(*longest, fmax(isfinite(times.closed) ? times.closed : 0,
                                   isfinite(times.ode) ? times.ode : 0));
  }
done:
  return status;
}

static void note(const flow *f, double t, esc_block_times *out, int *left) {
  int found[2 * ESC_BLOCK_MODES_MAX] = {0};
  const size_t bytes = (size_t)esc_block_size(f->problem) * sizeof *f->first;
  const int modes = f->problem->modes;
  CVodeGetRootInfo(f->cvode, found);
  for (int i = 0; i < 2 * modes; i++) {
    double *const time = i < modes ? &out->escape[i] : &out->hermite[i - modes];
    if (found[i] > 0 && isnan(*time)) {
      if (f->first[0] == 0) memcpy(f->first, N_VGetArrayPointer(f->y), bytes);
      *time = t;
      --*left;
    }
  }
}

/* Goes on until every S_k and H_k has passed its half, or to t = end. */
static esc_status integrate(flow *f, double end, esc_block_times *out) {
  esc_status status = ESC_OK;
  const int modes = f->problem->modes;
  int left = fabs(f->c3) > no_hermite ? 2 * modes : modes;
  TRY_CVODE(CVodeSetStopTime(f->cvode, end));
  for (double t = 0; left > 0 && t < end;) {
    const int code = CVode(f->cvode, end, f->y, &t, CV_NORMAL);
    TRY_CVODE(code);
    if (code == CV_ROOT_RETURN) note(f, t, out, &left);
    if (code == CV_TSTOP_RETURN) break;
  }
done:
  return status;
}

/* |rate here - rate on a finer grid| over |rate|. */
static esc_status check_grid(const flow *f, double *error) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(f->problem);
  const double *state = f->first[0] != 0 ? f->first : N_VGetArrayPointer(f->y);
  esc_block_grid fine = {0};
  esc_block_signals unused;
  double difference = 0, size = 0, *rate = calloc(2 * (size_t)n, sizeof *rate);
  ESC_TRY_ALLOCATE(rate);
  ESC_TRY(esc_block_grid_create(f->problem, 1.25, &fine));
  ESC_TRY(esc_block_flow(f->problem, &f->grid, state, rate, &unused));
  ESC_TRY(esc_block_flow(f->problem, &fine, state, rate + n, &unused));
  for (int i = 0; i < n; i++) {
    difference = hypot(difference, rate[i] - rate[n + i]);
    size = hypot(size, rate[n + i]);
  }
  *error = difference / size;
done:
  esc_block_grid_free(&fine);
  free(rate);
  return status;
}

esc_status esc_block_escape(const esc_block_problem *p, esc_block_times *out) {
  esc_status status = ESC_OK;
  flow f = {.problem = p};
  esc_classification c;
  double longest, error;
  esc_activation activation = p->activation;
  *out = (esc_block_times){0};
  for (int k = 0; k < p->modes; k++) out->escape[k] = out->hermite[k] = (double)NAN;
  ESC_TRY(esc_classify(&p->activation, &c));
  ESC_TRY(esc_gaussian_expectation(hermite_integrand, &activation, 1,
                                   activation.kind == ESC_ACTIVATION_RELU, 1e-9, &f.c3, &error));
  f.c1 = c.c1;
  ESC_TRY(predict(p, out, &longest));
  if (!(longest > 0) || !(fabs(f.c1) > 0)) {
    snprintf(out->remark, sizeof out->remark, "no mode has a positive drive: none escapes");
    goto done;
  }
  ESC_TRY(esc_block_grid_create(p, 1, &f.grid));
  ESC_TRY(open_flow(&f));
  ESC_TRY(integrate(&f, patience * longest, out));
  ESC_TRY(check_grid(&f, &out->quadrature_error));
  if (fabs(f.c3) <= no_hermite)
    snprintf(out->remark, sizeof out->remark,
             "c_3 = 0 for this activation: there is no hermite time");
done:
  close_flow(&f);
  return status;
}
