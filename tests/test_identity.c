/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix-valued imbalance identity: exact for one step of SGD, whatever the
 * activation, loss, metric, width and batch; its traces are the scalar ledger. */
#include <float.h>

#include "escapement/internal/identity.h"
#include "escapement/internal/model.h"
#include "problems.h"

enum { WEIGHTS = 200, ENTRIES = 200, SAMPLES = 9, INPUTS_AT_MOST = 7, MODES = 3 };

/* A network, a batch, and the matrices of its identity. */
typedef struct fixture {
  esc_problem problem;
  double directions[MODES * INPUTS_AT_MOST], w[WEIGHTS], g[WEIGHTS];
  double x[SAMPLES * INPUTS_AT_MOST], weight[SAMPLES];
  double before[ENTRIES], after[ENTRIES], flow[ENTRIES], second[ENTRIES];
  esc_gradient gradient;
  size_t count; /* entries of all interfaces */
} fixture;

static fixture fixture_make(int layers, int width, int inputs, int modes) {
  fixture s = {.problem = problem_make(layers, width, inputs, SAMPLES)};
  double total = 0;
  s.count = (size_t)((layers - 1) * width * width);
  assert_true(s.count <= ENTRIES && esc_weight_offset(s.problem.shape, layers) <= WEIGHTS);
  s.problem.teacher.modes = modes;
  s.problem.teacher.directions = ESC_DIRECTIONS_RANDOM;
  for (int k = 0; k < modes; k++) s.problem.teacher.amplitude[k] = k % 2 ? -0.8 : 1.3;
  esc_teacher_directions(&s.problem, s.directions);
  for (int i = 0; i < WEIGHTS; i++) s.w[i] = 0.7 * sin(1.7 * i + 0.3 * cos(i));
  for (int i = 0; i < SAMPLES * inputs; i++) s.x[i] = 1.2 * cos(2.3 * i + 0.7);
  for (int b = 0; b < SAMPLES; b++) total += s.weight[b] = b + 1;
  for (int b = 0; b < SAMPLES; b++) s.weight[b] /= total;
  return s;
}

/* Fills the gradient, R and S at s->w. */
static void evaluate(fixture *s, bool weighted) {
  const esc_batch batch = {.samples = SAMPLES, .x = s->x, .weight = weighted ? s->weight : NULL};
  esc_reference_work *work = esc_reference_work_create(&s->problem);
  assert_non_null(work);
  s->gradient.g = s->g;
  esc_reference_gradient(&s->problem, s->directions, s->w, &batch, work, &s->gradient);
  esc_reference_work_free(work);
  esc_assert_ok(esc_imbalance_flow(&s->problem, s->directions, s->w, &batch, s->flow));
  esc_imbalance_second(&s->problem, s->g, s->second);
}

/* W <- W - eta gamma G, with M before and after. */
static void step(fixture *s) {
  const esc_problem *p = &s->problem;
  esc_imbalance_matrix(p, s->w, s->before);
  for (int l = 0; l < p->shape.layers; l++)
    for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++)
      s->w[i] -= p->rate * esc_metric_gamma(p, l) * s->g[i];
  esc_imbalance_matrix(p, s->w, s->after);
}

/* sum_l |W_l|^2/gamma_l: no entry of an M is a sum of more. */
static double size_of(const fixture *s) {
  const esc_problem *p = &s->problem;
  double size = 0;
  for (int l = 0; l < p->shape.layers; l++)
    for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++)
      size += s->w[i] * s->w[i] / esc_metric_gamma(p, l);
  return size;
}

/* Three steps: the change of every entry of every M is eta R + eta^2 S. Each weight and
 * each product carries an ulp, so the entries some ulps of the weights' size. */
static void check_steps(fixture *s, bool weighted) {
  const double rate = s->problem.rate;
  for (int k = 0; k < 3; k++) {
    double largest_change = 0;
    evaluate(s, weighted);
    const double size = size_of(s);
    step(s);
    for (size_t i = 0; i < s->count; i++) {
      const double change = s->after[i] - s->before[i];
      esc_assert_close(change, rate * s->flow[i] + rate * rate * s->second[i],
                       16 * DBL_EPSILON * fmax(size, size_of(s)), 0);
      largest_change = fmax(largest_change, fabs(change));
    }
    assert_true(largest_change >
                1e-8); /* rounding is a millionth of that, so the comparison is not empty */
  }
}

static void a_step_changes_every_entry_by_the_identity(void **state) {
  (void)state;
  static const int shapes[][3] = {{2, 5, 3}, {3, 3, 7}, {4, 7, 5}}; /* layers, width, inputs */
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int loss = ESC_LOSS_SQUARED; loss < ESC_LOSSES; loss++)
      for (int metric = ESC_METRIC_EUCLIDEAN; metric <= ESC_METRIC_NORMALIZED; metric++)
        for (int i = 0; i < 3; i++) {
          fixture s = fixture_make(shapes[i][0], shapes[i][1], shapes[i][2], 1 + (a + i) % MODES);
          problem_activation(&s.problem, activation_names[a]);
          s.problem.loss = (esc_loss_kind)loss;
          s.problem.metric = (esc_metric)metric;
          s.problem.rate = metric == ESC_METRIC_NORMALIZED ? 0.01 / shapes[i][1] : 0.01;
          check_steps(&s, i != 1);
          problem_free(&s.problem);
        }
}

/* gamma of blocks is n = N/K. */
static void the_metric_of_blocks_weighs_the_identity(void **state) {
  (void)state;
  fixture s = fixture_make(3, 6, 5, 3);
  s.problem.scheme = ESC_SCHEME_BLOCKS;
  s.problem.metric = ESC_METRIC_NORMALIZED;
  s.problem.rate = 0.02;
  assert_true(esc_metric_gamma(&s.problem, 0) == 2);
  check_steps(&s, true);
  problem_free(&s.problem);
}

/* tr R = -2 E[u.kappa], tr S = gamma_{l+1} |G_{l+1}|^2 - gamma_l |G_l|^2. The terms of the
 * traces are of order 1 to 10, and there are some hundred. */
static void traces_are_the_scalar_ledger(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int metric = ESC_METRIC_EUCLIDEAN; metric <= ESC_METRIC_NORMALIZED; metric++) {
      fixture s = fixture_make(4, 7, 3, 2);
      problem_activation(&s.problem, activation_names[a]);
      s.problem.metric = (esc_metric)metric;
      evaluate(&s, true);
      for (int l = 0; l < 3; l++) {
        const double above = esc_metric_gamma(&s.problem, l + 1) * s.gradient.grad_norm_sq[l + 1];
        const double below = esc_metric_gamma(&s.problem, l) * s.gradient.grad_norm_sq[l];
        esc_assert_close(esc_imbalance_trace(&s.problem, s.flow, l), -2 * s.gradient.deficit[l],
                         1e-13, 1e-13);
        esc_assert_close(esc_imbalance_trace(&s.problem, s.second, l), above - below,
                         1e-14 * (above + below), 0);
      }
      problem_free(&s.problem);
    }
}

static void the_matrices_are_symmetric(void **state) {
  (void)state;
  fixture s = fixture_make(3, 7, 5, 2);
  problem_activation(&s.problem, "gelu");
  evaluate(&s, true);
  esc_imbalance_matrix(&s.problem, s.w, s.before);
  const double *const matrix[3] = {s.before, s.flow, s.second};
  for (int k = 0; k < 3; k++)
    for (size_t i = 0; i < s.count; i++) {
      const size_t l = i / 49, row = i / 7 % 7, column = i % 7;
      esc_assert_close(matrix[k][i], matrix[k][49 * l + 7 * column + row], 1e-14, 0);
    }
  problem_free(&s.problem);
}

/* Networks with kappa = 0: linear ones conserve all of M, ReLU each unit's diagonal entry; only
 * the eta^2 term is left, and it is not 0. */
static void linear_and_relu_move_at_second_order_alone(void **state) {
  (void)state;
  for (int a = 0; a < 2; a++) {
    double second = 0, mixed = 0;
    fixture s = fixture_make(3, 7, 5, 2);
    problem_activation(&s.problem, activation_names[a]);
    s.problem.metric = ESC_METRIC_NORMALIZED;
    evaluate(&s, true);
    for (size_t i = 0; i < s.count; i++) {
      second = fmax(second, fabs(s.second[i]));
      if (i / 7 % 7 != i % 7 && a == 1)
        mixed = fmax(mixed, fabs(s.flow[i])); /* between an active unit and another */
      else
        esc_assert_close(s.flow[i], 0, 1e-14, 0);
    }
    assert_true(second > 1e-3);
    assert_true(a == 0 || mixed > 1e-3);
    problem_free(&s.problem);
  }
}

/* The network of docs/theory, section 9.3: E[u.kappa] and the imbalance of its update. */
static void the_reference_network_has_the_reference_traces(void **state) {
  (void)state;
  fixture s = {.problem = problem_make(3, 3, 2, 5), .directions = {1, 0}, .count = 18};
  const double before[2] = {1.25671826479664, .0666007712193415};
  const double after[2] = {1.26009196817377, .0630152073054666};
  const double deficit[2] = {-.0161192237295039, .000972717166747007};
  s.problem.teacher.amplitude[0] = 1.2;
  s.problem.metric = ESC_METRIC_NORMALIZED;
  s.problem.rate = 0.1;
  for (int l = 0; l < 3; l++)
    for (int i = 0; i < esc_fan_out(s.problem.shape, l); i++)
      for (int j = 0; j < esc_fan_in(s.problem.shape, l); j++)
        s.w[esc_weight_offset(s.problem.shape, l) +
            (size_t)(i * esc_fan_in(s.problem.shape, l) + j)] =
            .6 * sin(1 + i + 2 * j + 3 * (l + 1));
  for (int b = 0; b < 5; b++) {
    for (int j = 0; j < 2; j++) s.x[2 * b + j] = 1.5 * sin(2 + 3 * j + 5 * b);
    s.weight[b] = 0.2; /* the other samples weigh 0 */
  }
  evaluate(&s, true);
  step(&s);
  for (int l = 0; l < 2; l++) {
    esc_assert_close(esc_imbalance_trace(&s.problem, s.flow, l), -2 * deficit[l], 1e-15, 5e-13);
    esc_assert_close(esc_imbalance_trace(&s.problem, s.before, l), before[l], 0, 5e-13);
    esc_assert_close(esc_imbalance_trace(&s.problem, s.after, l), after[l], 0, 5e-13);
  }
  problem_free(&s.problem);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_step_changes_every_entry_by_the_identity),
      cmocka_unit_test(the_metric_of_blocks_weighs_the_identity),
      cmocka_unit_test(traces_are_the_scalar_ledger),
      cmocka_unit_test(the_matrices_are_symmetric),
      cmocka_unit_test(linear_and_relu_move_at_second_order_alone),
      cmocka_unit_test(the_reference_network_has_the_reference_traces),
  };
  return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
