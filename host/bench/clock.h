/* SPDX-License-Identifier: Apache-2.0 */
/* The clock that everything is timed by. */
#ifndef ESC_BENCH_CLOCK_H
#define ESC_BENCH_CLOCK_H

#include <time.h>

/* Seconds since some moment; never goes back. */
static inline double esc_bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
