/* SPDX-License-Identifier: Apache-2.0 */
/* Several modes on the exact block reduction: docs/theory, section 9.5, and identities of the flow.
 */
#include "escapement/internal/blocks.h"

#include "check.h"
#include "escapement/internal/model.h"
#include "escapement/internal/reference.h"
#include "escapement/internal/theory.h"
#include "problems.h"

static esc_block_problem make(const char *activation, int layers, double scale, int level,
                              int modes, const double *amplitude) {
  esc_block_problem p = {.modes = modes, .layers = layers, .level = (esc_block_level)level};
  assert_true(esc_activation_parse(activation, &p.activation));
  for (int k = 0; k < modes; k++) {
    p.amplitude[k] = amplitude[k];
    for (int l = 0; l < layers; l++) p.scale[k][l] = scale;
  }
  return p;
}

static const double three[] = {1.5, 1, 0.6}, two[] = {1.5, 1};

/* The reference values' digits: half a unit of the last one given, and 1e-8 of the quadrature. */
static void check_times(const esc_block_problem *p, const double *escape, const double *hermite,
                        double digit) {
  esc_block_times t;
  esc_assert_ok(esc_block_times_find(p, &t));
  assert_true(t.quadrature_error < 1e-5);
  for (int k = 0; k < p->modes; k++) {
    esc_assert_close(t.escape[k], escape[k], digit, 1e-7);
    if (hermite) esc_assert_close(t.hermite[k], hermite[k], 1e-3, 0);
  }
}

static void three_modes_escape_at_the_reference_times(void **state) {
  (void)state;
  const double escape[3][3] = {{58.565632, 87.232704, 144.280648},
                               {43.260400, 43.325531, 43.318541},
                               {33.388648, 33.405125, 33.382174}};
  const double hermite[3][3] = {
      {58.336, 87.209, 144.982}, {44.0487, 62.9606, 78.5923}, {34.1608, 51.8874, 67.4226}};
  for (int level = 0; level < 3; level++) {
    const esc_block_problem p = make("tanh", 4, 0.1, level, 3, three);
    check_times(&p, escape[level], hermite[level], 1e-6);
  }
}

static void two_modes_escape_at_the_reference_times(void **state) {
  (void)state;
  const double escape[3][2] = {
      {27.45343916, 40.55873925}, {21.97449583, 22.04221595}, {18.43560741, 18.46256864}};
  for (int level = 0; level < 3; level++) {
    const esc_block_problem p = make("tanh", 4, 0.15, level, 2, two);
    check_times(&p, escape[level], NULL, 1e-8);
  }
}

static void with_three_layers_levels_one_and_two_coincide(void **state) {
  (void)state;
  const double escape[] = {14.201327, 14.223618, 14.215522};
  for (int level = 1; level < 3; level++) {
    const esc_block_problem p = make("tanh", 3, 0.05, level, 3, three);
    check_times(&p, escape, NULL, 1e-6);
  }
}

/* One mode is the reduced ODE: its S passes a c_1/2 where the chain's does. */
static void one_mode_is_the_reduced_ode(void **state) {
  (void)state;
  const double one[] = {1.2};
  const char *const activation[] = {"tanh", "gelu", "softplus-raw"};
  for (int i = 0; i < 3; i++) {
    const esc_block_problem p = make(activation[i], 3, 0.2, 2, 1, one);
    esc_block_grid grid;
    esc_block_signals unused;
    double s[3] = {0.2, 0.2, 0.2}, rate[3], want[3];
    esc_escape_problem chain = {.activation = p.activation, .amplitude = 1.2, .layers = 3};
    esc_assert_ok(esc_block_grid_create(&p, 1, &grid));
    esc_assert_ok(esc_block_flow(&p, &grid, s, rate, &unused));
    esc_reduced_rhs(&chain, &(esc_quadrature){grid.nodes, grid.g, grid.weight}, s, want, NULL);
    for (int l = 0; l < 3; l++) esc_assert_close(rate[l], want[l], 1e-16, 1e-12);
    esc_block_grid_free(&grid);
  }
}

static void the_flow_is_minus_the_gradient_of_the_loss(void **state) {
  (void)state;
  const char *const activation[] = {"tanh", "gelu", "sigmoid-raw", "poly:0.1,1,0.2,-0.1"};
  for (int i = 0; i < 4; i++) {
    const esc_block_problem p = make(activation[i], 4, 0.3, 2, 2, two);
    const int n = esc_block_size(&p);
    double a[64], rate[64];
    esc_block_grid grid;
    esc_block_signals at, up, down;
    esc_assert_ok(esc_block_grid_create(&p, 1, &grid));
    for (int j = 0; j < n; j++) a[j] = 0.5 * sin(1 + 3 * j);
    esc_assert_ok(esc_block_flow(&p, &grid, a, rate, &at));
    for (int j = 0; j < n; j++) {
      const double kept = a[j], h = 1e-5;
      a[j] = kept + h;
      esc_assert_ok(esc_block_flow(&p, &grid, a, NULL, &up));
      a[j] = kept - h;
      esc_assert_ok(esc_block_flow(&p, &grid, a, NULL, &down));
      a[j] = kept;
      /* h^2 f'''/6 and rounding of the loss over h */
      esc_assert_close(rate[j], -(up.loss - down.loss) / (2 * h), 1e-9, 1e-8);
    }
    esc_block_grid_free(&grid);
  }
}

/* Against central differences of the flow: h^2 of its third derivative, rounding over h. */
static void the_jacobian_is_the_flows_derivative(void **state) {
  (void)state;
  const char *const activation[] = {
      "tanh",     "erf",     "sin",          "gelu",        "swish",
      "softplus", "sigmoid", "softplus-raw", "sigmoid-raw", "poly:0.1,1,0.2,-0.1"};
  for (int i = 0; i < 10; i++)
    for (int level = 0; level < 3; level++) {
      const esc_block_problem p = make(activation[i], 4, 0.3, level, 2, two);
      const int n = esc_block_size(&p);
      double a[64], jacobian[64 * 64], up[64], down[64];
      esc_block_grid grid;
      esc_block_signals unused;
      esc_assert_ok(esc_block_grid_create(&p, 1, &grid));
      for (int j = 0; j < n; j++) a[j] = 0.5 * sin(1 + 3 * j);
      esc_assert_ok(esc_block_jacobian(&p, &grid, a, jacobian));
      for (int j = 0; j < n; j++) {
        const double kept = a[j], h = 1e-4;
        double only[64] = {0};
        only[j] = 1;
        esc_block_mask(&p, only);
        a[j] = kept + h;
        esc_assert_ok(esc_block_flow(&p, &grid, a, up, &unused));
        a[j] = kept - h;
        esc_assert_ok(esc_block_flow(&p, &grid, a, down, &unused));
        a[j] = kept;
        for (int m = 0; m < n; m++)
          esc_assert_close(jacobian[j * n + m], only[j] * (up[m] - down[m]) / (2 * h), 1e-7, 1e-7);
      }
      esc_block_grid_free(&grid);
    }
}

static void a_signals_gradient_is_its_derivative(void **state) {
  (void)state;
  const esc_block_problem p = make("gelu", 3, 0.3, 2, 2, two);
  const int n = esc_block_size(&p);
  double a[64], gradient[64];
  esc_block_grid grid;
  esc_block_signals up, down;
  esc_assert_ok(esc_block_grid_create(&p, 1, &grid));
  for (int j = 0; j < n; j++) a[j] = 0.5 * sin(1 + 3 * j);
  for (int k = 0; k < 2; k++) {
    esc_assert_ok(esc_block_signal_gradient(&p, &grid, a, k, gradient));
    for (int j = 0; j < n; j++) {
      const double kept = a[j], h = 1e-5;
      a[j] = kept + h;
      esc_assert_ok(esc_block_flow(&p, &grid, a, NULL, &up));
      a[j] = kept - h;
      esc_assert_ok(esc_block_flow(&p, &grid, a, NULL, &down));
      a[j] = kept;
      esc_assert_close(gradient[j], (up.s[k] - down.s[k]) / (2 * h), 1e-9, 1e-8);
    }
  }
  esc_block_grid_free(&grid);
}

/* Nodes as a weighted batch of the width-N network, block-initialised and then moved: its
 * gradient, in the normalized metric, is constant on blocks and is the reduction's. */
static void a_wide_networks_gradient_is_the_reductions(void **state) {
  (void)state;
  enum { N = 6, K = 2, L = 4, UNITS = N / K };
  const char *const activation[] = {"tanh", "swish"};
  for (int i = 0; i < 2; i++) {
    const esc_block_problem b = make(activation[i], L, 0.3, 2, K, two);
    esc_problem p = problem_make(L, N, K, 1);
    double a[64], rate[64], w[N * K + 2 * N * N + N], g[N * K + 2 * N * N + N];
    esc_block_grid grid;
    esc_block_signals at;
    problem_activation(&p, activation[i]);
    p.teacher = (esc_teacher){.modes = K, .amplitude = {1.5, 1}};
    for (int j = 0; j < esc_block_size(&b); j++) a[j] = 0.5 * cos(2 + 5 * j);
    esc_assert_ok(esc_block_grid_create(&b, 1, &grid));
    esc_assert_ok(esc_block_flow(&b, &grid, a, rate, &at));
    /* Rows of W_1 are A_1's; entries of W_l, A_l / n; of W_L, A_L / n. */
    for (int l = 0; l < L; l++)
      for (int r = 0; r < esc_fan_out(p.shape, l); r++)
        for (int c = 0; c < esc_fan_in(p.shape, l); c++) {
          const int row = l == L - 1 ? 0 : r / UNITS, column = l == 0 ? c : c / UNITS;
          w[esc_weight_offset(p.shape, l) + (size_t)(r * esc_fan_in(p.shape, l) + c)] =
              a[l * K * K + row * K + column] / (l == 0 ? 1 : UNITS);
        }
    /* A grid that stands for mirror images gives half of what is even: use all of it. */
    const bool odd = i == 0;
    const int samples = odd ? 2 * grid.nodes : grid.nodes;
    double *x = calloc((size_t)samples * K, sizeof *x), *v = calloc((size_t)samples, sizeof *v);
    for (int s = 0; s < samples; s++) {
      const int node = s % grid.nodes, sign = s < grid.nodes ? 1 : -1;
      v[s] = grid.weight[node] / (odd ? 2 : 1);
      for (int k = 0; k < K; k++) x[s * K + k] = sign * grid.g[k * grid.nodes + node];
    }
    const double axes[K * K] = {1, 0, 0, 1};
    const esc_batch batch = {.samples = samples, .x = x, .weight = v};
    esc_gradient gradient = {.g = g};
    esc_reference_work *work = esc_reference_work_create(&p);
    esc_reference_gradient(&p, axes, w, &batch, work, &gradient);
    esc_assert_close(at.loss, gradient.loss, 0, 1e-12);
    for (int l = 0; l < L; l++)
      for (int r = 0; r < esc_fan_out(p.shape, l); r++)
        for (int c = 0; c < esc_fan_in(p.shape, l); c++) {
          const int row = l == L - 1 ? 0 : r / UNITS, column = l == 0 ? c : c / UNITS;
          const double gamma = l == 0 ? UNITS : l == L - 1 ? 1.0 / UNITS : 1;
          const double change =
              -gamma * g[esc_weight_offset(p.shape, l) + (size_t)(r * esc_fan_in(p.shape, l) + c)];
          esc_assert_close(change * (l == 0 ? 1 : UNITS), rate[l * K * K + row * K + column], 1e-14,
                           1e-11);
        }
    esc_reference_work_free(work);
    free(x);
    free(v);
    esc_block_grid_free(&grid);
    problem_free(&p);
  }
}

static void a_level_freezes_what_it_leaves_out(void **state) {
  (void)state;
  for (int level = 0; level < 3; level++) {
    const esc_block_problem p = make("tanh", 4, 0.1, level, 3, three);
    double a[64], rate[64];
    int moving = 0;
    esc_block_grid grid;
    esc_block_signals unused;
    esc_assert_ok(esc_block_grid_create(&p, 1, &grid));
    esc_block_initial_state(&p, a);
    esc_assert_ok(esc_block_flow(&p, &grid, a, rate, &unused));
    for (int j = 0; j < esc_block_size(&p); j++) moving += rate[j] != 0;
    assert_int_equal(moving, level == 0 ? 12 : level == 1 ? 12 + 2 * 6 : 30);
    esc_block_grid_free(&grid);
  }
}

/* The weaker mode first when its bottleneck is shallower by one (docs/theory, section 6.5). */
static void a_shallower_bottleneck_goes_first(void **state) {
  (void)state;
  const double pair[] = {1.5, 0.6};
  esc_block_problem p = make("tanh", 4, 0.05, 0, 2, pair);
  p.scale[1][3] = 1; /* r = 3 */
  esc_block_times t;
  esc_assert_ok(esc_block_times_find(&p, &t));
  assert_true(t.escape[1] < t.escape[0] && t.decoupled[1] < t.decoupled[0]);
}

static void check_against_finer(const char *activation, int modes, double tolerance) {
  const double amplitude[] = {1.6, 1.4, 1.2, 1, 0.8, 0.6, 0.5, 0.4};
  const esc_block_problem p = make(activation, 3, 0.3, 2, modes, amplitude);
  double a[256], rate[2][256], size = 0, off = 0;
  esc_block_signals at;
  esc_block_initial_state(&p, a);
  for (int j = 0; j < esc_block_size(&p); j++) a[j] += 0.1 * sin(1 + 7 * j);
  for (int finer = 0; finer < 2; finer++) {
    esc_block_grid grid;
    esc_assert_ok(esc_block_grid_create(&p, finer ? 1.25 : 1, &grid));
    esc_assert_ok(esc_block_flow(&p, &grid, a, rate[finer], &at));
    esc_block_grid_free(&grid);
  }
  for (int j = 0; j < esc_block_size(&p); j++) {
    size = hypot(size, rate[1][j]);
    off = hypot(off, rate[1][j] - rate[0][j]);
  }
  assert_true(off <= tolerance * size);
}

static void a_finer_grid_changes_nothing(void **state) {
  (void)state;
  const double tolerance[] = {1e-10, 1e-9, 1e-8, 1e-6, 1e-5};
  for (int modes = 1; modes <= 5; modes++) check_against_finer("tanh", modes, tolerance[modes - 1]);
  for (int modes = 1; modes <= 4; modes++) check_against_finer("gelu", modes, tolerance[modes - 1]);
}

static esc_block_times times_of(const char *activation, int layers, double scale, double a1,
                                double a2, double threshold) {
  const double amplitude[] = {a1, a2};
  esc_block_problem p = make(activation, layers, scale, 2, 2, amplitude);
  esc_block_times t;
  p.threshold = threshold;
  esc_assert_ok(esc_block_times_find(&p, &t));
  return t;
}

/* Held-out times by the tensor trapezoid rule and DOP853 at 1e-11, where the leading drive is
 * negative for each mode, or 0. */
static void a_start_without_positive_drive_is_integrated(void **state) {
  (void)state;
  esc_block_times t = times_of("poly:0,1,0,-0.34", 3, 0.3, 1, 0.7, 0.3);
  esc_assert_close(t.loss, 26.9505274, 0, 2e-7);
  t = times_of("linear", 3, 0.3, -1, -0.7, 0.1);
  esc_assert_close(t.escape[0], 5.7722767970, 0, 1e-8);
  esc_assert_close(t.escape[1], 6.1685723215, 0, 1e-8);
  esc_assert_close(t.loss, 6.1142155644, 0, 1e-8);
  t = times_of("poly:0,0,1", 2, 0.3, 1, 0.7, 0.3); /* c_1 = 0: no half to pass */
  esc_assert_close(t.loss, 0.4840891998, 0, 1e-8);
  assert_true(isnan(t.escape[0]) && strstr(t.note, "c_1 = 0"));
}

/* One balanced linear chain with a negative amplitude decays to 0. */
static void what_never_passes_is_told_with_its_reason(void **state) {
  (void)state;
  const double one[] = {-1};
  const esc_block_problem p = make("linear", 3, 0.3, 2, 1, one);
  esc_block_times t;
  esc_assert_ok(esc_block_times_find(&p, &t));
  assert_true(isnan(t.escape[0]) && strstr(t.note, "S_1: not reached"));
}

static void what_has_passed_at_the_start_has_time_0(void **state) {
  (void)state;
  const esc_block_times t = times_of("tanh", 3, 0.3, 1.5, 1, 1e3);
  assert_true(t.loss == 0 && strstr(t.note, "loss: passed at the start"));
}

/* A polynomial of degree 27 reaches beyond the nodes. Right values: Gauss-Hermite with 64 nodes a
 * dimension, exact for it, and Runge-Kutta of order 8 in an independent program. The errors were
 * 1.6e-3 and 2.2e-2, and H_1 was missing without a word. */
static void what_the_nodes_do_not_resolve_is_told_and_covered(void **state) {
  (void)state;
  static const double scale[2][4] = {{0.431, 0.264, 0.32, 0.111}, {0.401, 0.315, 0.232, 0.415}};
  const double amplitude[] = {0.631, 1.918};
  esc_block_problem p = make("poly:0,1,0,-0.1", 4, 0.3, 2, 2, amplitude);
  esc_block_times t;
  for (int k = 0; k < 2; k++)
    for (int l = 0; l < 4; l++) p.scale[k][l] = scale[k][l];
  esc_assert_ok(esc_block_times_find(&p, &t));
  esc_assert_close(t.escape[0], 3.3646351900, t.escape_error[0], 0);
  esc_assert_close(t.escape[1], 3.5284288274, t.escape_error[1], 0);
  esc_assert_close(t.hermite[1], 4.4371479306, t.hermite_error[1], 0);
  assert_true(isfinite(t.hermite[0]) || strstr(t.note, "H_1"));
  assert_true(strstr(t.note, "rough") != NULL);
}

/* The last hermite time is an order less exact than the rate. */
static void errors_cover_the_times(void **state) {
  (void)state;
  const double escape[] = {4.586189339, 5.316242659}, hermite[] = {5.697335359, 48.496496827};
  const esc_block_times t = times_of("tanh", 3, 0.3, 1, -0.7, 0.1);
  for (int k = 0; k < 2; k++) {
    assert_true(fabs(t.escape[k] - escape[k]) <= t.escape_error[k] + 1e-9);
    assert_true(fabs(t.hermite[k] - hermite[k]) <= t.hermite_error[k] + 1e-9);
    assert_true(t.hermite_error[k] <= t.quadrature_error * t.hermite[k] * (1 + 1e-12));
  }
  assert_true(fabs(t.loss - 4.513869356) <= t.loss_error + 1e-9);
}

static void an_overflow_at_the_start_is_refused(void **state) {
  (void)state;
  const esc_block_problem p = make("poly:0,1e160,1", 3, 0.3, 2, 2, two);
  esc_block_times t;
  assert_int_equal(esc_block_times_find(&p, &t), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "overflows"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(three_modes_escape_at_the_reference_times),
      cmocka_unit_test(two_modes_escape_at_the_reference_times),
      cmocka_unit_test(with_three_layers_levels_one_and_two_coincide),
      cmocka_unit_test(one_mode_is_the_reduced_ode),
      cmocka_unit_test(the_flow_is_minus_the_gradient_of_the_loss),
      cmocka_unit_test(the_jacobian_is_the_flows_derivative),
      cmocka_unit_test(a_signals_gradient_is_its_derivative),
      cmocka_unit_test(a_wide_networks_gradient_is_the_reductions),
      cmocka_unit_test(a_level_freezes_what_it_leaves_out),
      cmocka_unit_test(a_shallower_bottleneck_goes_first),
      cmocka_unit_test(a_finer_grid_changes_nothing),
      cmocka_unit_test(a_start_without_positive_drive_is_integrated),
      cmocka_unit_test(what_never_passes_is_told_with_its_reason),
      cmocka_unit_test(what_has_passed_at_the_start_has_time_0),
      cmocka_unit_test(what_the_nodes_do_not_resolve_is_told_and_covered),
      cmocka_unit_test(errors_cover_the_times),
      cmocka_unit_test(an_overflow_at_the_start_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
