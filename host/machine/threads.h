/* SPDX-License-Identifier: Apache-2.0 */
/* Number of threads of a computation, determined before any file is written. */
#ifndef ESC_MACHINE_THREADS_H
#define ESC_MACHINE_THREADS_H

#include <stdbool.h>

#include "machine/thread_limit.h"

/* If the system cannot start *threads threads: ESC_LIBRARY_FAILED with `is_explicit` (the user gave
 * the number); else warns and lowers *threads and OpenMP's default to the possible number. */
esc_status esc_threads_limit(bool is_explicit, int *threads);

#endif
