/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine is. */
#ifndef ESC_PROCESSOR_H
#define ESC_PROCESSOR_H

#include <stddef.h>

/* The processor's name and how many of them this process may use. */
void esc_processor_name(char *text, size_t size);

/* Processors that this process may use: those of its affinity and cpuset, or fewer where OpenMP
 * binds its threads to fewer (OMP_PLACES, GOMP_CPU_AFFINITY) or control groups give it less of
 * their time (rounded up). */
int esc_processor_count(void);

/* Bytes of memory that this process can still have: what the system calls available, the limits
 * of its control group and of those above it, its own limit (ulimit -v). */
double esc_memory_available(void);

#endif
