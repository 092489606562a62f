/* SPDX-License-Identifier: Apache-2.0 */
/* The reduced ODE by CVODES: crossing times and trajectories (docs/theory, section 3.5). With R_l =
 * (E[(a sigma(g) - f) df/ds_l] - lambda s_l) / (1 - beta),
 *   first order (no rate)  ds_l/dt = R_l,
 *   second order           T dv_l/dt + v_l = R_l,  ds_l/dt = v_l,  v_l(0) = 0  (section 4.10).
 *
 * Time rescaling: an escape takes up to 1e250 units of time and its last part one unit, less
 * than an ulp of t. So t is integrated like the scales, and the independent variable is theta,
 *   dt/dtheta = 1/rho,  rho^2 = sum_l R_l^2 / (s_l^2 + e^2) + 1/(tau + t)^2,
 * (in second order with R_l^2 + v_l^2 for R_l^2), with e the smallest initial scale and tau =
 * `time_scale`: a step of 1 in theta changes some scale by 100%, or doubles t where no scale moves.
 * The solution is then smooth at both ends, and a plateau of any length, or a decay by a power of
 * t, needs of order log t steps.
 *
 * Method: Adams, and BDF from where the flow becomes stiff. Error control: relative tolerance
 * 1e-13, and a Gaussian rule that is replaced when a scale outgrows it. */
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
#include "equilibrium.h"
#include "gaussian.h"

enum {
  EVENTS = 2,
  STEPS_PER_EQUILIBRIUM_TEST = 20,
  STEPS_PER_STIFFNESS_TEST = 300,
  STEPS_PER_REST_TEST = 1000, /* of a trajectory */
  JACOBIAN_COST = 3,
  RULE_COST = 6 /* in right-hand sides */
};

static const double relative_tolerance = 1e-13;
/* For BDF, used where the flow is stiff, hence contracting, so that earlier errors decay. */
static const double stiff_tolerance = 1e-11;
/* The flow is stiff if STEPS_PER_STIFFNESS_TEST steps advance theta by less than this. */
static const double stiff_theta = 1;
static const double rule_tolerance[2] = {1e-13, 1e-10};
static const double rule_margin[2] = {1.5, 1.05}; /* largest scales of a rule over the present */
static const double failed_rule_work = 2e5; /* evaluations counted per layer if no rule is found */
static const double time_max = 1e250;       /* upper limit on t and on t/tau */
static const double rate_min = 1e-290;      /* below it a double loses digits */
static const double decay_fraction = 1e-7;
static const double relaxation_min = 1e-18;    /* of T over tau: smaller ones change no digit */
static const double coasting_fraction = 1e-10; /* at rest where velocity adds less than this */
static const double distance_min =
    1e-20; /* equilibrium where rate times time is below this times the smallest scale */
static const double trajectory_work = 5e7; /* limit for all times together, seconds of work */

typedef struct flow {
  const esc_escape_problem *problem;
  double time_scale, min_scale;    /* tau and e; time in the state is t/tau */
  double relaxation;               /* T; 0: first order */
  int time_index;                  /* of t/tau in the state: layers, or twice as many */
  double perturbation;             /* as in esc_crossing_request */
  double work, work_max;           /* evaluations of the activation */
  int event_index;                 /* a layer, or time_index */
  double event_value;              /* its value at the event */
  double bound[ESC_LAYERS_MAX];    /* the rule is valid for scales up to these */
  double max_seen[ESC_LAYERS_MAX]; /* largest |scale| so far, at least initial_bound */
  esc_quadrature rule;
  double theta, theta_at_test; /* now, and at the last test of stiffness */
  esc_ode_method method;
  double *state;          /* (time_index + 1): scales, velocities of the second order, t/tau; the
                             data of y */
  double *rhs, *jacobian; /* (layers), (layers, layers): tau R and its derivatives */
  esc_flow_end end;
  bool shrank;
  char message[256]; /* of CVODES's last failure */
  SUNContext context;
  N_Vector y, tolerance;
  SUNMatrix matrix;
  SUNLinearSolver linear;
  void *cvode;
} flow;

double esc_relaxation_time(const esc_escape_problem *problem) {
  return problem->rate * (1 + problem->momentum) / (2 * (1 - problem->momentum));
}

static double square(double x) { return x * x; }

/* tau R, with its Jacobian if wanted. */
static void evaluate_flow(flow *f, const double *s, bool with_jacobian) {
  const int n = f->problem->layers;
  const double factor = f->time_scale / (1 - f->problem->momentum);
  esc_reduced_rhs(f->problem, &f->rule, s, f->rhs, with_jacobian ? f->jacobian : NULL);
  f->work += (double)f->rule.count * n * (with_jacobian ? JACOBIAN_COST : 1);
  for (int i = 0; i < n; i++) f->rhs[i] *= factor;
  if (!with_jacobian) return;
  for (int i = 0; i < n * n; i++) f->jacobian[i] *= factor;
}

/* 1/(s^2 + e^2): converts a squared rate to a relative one. */
static double relative_weight(const flow *f, double s) {
  return 1 / (s * s + f->min_scale * f->min_scale);
}

/* rho tau. By hypot, because rates times tau may be near the largest double at the end of a long
 * escape. */
static double relative_rate(const flow *f, const double *y) {
  const int n = f->problem->layers;
  double norm = 1 / (1 + y[f->time_index]);
  for (int l = 0; l < n; l++) norm = hypot(norm, f->rhs[l] * sqrt(relative_weight(f, y[l])));
  for (int i = n; i < f->time_index; i++)
    norm = hypot(norm, y[i] * sqrt(relative_weight(f, y[i - n])));
  return norm;
}

/* d(ln rho)/dy_m. f->rhs and f->jacobian must have been divided by `rate` = rho tau. */
static double log_rate_gradient(const flow *f, const double *y, double rate, int m) {
  const int n = f->problem->layers, t = f->time_index;
  if (m == t) return -square(1 / ((1 + y[t]) * rate)) / (1 + y[t]);
  const double weight = relative_weight(f, y[m % n]);
  if (m >= n) return y[m] / rate * weight / rate;
  double sum = -square(f->rhs[m] * weight) * y[m];
  if (t > n) sum -= square(y[n + m] / rate * weight) * y[m];
  for (int l = 0; l < n; l++) sum += f->rhs[l] * relative_weight(f, y[l]) * f->jacobian[l * n + m];
  return sum;
}

/* dy/dtheta; f->rhs must have been divided by `rate`. */
static void write_derivative(const flow *f, const double *y, double rate, double *dy) {
  const int n = f->problem->layers;
  for (int l = 0; l < n; l++) dy[l] = f->time_index > n ? y[n + l] / rate : f->rhs[l];
  for (int i = n; i < f->time_index; i++)
    dy[i] = (f->rhs[i - n] - y[i] / rate) * (f->time_scale / f->relaxation);
  dy[f->time_index] = 1 / rate;
}

/* d(dy_i/dtheta)/dy_m at constant rho, of a scale or velocity i; f->jacobian must have been divided
 * by `rate`. */
static double derivative_gradient(const flow *f, double rate, int i, int m) {
  const int n = f->problem->layers, t = f->time_index;
  if (m == t) return 0;
  if (t == n) return f->jacobian[i * n + m];
  if (i < n) return m == i + n ? 1 / rate : 0;
  const double change = m < n ? f->jacobian[(i - n) * n + m] : m == i ? -1 / rate : 0;
  return change * (f->time_scale / f->relaxation);
}

static int evaluate_rhs(realtype theta, N_Vector y, N_Vector out, void *data) {
  (void)theta;
  flow *f = data;
  const int n = f->problem->layers;
  const double *state = N_VGetArrayPointer(y);
  double *dy = N_VGetArrayPointer(out);
  evaluate_flow(f, state, false);
  const double rate = relative_rate(f, state);
  for (int l = 0; l < n; l++) f->rhs[l] /= rate;
  write_derivative(f, state, rate, dy);
  return isfinite(rate) ? 0 : 1; /* 1: CVODES retries with a smaller step */
}

/* The parameters are those of CVODES. NOLINTNEXTLINE(readability-function-size) */
static int jacobian(realtype theta, N_Vector y, N_Vector dy, SUNMatrix matrix, void *data,
                    N_Vector scratch_1, N_Vector scratch_2, N_Vector scratch_3) {
  (void)theta, (void)dy, (void)scratch_2, (void)scratch_3;
  flow *f = data;
  const int n = f->problem->layers;
  const double *state = N_VGetArrayPointer(y);
  double *derivative = N_VGetArrayPointer(scratch_1);
  evaluate_flow(f, state, true);
  const double rate = relative_rate(f, state);
  for (int l = 0; l < n; l++) f->rhs[l] /= rate;
  for (int i = 0; i < n * n; i++) f->jacobian[i] /= rate;
  write_derivative(f, state, rate, derivative);
  for (int m = 0; m <= f->time_index; m++) {
    const double change = log_rate_gradient(f, state, rate, m);
    for (int i = 0; i < f->time_index; i++)
      SM_ELEMENT_D(matrix, i, m) = derivative_gradient(f, rate, i, m) - derivative[i] * change;
    SM_ELEMENT_D(matrix, f->time_index, m) = -change / rate;
  }
  return 0;
}

/* Largest scale over its bound. The last layer has no bound, because its scale is only a factor of
 * f. */
static double largest_over_bound(const flow *f, const double *s) {
  double largest = 0;
  for (int l = 0; l + 1 < f->problem->layers; l++)
    largest = fmax(largest, fabs(s[l]) / f->bound[l]);
  return largest;
}

/* Event functions: the event itself; a scale beyond the rule's bound. */
static int evaluate_events(realtype theta, N_Vector y, realtype *root, void *data) {
  (void)theta;
  const flow *f = data;
  const double *state = N_VGetArrayPointer(y);
  root[0] = state[f->event_index] - f->event_value;
  root[1] = largest_over_bound(f, state) - 1;
  return 0;
}

static void record_message(int code, const char *module, const char *function, char *message,
                           void *data) {
  (void)module;
  flow *f = data;
  if (code < 0) snprintf(f->message, sizeof f->message, "%s: %s", function, message);
}

/* `call`: text of the failed call; the function's name is printed. */
static esc_status fail_cvodes(const flow *f, const char *call, int code) {
  char *name = CVodeGetReturnFlagName(code);
  const esc_status status =
      ESC_FAIL(ESC_LIBRARY_FAILED, "the reduced ODE: %.*s failed with %s at t = %g%s%s",
               (int)strcspn(call, "("), call, name ? name : "no name",
               f->state[f->time_index] * f->time_scale, f->message[0] ? ": " : "", f->message);
  free(name);
  return status;
}

#define TRY_CVODE(call)                       \
  do {                                        \
    const int result = (call);                \
    if (result < 0) {                         \
      status = fail_cvodes(f, #call, result); \
      goto done;                              \
    }                                         \
  } while (0)

/* Symmetric in g, so that averages of odd functions remain 0. */
static void perturb_weights(flow *f) {
  for (int i = 0; i < f->rule.count; i++)
    f->rule.weight[i] *= 1 + f->perturbation * cos(7 * f->rule.node[i] * f->rule.node[i]);
}

/* Replaces the rule by one that is valid for scales up to `bound`. */
static esc_status find_rule(flow *f, const double *bound, double tolerance) {
  const int n = f->problem->layers;
  esc_quadrature_free(&f->rule);
  const esc_status status =
      esc_gaussian_rule_for_scales(&f->problem->activation, n, bound, tolerance, &f->rule);
  f->work += n * (status == ESC_OK ? RULE_COST * (double)f->rule.count : failed_rule_work);
  if (status != ESC_OK) return status;
  for (int l = 0; l < n; l++) f->bound[l] = fmax(fabs(bound[l]), ESC_RULE_SCALE_MIN);
  perturb_weights(f);
  return ESC_OK;
}

/* Sets a rule for the present scales and, if possible, for all earlier scales too. Large scales
 * make steep chains: then a narrower margin is tried, and after it the second tolerance. */
static esc_status set_rule(flow *f) {
  esc_status status = ESC_OK;
  const int n = f->problem->layers;
  double bound[ESC_LAYERS_MAX];
  for (int l = 0; l < n; l++) f->max_seen[l] = fmax(f->max_seen[l], fabs(f->state[l]));
  for (int i = 0; i < 4; i++) {
    for (int l = 0; l < n; l++)
      bound[l] =
          copysign(rule_margin[i % 2] * (i % 2 ? fabs(f->state[l]) : f->max_seen[l]), f->state[l]);
    status = find_rule(f, bound, rule_tolerance[i / 2]);
    if (status != ESC_BAD_INPUT) break;
  }
  return status;
}

static esc_status allocate(flow *f) {
  esc_status status = ESC_OK;
  const int n = f->problem->layers, size = f->time_index + 1;
  if (SUNContext_Create(NULL, &f->context) != 0)
    return ESC_FAIL(ESC_LIBRARY_FAILED, "SUNDIALS could not be started");
  ESC_TRY_ALLOCATE(f->rhs = calloc((size_t)n, sizeof *f->rhs));
  ESC_TRY_ALLOCATE(f->jacobian = calloc((size_t)n * (size_t)n, sizeof *f->jacobian));
  ESC_TRY_ALLOCATE(f->y = N_VNew_Serial(size, f->context));
  ESC_TRY_ALLOCATE(f->tolerance = N_VNew_Serial(size, f->context));
  ESC_TRY_ALLOCATE(f->matrix = SUNDenseMatrix(size, size, f->context));
  ESC_TRY_ALLOCATE(f->linear = SUNLinSol_Dense(f->y, f->matrix, f->context));
  f->state = N_VGetArrayPointer(f->y);
done:
  return status;
}

/* The smallest |scale| that is not 0; 1 if all are 0. */
static double find_min_scale(int layers, const double *s) {
  double smallest = INFINITY;
  for (int l = 0; l < layers; l++)
    if (s[l] != 0) smallest = fmin(smallest, fabs(s[l]));
  return isfinite(smallest) ? smallest : 1;
}

static double find_max_scale(int layers, const double *s) {
  double largest = 0;
  for (int l = 0; l < layers; l++) largest = fmax(largest, fabs(s[l]));
  return largest;
}

/* Absolute tolerances: 1% of the relative tolerance times the smallest scale (a velocity is per
 * tau), or times tau. */
static void set_absolute_tolerances(flow *f, double relative) {
  double *absolute = N_VGetArrayPointer(f->tolerance);
  for (int i = 0; i < f->time_index; i++) absolute[i] = 1e-2 * relative * f->min_scale;
  absolute[f->time_index] = 1e-2 * relative;
}

static void set_start(flow *f) {
  const int n = f->problem->layers;
  f->min_scale = find_min_scale(n, f->problem->scale);
  for (int l = 0; l < n; l++)
    f->state[l] = f->problem->scale[l] * (1 + f->perturbation * cos(2 * l + 1));
  for (int i = n; i <= f->time_index; i++) f->state[i] = 0;
}

/* The time in which the initial state changes by 100%; 1 where that is infinite. */
static double initial_time_scale(flow *f) {
  double rate = 0;
  f->time_scale = 1;
  evaluate_flow(f, f->state, false);
  for (int l = 0; l < f->problem->layers; l++)
    rate = hypot(rate, f->rhs[l] * sqrt(relative_weight(f, f->state[l])));
  return 1 / rate > 0 && isfinite(1 / rate) ? 1 / rate : 1;
}

/* A new solver at the present state. */
static esc_status start_solver(flow *f, int method, double relative) {
  esc_status status = ESC_OK;
  if (f->cvode) CVodeFree(&f->cvode);
  set_absolute_tolerances(f, relative);
  ESC_TRY_ALLOCATE(f->cvode = CVodeCreate(method, f->context));
  TRY_CVODE(CVodeSetErrHandlerFn(f->cvode, record_message, f));
  TRY_CVODE(CVodeInit(f->cvode, evaluate_rhs, f->theta, f->y));
  TRY_CVODE(CVodeSVtolerances(f->cvode, relative, f->tolerance));
  TRY_CVODE(CVodeSetUserData(f->cvode, f));
  TRY_CVODE(CVodeSetLinearSolver(f->cvode, f->linear, f->matrix));
  TRY_CVODE(CVodeSetJacFn(f->cvode, jacobian));
  TRY_CVODE(CVodeRootInit(f->cvode, EVENTS, evaluate_events));
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
  esc_quadrature_free(&f->rule);
  free(f->rhs);
  free(f->jacobian);
}

/* ESC_BAD_INPUT where no rule reaches the tolerance at the start. */
static esc_status flow_open(flow *f, const esc_crossing_request *request, double initial_bound) {
  esc_status status = ESC_OK;
  f->perturbation = request->perturbation;
  f->work_max = request->work;
  f->relaxation = esc_relaxation_time(f->problem);
  f->time_index = f->problem->layers * (f->relaxation > 0 ? 2 : 1);
  ESC_TRY(allocate(f));
  set_start(f);
  for (int l = 0; l < f->problem->layers; l++) f->max_seen[l] = initial_bound;
  ESC_TRY(set_rule(f));
  f->time_scale = request->time_scale > 0 ? request->time_scale : initial_time_scale(f);
  f->relaxation = fmax(f->relaxation, relaxation_min * f->time_scale);
  f->method = request->method;
  ESC_TRY(start_solver(f, f->method == ESC_ODE_BDF ? CV_BDF : CV_ADAMS, relative_tolerance));
done:
  return status;
}

/* Equilibrium by the Jacobian; *end is ESC_FLOW_CROSSED where the flow still moves. */
static esc_status test_equilibrium(flow *f, esc_flow_end *end) {
  esc_status status = ESC_OK;
  const int n = f->problem->layers;
  double term_size[ESC_LAYERS_MAX];
  esc_equilibrium equilibrium;
  evaluate_flow(f, f->state, true);
  esc_reduced_term_sizes(f->problem, &f->rule, f->state, term_size);
  f->work += (double)f->rule.count * n;
  for (int l = 0; l < n; l++) term_size[l] *= f->time_scale;
  ESC_TRY(esc_equilibrium_find(n, f->state, f->rhs, term_size, f->jacobian, &equilibrium));
  *end = equilibrium == ESC_EQUILIBRIUM_STABLE   ? ESC_FLOW_FIXED
         : equilibrium == ESC_EQUILIBRIUM_SADDLE ? ESC_FLOW_SADDLE
                                                 : ESC_FLOW_CROSSED;
done:
  return status;
}

/* The change of a scale that the velocities of the second order would still cause without a force;
 * 0 in first order. */
static double coasting_distance(const flow *f) {
  double fastest = 0;
  for (int i = f->problem->layers; i < f->time_index; i++)
    fastest = fmax(fastest, fabs(f->state[i]));
  return fastest * (f->relaxation / f->time_scale);
}

/* Classifies the present state; *end is ESC_FLOW_CROSSED where the flow still moves. With a = 0 all
 * terms of the right-hand side vanish together, so that rounding errors give no scale: then the
 * remaining distance is the criterion. */
static esc_status test_end(flow *f, esc_flow_end *end) {
  esc_status status = ESC_OK;
  const int n = f->problem->layers;
  const double time = f->state[f->time_index], coasting = coasting_distance(f);
  const double largest = find_max_scale(n, f->state) + coasting;
  ESC_TRY(test_equilibrium(f, end));
  const double rate = find_max_scale(n, f->rhs);
  if (largest < decay_fraction * find_max_scale(n, f->problem->scale))
    *end = ESC_FLOW_DECAYED;
  else if (coasting > coasting_fraction * largest)
    *end = ESC_FLOW_CROSSED;
  else if (time > 1 && rate * time <= distance_min * f->min_scale)
    *end = ESC_FLOW_FIXED;
  else if (rate < rate_min * f->time_scale)
    *end = ESC_FLOW_TINY;
done:
  return status;
}

/* Sets *finished if the search ends for another reason than the event. */
static esc_status check_end(flow *f, int step, bool *finished) {
  esc_status status = ESC_OK;
  const int n = f->problem->layers;
  for (int l = 0; l < n; l++) f->shrank |= fabs(f->state[l]) < 0.5 * fabs(f->problem->scale[l]);
  f->end = ESC_FLOW_MOVING;
  *finished =
      f->work > f->work_max || !(f->state[f->time_index] * fmax(1, f->time_scale) < time_max);
  if (*finished) goto done;
  if (f->event_index < f->time_index && step % STEPS_PER_EQUILIBRIUM_TEST == 0)
    ESC_TRY(test_end(f, &f->end));
  else if (f->event_index == f->time_index && step > 0 && step % STEPS_PER_REST_TEST == 0 &&
           coasting_distance(f) <= coasting_fraction * find_max_scale(n, f->state))
    ESC_TRY(test_equilibrium(f, &f->end));
  else
    goto done;
  *finished = f->end != ESC_FLOW_CROSSED;
done:
  return status;
}

/* Replaces a rule that a scale has outgrown; the search ends if no rule reaches the tolerance. */
static esc_status replace_rule(flow *f, bool *finished) {
  esc_status status = set_rule(f);
  *finished = status == ESC_BAD_INPUT;
  if (*finished) f->end = ESC_FLOW_STEEP;
  if (status != ESC_OK) return *finished ? ESC_OK : status;
  TRY_CVODE(CVodeReInit(f->cvode, f->theta, f->y));
done:
  return status;
}

/* Switches from Adams to BDF where the steps of Adams have become short: the flow is stiff. */
static esc_status change_method(flow *f, int step) {
  esc_status status = ESC_OK;
  if (f->method != ESC_ODE_AUTO || step == 0 || step % STEPS_PER_STIFFNESS_TEST != 0) return ESC_OK;
  const bool stiff = f->theta - f->theta_at_test < stiff_theta;
  f->theta_at_test = f->theta;
  if (!stiff) return ESC_OK;
  f->method = ESC_ODE_BDF;
  ESC_TRY(start_solver(f, CV_BDF, stiff_tolerance));
done:
  return status;
}

/* Integrates to the event or the end of the search; `end` is the reason. */
static esc_status integrate(flow *f) {
  esc_status status = ESC_OK;
  bool finished = false;
  for (int step = 0;; step++) {
    int found[EVENTS] = {0};
    ESC_TRY(check_end(f, step, &finished));
    if (finished) goto done;
    ESC_TRY(change_method(f, step));
    const int code = CVode(f->cvode, f->theta + 1, f->y, &f->theta, CV_ONE_STEP);
    f->end = code < 0 ? ESC_FLOW_STALLED : ESC_FLOW_CROSSED;
    if (code < 0) goto done;
    if (code == CV_ROOT_RETURN) TRY_CVODE(CVodeGetRootInfo(f->cvode, found));
    if (found[0] != 0) goto done;
    if (found[1] != 0) ESC_TRY(replace_rule(f, &finished));
    if (finished) goto done;
  }
done:
  return status;
}

esc_status esc_reduced_crossing(const esc_escape_problem *problem,
                                const esc_crossing_request *request, esc_crossing *out) {
  esc_status status = ESC_OK;
  const int n = problem->layers;
  flow f = {.problem = problem, .event_index = problem->layer, .event_value = problem->to};
  *out = (esc_crossing){.end = ESC_FLOW_STEEP};
  status = flow_open(&f, request, fmin(problem->to, 1));
  if (status == ESC_BAD_INPUT) {
    status = ESC_OK;
    memcpy(out->scale, problem->scale, sizeof out->scale);
    goto done;
  }
  if (status != ESC_OK) goto done;
  ESC_TRY(integrate(&f));
  out->end = f.end;
  out->time = f.state[f.time_index] * f.time_scale;
  out->work = f.work;
  out->shrank = f.shrank;
  memcpy(out->scale, f.state, (size_t)n * sizeof *f.state);
done:
  flow_free(&f);
  return status;
}

/* One row of a trajectory: the present scales and loss. */
static void write_row(const flow *f, double *scale, double *loss) {
  memcpy(scale, f->state, (size_t)f->problem->layers * sizeof *scale);
  *loss = esc_reduced_loss(f->problem, &f->rule, f->state);
}

static esc_status fail_trajectory(const flow *f, double t) {
  const double reached = f->state[f->time_index] * f->time_scale;
  if (f->end == ESC_FLOW_MOVING)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "the reduced ODE: time %g takes too many steps: the limit of %g evaluations "
                    "of the activation is reached at t = %g; allowed: shorter times",
                    t, f->work_max, reached);
  return ESC_FAIL(ESC_BAD_INPUT, "the reduced ODE: the integration from t = %g to %g failed%s%s",
                  reached, t,
                  f->end == ESC_FLOW_SADDLE ? " at a saddle"
                  : f->message[0]           ? ": "
                                            : "",
                  f->message);
}

/* Integrates to the time t, or to rest: in double precision nothing moves after that. */
static esc_status advance(flow *f, double t) {
  esc_status status = ESC_OK;
  if (f->end == ESC_FLOW_FIXED) return ESC_OK;
  f->event_index = f->time_index;
  f->event_value = t / f->time_scale;
  ESC_TRY(integrate(f));
  if (f->end == ESC_FLOW_STEEP) return ESC_BAD_INPUT; /* the message is that of the rule */
  if (f->end != ESC_FLOW_CROSSED && f->end != ESC_FLOW_FIXED) status = fail_trajectory(f, t);
done:
  return status;
}

esc_status esc_reduced_trajectory(const esc_escape_problem *problem, int times, const double *time,
                                  double *scale, double *loss) {
  esc_status status = ESC_OK;
  const int n = problem->layers;
  const double last = times > 0 ? time[times - 1] : 0;
  const esc_crossing_request request = {
      .method = ESC_ODE_BDF, .time_scale = last > 0 ? last : 1, .work = trajectory_work};
  flow f = {.problem = problem};
  ESC_TRY(flow_open(&f, &request, 1));
  for (int i = 0; i < times; i++) {
    if (time[i] > (i > 0 ? time[i - 1] : 0)) ESC_TRY(advance(&f, time[i]));
    write_row(&f, scale + (ptrdiff_t)i * n, &loss[i]);
  }
done:
  flow_free(&f);
  return status;
}
