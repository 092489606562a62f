/* SPDX-License-Identifier: Apache-2.0 */
/* Escape times on the symmetric manifold (docs/theory, sections 4 and 9.2): every reference value,
 * the resonance's logarithm, the critical-depth slopes, starts beyond the leading order, and starts
 * that do not escape. */
#include <gsl/gsl_errno.h>

#include "check.h"
#include "escapement/internal/theory.h"

enum { LAYERS = 6 }; /* of the longest chain in the tables; a scale of 0 ends the list */

typedef struct start {
  const char *activation;
  double amplitude;
  double scale[LAYERS + 1];
  double to;
  int layer; /* from 1 */
} start;

static esc_escape_problem problem(const start *s) {
  esc_escape_problem p = {.amplitude = s->amplitude, .to = s->to, .layer = s->layer - 1};
  assert_true(esc_activation_parse(s->activation, &p.activation));
  while (s->scale[p.layers] != 0) {
    p.scale[p.layers] = s->scale[p.layers];
    p.layers++;
  }
  return p;
}

static esc_escape_times times_of(const start *s) {
  const esc_escape_problem p = problem(s);
  esc_escape_times times;
  esc_assert_ok(esc_escape_times_find(&p, &times));
  return times;
}

static start balanced(const char *activation, int layers, double scale, double to) {
  start s = {activation, 1, {0}, to, 1};
  for (int l = 0; l < layers; l++) s.scale[l] = scale;
  return s;
}

/* ---- reference values ---- */

typedef struct row {
  start start;
  double ode, closed; /* 0: no reference value */
  double digits;      /* half a unit of the reference value's last one, for ode */
} row;

static const row rows[] = {
    {{"tanh", 1, {.1, .1, .1, .1}, .5, 1}, 83.3964319, 79.2464312, 5e-8},
    {{"tanh", 1, {.03, .03, .03}, .5, 1}, 53.4457298, 51.7303093, 5e-8},
    {{"erf", 1, {.05, .05, .05, .05}, .4, 1}, 213.575558, 210.344403, 5e-7},
    {{"sin", 1.5, {.05, .05, .05, .05, .05}, .4, 1}, 2935.09058, 2925.33531, 5e-6},
    {{"gelu", 1, {.1, .1, .1, .1}, .5, 1}, 598.136458, 768, 5e-7},
    {{"gelu", 1, {.1, .1, .1, .1}, .5, 4}, 602.339, 768, 5e-4},
    {{"tanh", 1, {.02, .02, .02, 1, 1}, .5, 1}, 80.1847907, 78.5451251, 5e-8},
    {{"tanh", 2, {.1, .15, .2, .3}, .6, 1}, 12.7062432, 11.3345160, 5e-8},
    {{"linear", 1, {.1, .1, .1}, .5, 1}, 8.12678553, 8, 5e-9},
    {{"tanh", 2, {.1, .15, .2, .3}, .5, 1}, 12.0250777120, 0, 5e-10},
    {{"tanh", 1, {1, 1, .005, .005, .005}, .5, 3}, 602.4534, 326.14245, 5e-5},
    {{"tanh", 1, {.01, .01}, .3, 1}, 5.89727183, 5.61526572, 5e-9},
    {{"tanh", 1, {.01, .01, .01, .01, .01}, .3, 1}, 550482.587, 550302.057, 5e-4},
    {{"tanh", 1, {.01, .01, .01, .01}, .3, 1}, 8253.03461, 8245.66454, 5e-6},
};

static void times_are_the_reference_values(void **unused) {
  (void)unused;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const esc_escape_times t = times_of(&rows[i].start);
    esc_assert_close(t.ode, rows[i].ode, rows[i].digits, 0);
    if (rows[i].closed > 0) esc_assert_close(t.closed, rows[i].closed, 0, 1e-8);
    assert_true(t.drive > 0 && !t.escaped_at_start);
  }
}

static void corrected_is_the_reference_value(void **unused) {
  (void)unused;
  const start s = balanced("tanh", 4, .01, .3);
  esc_assert_close(times_of(&s).corrected, 8253.05036, 5e-6, 0);
}

/* A start that is balanced but for rounding has the balanced one's quadrature. */
static void quadrature_meets_the_closed_form(void **unused) {
  (void)unused;
  for (int layers = 2; layers <= LAYERS; layers++) {
    const start s = balanced("erf", layers, .02, .4);
    start bent = s;
    bent.scale[layers - 1] = nextafter(.02, 1);
    esc_assert_close(times_of(&bent).closed, times_of(&s).closed, 0, 1e-11);
  }
}

/* ---- corrected ---- */

/* At L = q+1 it is the next order that decides the coefficient -chi/D of ln(1/epsilon). */
static double log_coefficient(const char *activation, int layers, double scale, bool ode) {
  double excess[2];
  for (int i = 0; i < 2; i++) {
    const start s = balanced(activation, layers, i ? scale / 1.2 : scale * 1.2, .3);
    const esc_escape_times t = times_of(&s);
    excess[i] = (ode ? t.ode : t.corrected) - t.closed;
  }
  return (excess[1] - excess[0]) / (2 * log(1.2));
}

static void resonance_has_the_reference_logarithm(void **unused) {
  (void)unused;
  const struct {
    const char *activation;
    int layers;
    double scale, predicted;
  } cases[] = {{"tanh", 4, .003, 1.980926},
               {"erf", 4, .003, 1.246485},
               {"sin", 4, .003, .824361},
               {"swish", 3, .003, -5.946308},
               {"gelu", 3, .001, -12.004218}};
  for (int i = 0; i < 5; i++) {
    const double want = cases[i].predicted;
    const double ode = log_coefficient(cases[i].activation, cases[i].layers, cases[i].scale, true);
    esc_assert_close(ode, want, 0, 1e-3);
    /* The quadrature of 1/(1 + chi u^p) ends at the same logarithm. */
    esc_assert_close(
        log_coefficient(cases[i].activation, cases[i].layers, cases[i].scale / 30, false), want, 0,
        1e-3);
  }
}

/* The error of `corrected` is a small part of that of `closed`, smaller at smaller scales. */
static void corrected_gains_an_order(void **unused) {
  (void)unused;
  const struct {
    const char *activation;
    int layers, layer;
  } cases[] = {{"tanh", 4, 1},     {"tanh", 4, 4},           {"tanh", 5, 3}, {"sigmoid", 3, 1},
               {"gelu", 4, 1},     {"gelu", 4, 4},           {"gelu", 3, 2}, {"swish", 5, 5},
               {"softplus", 3, 1}, {"gelu", 2, 1},           {"erf", 2, 2},  {"tanh", 3, 2},
               {"tanh", 2, 1},     {"poly:0,1,0,0,.1", 4, 4}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    double worse = INFINITY;
    for (int k = 0; k < 2; k++) {
      const double small = k ? .01 : .03;
      start s = balanced(cases[i].activation, cases[i].layers, small, 4 * small);
      s.layer = cases[i].layer;
      const esc_escape_times t = times_of(&s);
      const double rest = fabs(t.corrected - t.ode) / fabs(t.closed - t.ode);
      assert_true(rest < .25 && rest < worse);
      worse = rest;
    }
  }
}

/* Linear and ReLU: only self-interaction is left, and corrected is exact. */
static void corrected_is_exact_without_nonlinear_terms(void **unused) {
  (void)unused;
  const char *const activation[] = {"linear", "relu", "poly:0,1.5"};
  for (int i = 0; i < 3; i++)
    for (int layers = 2; layers <= 5; layers++) {
      const start s = balanced(activation[i], layers, .1, .6);
      const esc_escape_times t = times_of(&s);
      esc_assert_close(t.corrected, t.ode, 0, 1e-9);
    }
}

/* ---- large layers before the bottleneck ---- */

static void prefix_brings_its_factor(void **unused) {
  (void)unused;
  double last = INFINITY;
  for (int k = 0; k < 3; k++) {
    const double e = pow(10, -2 - k);
    const start s = {"tanh", 1, {1, 1, e, e, e}, .3, 3};
    const esc_escape_times t = times_of(&s);
    esc_assert_close(t.corrected / t.closed, 1.84174, 5e-6, 0);
    const double off = fabs(t.ode / t.corrected - 1);
    assert_true(off < last);
    last = off;
    assert_non_null(strstr(t.note, "1.84174"));
  }
  assert_true(last < 2e-4);
}

/* Other activations, one and three layers before, unequal, even with a minus sign inside. */
static void prefix_is_exact_towards_small_scales(void **unused) {
  (void)unused;
  const start starts[] = {
      {"gelu", 1, {1, 1e-5, 1e-5, 1e-5}, .3, 2},
      {"sin", 1.5, {1.2, .7, 1, 1e-5, 1e-5, 1e-5}, .3, 4},
      {"softplus", 1, {2, 1e-5, 1e-5, 3e-5}, .3, 4},
      {"erf", 1, {1, .8, 1e-5, 1, 1e-5, 1e-5}, .3, 3},
      {"relu", 1, {2, 1e-5, 1e-5, 1e-5}, .3, 2},
      {"poly:0,-1,0,.1", 1, {1, 1e-5, 1e-5, 1e-5}, .3, 2},
  };
  for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
    const esc_escape_times t = times_of(&starts[i]);
    esc_assert_close(t.corrected / t.ode, 1, 1e-3, 0);
  }
}

/* ---- corrected, rough or not ---- */

static void corrected_is_rough(const start *s, bool rough) {
  const esc_escape_times t = times_of(s);
  const double error = fabs(t.corrected / t.ode - 1);
  assert_true(rough ? error > .25 : error < .01);
  assert_true((strstr(t.note, "corrected is rough") != NULL) == rough);
}

/* Exact rates along corrected's own path, against ode (a study of 400 starts: runs/escape/). */
static void corrected_states_where_it_is_rough(void **unused) {
  (void)unused;
  const start rough[] = {
      {"gelu", 2, {3, .05, .05, .05, .5}, .2, 2}, /* a prefix that moves */
      {"gelu", 2, {.5, .1, .15}, .6, 2},
      {"swish", .5, {.15923, .15923, .15923, .15923}, .9842, 2},
      {"erf", .5, {.0047826, .0047826, .0047826, .0047826}, .8543, 3}, /* near a fixed point */
  };
  const start fine[] = {
      {"tanh", 1, {1, 1, .005, .005, .005}, .1, 3},
      {"gelu", 1, {1, 1e-4, 2e-4, 1e-4}, .3, 2}, /* unequal small layers */
      {"tanh", 1, {.05, .05, .05, .05}, .2, 1},
  };
  for (int i = 0; i < 4; i++) corrected_is_rough(&rough[i], true);
  for (int i = 0; i < 3; i++) corrected_is_rough(&fine[i], false);
}

/* ---- critical depth ---- */

/* r layers at epsilon, the first or the last of six; the rest at 1: the local slope at 1e-4. */
static double slope(int r, bool first, bool ode) {
  double log_time[2];
  for (int i = 0; i < 2; i++) {
    start s = {"tanh", 1, {0}, .5, first ? 1 : LAYERS - r + 1};
    for (int l = 0; l < LAYERS; l++)
      s.scale[l] = (first ? l < r : l >= LAYERS - r) ? 1e-4 * (i ? 1 / 1.2 : 1.2) : 1;
    const esc_escape_times t = times_of(&s);
    log_time[i] = log(ode ? t.ode : t.closed);
  }
  return -(log_time[1] - log_time[0]) / (2 * log(1.2));
}

static void slopes_follow_the_critical_depth(void **unused) {
  (void)unused;
  for (int first = 0; first < 2; first++) {
    for (int r = 3; r <= 6; r++) {
      esc_assert_close(slope(r, first, true), -(r - 2), 1e-3, 0);
      esc_assert_close(slope(r, first, false), -(r - 2), 1e-3, 0);
    }
    assert_true(fabs(slope(1, first, true)) < 1e-3);
  }
}

/* r = 2: each decade adds the same time, ln(10) over the drive of the rest. */
static void two_small_layers_take_logarithmic_time(void **unused) {
  (void)unused;
  double time[3];
  for (int i = 0; i < 3; i++) {
    const double e = pow(10, -3 - i);
    const start s = {"tanh", 1, {e, e, 1, 1}, .5, 1};
    time[i] = times_of(&s).ode;
  }
  const double decade = log(10) / 0.605705509602;
  esc_assert_close(time[1] - time[0], decade, 1e-4, 0);
  esc_assert_close(time[2] - time[1], decade, 1e-6, 0);
}

/* ---- drives that are not positive at leading order: the reduced ODE alone ---- */

/* Times by two integrators of another library, LSODA (relative tolerance 1e-12) and an explicit
 * Runge-Kutta method of order 8 (1e-11), with a Gauss-Legendre rule on panels; they agree to the
 * digits here. */
static const row beyond_leading_order[] = {
    {{"poly:0,0,1", 1, {.3, .3}, .5, 1}, .25979213996, 0, 0}, /* a_1 = 0 */
    {{"poly:0,0,0,1", 1, {.3, .3}, .5, 1}, .09175443219, 0, 0},
    {{"poly:0,0,0,0,0,1", .5, {.3, .3}, .5, 1}, .01308465014, 0, 0},
    {{"poly:0,1,0,-0.34", 1, {.3, .3, .3}, .6, 1}, 8.46735257, 0, 0}, /* c_1 < 0 */
    {{"poly:0,1,0,-1,1", 1, {.2, .2, .2}, .4, 1}, .512731799, 0, 0},
    {{"poly:0,1,0,-0.33333333333333333", 1, {.3, .3, .3}, .6, 1}, 8.235599329, 0, 0}, /* c_1 = 0 */
    /* The smallest scale passes through 0 and turns the drive. */
    {{"tanh", -1, {.1, .2, .3}, .5, 2}, 12.22705061, 0, 0},
    {{"gelu", -.5, {.1, .2, .3}, .5, 2}, 141.267129396, 0, 0},
    {{"poly:0,-1,0,-0.2", .328, {.465, .1264, .1562}, .511, 1}, 9.930390371, 0, 0},
    /* Equal scales do not stay equal: the nonlinear terms differ from layer to layer. */
    {{"tanh", -1, {.1, .1}, .5, 1}, 13.789266368, 0, 0},
    {{"tanh", -1, {.1, .1, .1}, .5, 1}, 1424.120568, 0, 0},
    {{"tanh", -1, {.1, .1, .1}, .5, 2}, 1423.712393, 0, 0},
    {{"poly:0,-1,0,.1", 1, {.1, .1, .1}, .5, 1}, 2379.418006, 0, 0},
};

static void the_ode_is_integrated_whatever_the_drive(void **unused) {
  (void)unused;
  for (size_t i = 0; i < sizeof beyond_leading_order / sizeof beyond_leading_order[0]; i++) {
    const row *r = &beyond_leading_order[i];
    const esc_escape_times t = times_of(&r->start);
    esc_assert_close(t.ode, r->ode, 0, 1e-9);
    assert_true(isnan(t.closed) && isnan(t.corrected));
    assert_null(strstr(t.note, "does not"));
  }
}

static void the_note_names_what_the_leading_order_lacks(void **unused) {
  (void)unused;
  static const struct {
    start start;
    const char *why;
  } cases[] = {
      {{"tanh", -1, {.1, .2, .3}, .5, 2}, "negative"},
      {{"poly:0,1,0,-1", 1, {.1, .1, .1}, .5, 1}, "negative"},
      {{"tanh", 0, {.1, .1, .1}, .5, 1}, "(a = 0)"},
      {{"poly:0,0,1", 1, {.1, .1, .1}, .5, 1}, "(a_1 = 0)"},
      {{"poly:0,1,0,-0.33333333333333331", 1, {.1, .1, .1}, .5, 1}, "(c_1 = 0)"},
      {{"sin", 1, {10, .01, .01, .01}, .5, 2}, "remove the teacher"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    assert_non_null(strstr(times_of(&cases[i].start).note, cases[i].why));
}

/* A move of 1e-6 or 1e-12 of the scale: its length over the rate at the start. */
static void near_thresholds_are_reached(void **unused) {
  (void)unused;
  const start near = {"tanh", 1, {.3, .3, .3}, .3000002, 1};
  esc_assert_close(times_of(&near).ode, 4.687874424e-6, 0, 2e-9);
  start nearer = near;
  nearer.to = .3 * (1 + 1e-12);
  /* The threshold's own rounding is 2e-4 of the move. */
  esc_assert_close(times_of(&nearer).ode, 4.687874424e-6 * 3e-13 / 2e-7, 0, 4e-4);
}

/* ---- starts that do not escape, or need no time ---- */

static void check_no_crossing(const start *s, const char *why) {
  const esc_escape_times t = times_of(s);
  assert_true(isnan(t.ode) && !t.escaped_at_start);
  assert_non_null(strstr(t.note, why));
}

static void the_note_tells_how_a_flow_without_crossing_ends(void **unused) {
  (void)unused;
  static const struct {
    start start;
    const char *end;
  } cases[] = {
      {{"linear", 1, {.1, .1, .1}, 5, 1}, "s = (1, 1, 1), the flow has converged to a fixed point"},
      {{"linear", 0, {.3, .02}, .5, 2}, "fixed point"},
      {{"gelu", 1, {.1, .1, .1, .1}, 5, 1}, "fixed point"},
      {{"linear", -1, {.1, .1}, .5, 1}, "decay towards 0"},
      {{"linear", -1, {.1, .1, .1}, .5, 1}, "decay towards 0"},
      {{"poly:0", 1, {.1, .1}, .5, 1}, "rates are 0"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    check_no_crossing(&cases[i].start, cases[i].end);
}

/* Layers 2 and 3 differ by s^4 = 1e-16 of themselves when one of them passes 0: which one, and
 * so the end, a double does not hold. */
static void what_rounding_decides_has_no_time(void **unused) {
  (void)unused;
  const start s = {"tanh", -1, {1e-4, 1e-4, 1e-4}, .5, 1};
  check_no_crossing(&s, "double precision cannot");
}

/* closed needs no Gaussian rule for the chain. */
static void steep_chains_keep_their_closed_time(void **unused) {
  (void)unused;
  const start s = balanced("poly:0,1,0,.3", 6, .1, .5);
  const esc_escape_times t = times_of(&s);
  assert_true(isnan(t.ode));
  assert_non_null(strstr(t.note, "too steep"));
  /* D = c_1 = 1 + 3 * 0.3 */
  esc_assert_close(t.closed, (1e4 - 16) / 4 / 1.9, 0, 1e-12);
}

static void coefficients_that_overflow_end_in_a_note(void **unused) {
  (void)unused;
  const start huge = balanced("poly:0,1,1e100", 4, .1, .5);
  check_no_crossing(&huge, "too steep");
}

/* -z + z^3/10, L = 4: c_1 < 0 and a_1 < 0, yet the drive is positive; its mirror's time. */
static void the_drives_sign_decides_not_the_constants(void **unused) {
  (void)unused;
  const start s = balanced("poly:0,-1,0,.1", 4, .1, .5);
  const esc_escape_times t = times_of(&s);
  const start mirrored = balanced("poly:0,1,0,-.1", 4, .1, .5);
  esc_assert_close(t.ode, times_of(&mirrored).ode, 0, 1e-9);
  assert_non_null(strstr(t.note, "c_1"));
}

static void escaped_starts_take_no_time(void **unused) {
  (void)unused;
  const start starts[] = {{"tanh", 1, {.5, .1, .1}, .5, 1},
                          {"gelu", 1, {.1, .1, .7}, .5, 3},
                          {"tanh", -1, {.6, .1}, .5, 1}};
  for (int i = 0; i < 3; i++) {
    const esc_escape_times t = times_of(&starts[i]);
    assert_true(t.escaped_at_start && t.ode == 0 && t.closed == 0 && t.corrected == 0);
    assert_non_null(strstr(t.note, "at the start"));
  }
}

static void unreachable_scales_have_no_ode_time(void **unused) {
  (void)unused;
  const start s = balanced("tanh", 3, .1, 3);
  const esc_escape_times t = times_of(&s);
  assert_true(isnan(t.ode) && isnan(t.corrected) && t.closed > 0);
  assert_non_null(strstr(t.note, "has not reached"));
}

/* a_0 != 0: no saddle at 0; the ODE alone. Times as in test_reduced_ode.c. */
static void raw_class_d_has_its_ode_time_alone(void **unused) {
  (void)unused;
  const start s = balanced("softplus-raw", 3, .1, .5);
  const esc_escape_times t = times_of(&s);
  esc_assert_close(t.ode, 8.72399431647, 0, 1e-9);
  assert_true(isnan(t.closed) && isnan(t.corrected));
  assert_non_null(strstr(t.note, "a_0"));
}

static void extremes_stay_finite_or_say_why(void **unused) {
  (void)unused;
  esc_escape_problem deep = {.amplitude = 1, .layers = ESC_LAYERS_MAX, .to = .3};
  assert_true(esc_activation_parse("tanh", &deep.activation));
  esc_escape_times t;
  for (int l = 0; l < deep.layers; l++) deep.scale[l] = 1e-4;
  esc_assert_ok(esc_escape_times_find(&deep, &t));
  esc_assert_close(t.ode, t.closed, 0, 1e-6);
  assert_true(t.ode > 1e240);
  const start tiny = balanced("sin", 3, 1e-160, .5);
  check_no_crossing(&tiny, "too small");
  esc_assert_close(times_of(&tiny).closed, 1e160 / exp(-.5), 0, 1e-12);
  const start quick = {"tanh", 1e300, {.1, .1}, .3, 1};
  assert_true(times_of(&quick).ode > 0 && times_of(&quick).ode < 1e-299);
}

int main(void) {
  gsl_set_error_handler_off();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(times_are_the_reference_values),
      cmocka_unit_test(corrected_is_the_reference_value),
      cmocka_unit_test(quadrature_meets_the_closed_form),
      cmocka_unit_test(resonance_has_the_reference_logarithm),
      cmocka_unit_test(corrected_gains_an_order),
      cmocka_unit_test(corrected_is_exact_without_nonlinear_terms),
      cmocka_unit_test(prefix_brings_its_factor),
      cmocka_unit_test(prefix_is_exact_towards_small_scales),
      cmocka_unit_test(slopes_follow_the_critical_depth),
      cmocka_unit_test(two_small_layers_take_logarithmic_time),
      cmocka_unit_test(corrected_states_where_it_is_rough),
      cmocka_unit_test(the_ode_is_integrated_whatever_the_drive),
      cmocka_unit_test(the_note_names_what_the_leading_order_lacks),
      cmocka_unit_test(near_thresholds_are_reached),
      cmocka_unit_test(the_note_tells_how_a_flow_without_crossing_ends),
      cmocka_unit_test(what_rounding_decides_has_no_time),
      cmocka_unit_test(steep_chains_keep_their_closed_time),
      cmocka_unit_test(coefficients_that_overflow_end_in_a_note),
      cmocka_unit_test(the_drives_sign_decides_not_the_constants),
      cmocka_unit_test(escaped_starts_take_no_time),
      cmocka_unit_test(unreachable_scales_have_no_ode_time),
      cmocka_unit_test(raw_class_d_has_its_ode_time_alone),
      cmocka_unit_test(extremes_stay_finite_or_say_why),
  };
  return cmocka_run_group_tests_name("escape_time", tests, NULL, NULL);
}
