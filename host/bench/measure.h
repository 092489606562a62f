/* SPDX-License-Identifier: Apache-2.0 */
/* One row of the benchmark: networks of one shape on one backend, timed. */
#ifndef ESC_BENCH_MEASURE_H
#define ESC_BENCH_MEASURE_H

#include "bench/ceiling.h"
#include "bench/check.h"
#include "escapement/bench.h"

/* Of `count` >= 1 samples, which it sorts. */
esc_spread esc_spread_of(double *sample, int count);

typedef struct esc_bench_case {
  esc_shape shape;
  int batch;
  esc_activation activation;
  const char *activation_name;
  int64_t members;        /* 0: as many as the backend takes when nobody says */
  esc_engine_setup setup; /* threads, device */
} esc_bench_case;

typedef struct esc_bench_row {
  const esc_engine_ops *ops;
  int members;
  char engine[128];     /* what ran it */
  char path[16];        /* which way through the backend */
  double flop_per_step; /* of one network, the textbook count */
  int64_t steps;        /* of each network, timed */
  esc_spread seconds;   /* of a network-step: of one step of all members, by their number */
  esc_spread ceiling;   /* FLOP/s of bursts between the engine's repeats */
  double repeat[ESC_BENCH_REPEATS]; /* seconds of a network-step, ascending */
  esc_bytes bytes;                  /* of all members */
  esc_bench_check check;
} esc_bench_row;

static inline double esc_bench_flop_per_s(const esc_bench_row *row) {
  return row->flop_per_step / row->seconds.median;
}

/* Of the ceiling. */
static inline double esc_bench_fraction(const esc_bench_row *row) {
  return esc_bench_flop_per_s(row) / row->ceiling.median;
}

/* Something else had the machine for part of the row: a repeat of the engine, or of the ceiling,
 * that is more than twice or less than half the median. The median may be wrong then. */
bool esc_bench_is_disturbed(const esc_bench_row *row);

/* The problem of every row: He-normal at half its usual scale, so that no activation diverges,
 * polynomials included; squared loss, compensated update, one teacher mode of amplitude 1; no
 * member escapes or ends. `scale` has space for shape.layers numbers and must outlive the
 * problem. */
esc_problem esc_bench_problem(const esc_bench_case *c, double *scale);

/* The timing equipment of one backend's rows. */
typedef struct esc_bench_meter {
  const esc_ceiling_ops *ops;
  void *ceiling;
  double seconds; /* a row */
  const atomic_bool *stop;
} esc_bench_meter;

/* Checks, warms up and times for about meter->seconds. ESC_NO_MEMORY if the members do
 * not fit, ESC_INTERRUPTED once *meter->stop is set. */
esc_status esc_bench_measure(const esc_bench_case *c, const esc_engine_ops *engine,
                             const esc_bench_meter *meter, esc_bench_row *row);

#endif
