/* SPDX-License-Identifier: Apache-2.0 */
/* Activations: known values, long double, derivatives by finite differences, the deficit kappa by
 * its definition, and float against double. */
#include <float.h>
#include <math.h>

#include "escapement/internal/activation.h"
#include "verify/fixture.h"
#include "verify/oracle.h"
#include "verify/verify.h"

/* sigma(0) and sigma(1), by an independent program in 30 digits. */
static const double value_at[ESC_ACTIVATION_COUNT][2] = {
    [ESC_ACTIVATION_LINEAR] = {0, 1},
    [ESC_ACTIVATION_RELU] = {0, 1},
    [ESC_ACTIVATION_TANH] = {0, 0.761594155955764888},
    [ESC_ACTIVATION_ERF] = {0, 0.842700792949714869},
    [ESC_ACTIVATION_SIN] = {0, 0.841470984807896507},
    [ESC_ACTIVATION_GELU] = {0, 0.841344746068542949},
    [ESC_ACTIVATION_SWISH] = {0, 0.731058578630004879},
    [ESC_ACTIVATION_SOFTPLUS] = {0, 0.620114506958277525},
    [ESC_ACTIVATION_SIGMOID] = {0, 0.231058578630004879},
    [ESC_ACTIVATION_SOFTPLUS_RAW] = {0.693147180559945309, 1.313261687518222834},
    [ESC_ACTIVATION_SIGMOID_RAW] = {0.5, 0.731058578630004879},
    [ESC_ACTIVATION_POLYNOMIAL] = {0.1, 0.92},
};

/* Values of order 1: a few ulp. */
static esc_status values(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++) {
    const esc_activation a = esc_verify_activation(kind);
    for (int z = 0; z < 2; z++)
      esc_verify_record(worst, esc_activate_f64(&a, z).value - value_at[kind][z], 4 * DBL_EPSILON,
                        "%s at %d", esc_verify_activation_name(kind), z);
  }
  return ESC_OK;
}

/* Calls check for every activation at z from -6 to 6, but not within 0.04 of 0, because the
 * difference quotient would straddle the kink of ReLU. */
static void at_every_z(void (*check)(int kind, double z, esc_verify_worst *worst),
                       esc_verify_worst *worst) {
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++)
    for (int i = -60; i < 60; i++) check(kind, 0.1 * i + 0.05, worst);
}

/* Values and derivatives of some ulps; kappa, where it is a difference, of its terms. */
static void check_oracle(int kind, double z, esc_verify_worst *worst) {
  const esc_activation a = esc_verify_activation(kind);
  const esc_eval_f64 got = esc_activate_f64(&a, z);
  const esc_oracle_value want = esc_oracle_activate(&a, (long double)z);
  const double ulps = 8 * DBL_EPSILON, size = fabs(got.value) + fabs(z * got.derivative);
  const char *name = esc_verify_activation_name(kind);
  esc_verify_record(worst, (double)(got.value - want.value), ulps * (1 + fabs(got.value)),
                    "%s at %.2f", name, z);
  esc_verify_record(worst, (double)(got.derivative - want.derivative), ulps * (1 + fabs(z)),
                    "%s' at %.2f", name, z);
  esc_verify_record(worst, (double)(got.deficit - want.deficit), ulps * size, "kappa of %s at %.2f",
                    name, z);
}

static esc_status against_oracle(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  at_every_z(check_oracle, worst);
  return ESC_OK;
}

/* Central difference of order eight. */
static double quotient(const esc_activation *a, double z) {
  static const double weight[] = {4.0 / 5, -1.0 / 5, 4.0 / 105, -1.0 / 280};
  const double h = 0.01;
  double sum = 0;
  for (int k = 1; k <= 4; k++)
    sum += weight[k - 1] *
           (esc_activate_f64(a, z + k * h).value - esc_activate_f64(a, z - k * h).value);
  return sum / h;
}

/* h = 0.01 leaves h^8 sigma^(9)/630 < 2e-15, and of rounding 1e-14 times the value. */
static void check_derivative(int kind, double z, esc_verify_worst *worst) {
  const esc_activation a = esc_verify_activation(kind);
  const esc_eval_f64 e = esc_activate_f64(&a, z);
  esc_verify_record(worst, e.derivative - quotient(&a, z), 1e-12 * (1 + fabs(e.value)),
                    "%s at %.2f", esc_verify_activation_name(kind), z);
}

static esc_status derivatives(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  at_every_z(check_derivative, worst);
  return ESC_OK;
}

/* The difference that defines kappa is accurate to one or two ulp of each term. */
static void check_deficit(int kind, double z, esc_verify_worst *worst) {
  const esc_activation a = esc_verify_activation(kind);
  const esc_eval_f64 e = esc_activate_f64(&a, z);
  const double product = z * e.derivative;
  esc_verify_record(worst, e.deficit - (e.value - product),
                    8 * DBL_EPSILON * (fabs(e.value) + fabs(product)), "%s at %.2f",
                    esc_verify_activation_name(kind), z);
}

static esc_status deficits(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  at_every_z(check_deficit, worst);
  return ESC_OK;
}

/* Functions to 2.4 ulp, and up to three operations behind them: of the value and its slope
 * below 1/2, also where they are tiny; beyond, where parts cancel, of 1 + |z|. The deficit keeps
 * six digits of itself below 1/2, also where it is tiny; beyond, where sin's and the polynomial's
 * have zeros, of its terms. */
static void check_float(int kind, double at, esc_verify_worst *worst) {
  const esc_activation a = esc_verify_activation(kind);
  const float z = (float)at;
  const esc_eval_f64 want = esc_activate_f64(&a, (double)z);
  const esc_eval_f32 got = esc_activate_f32(&a, z);
  const char *name = esc_verify_activation_name(kind);
  const double size = fabs(want.value) + fabs((double)z * want.derivative);
  const double ulp = 8 * (double)FLT_EPSILON, ulps = ulp * (1 + fabs((double)z) + size);
  esc_verify_record(worst, (double)got.value - want.value, fabs(at) < 0.5 ? ulp * size : ulps,
                    "%s at %g", name, at);
  esc_verify_record(worst, (double)got.derivative - want.derivative, ulps, "%s' at %g", name, at);
  esc_verify_record(worst, (double)got.deficit - want.deficit,
                    2e-6 * (fabs(at) < 0.5 ? fabs(want.deficit) : size), "kappa of %s at %g", name,
                    at);
}

static esc_status floats(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  at_every_z(check_float, worst);
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++)
    for (int decade = -6; decade < -1; decade++) check_float(kind, -pow(10, decade), worst);
  return ESC_OK;
}

const esc_verify_check esc_verify_activations[] = {
    {"activations: values", values},
    {"activations: double against long double", against_oracle},
    {"activations: derivative against differences", derivatives},
    {"activations: kappa = sigma - z sigma'", deficits},
    {"activations: float against double", floats},
    {0},
};
