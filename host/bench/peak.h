/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's own ceiling for float arithmetic: fused multiply-adds that never
 * leave the registers. */
#ifndef ESC_PEAK_H
#define ESC_PEAK_H

#include <stdint.h>

/* Does `rounds` rounds of independent multiply-adds on the calling thread and
 * returns how many floating-point operations those were (a multiply-add is two).
 * `sink` takes a value that depends on all of them. */
typedef double esc_peak_loop(int64_t rounds, float *sink);

/* The loop for an instruction set of the CPU engine, by its name; NULL if unknown. */
esc_peak_loop *esc_peak_find(const char *isa);

#endif
