/* SPDX-License-Identifier: Apache-2.0 */
/* Losses: numbers, long double, derivatives by differences, float against double. */
#include <float.h>
#include <math.h>

#include "escapement/internal/loss.h"
#include "verify/fixture.h"
#include "verify/oracle.h"
#include "verify/verify.h"

static const double delta = 0.75;
static const double targets[] = {-1.6, -0.3, 0.4, 2.0};
enum { TARGETS = sizeof targets / sizeof targets[0] };

/* Some ulps of the terms: softplus and the square of a difference. */
static void record_oracle(int kind, double f, double to, esc_verify_worst *worst) {
  const esc_problem p = {.loss = (esc_loss_kind)kind, .huber_delta = delta};
  const esc_loss_f64 got = esc_loss_eval_f64(p.loss, delta, f, to);
  long double derivative;
  const double want = (double)esc_oracle_loss(&p, (long double)f, (long double)to, &derivative);
  const char *name = esc_verify_loss_name(kind);
  esc_verify_record(worst, got.value - want, 4 * DBL_EPSILON * (1 + want), "%s at %.2f, %.1f", name,
                    f, to);
  esc_verify_record(worst, (double)(got.derivative - derivative), 4 * DBL_EPSILON * (1 + want),
                    "%s' at %.2f, %.1f", name, f, to);
}

/* At f = 1.5, t = -0.5: 2^2/2; ln(1 + e^1.5), the label being -1; 0.75 (2 - 0.375). And the
 * oracle's on a grid. */
static esc_status values(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  static const double want[ESC_LOSSES] = {2, 1.70141327798275240949, 1.21875};
  for (int kind = 0; kind < ESC_LOSSES; kind++) {
    esc_verify_record(worst,
                      esc_loss_eval_f64((esc_loss_kind)kind, delta, 1.5, -0.5).value - want[kind],
                      4 * DBL_EPSILON, "%s", esc_verify_loss_name(kind));
    for (int i = -30; i <= 30; i++)
      for (int k = 0; k < TARGETS; k++) record_oracle(kind, 0.1 * i + 0.0125, targets[k], worst);
  }
  return ESC_OK;
}

static double value(int kind, double f, double t) {
  return esc_loss_eval_f64((esc_loss_kind)kind, delta, f, t).value;
}

/* Order four: h = 1e-3 leaves h^4 l^(5)/30 < 1e-13 and 1e-12 of rounding; no f is within
 * 2h of a jump of Huber's second derivative. */
static esc_status derivatives(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  const double h = 1e-3;
  for (int kind = 0; kind < ESC_LOSSES; kind++)
    for (int k = 0; k < TARGETS; k++)
      for (int i = -30; i <= 30; i++) {
        const double f = 0.1 * i + 0.0125, to = targets[k];
        const double near = value(kind, f + h, to) - value(kind, f - h, to);
        const double far = value(kind, f + 2 * h, to) - value(kind, f - 2 * h, to);
        const double got = esc_loss_eval_f64((esc_loss_kind)kind, delta, f, to).derivative;
        esc_verify_record(worst, got - (8 * near - far) / (12 * h), 1e-11, "%s at %.2f, %.1f",
                          esc_verify_loss_name(kind), f, to);
      }
  return ESC_OK;
}

/* Functions to two ulp, and two operations. */
static esc_status floats(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  for (int kind = 0; kind < ESC_LOSSES; kind++)
    for (int k = 0; k < TARGETS; k++)
      for (int i = -30; i <= 30; i++) {
        const float f = 0.1F * (float)i + 0.0125F, to = (float)targets[k], cut = (float)delta;
        const esc_loss_f32 got = esc_loss_eval_f32((esc_loss_kind)kind, cut, f, to);
        const esc_loss_f64 want =
            esc_loss_eval_f64((esc_loss_kind)kind, (double)cut, (double)f, (double)to);
        const double unit = 4 * (double)FLT_EPSILON;
        const char *name = esc_verify_loss_name(kind);
        esc_verify_record(worst, (double)got.value - want.value, unit * fabs(want.value),
                          "%s at %.2f, %.1f", name, (double)f, (double)to);
        esc_verify_record(worst, (double)got.derivative - want.derivative,
                          unit * fabs(want.derivative), "%s' at %.2f, %.1f", name, (double)f,
                          (double)to);
      }
  return ESC_OK;
}

const esc_verify_check esc_verify_losses[] = {
    {"losses: values", values},
    {"losses: derivative against differences", derivatives},
    {"losses: float against double", floats},
    {0},
};
