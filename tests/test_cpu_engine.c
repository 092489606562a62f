/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU engine's gradients, losses and ledger terms against the reference,
 * and its bits across instruction sets. */
#include "cpu/network.h"
#include "escapement/internal/model.h"
#include "escapement/internal/reference.h"
#include "problems.h"

typedef struct pair {
  esc_problem *problem;
  esc_cpu_shared shared;
  esc_cpu_network network;
  esc_cpu_work *work;
  double *w, *g, *x, *directions, *got;
  float *x32;
  esc_gradient want;
  size_t weights, inputs;
} pair;

static void pair_open_as(pair *t, esc_problem *p, uint64_t seed, const esc_cpu_layout *layout) {
  const esc_member m = member_make(seed, 1, 0.8);
  *t = (pair){.problem = p,
              .weights = esc_weight_offset(p->shape, p->shape.layers),
              .inputs = (size_t)p->batch * (size_t)p->shape.inputs};
  esc_assert_ok(esc_cpu_shared_init(&t->shared, p));
  if (layout) t->shared.layout = *layout;
  esc_assert_ok(esc_cpu_network_create(&t->shared, &t->network));
  esc_assert_ok(esc_cpu_work_create(&t->shared, &t->work));
  t->w = calloc(t->weights, sizeof(double));
  t->g = calloc(t->weights, sizeof(double));
  t->got = calloc(t->weights, sizeof(double));
  t->x = calloc(t->inputs, sizeof(double));
  t->x32 = calloc(t->inputs, sizeof(float));
  t->directions = calloc((size_t)p->teacher.modes * (size_t)p->shape.inputs, sizeof(double));
  esc_teacher_directions(p, t->directions);
  esc_initial_weights(p, &m, t->directions, t->w);
  esc_cpu_network_set(&t->shared, &t->network, t->w);
  esc_cpu_network_get(&t->shared, t->network.w, t->w); /* rounded to float */
  esc_slot_load(&t->network.slot, &m);
  esc_draw_inputs(seed, 0, 0, p->batch, p->shape.inputs, t->x32);
  for (size_t i = 0; i < t->inputs; i++) t->x[i] = (double)t->x32[i];
}

static void pair_open(pair *t, esc_problem *p, uint64_t seed) { pair_open_as(t, p, seed, NULL); }

static void pair_close(pair *t) {
  esc_cpu_network_free(&t->network);
  esc_cpu_work_free(t->work);
  esc_cpu_shared_free(&t->shared);
  free(t->w);
  free(t->g);
  free(t->got);
  free(t->x);
  free(t->x32);
  free(t->directions);
}

/* Runs both; leaves the float gradient in t->got. Inputs are given, or drawn. */
static void pair_run(pair *t, const esc_cpu_isa *isa, bool drawn) {
  esc_reference_work *work = esc_reference_work_create(t->problem);
  assert_non_null(work);
  t->want.g = t->g;
  const esc_batch batch = {.samples = t->problem->batch, .x = t->x};
  esc_reference_gradient(t->problem, t->directions, t->w, &batch, work, &t->want);
  esc_reference_work_free(work);
  isa->gradient(&t->shared, &t->network, drawn ? NULL : t->x32, t->work);
  esc_cpu_network_get(&t->shared, t->work->g, t->got);
}

/* Every sum of n products in float is off by about eps sqrt(n) of their size, and
 * errors add up over the layers passed; a factor 20 over that typical error. The
 * scale is the layer's largest entry, and no less than 0.01: where f - T or the
 * mean over the minibatch cancels, the error is that of the terms. */
static double tolerance(const pair *t, int l) {
  const esc_problem *p = t->problem;
  double largest = 0;
  for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++)
    largest = fmax(largest, fabs(t->g[i]));
  return 20 * 6e-8 * p->shape.layers * sqrt(p->shape.width + p->shape.inputs + p->batch) *
         (largest + 0.01);
}

static void compare(const pair *t) {
  const esc_problem *p = t->problem;
  /* Twice the error of f over f - T: 2.1e-6 occurs for a linear network in a minibatch of one. */
  esc_assert_close(t->work->loss, t->want.loss, 1e-7, 5e-6);
  for (int l = 0; l < p->shape.layers; l++) {
    const double allowed = tolerance(t, l);
    for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++)
      esc_assert_close(t->got[i], t->g[i], allowed, 0);
    const double size = sqrt(t->want.grad_norm_sq[l]);
    const double entries = esc_fan_in(p->shape, l) * esc_fan_out(p->shape, l);
    esc_assert_close(sqrt(t->work->grad_norm_sq[l]), size, allowed * sqrt(entries), 0);
    if (l < p->shape.layers - 1)
      esc_assert_close(t->work->deficit_sum[l], t->want.deficit[l],
                       allowed * sqrt(p->shape.width) + 1e-6, 2e-5);
  }
}

static void check(esc_problem *p) {
  pair t;
  pair_open(&t, p, 3);
  pair_run(&t, esc_cpu_isa_find(NULL), false);
  compare(&t);
  pair_close(&t);
}

static void every_activation_and_loss_agrees_with_the_reference(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int loss = ESC_LOSS_SQUARED; loss < ESC_LOSSES; loss++) {
      esc_problem p = problem_make(4, 17, 9, 70);
      problem_activation(&p, activation_names[a]);
      p.loss = (esc_loss_kind)loss;
      check(&p);
      problem_free(&p);
    }
}

/* Not the polynomial: composed five times at width 100 its values reach 1e29. */
static void awkward_shapes_agree_with_the_reference(void **state) {
  (void)state;
  static const int width[] = {1, 3, 16, 17, 33, 64, 100}, inputs[] = {1, 2, 5, 32, 65};
  static const int batch[] = {1, 7, 64, 65}, layers[] = {2, 3, 5};
  for (size_t n = 0; n < 7; n++)
    for (size_t d = 0; d < 5; d++)
      for (size_t b = 0; b < 4; b++)
        for (size_t l = 0; l < 3; l++) {
          esc_problem p = problem_make(layers[l], width[n], inputs[d], batch[b]);
          problem_activation(&p, activation_names[(n + d + b + l) % (ACTIVATIONS - 1)]);
          check(&p);
          problem_free(&p);
        }
}

static void a_minibatch_of_several_accumulation_blocks_agrees_with_the_reference(void **state) {
  (void)state;
  for (int width = 30; width <= 90; width += 30) { /* four, two and one K-slice */
    esc_problem p = problem_make(3, width, 5, 2 * ESC_ACCUMULATION_BLOCK + 90);
    check(&p);
    problem_free(&p);
  }
}

static void every_scheme_and_teacher_agrees_with_the_reference(void **state) {
  (void)state;
  for (int scheme = ESC_SCHEME_HE_NORMAL; scheme <= ESC_SCHEME_BLOCKS; scheme++)
    for (int directions = ESC_DIRECTIONS_AXES; directions <= ESC_DIRECTIONS_RANDOM; directions++) {
      esc_problem p = problem_make(3, 12, 7, 33);
      p.scheme = (esc_scheme)scheme;
      p.teacher.directions = (esc_directions)directions;
      p.teacher.modes = scheme == ESC_SCHEME_SYMMETRIC ? 1 : 3;
      p.teacher.amplitude[1] = -0.7;
      p.teacher.amplitude[2] = 0.4;
      check(&p);
      problem_free(&p);
    }
}

/* The engine's own vectorised draw is esc_draw_inputs, to the bit. */
static void drawn_inputs_are_the_models_inputs(void **state) {
  (void)state;
  static const int inputs[] = {1, 3, 4, 5, 16, 33};
  for (size_t d = 0; d < 6; d++) {
    esc_problem p = problem_make(3, 5, inputs[d], 100);
    pair given, drawn;
    pair_open(&given, &p, 7);
    pair_open(&drawn, &p, 7);
    pair_run(&given, esc_cpu_isa_find(NULL), false);
    pair_run(&drawn, esc_cpu_isa_find(NULL), true);
    assert_memory_equal(given.got, drawn.got, given.weights * sizeof(double));
    pair_close(&given);
    pair_close(&drawn);
    problem_free(&p);
  }
}

static void all_instruction_sets_give_the_same_bits(void **state) {
  (void)state;
  static const char *const names[] = {"generic", "avx2", "avx512"};
  for (int a = 0; a < ACTIVATIONS; a++) {
    esc_problem p = problem_make(4, 33, 21, 70);
    problem_activation(&p, activation_names[a]);
    double *first = NULL;
    pair t;
    for (int i = 0; i < 3; i++) {
      const esc_cpu_isa *isa = esc_cpu_isa_find(names[i]);
      if (!isa) {
        if (a == 0) print_message("skipped: this machine has no %s\n", names[i]);
        continue;
      }
      pair_open(&t, &p, 5);
      pair_run(&t, isa, true);
      if (first) assert_memory_equal(t.got, first, t.weights * sizeof(double));
      if (!first) {
        first = malloc(t.weights * sizeof(double));
        memcpy(first, t.got, t.weights * sizeof(double));
      }
      pair_close(&t);
    }
    free(first);
    problem_free(&p);
  }
}

static void wide_networks_agree_with_the_reference(void **state) {
  (void)state;
  static const esc_shape shape[] = {{2, 160, 3}, {3, 161, 40}, {4, 170, 1}, {3, 200, 33}};
  static const int batch[] = {64, 130, 7, 65};
  for (int i = 0; i < 4; i++) {
    esc_problem p = problem_make(shape[i].layers, shape[i].width, shape[i].inputs, batch[i]);
    assert_true(p.shape.width >= ESC_FEATURE_MAJOR_WIDTH);
    problem_activation(&p, activation_names[i]);
    check(&p);
    problem_free(&p);
  }
}

/* Trains a network of either layout, and leaves its weights and then its compensation in `w`. */
static void train_as(esc_problem *p, bool feature_major, const esc_cpu_isa *isa, double *w,
                     esc_cpu_work *sums) {
  const atomic_bool stop = false;
  esc_cpu_layout layout;
  pair t;
  esc_cpu_layout_init_as(&layout, p->shape, feature_major);
  pair_open_as(&t, p, 9, &layout);
  isa->train(&t.shared, &t.network, t.work, 3, &stop);
  assert_int_equal(t.network.slot.track.step, 3);
  esc_cpu_network_get(&t.shared, t.network.w, w);
  if (t.network.compensation) esc_cpu_network_get(&t.shared, t.network.compensation, w + t.weights);
  *sums = *t.work;
  pair_close(&t);
}

static void assert_same_training(esc_problem *p, const esc_cpu_isa *isa) {
  const size_t weights = esc_weight_count(p->shape), bytes = 2 * weights * sizeof(double);
  double *const w[] = {calloc(2 * weights, sizeof(double)), calloc(2 * weights, sizeof(double))};
  esc_cpu_work sums[2];
  for (int k = 0; k < 2; k++) train_as(p, k == 1, isa, w[k], &sums[k]);
  assert_memory_equal(w[0], w[1], bytes);
  assert_memory_equal(&sums[0].loss, &sums[1].loss, sizeof sums[0].loss);
  assert_memory_equal(sums[0].deficit_sum, sums[1].deficit_sum,
                      (size_t)(p->shape.layers - 1) * sizeof(double));
  assert_memory_equal(sums[0].grad_norm_sq, sums[1].grad_norm_sq,
                      (size_t)p->shape.layers * sizeof(double));
  free(w[0]);
  free(w[1]);
}

/* One sample to several accumulation blocks, one to several panels of rows; fused with the update
 * or not; on every instruction set. */
static void both_layouts_of_activations_give_the_same_bits(void **state) {
  (void)state;
  static const char *const names[] = {"generic", "avx2", "avx512"};
  static const int width[] = {65, 70, 100, 129, 68}, batch[] = {1, 64, 70, 130, 1100};
  for (int i = 0; i < 15; i++) {
    const esc_cpu_isa *isa = esc_cpu_isa_find(names[i % 3]);
    if (!isa) continue;
    esc_problem p = problem_make(2 + i % 3, width[i % 5], 1 + 7 * i, batch[i % 5]);
    problem_activation(&p, activation_names[i % (ACTIVATIONS - 1)]);
    p.rate = 1e-3;
    p.update = i % 2 ? ESC_UPDATE_PLAIN : ESC_UPDATE_COMPENSATED;
    if (i % 4 == 3) p.optimizer.momentum = 0.9;
    assert_same_training(&p, isa);
    problem_free(&p);
  }
}

/* Padding must stay out of the arithmetic also where sigma(0) != 0. */
static void padding_stays_zero(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 3, 2, 5);
  problem_activation(&p, "sigmoid-raw");
  pair t;
  pair_open(&t, &p, 2);
  const atomic_bool stop = false;
  esc_cpu_isa_find(NULL)->train(&t.shared, &t.network, t.work, 10, &stop);
  for (int l = 0; l < 3; l++)
    for (int n = 0; n < esc_fan_out(p.shape, l); n++)
      for (int k = esc_fan_in(p.shape, l); k < t.shared.layout.in_pad[l]; k++)
        esc_assert_close(
            (double)t.network.w[t.shared.layout.w[l] + (size_t)(n * t.shared.layout.in_pad[l] + k)],
            0, 0, 0);
  assert_int_equal(t.network.slot.track.step, 10);
  pair_close(&t);
  problem_free(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_activation_and_loss_agrees_with_the_reference),
      cmocka_unit_test(awkward_shapes_agree_with_the_reference),
      cmocka_unit_test(a_minibatch_of_several_accumulation_blocks_agrees_with_the_reference),
      cmocka_unit_test(every_scheme_and_teacher_agrees_with_the_reference),
      cmocka_unit_test(drawn_inputs_are_the_models_inputs),
      cmocka_unit_test(all_instruction_sets_give_the_same_bits),
      cmocka_unit_test(wide_networks_agree_with_the_reference),
      cmocka_unit_test(both_layouts_of_activations_give_the_same_bits),
      cmocka_unit_test(padding_stays_zero),
  };
  return cmocka_run_group_tests_name("cpu engine", tests, NULL, NULL);
}
