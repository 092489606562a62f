/* SPDX-License-Identifier: Apache-2.0 */
/* State of the process and of the thread that public functions need, independent of what the
 * calling program has set.
 *
 *   const esc_library_scope scope = esc_library_enter();
 *   ...                                  numbers are read and printed with a decimal point
 *   esc_library_leave(scope);
 *
 * Scopes nest. */
#ifndef ESCAPEMENT_INTERNAL_LIBRARY_H
#define ESCAPEMENT_INTERNAL_LIBRARY_H

#include <locale.h>

/* Once per process, from any thread: GSL reports failures by status from now on instead of ending
 * the process (gsl_set_error_handler_off); a handler that the program sets later stays. */
void esc_library_begin(void);

typedef struct esc_library_scope {
  locale_t before; /* the thread's locale at the entry */
  int threads;     /* OpenMP's default for the thread, which esc_threads_limit may lower */
} esc_library_scope;

/* esc_library_begin, and the C locale for the calling thread. */
esc_library_scope esc_library_enter(void);

/* The thread's locale and OpenMP's default from before the entry. */
void esc_library_leave(esc_library_scope scope);

#endif
