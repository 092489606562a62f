/* SPDX-License-Identifier: Apache-2.0 */
/* Problems and members for tests. */
#ifndef ESC_PROBLEMS_H
#define ESC_PROBLEMS_H

#include "check.h"
#include "escapement/internal/problem.h"

enum { ACTIVATIONS = 12 };
static const char *const activation_names[ACTIVATIONS] = {
    "linear", "relu",     "tanh",    "erf",          "sin",         "gelu",
    "swish",  "softplus", "sigmoid", "softplus-raw", "sigmoid-raw", "poly:0.1,0.9,-0.2,0.05"};

/* One He-normal network, L=3, N=8, d=8, B=16, tanh, single teacher mode; tests
 * change what they are about. Free with problem_free. */
static inline esc_problem problem_make(int layers, int width, int inputs, int batch) {
  esc_problem p = {.shape = {layers, width, inputs},
                   .teacher = {.modes = 1, .amplitude = {1}},
                   .scale_modes = 1,
                   .rate = 0.05,
                   .batch = batch,
                   .steps = 1000000,
                   .huber_delta = 0.3,
                   .thresholds = 1,
                   .threshold = {1e-9},
                   .run_seed = 1};
  p.activation.kind = ESC_ACTIVATION_TANH;
  p.scale = malloc((size_t)layers * ESC_MODES_MAX * sizeof *p.scale);
  assert_non_null(p.scale);
  for (int i = 0; i < layers * ESC_MODES_MAX; i++) p.scale[i] = 1;
  return p;
}

static inline void problem_free(esc_problem *p) { free(p->scale); }

static inline void problem_activation(esc_problem *p, const char *name) {
  assert_true(esc_activation_parse(name, &p->activation));
}

/* The first r layers at `scale`. */
static inline esc_member member_make(uint64_t seed, int bottleneck, double scale) {
  return (esc_member){.seed = seed,
                      .bottleneck = bottleneck,
                      .small_layers = (UINT64_C(1) << bottleneck) - 1,
                      .scale = scale};
}

#endif
