/* SPDX-License-Identifier: Apache-2.0 */
/* Initialisations, teacher directions and inputs. */
#include "escapement/internal/activation.h"
#include "escapement/internal/model.h"
#include "escapement/internal/reference.h"
#include "problems.h"

static double entry(const esc_problem *p, const double *w, int l, int i, int j) {
  return w[esc_weight_offset(p->shape, l) + (size_t)(i * esc_fan_in(p->shape, l) + j)];
}

static void he_normal_entries_have_variance_two_over_fan_in_times_scale_squared(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 200, 50, 1);
  const size_t count = esc_weight_offset(p.shape, 3);
  double *w = calloc(count, sizeof *w), v[50];
  const esc_member m = member_make(5, 1, 0.1);
  esc_teacher_directions(&p, v);
  esc_initial_weights(&p, &m, v, w);
  static const double want[2] = {0.01 * 2 / 50, 2.0 / 200};
  for (int l = 0; l < 2; l++) {
    const size_t from = esc_weight_offset(p.shape, l), n = esc_weight_offset(p.shape, l + 1) - from;
    double sum = 0, square = 0;
    for (size_t i = from; i < from + n; i++) {
      sum += w[i];
      square += w[i] * w[i];
    }
    /* five standard errors: sd of the mean sigma/sqrt n, of the variance sigma^2 sqrt(2/n) */
    esc_assert_close(sum / (double)n, 0, 5 * sqrt(want[l] / (double)n), 0);
    esc_assert_close(square / (double)n, want[l], 0, 5 * sqrt(2 / (double)n));
  }
  free(w);
  problem_free(&p);
}

/* "If the same seeds serve every scale the points are paired." */
static void the_same_seed_at_two_scales_differs_by_the_scale_alone(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 7, 5, 1);
  double a[200], b[200], v[5];
  const esc_member one = member_make(9, 2, 0.5), other = member_make(9, 2, 0.25);
  esc_teacher_directions(&p, v);
  esc_initial_weights(&p, &one, v, a);
  esc_initial_weights(&p, &other, v, b);
  for (size_t i = 0; i < esc_weight_offset(p.shape, 2); i++) esc_assert_close(b[i], a[i] / 2, 0, 0);
  for (size_t i = esc_weight_offset(p.shape, 2); i < esc_weight_offset(p.shape, 3); i++)
    esc_assert_close(b[i], a[i], 0, 0);
  problem_free(&p);
}

static void symmetric_start_has_the_scalar_chain_as_its_output(void **state) {
  (void)state;
  esc_problem p = problem_make(4, 6, 3, 1);
  p.scheme = ESC_SCHEME_SYMMETRIC;
  p.teacher.directions = ESC_DIRECTIONS_RANDOM;
  static const double s[4] = {.7, .4, .9, .5};
  memcpy(p.scale, s, sizeof s);
  double w[200], v[3];
  const esc_member m = member_make(1, 0, 1);
  const double x[3] = {.3, -1.2, .8};
  esc_teacher_directions(&p, v);
  esc_initial_weights(&p, &m, v, w);
  esc_reference_work *work = esc_reference_work_create(&p);
  assert_non_null(work);
  const double g = v[0] * x[0] + v[1] * x[1] + v[2] * x[2];
  const double chain = s[3] * tanh(s[2] * tanh(s[1] * tanh(s[0] * g)));
  esc_assert_close(esc_reference_output(&p, w, x, work), chain, 0, 1e-14);
  esc_reference_work_free(work);
  problem_free(&p);
}

static void block_start_couples_only_within_blocks(void **state) {
  (void)state;
  esc_problem p = problem_make(3, 6, 4, 1);
  p.scheme = ESC_SCHEME_BLOCKS;
  p.teacher.modes = 2;
  p.scale_modes = 2;
  static const double s[6] = {.1, .2, .3, .4, .5, .6}; /* (mode, layer) */
  memcpy(p.scale, s, sizeof s);
  double w[100], v[8];
  const esc_member m = member_make(1, 0, 1);
  esc_teacher_directions(&p, v);
  esc_initial_weights(&p, &m, v, w);
  for (int i = 0; i < 6; i++) {
    const int k = i / 3;
    for (int j = 0; j < 4; j++)
      esc_assert_close(entry(&p, w, 0, i, j), j == k ? s[3 * k] : 0, 0, 0);
    for (int j = 0; j < 6; j++)
      esc_assert_close(entry(&p, w, 1, i, j), j / 3 == k ? s[3 * k + 1] / 3 : 0, 0, 1e-16);
    esc_assert_close(entry(&p, w, 2, 0, i), s[3 * k + 2] / 3, 0, 1e-16);
  }
  problem_free(&p);
}

static void random_directions_are_orthonormal(void **state) {
  (void)state;
  esc_problem p = problem_make(2, 4, 9, 1);
  p.teacher.modes = 5;
  p.teacher.directions = ESC_DIRECTIONS_RANDOM;
  double v[45];
  esc_teacher_directions(&p, v);
  for (int i = 0; i < 5; i++)
    for (int j = 0; j < 5; j++) {
      double product = 0;
      for (int k = 0; k < 9; k++) product += v[9 * i + k] * v[9 * j + k];
      esc_assert_close(product, i == j, 1e-15, 1e-14);
    }
  problem_free(&p);
}

static void inputs_do_not_depend_on_how_a_minibatch_is_cut(void **state) {
  (void)state;
  float whole[7 * 5], part[7 * 5];
  esc_draw_inputs(3, 11, 0, 7, 5, whole);
  esc_draw_inputs(3, 11, 0, 4, 5, part);
  esc_draw_inputs(3, 11, 4, 3, 5, part + (ptrdiff_t)4 * 5);
  assert_memory_equal(whole, part, sizeof whole);
  esc_draw_inputs(3, 12, 0, 7, 5, part);
  assert_memory_not_equal(whole, part, sizeof whole);
  esc_draw_inputs(4, 11, 0, 7, 5, part);
  assert_memory_not_equal(whole, part, sizeof whole);
}

typedef struct signal {
  double got, error, want, rms; /* want, rms: E[(v.x) f] and sqrt(E[f^2]) */
} signal;

/* f(x) by the definition. */
static double output(const esc_problem *p, const double *w, const double *x) {
  double h[2][16];
  memcpy(h[0], x, 2 * sizeof *x);
  for (int l = 0; l < p->shape.layers; l++)
    for (int i = 0; i < esc_fan_out(p->shape, l); i++) {
      const int fan_in = esc_fan_in(p->shape, l);
      const double *row = w + esc_weight_offset(p->shape, l) + (size_t)(i * fan_in);
      double z = 0;
      for (int j = 0; j < fan_in; j++) z += row[j] * h[l % 2][j];
      h[(l + 1) % 2][i] = l == p->shape.layers - 1 ? z : esc_activate_f64(&p->activation, z).value;
    }
  return h[p->shape.layers % 2][0];
}

/* S(0) of a member with two inputs, and by the trapezoid rule over the plane with this step, good
 * to 1e-9 with .2, to 1e-15 with .1, but for ReLU's kinks. */
static signal signal_of(const esc_problem *p, const esc_member *m, double step) {
  double w[2000], directions[4], v[2];
  esc_arena workspace;
  signal s = {0};
  esc_assert_ok(esc_arena_create(esc_signal_workspace(p->shape), &workspace));
  assert_true(esc_weight_offset(p->shape, p->shape.layers) <= 2000);
  esc_teacher_directions(p, directions);
  esc_linear_direction(p, directions, v);
  esc_initial_weights(p, m, directions, w);
  s.got = esc_initial_signal(p, m, directions, w, &workspace, &s.error);
  const int half = (int)((step < .2 ? 8.6 : 7.2) / step + .5);
  for (int i = -half; i <= half; i++)
    for (int j = -half; j <= half; j++) {
      const double x[2] = {i * step, j * step};
      const double mass = step * step / (2 * acos(-1)) * exp(-(x[0] * x[0] + x[1] * x[1]) / 2);
      const double f = output(p, w, x);
      s.want += mass * (v[0] * x[0] + v[1] * x[1]) * f;
      s.rms += mass * f * f;
    }
  s.rms = sqrt(s.rms);
  esc_arena_free(&workspace);
  return s;
}

/* With one hidden layer the control variate is the derivative itself: no sampling is left, and the
 * error that is stated is that of the known mean (it was 1e-17 where that was off by 1e-8). */
static void initial_signal_of_two_layers_is_exact(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++) {
    if (!strcmp(activation_names[a], "relu")) continue; /* the rule above meets its kinks */
    esc_problem p = problem_make(2, 9, 2, 1);
    problem_activation(&p, activation_names[a]);
    const esc_member m = member_make((uint64_t)a, 0, 1);
    const signal s = signal_of(&p, &m, .1);
    esc_assert_close(s.got, s.want, 2 * s.error, 0);
    esc_assert_close(s.error, 0, 1e-13 * s.rms, 0);
    problem_free(&p);
  }
}

/* With small first layers the network is nearly linear: the error is far below 1e-3. */
static void initial_signal_is_the_plane_integral_where_layers_are_small(void **state) {
  (void)state;
  for (int a = 0; a < ACTIVATIONS; a++) {
    esc_problem p = problem_make(5, 12, 2, 1);
    problem_activation(&p, activation_names[a]);
    const esc_member m = member_make((uint64_t)a, 3, 0.05);
    const signal s = signal_of(&p, &m, .2);
    if (!strcmp(activation_names[a], "relu")) /* homogeneous: no scale makes it linear */
      esc_assert_close(s.got, s.want, 5 * s.error + 2e-3 * s.rms, 0);
    else
      esc_assert_close(s.got, s.want, 1e-3 * s.rms, 0);
    problem_free(&p);
  }
}

/* Layers 2 and 3 small behind a layer that is not; none small: 1 in 20 beyond two errors. */
static void initial_signal_has_the_error_that_it_states(void **state) {
  (void)state;
  const char *const name[] = {"tanh", "gelu", "sin", "softplus-raw"};
  for (size_t a = 0; a < sizeof name / sizeof name[0]; a++)
    for (int small = 0; small < 2; small++) {
      enum { SEEDS = 40 };
      int beyond = 0;
      for (uint64_t seed = 0; seed < SEEDS; seed++) {
        esc_problem p = problem_make(5, 12, 2, 1);
        problem_activation(&p, name[a]);
        esc_member m = member_make(seed, 2, 0.05);
        m.small_layers = small ? 6 : 0;
        const signal s = signal_of(&p, &m, .2);
        if (!(fabs(s.got - s.want) <= 2 * s.error + 1e-8 * s.rms)) beyond++;
        problem_free(&p);
      }
      assert_in_range(beyond, 0, 7); /* of 40 at 1/20: more than 7 by chance in 1 of 700 */
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(he_normal_entries_have_variance_two_over_fan_in_times_scale_squared),
      cmocka_unit_test(the_same_seed_at_two_scales_differs_by_the_scale_alone),
      cmocka_unit_test(symmetric_start_has_the_scalar_chain_as_its_output),
      cmocka_unit_test(block_start_couples_only_within_blocks),
      cmocka_unit_test(random_directions_are_orthonormal),
      cmocka_unit_test(inputs_do_not_depend_on_how_a_minibatch_is_cut),
      cmocka_unit_test(initial_signal_of_two_layers_is_exact),
      cmocka_unit_test(initial_signal_is_the_plane_integral_where_layers_are_small),
      cmocka_unit_test(initial_signal_has_the_error_that_it_states),
  };
  return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
