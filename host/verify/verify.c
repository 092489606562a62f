#include "verify/verify.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* Errors in units of their tolerance; with tolerance 0 any error is infinitely bad, and
 * what has no finite tolerance says nothing. */
static double share(double error, double tolerance) {
  if (!isfinite(tolerance)) return NAN;
  return error == 0 && tolerance == 0 ? 0 : fabs(error) / tolerance;
}

void esc_verify_take(esc_verify_worst *worst, double error, double tolerance, const char *format,
                     ...) {
  va_list arguments;
  const double now = share(error, tolerance), before = share(worst->error, worst->tolerance);
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
