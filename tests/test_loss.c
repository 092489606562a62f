/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of the losses: derivatives are limits of difference quotients, convexity,
 * what Huber and logistic do far out, and float against double. */
#include <float.h>

#include "check.h"
#include "escapement/internal/loss.h"

static const double delta = 0.75;
static const double targets[] = {-1.6, -0.3, 0.0, 0.4, 2.0};
enum { LOSSES = ESC_LOSSES, TARGETS = sizeof targets / sizeof *targets };

static esc_loss_f64 loss(int kind, double f, double t) {
  return esc_loss_eval_f64((esc_loss_kind)kind, delta, f, t);
}

/* Calls check for every loss and target at predictions from -6 to 6; none within 0.01 of a place
 * where Huber's second derivative jumps. */
static void at_every_point(void (*check)(int kind, double f, double t)) {
  for (int kind = 0; kind < LOSSES; kind++) {
    for (int k = 0; k < TARGETS; k++) {
      for (int i = -60; i <= 60; i++) check(kind, 0.1 * i + 0.0125, targets[k]);
    }
  }
}

/* Order four: h = 1e-3 leaves h^4 l^(5)/30 < 1e-13 and rounding of 1e-12. */
static void check_derivative(int kind, double f, double t) {
  const double h = 1e-3;
  const double near = loss(kind, f + h, t).value - loss(kind, f - h, t).value;
  const double far = loss(kind, f + 2 * h, t).value - loss(kind, f - 2 * h, t).value;
  esc_assert_close(loss(kind, f, t).derivative, (8 * near - far) / (12 * h), 1e-11, 0);
}

static void derivative_is_the_limit_of_difference_quotients(void **state) {
  (void)state;
  at_every_point(check_derivative);
}

/* l(f+s) >= l(f) + s l'(f). */
static void check_tangent_below(int kind, double f, double t) {
  const esc_loss_f64 at = loss(kind, f, t);
  assert_true(at.value >= 0);
  for (double s = -4; s <= 4; s += 0.5) {
    assert_true(loss(kind, f + s, t).value >= at.value + s * at.derivative - 1e-14);
    assert_true((loss(kind, f + s, t).derivative - at.derivative) * s >= 0);
  }
}

static void every_loss_is_convex_and_above_its_tangents(void **state) {
  (void)state;
  at_every_point(check_tangent_below);
}

static void check_float(int kind, double f, double t) {
  const float ff = (float)f, tf = (float)t, df = (float)delta;
  const esc_loss_f32 got = esc_loss_eval_f32((esc_loss_kind)kind, df, ff, tf);
  const esc_loss_f64 want =
      esc_loss_eval_f64((esc_loss_kind)kind, (double)df, (double)ff, (double)tf);
  esc_assert_close((double)got.value, want.value, 0, 4 * (double)FLT_EPSILON);
  esc_assert_close((double)got.derivative, want.derivative, 0, 4 * (double)FLT_EPSILON);
}

static void float_agrees_with_double_to_a_few_ulp(void **state) {
  (void)state;
  at_every_point(check_float);
}

static void squared_is_half_the_squared_error(void **state) {
  (void)state;
  const esc_loss_f64 l = loss(ESC_LOSS_SQUARED, 1.5, -0.5);
  assert_true(l.value == 2 && l.derivative == 2);
}

static void huber_is_squared_within_delta_and_linear_beyond(void **state) {
  (void)state;
  assert_true(loss(ESC_LOSS_HUBER, 0.5, 0).value == 0.125);
  assert_true(loss(ESC_LOSS_HUBER, delta, 0).value == delta * delta / 2);
  assert_true(loss(ESC_LOSS_HUBER, 3, -1).value == delta * (4 - delta / 2));
  assert_true(loss(ESC_LOSS_HUBER, -1, 3).value == delta * (4 - delta / 2));
  assert_true(loss(ESC_LOSS_HUBER, 3, -1).derivative == delta);
  assert_true(loss(ESC_LOSS_HUBER, -1, 3).derivative == -delta);
}

static void huber_with_a_huge_delta_is_squared(void **state) {
  (void)state;
  for (double f = -5; f < 5; f += 0.3) {
    const esc_loss_f64 huber = esc_loss_eval_f64(ESC_LOSS_HUBER, 1e6, f, 0.7);
    const esc_loss_f64 squared = loss(ESC_LOSS_SQUARED, f, 0.7);
    assert_true(huber.value == squared.value && huber.derivative == squared.derivative);
  }
}

static void logistic_reads_only_the_sign_of_the_target_and_zero_counts_as_plus(void **state) {
  (void)state;
  const esc_loss_f64 plus = loss(ESC_LOSS_LOGISTIC, 0.8, 0.01);
  const esc_loss_f64 minus = loss(ESC_LOSS_LOGISTIC, 0.8, -7);
  esc_assert_close(plus.value, log(1 + exp(-0.8)), 0, 1e-15);
  esc_assert_close(plus.derivative, -1 / (1 + exp(0.8)), 0, 1e-15);
  esc_assert_close(minus.value, log(1 + exp(0.8)), 0, 1e-15);
  esc_assert_close(minus.derivative, 1 / (1 + exp(-0.8)), 0, 1e-15);
  assert_true(loss(ESC_LOSS_LOGISTIC, 0.8, 0).value == plus.value);
  assert_true(loss(ESC_LOSS_LOGISTIC, 0.8, -0.0).value == plus.value);
}

static void logistic_is_stable_far_out(void **state) {
  (void)state;
  esc_assert_close(loss(ESC_LOSS_LOGISTIC, 40, 1).value, exp(-40), 0, 1e-14);
  esc_assert_close(loss(ESC_LOSS_LOGISTIC, 40, 1).derivative, -exp(-40), 0, 1e-14);
  assert_true(loss(ESC_LOSS_LOGISTIC, 1e4, 1).value == 0);
  assert_true(loss(ESC_LOSS_LOGISTIC, -1e4, 1).value == 1e4);
  assert_true(loss(ESC_LOSS_LOGISTIC, -1e4, 1).derivative == -1);
  assert_true(loss(ESC_LOSS_LOGISTIC, 1e4, -1).derivative == 1);
  assert_true(esc_loss_eval_f32(ESC_LOSS_LOGISTIC, 0, -1e4F, 1).value == 1e4F);
}

static void a_nan_in_prediction_or_target_goes_through(void **state) {
  (void)state;
  for (int kind = 0; kind < LOSSES; kind++) {
    const esc_loss_f64 f = loss(kind, (double)NAN, 1), t = loss(kind, 1, (double)NAN);
    const esc_loss_f32 s = esc_loss_eval_f32((esc_loss_kind)kind, 1, NAN, 1);
    assert_true(isnan(f.value) && isnan(f.derivative));
    assert_true(isnan(t.value) && isnan(t.derivative));
    assert_true(isnan(s.value) && isnan(s.derivative));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(derivative_is_the_limit_of_difference_quotients),
      cmocka_unit_test(every_loss_is_convex_and_above_its_tangents),
      cmocka_unit_test(float_agrees_with_double_to_a_few_ulp),
      cmocka_unit_test(squared_is_half_the_squared_error),
      cmocka_unit_test(huber_is_squared_within_delta_and_linear_beyond),
      cmocka_unit_test(huber_with_a_huge_delta_is_squared),
      cmocka_unit_test(logistic_reads_only_the_sign_of_the_target_and_zero_counts_as_plus),
      cmocka_unit_test(logistic_is_stable_far_out),
      cmocka_unit_test(a_nan_in_prediction_or_target_goes_through),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
