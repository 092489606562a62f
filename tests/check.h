/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka, and comparisons of doubles that a NaN always fails. */
#ifndef ESC_CHECK_H
#define ESC_CHECK_H

/* cmocka needs these before it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "escapement/internal/status.h"

/* |got - want| <= absolute + relative * |want|; on failure says how much of the
 * error budget was used. */
#define esc_assert_close(got, want, absolute, relative) \
  esc_check_close(__FILE__, __LINE__, #got, (got), (want), (absolute), (relative))

static inline void esc_check_close(const char *file, int line, const char *what, double got,
                                   double want, double absolute, double relative) {
  const double budget = absolute + relative * fabs(want);
  const double error = fabs(got - want);
  if (error <= budget) return; /* false for NaN */
  fprintf(stderr, "%s: got %.17g, want %.17g, error %.3g is %.3g times what is allowed\n", what,
          got, want, error, error / budget);
  _fail(file, line);
}

/* The call succeeds; prints its message when it does not. */
#define esc_assert_ok(call)                                    \
  do {                                                         \
    if ((call) != ESC_OK) {                                    \
      fprintf(stderr, "%s: %s\n", #call, esc_error_message()); \
      _fail(__FILE__, __LINE__);                               \
    }                                                          \
  } while (0)

#endif
