/* SPDX-License-Identifier: Apache-2.0 */
/* Observables of snapshots: dS/dt against the sum of its three terms, and evaluation in float
 * against the reference. */
#include "escapement/internal/observe.h"

#include <math.h>
#include <stdlib.h>

#include "cpu/evaluate.h"
#include "escapement/internal/model.h"
#include "escapement/internal/theory.h"
#include "verify/fixture.h"
#include "verify/verify.h"

/* Samples for dS/dt, and for the evaluation in float: more than one tile of the CPU engine. */
enum { RATE_SAMPLES = 24, EVALUATION_SAMPLES = 160 };

/* A fixture with an evaluation sample as its batch. */
typedef struct fixture {
  esc_verify_fixture network;
  esc_observer observer;
  esc_eval_sample sample;
  esc_member member;
  double *x, *stepped, *row;
  esc_arena evaluate, observe;
} fixture;

static void close_fixture(fixture *s) {
  esc_verify_fixture_close(&s->network);
  esc_observer_free(&s->observer);
  esc_eval_sample_free(&s->sample);
  esc_arena_free(&s->evaluate);
  free(s->x);
  free(s->stepped);
  esc_arena_free(&s->observe);
  free(s->row);
}

static esc_status open_fixture(const esc_problem *p, int samples, fixture *s) {
  esc_status status = ESC_OK;
  const size_t weights = esc_weight_count(p->shape);
  esc_classification c;
  *s = (fixture){.member = esc_verify_member(3, 2, 0.3)};
  ESC_TRY(esc_verify_fixture_open(p, &s->network));
  const esc_problem *own = &s->network.problem;
  ESC_TRY(esc_classify(&p->activation, &c));
  ESC_TRY(esc_observer_init(&s->observer, own, c.c1, samples));
  ESC_TRY(esc_eval_sample_create(&s->observer, &s->sample));
  ESC_TRY(esc_eval_sample_draw(&s->observer, 3, &s->sample));
  ESC_TRY(esc_arena_create(esc_evaluation_workspace(p->shape), &s->evaluate));
  ESC_TRY_ALLOCATE(s->stepped = calloc(weights, sizeof(double)));
  ESC_TRY(esc_arena_create(esc_observation_workspace(p->shape), &s->observe));
  ESC_TRY_ALLOCATE(s->row = calloc((size_t)esc_observation_length(p->shape.layers), 8));
  ESC_TRY_ALLOCATE(s->x = calloc((size_t)(samples * p->shape.inputs), sizeof(double)));
  for (int i = 0; i < s->sample.samples * p->shape.inputs; i++) s->x[i] = (double)s->sample.x[i];
done:
  return status;
}

static double at(const fixture *s, int observable) {
  return s->row[esc_observable_offset(s->network.problem.shape.layers, observable)];
}

/* S after a step h of the flow along -gamma G. */
static double signal_after(fixture *s, double h) {
  const esc_problem *p = &s->network.problem;
  esc_evaluation r;
  for (int l = 0; l < p->shape.layers; l++) {
    const size_t first = esc_weight_offset(p->shape, l);
    const size_t count = (size_t)esc_fan_out(p->shape, l) * (size_t)esc_fan_in(p->shape, l);
    for (size_t i = first; i < first + count; i++)
      s->stepped[i] = s->network.w[i] - h * esc_metric_gamma(p, l) * s->network.g[i];
  }
  esc_evaluation_compute(&s->observer, &s->sample, s->stepped, s->network.work, &s->evaluate, &r);
  return r.signal;
}

/* Differences of order four over a time in which S moves by 1e-3: h^4 S^(5)/30 and
 * rounding over h are below 1e-10 of the terms. */
static esc_status check_rate(const esc_problem *p, const char *name, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  fixture s;
  esc_evaluation evaluation;
  ESC_TRY(open_fixture(p, RATE_SAMPLES, &s));
  esc_verify_fixture *n = &s.network;
  const esc_batch batch = {.samples = s.sample.samples, .x = s.x};
  esc_gradient gradient = {.g = n->g};
  esc_reference_gradient(&n->problem, s.observer.directions, n->w, &batch, n->work, &gradient);
  esc_evaluation_compute(&s.observer, &s.sample, n->w, n->work, &s.evaluate, &evaluation);
  esc_observation_write(&s.observer, &(esc_observed_network){&s.member, n->w, n->w}, &evaluation,
                        &s.observe, s.row);
  const double drive = at(&s, ESC_OBSERVABLE_drive), second = at(&s, ESC_OBSERVABLE_orthogonal);
  const double third = at(&s, ESC_OBSERVABLE_self_interaction);
  const double size = fabs(drive) + fabs(second) + fabs(third), h = 1e-3 / (1 + size);
  const double near = signal_after(&s, h) - signal_after(&s, -h);
  const double far = signal_after(&s, 2 * h) - signal_after(&s, -2 * h);
  const double rate = (8 * near - far) / (12 * h);
  esc_verify_record(worst, drive + second - third - rate, 1e-10 * (1 + size), "%s", name);
done:
  close_fixture(&s);
  return status;
}

static esc_status signal_rate(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  (void)t;
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++) {
    esc_problem p = esc_verify_problem(4, 6, 5, 8);
    p.activation = esc_verify_activation(kind);
    p.metric = (esc_metric)(kind % ESC_VERIFY_METRICS);
    esc_verify_modes(&p, 2);
    ESC_TRY(check_rate(&p, esc_verify_activation_name(kind), worst));
  }
done:
  return status;
}

/* Sums of some hundred products in float, each good to 1e-7 of its parts. */
static esc_status check_evaluation(const esc_problem *p, const char *name,
                                   esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  esc_cpu_evaluator *fast = NULL;
  esc_evaluation want, got;
  fixture s;
  ESC_TRY(open_fixture(p, EVALUATION_SAMPLES, &s));
  for (size_t i = 0; i < esc_weight_count(p->shape); i++)
    s.network.w[i] = (double)(float)s.network.w[i];
  ESC_TRY(esc_cpu_evaluator_create(&s.network.problem, &fast));
  esc_evaluation_compute(&s.observer, &s.sample, s.network.w, s.network.work, &s.evaluate, &want);
  esc_cpu_evaluate(fast, &s.observer, &s.sample, s.network.w, &got);
  const double f = sqrt(want.output_variance + want.output_mean * want.output_mean);
  esc_verify_record(worst, got.loss - want.loss, 1e-5 * (want.loss + f), "%s, loss", name);
  esc_verify_record(worst, got.signal - want.signal, 1e-5 * f, "%s, S", name);
  for (int l = 0; l < p->shape.layers; l++) {
    const double gamma2 = want.signal_grad_norm_sq[l];
    esc_verify_record(worst, got.signal_grad_norm_sq[l] - gamma2, 5e-5 * gamma2, "%s, |Gamma|^2",
                      name);
    esc_verify_record(worst, got.orthogonal[l] - want.orthogonal[l], 5e-5 * (gamma2 + sqrt(gamma2)),
                      "%s, second term", name);
    esc_verify_record(worst, got.self_interaction[l] - want.self_interaction[l],
                      5e-5 * (gamma2 + sqrt(gamma2) * f), "%s, third term", name);
  }
done:
  esc_cpu_evaluator_free(fast);
  close_fixture(&s);
  return status;
}

static esc_status evaluation_in_float(const esc_verify_target *t, esc_verify_worst *worst) {
  esc_status status = ESC_OK;
  (void)t;
  for (int kind = 0; kind < ESC_ACTIVATION_COUNT; kind++) {
    esc_problem p = esc_verify_problem(4, 17, 9, 8);
    p.activation = esc_verify_activation(kind);
    ESC_TRY(check_evaluation(&p, esc_verify_activation_name(kind), worst));
  }
done:
  return status;
}

const esc_verify_check esc_verify_observables[] = {
    {"dS/dt is the sum of its three terms", signal_rate},
    {"evaluation in float against the reference", evaluation_in_float},
    {0},
};
