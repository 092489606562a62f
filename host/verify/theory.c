/* SPDX-License-Identifier: Apache-2.0 */
/* Theory: constants and escape times against numbers of an independent program (docs/theory,
 * section 9), and the reference engine with quadrature nodes as its batch against the reduced ODE,
 * which is exact on the symmetric manifold for every width. */
#include "escapement/internal/theory.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/model.h"
#include "verify/fixture.h"
#include "verify/verify.h"

/* docs/theory, section 9.1 has 12 decimals of c_1 and 9 of C. */
static esc_status constants(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  static const struct {
    int kind;
    double c1, a1, correction;
  } row[] = {
      {ESC_ACTIVATION_TANH, 0.605705509602, 1, -0.799905306},
      {ESC_ACTIVATION_ERF, 0.651470015871, 1.128379167096, -7.0 / 9},
      {ESC_ACTIVATION_SIN, 0.606530659712633, 1, -1.0 / 3},
      {ESC_ACTIVATION_GELU, 0.5, 0.5, 1.125395395},
      {ESC_ACTIVATION_SWISH, 0.5, 0.5, 0.557466408},
      {ESC_ACTIVATION_SIGMOID, 0.206620964142, 0.25, -0.224834562},
  };
  esc_status status = ESC_OK;
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    const esc_activation a = esc_verify_activation(row[i].kind);
    const char *name = esc_verify_activation_name(row[i].kind);
    esc_classification c;
    ESC_TRY(esc_classify(&a, &c));
    esc_verify_record(worst, c.c1 - row[i].c1, 1e-12, "c_1 of %s", name);
    esc_verify_record(worst, c.a[1] - row[i].a1, 1e-12, "a_1 of %s", name);
    esc_verify_record(worst, c.correction - row[i].correction, 1e-9, "C of %s", name);
  }
done:
  return status;
}

typedef struct escape_row {
  int kind, layers;
  double amplitude, scale[5], to, ode, closed;
} escape_row;

/* Two of class B, one each of C and A, a bottleneck with a suffix, unequal scales, L = 2. */
static const escape_row escapes[] = {
    {ESC_ACTIVATION_TANH, 4, 1, {.1, .1, .1, .1}, .5, 83.3964319, 79.2464312},
    {ESC_ACTIVATION_SIN, 5, 1.5, {.05, .05, .05, .05, .05}, .4, 2935.09058, 2925.33531},
    {ESC_ACTIVATION_GELU, 4, 1, {.1, .1, .1, .1}, .5, 598.136458, 768},
    {ESC_ACTIVATION_LINEAR, 3, 1, {.1, .1, .1}, .5, 8.12678553, 8},
    {ESC_ACTIVATION_TANH, 5, 1, {.02, .02, .02, 1, 1}, .5, 80.1847907, 78.5451251},
    {ESC_ACTIVATION_TANH, 4, 2, {.1, .15, .2, .3}, .6, 12.7062432, 11.3345160},
    {ESC_ACTIVATION_TANH, 2, 1, {.01, .01}, .3, 5.89727183, 5.61526572},
};

/* docs/theory, section 9.2 has nine digits. */
static esc_status escape_times(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_status status = ESC_OK;
  for (size_t i = 0; i < sizeof escapes / sizeof escapes[0]; i++) {
    const escape_row *row = &escapes[i];
    const char *name = esc_verify_activation_name(row->kind);
    esc_escape_times got;
    esc_escape_problem p = {.activation = esc_verify_activation(row->kind),
                            .amplitude = row->amplitude,
                            .layers = row->layers,
                            .to = row->to};
    memcpy(p.scale, row->scale, sizeof row->scale);
    ESC_TRY(esc_escape_times_find(&p, &got));
    esc_verify_record(worst, got.ode - row->ode, 1e-8 * row->ode, "ODE: %s, L=%d", name, p.layers);
    esc_verify_record(worst, got.closed - row->closed, 1e-8 * row->closed, "closed: %s, L=%d", name,
                      p.layers);
  }
done:
  return status;
}

/* tanh L=4, 0.01 to 0.3: 8253.05036 in docs/theory, section 4.6. And large layers before a
 * bottleneck, of which the third layer is watched: the leaf's integral and the drive's average by
 * an independent program. */
static esc_status corrected(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_status status = ESC_OK;
  static const struct {
    int kind, layers, layer;
    double amplitude, scale[5], want;
  } row[] = {
      {ESC_ACTIVATION_TANH, 4, 0, 1, {.01, .01, .01, .01}, 8253.05036},
      {ESC_ACTIVATION_GELU, 5, 2, 1.1, {1.2, .9, .05, .06, .05}, 128.6835487159},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    const char *name = esc_verify_activation_name(row[i].kind);
    esc_escape_times got;
    esc_escape_problem p = {.activation = esc_verify_activation(row[i].kind),
                            .amplitude = row[i].amplitude,
                            .layers = row[i].layers,
                            .to = .3,
                            .layer = row[i].layer};
    memcpy(p.scale, row[i].scale, sizeof row[i].scale);
    ESC_TRY(esc_escape_times_find(&p, &got));
    esc_verify_record(worst, got.corrected - row[i].want, 1e-9 * row[i].want, "%s, L=%d", name,
                      p.layers);
  }
done:
  return status;
}

/* A network on the manifold whose batch is a Gaussian rule along v. */
typedef struct bridge {
  esc_verify_fixture fixture; /* x and weight are those of the rule */
  esc_escape_problem reduced;
  esc_quadrature rule; /* along v */
  double *x;
} bridge;

enum { WIDTH = 4, INPUTS = 3, WEIGHTS_MAX = WIDTH * INPUTS + 2 * WIDTH * WIDTH + WIDTH };
static const double unbalanced[4] = {.7, .3, .9, .5};

static void bridge_close(bridge *b) {
  esc_verify_fixture_close(&b->fixture);
  esc_quadrature_free(&b->rule);
  free(b->x);
}

static esc_status bridge_open(int kind, int layers, bridge *b) {
  esc_status status = ESC_OK;
  esc_problem p = esc_verify_problem(layers, WIDTH, INPUTS, 1);
  const esc_member member = esc_verify_member(1, 0, 1);
  double scale[4];
  *b = (bridge){.rule = {0}};
  memcpy(scale, unbalanced, sizeof scale);
  p.activation = esc_verify_activation(kind);
  p.scheme = ESC_SCHEME_SYMMETRIC;
  p.metric = ESC_METRIC_NORMALIZED;
  p.scale = scale;
  esc_verify_modes(&p, 1);
  p.teacher.amplitude[0] = 1.3;
  ESC_TRY(esc_verify_fixture_open(&p, &b->fixture));
  esc_initial_weights(&p, &member, b->fixture.directions, b->fixture.w);
  b->fixture.problem.scale = NULL; /* it goes out of scope, and is not needed any more */
  b->reduced = (esc_escape_problem){
      .activation = p.activation, .amplitude = 1.3, .layers = layers, .to = 0.5};
  memcpy(b->reduced.scale, unbalanced, sizeof unbalanced);
  ESC_TRY(esc_gaussian_rule(&p.activation, layers, 1.5, 1e-12, &b->rule));
  ESC_TRY_ALLOCATE(b->x = calloc((size_t)b->rule.count * INPUTS, sizeof *b->x));
  for (int i = 0; i < b->rule.count; i++)
    for (int j = 0; j < INPUTS; j++)
      b->x[INPUTS * i + j] = b->rule.node[i] * b->fixture.directions[j];
  b->fixture.batch = (esc_batch){.samples = b->rule.count, .x = b->x, .weight = b->rule.weight};
done:
  return status;
}

/* s_l of an array like the weights: W_1 v averaged, sums of entries over N. */
static double scale_of(const bridge *b, const double *w, int l) {
  const esc_shape s = b->fixture.problem.shape;
  double sum = 0;
  for (size_t i = esc_weight_offset(s, l); i < esc_weight_offset(s, l + 1); i++)
    sum += l == 0 ? w[i] * b->fixture.directions[i % INPUTS] : w[i];
  return l == s.layers - 1 ? sum : sum / s.width;
}

/* dW/dt = -gamma G at the fixture's weights. */
static void flow(bridge *b, double *rate) {
  const esc_problem *p = &b->fixture.problem;
  esc_verify_fixture_gradient(&b->fixture);
  for (int l = 0; l < p->shape.layers; l++)
    for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++)
      rate[i] = -esc_metric_gamma(p, l) * b->fixture.g[i];
}

/* Both are sums over the same nodes, of terms up to 1 with weights that sum to 1: only
 * rounding differs, some ulps of 1. */
static esc_status reduced_flow(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_status status = ESC_OK;
  bridge b = {.rule = {0}};
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++)
    for (int layers = 2; layers <= 4; layers++) {
      double rate[WEIGHTS_MAX], rhs[4];
      ESC_TRY(bridge_open(kind, layers, &b));
      flow(&b, rate);
      esc_reduced_rhs(&b.reduced, &b.rule, unbalanced, rhs, NULL);
      for (int l = 0; l < layers; l++)
        esc_verify_record(worst, scale_of(&b, rate, l) - rhs[l],
                          32 * DBL_EPSILON * (1 + fabs(rhs[l])), "%s, L=%d, layer %d",
                          esc_verify_activation_name(kind), layers, l + 1);
      bridge_close(&b);
      b = (bridge){.rule = {0}};
    }
done:
  bridge_close(&b);
  return status;
}

/* Classical Runge-Kutta on all weights: error h^4. */
static void runge_kutta(bridge *b, double h, size_t count) {
  static const double share[4] = {0, .5, .5, 1}, weight[4] = {1, 2, 2, 1};
  double k[WEIGHTS_MAX] = {0}, start[WEIGHTS_MAX], sum[WEIGHTS_MAX] = {0};
  memcpy(start, b->fixture.w, count * sizeof *start);
  for (int stage = 0; stage < 4; stage++) {
    for (size_t i = 0; i < count; i++) b->fixture.w[i] = start[i] + h * share[stage] * k[i];
    flow(b, k);
    for (size_t i = 0; i < count; i++) sum[i] += weight[stage] * k[i];
  }
  for (size_t i = 0; i < count; i++) b->fixture.w[i] = start[i] + h / 6 * sum[i];
}

/* 2 units of time, in which scales double: h = 0.01 leaves h^4 = 1e-8 times derivatives
 * of order 1/10. */
static esc_status trajectory(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  static const int kinds[2] = {ESC_ACTIVATION_TANH, ESC_ACTIVATION_GELU};
  esc_status status = ESC_OK;
  bridge b = {.rule = {0}};
  for (int i = 0; i < 2; i++) {
    const double time = 2;
    double scale[3], loss;
    ESC_TRY(bridge_open(kinds[i], 3, &b));
    ESC_TRY(esc_reduced_trajectory(&b.reduced, 1, &time, scale, &loss));
    for (int k = 0; k < 200; k++)
      runge_kutta(&b, 0.01, esc_weight_offset(b.fixture.problem.shape, 3));
    esc_verify_fixture_gradient(&b.fixture);
    const char *name = esc_verify_activation_name(kinds[i]);
    for (int l = 0; l < 3; l++)
      esc_verify_record(worst, scale_of(&b, b.fixture.w, l) - scale[l], 1e-8 * scale[l],
                        "%s, layer %d", name, l + 1);
    esc_verify_record(worst, b.fixture.gradient.loss - loss, 1e-8 * loss, "%s, loss", name);
    bridge_close(&b);
    b = (bridge){.rule = {0}};
  }
done:
  bridge_close(&b);
  return status;
}

const esc_verify_check esc_verify_theory[] = {
    {"constants of activations", constants},
    {"escape times: ODE, closed form", escape_times},
    {"escape times: corrected", corrected},
    {"manifold: flow of the network against the ODE", reduced_flow},
    {"manifold: trajectory against the ODE", trajectory},
    {0},
};
