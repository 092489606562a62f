/* SPDX-License-Identifier: Apache-2.0 */
/* Classes, Taylor coefficients and Gaussian constants of activations against
 * closed forms, against docs/theory, section 9.1, and against 40-digit quadrature
 * (mpmath, quad on half-integer intervals); the critical-depth law. */
#include "check.h"
#include "escapement/internal/theory.h"
#include "exact_activation.h"

static esc_activation named(const char *name) {
  esc_activation a;
  if (!esc_activation_parse(name, &a)) fail_msg("%s is no activation", name);
  return a;
}

static esc_classification classified(const char *name) {
  const esc_activation a = named(name);
  esc_classification c;
  esc_assert_ok(esc_classify(&a, &c));
  return c;
}

static const char *warnings_of(const char *name) {
  static char text[1024];
  const esc_classification c = classified(name);
  esc_classification_warnings(&c, text, sizeof text);
  return text;
}

static void assert_class(const char *name, esc_class class_, int q, bool escapes) {
  const esc_classification c = classified(name);
  if (c.class_ != class_ || c.q != q || c.escapes != escapes)
    fail_msg("%s: class %d, q = %d, escapes = %d", name, (int)c.class_, c.q, c.escapes);
}

/* Every expectation of the classification, counted (linker: --wrap). */
static int expectations;
esc_status __real_esc_gaussian_expectation(const esc_gaussian_integral *f, double tolerance,
                                           double *mean, double *error);
esc_status __wrap_esc_gaussian_expectation(const esc_gaussian_integral *f, double tolerance,
                                           double *mean, double *error);
esc_status __wrap_esc_gaussian_expectation(const esc_gaussian_integral *f, double tolerance,
                                           double *mean, double *error) {
  expectations++;
  return __real_esc_gaussian_expectation(f, tolerance, mean, error);
}

/* Each point of a grid has its activation classified. */
static void an_activation_is_classified_once(void **state) {
  (void)state;
  static const char *const name[] = {"gelu", "poly:0,1,0,-0.2", "poly:0,1,0,-0.3"};
  for (int i = 0; i < 3; i++) {
    expectations = 0;
    const esc_classification first = classified(name[i]);
    assert_int_equal(expectations, 2);
    const esc_classification again = classified(name[i]);
    assert_int_equal(expectations, 2);
    assert_true(first.c1 == again.c1 && first.moment == again.moment && first.q == again.q);
  }
}

static void every_named_activation_has_its_class(void **state) {
  (void)state;
  assert_class("linear", ESC_CLASS_A, 0, true);
  assert_class("relu", ESC_CLASS_A, 0, true);
  assert_class("tanh", ESC_CLASS_B, 3, true);
  assert_class("erf", ESC_CLASS_B, 3, true);
  assert_class("sin", ESC_CLASS_B, 3, true);
  assert_class("gelu", ESC_CLASS_C, 2, true);
  assert_class("swish", ESC_CLASS_C, 2, true);
  assert_class("softplus", ESC_CLASS_C, 2, true);
  assert_class("sigmoid", ESC_CLASS_B, 3, true);
  assert_class("softplus-raw", ESC_CLASS_D, 2, true);
  assert_class("sigmoid-raw", ESC_CLASS_D, 3, true);
}

static void polynomials_are_classified_by_their_coefficients(void **state) {
  (void)state;
  assert_class("poly:0,2", ESC_CLASS_A, 0, true);
  assert_class("poly:0,-2", ESC_CLASS_A, 0, false);
  assert_class("poly:0,1,0,-1", ESC_CLASS_B, 3, false);
  assert_class("poly:0,1,0,0,0,-0.01,0,0.001", ESC_CLASS_B, 5, true);
  assert_class("poly:0,1,0.5,-1", ESC_CLASS_C, 2, false);
  assert_class("poly:0,1,-0.3", ESC_CLASS_C, 2, true);
  assert_class("poly:0.1,1,0,-0.1", ESC_CLASS_D, 3, true);
  assert_class("poly:1", ESC_CLASS_D, 0, false);
  assert_class("poly:0,1,0,-1,1", ESC_CLASS_NONE, 3, false);
  assert_class("poly:0,1,0,0,0.1", ESC_CLASS_NONE, 4, true);
  assert_class("poly:0,1,0,-0.1,0,0,0.1", ESC_CLASS_NONE, 3, true);
  assert_class("poly:0,0,0,1", ESC_CLASS_B, 3, false);
  assert_class("poly:0,0,1", ESC_CLASS_C, 2, false);
  assert_class("poly:0,3,0,-1", ESC_CLASS_B, 3, false); /* c_1 = 3 - 3 */
}

static void a_polynomial_has_no_small_coefficients_to_overlook(void **state) {
  (void)state;
  assert_class("poly:0,1,0,1e-200", ESC_CLASS_B, 3, true);
  assert_class("poly:0,1,1e-300,1", ESC_CLASS_C, 2, true);
  assert_class("poly:1e-300,1", ESC_CLASS_D, 0, true);
  assert_class("poly:0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1e-30", ESC_CLASS_NONE, 16, true);
}

static void taylor_coefficients_are_computed_to_rounding(void **state) {
  (void)state;
  for (int kind = 0; kind < ESC_ACTIVATION_POLYNOMIAL; kind++) {
    if (kind == ESC_ACTIVATION_RELU) continue;
    const esc_activation a = {.kind = (esc_activation_kind)kind};
    esc_classification c;
    esc_assert_ok(esc_classify(&a, &c));
    for (int k = 0; k < TERMS; k++) {
      const double want = (double)taylor[kind][k];
      if (want == 0) assert_true(c.a[k] == 0 && !signbit(c.a[k]));
      esc_assert_close(c.a[k], want, 0, 1e-13);
    }
  }
}

/* Terms far out: tanh from its Bernoulli numbers, sin and erf from factorials. */
static void the_last_coefficients_are_right_too(void **state) {
  (void)state;
  esc_assert_close(classified("tanh").a[17], 6404582.0 / 10854718875, 0, 1e-12);
  esc_assert_close(classified("tanh").a[19], -443861162.0 / 1856156927625, 0, 1e-12);
  esc_assert_close(classified("sin").a[19], -1 / tgamma(20), 0, 1e-13);
  esc_assert_close(classified("erf").a[19], (double)-TWO_OVER_ROOT_PI / (19 * tgamma(10)), 0,
                   1e-13);
  esc_assert_close(classified("gelu").a[18], (double)ONE_OVER_ROOT_TWO_PI / (256 * 17 * tgamma(9)),
                   0, 1e-13);
}

static void relu_is_linear_by_homogeneity(void **state) {
  (void)state;
  const esc_classification c = classified("relu");
  assert_true(c.a[0] == 0 && c.a[1] == 1 && c.aq == 0 && c.correction == 0);
  esc_assert_close(c.c1, 0.5, 1e-14, 0);
}

static void assert_c1(const char *name, double want) {
  const esc_classification c = classified(name);
  esc_assert_close(c.c1, want, 1e-14, 1e-13);
  assert_true(c.c1_error < 1e-13 * fmax(1, fabs(want)));
}

static void c1_has_thirteen_digits(void **state) {
  (void)state;
  assert_c1("linear", 1);
  assert_c1("erf", 2 / sqrt(3 * acos(-1)));
  assert_c1("sin", exp(-0.5));
  assert_c1("gelu", 0.5);
  assert_c1("swish", 0.5);
  assert_c1("softplus", 0.5);
  assert_c1("softplus-raw", 0.5);
  assert_c1("tanh", 0.6057055096021588255835);    /* mpmath */
  assert_c1("sigmoid", 0.2066209641419070372624); /* mpmath */
  assert_c1("sigmoid-raw", 0.2066209641419070372624);
  assert_c1("poly:0,1,0,-1", 1 - 3);
  assert_c1("poly:7,0,5,2,3,1", 2 * 3 + 15); /* E[g^4] = 3, E[g^6] = 15 */
}

static void c1_near_zero_is_told_from_zero(void **state) {
  (void)state;
  assert_true(classified("poly:0,3,0,-1").c1 == 0);
  assert_true(classified("poly:0,0,1").c1 == 0);
  assert_true(classified("poly:0,15,0,0,0,-1").c1 == 0);
  esc_assert_close(classified("poly:0,3.000001,0,-1").c1, 1e-6, 0, 1e-8);
}

static void assert_correction(const char *name, double moment, double want, double digits) {
  const esc_classification c = classified(name);
  esc_assert_close(c.moment, moment, 1e-13, 1e-13);
  esc_assert_close(c.correction, want, digits, 0);
}

/* m_q by Stein's identity or mpmath, C by docs/theory, section 9.1. */
static void corrections_are_those_of_the_theory(void **state) {
  (void)state;
  const double pi = acos(-1);
  assert_correction("tanh", 1.453521152525502327253, -0.799905306, 5e-10);
  assert_correction("tanh", 1.453521152525502327253, -0.79990530573193791, 1e-13);
  assert_correction("erf", 14 / (3 * sqrt(3 * pi)), -7.0 / 9, 1e-13);
  assert_correction("sin", 2 * exp(-0.5), -1.0 / 3, 1e-13);
  assert_correction("gelu", 2.5 / sqrt(4 * pi), 1.125395395, 5e-10);
  assert_correction("gelu", 0.7052369794346953586851, 2.5 / pi * sqrt(2), 1e-13);
  assert_correction("swish", 0.5574664084664619182939, 0.557466408, 5e-10);
  assert_correction("sigmoid", 0.5574664084664619182939, -0.224834562, 5e-10);
  assert_correction("softplus", 0.3195329669294015123733, 0.159766483464700756, 1e-13);
  assert_correction("poly:0,1,0,-0.1", 3 - 1.5, -0.1 * 1.5 / 0.7, 1e-13);
}

static void a_correction_that_means_nothing_is_no_number(void **state) {
  (void)state;
  assert_true(isnan(classified("softplus-raw").correction));
  assert_true(isnan(classified("poly:0,0,0,1").correction));
  assert_true(isnan(classified("poly:0,3,0,-1").correction));
}

static void warnings_name_the_failed_assumption(void **state) {
  (void)state;
  static const char *const sound[] = {"linear", "relu",  "tanh",     "erf",    "sin",
                                      "gelu",   "swish", "softplus", "sigmoid"};
  for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
    assert_string_equal(warnings_of(sound[i]), "");
  assert_non_null(strstr(warnings_of("softplus-raw"), "a_0 = 0.693147"));
  assert_non_null(strstr(warnings_of("poly:0,1,0,-1"), "c_1 = -2 < 0"));
  assert_non_null(strstr(warnings_of("poly:0,1,0,-1,1"), "outside the classes A to D"));
  assert_non_null(strstr(warnings_of("poly:0,1,0,-1,1"), "; c_1 = -2 < 0"));
  assert_non_null(strstr(warnings_of("poly:0,0,0,1"), "a_1 = 0"));
  assert_null(strstr(warnings_of("poly:0,0,0,1"), "c_1 ="));
  assert_non_null(strstr(warnings_of("poly:0,3,0,-1"), "c_1 = 0"));
  assert_non_null(strstr(warnings_of("poly:0,-1,0,0.1"), "a_1 = -1 < 0"));
}

static void warnings_are_truncated_to_the_buffer(void **state) {
  (void)state;
  const esc_classification c = classified("poly:1");
  char text[1024], part[1024];
  esc_classification_warnings(&c, text, sizeof text);
  for (size_t size = 1; size < sizeof part; size++) {
    memset(part, '#', sizeof part);
    esc_classification_warnings(&c, part, size);
    assert_true(strlen(part) < size && !strncmp(part, text, strlen(part)));
    assert_true(part[size] == '#');
  }
}

static void moments_that_overflow_are_refused(void **state) {
  (void)state;
  const esc_activation a = named("poly:0,1e300,1e308");
  esc_classification c;
  assert_int_equal(esc_classify(&a, &c), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "too large"));
}

/* ---- critical depth ---- */

static void assert_depth(int layers, const double *scale, double spread, int r, double exponent,
                         double hierarchy) {
  const esc_critical_depth d = esc_critical_depth_compute(layers, scale, spread);
  assert_int_equal(d.r, r);
  assert_true(d.exponent == exponent && d.logarithmic == (r == 2));
  if (isinf(hierarchy))
    assert_true(isinf(d.hierarchy));
  else
    esc_assert_close(d.hierarchy, hierarchy, 0, 1e-14);
}

static void the_bottleneck_is_the_shell_of_the_smallest_scales(void **state) {
  (void)state;
  const double infinite = (double)INFINITY;
  assert_depth(5, (double[]){0.02, 0.02, 0.02, 1, 1}, 3, 3, -1, 50);
  assert_depth(5, (double[]){1, 1, 0.005, 0.005, 0.005}, 3, 3, -1, 200);
  assert_depth(4, (double[]){0.1, 0.15, 0.2, 0.3}, 1, 1, 0, 1.5);
  assert_depth(4, (double[]){0.1, 0.15, 0.2, 0.3}, 3, 4, -2, infinite);
  assert_depth(4, (double[]){0.3, 0.01, 0.5, -0.02}, 2, 2, 0, 15);
  assert_depth(2, (double[]){0.01, 0.01}, 1, 2, 0, infinite);
  assert_depth(6, (double[]){1, 1, 1, 1e-4, 1, 1}, 3, 1, 0, 1e4);
  assert_depth(6, (double[]){1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4}, 3, 6, -4, infinite);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_activation_is_classified_once),
      cmocka_unit_test(every_named_activation_has_its_class),
      cmocka_unit_test(polynomials_are_classified_by_their_coefficients),
      cmocka_unit_test(a_polynomial_has_no_small_coefficients_to_overlook),
      cmocka_unit_test(taylor_coefficients_are_computed_to_rounding),
      cmocka_unit_test(the_last_coefficients_are_right_too),
      cmocka_unit_test(relu_is_linear_by_homogeneity),
      cmocka_unit_test(c1_has_thirteen_digits),
      cmocka_unit_test(c1_near_zero_is_told_from_zero),
      cmocka_unit_test(corrections_are_those_of_the_theory),
      cmocka_unit_test(a_correction_that_means_nothing_is_no_number),
      cmocka_unit_test(warnings_name_the_failed_assumption),
      cmocka_unit_test(warnings_are_truncated_to_the_buffer),
      cmocka_unit_test(moments_that_overflow_are_refused),
      cmocka_unit_test(the_bottleneck_is_the_shell_of_the_smallest_scales),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
