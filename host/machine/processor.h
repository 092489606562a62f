/* SPDX-License-Identifier: Apache-2.0 */
/* Processor and memory of this machine. */
#ifndef ESC_PROCESSOR_H
#define ESC_PROCESSOR_H

#include <stddef.h>

/* Name of the processor, and the number of processors that this process may use. */
void esc_processor_name(char *text, size_t size);

/* Processors that this process may use: those of its affinity and cpuset, or fewer if OpenMP binds
 * its threads to fewer (OMP_PLACES, GOMP_CPU_AFFINITY) or a control group limits the CPU quota
 * (rounded up). */
int esc_processor_count(void);

/* The same, with /proc and /sys below `root` ("": the machine's). */
int esc_processor_count_below(const char *root);

/* Bytes of memory still available to this process: the minimum of the system's MemAvailable, the
 * limits of its control groups, and ulimit -v. */
double esc_memory_available(void);

#endif
