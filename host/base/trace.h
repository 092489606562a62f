/* SPDX-License-Identifier: Apache-2.0 */
/* Named ranges for a profiler (NVTX, domain `escapement`); nothing without CUDA. */
#ifndef ESC_TRACE_H
#define ESC_TRACE_H

void esc_trace_begin(const char *range);
void esc_trace_end(void);

#endif
