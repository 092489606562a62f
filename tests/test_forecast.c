/* SPDX-License-Identifier: Apache-2.0 */
/* Forecasts of escape steps against flows that share no code with them: a closed form, and
 * the quadratic loss of a linear network descended by finite differences. */
#include "escapement/internal/forecast.h"

#include <math.h>

#include "escapement/internal/model.h"
#include "problems.h"

enum { LAYERS = 3, N = 2, D = 2, WEIGHTS = N * D + N * N + N };
static const double tanh_c1 = 0.605705509602, tanh_square = 0.394294490398; /* 1 - c_1 */

static esc_problem make_problem(esc_scheme scheme, const char *activation, int layers) {
  esc_problem p = problem_make(layers, N, D, 64);
  problem_activation(&p, activation);
  p.scheme = scheme;
  p.teacher.amplitude[0] = 1.3;
  p.rate = 0.01;
  p.steps = 100000;
  return p;
}

/* E[(T - w.x)^2]/2 of the product w of all layers, T's linear part a c_1 x_1. */
static double quadratic_loss(const double *weights, double amplitude) {
  const double *w1 = weights, *w2 = w1 + N * D, *w3 = w2 + N * N;
  double loss = 0.5 * amplitude * amplitude * tanh_square;
  for (int k = 0; k < D; k++) {
    double w = 0;
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) w += w3[i] * w2[i * N + j] * w1[j * D + k];
    loss += 0.5 * w * w - (k == 0 ? amplitude * tanh_c1 * w : 0);
  }
  return loss;
}

static void descend(const double *weights, double amplitude, double *rate) {
  const double h = 1e-5;
  double shifted[WEIGHTS];
  for (int i = 0; i < WEIGHTS; i++) {
    memcpy(shifted, weights, sizeof shifted);
    shifted[i] = weights[i] + h;
    const double above = quadratic_loss(shifted, amplitude);
    shifted[i] = weights[i] - h;
    rate[i] = (quadratic_loss(shifted, amplitude) - above) / (2 * h);
  }
}

/* Time at which the flow's loss passes `level`, by Heun's method in short steps. */
static double descent_time(double *weights, double amplitude, double level) {
  const double h = 0.02;
  double first[WEIGHTS], second[WEIGHTS], ahead[WEIGHTS], t = 0;
  while (quadratic_loss(weights, amplitude) > level && t < 1e4) {
    descend(weights, amplitude, first);
    for (int i = 0; i < WEIGHTS; i++) ahead[i] = weights[i] + h * first[i];
    descend(ahead, amplitude, second);
    for (int i = 0; i < WEIGHTS; i++) weights[i] += h * (first[i] + second[i]) / 2;
    t += h;
  }
  return t;
}

/* 1%: errors of 1e-3 a step, and a level passed between two steps. */
static void the_linear_flow_is_that_of_the_quadratic_loss(void **state) {
  (void)state;
  esc_problem p = make_problem(ESC_SCHEME_HE_NORMAL, "tanh", LAYERS);
  const double direction[D] = {1, 0};
  double weights[WEIGHTS];
  esc_forecast f;
  p.threshold[0] = 0.2;
  for (uint64_t seed = 1; seed <= 8; seed++) { /* S(0) of both signs */
    const esc_member m = member_make(seed, LAYERS, 0.1);
    esc_initial_weights(&p, &m, direction, weights);
    const double want = descent_time(weights, 1.3, 0.2) / p.rate;
    esc_assert_ok(esc_forecast_member(&p, &m, &f));
    assert_int_equal(f.method, ESC_FORECAST_LINEAR_FLOW);
    esc_assert_close(f.step[0], want, 0, 0.01);
  }
  problem_free(&p);
}

/* u = s^2 of two equal linear layers grows as du/dt = 2 u (a - u). */
static void two_linear_layers_follow_the_logistic(void **state) {
  (void)state;
  esc_problem p = make_problem(ESC_SCHEME_SYMMETRIC, "linear", 2);
  esc_forecast f;
  const double a = 1.3, u0 = 0.0025, u = a - sqrt(2 * 0.1);
  const double want = log(u * (a - u0) / (u0 * (a - u))) / (2 * a) / p.rate;
  const esc_member m = member_make(1, 2, 0.05);
  p.threshold[0] = 0.1;
  for (int metric = 0; metric < 2; metric++) { /* the exact one, and one where n = 2 matters */
    p.metric = ESC_METRIC_NORMALIZED;
    p.shape.width = metric ? 8 : 2;
    esc_assert_ok(esc_forecast_member(&p, &m, &f));
    assert_int_equal(f.method, ESC_FORECAST_REDUCED_ODE);
    esc_assert_close(f.step[0], want, 0, 0.005);
  }
  problem_free(&p);
}

static void a_moving_average_follows_behind(void **state) {
  (void)state;
  esc_problem p = make_problem(ESC_SCHEME_SYMMETRIC, "tanh", 3);
  esc_forecast plain, smooth;
  const esc_member m = member_make(1, 3, 0.1);
  p.metric = ESC_METRIC_NORMALIZED;
  p.threshold[0] = 0.1;
  esc_assert_ok(esc_forecast_member(&p, &m, &plain));
  p.smoothing = 0.98;
  esc_assert_ok(esc_forecast_member(&p, &m, &smooth));
  esc_assert_close(smooth.step[0] - plain.step[0], 49, 1e-6, 0);
  problem_free(&p);
}

static void where_theory_is_silent_it_says_why(void **state) {
  (void)state;
  const struct {
    const char *activation;
    esc_loss_kind loss;
    double rate;
    int small;
  } cases[] = {
      {"tanh", ESC_LOSS_LOGISTIC, 0.01, 3},        {"relu", ESC_LOSS_SQUARED, 0.01, 3},
      {"softplus-raw", ESC_LOSS_SQUARED, 0.01, 3}, {"poly:0,0,1", ESC_LOSS_SQUARED, 0.01, 3},
      {"tanh", ESC_LOSS_SQUARED, 50, 3},           {"tanh", ESC_LOSS_SQUARED, 0.01, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    esc_problem p = make_problem(ESC_SCHEME_HE_NORMAL, cases[i].activation, LAYERS);
    const esc_member m = member_make(1, cases[i].small, 0.1);
    esc_forecast f;
    p.loss = cases[i].loss;
    p.rate = cases[i].rate;
    p.threshold[0] = 0.2;
    esc_assert_ok(esc_forecast_member(&p, &m, &f));
    assert_non_null(f.why);
    assert_true(isnan(f.step[0]));
    problem_free(&p);
  }
}

static void the_censored_share_is_a_half_at_the_forecast(void **state) {
  (void)state;
  const esc_forecast f = {.method = ESC_FORECAST_LINEAR_FLOW, .step = {1000, 500}, .spread = 0.2};
  esc_assert_close(esc_forecast_censored(&f, 2, 1000), 0.5, 1e-12, 0);
  assert_true(esc_forecast_censored(&f, 2, 700) > 0.95);
  assert_true(esc_forecast_censored(&f, 2, 1500) < 0.05);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_linear_flow_is_that_of_the_quadratic_loss),
      cmocka_unit_test(two_linear_layers_follow_the_logistic),
      cmocka_unit_test(a_moving_average_follows_behind),
      cmocka_unit_test(where_theory_is_silent_it_says_why),
      cmocka_unit_test(the_censored_share_is_a_half_at_the_forecast),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
