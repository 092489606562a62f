/* SPDX-License-Identifier: Apache-2.0 */
/* The teacher's directions v_k. */
#include <math.h>
#include <string.h>

#include "escapement/internal/model.h"
#include "escapement/internal/stream.h"

/* Classical Gram-Schmidt twice is as good as Householder at these sizes. */
static void orthonormalise(double *directions, int k, int inputs) {
  double *v = directions + (size_t)k * (size_t)inputs;
  for (int pass = 0; pass < 2; pass++)
    for (int j = 0; j < k; j++) {
      const double *u = directions + (size_t)j * (size_t)inputs;
      double overlap = 0;
      for (int i = 0; i < inputs; i++) overlap += u[i] * v[i];
      for (int i = 0; i < inputs; i++) v[i] -= overlap * u[i];
    }
  double norm2 = 0;
  for (int i = 0; i < inputs; i++) norm2 += v[i] * v[i];
  for (int i = 0; i < inputs; i++) v[i] /= sqrt(norm2);
}

void esc_teacher_directions(const esc_problem *problem, double *directions) {
  const int modes = problem->teacher.modes, inputs = problem->shape.inputs;
  memset(directions, 0, (size_t)modes * (size_t)inputs * sizeof *directions);
  for (int k = 0; k < modes; k++) {
    double *v = directions + (size_t)k * (size_t)inputs;
    if (problem->teacher.directions == ESC_DIRECTIONS_AXES) {
      v[k] = 1;
      continue;
    }
    float normal[ESC_INPUTS_MAX];
    esc_normals_fill((esc_stream){problem->run_seed, ESC_DOMAIN_TEACHER, 0, (uint32_t)k}, 0,
                     (uint64_t)inputs, normal);
    for (int i = 0; i < inputs; i++) v[i] = (double)normal[i];
    orthonormalise(directions, k, inputs);
  }
}
