/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmark as a whole: plan, backends with their ceilings, rows. */
#ifndef ESC_BENCH_SUITE_H
#define ESC_BENCH_SUITE_H

#include <stdatomic.h>

#include "escapement/bench.h"

/* esc_machine_benchmark that also ends with ESC_INTERRUPTED, within a step, once *stop is set. */
esc_status esc_bench_run(const esc_bench_request *request, const esc_bench_receiver *receiver,
                         const atomic_bool *stop, esc_benchmark *out);

#endif
