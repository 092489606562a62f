/* SPDX-License-Identifier: Apache-2.0 */
/* Schur-Perron both ways on random matrices, nested truncations, and what holds of them at the
 * plateau of several modes (docs/theory, section 6). */
#include "escapement/internal/spectrum.h"

#include "check.h"

enum { N1 = 3, N2 = 4, N = N1 + N2, TRIALS = 400 };

static uint64_t seed;

static double uniform(void) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(seed >> 11) * 0x1p-53;
}

/* Damping over four decades, coupling with many zeros. */
static void random_loop(int n1, int n2, double strength, double zeros, double *j) {
  const int n = n1 + n2;
  memset(j, 0, (size_t)(n * n) * sizeof *j);
  for (int i = 0; i < n; i++) {
    j[i * n + i] = -pow(10, 4 * uniform() - 2);
    for (int k = 0; k < n; k++)
      if ((i < n1) != (k < n1) && uniform() > zeros) j[i * n + k] = strength * uniform();
  }
}

static void the_gain_exceeds_one_exactly_when_an_eigenvalue_is_positive(void **state) {
  (void)state;
  int grown = 0, damped = 0;
  seed = 1;
  for (int trial = 0; trial < TRIALS; trial++) {
    double j[N * N];
    esc_schur s;
    random_loop(N1, N2, pow(10, 3 * uniform() - 2), trial % 4 * 0.25, j);
    esc_assert_ok(esc_schur_perron(N1, N2, j, 0, &s));
    assert_true(s.holds);
    if (fabs(s.gain - 1) < 1e-6) continue; /* rounding decides */
    assert_int_equal(s.gain > 1, s.abscissa > 0);
    grown += s.gain > 1;
    damped += s.gain < 1;
  }
  assert_true(grown > TRIALS / 5 && damped > TRIALS / 5);
}

/* Eigenvalues are good to rounding of J's norm, up to 100. */
static void the_growth_is_the_largest_eigenvalue(void **state) {
  (void)state;
  int grown = 0;
  seed = 2;
  for (int trial = 0; trial < TRIALS; trial++) {
    double j[N * N];
    esc_schur s;
    random_loop(N1, N2, 1, trial % 4 * 0.2, j);
    esc_assert_ok(esc_schur_perron(N1, N2, j, 0, &s));
    if (!(s.gain > 1)) continue;
    esc_assert_close(s.growth, s.abscissa, 1e-11, 1e-9);
    grown++;
  }
  assert_true(grown > TRIALS / 5);
}

static void what_fails_of_the_hypotheses_is_told(void **state) {
  (void)state;
  double j[16] = {-1, 0, 1, 0, 0, -1, 0, 1, 1, 0, -1, 0, 0, 1, 0, -1};
  esc_schur s;
  esc_assert_ok(esc_schur_perron(2, 2, j, 1e-12, &s));
  assert_true(s.holds);
  j[1] = 1e-3;
  esc_assert_ok(esc_schur_perron(2, 2, j, 1e-12, &s));
  assert_true(!s.holds && !s.diagonal && s.positive && s.nonnegative);
  esc_assert_close(s.off_diagonal, 1e-3, 1e-15, 0);
  j[1] = 0;
  j[3] = -1e-6;
  esc_assert_ok(esc_schur_perron(2, 2, j, 1e-12, &s));
  assert_true(!s.holds && s.diagonal && !s.nonnegative);
  j[3] = 0;
  j[0] = 0.5;
  esc_assert_ok(esc_schur_perron(2, 2, j, 1e-12, &s));
  assert_true(!s.holds && !s.positive && isnan(s.gain));
}

static void a_nilpotent_matrix_has_no_radius(void **state) {
  (void)state;
  double m[25] = {0}, rho;
  for (int i = 0; i < 4; i++) m[i * 5 + i + 1] = 3;
  esc_assert_ok(esc_spectral_radius(5, m, &rho));
  assert_true(rho == 0);
  m[2 * 5 + 2] = 0.7; /* one coordinate feeds itself */
  esc_assert_ok(esc_spectral_radius(5, m, &rho));
  assert_true(rho == 0.7);
  m[4 * 5 + 0] = 1; /* a ring: 3^4 around it, and the 0.7 */
  esc_assert_ok(esc_spectral_radius(5, m, &rho));
  assert_true(rho > pow(81, 0.2));
}

static void longer_truncations_never_grow_slower(void **state) {
  (void)state;
  enum { M = 5 };
  seed = 3;
  for (int trial = 0; trial < 100; trial++) {
    double j[4 * M * M];
    esc_truncation t[M];
    random_loop(M, M, 2, trial % 2 * 0.5, j);
    esc_assert_ok(esc_truncations(M, j, 10, t));
    for (int m = 1; m < M; m++) {
      assert_true(t[m].gain >= t[m - 1].gain * (1 - 1e-12));
      assert_true(!(t[m].time > t[m - 1].time * (1 + 1e-10)));
      /* All entries there: what is added is coupled, so growth rises, unless there is none. */
      if (trial % 2 == 0 && isfinite(t[m - 1].growth)) assert_true(t[m].growth > t[m - 1].growth);
      if (trial % 2 == 0 && isfinite(t[m - 1].time)) assert_true(t[m].time < t[m - 1].time);
    }
  }
}

/* A coordinate that only listens changes nothing; one that answers does. Gain 0, 1.44, 1.44, more.
 */
static void a_coordinate_that_only_listens_adds_no_growth(void **state) {
  (void)state;
  enum { M = 4 };
  double j[4 * M * M] = {0};
  esc_truncation t[M];
  for (int i = 0; i < 2 * M; i++) j[i * 2 * M + i] = -1;
#define B(i, k) j[(i)*2 * M + M + (k)]
#define C(i, k) j[(M + (i)) * 2 * M + (k)]
  B(0, 1) = 1.2, C(1, 0) = 1.2; /* theta_0 and omega_1 make a loop */
  C(2, 0) = 0.9;                /* omega_2 listens to theta_0 */
  B(0, 3) = 0.3, C(3, 0) = 0.3; /* omega_3 answers it */
#undef B
#undef C
  esc_assert_ok(esc_truncations(M, j, 10, t));
  assert_true(t[0].gain == 0 && isnan(t[0].growth) && isinf(t[0].time));
  esc_assert_close(t[1].gain, 1.44, 0, 1e-14);
  esc_assert_close(t[1].growth, 0.2, 1e-14, 0);
  assert_true(t[2].gain == t[1].gain && t[2].time == t[1].time);
  esc_assert_close(t[3].gain, 1.53, 0, 1e-14);
  assert_true(t[3].growth > t[2].growth && t[3].time < t[2].time);
}

/* With the activation's own couplings no truncation closes: each is slower than the next. */
static void no_truncation_of_an_activations_coupling_closes(void **state) {
  (void)state;
  enum { M = 8 };
  const char *const name[] = {"tanh", "erf", "gelu"};
  for (int a = 0; a < 3; a++) {
    esc_activation activation;
    double j[4 * M * M];
    esc_truncation t[M];
    assert_true(esc_activation_parse(name[a], &activation));
    esc_assert_ok(esc_hermite_coupling(&activation, M, 4, j));
    esc_assert_ok(esc_truncations(M, j, 10, t));
    assert_true(t[0].gain > 1);
    for (int m = 1; m < M; m++)
      assert_true(t[m].growth > t[m - 1].growth && t[m].time < t[m - 1].time);
    /* and they converge: the loop is compact */
    assert_true(t[M - 1].growth - t[M - 2].growth < 0.01 * (t[1].growth - t[0].growth));
  }
}

/* The first coupling is E[sigma(g) g] = c_1. */
static void the_first_hermite_coupling_is_c1(void **state) {
  (void)state;
  esc_activation tanh_;
  double j[4];
  assert_true(esc_activation_parse("tanh", &tanh_));
  esc_assert_ok(esc_hermite_coupling(&tanh_, 1, 1, j));
  esc_assert_close(j[1], 0.605705509602, 1e-12, 0);
}

static esc_block_problem three_modes(void) {
  esc_block_problem p = {
      .modes = 3, .layers = 4, .amplitude = {1.5, 1, 0.6}, .level = ESC_BLOCK_EXACT};
  assert_true(esc_activation_parse("tanh", &p.activation));
  for (int k = 0; k < 3; k++)
    for (int l = 0; l < 4; l++) p.scale[k][l] = 0.1;
  return p;
}

static void the_block_start_is_not_at_rest_and_not_schur_perron(void **state) {
  (void)state;
  const esc_block_problem p = three_modes();
  const double want[] = {5.996e-4, 6.008e-4, 6.008e-4}; /* docs/theory, section 6.4 */
  double a[64], rate[64];
  esc_block_grid grid;
  esc_block_signals unused;
  esc_schur s;
  esc_assert_ok(esc_block_grid_create(&p, 1, &grid));
  esc_block_initial_state(&p, a);
  esc_assert_ok(esc_block_flow(&p, &grid, a, rate, &unused));
  for (int l = 0; l < 3; l++) esc_assert_close(rate[9 * l + 1], want[l], 6e-8, 0);
  esc_assert_ok(esc_block_spectrum(&p, &grid, a, &s));
  assert_true(!s.holds && !s.diagonal && !s.nonnegative);
  assert_true(s.asymmetry < 1e-12); /* J is minus a Hessian */
  assert_true(s.abscissa > 0);
  esc_block_grid_free(&grid);
}

static void duhamels_frozen_form_holds_at_first_only(void **state) {
  (void)state;
  esc_block_problem p = three_modes();
  const int theta_01 = 1;
  p.level = ESC_BLOCK_ROTATED;
  const double time[] = {2, 10};
  double off[2];
  esc_block_grid grid;
  esc_duhamel d;
  esc_assert_ok(esc_block_grid_create(&p, 1, &grid));
  esc_assert_ok(
      esc_block_duhamel(&p, &grid, &(esc_duhamel_request){1, &theta_01, 30, 2, time}, &d, off));
  esc_assert_close(off[0], 0.05, 0.01, 0); /* docs/theory, section 6.9, in per cent */
  esc_assert_close(off[1], 0.21, 0.01, 0);
  assert_true(d.until > 2 && d.until < 10);
  esc_block_grid_free(&grid);
}

/* Held out: tensor trapezoid rule, DOP853 at 1e-11, the root on its dense output. */
static void duhamels_departure_is_located(void **state) {
  (void)state;
  esc_block_problem p = three_modes();
  p.modes = 2;
  p.layers = 3;
  const int coordinate[] = {1, 2, 5, 6};
  const double until[] = {0.7631204357, 1.0716357939, 0.7254845541, 1.0361932026};
  esc_block_grid grid;
  esc_duhamel d[4];
  esc_assert_ok(esc_block_grid_create(&p, 1, &grid));
  esc_assert_ok(
      esc_block_duhamel(&p, &grid, &(esc_duhamel_request){4, coordinate, 8.3, 0, NULL}, d, NULL));
  for (int i = 0; i < 4; i++) esc_assert_close(d[i].until, until[i], 0, 1e-7);
  esc_assert_ok(
      esc_block_duhamel(&p, &grid, &(esc_duhamel_request){1, coordinate, 0.5, 0, NULL}, d, NULL));
  assert_true(d[0].until == 0.5); /* not before the horizon */
  esc_block_grid_free(&grid);
}

static void states_are_the_paths(void **state) {
  (void)state;
  const esc_block_problem p = three_modes();
  esc_block_times times;
  esc_block_grid grid;
  esc_block_signals at;
  double a[64];
  esc_assert_ok(esc_block_times_find(&p, &times));
  esc_assert_ok(esc_block_grid_create(&p, 1, &grid));
  esc_assert_ok(esc_block_trajectory(&p, &grid, 1, &times.escape[1], a));
  esc_assert_ok(esc_block_flow(&p, &grid, a, NULL, &at));
  esc_assert_close(at.s[1], 0.605705509602 / 2, 1e-7, 0);
  esc_block_grid_free(&grid);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_gain_exceeds_one_exactly_when_an_eigenvalue_is_positive),
      cmocka_unit_test(the_growth_is_the_largest_eigenvalue),
      cmocka_unit_test(what_fails_of_the_hypotheses_is_told),
      cmocka_unit_test(a_nilpotent_matrix_has_no_radius),
      cmocka_unit_test(longer_truncations_never_grow_slower),
      cmocka_unit_test(a_coordinate_that_only_listens_adds_no_growth),
      cmocka_unit_test(no_truncation_of_an_activations_coupling_closes),
      cmocka_unit_test(the_first_hermite_coupling_is_c1),
      cmocka_unit_test(the_block_start_is_not_at_rest_and_not_schur_perron),
      cmocka_unit_test(duhamels_frozen_form_holds_at_first_only),
      cmocka_unit_test(duhamels_departure_is_located),
      cmocka_unit_test(states_are_the_paths),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
