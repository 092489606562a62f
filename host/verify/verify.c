/* SPDX-License-Identifier: Apache-2.0 */
#include "verify/verify.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* Error in units of its tolerance: infinite for an error with tolerance 0, NaN for a tolerance that
 * is negative or not finite. */
static double relative_error(double error, double tolerance) {
  if (!isfinite(tolerance) || tolerance < 0) return NAN;
  return error == 0 && tolerance == 0 ? 0 : fabs(error) / tolerance;
}

void esc_verify_record(esc_verify_worst *worst, double error, double tolerance, const char *format,
                       ...) {
  va_list arguments;
  const double current = relative_error(error, tolerance);
  const double largest = relative_error(worst->error, worst->tolerance);
  worst->exact += tolerance == 0;
  if (worst->compared++ > 0 && (isnan(largest) || current <= largest)) return;
  worst->error = fabs(error);
  worst->tolerance = tolerance;
  va_start(arguments, format);
  vsnprintf(worst->location, sizeof worst->location, format, arguments);
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
