/* The plateau's numbers, from snapshots made to obey the laws exactly. */
#include "escapement/plateau.h"

#include "check.h"
#include "escapement/observe.h"

enum { LAYERS = 4, SNAPSHOTS = 40, R = 3 };
static const double rate = 0.1, c = 0.7;

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
  esc_plateau_measure(r, 0, rate, 0.05, &p);
  /* m <= 0.05 while c t <= 80: k <= 32.65 */
  assert_int_equal(p.snapshots, 33);
  assert_int_equal(p.exit_step, 33 * 35);
  const double m_end = 1 / (100 - c * rate * 35 * 32);
  esc_assert_close(p.m_start, 0.01, 0, 1e-14);
  esc_assert_close(p.m_end, m_end, 0, 1e-14);
  esc_assert_close(p.drift_over_m2, 4, 0, 1e-12);
  esc_assert_close(p.self_over_drive, 2 * pow(m_end, 3), 0, 1e-12);
  esc_assert_close(p.self_exponent, 3, 0, 1e-10);
  esc_assert_close(p.orthogonal_over_drive, 3 * m_end * m_end, 0, 1e-12);
  esc_assert_close(p.orthogonal_exponent, 2, 0, 1e-10);
  esc_assert_close(p.signal_exponent, 4.0 / 3, 0, 1e-10);
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
  for (int64_t k = 20; k < SNAPSHOTS; k++)
    set(r, ESC_OBSERVABLE_bottleneck_norm, k, 0, (double)NAN);
  esc_plateau_measure(r, 0, rate, 0.05, &p);
  assert_int_equal(p.snapshots, 20);
  assert_int_equal(p.exit_step, -1);
  esc_assert_close(p.self_exponent, 3, 0, 1e-10);
  esc_results_free(r);
}

static void no_number_comes_out_as_no_number(void **state) {
  (void)state;
  esc_results *r = lawful();
  esc_plateau p;
  set(r, ESC_OBSERVABLE_layer_drift, 5, 3, (double)NAN);
  set(r, ESC_OBSERVABLE_self_interaction, 6, 0, (double)NAN);
  set(r, ESC_OBSERVABLE_forward_chain, 7, 1, (double)NAN);
  esc_plateau_measure(r, 0, rate, 0.05, &p);
  assert_true(isnan(p.drift) && isnan(p.self_over_drive) && isnan(p.self_exponent));
  assert_true(isnan(p.chain_high) && isnan(p.chain_low));
  esc_plateau_measure(r, 0, rate, 0.005, &p); /* m starts outside */
  assert_int_equal(p.snapshots, 0);
  assert_int_equal(p.exit_step, 0);
  assert_true(isnan(p.self_exponent) && isnan(p.growth));
  esc_results_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(laws_that_hold_are_found),
      cmocka_unit_test(a_network_that_never_leaves_has_no_exit),
      cmocka_unit_test(no_number_comes_out_as_no_number),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
