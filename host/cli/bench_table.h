/* SPDX-License-Identifier: Apache-2.0 */
/* Output of bench: a table, printed row by row, or one JSON object. */
#ifndef ESC_BENCH_TABLE_H
#define ESC_BENCH_TABLE_H

#include <jansson.h>

#include "escapement/bench.h"

/* Lines that begin with '#': meaning of the columns, combinations without a row, and the device. */
void esc_bench_print_header(double seconds);
void esc_bench_print_skip(const esc_bench_skip *skip);
void esc_bench_print_backend(const esc_bench_backend *backend);
void esc_bench_print_result(const esc_bench_result *result);

json_t *esc_benchmark_to_json(const esc_benchmark *benchmark);

#endif
