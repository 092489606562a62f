/* SPDX-License-Identifier: Apache-2.0 */
/* The fit: groups, points, laws and slopes of sweeps without noise, and what is refused. */
#include <gsl/gsl_errno.h>

#include "made_sweep.h"

static void a_power_law_without_noise_gives_its_slope_to_rounding(void **state) {
  (void)state;
  for (int r = 3; r <= 5; r++) {
    design d = plain;
    d.bottleneck = r;
    const esc_fit_group g = fit_one(&d, exact_power, &r);
    assert_int_equal(g.law, ESC_LAW_POWER);
    esc_assert_close(g.predicted, 2 - r, 0, 0);
    esc_assert_close(g.slope, 2 - r, 1e-12, 0);
    esc_assert_close(g.slope_weighted, 2 - r, 1e-12, 0);
    esc_assert_close(g.slope_median, 2 - r, 1e-12, 0);
    esc_assert_close(g.slope_censored, 2 - r, 1e-12, 0);
    assert_int_equal(g.estimator, ESC_ESTIMATOR_MEANS);
  }
}

/* Equal steps share the error of rounding, variance 1/12, which their number does not
 * reduce: here through d log t = dt/t and the least squares weights (k-2) log 2/(10 log^2 2). That
 * 40 seeds agree they may have by chance: Student's t of 39 degrees of freedom. */
static void without_noise_the_error_is_that_of_whole_steps(void **state) {
  (void)state;
  int power = 4;
  double variance = 0;
  for (int k = 0; k < 5; k++)
    variance += gsl_pow_2((k - 2) / (10 * M_LN2) / (3 * gsl_pow_int(4, k))) / 12;
  const esc_fit_group g = fit_one(&plain, exact_power, &power);
  esc_assert_close(g.standard_error, sqrt(variance), 0, 1e-12);
  esc_assert_close(g.upper - g.slope, 2.022690920036761 * sqrt(variance), 0, 1e-9);
}

/* A NaN scale was equal to nothing, itself included, and the fit never ended. */
static void numbers_that_no_run_writes_are_refused_by_name(void **state) {
  (void)state;
  int power = 4;
  esc_results *r = sweep(&plain, exact_power, &power);
  const double scale = r->scale[7], bad[] = {(double)NAN, -1, INFINITY};
  esc_fit fit;
  for (int i = 0; i < 3; i++) {
    r->scale[7] = bad[i];
    assert_int_equal(esc_fit_results(1, (const esc_results *const *)&r, &fit), ESC_BAD_INPUT);
    assert_non_null(strstr(esc_error_message(), "member 7: scale is "));
  }
  r->scale[7] = scale;
  r->escape_step[3] = -2;
  assert_int_equal(esc_fit_results(1, (const esc_results *const *)&r, &fit), ESC_BAD_INPUT);
  r->escape_step[3] = -1;
  r->steps_run[3] = -1;
  assert_int_equal(esc_fit_results(1, (const esc_results *const *)&r, &fit), ESC_BAD_INPUT);
  r->steps_run[3] = 3;
  r->threshold[0] = (double)NAN;
  assert_int_equal(esc_fit_results(1, (const esc_results *const *)&r, &fit), ESC_BAD_INPUT);
  esc_results_free(r);
}

/* It made every number of the group NaN, "escaped at fewer than two scales". */
static void scale_0_is_left_out_of_what_needs_its_logarithm(void **state) {
  (void)state;
  int power = 4;
  esc_results *r = sweep(&plain, exact_power, &power);
  for (int64_t i = 4 * plain.seeds; i < r->members; i++) r->scale[i] = 0;
  esc_fit fit = fit_of(1, &r);
  esc_assert_close(fit.group[0].slope, -2, 1e-12, 0);
  esc_assert_close(fit.group[0].slope_weighted, -2, 1e-12, 0);
  assert_true(isfinite(fit.group[0].limit.slope) && isnan(fit.group[0].local[0]));
  drop(&fit, 1, &r);
}

static void points_and_local_slopes_ascend_in_scale(void **state) {
  (void)state;
  int power = 4;
  esc_results *r = sweep(&plain, exact_power, &power);
  esc_fit fit = fit_of(1, &r);
  const esc_fit_group *g = &fit.group[0];
  assert_int_equal(g->points, 5);
  assert_int_equal(g->n, 200);
  for (int p = 0; p < 5; p++) {
    esc_assert_close(g->point[p].scale, gsl_pow_int(0.5, 4 - p), 0, 0);
    esc_assert_close(g->point[p].mean, 3 * gsl_pow_int(4, 4 - p), 0, 1e-14);
    esc_assert_close(g->point[p].median, 3 * gsl_pow_int(4, 4 - p), 0, 0);
    esc_assert_close(g->point[p].sd, 0, 1e-9, 0);
    assert_int_equal(g->point[p].n, 40);
  }
  for (int p = 0; p < 4; p++) esc_assert_close(g->local[p], -2, 1e-12, 0);
  drop(&fit, 1, &r);
}

static void one_scale_has_a_mean_and_no_slope(void **state) {
  (void)state;
  int power = 4;
  design d = plain;
  d.points = 1;
  esc_results *r = sweep(&d, exact_power, &power);
  esc_fit fit = fit_of(1, &r);
  esc_assert_close(fit.group[0].point[0].mean, 3, 0, 1e-15);
  assert_true(isnan(fit.group[0].slope) && isnan(fit.group[0].slope_weighted));
  drop(&fit, 1, &r);
}

static void assert_same_numbers(const esc_fit_group *a, const esc_fit_group *b) {
  esc_assert_close(a->slope, b->slope, 0, 0);
  esc_assert_close(a->standard_error, b->standard_error, 0, 0);
  esc_assert_close(a->lower, b->lower, 0, 0);
  esc_assert_close(a->upper, b->upper, 0, 0);
  esc_assert_close(a->slope_censored, b->slope_censored, 0, 0);
}

/* Seeds apart in two tables give what one table gives, in either order. */
static void shards_fit_as_the_whole(void **state) {
  (void)state;
  gsl_rng *rng = generator(7);
  design d = plain;
  d.budget = 30000;
  esc_results *whole = sweep(&d, noisy_power, rng), *shard[2];
  d.seeds = 20;
  for (int t = 0; t < 2; t++, d.first += 20) {
    shard[t] = sweep(&d, noisy_power, rng);
    for (int64_t i = 0; i < shard[t]->members; i++) {
      const int64_t from = i / 20 * 40 + i % 20 + 20 * t;
      shard[t]->escape_step[i] = whole->escape_step[from];
      shard[t]->steps_run[i] = whole->steps_run[from];
      shard[t]->status[i] = whole->status[from];
    }
  }
  esc_results *reversed[2] = {shard[1], shard[0]};
  esc_fit one = fit_of(1, &whole), two = fit_of(2, reversed);
  assert_same_numbers(&one.group[0], &two.group[0]);
  esc_fit_free(&one);
  esc_results_free(whole);
  drop(&two, 2, shard);
  gsl_rng_free(rng);
}

static void a_member_given_twice_is_refused_by_name(void **state) {
  (void)state;
  int power = 4;
  esc_results *a = sweep(&plain, exact_power, &power), *b = sweep(&plain, exact_power, &power);
  const esc_results *both[2] = {a, b};
  esc_fit fit;
  assert_int_equal(esc_fit_results(2, both, &fit), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "bottleneck 4, scale 0.0625, seed 1 "));
  assert_non_null(strstr(esc_error_message(), "tables 1 and 2"));
  assert_null(fit.group);
  a->seed[1] = a->seed[0];
  assert_int_equal(esc_fit_results(1, both, &fit), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "tables 1 and 1"));
  esc_results_free(a);
  esc_results_free(b);
}

/* Sweep groups of the same small layers are windows of one law. */
static void sweeps_of_other_small_layers_stay_apart(void **state) {
  (void)state;
  int power = 4;
  design low = plain, high = plain;
  low.largest = 1.0 / 32;
  low.small_layers = high.small_layers = 0xf;
  esc_results *r[2] = {sweep(&low, exact_power, &power), sweep(&high, exact_power, &power)};
  esc_fit merged = fit_of(2, r);
  assert_int_equal(merged.groups, 1);
  assert_int_equal(merged.group[0].points, 10);
  drop(&merged, 2, r);
  low.largest = 1.0 / 16;
  high.small_layers = 0x1e;
  r[0] = sweep(&low, exact_power, &power);
  r[1] = sweep(&high, exact_power, &power);
  esc_fit apart = fit_of(2, r);
  assert_int_equal(apart.groups, 2);
  for (int g = 0; g < 2; g++) {
    assert_int_equal(apart.group[g].points, 5);
    assert_int_equal(apart.group[g].small_layers, g ? 0x1e : 0xf);
  }
  drop(&apart, 2, r);
}

static double later_when_negative(int64_t seed, double scale, void *context) {
  (void)context;
  return (seed % 2 ? 300 : 200) / (scale * scale);
}

static void negative_signals_that_take_half_as_long_again_are_reported_so(void **state) {
  (void)state;
  esc_results *r = sweep(&plain, later_when_negative, NULL);
  for (int64_t i = 0; i < r->members; i++) r->signal_initial[i] = r->seed[i] % 2 ? -0.3 : 0.1;
  esc_fit fit = fit_of(1, &r);
  esc_assert_close(fit.group[0].delay_negative, 1.5, 0, 1e-12);
  esc_assert_close(fit.group[0].signal_correlation, -1, 0, 1e-12);
  drop(&fit, 1, &r);
}

static void scales_that_differ_by_rounding_are_one(void **state) {
  (void)state;
  int power = 4;
  esc_results *r = sweep(&plain, exact_power, &power);
  for (int64_t i = 0; i < r->members; i += 3) r->scale[i] *= 1 + 2.3e-16;
  esc_fit fit = fit_of(1, &r);
  assert_int_equal(fit.group[0].points, 5);
  assert_int_equal(fit.group[0].point[1].n, 40);
  drop(&fit, 1, &r);
}

static void groups_ascend_in_bottleneck_then_threshold(void **state) {
  (void)state;
  int power = 3;
  esc_results *r[2] = {NULL, NULL};
  for (int t = 0; t < 2; t++) {
    esc_assert_ok(esc_results_create(2, 2, 3, &r[t]));
    r[t]->threshold[0] = 0.15;
    r[t]->threshold[1] = 0.05;
    design d = plain;
    d.bottleneck = 5 - t;
    for (int i = 0; i < 2; i++)
      put(r[t], i, &d, 1, scale_of(&d, i), exact_power(1, scale_of(&d, i), &power));
  }
  esc_fit fit = fit_of(2, r);
  assert_int_equal(fit.groups, 4);
  for (int g = 0; g < 4; g++) {
    assert_int_equal(fit.group[g].bottleneck, 4 + g / 2);
    esc_assert_close(fit.group[g].threshold, g % 2 ? 0.15 : 0.05, 0, 0);
    esc_assert_close(fit.group[g].slope, -1, 1e-12, 0);
  }
  drop(&fit, 2, r);
}

static double logarithmic(int64_t seed, double scale, void *context) {
  (void)seed;
  (void)context;
  return 40 - 105 * log10(scale);
}

static void two_small_layers_give_steps_per_decade(void **state) {
  (void)state;
  design d = plain;
  d.bottleneck = 2;
  d.largest = 0.1;
  d.ratio = 0.1;
  const esc_fit_group g = fit_one(&d, logarithmic, NULL);
  assert_int_equal(g.law, ESC_LAW_LOGARITHMIC);
  esc_assert_close(g.predicted, 0, 0, 0);
  esc_assert_close(g.steps_per_decade, 105, 1e-9, 0);
}

static double at_once(int64_t seed, double scale, void *context) {
  (void)seed;
  (void)scale;
  return *(double *)context;
}

static void one_small_layer_is_constant_even_at_step_zero(void **state) {
  (void)state;
  for (double step = 0; step < 3; step++) {
    design d = plain;
    d.bottleneck = 1;
    const esc_fit_group g = fit_one(&d, at_once, &step);
    assert_int_equal(g.law, ESC_LAW_CONSTANT);
    esc_assert_close(g.slope, 0, 1e-12, 0);
    esc_assert_close(g.slope_weighted, 0, 1e-12, 0);
    esc_assert_close(g.steps_per_decade, 0, 1e-12, 0);
  }
}

static double zero_then_four(int64_t seed, double scale, void *context) {
  (void)seed;
  (void)context;
  return scale == 1 ? 0 : 4;
}

static void the_logarithm_of_step_zero_is_that_of_one_half(void **state) {
  (void)state;
  design d = plain;
  d.points = 2;
  const esc_fit_group g = fit_one(&d, zero_then_four, NULL);
  esc_assert_close(g.slope, -3, 1e-12, 0);
  esc_assert_close(g.slope_censored, -3, 1e-12, 0);
}

static void diverged_members_are_counted_and_left_out(void **state) {
  (void)state;
  int power = 4;
  esc_results *r = sweep(&plain, exact_power, &power);
  for (int64_t i = 0; i < r->members; i += 40) {
    r->status[i] = ESC_MEMBER_DIVERGED;
    r->escape_step[i] = i % 80 ? 7 : -1;
  }
  esc_fit fit = fit_of(1, &r);
  assert_int_equal(fit.group[0].diverged, 5);
  assert_int_equal(fit.group[0].n, 195);
  assert_int_equal(fit.group[0].censored, 0);
  assert_int_equal(fit.group[0].point[2].n, 39);
  esc_assert_close(fit.group[0].slope, -2, 1e-12, 0);
  drop(&fit, 1, &r);
}

static void when_all_diverge_points_are_empty(void **state) {
  (void)state;
  int power = 4;
  esc_results *r = sweep(&plain, exact_power, &power);
  for (int64_t i = 0; i < r->members; i++) r->status[i] = ESC_MEMBER_DIVERGED;
  esc_fit fit = fit_of(1, &r);
  assert_int_equal(fit.group[0].diverged, 200);
  assert_int_equal(fit.group[0].point[0].n, 0);
  assert_true(isnan(fit.group[0].point[0].mean) && isnan(fit.group[0].slope));
  drop(&fit, 1, &r);
}

static void no_members_make_no_groups(void **state) {
  (void)state;
  esc_results *r = NULL;
  esc_assert_ok(esc_results_create(0, 1, 3, &r));
  esc_fit fit = fit_of(1, &r);
  assert_int_equal(fit.groups, 0);
  drop(&fit, 1, &r);
}

static void the_same_tables_give_the_same_numbers(void **state) {
  (void)state;
  gsl_rng *rng = generator(8);
  esc_results *r = sweep(&plain, noisy_power, rng);
  esc_fit a = fit_of(1, &r), b = fit_of(1, &r);
  assert_same_numbers(&a.group[0], &b.group[0]);
  esc_fit_free(&a);
  drop(&b, 1, &r);
  gsl_rng_free(rng);
}

int main(void) {
  gsl_set_error_handler_off();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_power_law_without_noise_gives_its_slope_to_rounding),
      cmocka_unit_test(without_noise_the_error_is_that_of_whole_steps),
      cmocka_unit_test(numbers_that_no_run_writes_are_refused_by_name),
      cmocka_unit_test(scale_0_is_left_out_of_what_needs_its_logarithm),
      cmocka_unit_test(points_and_local_slopes_ascend_in_scale),
      cmocka_unit_test(one_scale_has_a_mean_and_no_slope),
      cmocka_unit_test(shards_fit_as_the_whole),
      cmocka_unit_test(a_member_given_twice_is_refused_by_name),
      cmocka_unit_test(sweeps_of_other_small_layers_stay_apart),
      cmocka_unit_test(negative_signals_that_take_half_as_long_again_are_reported_so),
      cmocka_unit_test(scales_that_differ_by_rounding_are_one),
      cmocka_unit_test(groups_ascend_in_bottleneck_then_threshold),
      cmocka_unit_test(two_small_layers_give_steps_per_decade),
      cmocka_unit_test(one_small_layer_is_constant_even_at_step_zero),
      cmocka_unit_test(the_logarithm_of_step_zero_is_that_of_one_half),
      cmocka_unit_test(diverged_members_are_counted_and_left_out),
      cmocka_unit_test(when_all_diverge_points_are_empty),
      cmocka_unit_test(no_members_make_no_groups),
      cmocka_unit_test(the_same_tables_give_the_same_numbers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
