/* SPDX-License-Identifier: Apache-2.0 */
/* The bookkeeping of verify: the worst error counts, and what is not a number fails. And its
 * oracle: gradients against complex steps, the imbalance identity of whole runs. */
#include <complex.h>
#include <float.h>

#include "check.h"
#include "verify/fixture.h"
#include "verify/oracle.h"
#include "verify/train.h"
#include "verify/verify.h"

#ifndef CMPLX /* clang with glibc */
#define CMPLX(x, y) __builtin_complex((double)(x), (double)(y))
#endif

static void the_worst_error_by_its_own_tolerance_is_kept(void **state) {
  (void)state;
  esc_verify_worst w = {.compared = 0};
  esc_verify_record(&w, 0.5, 1, "half of %d", 1);
  esc_verify_record(&w, -3, 4, "three quarters");
  esc_verify_record(&w, 5, 100, "a twentieth");
  assert_int_equal(w.compared, 3);
  esc_assert_close(w.error, 3, 0, 0);
  esc_assert_close(w.tolerance, 4, 0, 0);
  assert_string_equal(w.location, "three quarters");
  assert_true(esc_verify_passed(&w));
  esc_verify_record(&w, 1, 0, "any error where none is allowed");
  assert_false(esc_verify_passed(&w));
}

static void exact_equality_passes_with_tolerance_0(void **state) {
  (void)state;
  esc_verify_worst w = {.compared = 0};
  esc_verify_record(&w, 0, 0, "equal");
  assert_true(esc_verify_passed(&w));
}

static void what_is_not_a_number_fails_for_good(void **state) {
  (void)state;
  const double bad[][2] = {{NAN, 1},      {INFINITY, 1}, {0, NAN}, {INFINITY, INFINITY},
                           {0, INFINITY}, {0, -1}};
  for (int i = 0; i < 6; i++) {
    esc_verify_worst w = {.compared = 0};
    esc_verify_record(&w, 0, 1, "good");
    esc_verify_record(&w, bad[i][0], bad[i][1], "bad");
    esc_verify_record(&w, 0.9, 1, "good");
    assert_false(esc_verify_passed(&w));
    assert_string_equal(w.location, "bad");
  }
}

static void a_check_that_compared_nothing_fails(void **state) {
  (void)state;
  const esc_verify_worst w = {.compared = 0};
  assert_false(esc_verify_passed(&w));
}

static void the_ratio_shows_what_a_tolerance_is_worth(void **state) {
  (void)state;
  esc_verify_worst w = {.compared = 0};
  assert_false(esc_verify_exact(&w));
  esc_verify_record(&w, 0, 0, "equal");
  assert_true(esc_verify_exact(&w));
  assert_true(isinf(esc_verify_ratio(&w)));
  esc_verify_record(&w, 1e-3, 1, "vacuous");
  assert_false(esc_verify_exact(&w));
  esc_assert_close(esc_verify_ratio(&w), ESC_VERIFY_RATIO_MAX, 0, 1e-12);
  esc_verify_record(&w, NAN, 1, "bad");
  assert_true(isnan(esc_verify_ratio(&w)));
}

enum { WIDTH = 3, INPUTS = 2, SAMPLES = 4, WEIGHTS = WIDTH * INPUTS + WIDTH * WIDTH + WIDTH };

/* The smooth activations that complex.h has. */
static double complex activate(esc_activation_kind kind, double complex z) {
  switch (kind) {
    case ESC_ACTIVATION_TANH: return ctanh(z);
    case ESC_ACTIVATION_SIN: return csin(z);
    case ESC_ACTIVATION_SWISH: return z / (1 + cexp(-z));
    case ESC_ACTIVATION_SOFTPLUS_RAW: return clog(1 + cexp(z));
    case ESC_ACTIVATION_SIGMOID: return ctanh(z / 2) / 2;
    case ESC_ACTIVATION_POLYNOMIAL: return 0.1 + z * (0.9 + z * (-0.1 + z * 0.02));
    default: return z;
  }
}

static double complex output(esc_activation_kind kind, const double complex *w, const double *x) {
  double complex h[WIDTH], f = 0;
  for (int i = 0; i < WIDTH; i++)
    h[i] = activate(kind, w[INPUTS * i] * x[0] + w[INPUTS * i + 1] * x[1]);
  for (int i = 0; i < WIDTH; i++) {
    double complex z = 0;
    for (int j = 0; j < WIDTH; j++) z += w[WIDTH * INPUTS + WIDTH * i + j] * h[j];
    f += w[WIDTH * (INPUTS + WIDTH) + i] * activate(kind, z);
  }
  return f;
}

/* Squared loss; the teacher is 0.8 sigma(x_1). */
static double complex loss(const esc_problem *p, const double complex *w, const double *x) {
  const esc_activation_kind kind = p->activation.kind;
  double complex sum = 0;
  for (int b = 0; b < SAMPLES; b++) {
    const double complex error =
        output(kind, w, x + INPUTS * b) - 0.8 * activate(kind, x[INPUTS * b]);
    sum += error * error / (2 * SAMPLES);
  }
  return sum;
}

static void check_complex_step(int kind) {
  esc_problem p = esc_verify_problem(3, WIDTH, INPUTS, SAMPLES);
  long double v[INPUTS], w[WEIGHTS], g[WEIGHTS];
  double complex at[WEIGHTS];
  double x[SAMPLES * INPUTS];
  esc_oracle_gradient got = {.g = g};
  p.activation = esc_verify_activation(kind);
  p.teacher.amplitude[0] = 0.8;
  for (int i = 0; i < SAMPLES * INPUTS; i++) x[i] = 1.2 * cos(1.7 * i);
  for (int i = 0; i < WEIGHTS; i++) w[i] = (long double)creal(at[i] = 0.7 * sin(2.3 * i + 1));
  const esc_batch batch = {.samples = SAMPLES, .x = x};
  esc_oracle_directions(&p, v);
  esc_assert_ok(esc_oracle_gradient_of(&p, v, w, &batch, &got));
  esc_assert_close((double)got.loss, creal(loss(&p, at, x)), 1e-15, 1e-14);
  for (int i = 0; i < WEIGHTS; i++) {
    const double complex kept = at[i];
    at[i] += CMPLX(0, 1e-30);
    esc_assert_close((double)g[i], cimag(loss(&p, at, x)) / 1e-30, 1e-15, 1e-13);
    at[i] = kept;
  }
}

static void the_oracle_differentiates_as_complex_steps_do(void **state) {
  (void)state;
  static const int kinds[] = {ESC_ACTIVATION_LINEAR,       ESC_ACTIVATION_TANH,
                              ESC_ACTIVATION_SIN,          ESC_ACTIVATION_SWISH,
                              ESC_ACTIVATION_SOFTPLUS_RAW, ESC_ACTIVATION_SIGMOID,
                              ESC_ACTIVATION_POLYNOMIAL};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) check_complex_step(kinds[i]);
}

/* To a few ulps of long double where that is longer than double (1e-18), of double else. */
static void the_oracles_ledger_is_the_change_of_its_weights(void **state) {
  (void)state;
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++) {
    esc_problem p = esc_verify_problem(4, 5, 3, 6);
    const esc_member m = esc_verify_train_member(0);
    esc_oracle_run r;
    p.activation = esc_verify_activation(kind);
    /* Under the squared loss the polynomial's weights diverge. */
    p.loss =
        kind == ESC_ACTIVATION_POLYNOMIAL ? ESC_LOSS_HUBER : (esc_loss_kind)(kind % ESC_LOSSES);
    p.steps = 30;
    p.rate = 0.02;
    esc_assert_ok(esc_oracle_train(&p, &m, &r));
    for (int l = 0; l < 3; l++)
      esc_assert_close((double)(esc_oracle_imbalance(&p, r.w, l) -
                                esc_oracle_imbalance(&p, r.initial, l) - r.ledger[l]),
                       0, (double)(1000 * LDBL_EPSILON), 0);
    assert_int_equal(r.steps, 30);
    esc_oracle_run_free(&r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_worst_error_by_its_own_tolerance_is_kept),
      cmocka_unit_test(exact_equality_passes_with_tolerance_0),
      cmocka_unit_test(what_is_not_a_number_fails_for_good),
      cmocka_unit_test(a_check_that_compared_nothing_fails),
      cmocka_unit_test(the_ratio_shows_what_a_tolerance_is_worth),
      cmocka_unit_test(the_oracle_differentiates_as_complex_steps_do),
      cmocka_unit_test(the_oracles_ledger_is_the_change_of_its_weights),
  };
  return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
