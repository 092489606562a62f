/* The benchmark's output: a table row by row as they come, or one JSON object. */
#ifndef ESC_BENCH_TABLE_H
#define ESC_BENCH_TABLE_H

#include <jansson.h>

#include "bench/measure.h"

/* A backend with its yardstick. */
typedef struct esc_bench_backend {
  const char *name;
  const esc_ceiling_ops *ops;
  void *ceiling;
  char device[256];
  double copy_bytes_per_s;
} esc_bench_backend;

/* Lines that begin with '#': what the columns are and what they are measured on. */
void esc_bench_print_header(double seconds);
void esc_bench_print_backend(const esc_bench_backend *backend);
void esc_bench_print_row(const esc_bench_case *c, const esc_bench_row *row);

/* {"version", ..., "backends": [], "rows": []}, for the two below to be appended to. */
json_t *esc_bench_json(double seconds);
json_t *esc_bench_backend_json(const esc_bench_backend *backend);
json_t *esc_bench_row_json(const esc_bench_case *c, const esc_bench_row *row);

#endif
