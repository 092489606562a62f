/* SPDX-License-Identifier: Apache-2.0 */
/* Checks before OpenMP starts its threads: its library ends the process with exit status 1 if a
 * thread cannot be started. */
#ifndef ESC_THREAD_LIMIT_H
#define ESC_THREAD_LIMIT_H

#include "escapement/internal/status.h"

/* Minimum stack of a thread, bytes. */
enum { ESC_STACK_MIN = 256 * 1024 };

/* ESC_LIBRARY_FAILED if the stack of the main thread (ulimit -s) is below ESC_STACK_MIN. Needs
 * little stack itself. */
esc_status esc_threads_check_stack(void);

/* Starts `threads` - 1 threads beside the caller's, with the stack size of OpenMP's threads, and
 * ends them again; *possible is the number that can run, including the caller's. ESC_LIBRARY_FAILED
 * if OMP_STACKSIZE is below ESC_STACK_MIN. */
esc_status esc_threads_probe(int threads, int *possible);

/* Stack size in bytes of `text`, a value of OMP_STACKSIZE: a whole number with a unit B, K,
 * M or G, K where there is none. 0: not such a value, which OpenMP ignores. */
double esc_threads_stack_size(const char *text);

#endif
