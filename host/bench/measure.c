/* SPDX-License-Identifier: Apache-2.0 */
/* Timing of one row: check, warm up, then repeats of the engine and bursts of its
 * ceiling in turn, so that both see the same machine. */
#include "bench/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/registry.h"
#include "bench/clock.h"
#include "machine/processor.h"

static const double memory_share = 0.8; /* of what is available: others live here too */

/* Networks that have diverged take no time at all; their row counts them as wrong. */
enum { STEPS_MAX = 1 << 28 };

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

esc_spread esc_spread_of(double *sample, int count) {
  qsort(sample, (size_t)count, sizeof *sample, ascending);
  const double middle = (sample[(count - 1) / 2] + sample[count / 2]) / 2;
  return (esc_spread){.median = middle, .low = sample[0], .high = sample[count - 1]};
}

/* NaN counts as disturbed. */
static bool is_steady(esc_spread s) {
  const double most = 2;
  return s.high <= most * s.median && s.median <= most * s.low;
}

bool esc_bench_is_disturbed(const esc_bench_row *row) {
  return !is_steady(row->seconds) || !is_steady(row->ceiling);
}

esc_problem esc_bench_problem(const esc_bench_case *c, double *scale) {
  for (int l = 0; l < c->shape.layers; l++) scale[l] = 0.5;
  return (esc_problem){.shape = c->shape,
                       .activation = c->activation,
                       .teacher = {.modes = 1, .amplitude = {1}},
                       .scheme = ESC_SCHEME_HE_NORMAL,
                       .scale = scale,
                       .scale_modes = 1,
                       .rate = 0.05,
                       .batch = c->batch,
                       .steps = INT64_MAX / 2,
                       .update = ESC_UPDATE_COMPENSATED,
                       .thresholds = 1,
                       .threshold = {1e-300},
                       .smoothing = 0.9,
                       .run_seed = 1};
}

typedef struct timing {
  const esc_engine_ops *ops;
  void *engine;
  const esc_ceiling_ops *ceiling_ops;
  void *ceiling;
  const atomic_bool *stop;
  int64_t asked; /* steps of every member so far */
} timing;

static esc_status check_memory(const esc_bench_case *c, const esc_engine_ops *ops,
                               const esc_problem *p, const esc_engine_setup *setup,
                               esc_bytes *bytes) {
  esc_status status = ESC_OK;
  double device = INFINITY, total = 0;
  *bytes = ops->bytes(ops, p, setup);
  if (ops->device_memory) ESC_TRY(ops->device_memory(setup, &device, &total));
  if (bytes->host > memory_share * esc_memory_available() || bytes->device > device)
    status = ESC_FAIL(ESC_NO_MEMORY,
                      "bench: %d networks of %d layers, width %d, batch %d need %.3g GB of memory "
                      "and %.3g GB of the device's, more than there is",
                      setup->slots, c->shape.layers, c->shape.width, c->batch, bytes->host / 1e9,
                      bytes->device / 1e9);
done:
  return status;
}

static esc_status load(const timing *t, int members) {
  esc_status status = ESC_OK;
  for (int i = 0; i < members; i++) {
    const esc_member member = esc_bench_member(i);
    ESC_TRY(t->ops->load(t->engine, i, &member));
  }
done:
  return status;
}

/* Seconds that `steps` steps of all members take. */
static esc_status time_steps(timing *t, int64_t steps, double *seconds) {
  const double start = esc_bench_now();
  const esc_status status = t->ops->advance(t->engine, steps, t->stop);
  *seconds = esc_bench_now() - start;
  t->asked += steps;
  if (status != ESC_OK || !atomic_load(t->stop)) return status;
  return ESC_FAIL(ESC_INTERRUPTED, "interrupted: rows that were printed are whole");
}

/* Warms up, and finds how many steps take about `seconds`. */
static esc_status choose_steps(timing *t, double seconds, int64_t *steps) {
  esc_status status = ESC_OK;
  double took = 0;
  *steps = 1;
  ESC_TRY(time_steps(t, *steps, &took));
  while (took < seconds / 2 && *steps < STEPS_MAX) {
    *steps *= 2;
    ESC_TRY(time_steps(t, *steps, &took));
  }
  *steps = (int64_t)fmax(1, round((double)*steps * seconds / took));
done:
  return status;
}

/* Repeats of engine and ceiling in turn. */
static esc_status repeat(timing *t, int64_t steps, esc_bench_row *row) {
  esc_status status = ESC_OK;
  double seconds[ESC_BENCH_REPEATS], ceiling[ESC_BENCH_REPEATS];
  for (int i = 0; i < ESC_BENCH_REPEATS; i++) {
    ESC_TRY(t->ceiling_ops->flop(t->ceiling, &ceiling[i]));
    ESC_TRY(time_steps(t, steps, &seconds[i]));
    seconds[i] /= (double)steps * row->members;
  }
  row->steps = steps * ESC_BENCH_REPEATS;
  row->seconds = esc_spread_of(seconds, ESC_BENCH_REPEATS);
  row->ceiling = esc_spread_of(ceiling, ESC_BENCH_REPEATS);
  memcpy(row->repeat, seconds, sizeof row->repeat); /* which esc_spread_of has sorted */
done:
  return status;
}

/* A member that did not take every step, no more and no less, or whose loss is no
 * number, is wrong. */
static void check_steps(const timing *t, esc_bench_row *row) {
  for (int i = 0; i < row->members; i++) {
    const esc_track *track = &t->ops->slot(t->engine, i)->track;
    row->check.wrong += track->finished || track->step != t->asked || !isfinite(track->loss);
  }
}

static esc_status measure(timing *t, const esc_problem *p, const esc_engine_setup *setup,
                          double seconds, esc_bench_row *row) {
  esc_status status = ESC_OK;
  int64_t steps;
  double unused;
  ESC_TRY(load(t, row->members));
  ESC_TRY(time_steps(t, ESC_BENCH_CHECK_STEPS, &unused));
  ESC_TRY(esc_bench_check_engine(t->ops, t->engine, p, row->members, setup->threads, &row->check));
  ESC_TRY(choose_steps(t, seconds / ESC_BENCH_REPEATS, &steps));
  ESC_TRY(repeat(t, steps, row));
  check_steps(t, row);
done:
  return status;
}

esc_status esc_bench_measure(const esc_bench_case *c, const esc_engine_ops *ops,
                             const esc_bench_meter *meter, esc_bench_row *row) {
  esc_status status = ESC_OK;
  double scale[ESC_LAYERS_MAX];
  const esc_problem p = esc_bench_problem(c, scale);
  esc_engine_setup setup = c->setup;
  timing t = {
      .ops = ops, .ceiling_ops = meter->ops, .ceiling = meter->ceiling, .stop = meter->stop};
  *row = (esc_bench_row){.ops = ops, .flop_per_step = esc_flop_per_step(&p)};
  setup.slots = row->members = c->members ? (int)c->members : ops->slots(ops, &p, &setup);
  if (setup.threads > setup.slots) setup.threads = setup.slots;
  ESC_TRY(check_memory(c, ops, &p, &setup, &row->bytes));
  ESC_TRY(ops->create(ops, &p, &setup, &t.engine));
  ops->describe(t.engine, row->engine, sizeof row->engine);
  esc_backend_path(ops, &p, row->path, sizeof row->path);
  ESC_TRY(measure(&t, &p, &setup, meter->seconds, row));
done:
  ops->destroy(t.engine);
  return status;
}
