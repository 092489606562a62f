/* SPDX-License-Identifier: Apache-2.0 */
/* The integral over lambda by itself: escape times with closed forms in place of flows. */
#include "escapement/internal/homotopy.h"

static esc_status of_closed_form(const esc_homotopy *h, const esc_block_grid *grid, double lambda,
                                 bool slopes, esc_homotopy_point *out);
#define esc_homotopy_evaluate of_closed_form
#include "../src/theory/block_attribution.c"
#undef esc_homotopy_evaluate

#include "check.h"

typedef enum shape { LAYER, JUMP, NOISE, ROUGH, NODES } shape;
static shape of;

static int usual_nodes(void) {
  esc_block_grid grid;
  const esc_block_problem p = {.modes = 1, .layers = 2, .amplitude = {1}};
  esc_assert_ok(esc_block_grid_create(&p, 1, &grid));
  const int nodes = grid.nodes;
  esc_block_grid_free(&grid);
  return nodes;
}

static double noise_of(double lambda) { return sin(1e7 * lambda * lambda); }

/* t_1 falls by 10 along lambda in two channels, 3 : 1, besides: a layer of width 0.01 and height
 * 3 pi, a jump of 3 at 0.3, errors of the times as the solver leaves them, or larger ones, or
 * that layer with an error of the coarser nodes in it. */
static esc_status of_closed_form(const esc_homotopy *h, const esc_block_grid *grid, double lambda,
                                 bool slopes, esc_homotopy_point *out) {
  (void)h, (void)slopes;
  const double x = (lambda - 0.07) / 0.01;
  double t = 100 - 10 * lambda, slope = -10;
  if (of == NODES && grid->nodes < usual_nodes()) t += 0.2 * exp(-x * x);
  if (of == LAYER || of == NODES) t -= 3 * atan(x), slope -= 3 / 0.01 / (1 + x * x);
  if (of == JUMP && lambda > 0.3) t -= 3;
  if (of == NOISE) t += 1e-7 * noise_of(lambda);
  if (of == ROUGH) t += 0.1 * noise_of(lambda);
  *out = (esc_homotopy_point){.lambda = lambda, .escape = {t}, .derivative = {slope}};
  out->channel[0][0] = 0.75 * slope;
  out->channel[0][1] = 0.25 * slope;
  return ESC_OK;
}

static esc_attribution attribute(shape wanted, double tolerance) {
  esc_homotopy h = {.problem = {.modes = 1, .layers = 2, .level = ESC_BLOCK_EXACT},
                    .tolerance = tolerance};
  esc_attribution a;
  assert_true(esc_activation_parse("tanh", &h.problem.activation));
  h.problem.amplitude[0] = 1;
  of = wanted;
  esc_assert_ok(esc_attribution_find(&h, NULL, NULL, &a));
  return a;
}

static void a_steep_layer_takes_tens_of_points(void **state) {
  (void)state;
  esc_attribution a = attribute(LAYER, 0);
  const double shift = -10 - 3 * (atan(93) + atan(7));
  assert_true(a.converged && a.jumps == 0 && a.points <= 80);
  esc_assert_close(a.channel[0][0], 0.75 * shift, 0, 1e-5);
  esc_assert_close(a.channel[0][1], 0.25 * shift, 0, 1e-5);
  esc_attribution_free(&a);
}

/* The nodes' error is looked for where the time is steepest, not at the ends alone. */
static void what_coarser_nodes_change_in_a_steep_layer_is_told(void **state) {
  (void)state;
  esc_attribution a = attribute(NODES, 0);
  assert_true(a.node_error[0] > 0.1 && a.node_error[0] <= 0.2);
  esc_attribution_free(&a);
  a = attribute(LAYER, 0);
  assert_true(a.node_error[0] == 0);
  esc_attribution_free(&a);
}

/* The jump's size has the slope's share of its interval in it: 10 times the width. */
static void a_jump_is_found_and_left_out(void **state) {
  (void)state;
  esc_attribution a = attribute(JUMP, 0);
  assert_true(a.converged);
  assert_int_equal(a.jumps, 1);
  assert_true(a.jump[0].from < 0.3 && 0.3 <= a.jump[0].to && a.jump[0].to - a.jump[0].from < 1e-3);
  esc_assert_close(a.jump[0].size[0], -3, 0.01, 0);
  esc_assert_close(a.channel[0][0] + a.channel[0][1] + a.jump[0].size[0], -13, 0, 1e-5);
  esc_attribution_free(&a);
}

static void noise_of_the_solver_ends_the_refinement(void **state) {
  (void)state;
  esc_attribution a = attribute(NOISE, 1e-14);
  assert_true(a.converged && a.jumps == 0 && a.points <= 20);
  esc_attribution_free(&a);
}

static void an_attribution_that_does_not_converge_ends_and_is_marked(void **state) {
  (void)state;
  esc_attribution a = attribute(ROUGH, 0);
  assert_false(a.converged);
  assert_true(a.points <= 200 && isfinite(a.residual[0]) && a.error[0] > 0.1);
  esc_attribution_free(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_steep_layer_takes_tens_of_points),
      cmocka_unit_test(what_coarser_nodes_change_in_a_steep_layer_is_told),
      cmocka_unit_test(a_jump_is_found_and_left_out),
      cmocka_unit_test(noise_of_the_solver_ends_the_refinement),
      cmocka_unit_test(an_attribution_that_does_not_converge_ends_and_is_marked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
