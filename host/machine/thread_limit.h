/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the threads that OpenMP is about to start can be started. OpenMP's library ends the
 * process when one cannot, with exit status 1 and without a word on what was saved. */
#ifndef ESC_THREAD_LIMIT_H
#define ESC_THREAD_LIMIT_H

#include "escapement/internal/status.h"

/* The least stack that threads of this program are given, bytes. */
enum { ESC_STACK_MIN = 256 * 1024 };

/* Refuses a stack of the main thread (ulimit -s) below ESC_STACK_MIN: ESC_LIBRARY_FAILED. Needs
 * little stack itself. */
esc_status esc_threads_check_stack(void);

/* Starts `threads` - 1 threads beside the caller's, with stacks as OpenMP will make them, and ends
 * them again; *possible is how many there can be, with the caller's. ESC_LIBRARY_FAILED where
 * OMP_STACKSIZE makes stacks below ESC_STACK_MIN. */
esc_status esc_threads_probe(int threads, int *possible);

/* Bytes of stack that `text`, a value of OMP_STACKSIZE, asks for: a whole number with a unit B, K,
 * M or G, K where there is none. 0: not such a value, which OpenMP ignores. */
double esc_threads_stack_size(const char *text);

#endif
