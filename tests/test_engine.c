/* SPDX-License-Identifier: Apache-2.0 */
/* Properties that hold for whole training runs, on every engine: the reference and a
 * float engine, the CPU's or (tests/cuda) the one on the GPU or its stand-in. */
#ifdef ESC_TEST_CUDA
#include "cpu/cpu.h"
#include "cuda/cuda.h"
#define FLOAT_ENGINE esc_cuda_cublas_engine
#ifdef ESC_SIMT
enum { LEDGER_STEPS = 30 }; /* a step takes the harness long */
#else
enum { LEDGER_STEPS = 100 };
#endif
#else
enum { LEDGER_STEPS = 100 };
#include "cpu/cpu.h"
#define FLOAT_ENGINE esc_cpu_engine
#endif
#include "escapement/internal/engine.h"
#include "escapement/internal/model.h"
#include "escapement/internal/reference.h"
#include "problems.h"
#include "verify/train.h"

static const esc_engine_ops *const engines[2] = {&esc_reference_engine, &FLOAT_ENGINE};

/* Seeds 1..count to their ends, `slots` at once; row i of the result is seed i+1. */
static esc_results *train(const esc_engine_ops *engine, const esc_problem *p, int count, int slots,
                          int threads, int64_t block) {
  esc_results *r = NULL;
  const esc_verify_layout layout = {.slots = slots, .threads = threads, .block = block};
  esc_assert_ok(esc_verify_train(engine, p, count, &layout, &r, NULL));
  return r;
}

/* Largest residual over all interfaces, relative to the interface's own drift
 * plus `rounding` times both layers' squared norms. */
static double worst_residual(const esc_problem *p, const esc_results *r, double rounding) {
  double worst = 0;
  for (int64_t i = 0; i < r->members; i++)
    for (int l = 0; l < r->layers - 1; l++) {
      const int64_t index = i * (r->layers - 1) + l;
      const double *norm2 = &r->norm2_final[i * r->layers + l];
      const double size = norm2[0] / esc_metric_gamma(p, l) + norm2[1] / esc_metric_gamma(p, l + 1);
      const double scale = r->ledger_drift[index] + rounding * size;
      if (scale == 0 && r->ledger_residual[index] == 0) continue; /* ReLU, all units dead */
      const double share = fabs(r->ledger_residual[index]) / scale;
      if (!(share <= worst)) worst = share;
    }
  return worst;
}

/* Identity 1.4 is exact, so in double only rounding is left. In float each step
 * rounds every weight by up to 2^-25 of it: |W|^2 wanders by 2^-24 |W|^2 sqrt(steps)
 * at most, and that is all that may be left beside 1e-4 of the drift. */
static void the_ledger_closes_for_every_activation_loss_and_metric(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int loss = ESC_LOSS_SQUARED; loss < ESC_LOSSES; loss++)
      for (int metric = ESC_METRIC_EUCLIDEAN; metric <= ESC_METRIC_NORMALIZED; metric++) {
        esc_problem p = problem_make(4, 6, 5, 8);
        problem_activation(&p, activation_names[a]);
        p.loss = (esc_loss_kind)loss;
        p.metric = (esc_metric)metric;
        p.rate = 0.01;
        p.steps = LEDGER_STEPS;
        esc_results *exact = train(&esc_reference_engine, &p, 2, 2, 1, 100);
        esc_results *rounded = train(&FLOAT_ENGINE, &p, 2, 2, 1, 100);
        esc_assert_close(worst_residual(&p, exact, 0), 0, 1e-12, 0);
        esc_assert_close(worst_residual(&p, rounded, 0x1p-24 * 10 / 1e-4), 0, 1e-4, 0);
        esc_results_free(exact);
        esc_results_free(rounded);
        problem_free(&p);
      }
}

/* The same change, computed here from the weights themselves. */
static void ledger_sum_is_the_change_of_the_imbalance_of_the_weights(void **state) {
  (void)state;
  const atomic_bool stop = false;
  for (int e = 0; e < 2; e++) {
    esc_problem p = problem_make(3, 5, 4, 8);
    p.metric = ESC_METRIC_NORMALIZED;
    p.steps = 50;
    const esc_member m = member_make(4, 1, 0.5);
    const size_t first = esc_weight_offset(p.shape, 1), second = esc_weight_offset(p.shape, 2);
    double w[2][64], imbalance[2] = {0};
    void *engine = NULL;
    esc_results *r = NULL;
    esc_assert_ok(esc_results_create(1, 1, 3, &r));
    esc_assert_ok(
        engines[e]->create(engines[e], &p, &(esc_engine_setup){.slots = 1, .threads = 1}, &engine));
    esc_assert_ok(engines[e]->load(engine, 0, &m));
    esc_assert_ok(engines[e]->advance(engine, 0, &stop));
    esc_assert_ok(engines[e]->weights(engine, 0, w[0]));
    esc_assert_ok(engines[e]->advance(engine, 50, &stop));
    esc_assert_ok(engines[e]->weights(engine, 0, w[1]));
    esc_assert_ok(engines[e]->report(engine, 0, r, 0));
    for (int k = 0; k < 2; k++) { /* |W_2|^2 / 1 - |W_1|^2 / n */
      for (size_t i = first; i < second; i++) imbalance[k] += w[k][i] * w[k][i];
      for (size_t i = 0; i < first; i++) imbalance[k] -= w[k][i] * w[k][i] / 5;
    }
    assert_true(fabs(imbalance[1] - imbalance[0]) > 1e-3);
    esc_assert_close(r->ledger_sum[0], imbalance[1] - imbalance[0], e ? 1e-5 : 1e-13, 0);
    engines[e]->destroy(engine);
    esc_results_free(r);
    problem_free(&p);
  }
}

static void linear_and_relu_networks_drift_at_second_order_in_the_rate_alone(void **state) {
  (void)state;
  for (int a = 0; a < 2; a++) {
    double sum[2];
    for (int k = 0; k < 2; k++) {
      esc_problem p = problem_make(3, 6, 5, 8);
      problem_activation(&p, activation_names[a]);
      p.rate = k ? 0.005 : 0.01;
      p.steps = k ? 200 : 100; /* the same time */
      esc_results *r = train(&esc_reference_engine, &p, 1, 1, 1, 1000);
      sum[k] = r->ledger_drift[0];
      esc_results_free(r);
      problem_free(&p);
    }
    esc_assert_close(sum[1] / sum[0], 0.5, 0.1, 0); /* eta^2 a step, 1/eta steps */
  }
}

/* Every variable but none of the bookkeeping about who ran it. */
static void assert_same(const esc_results *a, const esc_results *b) {
  for (int i = 0; i < esc_result_variable_count; i++) {
    const esc_result_variable *v = &esc_result_variables[i];
    const size_t size = (size_t)a->members * (size_t)esc_axis_length(a, v->axis);
    assert_memory_equal(esc_result_data(a, v), esc_result_data(b, v),
                        size * esc_type_size(v->type));
  }
}

static void bits_do_not_depend_on_threads_packing_or_blocks(void **state) {
  (void)state;
  for (int e = 0; e < 2; e++) {
    esc_problem p = problem_make(4, 9, 5, 10);
    p.steps = 300;
    p.thresholds = 2;
    p.threshold[0] = 0.15;
    p.threshold[1] = 0.05;
    p.smoothing = 0.8;
    esc_results *one = train(engines[e], &p, 7, 1, 1, 1000);
    esc_results *many = train(engines[e], &p, 7, 5, 2, 13);
    assert_same(one, many);
    esc_results_free(one);
    esc_results_free(many);
    problem_free(&p);
  }
}

/* t* is the first step whose moving average, taken before the update, is below. */
static void escape_step_is_the_first_crossing_of_the_moving_average(void **state) {
  (void)state;
  for (int e = 0; e < 2; e++) {
    esc_problem p = problem_make(3, 16, 8, 16);
    p.steps = 2000;
    p.smoothing = 0.9;
    p.thresholds = 1;
    p.threshold[0] = 0.05;
    esc_results *r = train(engines[e], &p, 1, 1, 1, 64);
    const int64_t crossing = r->escape_step[0];
    assert_int_equal(r->status[0], ESC_MEMBER_ESCAPED);
    assert_true(crossing > 0);
    assert_int_equal(r->steps_run[0], crossing);
    assert_true(r->final_smoothed_loss[0] < 0.05);
    esc_results_free(r);
    p.steps = crossing; /* losses of steps 0..crossing-1 are all above */
    r = train(engines[e], &p, 1, 1, 1, 64);
    assert_int_equal(r->status[0], ESC_MEMBER_CENSORED);
    assert_int_equal(r->escape_step[0], -1);
    assert_int_equal(r->steps_run[0], crossing);
    assert_true(r->final_smoothed_loss[0] >= 0.05);
    esc_results_free(r);
    problem_free(&p);
  }
}

static void a_threshold_above_the_first_loss_is_crossed_at_step_0(void **state) {
  (void)state;
  for (int e = 0; e < 2; e++) {
    esc_problem p = problem_make(3, 4, 4, 16);
    p.threshold[0] = 100;
    esc_results *r = train(engines[e], &p, 1, 1, 1, 8);
    assert_int_equal(r->escape_step[0], 0);
    assert_int_equal(r->steps_run[0], 0);
    esc_results_free(r);
    problem_free(&p);
  }
}

static void a_run_that_blows_up_is_diverged_not_escaped(void **state) {
  (void)state;
  for (int e = 0; e < 2; e++) {
    esc_problem p = problem_make(4, 8, 8, 8);
    problem_activation(&p, "linear");
    p.rate = 10;
    p.steps = 1000;
    esc_results *r = train(engines[e], &p, 1, 1, 1, 100);
    assert_int_equal(r->status[0], ESC_MEMBER_DIVERGED);
    assert_int_equal(r->escape_step[0], -1);
    assert_true(r->steps_run[0] < 1000);
    esc_results_free(r);
    problem_free(&p);
  }
}

/* Float and double part slowly: over a short run the events agree to a step. */
static void floats_follow_the_reference_to_the_escape(void **state) {
  (void)state;
  esc_problem p = problem_make(4, 12, 6, 16);
  p.steps = 5000;
  p.smoothing = 0.9;
  p.threshold[0] = 0.08;
  esc_results *exact = train(&esc_reference_engine, &p, 4, 4, 2, 256);
  esc_results *rounded = train(&FLOAT_ENGINE, &p, 4, 4, 2, 256);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(exact->status[i], ESC_MEMBER_ESCAPED);
    assert_true(llabs(exact->escape_step[i] - rounded->escape_step[i]) <= 1);
    esc_assert_close(rounded->signal_initial[i], exact->signal_initial[i], 0, 1e-6);
    for (int l = 0; l < 4; l++)
      esc_assert_close(rounded->norm2_initial[4 * i + l], exact->norm2_initial[4 * i + l], 0, 1e-6);
  }
  esc_results_free(exact);
  esc_results_free(rounded);
  problem_free(&p);
}

static void compensated_weights_lose_fewer_updates_and_close_the_ledger_better(void **state) {
  (void)state;
  double residual[2], lost[2];
  for (int k = 0; k < 2; k++) {
    esc_problem p = problem_make(4, 12, 6, 16);
    p.update = k ? ESC_UPDATE_COMPENSATED : ESC_UPDATE_PLAIN;
    p.rate = 1e-6;
    p.steps = 2000;
    esc_results *r = train(&FLOAT_ENGINE, &p, 1, 1, 1, 2000);
    residual[k] = worst_residual(&p, r, 0);
    lost[k] = r->lost_updates[0];
    esc_results_free(r);
    problem_free(&p);
  }
  assert_true(lost[0] > 0.05);
  assert_true(lost[1] < 0.1 * lost[0]);
  assert_true(residual[1] < 0.1 * residual[0]);
}

/* Trains seed `seed` in slot 1 of 3, by engine `from` up to step `cut`, and on from its
 * state in slot 2 of `to`; writes row `row`. The other slots hold others. */
static void train_in_two(const esc_engine_ops *from, const esc_engine_ops *to, const esc_problem *p,
                         uint64_t seed, int64_t cut, esc_results *r, int64_t row) {
  const atomic_bool stop = false;
  const esc_engine_setup setup = {.slots = 3, .threads = 1};
  const esc_member m = member_make(seed, 1, 0.5), other = member_make(seed + 50, 1, 0.4);
  void *first = NULL, *second = NULL, *state = malloc(from->state_size(p));
  assert_non_null(state);
  assert_int_equal(from->state_size(p), to->state_size(p));
  esc_assert_ok(from->create(from, p, &setup, &first));
  esc_assert_ok(to->create(to, p, &setup, &second));
  esc_assert_ok(from->load(first, 1, &m));
  esc_assert_ok(from->advance(first, cut, &stop));
  esc_assert_ok(from->save(first, 1, state));
  for (int i = 1; i < 3; i++) esc_assert_ok(to->load(second, i, &other));
  esc_assert_ok(to->advance(second, 3, &stop));
  esc_assert_ok(to->restore(second, 2, &m, state));
  assert_int_equal(to->slot(second, 2)->track.step, cut);
  while (!esc_slot_finished(to->slot(second, 2))) esc_assert_ok(to->advance(second, 17, &stop));
  esc_assert_ok(to->report(second, 2, r, row));
  from->destroy(first);
  to->destroy(second);
  free(state);
}

static void goes_on_to_the_same_bits(const esc_engine_ops *from, const esc_engine_ops *to,
                                     esc_problem *p) {
  esc_results *whole = train(from, p, 3, 2, 1, 1000), *parts = NULL;
  esc_assert_ok(esc_results_create(3, p->thresholds, p->shape.layers, &parts));
  for (int i = 0; i < 3; i++) train_in_two(from, to, p, (uint64_t)i + 1, 1 + 9 * i, parts, i);
  assert_same(whole, parts);
  esc_results_free(whole);
  esc_results_free(parts);
}

/* Not even in the padding of its arrays, which sums over weights include. */
static void a_diverged_network_leaves_nothing_in_its_slot(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 4, 6, 16);
  problem_activation(&p, "erf");
  p.optimizer.weight_decay = 0.02;
  p.optimizer.decoupled = true;
  p.optimizer.momentum = 0.8;
  p.rate = 10;
  p.steps = 200;
  esc_results *apart = train(&esc_cpu_padded_engine, &p, 6, 6, 1, 100);
  esc_results *in_turn = train(&esc_cpu_padded_engine, &p, 6, 1, 1, 100);
  assert_int_equal(apart->status[0], ESC_MEMBER_DIVERGED);
  assert_same(apart, in_turn);
  esc_results_free(apart);
  esc_results_free(in_turn);
  problem_free(&p);
}

/* The patterns of a GPU, a CPU and its compilers are different. */
static void every_nan_of_a_result_has_the_same_bits(void **state) {
  (void)state;
  const double expected = (double)NAN;
  int found = 0;
  for (int e = 0; e < 2; e++) {
    esc_problem p = problem_make(3, 8, 8, 8);
    problem_activation(&p, "linear");
    p.rate = 10;
    p.steps = 1000;
    esc_results *r = train(engines[e], &p, 8, 8, 1, 100);
    const double *const column[] = {r->ledger_sum, r->ledger_drift, r->ledger_gross,
                                    r->ledger_residual};
    for (int k = 0; k < 4; k++)
      for (int i = 0; i < 8 * 2; i++) {
        if (!isnan(column[k][i])) continue;
        assert_memory_equal(&column[k][i], &expected, sizeof expected);
        found++;
      }
    esc_results_free(r);
    problem_free(&p);
  }
  assert_true(found > 0);
}

static void a_restored_network_goes_on_to_the_same_bits(void **state) {
  (void)state;
  for (int e = 0; e < 2; e++)
    for (int update = ESC_UPDATE_PLAIN; update <= ESC_UPDATE_COMPENSATED; update++) {
      esc_problem p = problem_make(4, 9, 5, 10);
      p.update = (esc_update)update;
      p.steps = 30;
      p.smoothing = 0.8;
      p.thresholds = 2; /* the first is crossed on the way */
      p.threshold[0] = 0.3;
      p.threshold[1] = 1e-9;
      goes_on_to_the_same_bits(engines[e], engines[e], &p);
      problem_free(&p);
    }
}

#ifndef ESC_TEST_CUDA
static void a_network_goes_on_between_the_paths_of_the_cpu_to_the_same_bits(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 9, 5, 10);
  p.update = ESC_UPDATE_COMPENSATED;
  p.steps = 22;
  goes_on_to_the_same_bits(&esc_cpu_padded_engine, &esc_cpu_interleaved_engine, &p);
  goes_on_to_the_same_bits(&esc_cpu_interleaved_engine, &esc_cpu_padded_engine, &p);
  problem_free(&p);
}

/* Packs of 16 and fewer, single networks beside them, lanes refilled at different steps. */
static void interleaved_networks_have_the_results_of_padded_ones(void **state) {
  (void)state;
  static const int slots[] = {37, 33, 5}, threads[] = {1, 2, 3};
  esc_problem p = problem_make(3, 9, 5, 10);
  p.steps = 60;
  p.smoothing = 0.8;
  p.threshold[0] = 0.2; /* crossed by some, at different steps */
  esc_results *alone = train(&esc_cpu_padded_engine, &p, 37, 4, 1, 1000);
  for (int i = 0; i < 3; i++) {
    esc_results *together = train(&esc_cpu_interleaved_engine, &p, 37, slots[i], threads[i], 7);
    assert_same(alone, together);
    esc_results_free(together);
  }
  esc_results_free(alone);
  problem_free(&p);
}
#endif

#ifdef ESC_TEST_CUDA
/* Path fused has the CPU's bits, so a network may change between them. */
static void a_network_goes_on_between_cpu_and_fused_to_the_same_bits(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 16, 5, 10);
  p.update = ESC_UPDATE_COMPENSATED;
  p.steps = 22;
  goes_on_to_the_same_bits(&esc_cpu_engine, &esc_cuda_fused_engine, &p);
  goes_on_to_the_same_bits(&esc_cuda_fused_engine, &esc_cpu_engine, &p);
  problem_free(&p);
}
#endif

/* Slot 1 waits at step 4 while slot 0, without a limit, goes on in the same block. */
static void a_network_waits_at_its_step_limit_and_goes_on_to_the_same_bits(void **state) {
  (void)state;
  const atomic_bool stop = false;
  for (int e = 0; e < 2; e++) {
    esc_problem p = problem_make(3, 4, 4, 8);
    p.steps = 12;
    esc_results *whole = train(engines[e], &p, 2, 2, 1, 100), *halted = NULL;
    void *engine = NULL;
    esc_assert_ok(esc_results_create(2, p.thresholds, p.shape.layers, &halted));
    esc_assert_ok(
        engines[e]->create(engines[e], &p, &(esc_engine_setup){.slots = 2, .threads = 1}, &engine));
    for (int i = 0; i < 2; i++) {
      const esc_member m = esc_verify_train_member(i);
      esc_assert_ok(engines[e]->load(engine, i, &m));
    }
    engines[e]->limit(engine, 1, 4);
    esc_assert_ok(engines[e]->advance(engine, 9, &stop));
    assert_int_equal(engines[e]->slot(engine, 0)->track.step, 9);
    assert_int_equal(engines[e]->slot(engine, 1)->track.step, 4);
    engines[e]->limit(engine, 1, INT64_MAX);
    esc_assert_ok(engines[e]->advance(engine, 9, &stop));
    for (int i = 0; i < 2; i++) esc_assert_ok(engines[e]->report(engine, i, halted, i));
    assert_same(whole, halted);
    engines[e]->destroy(engine);
    esc_results_free(whole);
    esc_results_free(halted);
    problem_free(&p);
  }
}

static void stopping_leaves_the_members_unfinished(void **state) {
  (void)state;
  for (int e = 0; e < 2; e++) {
    esc_problem p = problem_make(3, 4, 4, 8);
    const esc_member m = member_make(1, 1, 0.5);
    const atomic_bool stop = true;
    void *engine = NULL;
    esc_assert_ok(
        engines[e]->create(engines[e], &p, &(esc_engine_setup){.slots = 2, .threads = 1}, &engine));
    esc_assert_ok(engines[e]->load(engine, 0, &m));
    esc_assert_ok(engines[e]->advance(engine, 1000, &stop));
    assert_false(esc_slot_finished(engines[e]->slot(engine, 0)));
    assert_false(esc_slot_finished(engines[e]->slot(engine, 1)));
    assert_int_equal(engines[e]->slot(engine, 0)->track.step, 0);
    engines[e]->destroy(engine);
    problem_free(&p);
  }
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
      cmocka_unit_test(the_ledger_closes_for_every_activation_loss_and_metric),
      cmocka_unit_test(ledger_sum_is_the_change_of_the_imbalance_of_the_weights),
      cmocka_unit_test(linear_and_relu_networks_drift_at_second_order_in_the_rate_alone),
      cmocka_unit_test(bits_do_not_depend_on_threads_packing_or_blocks),
      cmocka_unit_test(escape_step_is_the_first_crossing_of_the_moving_average),
      cmocka_unit_test(a_threshold_above_the_first_loss_is_crossed_at_step_0),
      cmocka_unit_test(a_run_that_blows_up_is_diverged_not_escaped),
      cmocka_unit_test(a_diverged_network_leaves_nothing_in_its_slot),
      cmocka_unit_test(every_nan_of_a_result_has_the_same_bits),
      cmocka_unit_test(floats_follow_the_reference_to_the_escape),
      cmocka_unit_test(compensated_weights_lose_fewer_updates_and_close_the_ledger_better),
      cmocka_unit_test(a_restored_network_goes_on_to_the_same_bits),
#ifdef ESC_TEST_CUDA
      cmocka_unit_test(a_network_goes_on_between_cpu_and_fused_to_the_same_bits),
#else
      cmocka_unit_test(a_network_goes_on_between_the_paths_of_the_cpu_to_the_same_bits),
      cmocka_unit_test(interleaved_networks_have_the_results_of_padded_ones),
#endif
      cmocka_unit_test(a_network_waits_at_its_step_limit_and_goes_on_to_the_same_bits),
      cmocka_unit_test(stopping_leaves_the_members_unfinished),
  };
  return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
