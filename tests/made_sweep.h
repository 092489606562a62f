/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up sweeps whose law is known, and the fits of them. */
#ifndef ESC_MADE_SWEEP_H
#define ESC_MADE_SWEEP_H

#include <gsl/gsl_math.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "check.h"
#include "escapement/internal/fit.h"

/* One sweep group: seeds first, ..., first + seeds - 1 at every scale. */
typedef struct design {
  int bottleneck, small_layers, points;
  double largest, ratio; /* scales largest, largest * ratio, ... */
  int64_t first, seeds;
  int64_t budget;
} design;

/* Escape step of (seed, scale), before the budget cuts it. */
typedef double law(int64_t seed, double scale, void *context);

static inline double scale_of(const design *d, int point) {
  return d->largest * gsl_pow_int(d->ratio, point);
}

static inline void put(esc_results *r, int64_t i, const design *d, int64_t seed, double scale,
                       double step) {
  const bool censored = step >= (double)d->budget;
  r->member[i] = i;
  r->seed[i] = seed;
  r->small_layers[i] = d->small_layers;
  r->bottleneck[i] = d->bottleneck;
  r->scale[i] = scale;
  r->status[i] = censored ? ESC_MEMBER_CENSORED : ESC_MEMBER_ESCAPED;
  r->steps_run[i] = censored ? d->budget : (int64_t)llround(step);
  for (int k = 0; k < r->thresholds; k++)
    r->escape_step[i * r->thresholds + k] = censored ? -1 : (int64_t)llround(step);
}

static inline esc_results *sweep(const design *d, law *t, void *context) {
  esc_results *r = NULL;
  esc_assert_ok(esc_results_create(d->points * d->seeds, 1, 3, &r));
  r->threshold[0] = 0.1;
  int64_t i = 0;
  for (int p = 0; p < d->points; p++)
    for (int64_t s = d->first; s < d->first + d->seeds; s++, i++)
      put(r, i, d, s, scale_of(d, p), t(s, scale_of(d, p), context));
  return r;
}

static inline esc_fit fit_of(int tables, esc_results **r) {
  esc_fit fit;
  esc_assert_ok(esc_fit_results(tables, (const esc_results *const *)r, &fit));
  return fit;
}

/* Frees the fit and the tables. */
static inline void drop(esc_fit *fit, int tables, esc_results **r) {
  esc_fit_free(fit);
  for (int t = 0; t < tables; t++) esc_results_free(r[t]);
}

/* The only group of one sweep, without its arrays. */
static inline esc_fit_group fit_one(const design *d, law *t, void *context) {
  esc_results *r = sweep(d, t, context);
  esc_fit fit = fit_of(1, &r);
  assert_int_equal(fit.groups, 1);
  const esc_fit_group g = fit.group[0];
  drop(&fit, 1, &r);
  return g;
}

/* 3 scale^-(r-2) for r = *context, exactly a whole number at scales 2^-k. */
static inline double exact_power(int64_t seed, double scale, void *context) {
  (void)seed;
  return 3 * gsl_pow_int(1 / scale, *(int *)context - 2);
}

/* Log-normal noise of 25% around 200 scale^-2, each member on its own. */
static inline double noisy_power(int64_t seed, double scale, void *context) {
  (void)seed;
  return 200 / (scale * scale) * exp(gsl_ran_gaussian(context, 0.25));
}

static inline gsl_rng *generator(unsigned long seed) {
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  gsl_rng_set(rng, seed);
  return rng;
}

static const design plain = {.bottleneck = 4,
                             .points = 5,
                             .largest = 1,
                             .ratio = 0.5,
                             .first = 1,
                             .seeds = 40,
                             .budget = 1000000000};

#endif
