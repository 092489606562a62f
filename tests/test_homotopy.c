/* SPDX-License-Identifier: Apache-2.0 */
/* From one closure level to another: slopes against differences, the integral against the
 * times at its ends, the reference values (docs/theory, section 9.5). */
#include "escapement/internal/homotopy.h"

#include <omp.h>

#include "check.h"

static esc_homotopy make(const char *activation, int layers, double scale, int modes, int lower,
                         int upper) {
  const double amplitude[] = {1.5, 1, 0.6};
  esc_homotopy h = {.problem = {.modes = modes, .layers = layers, .level = (esc_block_level)upper},
                    .lower = (esc_block_level)lower};
  assert_true(esc_activation_parse(activation, &h.problem.activation));
  for (int k = 0; k < modes; k++) {
    h.problem.amplitude[k] = amplitude[k];
    for (int l = 0; l < layers; l++) h.problem.scale[k][l] = scale;
  }
  return h;
}

static esc_homotopy_point at(const esc_homotopy *h, double lambda, bool slopes) {
  esc_homotopy_point point;
  esc_block_grid grid;
  esc_assert_ok(esc_block_grid_create(&h->problem, 1, &grid));
  esc_assert_ok(esc_homotopy_evaluate(h, &grid, lambda, slopes, &point));
  esc_block_grid_free(&grid);
  return point;
}

/* The second reference value (docs/theory, section 9.5) is 3e-7 off differences of sixth order
 * (-10.0495263). */
static void slopes_are_the_reference_values(void **state) {
  (void)state;
  const double want[2][2] = {{-5.892583787, -10.049529272}, {-11.536866776, -15.020525328}};
  for (int upper = 1; upper <= 2; upper++) {
    const esc_homotopy h = make("tanh", 4, 0.15, 2, 0, upper);
    const esc_homotopy_point p = at(&h, 0.5, true);
    for (int k = 0; k < 2; k++) esc_assert_close(p.derivative[k], want[upper - 1][k], 0, 5e-7);
  }
}

/* Differences by Richardson from steps h and 2h: their error is of order h^4. */
static void check_slopes(const char *activation, int layers, double scale, int modes,
                         double lambda) {
  const esc_homotopy h = make(activation, layers, scale, modes, 0, 2);
  const double step = 0.01 * lambda;
  const esc_homotopy_point p = at(&h, lambda, true), up = at(&h, lambda + step, false),
                           down = at(&h, lambda - step, false),
                           up2 = at(&h, lambda + 2 * step, false),
                           down2 = at(&h, lambda - 2 * step, false);
  for (int k = 0; k < modes; k++) {
    const double near = (up.escape[k] - down.escape[k]) / (2 * step),
                 far = (up2.escape[k] - down2.escape[k]) / (4 * step);
    esc_assert_close(p.derivative[k], (4 * near - far) / 3, 0, 1e-6);
  }
}

static void slopes_are_the_differences_of_times(void **state) {
  (void)state;
  check_slopes("tanh", 4, 0.15, 2, 0.5);
  check_slopes("tanh", 3, 0.1, 2, 0.1);
  check_slopes("erf", 2, 0.1, 2, 0.4);
  check_slopes("gelu", 3, 0.3, 2, 0.5);
}

/* The reference values of mode 2 are another program's integral over lambda, good to 2e-4: with
 * panels ten times as exact as ours they move by 1e-5. */
static void the_attribution_has_the_reference_values(void **state) {
  (void)state;
  const double want[2][4] = {{-3.3493, -1.62671, -1.85458, -2.18725},
                             {-4.48216, -10.14983, -4.11912, -3.34507}};
  const double sum[2] = {-9.017831753, -22.096170616};
  const esc_homotopy h = make("tanh", 4, 0.15, 2, 0, 2);
  esc_attribution a;
  esc_assert_ok(esc_attribution_find(&h, NULL, NULL, &a));
  for (int k = 0; k < 2; k++) {
    esc_assert_close(a.to[k] - a.from[k], sum[k], 0, 1e-7);
    assert_true(fabs(a.residual[k]) <= 1e-5 * fabs(sum[k]));
    for (int c = 0; c < 4; c++)
      esc_assert_close(a.channel[k][c], want[k][c], k == 0 ? 1e-5 : 2.5e-4, 0);
  }
  esc_attribution_free(&a);
}

static esc_attribution attribute(const esc_homotopy *h, int threads) {
  esc_attribution a;
  omp_set_num_threads(threads);
  esc_assert_ok(esc_attribution_find(h, NULL, NULL, &a));
  return a;
}

/* dt_2/dlambda is ten times as large at lambda = 0.04 as at 0.5. */
static void a_steep_layer_is_resolved(void **state) {
  (void)state;
  const esc_homotopy h = make("tanh", 3, 0.02, 2, 0, 2);
  esc_attribution a = attribute(&h, 2);
  assert_true(a.converged);
  assert_int_equal(a.jumps, 0);
  for (int k = 0; k < 2; k++) {
    const double shift = fabs(a.to[k] - a.from[k]);
    assert_true(fabs(a.residual[k]) <= 1e-5 * (shift + 1e-3 * a.to[k]));
  }
  esc_attribution_free(&a);
}

static void threads_do_not_change_an_attribution(void **state) {
  (void)state;
  const esc_homotopy h = make("tanh", 2, 0.3, 2, 0, 2);
  esc_attribution one = attribute(&h, 1), two = attribute(&h, 2);
  assert_int_equal(one.points, two.points);
  assert_memory_equal(one.channel, two.channel, sizeof one.channel);
  assert_memory_equal(one.residual, two.residual, sizeof one.residual);
  esc_attribution_free(&one);
  esc_attribution_free(&two);
}

static void an_activation_without_curvature_is_refused(void **state) {
  (void)state;
  const esc_homotopy h = make("relu", 3, 0.3, 2, 0, 2);
  esc_attribution a;
  assert_int_equal(esc_attribution_find(&h, NULL, NULL, &a), ESC_BAD_INPUT);
  assert_non_null(strstr(esc_error_message(), "relu"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(slopes_are_the_reference_values),
      cmocka_unit_test(slopes_are_the_differences_of_times),
      cmocka_unit_test(the_attribution_has_the_reference_values),
      cmocka_unit_test(a_steep_layer_is_resolved),
      cmocka_unit_test(threads_do_not_change_an_attribution),
      cmocka_unit_test(an_activation_without_curvature_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
