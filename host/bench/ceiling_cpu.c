/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU's ceilings: multiply-adds in registers on every thread, with the
 * instruction set that the engine takes; and a copy that no cache can hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/ceiling.h"
#include "bench/clock.h"
#include "bench/peak.h"
#include "cpu/network.h"

static const double burst_seconds = 0.02;
enum { COPY_REPEATS = 5 };

typedef struct ceiling {
  int threads;
  const char *isa;
  esc_peak_loop *loop;
} ceiling;

esc_peak_loop esc_peak_loop_generic;
#ifdef __x86_64__
esc_peak_loop esc_peak_loop_avx2, esc_peak_loop_avx512;
#endif

esc_peak_loop *esc_peak_find(const char *isa) {
#ifdef __x86_64__
  if (!strcmp(isa, "avx512")) return esc_peak_loop_avx512;
  if (!strcmp(isa, "avx2")) return esc_peak_loop_avx2;
#endif
  return !strcmp(isa, "generic") ? esc_peak_loop_generic : NULL;
}

static esc_status open_cpu(const esc_engine_setup *setup, void **out) {
  esc_status status = ESC_OK;
  const esc_cpu_isa *isa = NULL;
  ceiling *c = NULL;
  ESC_TRY(esc_cpu_isa_select(&isa));
  ESC_TRY_ALLOCATE(c = calloc(1, sizeof *c));
  *c = (ceiling){.threads = setup->threads, .isa = isa->name, .loop = esc_peak_find(isa->name)};
  *out = c;
done:
  return status;
}

/* One thread's rate over the burst. */
static double thread_rate(esc_peak_loop *loop) {
  const double start = esc_bench_now();
  double done = 0, elapsed;
  float sink;
  do {
    done += loop(1000, &sink);
    elapsed = esc_bench_now() - start;
  } while (elapsed < burst_seconds);
  return done / elapsed;
}

/* The threads' rates are added, so that a processor which others share counts with
 * what is left of it: an engine that hands out work as it goes gets that much, too. */
static esc_status flop(void *handle, double *flop_per_s) {
  const ceiling *c = handle;
  double sum = 0;
#pragma omp parallel num_threads(c->threads) reduction(+ : sum)
  sum += thread_rate(c->loop);
  *flop_per_s = sum;
  return ESC_OK;
}

/* Bytes of one array: four times the last cache, at least 64 MiB. */
static size_t copy_size(void) {
  const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
  const size_t least = (size_t)64 << 20, wanted = cache > 0 ? 4 * (size_t)cache : 0;
  return wanted > least ? wanted : least;
}

/* Copies share by share; the first time also brings the pages in. */
static double copy_once(const ceiling *c, char *to, const char *from, size_t size) {
  const size_t share = size / (size_t)c->threads;
  const double start = esc_bench_now();
#pragma omp parallel for schedule(static) num_threads(c->threads)
  for (int i = 0; i < c->threads; i++)
    memcpy(to + (size_t)i * share, from + (size_t)i * share, share);
  return 2 * (double)(share * (size_t)c->threads) / (esc_bench_now() - start);
}

static esc_status copy(void *handle, double *bytes_per_s) {
  esc_status status = ESC_OK;
  const ceiling *c = handle;
  const size_t size = copy_size();
  char *to = NULL, *from = NULL;
  ESC_TRY_ALLOCATE(to = malloc(size));
  ESC_TRY_ALLOCATE(from = malloc(size));
  memset(from, 1, size);
  copy_once(c, to, from, size);
  *bytes_per_s = 0;
  for (int i = 0; i < COPY_REPEATS; i++) {
    const double rate = copy_once(c, to, from, size);
    if (rate > *bytes_per_s) *bytes_per_s = rate;
  }
done:
  free(to);
  free(from);
  return status;
}

static void describe(const void *handle, char *text, size_t size) {
  const ceiling *c = handle;
  snprintf(text, size, "float32 multiply-adds in registers, %s, %d thread%s", c->isa, c->threads,
           c->threads == 1 ? "" : "s");
}

const esc_ceiling_ops esc_cpu_ceiling = {
    .open = open_cpu, .flop = flop, .copy = copy, .describe = describe, .close = free};
