/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas: one description measures and carves; what a block's owner writes behind it, or carves
 * beyond what was measured, ends the program. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "escapement/internal/arena.h"
#include "escapement/internal/model.h"
#include "escapement/internal/observe.h"
#include "escapement/internal/theory.h"
#include "problems.h"

/* The arena for blocks of 5 and 3 doubles, then for one of 7 in the place of the second. */
static void describe(esc_arena *a, double **five, double **three, double **seven) {
  *five = ESC_CARVE(a, double, 5);
  const size_t mark = esc_arena_mark(a);
  *three = ESC_CARVE(a, double, 3);
  esc_arena_release(a, mark);
  *seven = ESC_CARVE(a, double, 7);
}

static void open_arena(esc_arena *a) {
  esc_arena measured = {0};
  double *none[3];
  describe(&measured, &none[0], &none[1], &none[2]);
  esc_assert_ok(esc_arena_create(measured, a));
}

static void blocks_are_aligned_apart_and_begin_as_nan(void **state) {
  (void)state;
  esc_arena a;
  double *five, *three, *seven;
  open_arena(&a);
  describe(&a, &five, &three, &seven);
  assert_true((uintptr_t)five % ESC_ARENA_ALIGNMENT == 0);
  assert_true((uintptr_t)seven % ESC_ARENA_ALIGNMENT == 0);
  assert_true(seven >= five + 5 && seven == three);
  for (int i = 0; i < 5; i++) assert_true(isnan(five[i]));
  assert_int_equal(a.used, a.size);
  esc_arena_free(&a);
}

static void the_size_is_the_largest_sum_at_any_time(void **state) {
  (void)state;
  esc_arena a = {0}, b = {0};
  for (int i = 1; i <= 3; i++) {
    ESC_CARVE(&a, double, i == 2 ? 1000 : 10);
    esc_arena_release(&a, 0);
  }
  ESC_CARVE(&b, double, 1000);
  assert_int_equal(a.most, b.most);
}

/* Whether the action ends a child process; its message is discarded. */
static bool is_fatal(void (*act)(void)) {
  int status;
  const pid_t child = fork();
  if (child == 0) {
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGABRT, SIG_DFL);
    if (!freopen("/dev/null", "w", stderr)) _exit(0);
    act();
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* Not known to the compiler. */
static volatile int behind;

static void write_and_free(int index) {
  esc_arena a;
  double *five, *three, *seven;
  open_arena(&a);
  describe(&a, &five, &three, &seven);
  behind = index;
  five[behind] = 1;
  esc_arena_free(&a);
}

static void write_the_last(void) { write_and_free(4); }
static void write_behind_it(void) { write_and_free(5); }
static void write_into_the_guard(void) { write_and_free(15); }

static void write_behind_the_last_block(void) {
  esc_arena a;
  double *five, *three, *seven;
  open_arena(&a);
  describe(&a, &five, &three, &seven);
  behind = 7;
  seven[behind] = 1;
  esc_arena_release(&a, 0);
}

static void carve_more(void) {
  esc_arena a;
  double *five, *three, *seven;
  open_arena(&a);
  describe(&a, &five, &three, &seven);
  ESC_CARVE(&a, char, 1);
}

static void carve_a_product_that_overflows(void) {
  esc_arena measured = {0};
  ESC_CARVE(&measured, double, SIZE_MAX / 4);
}

static void an_overrun_ends_the_program(void **state) {
  (void)state;
  assert_false(is_fatal(write_the_last));
  assert_true(is_fatal(write_behind_it));
  assert_true(is_fatal(write_into_the_guard));
  assert_true(is_fatal(write_behind_the_last_block));
}

static void carving_more_than_was_measured_ends_the_program(void **state) {
  (void)state;
  assert_true(is_fatal(carve_more));
  assert_true(is_fatal(carve_a_product_that_overflows));
}

/* ---- the workspaces in use ---- */

/* As measured, or with memory to spare behind every description. */
static esc_arena workspace(esc_arena measured, bool generous) {
  esc_arena a;
  if (generous) measured.most = 8 * measured.most + 65536;
  esc_assert_ok(esc_arena_create(measured, &a));
  if (generous) {
    char *all = esc_arena_carve(&a, a.size - ESC_ARENA_ALIGNMENT, 1);
    memset(all, 0, a.size - ESC_ARENA_ALIGNMENT);
    esc_arena_release(&a, 0);
  }
  return a;
}

typedef struct numbers {
  double row[2000], signal, signal_error;
} numbers;

/* Everything that uses a workspace, on one network. */
static void compute(const esc_problem *p, double c1, int samples, bool generous, numbers *out) {
  const esc_shape shape = p->shape;
  const esc_member m = member_make(3, 1, 0.3);
  esc_observer o;
  esc_eval_sample sample;
  esc_evaluation r;
  esc_arena observe = workspace(esc_observation_workspace(shape), generous);
  esc_arena evaluate = workspace(esc_evaluation_workspace(shape), generous);
  esc_arena signal = workspace(esc_signal_workspace(shape), generous);
  esc_reference_work *work = esc_reference_work_create(p);
  double *w = calloc(esc_weight_offset(shape, shape.layers), sizeof *w);
  assert_non_null(work);
  assert_non_null(w);
  esc_assert_ok(esc_observer_init(&o, p, c1, samples));
  esc_assert_ok(esc_eval_sample_create(&o, &sample));
  esc_arena_free(&sample.workspace);
  sample.workspace = workspace(esc_eval_sample_workspace(o.samples), generous);
  esc_assert_ok(esc_eval_sample_draw(&o, m.seed, &sample));
  esc_initial_weights(p, &m, o.directions, w);
  memset(out, 0, sizeof *out);
  out->signal = esc_initial_signal(p, &m, o.directions, w, &signal, &out->signal_error);
  esc_evaluation_compute(&o, &sample, w, work, &evaluate, &r);
  esc_observation_write(&o, &(esc_observed_network){&m, w, w}, &r, &observe, out->row);
  esc_arena_free(&observe);
  esc_arena_free(&evaluate);
  esc_arena_free(&signal);
  esc_eval_sample_free(&sample);
  esc_observer_free(&o);
  esc_reference_work_free(work);
  free(w);
}

/* Two layers whose last is the largest workspace, a unit, an input, both ways to a singular value,
 * odd and other activations, samples with and without sampling errors. */
static void tight_workspaces_give_the_numbers_of_generous_ones(void **state) {
  (void)state;
  static const int width[] = {1, 2, 3, 17, 48, 64, 96}, inputs[] = {1, 2, 5, 31, 80};
  static const int kind[] = {ESC_ACTIVATION_TANH, ESC_ACTIVATION_GELU};
  static numbers tight, generous;
  unsigned draw = 1;
  for (int i = 0; i < 60; i++) {
    draw = draw * 1664525U + 1013904223U;
    const int layers = i % 3 ? 2 + (int)(draw >> 24) % 4 : 2;
    const int d = inputs[(draw >> 16) % 5], n = width[(draw >> 8) % 7];
    esc_problem p = problem_make(layers, n, d, 7);
    esc_classification c;
    p.activation.kind = (esc_activation_kind)kind[i % 2];
    esc_assert_ok(esc_classify(&p.activation, &c));
    const int samples = i % 4 ? 2 * d + 2 * (i % 3) : 4 * d + 20;
    compute(&p, c.c1, samples, false, &tight);
    compute(&p, c.c1, samples, true, &generous);
    if (memcmp(&tight, &generous, sizeof tight) != 0)
      fail_msg("%d layers of %d units, %d inputs, %d samples", layers, n, d, samples);
    problem_free(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_are_aligned_apart_and_begin_as_nan),
      cmocka_unit_test(the_size_is_the_largest_sum_at_any_time),
      cmocka_unit_test(an_overrun_ends_the_program),
      cmocka_unit_test(carving_more_than_was_measured_ends_the_program),
      cmocka_unit_test(tight_workspaces_give_the_numbers_of_generous_ones),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
