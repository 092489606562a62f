/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of the activations: value, derivative and homogeneity deficit against
 * extended precision, against Taylor series, each other and the theory's numbers.
 *
 * A deficit's error is relative to itself, except for sin and the polynomial at
 * large |z|: there its two terms cancel (tan z = z), so the error is relative to
 * their sizes. */
#include <float.h>

#include "check.h"
#include "escapement/internal/activation.h"
#include "exact_activation.h"

static const char *const name[] = {
#define NAME(context, kind, function, name, ...) name,
    ESC_ACTIVATIONS(NAME, )
#undef NAME
};

/* 1/4 + z/2 - 3 z^2 + z^4/8: every term of a deficit, and no symmetry. Exact in float. */
static esc_activation activation_of(int kind) {
  const esc_activation a = {
      .kind = (esc_activation_kind)kind, .terms = 5, .coefficient = {0.25, 0.5, -3, 0, 0.125}};
  return a;
}

static esc_eval_f64 eval(int kind, double z) {
  const esc_activation a = activation_of(kind);
  return esc_activate_f64(&a, z);
}

static esc_eval_f32 eval_float(int kind, float z) {
  const esc_activation a = activation_of(kind);
  return esc_activate_f32(&a, z);
}

static void assert_within(const char *what, int kind, double z, double got, double want,
                          double budget) {
  if (!(fabs(got - want) <= budget)) print_error("%s of %s at z = %.17g\n", what, name[kind], z);
  esc_assert_close(got, want, budget, 0);
}

/* Calls check at z = +-10^-8 ... +-30, 16 points a decade, rounded to float. */
static void at_every_z(void (*check)(int kind, double z)) {
  for (int kind = 0; kind < KINDS; kind++) {
    for (int i = 0; i <= 152; i++) {
      const double z = (double)(float)fmin(30, pow(10, -8 + i / 16.0));
      check(kind, z);
      check(kind, -z);
    }
  }
}

static bool deficit_has_zeros(int kind) {
  return kind == ESC_ACTIVATION_SIN || kind == ESC_ACTIVATION_POLYNOMIAL;
}

/* sigma - z/2 is even, and so is the deficit. */
static bool deficit_is_even(int kind) {
  return kind == ESC_ACTIVATION_GELU || kind == ESC_ACTIVATION_SWISH ||
         kind == ESC_ACTIVATION_SOFTPLUS || kind == ESC_ACTIVATION_SOFTPLUS_RAW;
}

/* The deficit, and what its error is relative to. Above 0.01 the difference of 64-bit mantissas
 * is good to 1e-14; an even one is taken on the left, where its terms are as small as it is. */
static double deficit_size(int kind, double z, double *deficit) {
  const long double x = (long double)(deficit_is_even(kind) ? -fabs(z) : z);
  const exact e = exact_of(kind, x);
  const long double product = x * e.derivative;
  *deficit = fabs(z) < 0.01 ? exact_deficit_near_zero(kind, x) : (double)(e.value - product);
  const bool cancels = deficit_has_zeros(kind) && fabs(z) > 0.5;
  return cancels ? (double)(fabsl(e.value) + fabsl(product)) : fabs(*deficit);
}

static void check_deficit(int kind, double z) {
  double want;
  const double size = deficit_size(kind, z, &want);
  assert_within("deficit", kind, z, eval(kind, z).deficit, want, 1e-13 * size);
}

static void deficit_has_thirteen_digits_from_tiny_to_large_z(void **state) {
  (void)state;
  at_every_z(check_deficit);
}

/* exp may flush what is below FLT_MIN, which z^2 <= 900 multiplies. */
static void check_float_deficit(int kind, double z) {
  double want;
  const double budget = 2e-6 * deficit_size(kind, z, &want) + 900 * (double)FLT_MIN;
  assert_within("float deficit", kind, z, (double)eval_float(kind, (float)z).deficit, want, budget);
}

static void float_deficit_has_six_digits_from_tiny_to_large_z(void **state) {
  (void)state;
  at_every_z(check_float_deficit);
}

/* The budgets of value and derivative for a relative precision `unit`. A value is relative to
 * itself up to |z| = 1, where it can be as small as z; beyond, and derivatives everywhere, to 1 +
 * |z|, because z Phi(z), sin z and 1 - h^2 come near 0 without their parts being small. The
 * polynomial is relative to the sum of its terms. */
static double polynomial_terms(double z) {
  const double square = z * z;
  return 0.5 + 6 * fabs(z) + 3 * square + fabs(z) * square / 2 + square * square / 8;
}

static double derivative_budget(int kind, double z, double unit) {
  return unit * (kind == ESC_ACTIVATION_POLYNOMIAL ? polynomial_terms(z) : 1 + fabs(z));
}

static double value_budget(int kind, double z, double value, double unit) {
  const bool relative = fabs(z) <= 1 && kind != ESC_ACTIVATION_POLYNOMIAL;
  return relative ? unit * fabs(value) : derivative_budget(kind, z, unit);
}

static void check_value_and_derivative(int kind, double z) {
  const exact want = exact_of(kind, (long double)z);
  const esc_eval_f64 e = eval(kind, z);
  const double value = (double)want.value, unit = 4 * DBL_EPSILON;
  assert_within("value", kind, z, e.value, value, value_budget(kind, z, value, unit));
  assert_within("derivative", kind, z, e.derivative, (double)want.derivative,
                derivative_budget(kind, z, unit));
}

static void value_and_derivative_are_good_to_a_few_ulp(void **state) {
  (void)state;
  at_every_z(check_value_and_derivative);
}

static void check_float_against_double(int kind, double z) {
  const esc_eval_f64 want = eval(kind, z);
  const esc_eval_f32 e = eval_float(kind, (float)z);
  const double unit = 4 * (double)FLT_EPSILON;
  assert_within("float value", kind, z, (double)e.value, want.value,
                value_budget(kind, z, want.value, unit));
  assert_within("float derivative", kind, z, (double)e.derivative, want.derivative,
                derivative_budget(kind, z, unit));
}

static void float_agrees_with_double_to_a_few_ulp(void **state) {
  (void)state;
  at_every_z(check_float_against_double);
}

/* Central difference of order eight: h = 0.01 leaves h^8 sigma^(9)/630 < 2e-15 and rounding of
 * 1e-14 times the value. */
static double difference_quotient(int kind, double z) {
  static const double weight[] = {4.0 / 5, -1.0 / 5, 4.0 / 105, -1.0 / 280};
  const double h = 0.01;
  double sum = 0;
  for (int k = 1; k <= 4; k++) {
    sum += weight[k - 1] * (eval(kind, z + k * h).value - eval(kind, z - k * h).value);
  }
  return sum / h;
}

static void derivative_is_the_limit_of_difference_quotients(void **state) {
  (void)state;
  for (int kind = 0; kind < KINDS; kind++) {
    for (int i = -40; i < 40; i++) {
      const double z = 0.25 * i + 0.125; /* none within 4h of the kink of relu */
      const double value = eval(kind, z).value;
      assert_within("derivative", kind, z, eval(kind, z).derivative, difference_quotient(kind, z),
                    1e-12 * (1 + fabs(value)));
    }
  }
}

static void deficit_is_value_minus_z_derivative(void **state) {
  (void)state;
  for (int kind = 0; kind < KINDS; kind++) {
    for (double z = -6; z < 6; z += 0.01) {
      const esc_eval_f64 e = eval(kind, z);
      assert_within("deficit", kind, z, e.deficit, e.value - z * e.derivative,
                    1e-14 * (1 + fabs(e.value) + fabs(z * e.derivative)));
    }
  }
}

/* Both are positive and fall like exp(z); 1e-6 is what float exp and log1p leave. */
static void raw_softplus_and_sigmoid_keep_their_digits_in_the_left_tail(void **state) {
  (void)state;
  static const int raw[] = {ESC_ACTIVATION_SOFTPLUS_RAW, ESC_ACTIVATION_SIGMOID_RAW};
  for (int i = 0; i < 2; i++) {
    for (float z = -80; z < 0; z += 0.5F) {
      const exact want = exact_of(raw[i], (long double)z);
      esc_assert_close(eval(raw[i], (double)z).value, (double)want.value, 0, 2e-15);
      esc_assert_close(eval(raw[i], (double)z).derivative, (double)want.derivative, 0, 2e-15);
      esc_assert_close((double)eval_float(raw[i], z).value, (double)want.value, 0, 1e-6);
      esc_assert_close((double)eval_float(raw[i], z).derivative, (double)want.derivative, 0, 1e-6);
    }
  }
}

static void homogeneous_activations_have_no_deficit(void **state) {
  (void)state;
  for (double z = -3; z <= 3; z += 0.5) {
    assert_true(esc_linear_eval_f64(z).deficit == 0);
    assert_true(esc_relu_eval_f64(z).deficit == 0);
    assert_true(esc_relu_eval_f32((float)z).deficit == 0);
  }
  assert_true(esc_relu_eval_f64(0).derivative == 0);
}

static void assert_centred(int kind, int raw_kind, double constant) {
  for (double z = -20; z <= 20; z += 0.03) {
    const esc_eval_f64 centred = eval(kind, z), raw = eval(raw_kind, z);
    esc_assert_close(centred.value, raw.value - constant, 2e-15, 0);
    esc_assert_close(centred.derivative, raw.derivative, 2e-15, 0);
    esc_assert_close(centred.deficit, raw.deficit - constant, 2e-15, 0);
  }
}

static void centring_subtracts_the_value_at_zero(void **state) {
  (void)state;
  assert_centred(ESC_ACTIVATION_SOFTPLUS, ESC_ACTIVATION_SOFTPLUS_RAW, log(2));
  assert_centred(ESC_ACTIVATION_SIGMOID, ESC_ACTIVATION_SIGMOID_RAW, 0.5);
}

/* kappa(z) = a_0 - (q-1) a_q z^q (1 + O(z^2)). */
static void assert_taylor(int kind, double a0, double a1, int q, double aq) {
  const double z = 1e-3;
  esc_assert_close(eval(kind, 0).value, a0, 0, 1e-15);
  esc_assert_close(eval(kind, 0).derivative, a1, 0, 1e-15);
  esc_assert_close((a0 - eval(kind, z).deficit) / ((q - 1) * pow(z, q)), aq, 0, 2e-6);
  esc_assert_close((eval(kind, z).derivative - a1) / (q * pow(z, q - 1)), aq, 1e-7, 2e-6);
}

static void taylor_coefficients_are_those_of_the_class(void **state) {
  (void)state;
  const double root_pi = sqrt(acos(-1));
  assert_taylor(ESC_ACTIVATION_TANH, 0, 1, 3, -1.0 / 3);
  assert_taylor(ESC_ACTIVATION_ERF, 0, 2 / root_pi, 3, -2 / (3 * root_pi));
  assert_taylor(ESC_ACTIVATION_SIN, 0, 1, 3, -1.0 / 6);
  assert_taylor(ESC_ACTIVATION_GELU, 0, 0.5, 2, 1 / (sqrt(2) * root_pi));
  assert_taylor(ESC_ACTIVATION_SWISH, 0, 0.5, 2, 0.25);
  assert_taylor(ESC_ACTIVATION_SOFTPLUS, 0, 0.5, 2, 0.125);
  assert_taylor(ESC_ACTIVATION_SIGMOID, 0, 0.25, 3, -1.0 / 48);
  assert_taylor(ESC_ACTIVATION_SOFTPLUS_RAW, log(2), 0.5, 2, 0.125);
  assert_taylor(ESC_ACTIVATION_SIGMOID_RAW, 0.5, 0.25, 3, -1.0 / 48);
}

/* m_k = E[sigma(g) g^k] and c_1 = E[sigma'(g)] (as k = -1), trapezoid rule on +-10. */
static double moment(int kind, int k) {
  double sum = 0;
  for (int i = -250; i <= 250; i++) {
    const double g = 0.04 * i;
    const esc_eval_f64 e = eval(kind, g);
    sum += exp(-g * g / 2) * (k < 0 ? e.derivative : e.value * pow(g, k));
  }
  return 0.04 * sum / sqrt(2 * acos(-1));
}

static void assert_constants(int kind, int q, double aq, double c1, double big_c, double digits) {
  esc_assert_close(moment(kind, -1), c1, 1e-12, 0);
  esc_assert_close(moment(kind, 1), c1, 1e-12, 0); /* Stein's identity */
  const double a1 = eval(kind, 0).derivative;
  esc_assert_close(aq * moment(kind, q) / (a1 * moment(kind, 1)), big_c, digits, 0);
}

static void gaussian_averages_are_those_of_the_theory(void **state) {
  (void)state;
  const double root_pi = sqrt(acos(-1));
  assert_constants(ESC_ACTIVATION_TANH, 3, -1.0 / 3, 0.605705509602, -0.799905306, 1e-9);
  assert_constants(ESC_ACTIVATION_ERF, 3, -2 / (3 * root_pi), 0.651470015871, -7.0 / 9, 1e-12);
  assert_constants(ESC_ACTIVATION_SIN, 3, -1.0 / 6, exp(-0.5), -1.0 / 3, 1e-12);
  assert_constants(ESC_ACTIVATION_GELU, 2, 1 / (sqrt(2) * root_pi), 0.5, 1.125395395, 1e-9);
  assert_constants(ESC_ACTIVATION_SWISH, 2, 0.25, 0.5, 0.557466408, 1e-9);
  assert_constants(ESC_ACTIVATION_SIGMOID, 3, -1.0 / 48, 0.206620964142, -0.224834562, 1e-9);
}

static void the_cubic_z_minus_z3_has_deficit_two_z3(void **state) {
  (void)state;
  const esc_activation cubic = {
      .kind = ESC_ACTIVATION_POLYNOMIAL, .terms = 4, .coefficient = {0, 1, 0, -1}};
  for (double z = 1e-8; z < 30; z *= 3) {
    const double want = 2 * z * z * z;
    esc_assert_close(esc_activate_f64(&cubic, z).deficit, want, 0, 1e-15);
    esc_assert_close(esc_activate_f64(&cubic, -z).deficit, -want, 0, 1e-15);
    esc_assert_close((double)esc_activate_f32(&cubic, (float)z).deficit, want, 0, 5e-7);
  }
}

static void a_polynomial_uses_all_its_terms(void **state) {
  (void)state;
  esc_activation power = {.kind = ESC_ACTIVATION_POLYNOMIAL, .terms = ESC_POLYNOMIAL_TERMS_MAX};
  power.coefficient[16] = 3;
  const esc_eval_f64 e = esc_activate_f64(&power, 2);
  assert_true(e.value == 3 * 65536.0 && e.derivative == 3 * 16 * 32768.0);
  assert_true(e.deficit == -15 * 3 * 65536.0);
  power.terms = 1;
  power.coefficient[0] = -2;
  assert_true(esc_activate_f64(&power, 5).value == -2 && esc_activate_f64(&power, 5).deficit == -2);
}

static void zeros_behind_the_last_coefficient_change_nothing(void **state) {
  (void)state;
  esc_activation padded = activation_of(ESC_ACTIVATION_POLYNOMIAL);
  padded.terms = ESC_POLYNOMIAL_TERMS_MAX;
  for (float z = -4; z < 4; z += 0.1F) {
    const esc_eval_f32 e = eval_float(ESC_ACTIVATION_POLYNOMIAL, z);
    const esc_eval_f32 same = esc_activate_f32(&padded, z);
    assert_true(e.value == same.value && e.derivative == same.derivative);
    assert_true(e.deficit == same.deficit);
  }
}

static void odd_activations_are_odd_to_the_last_bit(void **state) {
  (void)state;
  static const int odd[] = {ESC_ACTIVATION_LINEAR, ESC_ACTIVATION_TANH, ESC_ACTIVATION_ERF,
                            ESC_ACTIVATION_SIN, ESC_ACTIVATION_SIGMOID};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    for (double z = 1e-6; z < 25; z *= 1.3) {
      const esc_eval_f64 right = eval(odd[i], z), left = eval(odd[i], -z);
      assert_true(left.value == -right.value && left.deficit == -right.deficit);
      assert_true(left.derivative == right.derivative);
    }
  }
}

static void a_nan_goes_through(void **state) {
  (void)state;
  for (int kind = 0; kind < KINDS; kind++) {
    const esc_eval_f64 e = eval(kind, (double)NAN);
    const esc_eval_f32 s = eval_float(kind, NAN);
    assert_true(isnan(e.value) && isnan(s.value));
    if (kind == ESC_ACTIVATION_LINEAR || kind == ESC_ACTIVATION_RELU) continue;
    assert_true(isnan(e.derivative) && isnan(s.derivative));
    assert_true(isnan(e.deficit) && isnan(s.deficit));
  }
}

static void huge_arguments_saturate_without_nan(void **state) {
  (void)state;
  for (int kind = 0; kind < KINDS; kind++) {
    if (deficit_has_zeros(kind)) continue; /* they do not saturate */
    for (int sign = -1; sign <= 1; sign += 2) {
      const esc_eval_f64 e = eval(kind, sign * 1e200);
      const esc_eval_f32 s = eval_float(kind, (float)sign * 1e30F);
      assert_true(isfinite(e.value) && isfinite(s.value));
      assert_true(e.derivative == 0 || e.derivative == 1);
      assert_true(s.derivative == 0 || s.derivative == 1);
      assert_true(fabs(e.deficit) <= 1 && fabsf(s.deficit) <= 1);
      if (sign < 0) continue; /* no formula may lose the limit where a square overflows */
      assert_true(e.value >= eval(kind, 40).value && s.value >= eval_float(kind, 40).value);
    }
  }
}

/* Central differences of sigma' in extended precision, to h^2 sigma''''/6, a few 1e-10. ReLU's jump
 * at 0 is left out. */
static void check_second_derivative(int kind, double z) {
  const esc_activation a = activation_of(kind);
  const long double h = 1e-5L, x = (long double)z;
  if (fabs(z) > 8 || (esc_activation_has_corner(&a) && fabs(z) <= 1e-5)) return;
  const long double change = exact_of(kind, x + h).derivative - exact_of(kind, x - h).derivative;
  const double got = esc_second_derivative_f64(&a, z, eval(kind, z));
  assert_within("second derivative", kind, z, got, (double)(change / (2 * h)), 1e-9);
}

static void second_derivative_is_the_limit_of_difference_quotients(void **state) {
  (void)state;
  at_every_z(check_second_derivative);
}

/* The printed name of what `text` is read as; "" if it is no activation. */
static const char *read_as(const char *text) {
  static char printed[ESC_POLYNOMIAL_TERMS_MAX * 32];
  esc_activation a = {0};
  printed[0] = 0;
  if (esc_activation_parse(text, &a)) esc_activation_print(&a, printed, sizeof printed);
  return printed;
}

static void names_are_read_without_regard_to_case(void **state) {
  (void)state;
  assert_string_equal(read_as("Tanh"), "tanh");
  assert_string_equal(read_as("ReLU"), "relu");
  assert_string_equal(read_as("GELU"), "gelu");
  assert_string_equal(read_as("Softplus-Raw"), "softplus-raw");
  assert_string_equal(read_as("Poly:0,1,-5E-1"), "poly:0.0,1.0,-0.5");
}

static void silu_is_swish(void **state) {
  (void)state;
  assert_string_equal(read_as("silu"), "swish");
  assert_string_equal(read_as("SiLU"), "swish");
}

static void what_is_no_name_is_not_read(void **state) {
  (void)state;
  static const char *const wrong[] = {"", "poly", "POLY", "silu ", "sil", "tanhx", "softplus_raw"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    assert_string_equal(read_as(wrong[i]), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(deficit_has_thirteen_digits_from_tiny_to_large_z),
      cmocka_unit_test(float_deficit_has_six_digits_from_tiny_to_large_z),
      cmocka_unit_test(value_and_derivative_are_good_to_a_few_ulp),
      cmocka_unit_test(float_agrees_with_double_to_a_few_ulp),
      cmocka_unit_test(derivative_is_the_limit_of_difference_quotients),
      cmocka_unit_test(second_derivative_is_the_limit_of_difference_quotients),
      cmocka_unit_test(deficit_is_value_minus_z_derivative),
      cmocka_unit_test(raw_softplus_and_sigmoid_keep_their_digits_in_the_left_tail),
      cmocka_unit_test(homogeneous_activations_have_no_deficit),
      cmocka_unit_test(centring_subtracts_the_value_at_zero),
      cmocka_unit_test(taylor_coefficients_are_those_of_the_class),
      cmocka_unit_test(gaussian_averages_are_those_of_the_theory),
      cmocka_unit_test(the_cubic_z_minus_z3_has_deficit_two_z3),
      cmocka_unit_test(a_polynomial_uses_all_its_terms),
      cmocka_unit_test(zeros_behind_the_last_coefficient_change_nothing),
      cmocka_unit_test(odd_activations_are_odd_to_the_last_bit),
      cmocka_unit_test(a_nan_goes_through),
      cmocka_unit_test(huge_arguments_saturate_without_nan),
      cmocka_unit_test(names_are_read_without_regard_to_case),
      cmocka_unit_test(silu_is_swish),
      cmocka_unit_test(what_is_no_name_is_not_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
