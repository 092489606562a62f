/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers, and activations, whose coefficients are such numbers. */
#include <float.h>
#include <locale.h>

#include "check.h"
#include "escapement/internal/number.h"
#include "escapement/internal/problem.h"

static double number(const char *text) {
  double value = NAN;
  assert_null(esc_number_parse(text, strlen(text), &value));
  return value;
}

static int64_t integer(const char *text) {
  int64_t value = INT64_MIN;
  assert_null(esc_integer_parse(text, strlen(text), &value));
  return value;
}

static const char *number_fault(const char *text) {
  double value = 7;
  const char *fault = esc_number_parse(text, strlen(text), &value);
  if (!fault) fprintf(stderr, "taken as a number: %s\n", text);
  assert_non_null(fault);
  assert_true(value == 7);
  return fault;
}

static const char *integer_fault(const char *text) {
  int64_t value = 7;
  const char *fault = esc_integer_parse(text, strlen(text), &value);
  if (!fault) fprintf(stderr, "taken as a whole number: %s\n", text);
  assert_non_null(fault);
  assert_int_equal(value, 7);
  return fault;
}

/* Neither a number nor a whole number. */
static const char *const nonsense[] = {
    "",
    " ",
    "1 ",
    " 1",
    "+1",
    "--1",
    "-",
    ".",
    "e5",
    "1e",
    "1e+",
    "0x10",
    "0x1p3",
    "1_000",
    "010",
    "00",
    "-01",
    "01.5",
    "1,5",
    "1.5.2",
    "1e5.0",
    "nan",
    "NaN",
    ".nan",
    "inf",
    "-inf",
    ".inf",
    "~",
    "on",
    "true",
    "12abc",
    "1f",
    "1e5x",
    "\xd9\xa1\xd9\xa2",
    "\xef\xbc\x91",
    "1\xc2\xa0",
    "1/2",
    "0b1",
    "0o7",
    "1:30",
};

static void what_is_no_decimal_number_is_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
    assert_string_equal(number_fault(nonsense[i]), "is not a decimal number");
    assert_string_equal(integer_fault(nonsense[i]), "is not a whole number");
  }
}

static void decimal_numbers_are_read_to_the_nearest_double(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double value;
  } good[] = {{"0", 0},
              {"1", 1},
              {"-1.9", -1.9},
              {"0.1", 0.1},
              {".05", 0.05},
              {"5.", 5},
              {"4e5", 4e5},
              {"4E+5", 4e5},
              {"1e-05", 1e-5},
              {"1e18", 1e18},
              {"0.5e1", 5},
              {"-0.25", -0.25},
              {"9007199254740993", 9007199254740992.0},
              {"1.7976931348623157e308", DBL_MAX},
              {"2.2250738585072014e-308", DBL_MIN}};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
    assert_true(number(good[i].text) == good[i].value);
}

static void negative_zero_is_zero(void **state) {
  (void)state;
  assert_true(number("-0") == 0 && !signbit(number("-0")));
  assert_true(number("-0.0e5") == 0 && !signbit(number("-0.0e5")));
}

static void overflow_and_underflow_are_refused(void **state) {
  (void)state;
  assert_string_equal(number_fault("1e400"), "is too large for a double");
  assert_string_equal(number_fault("-1e99999999999999999999"), "is too large for a double");
  assert_string_equal(number_fault("1e-400"), "is too close to 0 for a double");
  assert_string_equal(number_fault("1e-310"), "is too close to 0 for a double");
  assert_string_equal(number_fault("1e-99999999999999999999"), "is too close to 0 for a double");
  assert_true(number("0e99999999999999999999") == 0);
}

static void whole_numbers_are_exact(void **state) {
  (void)state;
  assert_int_equal(integer("0"), 0);
  assert_int_equal(integer("-12"), -12);
  assert_int_equal(integer("4e5"), 400000);
  assert_int_equal(integer("1.5e3"), 1500);
  assert_int_equal(integer("40e-1"), 4);
  assert_int_equal(integer("0e400"), 0);
  assert_int_equal(integer("9007199254740993"), INT64_C(9007199254740993));
  assert_int_equal(integer("9223372036854775807"), INT64_MAX);
  assert_int_equal(integer("1e18"), INT64_C(1000000000000000000));
}

static void what_is_not_whole_or_does_not_fit_is_refused(void **state) {
  (void)state;
  static const char *const broken[] = {"1.9", "1.0", "4e-1", "1.25e1", ".5", "1e-400"};
  static const char *const large[] = {
      "9223372036854775808", "-9223372036854775808", "1e19", "18446744073709551616", "1e400",
      "99999999999999999999"};
  for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
    assert_string_equal(integer_fault(broken[i]), "is not a whole number");
  for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
    assert_string_equal(integer_fault(large[i]), "is too large");
  assert_string_equal(integer_fault("-0"), "is not a whole number; write 0");
}

static void a_nul_or_endless_digits_are_no_number(void **state) {
  (void)state;
  double value;
  char digits[100];
  memset(digits, '1', sizeof digits);
  assert_non_null(esc_number_parse("1\0002", 3, &value));
  assert_non_null(esc_number_parse(digits, sizeof digits, &value));
  assert_null(esc_number_parse("123", 2, &value));
  assert_true(value == 12);
}

static void check_print(double value) {
  char text[ESC_NUMBER_SIZE];
  esc_number_print(value, text, sizeof text);
  assert_non_null(strchr(text, '.'));
  assert_true(number(text) == value);
}

static void printed_numbers_read_back_to_the_same_double(void **state) {
  (void)state;
  static const double value[] = {0,       1,         -1,      0.1,         1.0 / 3,
                                 1e-5,    123456789, 1e15,    1e17,        1e300,
                                 DBL_MAX, -DBL_MAX,  DBL_MIN, DBL_EPSILON, 2.5e-300};
  for (size_t i = 0; i < sizeof value / sizeof value[0]; i++) check_print(value[i]);
  uint64_t bits = 1;
  for (int i = 0; i < 10000; i++) {
    double random;
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    memcpy(&random, &bits, sizeof random);
    if (isnormal(random)) check_print(random);
  }
}

static bool use_decimal_comma(void) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (setlocale(LC_NUMERIC, names[i])) return true;
  return false;
}

static void a_locale_with_a_decimal_comma_changes_nothing(void **state) {
  (void)state;
  char text[ESC_NUMBER_SIZE], printed[ESC_NUMBER_SIZE];
  if (!use_decimal_comma()) {
    fprintf(stderr, "skipped: no locale with a decimal comma is installed\n");
    skip();
  }
  snprintf(printed, sizeof printed, "%.1f", 0.5);
  const double got = number("0.5");
  number_fault("0,5");
  esc_number_print(0.5, text, sizeof text);
  setlocale(LC_NUMERIC, "C");
  assert_string_equal(printed, "0,5"); /* the locale was in force */
  assert_true(got == 0.5);
  assert_string_equal(text, "0.5");
}

/* ---- activations ---- */

static void every_activation_reads_back_from_its_name(void **state) {
  (void)state;
  char text[64];
  for (int kind = 0; kind < ESC_ACTIVATION_POLYNOMIAL; kind++) {
    esc_activation got, want = {.kind = (esc_activation_kind)kind};
    esc_activation_print(&want, text, sizeof text);
    assert_true(esc_activation_parse(text, &got));
    assert_int_equal(got.kind, want.kind);
  }
}

static void a_polynomial_keeps_its_coefficients(void **state) {
  (void)state;
  char text[ESC_POLYNOMIAL_TERMS_MAX * ESC_NUMBER_SIZE];
  esc_activation got, again;
  assert_true(esc_activation_parse("poly:0,1,-0.1,1e-7", &got));
  assert_int_equal(got.kind, ESC_ACTIVATION_POLYNOMIAL);
  assert_int_equal(got.terms, 4);
  assert_true(got.coefficient[2] == -0.1 && got.coefficient[3] == 1e-7);
  esc_activation_print(&got, text, sizeof text);
  assert_true(esc_activation_parse(text, &again));
  assert_memory_equal(&got, &again, sizeof got);
}

static void a_polynomial_has_one_to_seventeen_coefficients(void **state) {
  (void)state;
  esc_activation a;
  assert_true(esc_activation_parse("poly:1", &a));
  assert_true(esc_activation_parse("poly:1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", &a));
  assert_int_equal(a.terms, 17);
  assert_false(esc_activation_parse("poly:1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", &a));
}

static void what_names_no_activation_is_refused_and_changes_nothing(void **state) {
  (void)state;
  static const char *const bad[] = {"",        "-tanh",     "tanh ",       "tan",
                                    "tanhh",   "poly",      "poly:",       "poly:1,",
                                    "poly:,1", "poly:1,,2", "poly:nan",    "poly:1e400",
                                    "poly: 1", "poly:0x1",  "polynomial:1"};
  esc_activation a = {.kind = ESC_ACTIVATION_ERF};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_false(esc_activation_parse(bad[i], &a));
  assert_int_equal(a.kind, ESC_ACTIVATION_ERF);
  assert_int_equal(a.terms, 0);
}

static void a_name_that_does_not_fit_is_cut(void **state) {
  (void)state;
  char text[8] = "xxxxxxx";
  const esc_activation a = {
      .kind = ESC_ACTIVATION_POLYNOMIAL, .terms = 2, .coefficient = {0.125, 3}};
  esc_activation_print(&a, text, 7);
  assert_string_equal(text, "poly:0");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_no_decimal_number_is_refused),
      cmocka_unit_test(decimal_numbers_are_read_to_the_nearest_double),
      cmocka_unit_test(negative_zero_is_zero),
      cmocka_unit_test(overflow_and_underflow_are_refused),
      cmocka_unit_test(whole_numbers_are_exact),
      cmocka_unit_test(what_is_not_whole_or_does_not_fit_is_refused),
      cmocka_unit_test(a_nul_or_endless_digits_are_no_number),
      cmocka_unit_test(printed_numbers_read_back_to_the_same_double),
      cmocka_unit_test(a_locale_with_a_decimal_comma_changes_nothing),
      cmocka_unit_test(every_activation_reads_back_from_its_name),
      cmocka_unit_test(a_polynomial_keeps_its_coefficients),
      cmocka_unit_test(a_polynomial_has_one_to_seventeen_coefficients),
      cmocka_unit_test(what_names_no_activation_is_refused_and_changes_nothing),
      cmocka_unit_test(a_name_that_does_not_fit_is_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
