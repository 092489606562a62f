/* SPDX-License-Identifier: Apache-2.0 */
/* Engines against theory: on the symmetric manifold, under the normalized metric,
 * a network of any width is the reduced ODE (docs/theory, section 3.2). With quadrature
 * nodes along v as the batch the population gradient is exact, so engine and ODE
 * agree to the quadrature's and the solver's tolerance; with samples to the error
 * of the minibatch and of the step. */
#include "cpu/cpu.h"
#include "escapement/internal/engine.h"
#include "escapement/internal/model.h"
#include "escapement/internal/reference.h"
#include "escapement/internal/theory.h"
#include "problems.h"

typedef struct bridge {
  esc_problem problem;
  esc_escape_problem reduced;
  double directions[ESC_INPUTS_MAX];
  esc_quadrature rule; /* along v */
  double *x, *w, *g;
  esc_reference_work *work;
} bridge;

static bridge bridge_open(const char *activation, double amplitude, int layers, int width,
                          const double *scale) {
  bridge b = {.problem = problem_make(layers, width, 3, 1)};
  esc_problem *p = &b.problem;
  problem_activation(p, activation);
  p->scheme = ESC_SCHEME_SYMMETRIC;
  p->metric = ESC_METRIC_NORMALIZED;
  p->teacher.amplitude[0] = amplitude;
  p->teacher.directions = ESC_DIRECTIONS_RANDOM;
  memcpy(p->scale, scale, (size_t)layers * sizeof *scale);
  b.reduced = (esc_escape_problem){
      .activation = p->activation, .amplitude = amplitude, .layers = layers, .to = 0.5};
  memcpy(b.reduced.scale, scale, (size_t)layers * sizeof *scale);
  esc_teacher_directions(p, b.directions);
  esc_assert_ok(esc_gaussian_rule(&p->activation, layers, 1.5, 1e-13, &b.rule));
  const size_t count = esc_weight_offset(p->shape, layers);
  b.x = calloc((size_t)b.rule.count * 3, sizeof *b.x);
  b.w = calloc(count, sizeof *b.w);
  b.g = calloc(count, sizeof *b.g);
  for (int i = 0; i < b.rule.count; i++)
    for (int j = 0; j < 3; j++) b.x[3 * i + j] = b.rule.node[i] * b.directions[j];
  const esc_member m = member_make(1, 0, 1);
  esc_initial_weights(p, &m, b.directions, b.w);
  b.work = esc_reference_work_create(p);
  assert_non_null(b.work);
  return b;
}

static void bridge_close(bridge *b) {
  esc_reference_work_free(b->work);
  esc_quadrature_free(&b->rule);
  free(b->x);
  free(b->w);
  free(b->g);
  problem_free(&b->problem);
}

/* s_l of weights on the manifold or near it: W_1 v averaged, sums of entries over N. */
static double scale_of(const bridge *b, const double *w, int l) {
  const esc_shape s = b->problem.shape;
  double sum = 0;
  for (size_t i = esc_weight_offset(s, l); i < esc_weight_offset(s, l + 1); i++)
    sum += l == 0 ? w[i] * b->directions[i % 3] : w[i];
  return l == s.layers - 1 ? sum : sum / s.width;
}

/* dW/dt = -gamma G by quadrature; returns the population loss. */
static double flow(bridge *b, const double *w, double *rate) {
  esc_gradient gradient = {.g = b->g};
  const esc_batch batch = {.samples = b->rule.count, .x = b->x, .weight = b->rule.weight};
  esc_reference_gradient(&b->problem, b->directions, w, &batch, b->work, &gradient);
  for (int l = 0; l < b->problem.shape.layers; l++)
    for (size_t i = esc_weight_offset(b->problem.shape, l);
         i < esc_weight_offset(b->problem.shape, l + 1); i++)
      rate[i] = -esc_metric_gamma(&b->problem, l) * b->g[i];
  return gradient.loss;
}

static const double unbalanced[5] = {.7, .3, .9, .5, 1.1};

static void the_networks_flow_is_the_reduced_flow(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int layers = 2; layers <= 5; layers++) {
      bridge b = bridge_open(activation_names[a], 1.3, layers, 4, unbalanced);
      double rate[200], rhs[5];
      flow(&b, b.w, rate);
      esc_reduced_rhs(&b.reduced, &b.rule, unbalanced, rhs, NULL);
      for (int l = 0; l < layers; l++)
        esc_assert_close(scale_of(&b, rate, l), rhs[l], 1e-13, 1e-11);
      bridge_close(&b);
    }
}

/* Classical Runge-Kutta on all weights of the network: error h^4. */
static void runge_kutta(bridge *b, double h, size_t count) {
  double k[4][200], at[200];
  static const double share[3] = {.5, .5, 1};
  for (int stage = 0; stage < 4; stage++) {
    for (size_t i = 0; i < count; i++)
      at[i] = b->w[i] + (stage ? h * share[stage - 1] * k[stage - 1][i] : 0);
    flow(b, at, k[stage]);
  }
  for (size_t i = 0; i < count; i++)
    b->w[i] += h / 6 * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);
}

static void a_whole_network_follows_the_reduced_ode_through_its_escape(void **state) {
  (void)state;
  static const char *const names[3] = {"tanh", "gelu", "sigmoid"};
  for (int a = 0; a < 3; a++) {
    bridge b = bridge_open(names[a], 2, 3, 4, unbalanced);
    const size_t count = esc_weight_offset(b.problem.shape, 3);
    const double time[2] = {2, 6};
    double scale[6], loss[2], rate[200];
    esc_assert_ok(esc_reduced_trajectory(&b.reduced, 2, time, scale, loss));
    for (int t = 0; t < 2; t++) {
      for (int k = 0; k < (t ? 800 : 400); k++) runge_kutta(&b, 0.005, count);
      for (int l = 0; l < 3; l++) esc_assert_close(scale_of(&b, b.w, l), scale[3 * t + l], 0, 1e-8);
      esc_assert_close(flow(&b, b.w, rate), loss[t], 0, 1e-8);
    }
    bridge_close(&b);
  }
}

/* Root mean square distance of all s_l from the ODE at time 1 over `seeds` runs. */
static double distance(const esc_engine_ops *engine, int batch, double rate, int seeds) {
  bridge b = bridge_open("tanh", 1.5, 3, 4, unbalanced);
  const double time = 1;
  const atomic_bool stop = false;
  double scale[3], loss, sum = 0;
  void *e = NULL;
  esc_assert_ok(esc_reduced_trajectory(&b.reduced, 1, &time, scale, &loss));
  b.problem.batch = batch;
  b.problem.rate = rate;
  b.problem.steps = llround(time / rate);
  esc_assert_ok(
      engine->create(engine, &b.problem, &(esc_engine_setup){.slots = seeds, .threads = 2}, &e));
  for (int i = 0; i < seeds; i++) {
    const esc_member m = member_make((uint64_t)i + 1, 0, 1);
    esc_assert_ok(engine->load(e, i, &m));
  }
  esc_assert_ok(engine->advance(e, b.problem.steps, &stop));
  for (int i = 0; i < seeds; i++) {
    esc_assert_ok(engine->weights(e, i, b.w));
    for (int l = 0; l < 3; l++) sum += pow(scale_of(&b, b.w, l) - scale[l], 2) / (3 * seeds);
  }
  engine->destroy(e);
  bridge_close(&b);
  return sqrt(sum);
}

/* 128 runs, the scales of a run correlated: a distance is known to 1/sqrt(2*128) = 6%,
 * a ratio to 9%. */
static void sampled_training_comes_nearer_as_one_over_root_of_the_batch(void **state) {
  (void)state;
  const double small = distance(&esc_cpu_engine, 32, 0.01, 128);
  const double large = distance(&esc_cpu_engine, 512, 0.01, 128);
  esc_assert_close(small / large, 4, 0, 0.3);
  esc_assert_close(distance(&esc_reference_engine, 32, 0.01, 128), small, 0, 1e-3);
}

/* The noise of SGD falls as the root of the rate; its bias, seen at a large batch,
 * as the rate itself. */
static void sampled_training_comes_nearer_with_the_rate(void **state) {
  (void)state;
  const double noisy = distance(&esc_cpu_engine, 32, 0.04, 128);
  esc_assert_close(noisy / distance(&esc_cpu_engine, 32, 0.01, 128), 2, 0, 0.3);
  const double coarse = distance(&esc_cpu_engine, 65536, 0.2, 2);
  esc_assert_close(coarse / distance(&esc_cpu_engine, 65536, 0.1, 2), 2, 0, 0.3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_networks_flow_is_the_reduced_flow),
      cmocka_unit_test(a_whole_network_follows_the_reduced_ode_through_its_escape),
      cmocka_unit_test(sampled_training_comes_nearer_as_one_over_root_of_the_batch),
      cmocka_unit_test(sampled_training_comes_nearer_with_the_rate),
  };
  return cmocka_run_group_tests_name("bridge", tests, NULL, NULL);
}
