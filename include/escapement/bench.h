/* SPDX-License-Identifier: Apache-2.0 */
/* Throughput of a training step beside what the machine reaches at its best, in the same run. */
#ifndef ESCAPEMENT_BENCH_H
#define ESCAPEMENT_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/activation.h"
#include "escapement/export.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

/* Lists have commas between: "32,64". NULL, and 0 for threads: the default, named behind each. */
typedef struct esc_bench_request {
  const char *backend;    /* reference, cpu, cuda (cpu, and cuda where there is a device) */
  const char *path;       /* as in run.h, several with commas between (auto,cublas) */
  const char *precision;  /* fp32, or on a GPU tf32 (fp32) */
  const char *activation; /* names, or one poly:a0,a1,... (tanh) */
  const char *seconds;    /* a row is timed for, 0.01 to 3600 (2) */
  const char *width;      /* N, of the hidden layers (32,64) */
  const char *layers;     /* L, of weights (6) */
  const char *inputs;     /* d (the width) */
  const char *batch;      /* B, samples of a step (64,256,512) */
  const char *slots;      /* networks trained concurrently (chosen for the backend) */
  int64_t threads;        /* (all processors) */
  int64_t device;         /* index of the GPU; -1: the first, where a GPU is used */
} esc_bench_request;

/* A repeated measurement: its median, and the extremes. */
typedef struct esc_spread {
  double median, low, high;
} esc_spread;

/* An engine's processor with its ceiling. */
typedef struct esc_bench_backend {
  char name[16];
  char device[256];
  char ceiling[160];       /* what is measured: "multiply-adds in registers, avx512, 2 threads" */
  double copy_bytes_per_s; /* of a copy in memory, read and written bytes counted */
} esc_bench_backend;

enum { ESC_BENCH_REPEATS = 9 };

/* Networks of one shape on one backend. */
typedef struct esc_bench_result {
  char backend[16], path[16];
  char precision[64]; /* of weights and activations, and behind a comma of products */
  char engine[128];   /* what ran it */
  char activation[ESC_ACTIVATION_NAME_MAX];
  int width, layers, inputs, batch, members;
  int threads;                      /* asked for */
  double host_bytes, device_bytes;  /* of memory, all networks */
  int64_t steps;                    /* of each network, timed */
  esc_spread seconds;               /* of a step of all networks, by their number */
  double repeat[ESC_BENCH_REPEATS]; /* the same of each repeat, ascending */
  esc_spread ceiling;               /* FLOP/s of bursts between the repeats */
  double flop_per_step;             /* of one network: esc_bench_flop_formula */
  double flop_per_s;                /* by the median */
  double fraction;                  /* flop_per_s over the ceiling's median */
  bool disturbed;   /* something else used the machine: a repeat, of the step or of the ceiling, is
                       more than twice or less than half the median */
  double error;     /* worst of weights and losses after the first steps against the reference */
  double tolerance; /* what rounding explains there */
  int64_t compared, wrong; /* weights and losses; those beyond the tolerance */
} esc_bench_result;

/* A combination of the request's lists that has no result, because that path or backend does not
 * support it here. */
typedef struct esc_bench_skip {
  char backend[16], path[16]; /* as requested; "auto" for no path */
  char activation[ESC_ACTIVATION_NAME_MAX];
  int width, layers, inputs, batch;
  int members; /* 0: chosen for the backend */
  char reason[400];
} esc_bench_skip;

typedef struct esc_benchmark {
  double seconds; /* that a row was timed for */
  int backends;
  esc_bench_backend *backend; /* (backends) */
  int results;
  esc_bench_result *result; /* (results) */
  int wrong, disturbed;     /* results with wrong above 0; disturbed ones */
  int skips;
  esc_bench_skip *skip; /* (skips) */
} esc_benchmark;

/* Callbacks during the benchmark, on the caller's thread; each may be NULL. */
typedef struct esc_bench_receiver {
  void *context;
  void (*begin)(void *context, double seconds); /* the request is good; seconds of a row */
  void (*skip)(void *context, const esc_bench_skip *skip);          /* all of them after `begin` */
  void (*backend)(void *context, const esc_bench_backend *backend); /* before its results */
  bool (*result)(void *context, const esc_bench_result *result);    /* false ends the benchmark */
} esc_bench_receiver;

/* 2B(2(Nd + (L-2)N^2 + N) + (L-2)N^2 + N): the floating-point operations of a network-step that are
 * counted, the products of forward and backward pass, a multiply-add being 2. */
ESC_API const char *esc_bench_flop_formula(void);

/* Checks and times every combination of the request's lists; those that cannot run here are
 * skipped. `receiver` may be NULL. Free *out with esc_benchmark_free in either case. ESC_BAD_INPUT
 * before anything is timed where the request has an unknown name or a value out of range, or no
 * combination can run; ESC_NO_MEMORY where networks do not fit; ESC_INTERRUPTED where the receiver
 * ended it; the results up to there are in *out. A result with wrong numbers is not an error. */
ESC_API esc_status esc_machine_benchmark(const esc_bench_request *request,
                                         const esc_bench_receiver *receiver, esc_benchmark *out);
ESC_API void esc_benchmark_free(esc_benchmark *benchmark);

ESC_END_DECLS

#endif
