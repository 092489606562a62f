/* SPDX-License-Identifier: Apache-2.0 */
/* Momentum, weight decay and Adam (docs/theory, section 1.7), on the reference engine and on a
 * float engine, the CPU's or (tests/cuda) one of the CUDA engine or its stand-in. */
#include "cpu/cpu.h"
#ifdef ESC_TEST_CUDA
#include "cuda/cuda.h"
#define FLOAT_ENGINE esc_cuda_cublas_engine
#else
#define FLOAT_ENGINE esc_cpu_engine
#endif
#include "escapement/internal/engine.h"
#include "escapement/internal/model.h"
#include "escapement/internal/reference.h"
#include "escapement/internal/stream.h"
#include "optimizers.h"
#include "problems.h"
#include "verify/train.h"

static const esc_engine_ops *const engines[2] = {&esc_reference_engine, &FLOAT_ENGINE};

enum { LAYERS = 3, WIDTH = 6, INPUTS = 5, BATCH = 8, WEIGHTS = 6 * 5 + 6 * 6 + 6 };

static esc_problem make(int i, esc_metric metric, int steps) {
  esc_problem p = problem_make(LAYERS, WIDTH, INPUTS, BATCH);
  p.optimizer = optimizers[i].optimizer;
  p.metric = metric;
  p.update = ESC_UPDATE_COMPENSATED;
  p.rate = 0.01;
  p.steps = steps;
  return p;
}

/* Seeds 1..count to their ends; w (seed, weight), or NULL. */
static esc_results *train(const esc_engine_ops *engine, const esc_problem *p, int count, int slots,
                          int64_t block, double *w) {
  esc_results *r = NULL;
  const esc_verify_layout layout = {.slots = slots, .threads = 1, .block = block};
  esc_assert_ok(esc_verify_train(engine, p, count, &layout, &r, w));
  return r;
}

/* ---- the definitions ---- */

/* One update as PyTorch documents SGD, Adam and AdamW, of which the metric multiplies the learning
 * rate of a layer in the gradient's part alone. */
static void pytorch_step(const esc_problem *p, int l, int step, double *w, const double *gradient,
                         double *buffer, double *square) {
  const esc_optimizer *o = &p->optimizer;
  const double lr = p->rate, layer_lr = lr * esc_metric_gamma(p, l);
  for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++) {
    double g = gradient[i];
    if (o->decoupled)
      w[i] *= 1 - lr * o->weight_decay;
    else
      g += o->weight_decay * w[i];
    if (o->kind == ESC_OPTIMIZER_ADAM) {
      buffer[i] = o->adam_beta1 * buffer[i] + (1 - o->adam_beta1) * g;
      square[i] = o->adam_beta2 * square[i] + (1 - o->adam_beta2) * g * g;
      const double correction1 = 1 - pow(o->adam_beta1, step + 1),
                   correction2 = 1 - pow(o->adam_beta2, step + 1);
      w[i] -= layer_lr / correction1 * buffer[i] /
              (sqrt(square[i]) / sqrt(correction2) + o->adam_epsilon);
      continue;
    }
    buffer[i] = step == 0 ? g : o->momentum * buffer[i] + g;
    w[i] -= layer_lr * (o->nesterov ? g + o->momentum * buffer[i] : buffer[i]);
  }
}

/* Seed 1 by pytorch_step, with the reference's gradient of the same minibatches. */
static void train_by_pytorch(const esc_problem *p, double *w) {
  double g[WEIGHTS], buffer[WEIGHTS] = {0}, square[WEIGHTS] = {0}, x[BATCH * INPUTS];
  double directions[INPUTS];
  float draw[BATCH * INPUTS];
  const esc_member m = esc_verify_train_member(0);
  const esc_batch batch = {.samples = BATCH, .x = x};
  esc_gradient gradient = {.g = g};
  esc_reference_work *work = esc_reference_work_create(p);
  assert_non_null(work);
  esc_teacher_directions(p, directions);
  esc_initial_weights(p, &m, directions, w);
  for (int step = 0; step < p->steps; step++) {
    esc_draw_inputs(m.seed, step, 0, BATCH, INPUTS, draw);
    for (int i = 0; i < BATCH * INPUTS; i++) x[i] = (double)draw[i];
    esc_reference_gradient(p, directions, w, &batch, work, &gradient);
    for (int l = 0; l < LAYERS; l++) pytorch_step(p, l, step, w, g, buffer, square);
  }
  esc_reference_work_free(work);
}

static double largest_difference(const double *a, const double *b) {
  double worst = 0;
  for (int i = 0; i < WEIGHTS; i++)
    if (!(fabs(a[i] - b[i]) <= worst)) worst = fabs(a[i] - b[i]);
  return worst;
}

/* The float engine: its steps move weights of size 1 by 0.01, of which it rounds 2^-24; Adam
 * divides a small gradient by its size, and with it that gradient's rounding. */
static void each_optimizer_makes_the_steps_of_its_definition(void **state) {
  (void)state;
  for (int i = 0; i < OPTIMIZERS; i++)
    for (int metric = ESC_METRIC_EUCLIDEAN; metric <= ESC_METRIC_NORMALIZED; metric++) {
      const esc_problem p = make(i, (esc_metric)metric, 20);
      double want[WEIGHTS], exact[WEIGHTS], rounded[WEIGHTS];
      train_by_pytorch(&p, want);
      esc_results_free(train(&esc_reference_engine, &p, 1, 1, 100, exact));
      esc_results_free(train(&FLOAT_ENGINE, &p, 1, 1, 100, rounded));
      esc_assert_close(largest_difference(exact, want), 0, 1e-12, 0);
      esc_assert_close(largest_difference(rounded, want), 0, i < FIRST_ADAM ? 1e-6 : 2e-4, 0);
      free(p.scale);
    }
}

/* M = (1 - beta_1) G and R = (1 - beta_2) G^2 are corrected to G and G^2. */
static void adams_first_step_has_the_size_of_the_rate(void **state) {
  (void)state;
  for (int e = 0; e < 2; e++) {
    esc_problem p = make(FIRST_ADAM, ESC_METRIC_EUCLIDEAN, 1);
    const esc_member m = esc_verify_train_member(0);
    double initial[WEIGHTS], w[WEIGHTS], directions[INPUTS];
    p.optimizer.adam_epsilon = 1e-20;
    esc_teacher_directions(&p, directions);
    esc_initial_weights(&p, &m, directions, initial);
    esc_results_free(train(engines[e], &p, 1, 1, 1, w));
    for (int i = 0; i < WEIGHTS; i++)
      esc_assert_close(fabs(w[i] - (e ? (double)(float)initial[i] : initial[i])), p.rate, 0,
                       e ? 1e-4 : 1e-12);
    problem_free(&p);
  }
}

/* ---- the ledger ---- */

/* Largest residual over the interfaces, relative to the gross terms; NaN if one is NaN. */
static double worst_residual(const esc_results *r) {
  double worst = 0;
  for (int64_t k = 0; k < r->members * (r->layers - 1); k++) {
    const double share = fabs(r->ledger_residual[k]) / r->ledger_gross[k];
    if (isnan(share) || share > worst) worst = share;
    if (isnan(worst)) break;
  }
  return worst;
}

/* Exact for each step, so that in double only rounding is left; in float, the bound at which a run
 * warns. Each activation has all optimizers under both metrics. */
static void the_ledger_closes_for_every_optimizer_activation_and_metric(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int i = 0; i < FIRST_ADAM; i++) {
      esc_problem p = make(i, (esc_metric)(a % 2), 60);
      problem_activation(&p, activation_names[a]);
      p.rate = 0.002;
      for (int l = 0; l < LAYERS; l++) p.scale[l] = 0.6; /* cubes of a larger input diverge */
      esc_results *exact = train(&esc_reference_engine, &p, 2, 2, 100, NULL);
      p.metric = (esc_metric)(1 - a % 2);
      esc_results *other = train(&esc_reference_engine, &p, 2, 2, 100, NULL);
      esc_results *rounded = train(&FLOAT_ENGINE, &p, 2, 2, 100, NULL);
      esc_assert_close(worst_residual(exact), 0, 1e-14, 0);
      esc_assert_close(worst_residual(other), 0, 1e-14, 0);
      esc_assert_close(worst_residual(rounded), 0, 1e-6, 0);
      assert_true(fabs(exact->ledger_sum[0]) > 1e-7 * exact->ledger_gross[0]); /* not vacuous */
      esc_results_free(exact);
      esc_results_free(other);
      esc_results_free(rounded);
      problem_free(&p);
    }
}

static void adam_has_no_ledger_rather_than_an_empty_one(void **state) {
  (void)state;
  for (int e = 0; e < 2; e++)
    for (int i = FIRST_ADAM; i < OPTIMIZERS; i++) {
      esc_problem p = make(i, ESC_METRIC_EUCLIDEAN, 5);
      esc_results *r = train(engines[e], &p, 1, 1, 5, NULL);
      for (int l = 0; l < LAYERS - 1; l++) {
        assert_true(isnan(r->ledger_sum[l]) && isnan(r->ledger_drift[l]));
        assert_true(isnan(r->ledger_gross[l]) && isnan(r->ledger_residual[l]));
      }
      esc_assert_close(r->norm2_final[0], r->norm2_initial[0], 1, 0); /* norms have a value */
      esc_results_free(r);
      problem_free(&p);
    }
}

/* ---- determinism ---- */

static void assert_same(const esc_results *a, const esc_results *b) {
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    const size_t size = (size_t)a->members * (size_t)esc_axis_length(a, v->axis);
    assert_memory_equal(esc_result_data(a, v), esc_result_data(b, v),
                        size * esc_type_size(v->type));
  }
}

static void bits_do_not_depend_on_packing_or_blocks(void **state) {
  (void)state;
  for (int e = 0; e < 2; e++)
    for (int i = 0; i < OPTIMIZERS; i++) {
      esc_problem p = make(i, ESC_METRIC_NORMALIZED, 40);
      p.threshold[0] = 0.05; /* some end early, so that a slot holds two networks in turn */
      double one[4 * WEIGHTS], many[4 * WEIGHTS];
      esc_results *a = train(engines[e], &p, 4, 1, 1000, one);
      esc_results *b = train(engines[e], &p, 4, 3, 7, many);
      assert_same(a, b);
      assert_memory_equal(one, many, sizeof one);
      esc_results_free(a);
      esc_results_free(b);
      problem_free(&p);
    }
}

/* Seed 1 in slot 0 up to step `cut`, then from its state in slot 1 of an engine that has trained
 * another network there. */
static esc_results *train_in_two(const esc_engine_ops *from, const esc_engine_ops *to,
                                 const esc_problem *p, int64_t cut) {
  const atomic_bool stop = false;
  const esc_engine_setup setup = {.slots = 2, .threads = 1};
  const esc_member m = esc_verify_train_member(0), other = esc_verify_train_member(8);
  void *first = NULL, *second = NULL, *bytes = malloc(from->state_size(p));
  esc_results *r = NULL;
  assert_non_null(bytes);
  assert_int_equal(from->state_size(p), to->state_size(p));
  esc_assert_ok(esc_results_create(1, p->thresholds, LAYERS, &r));
  esc_assert_ok(from->create(from, p, &setup, &first));
  esc_assert_ok(from->load(first, 0, &m));
  esc_assert_ok(from->advance(first, cut, &stop));
  esc_assert_ok(from->save(first, 0, bytes));
  esc_assert_ok(to->create(to, p, &setup, &second));
  esc_assert_ok(to->load(second, 1, &other));
  esc_assert_ok(to->advance(second, 3, &stop));
  esc_assert_ok(to->restore(second, 1, &m, bytes));
  while (!esc_slot_finished(to->slot(second, 1))) esc_assert_ok(to->advance(second, 11, &stop));
  esc_assert_ok(to->report(second, 1, r, 0));
  from->destroy(first);
  to->destroy(second);
  free(bytes);
  return r;
}

static void a_restored_network_continues_with_the_same_bits(void **state) {
  (void)state;
  for (int e = 0; e < 2; e++)
    for (int i = 0; i < OPTIMIZERS; i++) {
      esc_problem p = make(i, ESC_METRIC_EUCLIDEAN, 30);
      esc_results *whole = train(engines[e], &p, 1, 1, 1000, NULL);
      esc_results *parts = train_in_two(engines[e], engines[e], &p, 9);
      assert_same(whole, parts);
      esc_results_free(whole);
      esc_results_free(parts);
      problem_free(&p);
    }
}

/* A state without an optimizer is that of version 0.1: esc_track, S(0), norms and two arrays. */
static void a_plain_state_has_the_size_of_version_0_1(void **state) {
  (void)state;
  esc_problem p = problem_make(LAYERS, WIDTH, INPUTS, BATCH);
  const size_t head =
      8 * (1 + 1 + 2 + ESC_THRESHOLDS_MAX + 5 * ESC_LAYERS_MAX + 2 + 2) + 8 * ESC_LAYERS_MAX;
  p.update = ESC_UPDATE_COMPENSATED;
  assert_int_equal(esc_reference_engine.state_size(&p), head + 2 * 8 * WEIGHTS);
  assert_int_equal(esc_cpu_engine.state_size(&p), head + 2 * 4 * WEIGHTS);
  p.optimizer = optimizers[FIRST_ADAM].optimizer;
  assert_int_equal(esc_cpu_engine.state_size(&p), head + 4 * 4 * WEIGHTS);
  problem_free(&p);
}

int main(void) {
#ifdef ESC_TEST_CUDA
  char why[200];
  if (esc_cuda_devices(why, sizeof why) == 0) {
    printf("skipped: no CUDA device: %s\n", why);
    return 77;
  }
#endif
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_optimizer_makes_the_steps_of_its_definition),
      cmocka_unit_test(adams_first_step_has_the_size_of_the_rate),
      cmocka_unit_test(the_ledger_closes_for_every_optimizer_activation_and_metric),
      cmocka_unit_test(adam_has_no_ledger_rather_than_an_empty_one),
      cmocka_unit_test(bits_do_not_depend_on_packing_or_blocks),
      cmocka_unit_test(a_restored_network_continues_with_the_same_bits),
      cmocka_unit_test(a_plain_state_has_the_size_of_version_0_1),
  };
  return cmocka_run_group_tests_name("optimizer", tests, NULL, NULL);
}
