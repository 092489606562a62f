/* SPDX-License-Identifier: Apache-2.0 */
/* Strict decimal numbers: one scanner of the grammar, on which the readers of
 * doubles and of whole numbers stand. */
#include "escapement/internal/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_MAX = 63, EXPONENT_MAX = 100000, INTEGER_DIGITS_MAX = 19 };

/* The value is digits * 10^exponent, negated if `negative`. */
typedef struct decimal {
  bool negative, has_point, has_exponent;
  char digits[LENGTH_MAX + 1]; /* before and behind the point, without leading zeros */
  int exponent;                /* clamped to +-EXPONENT_MAX, plenty for 63 digits */
} decimal;

/* Appends digits at `from`; leading zeros mean nothing and are not kept. */
static const char *scan_digits(const char *from, decimal *d) {
  size_t used = strlen(d->digits);
  for (; *from >= '0' && *from <= '9'; from++)
    if (used > 0 || *from != '0') d->digits[used++] = *from;
  d->digits[used] = '\0';
  return from;
}

static const char *scan_exponent(const char *from, decimal *d) {
  const bool minus = *from == '-';
  int value = 0;
  if (*from == '-' || *from == '+') from++;
  const char *start = from;
  for (; *from >= '0' && *from <= '9'; from++)
    if (value < EXPONENT_MAX) value = 10 * value + (*from - '0');
  if (from == start) return NULL;
  if (value > EXPONENT_MAX) value = EXPONENT_MAX;
  d->has_exponent = true;
  d->exponent += minus ? -value : value;
  return from;
}

/* True if all of `text` is a decimal number. */
static bool scan(const char *text, decimal *d) {
  *d = (decimal){.negative = *text == '-'};
  const char *whole = text + d->negative;
  const char *next = scan_digits(whole, d);
  const long whole_digits = next - whole;
  long behind = 0;
  if (whole_digits > 1 && *whole == '0') return false;
  if (*next == '.') {
    const char *point = next++;
    d->has_point = true;
    next = scan_digits(next, d);
    behind = next - point - 1;
    d->exponent = (int)-behind;
  }
  if (whole_digits + behind == 0) return false;
  if (*next == 'e' || *next == 'E') next = scan_exponent(next + 1, d);
  return next && *next == '\0';
}

/* Copies `text` with a NUL; false if it is too long or holds one inside. */
static bool copy(const char *text, size_t length, char to[LENGTH_MAX + 1]) {
  if (length == 0 || length > LENGTH_MAX || memchr(text, '\0', length)) return false;
  memcpy(to, text, length);
  to[length] = '\0';
  return true;
}

/* The C locale's decimal point, for this thread, until `leave_c_locale`. The C
 * locale is built into the library, so that newlocale has nothing to fail on. */
static locale_t enter_c_locale(locale_t *c) {
  *c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  return uselocale(*c);
}

static void leave_c_locale(locale_t c, locale_t before) {
  uselocale(before);
  freelocale(c);
}

const char *esc_number_parse(const char *text, size_t length, double *value) {
  char buffer[LENGTH_MAX + 1];
  decimal d;
  locale_t c;
  if (!copy(text, length, buffer) || !scan(buffer, &d)) return "is not a decimal number";
  const locale_t before = enter_c_locale(&c);
  const double got = strtod(buffer, NULL);
  leave_c_locale(c, before);
  if (!isfinite(got)) return "is too large for a double";
  if (d.digits[0] && fabs(got) < DBL_MIN) return "is too close to 0 for a double";
  *value = got + 0.0; /* -0 is 0 */
  return NULL;
}

/* Moves trailing zeros from the digits into the exponent. */
static void strip_zeros(decimal *d) {
  size_t used = strlen(d->digits);
  while (used > 0 && d->digits[used - 1] == '0') {
    d->digits[--used] = '\0';
    d->exponent++;
  }
}

const char *esc_integer_parse(const char *text, size_t length, int64_t *value) {
  char buffer[LENGTH_MAX + 1];
  decimal d;
  if (!copy(text, length, buffer) || !scan(buffer, &d)) return "is not a whole number";
  strip_zeros(&d);
  const bool zero = !d.digits[0];
  if (d.has_point && !d.has_exponent) return "is not a whole number";
  if (zero && d.negative) return "is not a whole number; write 0";
  if (!zero && d.exponent < 0) return "is not a whole number";
  if (!zero && (int)strlen(d.digits) + d.exponent > INTEGER_DIGITS_MAX) return "is too large";
  uint64_t magnitude = strtoull(zero ? "0" : d.digits, NULL, 10);
  for (int i = 0; !zero && i < d.exponent; i++) magnitude *= 10; /* 19 digits fit */
  if (magnitude > INT64_MAX) return "is too large";
  *value = d.negative ? -(int64_t)magnitude : (int64_t)magnitude;
  return NULL;
}

void esc_number_print(double value, char *text, size_t size) {
  char digits[ESC_NUMBER_SIZE];
  locale_t c;
  const locale_t before = enter_c_locale(&c);
  for (int precision = 15; precision <= 17; precision++) { /* the fewest that read back */
    snprintf(digits, sizeof digits, "%.*g", precision, value + 0.0);
    if (strtod(digits, NULL) == value) break;
  }
  leave_c_locale(c, before);
  const size_t whole = strcspn(digits, ".e");
  const char *point = digits[whole] == '.' ? "" : ".0";
  snprintf(text, size, "%.*s%s%s", (int)whole, digits, point, digits + whole);
}
