/* SPDX-License-Identifier: Apache-2.0 */
/* The reference's gradient against the oracle's and against differences of its loss, for
 * every activation and loss: odd width, d != N, two modes off the axes, samples of
 * different weight. */
#include <float.h>
#include <math.h>

#include "verify/fixture.h"
#include "verify/oracle.h"
#include "verify/verify.h"

/* Loss at the weights of the fixture, summed here over the samples. */
static double loss_at(esc_verify_fixture *s, double *unused) {
  double loss = 0;
  for (int b = 0; b < s->batch.samples; b++) {
    esc_gradient one = {.g = unused};
    const esc_batch sample = {.samples = 1, .x = s->x + (ptrdiff_t)b * s->problem.shape.inputs};
    esc_reference_gradient(&s->problem, s->directions, s->w, &sample, s->work, &one);
    loss += s->weight[b] * one.loss;
  }
  return loss;
}

/* Order four in w_i: h = 1e-3 leaves h^4 l^(5)/30, with fifth derivatives of up to 30, and
 * 1e-16/h of rounding. */
static double quotient(esc_verify_fixture *s, size_t i, double *unused) {
  static const double shift[4] = {-2, -1, 1, 2};
  const double h = 1e-3, w = s->w[i];
  double value[4];
  for (int k = 0; k < 4; k++) {
    s->w[i] = w + shift[k] * h;
    value[k] = loss_at(s, unused);
  }
  s->w[i] = w;
  return (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * h);
}

enum { WEIGHTS = 5 * 3 + 5 * 5 + 5 };

typedef esc_status one_case(int kind, int loss, esc_verify_worst *worst);

static esc_status open(int kind, int loss, esc_verify_fixture *s) {
  esc_problem p = esc_verify_problem(3, 5, 3, 6);
  p.activation = esc_verify_activation(kind);
  p.loss = (esc_loss_kind)loss;
  p.huber_delta = 0.9;
  esc_verify_modes(&p, 2);
  const esc_status status = esc_verify_fixture_open(&p, s);
  if (status == ESC_OK) esc_verify_fixture_gradient(s);
  return status;
}

static esc_status check_differences(int kind, int loss, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  esc_verify_fixture s;
  double unused[WEIGHTS];
  ESC_TRY(open(kind, loss, &s));
  esc_verify_record(worst, s.gradient.loss - loss_at(&s, unused), 1e-14, "loss: %s, %s",
                    esc_verify_activation_name(kind), esc_verify_loss_name(loss));
  for (size_t i = 0; i < WEIGHTS; i++)
    esc_verify_record(worst, s.g[i] - quotient(&s, i, unused), 1e-11 * (1 + fabs(s.g[i])),
                      "%s, %s, weight %zu", esc_verify_activation_name(kind),
                      esc_verify_loss_name(loss), i);
done:
  esc_verify_fixture_close(&s);
  return status;
}

/* Directions, weights and sample weights are the fixture's. Sums of up to thirty products of
 * numbers up to 2, each good to some ulps. */
static esc_status check_oracle(int kind, int loss, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  esc_verify_fixture s;
  long double v[2 * 3], w[WEIGHTS], g[WEIGHTS];
  esc_oracle_gradient want = {.g = g};
  const char *name = esc_verify_activation_name(kind), *cost = esc_verify_loss_name(loss);
  ESC_TRY(open(kind, loss, &s));
  for (int i = 0; i < 2 * 3; i++) v[i] = s.directions[i];
  for (int i = 0; i < WEIGHTS; i++) w[i] = s.w[i];
  ESC_TRY(esc_oracle_gradient_of(&s.problem, v, w, &s.batch, &want));
  const double ulps = 30 * DBL_EPSILON;
  esc_verify_record(worst, s.gradient.loss - (double)want.loss, ulps, "%s, %s, loss", name, cost);
  for (int l = 0; l < 2; l++)
    esc_verify_record(worst, s.gradient.deficit[l] - (double)want.deficit[l], ulps,
                      "%s, %s, E[u.kappa] of interface %d", name, cost, l + 1);
  for (int l = 0; l < 3; l++)
    esc_verify_record(worst, s.gradient.grad_norm_sq[l] - (double)want.grad_norm_sq[l],
                      ulps * (1 + s.gradient.grad_norm_sq[l]), "%s, %s, |G_%d|^2", name, cost,
                      l + 1);
  for (int i = 0; i < WEIGHTS; i++)
    esc_verify_record(worst, s.g[i] - (double)g[i], ulps, "%s, %s, weight %d", name, cost, i);
done:
  esc_verify_fixture_close(&s);
  return status;
}

static esc_status every_case(one_case *check, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++)
    for (int loss = 0; loss < ESC_LOSSES; loss++) ESC_TRY(check(kind, loss, worst));
done:
  return status;
}

static esc_status against_oracle(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  return every_case(check_oracle, worst);
}

static esc_status differences(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  return every_case(check_differences, worst);
}

const esc_verify_check esc_verify_gradients[] = {
    {"gradients: against long double", against_oracle},
    {"gradients: against differences of the loss", differences},
    {0},
};
