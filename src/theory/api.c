/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions of activations and of the symmetric manifold: they check their arguments, so
 * that no other function of src/theory needs to. */
#include "escapement/theory.h"

#include <math.h>

#include "escapement/internal/library.h"
#include "escapement/internal/pieces.h"
#include "escapement/internal/theory.h"

/* ---- activations ---- */

esc_status esc_activation_check(const esc_activation *a) {
  const bool piecewise = a->kind == ESC_ACTIVATION_PIECEWISE && a->pieces;
  if (piecewise) return esc_pieces_check(a->pieces);
  if (a->kind < 0 || a->kind >= ESC_ACTIVATION_COUNT)
    return ESC_FAIL(ESC_BAD_INPUT, "activation.kind: is %d; allowed: 0 to %d", (int)a->kind,
                    ESC_ACTIVATION_COUNT - 1);
  if (a->kind != ESC_ACTIVATION_POLYNOMIAL) return ESC_OK;
  esc_activation unused;
  return esc_activation_from_coefficients(a->terms, a->coefficient, &unused);
}

static esc_status check_and_classify(const esc_activation *activation, esc_classification *out) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_activation_check(activation));
  ESC_TRY(esc_classify(activation, out));
done:
  return status;
}

esc_status esc_activation_classify(const esc_activation *activation, esc_classification *out) {
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = check_and_classify(activation, out);
  esc_library_leave(scope);
  return status;
}

const char *esc_class_name(esc_class class_) {
  switch (class_) {
    case ESC_CLASS_A: return "A";
    case ESC_CLASS_B: return "B";
    case ESC_CLASS_C: return "C";
    case ESC_CLASS_D: return "D";
    default: return "none";
  }
}

const char *esc_class_meaning(esc_class class_) {
  switch (class_) {
    case ESC_CLASS_A: return "homogeneous";
    case ESC_CLASS_B: return "odd, nonlinear";
    case ESC_CLASS_C: return "a_0 = 0, a_2 not 0";
    case ESC_CLASS_D: return "a_0 not 0";
    default: return "outside A to D";
  }
}

bool esc_classification_deficit(const esc_classification *c, int *order, double *coefficient) {
  *order = c->a[0] != 0 ? 0 : c->q;
  *coefficient = c->a[0] != 0 ? c->a[0] : (1 - c->q) * c->aq;
  return *coefficient != 0;
}

void esc_classification_warn(const esc_classification *c, char *text, size_t size) {
  const esc_library_scope scope = esc_library_enter();
  esc_classification_warnings(c, text, size);
  esc_library_leave(scope);
}

/* ---- the symmetric manifold ---- */

esc_status esc_layers_check(int layers) {
  if (layers >= 2 && layers <= ESC_LAYERS_MAX) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT, "layers: is %d; allowed: 2 to %d", layers, ESC_LAYERS_MAX);
}

/* Checks momentum, rate and decay. */
static esc_status check_optimizer(const esc_escape_problem *p) {
  if (!(p->momentum >= 0 && p->momentum < 1))
    return ESC_FAIL(ESC_BAD_INPUT, "momentum: is %g; allowed: numbers from 0 to below 1",
                    p->momentum);
  if (!(p->rate >= 0) || !isfinite(p->rate))
    return ESC_FAIL(ESC_BAD_INPUT, "rate: is %g; allowed: finite numbers from 0 on", p->rate);
  if (!(p->decay >= 0) || !isfinite(p->decay))
    return ESC_FAIL(ESC_BAD_INPUT, "decay: is %g; allowed: finite numbers from 0 on", p->decay);
  return ESC_OK;
}

/* Checks the start of an escape time or a trajectory. */
static esc_status check_start(const esc_escape_problem *p) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_activation_check(&p->activation));
  ESC_TRY(esc_layers_check(p->layers));
  ESC_TRY(check_optimizer(p));
  if (!isfinite(p->amplitude)) return ESC_FAIL(ESC_BAD_INPUT, "amplitude: is not a finite number");
  for (int l = 0; l < p->layers; l++)
    if (!(p->scale[l] > 0) || !isfinite(p->scale[l]))
      return ESC_FAIL(ESC_BAD_INPUT, "scale[%d]: is %g; allowed: finite numbers above 0", l,
                      p->scale[l]);
done:
  return status;
}

static esc_status check_escape(const esc_escape_problem *p) {
  esc_status status = ESC_OK;
  ESC_TRY(check_start(p));
  if (!(p->to > 0) || !isfinite(p->to))
    return ESC_FAIL(ESC_BAD_INPUT, "to: is %g; allowed: a finite number above 0", p->to);
  if (p->layer < 0 || p->layer >= p->layers)
    return ESC_FAIL(ESC_BAD_INPUT, "layer: is %d; allowed: 0 to %d", p->layer, p->layers - 1);
done:
  return status;
}

static esc_status compute_escape_times(const esc_escape_problem *p, esc_escape_times *out) {
  esc_status status = ESC_OK;
  ESC_TRY(check_escape(p));
  ESC_TRY(esc_escape_times_find(p, out));
done:
  return status;
}

esc_status esc_escape_times_compute(const esc_escape_problem *problem, esc_escape_times *out) {
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = compute_escape_times(problem, out);
  esc_library_leave(scope);
  return status;
}

static esc_status compute_critical_decay(const esc_escape_problem *p, esc_critical_decay *out) {
  esc_status status = ESC_OK;
  ESC_TRY(check_escape(p));
  ESC_TRY(esc_critical_decay_find(p, out));
done:
  return status;
}

esc_status esc_critical_decay_compute(const esc_escape_problem *problem, esc_critical_decay *out) {
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = compute_critical_decay(problem, out);
  esc_library_leave(scope);
  return status;
}

static esc_status compute_trajectory(const esc_escape_problem *p, int times, const double *time,
                                     double *scale, double *loss) {
  esc_status status = ESC_OK;
  ESC_TRY(check_start(p));
  for (int i = 0; i < times; i++)
    if (!(time[i] >= (i > 0 ? time[i - 1] : 0)) || !isfinite(time[i]))
      return ESC_FAIL(ESC_BAD_INPUT, "time[%d]: is %g; allowed: finite, ascending, from 0 on", i,
                      time[i]);
  ESC_TRY(esc_reduced_trajectory(p, times, time, scale, loss));
done:
  return status;
}

esc_status esc_trajectory_compute(const esc_escape_problem *problem, int times, const double *time,
                                  double *scale, double *loss) {
  const esc_library_scope scope = esc_library_enter();
  const esc_status status = compute_trajectory(problem, times, time, scale, loss);
  esc_library_leave(scope);
  return status;
}
