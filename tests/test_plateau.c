/* SPDX-License-Identifier: Apache-2.0 */
/* The plateau's numbers, from snapshots made to obey the power laws exactly or with noise. */
#include "escapement/internal/plateau.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "check.h"
#include "escapement/internal/observe.h"

enum { LAYERS = 4, SNAPSHOTS = 40, R = 3 };
static const double rate = 0.1, c = 0.7;
static const esc_plateau_rules rules = {.rate = 0.1, .window = 0.05};

static void set(esc_results *r, int observable, int64_t k, int l, double value) {
  const int length = esc_observable_length(LAYERS, esc_observables[observable].axis);
  r->observable[observable][k * length + l] = value;
}

/* dm/dt = c m^2 from m = 0.01: 1/m = 100 - c t. Then S = m^3, Q = 5 S^(4/3), self = 2 m^3
 * drive, T_perp term = 3 m^2 drive, drift = 4 m^2. */
static esc_results *lawful(void) {
  esc_results *r;
  esc_assert_ok(esc_results_create(1, 1, LAYERS, &r));
  esc_assert_ok(esc_results_add_snapshots(r, SNAPSHOTS));
  r->bottleneck[0] = R;
  r->small_layers[0] = 7;
  for (int64_t k = 0; k < SNAPSHOTS; k++) {
    r->snapshot_step[k] = 35 * k;
    const double m = 1 / (100 - c * rate * 35 * (double)k), s = m * m * m;
    set(r, ESC_OBSERVABLE_bottleneck_norm, k, 0, m);
    set(r, ESC_OBSERVABLE_signal, k, 0, s);
    set(r, ESC_OBSERVABLE_signal_gradient2, k, 0, 5 * pow(s, 4.0 / 3));
    set(r, ESC_OBSERVABLE_drive, k, 0, 11);
    set(r, ESC_OBSERVABLE_self_interaction, k, 0, 22 * s);
    set(r, ESC_OBSERVABLE_orthogonal, k, 0, -33 * m * m);
    set(r, ESC_OBSERVABLE_output_mean, k, 0, 0);
    set(r, ESC_OBSERVABLE_output_variance, k, 0, 36 * s * s);
    for (int l = 0; l < LAYERS; l++) {
      set(r, ESC_OBSERVABLE_operator_norm, k, l, l < R ? m : 1.5);
      set(r, ESC_OBSERVABLE_layer_drift, k, l, l < R ? 100 : 4 * m * m);
      set(r, ESC_OBSERVABLE_signal_gradient_norm, k, l, l < R ? (1 + l) * s / m : s);
      set(r, ESC_OBSERVABLE_forward_chain, k, l, 2 + (double)k / SNAPSHOTS);
      set(r, ESC_OBSERVABLE_backward_chain, k, l, 3 - (double)k / SNAPSHOTS);
    }
  }
  return r;
}

static void laws_that_hold_are_found(void **state) {
  (void)state;
  esc_results *r = lawful();
  esc_plateau p;
  esc_plateau_measure(r, 0, &rules, &p);
  /* m <= 0.05 while c t <= 80: k <= 32.65 */
  assert_int_equal(p.snapshots, 33);
  assert_int_equal(p.exit_step, 33 * 35);
  const double m_end = 1 / (100 - c * rate * 35 * 32);
  esc_assert_close(p.m_start, 0.01, 0, 1e-14);
  esc_assert_close(p.m_end, m_end, 0, 1e-14);
  esc_assert_close(p.drift_over_m2, 4, 0, 1e-12);
  esc_assert_close(p.self_over_drive, 2 * pow(m_end, 3), 0, 1e-12);
  esc_assert_close(p.self_exponent.value, 3, 0, 1e-10);
  esc_assert_close(p.orthogonal_over_drive, 3 * m_end * m_end, 0, 1e-12);
  esc_assert_close(p.orthogonal_exponent.value, 2, 0, 1e-10);
  esc_assert_close(p.signal_exponent.value, 4.0 / 3, 0, 1e-10);
  esc_assert_close(p.self_exponent.error, 0, 1e-7, 0);
  /* m >= 0.02 from c t = 50 on: k = 21..32 */
  assert_int_equal(p.self_exponent.snapshots, 12);
  esc_assert_close(p.self_exponent.low, 1 / (100 - c * rate * 35 * 21), 0, 1e-12);
  esc_assert_close(p.self_exponent.high, m_end, 0, 1e-12);
  esc_assert_close(p.self_over_mr, 2, 0, 1e-12);
  esc_assert_close(p.growth, c, 0, 1e-10);
  esc_assert_close(p.exit_bound, 1, 0, 1e-10);
  esc_assert_close(p.chain_low, (3 - 32.0 / SNAPSHOTS) / 3, 0, 1e-12);
  esc_assert_close(p.chain_high, (2 + 32.0 / SNAPSHOTS) / 2, 0, 1e-12);
  esc_assert_close(p.gain_low, 1, 0, 1e-12);
  esc_assert_close(p.gain_high, 3, 0, 1e-12);
  esc_assert_close(p.output_over_gain, 6, 0, 1e-12);
  esc_results_free(r);
}

static void a_network_that_never_leaves_has_no_exit(void **state) {
  (void)state;
  esc_results *r = lawful();
  esc_plateau p;
  for (int64_t k = 32; k < SNAPSHOTS; k++)
    set(r, ESC_OBSERVABLE_bottleneck_norm, k, 0, (double)NAN);
  esc_plateau_measure(r, 0, &rules, &p);
  assert_int_equal(p.snapshots, 32);
  assert_int_equal(p.exit_step, -1);
  esc_assert_close(p.self_exponent.value, 3, 0, 1e-10);
  esc_results_free(r);
}

/* Without a small layer m is no number; that is not "above the window". */
static void without_a_small_layer_the_reason_says_so(void **state) {
  (void)state;
  esc_results *r = lawful();
  esc_plateau p;
  char why[128];
  for (int64_t k = 0; k < SNAPSHOTS; k++) set(r, ESC_OBSERVABLE_bottleneck_norm, k, 0, (double)NAN);
  esc_plateau_measure(r, 0, &rules, &p);
  assert_int_equal(p.self_exponent.obstacle, ESC_OBSTACLE_NO_M);
  esc_exponent_explain(&p.signal_exponent, &rules, why, sizeof why);
  assert_true(strstr(why, "no layer is small") && !strstr(why, "window"));
  esc_results_free(r);
}

/* C = 0: no time is asked for, and a ratio to it is no number (it was -inf, "consistent"). */
static void where_m_never_grows_there_is_no_time_to_compare(void **state) {
  (void)state;
  esc_results *r = lawful();
  esc_plateau p;
  for (int64_t k = 0; k < SNAPSHOTS; k++)
    set(r, ESC_OBSERVABLE_bottleneck_norm, k, 0, 0.01 / (1 + (double)k));
  esc_plateau_measure(r, 0, &rules, &p);
  assert_true(p.growth == 0 && isnan(p.exit_bound));
  esc_results_free(r);
}

static void no_number_comes_out_as_no_number(void **state) {
  (void)state;
  esc_results *r = lawful();
  esc_plateau p;
  set(r, ESC_OBSERVABLE_layer_drift, 5, 3, (double)NAN);
  set(r, ESC_OBSERVABLE_self_interaction, 26, 0, (double)NAN);
  set(r, ESC_OBSERVABLE_forward_chain, 7, 1, (double)NAN);
  esc_plateau_measure(r, 0, &rules, &p);
  assert_true(isnan(p.drift) && isnan(p.self_over_drive));
  assert_int_equal(p.self_exponent.obstacle, ESC_OBSTACLE_VALUE);
  assert_true(isnan(p.self_exponent.value) && isnan(p.self_exponent.error));
  assert_true(isnan(p.chain_high) && isnan(p.chain_low));
  esc_plateau_measure(r, 0, &(esc_plateau_rules){.rate = rate, .window = 0.005}, &p);
  assert_int_equal(p.snapshots, 0);
  assert_int_equal(p.exit_step, 0);
  assert_true(isnan(p.self_exponent.value) && isnan(p.growth));
  assert_true(isnan(p.drift) && isnan(p.chain_high) && isnan(p.self_over_drive));
  esc_results_free(r);
}

/* Of the exponent in m of the self-interaction, whose reason begins so. */
static void check_obstacle(const esc_results *r, const esc_plateau_rules *with, const char *why) {
  esc_plateau p;
  char text[128];
  esc_plateau_measure(r, 0, with, &p);
  assert_true(isnan(p.self_exponent.value) && isnan(p.self_exponent.error));
  esc_exponent_explain(&p.self_exponent, with, text, sizeof text);
  if (strncmp(text, why, strlen(why))) fprintf(stderr, "got:  %s\nwant: %s\n", text, why);
  assert_int_equal(strncmp(text, why, strlen(why)), 0);
}

static void what_cannot_be_measured_says_why(void **state) {
  (void)state;
  esc_results *r = lawful();
  esc_plateau_rules with = {.rate = rate, .window = 0.005};
  check_obstacle(r, &with, "m starts above the window");
  with.window = 0.0102;
  check_obstacle(r, &with, "m grows by a factor of 1");
  with.window = 0.039; /* as many snapshots as are needed, but close together */
  check_obstacle(r, &with, "the snapshots span a factor of 1.8");
  with.window = 0.05;
  for (int64_t k = 0; k < 29; k++) set(r, ESC_OBSERVABLE_signal, k, 0, -1e-9);
  check_obstacle(r, &with, "snapshots with m above twice its start: 4, of 5 needed");
  for (int64_t k = 0; k < SNAPSHOTS; k++) set(r, ESC_OBSERVABLE_signal, k, 0, -1e-9);
  check_obstacle(r, &with, "S is not positive");
  esc_results_free(r);
}

static void noise_of_the_sample_is_no_exponent(void **state) {
  (void)state;
  esc_results *r = lawful();
  esc_plateau p;
  char text[128];
  esc_plateau_rules with = rules;
  with.floor = 0.05; /* the T_perp term ends at 3 x 0.046^2 of the drive */
  esc_plateau_measure(r, 0, &with, &p);
  assert_int_equal(p.orthogonal_exponent.obstacle, ESC_OBSTACLE_FLOOR);
  esc_exponent_explain(&p.orthogonal_exponent, &with, text, sizeof text);
  assert_string_equal(text, "below 3 times the sampling noise, which is 0.05 of the drive");
  esc_assert_close(p.self_exponent.value, 3, 0, 1e-10);
  with.floor = 2e-4;
  esc_plateau_measure(r, 0, &with, &p);
  esc_assert_close(p.orthogonal_exponent.value, 2, 0, 1e-10);
  esc_results_free(r);
}

/* Self-interaction = m^(3 + curvature log m) drive, with noise of `sd` in its logarithm. */
static void disturb(esc_results *r, double curvature, double sd, const gsl_rng *rng) {
  const double end = log(1 / (100 - c * rate * 35 * 32)),
               start = log(1 / (100 - c * rate * 35 * 21));
  for (int64_t k = 0; k < SNAPSHOTS; k++) {
    const double x = log(r->observable[ESC_OBSERVABLE_bottleneck_norm][k]);
    const double y = 3 * x + curvature * (x - start) * (x - end) + sd * gsl_ran_ugaussian(rng);
    set(r, ESC_OBSERVABLE_self_interaction, k, 0, 11 * exp(y));
  }
}

enum { TRIALS = 4000, NETWORKS = 5 };

/* The share of 95% intervals over the true exponent is at least 95%, within three counting
 * errors; and at most 99.5%: intervals that are too wide show nothing. */
static void check_coverage(double hits, double trials) {
  const double error = sqrt(0.05 * 0.95 / trials);
  if (hits / trials < 0.95 - 3 * error || hits / trials > 0.995)
    fprintf(stderr, "covered: %g\n", hits / trials);
  assert_true(hits / trials >= 0.95 - 3 * error);
  assert_true(hits / trials <= 0.995);
}

static void intervals_of_one_network_cover_power_laws_with_noise(void **state) {
  (void)state;
  esc_results *r = lawful();
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  esc_plateau p;
  int hits = 0;
  for (int i = 0; i < TRIALS; i++) {
    disturb(r, 0, 0.05, rng);
    esc_plateau_measure(r, 0, &rules, &p);
    const esc_exponent *e = &p.self_exponent;
    const double quantile = gsl_cdf_tdist_Pinv(0.975, (double)(e->snapshots - 3));
    hits += fabs(e->value - 3) <= quantile * e->error;
  }
  check_coverage(hits, TRIALS);
  gsl_rng_free(rng);
  esc_results_free(r);
}

/* Networks differ by more than their snapshots' noise says: the spread between them counts. */
static void intervals_over_networks_cover_what_differs_between_them(void **state) {
  (void)state;
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  int hits = 0;
  for (int i = 0; i < TRIALS; i++) {
    double value[NETWORKS], curvature[NETWORKS];
    for (int k = 0; k < NETWORKS; k++) {
      value[k] = 3 + 0.1 * gsl_ran_ugaussian(rng);
      curvature[k] = 0.05 * gsl_ran_ugaussian(rng);
    }
    const esc_estimate e = esc_estimate_compute(NETWORKS, value, curvature, 0);
    assert_int_equal(e.networks, NETWORKS);
    hits += e.lower <= 3 && 3 <= e.upper;
  }
  check_coverage(hits, TRIALS);
  gsl_rng_free(rng);
}

/* No noise, and a local slope that changes by 0.2 from end to end: half of that, between the
 * quartiles, is half the change. */
static void a_curvature_is_part_of_the_error(void **state) {
  (void)state;
  esc_results *r = lawful();
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  esc_plateau p;
  const double range = log((100 - c * rate * 35 * 21) / (100 - c * rate * 35 * 32));
  disturb(r, 0.1 / range, 0, rng);
  esc_plateau_measure(r, 0, &rules, &p);
  esc_assert_close(p.self_exponent.curvature, 0.05, 0, 1e-8);
  assert_true(p.self_exponent.error >= 0.05);
  assert_true(fabs(p.self_exponent.value - 3) < p.self_exponent.error);
  gsl_rng_free(rng);
  esc_results_free(r);
}

static void what_all_networks_share_stays_in_the_error(void **state) {
  (void)state;
  const double value[3] = {1, 2, 3}, curvature[3] = {0.3, 0.3, 0.3};
  esc_assert_close(esc_estimate_compute(3, value, NULL, 0).error, 1 / sqrt(3), 0, 1e-14);
  esc_assert_close(esc_estimate_compute(3, value, curvature, 0.4).error, sqrt(1.0 / 3 + 0.25), 0,
                   1e-14);
  esc_assert_close(esc_estimate_compute(3, value, NULL, 0).upper, 2 + 4.302652729911275 / sqrt(3),
                   0, 1e-10);
  assert_true(isnan(esc_estimate_compute(1, value, curvature, 0).error));
  assert_true(isnan(esc_estimate_compute(0, value, curvature, 0).value));
}

static void a_slope_over_scales_needs_two_of_them(void **state) {
  (void)state;
  const double x[3] = {0.01, 0.1, 0.01}, y[3] = {2e-6, 2e-3, 4e-6};
  esc_assert_close(esc_scaling_exponent(2, x, y), 3, 0, 1e-12);
  assert_true(isnan(esc_scaling_exponent(1, x, y)));
  assert_true(isnan(esc_scaling_exponent(2, x + 1, (const double[]){1, -1})));
  assert_true(isnan(esc_scaling_exponent(2, (const double[]){0.1, 0.1}, y)));
}

/* In the next order, m^2 for tanh: 0.046^2 over the range's logarithm. */
static void the_next_order_is_part_of_the_error(void **state) {
  (void)state;
  esc_results *r = lawful();
  esc_plateau p;
  esc_plateau_rules with = rules;
  with.order = 3;
  esc_plateau_measure(r, 0, &with, &p);
  const esc_exponent *e = &p.self_exponent;
  esc_assert_close(e->error, e->high * e->high / log(e->high / e->low), 0, 1e-5);
  esc_results_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(laws_that_hold_are_found),
      cmocka_unit_test(a_network_that_never_leaves_has_no_exit),
      cmocka_unit_test(without_a_small_layer_the_reason_says_so),
      cmocka_unit_test(where_m_never_grows_there_is_no_time_to_compare),
      cmocka_unit_test(no_number_comes_out_as_no_number),
      cmocka_unit_test(what_cannot_be_measured_says_why),
      cmocka_unit_test(noise_of_the_sample_is_no_exponent),
      cmocka_unit_test(intervals_of_one_network_cover_power_laws_with_noise),
      cmocka_unit_test(intervals_over_networks_cover_what_differs_between_them),
      cmocka_unit_test(a_curvature_is_part_of_the_error),
      cmocka_unit_test(what_all_networks_share_stays_in_the_error),
      cmocka_unit_test(a_slope_over_scales_needs_two_of_them),
      cmocka_unit_test(the_next_order_is_part_of_the_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
