/* dt_k/dlambda between two closure levels by CVODES' adjoints: forward with checkpoints until all
 * modes have escaped, then backward from each mode's own escape, with the integral of
 * p . (F_upper - F_lower) by channel beside it. */
#include <cvodes/cvodes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

#include "block_path.h"
#include "escapement/homotopy.h"

enum { STEPS_MAX = 200000 };

/* p' = -J_lambda p; J is symmetric, masked or not. */
static int adjoint(realtype t, N_Vector y, N_Vector p, N_Vector rate, void *data) {
  (void)t;
  const esc_block_path *path = data;
  const int n = esc_block_size(&path->upper);
  const double *at = N_VGetArrayPointer(y), *vector = N_VGetArrayPointer(p);
  double below[ESC_BLOCK_SIZE_MAX] = {0}, above[ESC_BLOCK_SIZE_MAX], masked[ESC_BLOCK_SIZE_MAX];
  double direction[ESC_BLOCK_SIZE_MAX], *out = N_VGetArrayPointer(rate);
  if (esc_block_jacobian_product(&path->upper, path->grid, at, 1, vector, above) != ESC_OK)
    return -1;
  if (path->lambda < 1) {
    memcpy(masked, at, (size_t)n * sizeof *at);
    memcpy(direction, vector, (size_t)n * sizeof *at);
    esc_block_mask(&path->lower, masked);
    esc_block_mask(&path->lower, direction);
    if (esc_block_jacobian_product(&path->lower, path->grid, masked, 1, direction, below) != ESC_OK)
      return -1;
  }
  for (int i = 0; i < n; i++) out[i] = -((1 - path->lambda) * below[i] + path->lambda * above[i]);
  return 0;
}

/* Minus the integrand by channel: CVODES integrates backward. */
static int integrand(realtype t, N_Vector y, N_Vector p, N_Vector rate, void *data) {
  (void)t;
  const esc_block_path *path = data;
  const double *vector = N_VGetArrayPointer(p);
  double lower[ESC_BLOCK_SIZE_MAX], upper[ESC_BLOCK_SIZE_MAX], *out = N_VGetArrayPointer(rate);
  if (esc_block_path_rate(path, N_VGetArrayPointer(y), NULL, lower, upper) != ESC_OK) return -1;
  for (int c = 0; c < path->upper.layers; c++) out[c] = 0;
  for (int i = 0; i < esc_block_size(&path->upper); i++)
    out[esc_block_channel(&path->upper, i)] -= vector[i] * (upper[i] - lower[i]);
  return 0;
}

static double dot(int n, const double *a, const double *b) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/* p at mode k's escape: -grad S_k / (grad S_k . F). */
static esc_status end_adjoint(const esc_block_path *path, int k, double *p) {
  esc_status status = ESC_OK;
  const int n = esc_block_size(&path->upper);
  const double *state = path->state + k * n;
  double rate[ESC_BLOCK_SIZE_MAX];
  ESC_TRY(esc_block_path_rate(path, state, rate, NULL, NULL));
  ESC_TRY(esc_block_signal_gradient(&path->upper, path->grid, state, k, p));
  esc_block_mask(&path->upper, p);
  const double speed = dot(n, p, rate);
  for (int i = 0; i < n; i++) p[i] /= -speed;
done:
  return status;
}

typedef struct backward {
  N_Vector p, integral;
  SUNNonlinearSolver solver;
  int which;
} backward;

static esc_status open_backward(esc_block_path *path, double from, backward *b) {
  esc_status status = ESC_OK;
  void *const cvode = path->cvode;
  ESC_TRY_ALLOCATE(b->solver = SUNNonlinSol_FixedPoint(b->p, 0, path->context));
  ESC_TRY(esc_block_path_check(path, CVodeCreateB(cvode, CV_ADAMS, &b->which)));
  ESC_TRY(esc_block_path_check(path, CVodeInitB(cvode, b->which, adjoint, from, b->p)));
  const double tolerance = path->tolerance / 10, size = N_VMaxNorm(b->p);
  ESC_TRY(esc_block_path_check(
      path, CVodeSStolerancesB(cvode, b->which, tolerance, 1e-2 * tolerance * size)));
  ESC_TRY(esc_block_path_check(path, CVodeSetUserDataB(cvode, b->which, path)));
  ESC_TRY(esc_block_path_check(path, CVodeSetNonlinearSolverB(cvode, b->which, b->solver)));
  ESC_TRY(esc_block_path_check(path, CVodeSetMaxNumStepsB(cvode, b->which, STEPS_MAX)));
  ESC_TRY(esc_block_path_check(path, CVodeQuadInitB(cvode, b->which, integrand, b->integral)));
done:
  return status;
}

static esc_status start_backward(esc_block_path *path, int k, backward *b) {
  esc_status status = ESC_OK;
  ESC_TRY_ALLOCATE(b->p = N_VNew_Serial(esc_block_size(&path->upper), path->context));
  ESC_TRY_ALLOCATE(b->integral = N_VNew_Serial(path->upper.layers, path->context));
  N_VConst(0, b->integral);
  ESC_TRY(end_adjoint(path, k, N_VGetArrayPointer(b->p)));
  ESC_TRY(open_backward(path, path->time[k], b));
done:
  return status;
}

static esc_status finish_backward(esc_block_path *path, int k, backward *b,
                                  esc_homotopy_point *out) {
  esc_status status = ESC_OK;
  double start[ESC_BLOCK_SIZE_MAX], rate[ESC_BLOCK_SIZE_MAX], t;
  ESC_TRY(esc_block_path_check(path, CVodeGetB(path->cvode, b->which, &t, b->p)));
  ESC_TRY(esc_block_path_check(path, CVodeGetQuadB(path->cvode, b->which, &t, b->integral)));
  for (int c = 0; c < path->upper.layers; c++) {
    out->channel[k][c] = NV_Ith_S(b->integral, c);
    out->slope[k] += out->channel[k][c];
  }
  esc_block_start(&path->upper, start);
  ESC_TRY(esc_block_path_rate(path, start, rate, NULL, NULL));
  const double product = dot(esc_block_size(&path->upper), N_VGetArrayPointer(b->p), rate);
  out->adjoint_error = fmax(out->adjoint_error, fabs(product + 1));
done:
  return status;
}

/* From every mode's escape back to 0, all in one pass over the checkpoints. */
static esc_status run_backward(esc_block_path *path, esc_homotopy_point *out) {
  esc_status status = ESC_OK;
  const int modes = path->upper.modes;
  backward b[ESC_BLOCK_MODES_MAX] = {0};
  double last = 0;
  for (int k = 0; k < modes; k++) last = fmax(last, path->time[k]);
  ESC_TRY(esc_block_path_keep(path, last));
  for (int k = 0; k < modes; k++) ESC_TRY(start_backward(path, k, &b[k]));
  ESC_TRY(esc_block_path_check(path, CVodeB(path->cvode, 0, CV_NORMAL)));
  for (int k = 0; k < modes; k++) ESC_TRY(finish_backward(path, k, &b[k], out));
done:
  CVodeFree(&path->cvode); /* holds the backward problems, so goes before what they hold */
  for (int k = 0; k < modes; k++) {
    if (b[k].solver) SUNNonlinSolFree(b[k].solver);
    if (b[k].p) N_VDestroy(b[k].p);
    if (b[k].integral) N_VDestroy(b[k].integral);
  }
  return status;
}

static esc_status check_escapes(const esc_block_path *path, double end) {
  for (int k = 0; k < path->upper.modes; k++)
    if (isnan(path->time[k]))
      return ESC_FAIL(ESC_BAD_INPUT,
                      "mode %d does not escape at lambda = %g (waited to t = %g): there is no "
                      "escape time to attribute",
                      k + 1, path->lambda, end);
  return ESC_OK;
}

esc_status esc_homotopy_at(const esc_homotopy *h, const esc_block_grid *grid, double lambda,
                           bool slopes, esc_homotopy_point *out) {
  esc_status status = ESC_OK;
  esc_block_path path = {0};
  double unused[ESC_BLOCK_MODES_MAX], end;
  *out = (esc_homotopy_point){.lambda = lambda};
  if (h->problem.activation.kind == ESC_ACTIVATION_RELU)
    return ESC_FAIL(ESC_BAD_INPUT, "relu has no second derivative, which an attribution needs");
  ESC_TRY(esc_block_predict(&h->problem, unused, &end));
  ESC_TRY(esc_block_path_open(&h->problem, grid, &path));
  path.lower.level = h->lower;
  path.lambda = lambda;
  path.hermite = false;
  path.upper.threshold = 0;
  ESC_TRY(esc_block_path_run(&path, end));
  ESC_TRY(check_escapes(&path, end));
  memcpy(out->escape, path.time, (size_t)h->problem.modes * sizeof *path.time);
  if (slopes) ESC_TRY(run_backward(&path, out));
done:
  esc_block_path_close(&path);
  return status;
}
