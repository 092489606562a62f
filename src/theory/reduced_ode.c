/* The reduced ODE ds_l/dt = E[(a sigma(g) - f) df/ds_l] by CVODE: crossing times
 * and trajectories (theory, section 3).
 *
 * An escape takes up to 1e15 units of time and its last part one unit, less than
 * an ulp of t. So t is a variable like the scales, and the independent one is theta,
 *   dt/dtheta = 1/pace,  pace^2 = sum_l (ds_l/dt)^2 / (s_l^2 + e^2) + 1/(T + t)^2,
 * with e the smallest scale of the start and T = `unit`: a step of 1 in theta changes some
 * scale by its own size, or doubles t where none moves. Both ends are then smooth. */
#include "reduced_ode.h"

#include <cvodes/cvodes.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sundials/sundials_context.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunmatrix/sunmatrix_dense.h>

#include "chain.h"

enum { EVENTS = 2, STEPS_MAX = 2000000 };

static const double relative_tolerance = 1e-13;
static const double rule_tolerance[2] = {1e-13, 1e-10};
static const double patience = 1e4;   /* in `unit` */
static const double rest_ratio = 1e3; /* at rest: nothing moves while t grows by this */

typedef struct flow {
  const esc_escape_problem *problem;
  double unit, floor;     /* T and e; time in the state is t/T */
  int watched;            /* a layer, or `layers` for the time */
  double target;          /* its value at the event */
  double largest;         /* scales up to this are what the rule is good for */
  int nodes;              /* of the rule */
  double *node, *weight;  /* (nodes) */
  double theta;           /* where the integrator stands */
  double *state;          /* (layers + 1): scales, t/T; lies in y */
  double *rhs, *jacobian; /* (layers), (layers, layers): d/d(t/T) */
  char message[256];      /* CVODE's own, of its last failure */
  SUNContext context;
  N_Vector y, tolerance;
  SUNMatrix matrix;
  SUNLinearSolver linear;
  void *cvode;
} flow;

/* d(scale)/d(t/T), with its Jacobian if wanted. */
static void evaluate(flow *f, const double *s, bool with_jacobian) {
  const int n = f->problem->layers;
  esc_reduced_rhs(f->problem, f->nodes, f->node, f->weight, s, f->rhs,
                  with_jacobian ? f->jacobian : NULL);
  for (int i = 0; i < n; i++) f->rhs[i] *= f->unit;
  if (!with_jacobian) return;
  for (int i = 0; i < n * n; i++) f->jacobian[i] *= f->unit;
}

/* 1/(s^2 + e^2): makes a relative rate of an absolute one. */
static double metric(const flow *f, double s) { return 1 / (s * s + f->floor * f->floor); }

/* By hypot: towards the end of a long escape the rates near a double's largest. */
static double pace(const flow *f, const double *y) {
  const int n = f->problem->layers;
  double norm = 1 / (1 + y[n]);
  for (int l = 0; l < n; l++) norm = hypot(norm, f->rhs[l] * sqrt(metric(f, y[l])));
  return norm;
}

/* d(ln pace)/dy_m from rhs and jacobian over pace. */
static double log_pace_gradient(const flow *f, const double *y, double speed, int m) {
  const int n = f->problem->layers;
  const double own = m < n ? f->rhs[m] * metric(f, y[m]) : 1 / ((1 + y[n]) * speed);
  if (m == n) return -own * own / (1 + y[n]);
  double sum = -own * own * y[m];
  for (int l = 0; l < n; l++) sum += f->rhs[l] * metric(f, y[l]) * f->jacobian[l * n + m];
  return sum;
}

static int derivative(realtype theta, N_Vector y, N_Vector out, void *data) {
  (void)theta;
  flow *f = data;
  const int n = f->problem->layers;
  const double *state = N_VGetArrayPointer(y);
  double *slope = N_VGetArrayPointer(out);
  evaluate(f, state, false);
  const double speed = pace(f, state);
  for (int l = 0; l < n; l++) slope[l] = f->rhs[l] / speed;
  slope[n] = 1 / speed;
  return isfinite(speed) ? 0 : 1; /* 1: CVODE tries a smaller step */
}

static int jacobian(realtype theta, N_Vector y, N_Vector slope, SUNMatrix matrix, void *data,
                    N_Vector scratch_1, N_Vector scratch_2, N_Vector scratch_3) {
  (void)theta, (void)slope, (void)scratch_1, (void)scratch_2, (void)scratch_3;
  flow *f = data;
  const int n = f->problem->layers;
  const double *state = N_VGetArrayPointer(y);
  evaluate(f, state, true);
  const double speed = pace(f, state);
  for (int l = 0; l < n; l++) f->rhs[l] /= speed;
  for (int i = 0; i < n * n; i++) f->jacobian[i] /= speed;
  for (int m = 0; m <= n; m++) {
    const double bend = log_pace_gradient(f, state, speed, m);
    for (int l = 0; l < n; l++)
      SM_ELEMENT_D(matrix, l, m) = (m < n ? f->jacobian[l * n + m] : 0) - f->rhs[l] * bend;
    SM_ELEMENT_D(matrix, n, m) = -bend / speed;
  }
  return 0;
}

/* Of the layers whose output goes through sigma: the last one's scale is a mere factor. */
static double largest_scale(int layers, const double *s) {
  double largest = 0;
  for (int l = 0; l + 1 < layers; l++) largest = fmax(largest, fabs(s[l]));
  return largest;
}

/* Roots: the event itself; a scale beyond the rule. */
static int events(realtype theta, N_Vector y, realtype *root, void *data) {
  (void)theta;
  const flow *f = data;
  const double *state = N_VGetArrayPointer(y);
  root[0] = state[f->watched] - f->target;
  root[1] = largest_scale(f->problem->layers, state) - f->largest;
  return 0;
}

static void keep_message(int code, const char *module, const char *function, char *message,
                         void *data) {
  (void)module;
  flow *f = data;
  if (code < 0) snprintf(f->message, sizeof f->message, "%s: %s", function, message);
}

/* `call` is a call's text, up to its bracket. */
static esc_status failed(const flow *f, const char *call, int code) {
  char *name = CVodeGetReturnFlagName(code);
  const esc_status status =
      ESC_FAIL(ESC_LIBRARY_FAILED, "the reduced ODE: %.*s failed with %s at t = %g%s%s",
               (int)strcspn(call, "("), call, name ? name : "no name",
               f->state[f->problem->layers] * f->unit, f->message[0] ? ": " : "", f->message);
  free(name);
  return status;
}

#define TRY_CVODE(call)                  \
  do {                                   \
    const int result = (call);           \
    if (result < 0) {                    \
      status = failed(f, #call, result); \
      goto done;                         \
    }                                    \
  } while (0)

/* A rule good for scales up to `largest`, in place of the one there. Large scales make
 * steep chains, for which the second tolerance has to do. */
static esc_status set_rule(flow *f, double largest) {
  esc_status status = ESC_OK;
  f->largest = largest;
  for (int i = 0; i < 2; i++) {
    free(f->node);
    free(f->weight);
    f->node = f->weight = NULL;
    status = esc_gaussian_rule(&f->problem->activation, f->problem->layers, largest,
                               rule_tolerance[i], &f->nodes, &f->node, &f->weight);
    if (status == ESC_OK) break;
  }
  return status;
}

static esc_status allocate(flow *f) {
  esc_status status = ESC_OK;
  const int n = f->problem->layers;
  if (SUNContext_Create(NULL, &f->context) != 0)
    return ESC_FAIL(ESC_LIBRARY_FAILED, "SUNDIALS could not be started");
  ESC_TRY_ALLOCATE(f->rhs = calloc((size_t)n, sizeof *f->rhs));
  ESC_TRY_ALLOCATE(f->jacobian = calloc((size_t)n * (size_t)n, sizeof *f->jacobian));
  ESC_TRY_ALLOCATE(f->y = N_VNew_Serial(n + 1, f->context));
  ESC_TRY_ALLOCATE(f->tolerance = N_VNew_Serial(n + 1, f->context));
  ESC_TRY_ALLOCATE(f->matrix = SUNDenseMatrix(n + 1, n + 1, f->context));
  ESC_TRY_ALLOCATE(f->linear = SUNLinSol_Dense(f->y, f->matrix, f->context));
  f->state = N_VGetArrayPointer(f->y);
done:
  return status;
}

/* The smallest scale that is not 0, as a unit. */
static double smallest_scale(int layers, const double *s) {
  double smallest = INFINITY;
  for (int l = 0; l < layers; l++)
    if (s[l] != 0) smallest = fmin(smallest, fabs(s[l]));
  return isfinite(smallest) ? smallest : 1;
}

static void set_start(flow *f) {
  const int n = f->problem->layers;
  double *absolute = N_VGetArrayPointer(f->tolerance);
  f->floor = smallest_scale(n, f->problem->scale);
  memcpy(f->state, f->problem->scale, (size_t)n * sizeof *f->state);
  f->state[n] = 0;
  for (int l = 0; l < n; l++) absolute[l] = 1e-2 * relative_tolerance * f->floor;
  absolute[n] = 1e-2 * relative_tolerance;
}

static esc_status start(flow *f, esc_ode_method method) {
  esc_status status = ESC_OK;
  const int lmm = method == ESC_ODE_BDF ? CV_BDF : CV_ADAMS;
  ESC_TRY_ALLOCATE(f->cvode = CVodeCreate(lmm, f->context));
  TRY_CVODE(CVodeSetErrHandlerFn(f->cvode, keep_message, f));
  TRY_CVODE(CVodeInit(f->cvode, derivative, 0, f->y));
  TRY_CVODE(CVodeSVtolerances(f->cvode, relative_tolerance, f->tolerance));
  TRY_CVODE(CVodeSetUserData(f->cvode, f));
  TRY_CVODE(CVodeSetLinearSolver(f->cvode, f->linear, f->matrix));
  TRY_CVODE(CVodeSetJacFn(f->cvode, jacobian));
  TRY_CVODE(CVodeSetMaxNumSteps(f->cvode, STEPS_MAX));
  TRY_CVODE(CVodeRootInit(f->cvode, EVENTS, events));
  TRY_CVODE(CVodeSetRootDirection(f->cvode, (int[EVENTS]){1, 1}));
  TRY_CVODE(CVodeSetNoInactiveRootWarn(f->cvode));
done:
  return status;
}

static void flow_free(flow *f) {
  if (f->cvode) CVodeFree(&f->cvode);
  if (f->linear) SUNLinSolFree(f->linear);
  if (f->matrix) SUNMatDestroy(f->matrix);
  if (f->tolerance) N_VDestroy(f->tolerance);
  if (f->y) N_VDestroy(f->y);
  if (f->context) SUNContext_Free(&f->context);
  free(f->node);
  free(f->weight);
  free(f->rhs);
  free(f->jacobian);
}

static esc_status flow_open(flow *f, const esc_escape_problem *problem, esc_ode_method method,
                            double unit, double largest) {
  esc_status status = ESC_OK;
  *f = (flow){.problem = problem, .unit = unit};
  ESC_TRY(set_rule(f, largest));
  ESC_TRY(allocate(f));
  set_start(f);
  ESC_TRY(start(f, method));
done:
  return status;
}

/* Whether no scale has moved since `before`, which is then renewed. */
static bool at_rest(const flow *f, double *before) {
  const int n = f->problem->layers;
  bool rest = f->state[n] >= 1;
  if (f->state[n] < fmax(1, rest_ratio * before[n])) return false;
  for (int l = 0; l < n; l++)
    if (fabs(f->state[l] - before[l]) > 1e-6 * fabs(before[l])) rest = false;
  memcpy(before, f->state, ((size_t)n + 1) * sizeof *before);
  return rest;
}

/* Goes on until the event (*reached) or until there is no hope of it. */
static esc_status integrate(flow *f, bool *reached) {
  esc_status status = ESC_OK;
  const int n = f->problem->layers;
  double before[ESC_LAYERS_MAX + 1];
  memcpy(before, f->state, ((size_t)n + 1) * sizeof *before);
  *reached = false;
  for (int step = 0; step < STEPS_MAX; step++) {
    int found[EVENTS] = {0};
    const int code = CVode(f->cvode, f->theta + 1, f->y, &f->theta, CV_ONE_STEP);
    if (code < 0) return failed(f, "CVode", code);
    if (code == CV_ROOT_RETURN) TRY_CVODE(CVodeGetRootInfo(f->cvode, found));
    *reached = found[0] != 0;
    if (*reached) goto done;
    if (found[1]) {
      ESC_TRY(set_rule(f, 1.5 * f->largest));
      TRY_CVODE(CVodeReInit(f->cvode, f->theta, f->y));
    }
    if (f->watched < n && (f->state[n] > patience || at_rest(f, before))) goto done;
  }
  status = ESC_FAIL(ESC_LIBRARY_FAILED, "the reduced ODE: not done after %d steps, at t = %g",
                    (int)STEPS_MAX, f->state[n] * f->unit);
done:
  return status;
}

esc_status esc_reduced_crossing(const esc_escape_problem *problem, esc_ode_method method,
                                double unit, esc_crossing *out) {
  esc_status status = ESC_OK;
  flow f = {0};
  const double largest = fmax(fmin(problem->to, 1), largest_scale(problem->layers, problem->scale));
  ESC_TRY(flow_open(&f, problem, method, unit, 1.1 * largest));
  f.watched = problem->layer;
  f.target = problem->to;
  ESC_TRY(integrate(&f, &out->reached));
  out->time = f.state[problem->layers] * unit;
done:
  flow_free(&f);
  return status;
}

/* One row of a trajectory from where the flow stands. */
static void take_row(const flow *f, double *scale, double *loss) {
  memcpy(scale, f->state, (size_t)f->problem->layers * sizeof *scale);
  *loss = esc_reduced_loss(f->problem, f->nodes, f->node, f->weight, f->state);
}

esc_status esc_reduced_trajectory(const esc_escape_problem *problem, int times, const double *time,
                                  double *scale, double *loss) {
  esc_status status = ESC_OK;
  const int n = problem->layers;
  const double last = times > 0 ? time[times - 1] : 0;
  flow f = {0};
  ESC_TRY(flow_open(&f, problem, ESC_ODE_BDF, last > 0 ? last : 1,
                    fmax(1, 1.5 * largest_scale(n, problem->scale))));
  f.watched = n;
  for (int i = 0; i < times; i++) {
    bool reached;
    f.target = time[i] / f.unit;
    if (time[i] > (i > 0 ? time[i - 1] : 0)) ESC_TRY(integrate(&f, &reached));
    take_row(&f, scale + (ptrdiff_t)i * n, &loss[i]);
  }
done:
  flow_free(&f);
  return status;
}
