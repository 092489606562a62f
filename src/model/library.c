/* SPDX-License-Identifier: Apache-2.0 */
#include "escapement/internal/library.h"

#include <gsl/gsl_errno.h>
#include <omp.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static locale_t c_locale; /* kept for the life of the process */

static void begin(void) {
  gsl_set_error_handler_off();
  c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

void esc_library_begin(void) { pthread_once(&once, begin); }

/* The C locale is built into the system's library, so that newlocale needs no memory for it;
 * uselocale(0) changes nothing. */
esc_library_scope esc_library_enter(void) {
  esc_library_begin();
  return (esc_library_scope){uselocale(c_locale), omp_get_max_threads()};
}

void esc_library_leave(esc_library_scope scope) {
  uselocale(scope.before);
  if (omp_get_max_threads() != scope.threads) omp_set_num_threads(scope.threads);
}
