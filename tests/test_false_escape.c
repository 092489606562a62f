/* SPDX-License-Identifier: Apache-2.0 */
/* False escapes against distributions that are known in closed form, against the numbers of
 * docs/theory, section 5.6, and against direct simulation. */
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_math.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "check.h"
#include "escapement/internal/activation.h"
#include "escapement/internal/fit.h"
#include "escapement/internal/loss.h"

enum { POOL = 100000 };

static esc_problem problem(esc_activation_kind kind, int batch, double smoothing) {
  return (esc_problem){.activation = {.kind = kind},
                       .teacher = {.modes = 1, .amplitude = {1}},
                       .batch = batch,
                       .smoothing = smoothing,
                       .huber_delta = 1};
}

static esc_false_escape ask(const esc_problem *p, double threshold, int64_t steps) {
  esc_false_escape a = {NAN, NAN, NAN, NAN};
  esc_assert_ok(esc_false_escapes(p, steps, 1, &threshold, &a));
  return a;
}

static esc_false_escape ask_tanh(int batch, double smoothing, double threshold, int64_t steps) {
  const esc_problem p = problem(ESC_ACTIVATION_TANH, batch, smoothing);
  return ask(&p, threshold, steps);
}

/* docs/theory, section 5.6, whose numbers have one digit. */
static void tanh_crosses_as_often_as_the_theory_says(void **state) {
  (void)state;
  esc_assert_close(ask_tanh(64, 0, 0.15, 1).baseline, 0.197, 0.0005, 0);
  esc_assert_close(ask_tanh(64, 0, 0.15, 1).hazard, 7e-3, 0, 0.07);
  esc_assert_close(ask_tanh(64, 0, 0.12, 1).hazard, 2e-5, 0, 0.25);
  esc_assert_close(ask_tanh(64, 0, 0.10, 1).hazard, 6e-8, 0, 0.08);
}

/* A linear teacher's loss is g^2/2, its minibatch mean chi-squared over 2B. */
static void a_linear_teacher_crosses_by_the_chi_squared_distribution(void **state) {
  (void)state;
  static const int batch[] = {1, 2, 3, 4, 5, 8, 64, 1000, 65536};
  for (size_t b = 0; b < sizeof batch / sizeof *batch; b++)
    for (double deviation = -12; deviation <= 2; deviation++) {
      const double x = (1 + deviation * sqrt(2.0 / batch[b])) / 2;
      if (x < 0.01) continue; /* far below any threshold; the quadrature ends there */
      const esc_problem p = problem(ESC_ACTIVATION_LINEAR, batch[b], 0);
      esc_assert_close(ask(&p, x, 1).hazard, gsl_cdf_chisq_P(2 * batch[b] * x, batch[b]), 0, 0.02);
    }
}

/* ReLU: half of the losses are exactly 0, so the number of others is binomial. */
static void a_relu_teacher_crosses_by_its_mixed_distribution(void **state) {
  (void)state;
  static const int batch[] = {1, 2, 4, 5, 8, 16, 64};
  static const double threshold[] = {0.02, 0.06, 0.12, 0.2, 0.3};
  for (size_t b = 0; b < sizeof batch / sizeof *batch; b++)
    for (size_t t = 0; t < sizeof threshold / sizeof *threshold; t++) {
      const unsigned n = (unsigned)batch[b];
      double exact = gsl_ran_binomial_pdf(0, 0.5, n);
      for (unsigned k = 1; k <= n; k++)
        exact += gsl_ran_binomial_pdf(k, 0.5, n) * gsl_cdf_chisq_P(2 * n * threshold[t], k);
      const esc_problem p = problem(ESC_ACTIVATION_RELU, batch[b], 0);
      esc_assert_close(ask(&p, threshold[t], 1).hazard, exact, 0, 0.05);
    }
}

static void the_baseline_is_the_mean_loss_of_the_teacher(void **state) {
  (void)state;
  esc_problem p = problem(ESC_ACTIVATION_LINEAR, 64, 0);
  esc_assert_close(ask(&p, 0.1, 1).baseline, 0.5, 0, 1e-12);
  p.loss = ESC_LOSS_HUBER; /* delta = 1: 1/2 + phi(1) - 2 Q(1) */
  esc_assert_close(ask(&p, 0.1, 1).baseline,
                   0.5 + gsl_ran_ugaussian_pdf(1) - 2 * gsl_cdf_ugaussian_Q(1), 0, 1e-5);
  p.loss = ESC_LOSS_SQUARED;
  p.teacher = (esc_teacher){.modes = 3, .amplitude = {1.5, -1, 0.6}};
  esc_assert_close(ask(&p, 0.1, 1).baseline, (2.25 + 1 + 0.36) / 2, 0, 1e-9);
  p.activation.kind = ESC_ACTIVATION_RELU; /* not odd: the modes' means add up */
  p.teacher = (esc_teacher){.modes = 2, .amplitude = {1, 1}};
  esc_assert_close(ask(&p, 0.1, 1).baseline, 0.5 + 1 / (2 * M_PI), 0, 1e-5);
}

/* Two linear modes are one of amplitude sqrt(a^2 + b^2). */
static void orthonormal_linear_modes_cross_as_one(void **state) {
  (void)state;
  esc_problem one = problem(ESC_ACTIVATION_LINEAR, 64, 0.9), two = one;
  two.teacher = (esc_teacher){.modes = 3, .amplitude = {0.6, 0, -0.8}};
  for (double threshold = 0.2; threshold < 0.5; threshold += 0.05)
    esc_assert_close(ask(&two, threshold, 1000).probability, ask(&one, threshold, 1000).probability,
                     0, 1e-3);
}

static void the_logistic_loss_of_the_plateau_never_varies(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    esc_problem p = problem(ESC_ACTIVATION_TANH, 64, i ? 0.9 : 0);
    p.loss = ESC_LOSS_LOGISTIC;
    esc_assert_close(ask(&p, M_LN2 - 1e-9, 1000000).probability, 0, 0, 0);
    esc_assert_close(ask(&p, M_LN2 + 1e-9, 1).probability, 1, 0, 0);
    esc_assert_close(ask(&p, 0.5, 1).baseline, M_LN2, 0, 1e-15);
  }
}

static double draw_loss(const esc_problem *p, gsl_rng *rng) {
  double t = 0;
  for (int k = 0; k < p->teacher.modes; k++) {
    const double g = gsl_ran_gaussian_ziggurat(rng, 1);
    t += p->teacher.amplitude[k] * esc_activate_f64(&p->activation, g).value;
  }
  return esc_loss_eval_f64(p->loss, p->huber_delta, 0, t).value;
}

/* Minibatch losses at f = 0, drawn example by example; their mean is then
 * corrected, because a smoothed loss is most sensitive to its error. */
static double *draw_pool(const esc_problem *p) {
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  gsl_rng_set(rng, 11);
  double *pool = calloc(POOL, sizeof *pool), mean = 0;
  for (int i = 0; i < POOL; i++) {
    for (int b = 0; b < p->batch; b++) pool[i] += draw_loss(p, rng) / p->batch;
    mean += pool[i] / POOL;
  }
  const double baseline = ask(p, 0.1, 1).baseline;
  esc_assert_close(mean, baseline, 0, 0.01);
  for (int i = 0; i < POOL; i++) pool[i] *= baseline / mean;
  gsl_rng_free(rng);
  return pool;
}

/* Whether a path crosses after its first step. */
static bool crosses(const esc_problem *p, double threshold, int steps, const double *pool,
                    gsl_rng *rng) {
  double m = pool[gsl_rng_uniform_int(rng, POOL)];
  if (m < threshold) return false;
  for (int t = 1; m >= threshold && t < steps; t++)
    m = p->smoothing * m + (1 - p->smoothing) * pool[gsl_rng_uniform_int(rng, POOL)];
  return m < threshold;
}

/* The probability at the first step, and what it gains after, agree with
 * simulation within four standard errors; 5% more for the pool's own noise, which
 * all paths share. */
static void check_against(const double *pool, const esc_problem *p, double threshold, int steps,
                          int paths) {
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  int first = 0, later = 0;
  for (int i = 0; i < POOL; i++) first += pool[i] < threshold;
  const double start = (double)first / POOL, start_error = sqrt(start * (1 - start) / POOL);
  for (int i = 0; i < paths; i++) later += crosses(p, threshold, steps, pool, rng);
  const double gain = (double)later / paths, error = sqrt(gain * (1 - gain) / paths);
  const esc_false_escape a = ask(p, threshold, steps), at_once = ask(p, threshold, 1);
  assert_true(later > 200); /* else there is nothing to see */
  esc_assert_close(at_once.probability, start, 4 * start_error, 0.01);
  esc_assert_close(a.probability - at_once.probability, gain, 4 * error, 0.05);
  gsl_rng_free(rng);
}

static void check_simulation(const esc_problem *p, double threshold, int steps, int paths) {
  double *pool = draw_pool(p);
  check_against(pool, p, threshold, steps, paths);
  free(pool);
}

/* The pool of tanh, batch 64, serves several tests. */
static double *tanh_pool;

static int draw_tanh_pool(void **state) {
  (void)state;
  const esc_problem p = problem(ESC_ACTIVATION_TANH, 64, 0);
  tanh_pool = draw_pool(&p);
  return 0;
}

static int free_tanh_pool(void **state) {
  (void)state;
  free(tanh_pool);
  return 0;
}

static void check_tanh(double smoothing, double threshold, int steps) {
  const esc_problem p = problem(ESC_ACTIVATION_TANH, 64, smoothing);
  check_against(tanh_pool, &p, threshold, steps, 40000);
}

static void simulation_agrees_without_smoothing(void **state) {
  (void)state;
  check_tanh(0, 0.155, 30);
}

static void simulation_agrees_with_light_smoothing(void **state) {
  (void)state;
  check_tanh(0.5, 0.165, 100);
}

static void simulation_agrees_with_smoothing(void **state) {
  (void)state;
  check_tanh(0.9, 0.18, 500);
}

static void simulation_agrees_with_strong_smoothing(void **state) {
  (void)state;
  check_tanh(0.98, 0.191, 500);
}

static void simulation_agrees_where_steps_are_merged(void **state) {
  (void)state;
  const esc_problem p = problem(ESC_ACTIVATION_GELU, 16, 0.995);
  check_simulation(&p, ask(&p, 0.1, 1).baseline * 0.93, 1000, 20000);
}

static void simulation_agrees_for_one_example_and_two_modes(void **state) {
  (void)state;
  esc_problem p = problem(ESC_ACTIVATION_TANH, 1, 0.9);
  p.teacher = (esc_teacher){.modes = 2, .amplitude = {1, 0.5}};
  check_simulation(&p, 0.12, 300, 40000);
}

static void simulation_agrees_for_four_examples_of_huber_loss(void **state) {
  (void)state;
  esc_problem p = problem(ESC_ACTIVATION_RELU, 4, 0.9);
  p.loss = ESC_LOSS_HUBER;
  p.huber_delta = 0.5;
  check_simulation(&p, 0.07, 200, 40000);
}

/* A batch of 2^20 losses sin(g)^2/2 is Gaussian to 1%: hazards of the stationary first-order
 * autoregression below -2, -4, -6 standard deviations, from an independent program (its kernel on
 * 1500 and more Gauss-Legendre nodes). The last row merges steps. */
static void a_huge_batch_crosses_as_a_gaussian_autoregression(void **state) {
  (void)state;
  static const struct {
    double smoothing, hazard[3];
  } row[] = {{0.5, {0.0182566, 3.11486e-05, 9.86196e-10}},
             {0.9, {0.00632467, 1.90517e-05, 8.1388e-10}},
             {0.98, {0.00160167, 6.45226e-06, 3.60966e-10}},
             {0.99, {0.000847304, 3.65744e-06, 2.19473e-10}}};
  const int batch = 1 << 20;
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < 3; k++) {
      const double phi = row[i].smoothing, baseline = (1 - exp(-2)) / 4;
      const double loss_sd = sqrt(((1 + exp(-8)) / 2 - exp(-4)) / 16 / batch);
      const double sd = loss_sd * sqrt((1 - phi) / (1 + phi));
      const esc_problem p = problem(ESC_ACTIVATION_SIN, batch, phi);
      const esc_false_escape a = ask(&p, baseline - 2 * (k + 1) * sd, 1);
      esc_assert_close(a.baseline, baseline, 0, 1e-12);
      esc_assert_close(a.hazard, row[i].hazard[k], 0, 0.015);
    }
}

static void the_hazard_is_continuous_where_merging_begins(void **state) {
  (void)state;
  const esc_false_escape one = ask_tanh(64, 0.98994, 0.1915, 1000),
                         two = ask_tanh(64, 0.98996, 0.1915, 1000);
  esc_assert_close(two.hazard, one.hazard, 0, 0.05);
  esc_assert_close(two.probability, one.probability, 0, 0.01);
}

static void a_higher_threshold_is_crossed_more_often(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    const double smoothing = (double[]){0, 0.9, 0.99}[i];
    esc_false_escape last = {.probability = -1, .hazard = -1};
    for (double threshold = 0.02; threshold < 0.4; threshold += 0.02) {
      const esc_false_escape a = ask_tanh(64, smoothing, threshold, 1000);
      assert_true(a.probability >= last.probability && a.probability <= 1);
      if (threshold < a.baseline) assert_true(a.hazard >= last.hazard && a.hazard <= 1);
      last = a;
    }
    esc_assert_close(last.probability, 1, 0, 0);
  }
}

static void larger_batches_are_carried_away_less(void **state) {
  (void)state;
  for (int batch = 1, last = 0; batch <= 1 << 20; last = batch, batch *= 2) {
    if (!last) continue;
    assert_true(ask_tanh(batch, 0, 0.15, 100).hazard < ask_tanh(last, 0, 0.15, 100).hazard ||
                ask_tanh(last, 0, 0.15, 100).hazard == 0);
    assert_true(ask_tanh(batch, 0.9, 0.15, 100).probability <=
                ask_tanh(last, 0.9, 0.15, 100).probability);
  }
}

/* The average starts at the first loss, so no smoothing lowers P below that loss's. */
static void smoothing_helps_down_to_the_first_loss(void **state) {
  (void)state;
  const double first = ask_tanh(64, 0, 0.15, 1).probability;
  double last = 1;
  for (int i = 0; i < 7; i++) {
    const double smoothing = (double[]){0, 0.3, 0.6, 0.9, 0.97, 0.99, 0.9999}[i];
    const double p = ask_tanh(64, smoothing, 0.15, 1000).probability;
    assert_true(p <= last * (1 + 1e-9) && p >= first);
    last = p;
  }
  esc_assert_close(last, first, 0, 1e-3);
}

static void more_steps_are_survived_less_often(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    const double smoothing = i ? 0.98 : 0;
    double last = 0;
    for (int64_t steps = 1; steps < INT64_C(1) << 50; steps *= 4) {
      const double p = ask_tanh(64, smoothing, 0.19, steps).probability;
      assert_true(p >= last && p <= 1);
      last = p;
    }
    esc_assert_close(last, 1, 0, 0);
  }
}

/* Nothing is lost in 1 - (1 - hazard)^steps. */
static void a_minute_hazard_adds_up_over_very_many_steps(void **state) {
  (void)state;
  const esc_false_escape a = ask_tanh(64, 0, 0.034, 1000000000000000);
  assert_true(a.hazard > 1e-27 && a.hazard < 1e-22);
  esc_assert_close(a.probability, 1e15 * a.hazard, 0, 1e-6);
  const esc_false_escape once = ask_tanh(64, 0.5, 0.1, 1),
                         late = ask_tanh(64, 0.5, 0.1, 10000000000);
  assert_true(late.hazard > 0 && late.hazard < 1e-13);
  esc_assert_close(late.probability - once.probability, 1e10 * late.hazard, 0.05 * once.probability,
                   1e-3);
}

static void no_loss_is_below_zero(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    const esc_false_escape a = ask_tanh(1, i ? 0.9 : 0, 0, 1000000);
    esc_assert_close(a.probability, 0, 0, 0);
    esc_assert_close(a.hazard, 0, 0, 0);
  }
}

int main(void) {
  gsl_set_error_handler_off();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tanh_crosses_as_often_as_the_theory_says),
      cmocka_unit_test(a_linear_teacher_crosses_by_the_chi_squared_distribution),
      cmocka_unit_test(a_relu_teacher_crosses_by_its_mixed_distribution),
      cmocka_unit_test(the_baseline_is_the_mean_loss_of_the_teacher),
      cmocka_unit_test(orthonormal_linear_modes_cross_as_one),
      cmocka_unit_test(the_logistic_loss_of_the_plateau_never_varies),
      cmocka_unit_test(simulation_agrees_without_smoothing),
      cmocka_unit_test(simulation_agrees_with_light_smoothing),
      cmocka_unit_test(simulation_agrees_with_smoothing),
      cmocka_unit_test(simulation_agrees_with_strong_smoothing),
      cmocka_unit_test(simulation_agrees_where_steps_are_merged),
      cmocka_unit_test(simulation_agrees_for_one_example_and_two_modes),
      cmocka_unit_test(simulation_agrees_for_four_examples_of_huber_loss),
      cmocka_unit_test(a_huge_batch_crosses_as_a_gaussian_autoregression),
      cmocka_unit_test(the_hazard_is_continuous_where_merging_begins),
      cmocka_unit_test(a_higher_threshold_is_crossed_more_often),
      cmocka_unit_test(larger_batches_are_carried_away_less),
      cmocka_unit_test(smoothing_helps_down_to_the_first_loss),
      cmocka_unit_test(more_steps_are_survived_less_often),
      cmocka_unit_test(a_minute_hazard_adds_up_over_very_many_steps),
      cmocka_unit_test(no_loss_is_below_zero),
  };
  return cmocka_run_group_tests(tests, draw_tanh_pool, free_tanh_pool);
}
