/* SPDX-License-Identifier: Apache-2.0 */
/* The public functions of activations, theory and blocks: closed forms of the linear network, and
 * what is refused. */
#include "check.h"
#include "comma_locale.h"
#include "escapement/blocks.h"
#include "escapement/theory.h"

static const double pi = 3.14159265358979323846;

static esc_activation named(const char *name) {
  esc_activation a;
  esc_assert_ok(esc_activation_from_text(name, &a));
  return a;
}

static void assert_refused(esc_status status, const char *what) {
  assert_int_equal(status, ESC_BAD_INPUT);
  if (!strstr(esc_error_message(), what))
    fail_msg("\"%s\" does not name %s", esc_error_message(), what);
}

/* ---- activations ---- */

static void a_polynomial_is_the_same_by_text_and_by_coefficients(void **state) {
  (void)state;
  const double a[] = {0, 1, -0.25};
  const esc_activation text = named("poly:0,1,-0.25");
  esc_activation made;
  char name[ESC_ACTIVATION_NAME_MAX], again[ESC_ACTIVATION_NAME_MAX];
  esc_assert_ok(esc_activation_from_coefficients(3, a, &made));
  esc_activation_print(&text, name, sizeof name);
  esc_activation_print(&made, again, sizeof again);
  assert_string_equal(name, again);
}

static void what_is_no_activation_is_refused_with_the_names(void **state) {
  (void)state;
  const double a[] = {0, (double)INFINITY};
  esc_activation out;
  assert_refused(esc_activation_from_text("tang", &out), "tanh, erf");
  assert_refused(esc_activation_from_coefficients(0, a, &out), "0 coefficients");
  assert_refused(esc_activation_from_coefficients(2, a, &out), "a_1");
}

/* poly:0,1,0,-0.1 in pieces around -2, 0 and 2: 0.1 z^3 expanded there. */
static const esc_activation_piece cubic_pieces[] = {
    {.from = -HUGE_VAL,
     .centre = -2,
     .width = 1,
     .terms = 4,
     .coefficient = {-1.2, -0.2, 0.6, -0.1}},
    {.from = -1, .centre = 0, .width = 2, .terms = 4, .coefficient = {0, 2, 0, -0.8}},
    {.from = 1, .centre = 2, .width = 1, .terms = 4, .coefficient = {1.2, -0.2, -0.6, -0.1}}};

static esc_activation_pieces cubic(void) {
  return (esc_activation_pieces){
      .count = 3, .piece = cubic_pieces, .odd = true, .taylor = {0, 1, 0, -0.1}};
}

static void a_function_of_pieces_has_the_theory_of_the_function(void **state) {
  (void)state;
  const esc_activation_pieces pieces = cubic();
  esc_activation a;
  esc_classification c, want_c;
  esc_escape_times times, want;
  const esc_activation exact = named("poly:0,1,0,-0.1");
  esc_assert_ok(esc_activation_from_pieces(&pieces, &a));
  for (double z = -3; z <= 3; z += 0.25) {
    const esc_activation_value v = esc_activation_evaluate(&a, z),
                               e = esc_activation_evaluate(&exact, z);
    esc_assert_close(v.value, e.value, 0, 2e-15);
    esc_assert_close(v.derivative, e.derivative, 0, 4e-15);
    esc_assert_close(v.deficit, e.deficit, 0, 1e-14);
  }
  esc_assert_ok(esc_activation_classify(&a, &c));
  esc_assert_ok(esc_activation_classify(&exact, &want_c));
  assert_int_equal(c.class_, want_c.class_);
  esc_assert_close(c.correction, want_c.correction, 1e-12, 0);
  esc_escape_problem p = {a, 1, 3, {0.2, 0.2, 0.3}, 0.5, 0, 0, 0, 0};
  esc_assert_ok(esc_escape_times_compute(&p, &times));
  p.activation = exact;
  esc_assert_ok(esc_escape_times_compute(&p, &want));
  esc_assert_close(times.ode, want.ode, 1e-10, 0);
  esc_assert_close(times.closed, want.closed, 1e-10, 0);
}

static void pieces_out_of_order_or_range_are_refused(void **state) {
  (void)state;
  esc_activation_pieces pieces = cubic();
  esc_activation_piece piece[3];
  esc_activation out;
  char name[ESC_ACTIVATION_NAME_MAX];
  esc_assert_ok(esc_activation_from_pieces(&pieces, &out));
  esc_activation_print(&out, name, sizeof name);
  assert_string_equal(name, "function");
  pieces.taylor[2] = (double)NAN;
  assert_refused(esc_activation_from_pieces(&pieces, &out), "a_2");
  pieces = cubic();
  pieces.count = 0;
  assert_refused(esc_activation_from_pieces(&pieces, &out), "infinity");
  pieces = cubic();
  pieces.piece = piece;
  memcpy(piece, cubic_pieces, sizeof piece);
  piece[2].from = -1;
  assert_refused(esc_activation_from_pieces(&pieces, &out), "piece 2");
  piece[1].width = 0;
  assert_refused(esc_activation_from_pieces(&pieces, &out), "piece 1");
  piece[0].terms = ESC_POLYNOMIAL_TERMS_MAX + 1;
  assert_refused(esc_activation_from_pieces(&pieces, &out), "piece 0");
}

static void an_activation_has_value_derivative_and_deficit(void **state) {
  (void)state;
  const esc_activation a = named("tanh");
  const double z = 0.7, t = tanh(z);
  const esc_activation_value v = esc_activation_evaluate(&a, z);
  esc_assert_close(v.value, t, 0, 1e-15);
  esc_assert_close(v.derivative, 1 - t * t, 0, 1e-15);
  esc_assert_close(v.deficit, t - z * (1 - t * t), 0, 1e-14);
}

static void erf_has_its_constants(void **state) {
  (void)state;
  const esc_activation a = named("erf");
  esc_classification c;
  int order;
  double coefficient;
  esc_assert_ok(esc_activation_classify(&a, &c));
  assert_string_equal(esc_class_name(c.class_), "B");
  assert_true(esc_classification_deficit(&c, &order, &coefficient));
  assert_int_equal(order, 3);
  esc_assert_close(c.c1, 2 / sqrt(3 * pi), 0, 1e-13);
  esc_assert_close(coefficient, 4 / (3 * sqrt(pi)), 0, 1e-14);
}

/* ---- the symmetric manifold ---- */

/* The linear network of two equal layers: ds/dt = (a - s^2) s. */
static const double amplitude = 1.5, start = 0.01;

static esc_escape_problem linear_pair(double to) {
  return (esc_escape_problem){.activation = named("linear"),
                              .amplitude = amplitude,
                              .layers = 2,
                              .scale = {start, start},
                              .to = to};
}

static double time_to(double scale) {
  const double u0 = start * start, u = scale * scale;
  return log(u * (amplitude - u0) / (u0 * (amplitude - u))) / (2 * amplitude);
}

static void the_linear_escape_time_is_its_closed_form(void **state) {
  (void)state;
  const esc_escape_problem p = linear_pair(0.5);
  esc_escape_times t;
  esc_assert_ok(esc_escape_times_compute(&p, &t));
  esc_assert_close(t.ode, time_to(0.5), 0, 1e-8);
  assert_string_equal(t.note, "");
}

static void a_linear_trajectory_is_its_closed_form(void **state) {
  (void)state;
  const esc_escape_problem p = linear_pair(0);
  const double s[] = {start, 0.1, 0.9}, time[] = {0, time_to(0.1), time_to(0.9)};
  double scale[3][2], loss[3];
  esc_assert_ok(esc_trajectory_compute(&p, 3, time, scale[0], loss));
  for (int i = 0; i < 3; i++) {
    esc_assert_close(scale[i][1], s[i], 0, 1e-6);
    esc_assert_close(loss[i], pow(amplitude - s[i] * s[i], 2) / 2, 0, 1e-6);
  }
}

static void an_escape_problem_out_of_range_is_refused(void **state) {
  (void)state;
  const esc_escape_problem good = linear_pair(0.5);
  const double back[] = {2, 1};
  double scale[4], loss[2];
  esc_escape_times t;
  esc_escape_problem p = good;
  p.layers = 1;
  assert_refused(esc_escape_times_compute(&p, &t), "layers");
  p = good;
  p.scale[1] = 0;
  assert_refused(esc_escape_times_compute(&p, &t), "scale[1]");
  p = good;
  p.layer = 2;
  assert_refused(esc_escape_times_compute(&p, &t), "layer");
  p = good;
  p.to = (double)NAN;
  assert_refused(esc_escape_times_compute(&p, &t), "to");
  p = good;
  p.activation.kind = ESC_ACTIVATION_COUNT;
  assert_refused(esc_escape_times_compute(&p, &t), "activation");
  static const double bad[] = {-0.1, (double)NAN, HUGE_VAL};
  esc_critical_decay critical;
  for (int i = 0; i < 3; i++) {
    p = good, p.momentum = i < 2 ? bad[i] : 1;
    assert_refused(esc_escape_times_compute(&p, &t), "momentum");
    p = good, p.rate = bad[i];
    assert_refused(esc_trajectory_compute(&p, 1, back, scale, loss), "rate");
    p = good, p.decay = bad[i];
    assert_refused(esc_critical_decay_compute(&p, &critical), "decay");
  }
  assert_refused(esc_trajectory_compute(&good, 2, back, scale, loss), "time[1]");
}

static void the_bottleneck_is_the_layers_near_the_smallest(void **state) {
  (void)state;
  const double scale[] = {0.01, 1, 0.02, -0.01};
  const esc_critical_depth d = esc_critical_depth_compute(4, scale, ESC_BOTTLENECK_SPREAD);
  assert_int_equal(d.r, 3);
  esc_assert_close(d.exponent, -1, 0, 0);
  esc_assert_close(d.hierarchy, 50, 0, 1e-15);
}

/* ---- blocks ---- */

static esc_block_problem blocks(const char *activation, int modes, double scale) {
  esc_block_problem p = {
      .activation = named(activation), .modes = modes, .layers = 3, .level = ESC_BLOCK_EXACT};
  for (int k = 0; k < modes; k++) {
    p.amplitude[k] = 1 - 0.3 * k;
    for (int l = 0; l < 3; l++) p.scale[k][l] = scale;
  }
  return p;
}

/* S = s_1 s_2 passes a/2. */
static void one_linear_mode_escapes_at_its_closed_form(void **state) {
  (void)state;
  esc_block_problem p = blocks("linear", 1, start);
  esc_block_times t;
  p.layers = 2;
  p.amplitude[0] = amplitude;
  esc_assert_ok(esc_block_times_compute(&p, &t));
  esc_assert_close(t.escape[0], time_to(sqrt(amplitude / 2)), 0, 1e-6);
}

static void count_points(void *context, int done, int expected) {
  int *points = context;
  if (done > *points) *points = done;
  assert_true(done <= expected);
}

static void an_attribution_leads_from_one_level_to_the_other(void **state) {
  (void)state;
  esc_homotopy h = {.problem = blocks("linear", 2, 0.5)};
  h.problem.layers = 2;
  esc_block_problem lower = h.problem;
  esc_block_times at[2];
  esc_attribution a;
  int points = 0;
  lower.level = ESC_BLOCK_DIAGONAL;
  esc_assert_ok(esc_block_times_compute(&lower, &at[0]));
  esc_assert_ok(esc_block_times_compute(&h.problem, &at[1]));
  esc_assert_ok(esc_attribution_compute(&h, count_points, &points, &a));
  for (int k = 0; k < 2; k++) {
    esc_assert_close(a.from[k], at[0].escape[k], 0, 1e-4);
    esc_assert_close(a.to[k], at[1].escape[k], 0, 1e-4);
  }
  assert_int_equal(points, a.points);
  esc_attribution_free(&a);
}

static void a_spectrum_names_each_pair_of_modes_once(void **state) {
  (void)state;
  const esc_plateau_spectrum s = {.modes = 3, .pairs = 6};
  int seen[3][3] = {{0}}, mode[2];
  for (int i = 6; i < 12; i++) {
    esc_plateau_spectrum_modes(&s, i, mode);
    seen[mode[0]][mode[1]]++;
  }
  for (int j = 0; j < 3; j++)
    for (int k = 0; k < 3; k++) assert_int_equal(seen[j][k], j != k);
}

static void a_spectrum_is_that_of_a_plateau_that_ends(void **state) {
  (void)state;
  const esc_block_problem p = blocks("linear", 2, 0.5);
  esc_block_times t;
  esc_plateau_spectrum s;
  esc_assert_ok(esc_block_times_compute(&p, &t));
  esc_assert_ok(esc_plateau_spectrum_compute(&p, &t, &s));
  esc_assert_close(s.time[1], fmin(t.escape[0], t.escape[1]) / 2, 0, 1e-15);
  t.escape[0] = t.escape[1] = (double)NAN;
  assert_refused(esc_plateau_spectrum_compute(&p, &t, &s), "no mode escapes");
}

static void a_block_problem_out_of_range_is_refused(void **state) {
  (void)state;
  const esc_block_problem good = blocks("tanh", 2, 0.5);
  esc_homotopy h = {.problem = good, .lower = ESC_BLOCK_EXACT};
  esc_block_problem p = good;
  esc_block_times t = {.escape = {1, 1}};
  esc_plateau_spectrum s;
  esc_attribution a;
  p.modes = 9;
  assert_refused(esc_block_times_compute(&p, &t), "modes");
  p = good;
  p.amplitude[1] = 0;
  assert_refused(esc_block_times_compute(&p, &t), "amplitude[1]");
  p = good;
  p.scale[1][2] = 11;
  assert_refused(esc_block_times_compute(&p, &t), "scale[1][2]");
  p = good;
  p.threshold = -1;
  assert_refused(esc_block_times_compute(&p, &t), "threshold");
  p = good;
  p.modes = 1;
  assert_refused(esc_plateau_spectrum_compute(&p, &t, &s), "two modes");
  assert_refused(esc_attribution_compute(&h, NULL, NULL, &a), "lower");
}

/* ---- locale ---- */

static void numbers_have_a_point_where_the_locale_has_a_comma(void **state) {
  (void)state;
  const char *const allowed = "a_0 = 0.5";
  const esc_activation a = named("poly:0.5,1");
  esc_classification c;
  char text[1024], number[8];
  enter_comma_locale();
  snprintf(number, sizeof number, "%.1f", 0.5);
  assert_string_equal(number, "0,5");
  esc_assert_ok(esc_activation_classify(&a, &c));
  esc_classification_warn(&c, text, sizeof text);
  snprintf(number, sizeof number, "%.1f", 0.5);
  assert_string_equal(number, "0,5");
  leave_comma_locale();
  assert_non_null(strstr(text, allowed));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_polynomial_is_the_same_by_text_and_by_coefficients),
      cmocka_unit_test(what_is_no_activation_is_refused_with_the_names),
      cmocka_unit_test(an_activation_has_value_derivative_and_deficit),
      cmocka_unit_test(a_function_of_pieces_has_the_theory_of_the_function),
      cmocka_unit_test(pieces_out_of_order_or_range_are_refused),
      cmocka_unit_test(erf_has_its_constants),
      cmocka_unit_test(the_linear_escape_time_is_its_closed_form),
      cmocka_unit_test(a_linear_trajectory_is_its_closed_form),
      cmocka_unit_test(an_escape_problem_out_of_range_is_refused),
      cmocka_unit_test(the_bottleneck_is_the_layers_near_the_smallest),
      cmocka_unit_test(one_linear_mode_escapes_at_its_closed_form),
      cmocka_unit_test(an_attribution_leads_from_one_level_to_the_other),
      cmocka_unit_test(a_spectrum_names_each_pair_of_modes_once),
      cmocka_unit_test(a_spectrum_is_that_of_a_plateau_that_ends),
      cmocka_unit_test(a_block_problem_out_of_range_is_refused),
      cmocka_unit_test_setup_teardown(numbers_have_a_point_where_the_locale_has_a_comma,
                                      scratch_enter, scratch_leave),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
