/* SPDX-License-Identifier: Apache-2.0 */
/* Networks that train interleaved, one in each SIMD lane, have the bits of networks that train
 * alone: weights, moments, events and ledger, whatever the other lanes hold. */
#include "cpu/interleaved.h"
#include "optimizers.h"
#include "problems.h"

enum { NETWORKS = 5, STEPS = 4 };

/* The same networks twice: one copy trains alone, the other interleaved. */
typedef struct twins {
  esc_cpu_shared shared;
  esc_cpu_work *work;
  esc_interleaved *pack;
  esc_cpu_network alone[NETWORKS], interleaved[NETWORKS];
} twins;

static const atomic_bool stop = false;

static void start(twins *t, esc_cpu_network *net, int i) {
  const esc_member m = member_make(70 + (uint64_t)i, 1, 0.8);
  esc_assert_ok(esc_cpu_network_create(&t->shared, net));
  esc_slot_load(&net->slot, &m);
  esc_slot_start(&net->slot, &t->shared.model, t->work->weights, &t->work->signal);
  esc_cpu_network_set(&t->shared, net, t->work->weights);
  /* Every network is at another step when they meet. */
  esc_cpu_isa_find(NULL)->train(&t->shared, net, t->work, i, &stop);
}

static twins *twins_make(const esc_problem *p) {
  twins *t = calloc(1, sizeof *t);
  assert_non_null(t);
  esc_assert_ok(esc_cpu_shared_init(&t->shared, p));
  esc_assert_ok(esc_cpu_work_create(&t->shared, &t->work));
  esc_assert_ok(esc_interleaved_create(&t->shared, &t->pack));
  for (int i = 0; i < NETWORKS; i++) {
    start(t, &t->alone[i], i);
    start(t, &t->interleaved[i], i);
  }
  return t;
}

static void twins_free(twins *t) {
  for (int i = 0; i < NETWORKS; i++) {
    esc_cpu_network_free(&t->alone[i]);
    esc_cpu_network_free(&t->interleaved[i]);
  }
  esc_interleaved_free(t->pack);
  esc_cpu_work_free(t->work);
  esc_cpu_shared_free(&t->shared);
  free(t);
}

static void assert_same_array(const float *a, const float *b, size_t count) {
  assert_int_equal(a != NULL, b != NULL);
  if (a) assert_memory_equal(a, b, count * sizeof *a);
}

static void assert_twins_equal(const twins *t) {
  const int layers = t->shared.problem->shape.layers;
  const size_t weights = t->shared.layout.w[layers];
  for (int i = 0; i < NETWORKS; i++) {
    const esc_cpu_network *a = &t->alone[i], *b = &t->interleaved[i];
    assert_same_array(a->w, b->w, weights);
    assert_same_array(a->wt, b->wt, t->shared.layout.wt[layers]);
    assert_same_array(a->compensation, b->compensation, weights);
    assert_same_array(a->velocity, b->velocity, weights);
    assert_same_array(a->second_moment, b->second_moment, weights);
    assert_memory_equal(&a->slot.track, &b->slot.track, sizeof a->slot.track);
  }
}

static void train_twins(twins *t, const esc_cpu_isa *isa) {
  esc_cpu_network *list[NETWORKS];
  for (int i = 0; i < NETWORKS; i++) {
    list[i] = &t->interleaved[i];
    isa->train(&t->shared, &t->alone[i], t->work, STEPS, &stop);
  }
  isa->train_interleaved(&t->shared, list, NETWORKS, t->pack, STEPS, &stop);
}

static void check_with(const esc_problem *p, const esc_cpu_isa *isa) {
  twins *t = twins_make(p);
  train_twins(t, isa);
  assert_twins_equal(t);
  twins_free(t);
}

static void check(const esc_problem *p) { check_with(p, esc_cpu_isa_find(NULL)); }

static void every_activation_and_loss_has_the_same_bits(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++)
    for (int loss = ESC_LOSS_SQUARED; loss < ESC_LOSSES; loss++) {
      esc_problem p = problem_make(3, 7, 5, 21);
      problem_activation(&p, activation_names[a]);
      p.loss = (esc_loss_kind)loss;
      check(&p);
      problem_free(&p);
    }
}

static void every_optimizer_and_update_has_the_same_bits(void **state) {
  (void)state;
  for (int i = -1; i < OPTIMIZERS; i++)
    for (int update = ESC_UPDATE_PLAIN; update <= ESC_UPDATE_COMPENSATED; update++) {
      esc_problem p = problem_make(3, 18, 5, 20);
      if (i >= 0) p.optimizer = optimizers[i].optimizer;
      p.update = (esc_update)update;
      check(&p);
      problem_free(&p);
    }
}

static void every_shape_has_the_same_bits(void **state) {
  (void)state;
  static const int width[] = {1, 3, 8, 17, 32, 33}, inputs[] = {1, 4, 6, 33}, layers[] = {2, 5};
  static const int batch[] = {1, 7, 16, 64, 65, 130};
  for (size_t n = 0; n < 6; n++)
    for (size_t d = 0; d < 4; d++)
      for (size_t b = 0; b < 6; b++) {
        esc_problem p = problem_make(layers[(n + d + b) % 2], width[n], inputs[d], batch[b]);
        check(&p);
        problem_free(&p);
      }
}

static void several_accumulation_blocks_have_the_same_bits(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 5, 3, 2 * ESC_ACCUMULATION_BLOCK + 90);
  check(&p);
  problem_free(&p);
}

static void every_teacher_has_the_same_bits(void **state) {
  (void)state;
  for (int directions = ESC_DIRECTIONS_AXES; directions <= ESC_DIRECTIONS_RANDOM; directions++) {
    esc_problem p = problem_make(3, 6, 19, 33);
    p.teacher = (esc_teacher){
        .modes = 3, .amplitude = {1, -0.7, 0.4}, .directions = (esc_directions)directions};
    check(&p);
    problem_free(&p);
  }
}

static void every_instruction_set_has_the_same_bits(void **state) {
  (void)state;
  static const char *const names[] = {"generic", "avx2", "avx512"};
  for (int i = 0; i < 3; i++) {
    const esc_cpu_isa *isa = esc_cpu_isa_find(names[i]);
    esc_problem p = problem_make(4, 9, 6, 40);
    if (isa) check_with(&p, isa);
    problem_free(&p);
  }
}

/* Number of networks that have finished with this status. */
static int finished(const twins *t, esc_member_status status) {
  int count = 0;
  for (int i = 0; i < NETWORKS; i++)
    count += t->interleaved[i].slot.track.finished == ESC_TRACK_FINISHED &&
             t->interleaved[i].slot.track.status == (int32_t)status;
  return count;
}

static void a_network_stops_at_its_own_step(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 8, 8, 16);
  p.steps = STEPS + 1; /* network i has made i of them: 0 continues, the others end one by one */
  twins *t = twins_make(&p);
  train_twins(t, esc_cpu_isa_find(NULL));
  assert_twins_equal(t);
  assert_int_equal(finished(t, ESC_MEMBER_CENSORED), NETWORKS - 1);
  train_twins(t, esc_cpu_isa_find(NULL)); /* beside finished ones */
  assert_twins_equal(t);
  assert_int_equal(finished(t, ESC_MEMBER_CENSORED), NETWORKS);
  twins_free(t);
  problem_free(&p);
}

static void a_diverged_network_does_not_disturb_the_others(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 8, 8, 16);
  twins *t = twins_make(&p);
  const size_t output = t->shared.layout.w[2];
  t->alone[2].w[output] = t->interleaved[2].w[output] = INFINITY;
  train_twins(t, esc_cpu_isa_find(NULL));
  assert_twins_equal(t);
  assert_int_equal(finished(t, ESC_MEMBER_DIVERGED), 1);
  twins_free(t);
  problem_free(&p);
}

/* The padded path has inf * 0 = NaN in the padding of its gradient then. */
static void a_network_that_overflows_has_the_same_counts(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 9, 15, 1);
  problem_activation(&p, "softplus-raw");
  p.rate = 5;
  twins *t = twins_make(&p);
  for (int k = 0; k < 10; k++) train_twins(t, esc_cpu_isa_find(NULL));
  assert_true(finished(t, ESC_MEMBER_DIVERGED) > 0);
  for (int i = 0; i < NETWORKS; i++) {
    const esc_track *a = &t->alone[i].slot.track, *b = &t->interleaved[i].slot.track;
    assert_int_equal(a->nonzero_updates, b->nonzero_updates);
    assert_int_equal(a->rounded_away, b->rounded_away);
  }
  twins_free(t);
  problem_free(&p);
}

static void a_network_pauses_at_its_threshold_alone(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 8, 8, 16);
  p.pauses_at_escape = true;
  p.thresholds = 2;
  p.smoothing = 0.5;
  p.threshold[0] = 0.25; /* between the networks' losses */
  p.threshold[1] = 1e-9;
  twins *t = twins_make(&p);
  int paused = 0;
  train_twins(t, esc_cpu_isa_find(NULL));
  assert_twins_equal(t);
  for (int i = 0; i < NETWORKS; i++) paused += esc_slot_is_paused(&t->interleaved[i].slot);
  assert_in_range(paused, 1, NETWORKS - 1);
  twins_free(t);
  problem_free(&p);
}

static void a_set_stop_flag_ends_before_the_next_step(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 8, 8, 16);
  twins *t = twins_make(&p);
  const atomic_bool stopped = true;
  esc_cpu_network *list[] = {&t->interleaved[3]};
  esc_cpu_isa_find(NULL)->train_interleaved(&t->shared, list, 1, t->pack, STEPS, &stopped);
  assert_int_equal(t->interleaved[3].slot.track.step, 3);
  assert_twins_equal(t);
  twins_free(t);
  problem_free(&p);
}

static bool pays(const esc_cpu_isa *isa, int width, int inputs) {
  esc_problem p = problem_make(6, width, inputs, 64);
  const bool yes = esc_interleaved_pays(isa, &p);
  problem_free(&p);
  return yes;
}

/* Narrow networks whose padded rows would be empty for a good part, and that fit into any cache. */
static void the_path_is_chosen_by_the_shape(void **state) {
  (void)state;
  static const char *const names[] = {"generic", "avx2", "avx512"};
  for (int i = 0; i < 3; i++) {
    const esc_cpu_isa *isa = esc_cpu_isa_find(names[i]);
    if (!isa) continue;
    assert_true(pays(isa, 8, 8));
    assert_false(pays(isa, 16, 16));
    assert_false(pays(isa, 48, 48));
    assert_false(pays(isa, 49, 49));
    assert_false(pays(isa, 8, 1000000));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_path_is_chosen_by_the_shape),
      cmocka_unit_test(every_activation_and_loss_has_the_same_bits),
      cmocka_unit_test(every_optimizer_and_update_has_the_same_bits),
      cmocka_unit_test(every_shape_has_the_same_bits),
      cmocka_unit_test(several_accumulation_blocks_have_the_same_bits),
      cmocka_unit_test(every_teacher_has_the_same_bits),
      cmocka_unit_test(every_instruction_set_has_the_same_bits),
      cmocka_unit_test(a_network_stops_at_its_own_step),
      cmocka_unit_test(a_diverged_network_does_not_disturb_the_others),
      cmocka_unit_test(a_network_that_overflows_has_the_same_counts),
      cmocka_unit_test(a_network_pauses_at_its_threshold_alone),
      cmocka_unit_test(a_set_stop_flag_ends_before_the_next_step),
  };
  return cmocka_run_group_tests_name("interleaved", tests, NULL, NULL);
}
