/* SPDX-License-Identifier: Apache-2.0 */
/* The imbalance identities, scalar and matrix-valued, over steps of SGD by the
 * reference: exact for every activation, loss and metric, so only rounding is left. */
#include "escapement/internal/identity.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "verify/fixture.h"
#include "verify/train.h"
#include "verify/verify.h"

typedef esc_status one_case(const esc_problem *p, const char *name, esc_verify_worst *worst);

/* Calls check for every activation, loss and metric on `shape`. */
static esc_status every_case(const esc_problem *shape, one_case *check, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++)
    for (int loss = 0; loss < ESC_LOSSES; loss++)
      for (int metric = 0; metric < ESC_VERIFY_METRICS; metric++) {
        char name[64];
        esc_problem p = *shape;
        p.activation = esc_verify_activation(kind);
        p.loss = (esc_loss_kind)loss;
        p.metric = (esc_metric)metric;
        if (metric == ESC_METRIC_NORMALIZED) p.rate /= p.shape.width; /* gamma_1 = N */
        snprintf(name, sizeof name, "%s, %s, %s", esc_verify_activation_name(kind),
                 esc_verify_loss_name(loss), esc_verify_metric_name(metric));
        ESC_TRY(check(&p, name, worst));
      }
done:
  return status;
}

/* 1e-14 of the products that the terms are differences of, where `run` begins to warn:
 * 50 steps, each sum of some thirty terms good to 1e-15. */
static esc_status check_ledger(const esc_problem *p, const char *name, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  const esc_verify_layout layout = {.slots = 2, .threads = 1, .block = 1000};
  esc_results *r = NULL;
  ESC_TRY(esc_verify_train(&esc_reference_engine, p, 2, &layout, &r, NULL));
  for (int i = 0; i < 2 * (p->shape.layers - 1); i++)
    esc_verify_record(worst, r->ledger_residual[i], 1e-14 * r->ledger_gross[i], "%s", name);
done:
  esc_results_free(r);
  return status;
}

static esc_status ledger(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  esc_problem p = esc_verify_problem(4, 6, 5, 8);
  p.rate = 0.01;
  p.steps = 50;
  return every_case(&p, check_ledger, worst);
}

/* (interface, N, N) each: M before and after, R, S. */
typedef struct matrices {
  double *before, *after, *flow, *second;
  size_t count;
} matrices;

static esc_status matrices_create(const esc_problem *p, matrices *m) {
  esc_status status = ESC_OK;
  const size_t width = (size_t)p->shape.width;
  *m = (matrices){.count = (size_t)(p->shape.layers - 1) * width * width};
  ESC_TRY_ALLOCATE(m->before = calloc(4 * m->count, sizeof *m->before));
  m->after = m->before + m->count;
  m->flow = m->after + m->count;
  m->second = m->flow + m->count;
done:
  return status;
}

/* One update by the reference's gradient. */
static void step(esc_verify_fixture *s) {
  const esc_problem *p = &s->problem;
  for (int l = 0; l < p->shape.layers; l++)
    for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++)
      s->w[i] -= p->rate * esc_metric_gamma(p, l) * s->g[i];
}

/* sum_l |W_l|^2/gamma_l, more than any entry of M is a sum of. */
static double size_of(const esc_verify_fixture *s) {
  const esc_problem *p = &s->problem;
  double size = 0;
  for (int l = 0; l < p->shape.layers; l++)
    for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++)
      size += s->w[i] * s->w[i] / esc_metric_gamma(p, l);
  return size;
}

/* The step's change is eta R + eta^2 S. Entries of M, and each weight, carry an ulp. */
static esc_status check_step(esc_verify_fixture *s, matrices *m, const char *name,
                             esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  const double rate = s->problem.rate, size = size_of(s);
  esc_imbalance_matrix(&s->problem, s->w, m->before);
  ESC_TRY(esc_imbalance_flow(&s->problem, s->directions, s->w, &s->batch, m->flow));
  esc_verify_fixture_gradient(s);
  esc_imbalance_second(&s->problem, s->g, m->second);
  step(s);
  esc_imbalance_matrix(&s->problem, s->w, m->after);
  for (size_t i = 0; i < m->count; i++)
    esc_verify_record(worst, m->after[i] - m->before[i] - rate * (m->flow[i] + rate * m->second[i]),
                      16 * DBL_EPSILON * fmax(size, size_of(s)), "%s, entry %zu", name, i);
done:
  return status;
}

enum { STEPS = 4 };

static esc_status check_matrix(const esc_problem *p, const char *name, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  esc_verify_fixture s = {0};
  matrices m = {0};
  ESC_TRY(esc_verify_fixture_open(p, &s));
  ESC_TRY(matrices_create(p, &m));
  for (int k = 0; k < STEPS; k++) ESC_TRY(check_step(&s, &m, name, worst));
done:
  esc_verify_fixture_close(&s);
  free(m.before);
  return status;
}

static esc_problem matrix_problem(void) {
  esc_problem p = esc_verify_problem(4, 5, 3, 7);
  p.rate = 0.02;
  esc_verify_modes(&p, 2);
  return p;
}

static esc_status matrix(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  const esc_problem p = matrix_problem();
  return every_case(&p, check_matrix, worst);
}

/* |G_l| |W_l|: the size of the products whose difference over an interface is the flow. */
static double product_size(const esc_verify_fixture *s, int l) {
  const esc_shape shape = s->problem.shape;
  double norm2 = 0;
  for (size_t i = esc_weight_offset(shape, l); i < esc_weight_offset(shape, l + 1); i++)
    norm2 += s->w[i] * s->w[i];
  return sqrt(norm2 * s->gradient.grad_norm_sq[l]);
}

/* tr R = -2 E[u.kappa] and tr S = gamma_{l+1} |G_{l+1}|^2 - gamma_l |G_l|^2: some hundred
 * terms, each good to an ulp of its size. */
static esc_status check_trace(const esc_problem *p, const char *name, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  esc_verify_fixture s = {0};
  matrices m = {0};
  ESC_TRY(esc_verify_fixture_open(p, &s));
  ESC_TRY(matrices_create(p, &m));
  ESC_TRY(esc_imbalance_flow(p, s.directions, s.w, &s.batch, m.flow));
  esc_verify_fixture_gradient(&s);
  esc_imbalance_second(p, s.g, m.second);
  for (int l = 0; l < p->shape.layers - 1; l++) {
    const double above = esc_metric_gamma(p, l + 1) * s.gradient.grad_norm_sq[l + 1];
    const double below = esc_metric_gamma(p, l) * s.gradient.grad_norm_sq[l];
    esc_verify_record(worst, esc_imbalance_trace(p, m.flow, l) + 2 * s.gradient.deficit[l],
                      100 * DBL_EPSILON * (product_size(&s, l) + product_size(&s, l + 1)),
                      "%s, flow of interface %d", name, l + 1);
    esc_verify_record(worst, esc_imbalance_trace(p, m.second, l) - (above - below),
                      100 * DBL_EPSILON * (above + below), "%s, eta^2 of interface %d", name,
                      l + 1);
  }
done:
  esc_verify_fixture_close(&s);
  free(m.before);
  return status;
}

static esc_status trace(const esc_verify_target *t, esc_verify_worst *worst) {
  (void)t;
  const esc_problem p = matrix_problem();
  return every_case(&p, check_trace, worst);
}

/* If kappa = 0 the flow conserves the imbalance, and its change is of order eta^2. Linear networks
 * conserve all of M, ReLU networks its diagonal. */
static esc_status homogeneous(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  (void)t;
  esc_verify_fixture s = {0};
  matrices m = {0};
  for (int kind = ESC_ACTIVATION_LINEAR; kind <= ESC_ACTIVATION_RELU; kind++) {
    esc_problem p = matrix_problem();
    p.activation = esc_verify_activation(kind);
    ESC_TRY(esc_verify_fixture_open(&p, &s));
    ESC_TRY(matrices_create(&p, &m));
    ESC_TRY(esc_imbalance_flow(&p, s.directions, s.w, &s.batch, m.flow));
    esc_verify_fixture_gradient(&s);
    for (size_t i = 0; i < m.count; i++) {
      const size_t n = (size_t)p.shape.width, l = i / (n * n), row = i / n % n, column = i % n;
      if (kind == ESC_ACTIVATION_RELU && row != column) continue;
      esc_verify_record(worst, m.flow[i], 16 * DBL_EPSILON * product_size(&s, (int)l + 1),
                        "%s, interface %zu", esc_verify_activation_name(kind), l + 1);
    }
    esc_verify_fixture_close(&s);
    free(m.before);
    s = (esc_verify_fixture){0};
    m = (matrices){0};
  }
done:
  esc_verify_fixture_close(&s);
  free(m.before);
  return status;
}

const esc_verify_check esc_verify_identities[] = {
    {"ledger of 50 steps, in double", ledger},
    {"matrix identity: change of a step", matrix},
    {"matrix identity: trace against the ledger", trace},
    {"matrix identity: linear and ReLU, eta^2", homogeneous},
    {0},
};
