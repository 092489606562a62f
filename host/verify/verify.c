/* SPDX-License-Identifier: Apache-2.0 */
#include "verify/verify.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* Errors in units of their tolerance; with tolerance 0 any error is infinitely bad, and a
 * tolerance that is not finite or below 0 allows nothing. */
static double share(double error, double tolerance) {
  if (!isfinite(tolerance) || tolerance < 0) return NAN;
  return error == 0 && tolerance == 0 ? 0 : fabs(error) / tolerance;
}

void esc_verify_take(esc_verify_worst *worst, double error, double tolerance, const char *format,
                     ...) {
  va_list arguments;
  const double now = share(error, tolerance), before = share(worst->error, worst->tolerance);
  worst->exact += tolerance == 0;
  if (worst->compared++ > 0 && (isnan(before) || now <= before)) return;
  worst->error = fabs(error);
  worst->tolerance = tolerance;
  va_start(arguments, format);
  vsnprintf(worst->at, sizeof worst->at, format, arguments);
  va_end(arguments);
}

bool esc_verify_passed(const esc_verify_worst *worst) {
  return worst->compared > 0 && isfinite(worst->tolerance) && worst->error <= worst->tolerance;
}

bool esc_verify_exact(const esc_verify_worst *worst) {
  return worst->compared > 0 && worst->exact == worst->compared;
}

double esc_verify_ratio(const esc_verify_worst *worst) {
  return worst->error == 0 ? (double)INFINITY : worst->tolerance / worst->error;
}
