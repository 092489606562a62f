/* SPDX-License-Identifier: Apache-2.0 */
#include "verify/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/model.h"

const char *esc_verify_activation_name(int kind) {
  return esc_activation_kind_name((esc_activation_kind)kind);
}

const char *esc_verify_loss_name(int loss) {
  return loss == ESC_LOSS_SQUARED ? "squared" : loss == ESC_LOSS_LOGISTIC ? "logistic" : "huber";
}

const char *esc_verify_metric_name(int metric) {
  return metric == ESC_METRIC_EUCLIDEAN ? "euclidean" : "normalized";
}

esc_activation esc_verify_activation(int kind) {
  esc_activation a = {.kind = (esc_activation_kind)kind};
  if (kind != ESC_ACTIVATION_POLYNOMIAL) return a;
  a.terms = 4;
  memcpy(a.coefficient, (double[4]){0.1, 0.9, -0.1, 0.02}, 4 * sizeof(double));
  return a;
}

/* (mode, layer) scales of 1; never written, although a problem has no const pointer. */
static double ones[ESC_MODES_MAX * ESC_LAYERS_MAX];

static double *unit_scales(void) {
  for (size_t i = 0; i < sizeof ones / sizeof ones[0]; i++) ones[i] = 1;
  return ones;
}

esc_problem esc_verify_problem(int layers, int width, int inputs, int batch) {
  return (esc_problem){.shape = {layers, width, inputs},
                       .activation = {.kind = ESC_ACTIVATION_TANH},
                       .teacher = {.modes = 1, .amplitude = {1}},
                       .scale = unit_scales(),
                       .scale_modes = 1,
                       .rate = 0.05,
                       .batch = batch,
                       .steps = 1000000,
                       .huber_delta = 0.3,
                       .thresholds = 1,
                       .threshold = {1e-9},
                       .run_seed = 1};
}

void esc_verify_modes(esc_problem *p, int modes) {
  p->teacher.modes = modes;
  p->teacher.directions = ESC_DIRECTIONS_RANDOM;
  for (int k = 0; k < modes; k++) p->teacher.amplitude[k] = k % 2 ? -1.4 / (k + 1) : 1.0 / (k + 1);
}

esc_member esc_verify_member(uint64_t seed, int bottleneck, double scale) {
  return (esc_member){.seed = seed,
                      .bottleneck = bottleneck,
                      .small_layers = (UINT64_C(1) << bottleneck) - 1,
                      .scale = scale};
}

void esc_verify_fixture_close(esc_verify_fixture *s) {
  esc_reference_work_free(s->work);
  free(s->w);
  free(s->g);
  free(s->directions);
  free(s->x);
  free(s->weight);
}

static void fill(esc_verify_fixture *s, size_t weights) {
  const esc_problem *p = &s->problem;
  const double width = p->shape.width;
  double total = 0;
  for (size_t i = 0; i < weights; i++)
    s->w[i] = sqrt(3 / width) * sin(1.3 * (double)i + 0.2 + 0.01 * (double)(i * i % 97));
  for (int i = 0; i < p->batch * p->shape.inputs; i++) s->x[i] = 1.3 * cos(2.1 * i + 0.4);
  for (int b = 0; b < p->batch; b++) total += s->weight[b] = 1 + 0.5 * sin(b + 1);
  for (int b = 0; b < p->batch; b++) s->weight[b] /= total;
}

esc_status esc_verify_fixture_open(const esc_problem *p, esc_verify_fixture *s) {
  esc_status status = ESC_OK;
  const size_t weights = esc_weight_count(p->shape), batch = (size_t)p->batch;
  const size_t inputs = (size_t)p->shape.inputs;
  *s = (esc_verify_fixture){.problem = *p};
  ESC_TRY_ALLOCATE(s->w = calloc(weights, sizeof *s->w));
  ESC_TRY_ALLOCATE(s->g = calloc(weights, sizeof *s->g));
  ESC_TRY_ALLOCATE(s->directions = calloc((size_t)p->teacher.modes * inputs, sizeof(double)));
  ESC_TRY_ALLOCATE(s->x = calloc(batch * inputs, sizeof *s->x));
  ESC_TRY_ALLOCATE(s->weight = calloc(batch, sizeof *s->weight));
  ESC_TRY_ALLOCATE(s->work = esc_reference_work_create(p));
  esc_teacher_directions(p, s->directions);
  fill(s, weights);
  s->batch = (esc_batch){.samples = p->batch, .x = s->x, .weight = s->weight};
  s->gradient.g = s->g;
done:
  return status;
}

void esc_verify_fixture_gradient(esc_verify_fixture *s) {
  esc_reference_gradient(&s->problem, s->directions, s->w, &s->batch, s->work, &s->gradient);
}
