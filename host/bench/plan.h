/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a benchmark, and the rows that follow from them. */
#ifndef ESC_BENCH_PLAN_H
#define ESC_BENCH_PLAN_H

#include "bench/measure.h"
#include "escapement/bench.h"

typedef struct esc_bench_entry {
  const esc_engine_ops *engine;
  esc_bench_case shape;
} esc_bench_entry;

typedef struct esc_bench_plan {
  double seconds; /* a row */
  esc_engine_setup setup;
  int entries;
  esc_bench_entry *entry; /* those of one backend together; owned */
  int skips;
  esc_bench_skip *skip; /* combinations without an engine; owned */
  char *names;          /* the activations'; owned */
} esc_bench_plan;

/* Every backend with every combination of shapes, and on a GPU every path; a combination without
 * an engine is a skip. ESC_BAD_INPUT, before anything is timed, for unknown names, values out of
 * range, and a request of which no combination has an engine. Free in either case. */
esc_status esc_bench_plan_create(const esc_bench_request *request, esc_bench_plan *plan);
void esc_bench_plan_free(esc_bench_plan *plan);

#endif
