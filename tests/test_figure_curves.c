/* SPDX-License-Identifier: Apache-2.0 */
/* Theory curves between their knots, against closed forms (docs/theory, section 4.3). */
#include <math.h>

#include "check.h"
#include "figure/figure.h"

typedef double law(double epsilon);
static double two_layers(double e) { return log(0.5 / e); }
static double four_layers(double e) { return (1 / (e * e) - 4) / 2; }
static double with_logarithm(double e) { return four_layers(e) - 2 * log(e) + 1.3; }
static double constant(double e) { return 0.7 - 2 * e; }

/* Over two decades, the widest window drawn; 1e-4 of t* is less than a tenth of a line's width. */
static void test_curves_follow_the_law_between_their_knots(void **state) {
  (void)state;
  static law *const laws[] = {two_layers, four_layers, with_logarithm, constant};
  for (size_t k = 0; k < sizeof laws / sizeof laws[0]; k++) {
    double knot[ESC_CURVE_KNOTS], value[ESC_CURVE_KNOTS];
    double epsilon[ESC_CURVE_POINTS], y[ESC_CURVE_POINTS];
    esc_curve_knots(0.001, 0.1, knot);
    for (int i = 0; i < ESC_CURVE_KNOTS; i++) value[i] = laws[k](knot[i]);
    esc_curve_smooth(knot, value, epsilon, y);
    assert_true(fabs(epsilon[0] - 0.001) < 1e-15);
    assert_true(fabs(epsilon[ESC_CURVE_POINTS - 1] - 0.1) < 1e-12);
    for (int i = 0; i < ESC_CURVE_POINTS; i++)
      assert_true(fabs(y[i] / laws[k](epsilon[i]) - 1) <= 1e-4);
  }
}

/* A cliff between two of the known steps gets most of the points; the ends are kept. */
static void test_points_of_a_curve_gather_where_it_falls(void **state) {
  (void)state;
  const double step[] = {0, 10, 20, 30}, y[] = {1, 1, 0, 0};
  double out[ESC_CURVE_POINTS];
  int inside = 0;
  esc_curve_steps(4, step, y, out);
  for (int i = 0; i < ESC_CURVE_POINTS; i++) inside += out[i] > 10 && out[i] < 20;
  for (int i = 1; i < ESC_CURVE_POINTS; i++) assert_true(out[i] > out[i - 1]);
  assert_true(inside > ESC_CURVE_POINTS / 2);
  assert_true(out[0] == 0 && fabs(out[ESC_CURVE_POINTS - 1] - 30) < 1e-12);
}

static void test_layers_are_named_in_singular_and_plural(void **state) {
  (void)state;
  char text[64];
  esc_layers_text(1, text, sizeof text);
  assert_string_equal(text, "layer 1");
  esc_layers_text(0x1a, text, sizeof text);
  assert_string_equal(text, "layers 2, 4–5");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_curves_follow_the_law_between_their_knots),
      cmocka_unit_test(test_points_of_a_curve_gather_where_it_falls),
      cmocka_unit_test(test_layers_are_named_in_singular_and_plural),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
