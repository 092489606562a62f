/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a computation, settled before anything is written. */
#ifndef ESC_MACHINE_THREADS_H
#define ESC_MACHINE_THREADS_H

#include <stdbool.h>

#include "machine/thread_limit.h"

/* Where the system does not start *threads threads: with `named` (the user gave the number)
 * ESC_LIBRARY_FAILED; else a warning, and *threads and OpenMP's default become as many as there
 * can be. */
esc_status esc_threads_limit(bool is_explicit, int *threads);

#endif
