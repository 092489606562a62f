/* SPDX-License-Identifier: Apache-2.0 */
/* A whole network against the block reduction (docs/theory, section 6.2): block-initialised, with
 * the grid's nodes as a weighted batch, the reference engine's gradient flow escapes when level 2
 * says, and when levels 0 and 1 do not. */
#include "escapement/internal/blocks.h"
#include "escapement/internal/model.h"
#include "escapement/internal/reference.h"
#include "problems.h"

enum { N = 4, K = 2, L = 4, UNITS = N / K, WEIGHTS = N * K + (L - 2) * N * N + N };

static const double scale[K][L] = {{.3, .35, .3, .4}, {.4, .3, .3, .3}};

typedef struct bridge {
  esc_problem problem;
  esc_block_problem reduced;
  esc_block_grid grid;
  double axes[K * K], w[WEIGHTS];
  double *x, *weight;
  esc_batch batch;
  esc_reference_work *work;
} bridge;

/* Nodes of a grid that stand for their mirror images too are there twice. */
static void fill_batch(bridge *b, bool mirrored) {
  const int nodes = b->grid.nodes, samples = mirrored ? 2 * nodes : nodes;
  b->x = calloc((size_t)samples * K, sizeof *b->x);
  b->weight = calloc((size_t)samples, sizeof *b->weight);
  for (int s = 0; s < samples; s++) {
    b->weight[s] = b->grid.weight[s % nodes] / (mirrored ? 2 : 1);
    for (int i = 0; i < K; i++)
      for (int k = 0; k < K; k++)
        b->x[s * K + i] +=
            (s < nodes ? 1 : -1) * b->grid.g[k * nodes + s % nodes] * b->axes[k * K + i];
  }
  b->batch = (esc_batch){.samples = samples, .x = b->x, .weight = b->weight};
}

static void bridge_open(bridge *b, const char *activation, bool odd) {
  *b = (bridge){
      .problem = problem_make(L, N, K, 1),
      .reduced = {.modes = K, .layers = L, .amplitude = {1.5, 1}, .level = ESC_BLOCK_EXACT}};
  esc_problem *p = &b->problem;
  problem_activation(p, activation);
  p->scheme = ESC_SCHEME_BLOCKS;
  p->scale_modes = K;
  p->metric = ESC_METRIC_NORMALIZED;
  p->teacher =
      (esc_teacher){.modes = K, .amplitude = {1.5, 1}, .directions = ESC_DIRECTIONS_RANDOM};
  b->reduced.activation = p->activation;
  for (int k = 0; k < K; k++)
    for (int l = 0; l < L; l++) {
      b->reduced.scale[k][l] = scale[k][l];
      p->scale[k * L + l] = scale[k][l];
    }
  esc_teacher_directions(p, b->axes);
  esc_assert_ok(esc_block_grid_create(&b->reduced, 1, &b->grid));
  fill_batch(b, odd);
  const esc_member m = member_make(1, 0, 1);
  esc_initial_weights(p, &m, b->axes, b->w);
  b->work = esc_reference_work_create(p);
  assert_non_null(b->work);
}

static void bridge_close(bridge *b) {
  esc_reference_work_free(b->work);
  esc_block_grid_free(&b->grid);
  free(b->x);
  free(b->weight);
  problem_free(&b->problem);
}

static void flow(bridge *b, const double *w, double *rate) {
  esc_gradient gradient = {.g = rate};
  esc_reference_gradient(&b->problem, b->axes, w, &b->batch, b->work, &gradient);
  for (int l = 0; l < L; l++)
    for (size_t i = esc_weight_offset(b->problem.shape, l);
         i < esc_weight_offset(b->problem.shape, l + 1); i++)
      rate[i] *= -esc_metric_gamma(&b->problem, l);
}

/* Classical Runge-Kutta to t: error of order h^4. */
static void integrate(bridge *b, double t, int steps) {
  static const double share[4] = {0, .5, .5, 1}, part[4] = {1, 2, 2, 1};
  const double h = t / steps;
  for (int s = 0; s < steps; s++) {
    double rate[WEIGHTS] = {0}, at[WEIGHTS], sum[WEIGHTS] = {0};
    for (int stage = 0; stage < 4; stage++) {
      for (int i = 0; i < WEIGHTS; i++) at[i] = b->w[i] + h * share[stage] * rate[i];
      flow(b, at, rate);
      for (int i = 0; i < WEIGHTS; i++) sum[i] += h / 6 * part[stage] * rate[i];
    }
    for (int i = 0; i < WEIGHTS; i++) b->w[i] += sum[i];
  }
}

/* The reduction's state from sums over blocks; weights of layer 1 along the directions. */
static void reduce(const bridge *b, double *a) {
  const esc_shape s = b->problem.shape;
  memset(a, 0, (size_t)esc_block_size(&b->reduced) * sizeof *a);
  for (int l = 0; l < L; l++)
    for (int r = 0; r < esc_fan_out(s, l); r++)
      for (int c = 0; c < esc_fan_in(s, l); c++) {
        const double w = b->w[esc_weight_offset(s, l) + (size_t)(r * esc_fan_in(s, l) + c)];
        const int row = l == L - 1 ? 0 : r / UNITS;
        if (l == 0)
          for (int k = 0; k < K; k++) a[row * K + k] += w * b->axes[k * K + c] / UNITS;
        else
          a[l * K * K + row * K + c / UNITS] += l == L - 1 ? w : w / UNITS;
      }
}

/* Mode 0's S over its final value when the whole network has trained to t. */
static double progress_at(bridge *b, double t, int steps) {
  double a[64];
  esc_block_signals at;
  integrate(b, t, steps);
  reduce(b, a);
  esc_assert_ok(esc_block_flow(&b->reduced, &b->grid, a, NULL, &at));
  /* The final value: the teacher's own S_0. */
  double c1 = 0;
  for (int i = 0; i < b->grid.nodes; i++)
    c1 += b->grid.weight[i] * b->grid.g[i] * b->grid.target[i];
  return at.s[0] / c1;
}

static void check(const char *activation, bool odd, int lowest) {
  for (int level = lowest; level <= 2; level++) {
    bridge b;
    esc_block_times times;
    bridge_open(&b, activation, odd);
    esc_block_problem closed = b.reduced;
    closed.level = (esc_block_level)level;
    esc_assert_ok(esc_block_times_find(&closed, &times));
    const double progress = progress_at(&b, times.escape[0], level == 2 ? 300 : 60);
    if (level == 2)
      esc_assert_close(progress, 0.5, 2e-6, 0); /* of order h^4 */
    else
      assert_true(progress > 0.6);
    bridge_close(&b);
  }
}

static void a_whole_network_escapes_with_level_two_and_before_the_others(void **state) {
  (void)state;
  check("tanh", true, 0);
  check("swish", false, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_whole_network_escapes_with_level_two_and_before_the_others),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
