/* SPDX-License-Identifier: Apache-2.0 */
/* The reduced ODE (docs/theory, section 3.2): right side and Jacobian against finite
 * differences, imbalance drift, crossings by two methods and against other
 * integrators, trajectories. */
#include <gsl/gsl_errno.h>

#include "../src/theory/reduced_ode.h"
#include "check.h"
#include "escapement/internal/theory.h"

static esc_escape_problem problem(const char *activation, double amplitude, int layers,
                                  const double *scale, double to, int layer) {
  esc_escape_problem p = {.amplitude = amplitude, .layers = layers, .to = to, .layer = layer};
  assert_true(esc_activation_parse(activation, &p.activation));
  memcpy(p.scale, scale, (size_t)layers * sizeof *scale);
  return p;
}

static esc_quadrature rule_for(const esc_escape_problem *p, double largest) {
  esc_quadrature r;
  esc_assert_ok(esc_gaussian_rule(&p->activation, p->layers, largest, 1e-13, &r));
  return r;
}

static double loss_at(const esc_escape_problem *p, const double *s) {
  esc_escape_problem start = *p;
  double scale[ESC_LAYERS_MAX], loss;
  memcpy(start.scale, s, sizeof start.scale);
  esc_assert_ok(esc_reduced_trajectory(&start, 1, (double[]){0}, scale, &loss));
  return loss;
}

static const char *const every_activation[] = {
    "linear", "relu",     "tanh",    "erf",          "sin",         "gelu",
    "swish",  "softplus", "sigmoid", "softplus-raw", "sigmoid-raw", "poly:0,1,.1,-.01"};
enum { ACTIVATIONS = sizeof every_activation / sizeof every_activation[0] };

/* The flow is that of the loss: rhs = -grad, by central differences. */
static void rhs_is_the_gradient_of_the_loss(void **unused) {
  (void)unused;
  const double s[4] = {0.7, 0.5, 0.9, 0.6}, h = 1e-5;
  for (int i = 0; i < ACTIVATIONS; i++) {
    esc_escape_problem p = problem(every_activation[i], 1.3, 4, s, 1, 0);
    double rhs[4], shifted[ESC_LAYERS_MAX] = {0};
    esc_quadrature r = rule_for(&p, 1);
    esc_reduced_rhs(&p, &r, s, rhs, NULL);
    memcpy(shifted, s, sizeof s);
    for (int l = 0; l < 4; l++) {
      shifted[l] = s[l] + h;
      const double above = loss_at(&p, shifted);
      shifted[l] = s[l] - h;
      esc_assert_close((loss_at(&p, shifted) - above) / (2 * h), rhs[l], 1e-9, 1e-8);
      shifted[l] = s[l];
    }
    esc_quadrature_free(&r);
  }
}

static void jacobian_is_the_derivative_of_rhs(void **unused) {
  (void)unused;
  enum { L = 4 };
  const double s[L] = {0.8, 0.4, 1.1, 0.6}, h = 1e-5;
  for (int i = 0; i < ACTIVATIONS; i++) {
    const esc_escape_problem p = problem(every_activation[i], 1.3, L, s, 1, 0);
    double rhs[L], above[L], below[L], shifted[L], jacobian[L * L];
    esc_quadrature r = rule_for(&p, 1.2);
    esc_reduced_rhs(&p, &r, s, rhs, jacobian);
    for (int m = 0; m < L; m++) {
      memcpy(shifted, s, sizeof s);
      shifted[m] = s[m] + h;
      esc_reduced_rhs(&p, &r, shifted, above, NULL);
      shifted[m] = s[m] - h;
      esc_reduced_rhs(&p, &r, shifted, below, NULL);
      for (int l = 0; l < L; l++)
        esc_assert_close(jacobian[l * L + m], (above[l] - below[l]) / (2 * h), 1e-8, 1e-8);
    }
    esc_quadrature_free(&r);
  }
}

/* ReLU, balanced: ds/dt = (a - s^L) s^{L-1} / 2. */
static void relu_is_exact(void **unused) {
  (void)unused;
  const double s[3] = {0.4, 0.4, 0.4};
  const esc_escape_problem p = problem("relu", 1.7, 3, s, 1, 0);
  double rhs[3];
  esc_quadrature r = rule_for(&p, 1);
  esc_reduced_rhs(&p, &r, s, rhs, NULL);
  for (int l = 0; l < 3; l++) esc_assert_close(rhs[l], (1.7 - 0.064) * 0.16 / 2, 0, 1e-13);
  esc_quadrature_free(&r);
}

/* d(s_i^2 - s_{i+1}^2)/dt at s_l = s for all l. */
static double drift(const esc_escape_problem *p, const esc_quadrature *r, int i, double s) {
  double scale[ESC_LAYERS_MAX], rhs[ESC_LAYERS_MAX];
  for (int l = 0; l < p->layers; l++) scale[l] = s;
  esc_reduced_rhs(p, r, scale, rhs, NULL);
  return 2 * s * (rhs[i] - rhs[i + 1]);
}

/* Order L + i (q-1) for i = 1, ..., as a local slope on the balanced ray; its error falls as
 * s^{q-1}, so the slopes at s and `shrink` s are extrapolated to 0. */
static void check_drift(const char *activation, int q, int interfaces, double s, double error) {
  enum { L = 5 };
  const esc_escape_problem p = problem(activation, 1, L, (const double[L]){s, s, s, s, s}, 1, 0);
  esc_quadrature r = rule_for(&p, 1);
  for (int i = 0; i < interfaces; i++) {
    double slope[2];
    for (int k = 0; k < 2; k++) {
      const double x = s / (1 << k);
      slope[k] = log(drift(&p, &r, i, 1.1 * x) / drift(&p, &r, i, x)) / log(1.1);
    }
    const double gain = 1 << (q - 1);
    esc_assert_close((gain * slope[1] - slope[0]) / (gain - 1), L + (i + 1) * (q - 1), error, 0);
  }
  esc_quadrature_free(&r);
}

static void imbalance_drifts_with_the_stated_order(void **unused) {
  (void)unused;
  check_drift("tanh", 3, 3, 0.1, 2e-3);
  check_drift("erf", 3, 3, 0.1, 2e-3);
  check_drift("sin", 3, 3, 0.1, 2e-3);
  check_drift("sigmoid", 3, 2, 0.2, 2e-3);
  check_drift("gelu", 2, 4, 0.03, 2e-2);
  check_drift("swish", 2, 4, 0.03, 2e-2);
  check_drift("softplus", 2, 4, 0.03, 2e-2);
}

static double crossing(const esc_escape_problem *p, esc_ode_method method, double unit) {
  esc_crossing c;
  const esc_crossing_request request = {.method = method, .time_scale = unit, .work = 1e9};
  esc_assert_ok(esc_reduced_crossing(p, &request, &c));
  assert_int_equal(c.end, ESC_FLOW_CROSSED);
  return c.time;
}

typedef struct held_out {
  const char *activation;
  double amplitude;
  int layers;
  double scale[5], to;
  int layer; /* from 1 */
  double time;
} held_out;

/* Times by two integrators of another library, LSODA (relative tolerance 1e-12) and an explicit
 * Runge-Kutta method of order 8 (3e-14), which agree to 5e-11, in the plain time t with the
 * trapezoid rule on +-12, step 0.02 (for the steep chain 0.005); the latter's digits. */
static const held_out held_outs[] = {
    {"swish", 1.3, 3, {.08, .12, .2}, .5, 1, 28.8351502873},
    {"erf", .8, 5, {.1, .1, .3, .2, .15}, .4, 3, 81.5898317549},
    {"softplus", 1, 4, {.2, .1, .1, .25}, .6, 2, 280.316328226},
    {"gelu", 2, 4, {1, .05, .05, .05}, .5, 2, 67.4476466439},
    {"sigmoid", 3, 2, {.2, .2}, .7, 1, 9.60383533238},
    {"sin", 1, 3, {.05, .8, .05}, .4, 3, 4.53357833327},
    {"softplus-raw", 1, 3, {.1, .1, .1}, .5, 1, 8.72399431647},
    {"sigmoid-raw", 1.5, 3, {.2, .1, .3}, .5, 2, 30.6653928012},
    {"poly:0,1,.3,-.05", 1, 3, {.1, .12, .1}, .4, 1, 7.38871250643},
    {"tanh", 1, 5, {5, 5, .01, .01, .01}, .5, 3, 177.610111806},
};

static void crossings_agree_with_other_integrators(void **unused) {
  (void)unused;
  for (size_t i = 0; i < sizeof held_outs / sizeof held_outs[0]; i++) {
    const held_out *h = &held_outs[i];
    const esc_escape_problem p =
        problem(h->activation, h->amplitude, h->layers, h->scale, h->to, h->layer - 1);
    esc_assert_close(crossing(&p, ESC_ODE_BDF, h->time), h->time, 0, 3e-10);
    esc_assert_close(crossing(&p, ESC_ODE_ADAMS, h->time), h->time, 0, 1e-10);
    esc_assert_close(crossing(&p, ESC_ODE_AUTO, 0), h->time, 0, 1e-10);
  }
}

/* BDF, Adams, and units far off give the same, for short and very long escapes. */
static void crossings_do_not_depend_on_method_or_unit(void **unused) {
  (void)unused;
  static const double scale[6] = {1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4};
  const esc_escape_problem lengthy = problem("tanh", 1, 6, scale, .5, 0);
  const esc_escape_problem brief = problem("gelu", 1e9, 3, (const double[]){.2, .1, .1}, .3, 0);
  const double times[2] = {crossing(&lengthy, ESC_ODE_BDF, 4e15),
                           crossing(&brief, ESC_ODE_BDF, 1e-8)};
  assert_true(times[0] > 4e15 && times[1] < 1e-6);
  esc_assert_close(crossing(&lengthy, ESC_ODE_ADAMS, 4e15), times[0], 0, 1e-10);
  esc_assert_close(crossing(&lengthy, ESC_ODE_BDF, 4e13), times[0], 0, 1e-10);
  esc_assert_close(crossing(&brief, ESC_ODE_ADAMS, 1e-8), times[1], 0, 1e-10);
  esc_assert_close(crossing(&brief, ESC_ODE_BDF, 1e-6), times[1], 0, 1e-10);
}

static esc_crossing search(const esc_escape_problem *p) {
  const esc_crossing_request request = {.work = 1e9};
  esc_crossing c;
  esc_assert_ok(esc_reduced_crossing(p, &request, &c));
  return c;
}

/* a = 1: the loss ends at 0 with s_1 below 1, so s_1 = 5 is never reached. The linear chain ends
 * where the product of the scales is a; GELU's valley is a thousand times slower than its fall. */
static void flows_that_never_cross_converge(void **unused) {
  (void)unused;
  static const double scale[4] = {.1, .1, .1, .1};
  const esc_escape_problem linear = problem("linear", 1, 4, scale, 5, 0);
  const esc_escape_problem gelu = problem("gelu", 1, 4, scale, 5, 0);
  const esc_crossing c = search(&linear), d = search(&gelu);
  assert_int_equal(c.end, ESC_FLOW_FIXED);
  for (int l = 0; l < 4; l++) esc_assert_close(c.scale[l], 1, 1e-9, 0);
  assert_int_equal(d.end, ESC_FLOW_FIXED);
  assert_true(d.time > 1e5);
}

/* A nearly linear chain falls to the curve where the product of its scales is about a, then creeps
 * along it at a rate of 1e-6, or 1e-10: slow is not at rest. Times by another library's LSODA and
 * Radau, which agree to 5e-11 (the second by LSODA). */
static void slow_valleys_are_no_rest(void **unused) {
  (void)unused;
  const double scale[2] = {.2, 1};
  const esc_escape_problem slow = problem("poly:0,1,0,-0.001", 1, 2, scale, .95, 0);
  const esc_escape_problem slower = problem("poly:0,1,0,-0.00001", 1, 2, scale, .95, 0);
  esc_assert_close(crossing(&slow, ESC_ODE_AUTO, 0), 187299.32075, 0, 1e-8);
  esc_assert_close(crossing(&slower, ESC_ODE_AUTO, 0), 1.88443935e9, 0, 1e-6);
}

/* A row at a crossing's time has the scale that it crosses at; the loss falls;
 * the linear chain keeps its gaps of squares. */
static void trajectories_pass_through_the_crossing(void **unused) {
  (void)unused;
  enum { L = 4, TIMES = 6 };
  const double scale[L] = {.1, .15, .2, .3};
  const esc_escape_problem p = problem("tanh", 2, L, scale, .6, 0);
  const double escape = crossing(&p, ESC_ODE_ADAMS, 10);
  const double time[TIMES] = {0, 1e-9, 5, escape, escape, 40};
  double s[TIMES * L], loss[TIMES];
  esc_assert_ok(esc_reduced_trajectory(&p, TIMES, time, s, loss));
  for (int l = 0; l < L; l++) {
    assert_true(s[l] == scale[l]);
    esc_assert_close(s[L + l], scale[l], 1e-9, 0);
    assert_true(s[3 * L + l] == s[4 * L + l]);
  }
  esc_assert_close(s[3 * L], .6, 0, 1e-9);
  for (int i = 1; i < TIMES; i++) assert_true(loss[i] <= loss[i - 1]);
  assert_true(loss[TIMES - 1] < 0.01 * loss[0]);
}

static void linear_trajectories_conserve_the_gaps(void **unused) {
  (void)unused;
  const double scale[3] = {.1, .2, .4}, time[3] = {0, 10, 1000};
  const esc_escape_problem p = problem("linear", 1.5, 3, scale, 1, 0);
  double s[9], loss[3];
  esc_assert_ok(esc_reduced_trajectory(&p, 3, time, s, loss));
  for (int i = 1; i < 3; i++) {
    esc_assert_close(s[3 * i + 1] * s[3 * i + 1] - s[3 * i] * s[3 * i], .03, 1e-10, 0);
    esc_assert_close(s[3 * i + 2] * s[3 * i + 2] - s[3 * i] * s[3 * i], .15, 1e-10, 0);
    const double left = 1.5 - s[3 * i] * s[3 * i + 1] * s[3 * i + 2];
    esc_assert_close(loss[i], left * left / 2, 1e-13, 1e-10);
  }
  esc_assert_close(s[6] * s[7] * s[8], 1.5, 1e-10, 0);
}

/* Long after the flow has come to rest, where its rate is rounding error only. */
static void a_trajectory_stays_at_rest_for_any_time(void **unused) {
  (void)unused;
  const double scale[2] = {.1, .2}, time[3] = {100, 1e20, 1e240};
  const esc_escape_problem p = problem("linear", 1.5, 2, scale, 1, 0);
  double s[6], loss[3];
  esc_assert_ok(esc_reduced_trajectory(&p, 3, time, s, loss));
  for (int i = 0; i < 3; i++) {
    esc_assert_close(s[2 * i] * s[2 * i + 1], 1.5, 1e-10, 0);
    esc_assert_close(s[2 * i + 1] * s[2 * i + 1] - s[2 * i] * s[2 * i], .03, 1e-10, 0);
    assert_true(loss[i] < 1e-20);
  }
}

int main(void) {
  gsl_set_error_handler_off();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rhs_is_the_gradient_of_the_loss),
      cmocka_unit_test(jacobian_is_the_derivative_of_rhs),
      cmocka_unit_test(relu_is_exact),
      cmocka_unit_test(imbalance_drifts_with_the_stated_order),
      cmocka_unit_test(crossings_agree_with_other_integrators),
      cmocka_unit_test(crossings_do_not_depend_on_method_or_unit),
      cmocka_unit_test(flows_that_never_cross_converge),
      cmocka_unit_test(slow_valleys_are_no_rest),
      cmocka_unit_test(trajectories_pass_through_the_crossing),
      cmocka_unit_test(linear_trajectories_conserve_the_gaps),
      cmocka_unit_test(a_trajectory_stays_at_rest_for_any_time),
  };
  return cmocka_run_group_tests_name("reduced_ode", tests, NULL, NULL);
}
