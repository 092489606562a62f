/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmark's check against the reference. */
#include "bench/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/model.h"

static const double float_half_ulp = 0x1p-24, tf32_half_ulp = 0x1p-11;
static const double flop_at_most = 4e9; /* of the reference: a few seconds */
enum { NETWORKS = 3 };

esc_member esc_bench_member(int64_t index) {
  return (esc_member){.index = index, .seed = (uint64_t)index + 1, .scale = 1};
}

static bool is_tf32(const char *precision) { return !strncmp(precision, "tf32", 4); }

/* Half an ulp of the engine's weights. */
static double half_ulp(const char *precision) {
  return !strcmp(precision, "float64") ? 0x1p-53 : float_half_ulp;
}

double esc_bench_rounding(const esc_problem *p, const char *precision) {
  if (is_tf32(precision)) return 4 * tf32_half_ulp * p->shape.layers;
  return 20 * half_ulp(precision) * p->shape.layers *
         sqrt(p->shape.width + p->shape.inputs + p->batch);
}

static void book(esc_bench_check *check, double error, double tolerance) {
  const double worst = check->tolerance > 0 ? check->error / check->tolerance : -1;
  check->compared++;
  check->wrong += !(error <= tolerance);
  if (error / tolerance <= worst || isnan(worst)) return;
  check->error = error;
  check->tolerance = tolerance;
}

/* Largest |a[i] - b[i]|, i = first..end-1; b NULL for 0. */
static double largest(const double *a, const double *b, size_t first, size_t end) {
  double size = 0;
  for (size_t i = first; i < end; i++) size = fmax(size, fabs(a[i] - (b ? b[i] : 0)));
  return size;
}

void esc_bench_check_weights(const esc_problem *p, const char *precision,
                             const esc_bench_weights *w, esc_bench_check *check) {
  const double relative = esc_bench_rounding(p, precision);
  for (int l = 0; l < p->shape.layers; l++) {
    const size_t first = esc_weight_offset(p->shape, l), end = esc_weight_offset(p->shape, l + 1);
    const double unit = largest(w->want, w->initial, first, end) +
                        0.01 * p->rate * esc_metric_gamma(p, l) * (double)w->steps;
    const double stored =
        (double)(w->steps + 1) * half_ulp(precision) * largest(w->want, NULL, first, end);
    for (size_t i = first; i < end; i++)
      book(check, fabs(w->got[i] - w->want[i]) / unit, relative + stored / unit);
  }
}

void esc_bench_check_loss(const esc_problem *p, const char *precision, double want, double got,
                          esc_bench_check *check) {
  book(check, fabs(got - want) / fabs(want), esc_bench_rounding(p, precision));
}

/* How many networks the reference can follow, and which: spread over all there are. */
static int choose(const esc_problem *p, int members, int which[NETWORKS]) {
  const double each = ESC_BENCH_CHECK_STEPS * esc_flop_per_step(p);
  int count = members < NETWORKS ? members : NETWORKS;
  while (count > 1 && count * each > flop_at_most) count--;
  for (int i = 0; i < count; i++)
    which[i] = count == 1 ? 0 : (int)((int64_t)i * (members - 1) / (count - 1));
  return count;
}

/* Trains the members by the reference; leaves the engine in *reference. */
static esc_status follow(const esc_problem *p, int count, const int *which, int threads,
                         void **reference) {
  esc_status status = ESC_OK;
  const esc_engine_ops *ops = &esc_reference_engine;
  const esc_engine_setup setup = {.slots = count, .threads = threads < count ? threads : count};
  const atomic_bool stop = false;
  ESC_TRY(ops->create(ops, p, &setup, reference));
  for (int i = 0; i < count; i++) {
    const esc_member member = esc_bench_member(which[i]);
    ESC_TRY(ops->load(*reference, i, &member));
  }
  ESC_TRY(ops->advance(*reference, ESC_BENCH_CHECK_STEPS, &stop));
done:
  return status;
}

/* The engine that is checked, the reference, and workspace: (weight) each, (mode, input). */
typedef struct comparison {
  const esc_engine_ops *ops;
  const void *engine;
  void *reference;
  const esc_problem *problem;
  double *initial, *want, *got, *directions;
} comparison;

/* The network in a slot of the engine against that in slot `index` of the reference. */
static esc_status check_network(const comparison *r, int slot, int index, esc_bench_check *check) {
  esc_status status = ESC_OK;
  const esc_problem *p = r->problem;
  const esc_engine_ops *ops = r->ops;
  const esc_member member = esc_bench_member(slot);
  esc_initial_weights(p, &member, r->directions, r->initial);
  ESC_TRY(esc_reference_engine.weights(r->reference, index, r->want));
  ESC_TRY(ops->weights(r->engine, slot, r->got));
  const esc_bench_weights weights = {ESC_BENCH_CHECK_STEPS, r->initial, r->want, r->got};
  esc_bench_check_weights(p, ops->precision, &weights, check);
  esc_bench_check_loss(p, ops->precision,
                       esc_reference_engine.slot(r->reference, index)->track.loss,
                       ops->slot(r->engine, slot)->track.loss, check);
done:
  return status;
}

esc_status esc_bench_check_engine(const esc_engine_ops *ops, const void *engine,
                                  const esc_problem *p, int members, int threads,
                                  esc_bench_check *check) {
  esc_status status = ESC_OK;
  const size_t weights = esc_weight_count(p->shape);
  int which[NETWORKS];
  const int count = choose(p, members, which);
  comparison r = {.ops = ops, .engine = engine, .problem = p};
  *check = (esc_bench_check){0};
  ESC_TRY_ALLOCATE(r.initial = calloc(weights, sizeof(double)));
  ESC_TRY_ALLOCATE(r.want = calloc(weights, sizeof(double)));
  ESC_TRY_ALLOCATE(r.got = calloc(weights, sizeof(double)));
  ESC_TRY_ALLOCATE(r.directions =
                       calloc((size_t)p->teacher.modes * (size_t)p->shape.inputs, sizeof(double)));
  esc_teacher_directions(p, r.directions);
  ESC_TRY(follow(p, count, which, threads, &r.reference));
  for (int i = 0; i < count; i++) ESC_TRY(check_network(&r, which[i], i, check));
done:
  esc_reference_engine.destroy(r.reference);
  free(r.initial);
  free(r.want);
  free(r.got);
  free(r.directions);
  return status;
}
