/* SPDX-License-Identifier: Apache-2.0 */
/* The initialisations. */
#include <math.h>
#include <string.h>

#include "escapement/internal/initial.h"
#include "escapement/internal/model.h"
#include "escapement/internal/stream.h"

static void he_normal(const esc_problem *p, const esc_member *m, int l, double *w) {
  const uint64_t fan_in = (uint64_t)esc_fan_in(p->shape, l);
  const uint64_t rows = (uint64_t)esc_fan_out(p->shape, l);
  const double deviation = esc_layer_scale(p, m, 0, l) * sqrt(2.0 / (double)fan_in);
  float normal[ESC_WIDTH_MAX > ESC_INPUTS_MAX ? ESC_WIDTH_MAX : ESC_INPUTS_MAX];
  for (uint64_t i = 0; i < rows; i++) {
    esc_normals_fill((esc_stream){m->seed, ESC_DOMAIN_INIT, 0, (uint32_t)l}, i * fan_in, fan_in,
                     normal);
    for (uint64_t j = 0; j < fan_in; j++) w[i * fan_in + j] = deviation * (double)normal[j];
  }
}

/* Blocks of n = N/K hidden units, one a mode; the symmetric start is K = 1. */
static void blocks(const esc_problem *p, const esc_member *m, const double *directions, int l,
                   double *w) {
  const int fan_in = esc_fan_in(p->shape, l), rows = esc_fan_out(p->shape, l);
  const int n = p->shape.width / p->teacher.modes;
  const int last = p->shape.layers - 1;
  memset(w, 0, (size_t)rows * (size_t)fan_in * sizeof *w);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < fan_in; j++) {
      const int from = l == 0 ? i / n : j / n; /* the mode that the entry serves */
      const double s = esc_layer_scale(p, m, from, l);
      double *entry = &w[(size_t)i * (size_t)fan_in + (size_t)j];
      if (l == 0)
        *entry = s * directions[(size_t)from * (size_t)fan_in + (size_t)j];
      else if (l == last || i / n == from)
        *entry = s / n;
    }
}

static void copy_from_file(const esc_problem *p, const esc_member *m, double *weights) {
  const esc_initial_networks none = {.match = ESC_INIT_MATCH_INDEX,
                                     .weights = esc_weight_count(p->shape)};
  esc_initial_networks_copy(p->initial ? p->initial : &none, m, weights);
}

void esc_initial_weights(const esc_problem *p, const esc_member *m, const double *directions,
                         double *weights) {
  if (p->scheme == ESC_SCHEME_FILE) {
    copy_from_file(p, m, weights);
    return;
  }
  for (int l = 0; l < p->shape.layers; l++) {
    double *w = weights + esc_weight_offset(p->shape, l);
    if (p->scheme == ESC_SCHEME_HE_NORMAL)
      he_normal(p, m, l, w);
    else
      blocks(p, m, directions, l, w);
  }
}
