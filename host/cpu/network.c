/* SPDX-License-Identifier: Apache-2.0 */
/* Layout and memory of the CPU engine. */
#include "cpu/network.h"

#include <stdlib.h>
#include <string.h>

#include "escapement/internal/model.h"

/* Zeroed, because padding must be 0. */
static float *carve_floats(esc_arena *a, size_t count) {
  float *const block = ESC_CARVE(a, float, count);
  return block ? memset(block, 0, count * sizeof *block) : NULL;
}

void esc_cpu_layout_init_as(esc_cpu_layout *layout, esc_shape shape, bool feature_major) {
  layout->feature_major = feature_major;
  layout->w[0] = layout->wt[0] = 0;
  for (int l = 0; l < shape.layers; l++) {
    const bool transposed = l < shape.layers - 1 && !layout->feature_major;
    const size_t rows = (size_t)esc_fan_out(shape, l);
    layout->in_pad[l] = esc_padded(esc_fan_in(shape, l));
    layout->out_pad[l] = esc_padded(esc_fan_out(shape, l));
    layout->w[l + 1] = layout->w[l] + rows * (size_t)layout->in_pad[l];
    layout->wt[l + 1] =
        layout->wt[l] + (transposed ? (size_t)layout->in_pad[l] * (size_t)layout->out_pad[l] : 0);
  }
}

void esc_cpu_layout_init(esc_cpu_layout *layout, esc_shape shape) {
  esc_cpu_layout_init_as(layout, shape, shape.layers > 1 && shape.width >= ESC_FEATURE_MAJOR_WIDTH);
}

esc_status esc_cpu_shared_init(esc_cpu_shared *shared, const esc_problem *p) {
  esc_status status = ESC_OK;
  const size_t inputs = (size_t)p->shape.inputs, row = (size_t)esc_padded(p->shape.inputs);
  float *direction = NULL;
  memset(shared, 0, sizeof *shared);
  shared->problem = p;
  esc_cpu_layout_init(&shared->layout, p->shape);
  ESC_TRY_ALLOCATE(direction = calloc((size_t)p->teacher.modes * row, sizeof *direction));
  ESC_TRY(esc_model_init(&shared->model, p, true));
  esc_track_rules_init(&shared->rules, p, true);
  for (size_t k = 0; k < (size_t)p->teacher.modes; k++)
    for (size_t i = 0; i < inputs; i++)
      direction[k * row + i] = (float)shared->model.directions[k * inputs + i];
  esc_optimizer_rules_init(&shared->optimizer, p);
  for (int k = 0; k < p->teacher.modes; k++) shared->amplitude[k] = (float)p->teacher.amplitude[k];
  for (int l = 0; l < p->shape.layers; l++)
    shared->rate[l] = (float)p->rate * (float)esc_metric_gamma(p, l);
  for (int k = 0; k < p->activation.terms; k++)
    shared->coefficient[k] = (float)p->activation.coefficient[k];
  shared->direction = direction;
  direction = NULL;
done:
  free(direction);
  return status;
}

void esc_cpu_shared_free(esc_cpu_shared *shared) {
  free((float *)shared->direction);
  esc_model_free(&shared->model);
}

static void carve_network(esc_arena *a, const esc_problem *p, const esc_cpu_layout *layout,
                          esc_cpu_network *n) {
  n->w = carve_floats(a, layout->w[p->shape.layers]);
  n->wt = carve_floats(a, layout->wt[p->shape.layers]);
  if (p->update == ESC_UPDATE_COMPENSATED)
    n->compensation = carve_floats(a, layout->w[p->shape.layers]);
  if (esc_optimizer_has_velocity(&p->optimizer))
    n->velocity = carve_floats(a, layout->w[p->shape.layers]);
  if (esc_optimizer_has_second_moment(&p->optimizer))
    n->second_moment = carve_floats(a, layout->w[p->shape.layers]);
}

static esc_arena measure_network(const esc_problem *p, const esc_cpu_layout *layout) {
  esc_arena a = {0};
  esc_cpu_network none = {0};
  carve_network(&a, p, layout, &none);
  return a;
}

esc_status esc_cpu_network_create(const esc_cpu_shared *shared, esc_cpu_network *network) {
  esc_status status = ESC_OK;
  memset(network, 0, sizeof *network);
  ESC_TRY(esc_arena_create(measure_network(shared->problem, &shared->layout), &network->arena));
  carve_network(&network->arena, shared->problem, &shared->layout, network);
done:
  return status;
}

void esc_cpu_network_free(esc_cpu_network *network) { esc_arena_free(&network->arena); }

/* Copies of the gradient: one for each K-slice if partial sums continue through several tiles. The
 * partial sums of a single tile are reduced in registers. */
static size_t gradient_copies(const esc_problem *p) {
  return p->batch > ESC_TILE ? (size_t)esc_gradient_slices(p->shape.width) : 1;
}

static void carve_work(esc_arena *a, const esc_problem *p, const esc_cpu_layout *layout,
                       esc_cpu_work *w) {
  const size_t weights = layout->w[p->shape.layers], blocks = ((size_t)p->shape.inputs + 3) / 4;
  const size_t row = (size_t)esc_padded(p->shape.width), tile = ESC_TILE;
  w->x = carve_floats(a, tile * (size_t)layout->in_pad[0]);
  if (layout->feature_major) {
    w->columns = carve_floats(a, tile * (size_t)layout->in_pad[0]);
    w->rows = carve_floats(a, tile * (row + ESC_PAD));
  }
  for (int l = 0; l < p->shape.layers - 1; l++) {
    w->z[l] = carve_floats(a, tile * row);
    w->h[l] = carve_floats(a, tile * row);
    w->derivative[l] = carve_floats(a, tile * row);
  }
  for (int i = 0; i < 2; i++) w->delta[i] = carve_floats(a, tile * row);
  w->f = carve_floats(a, tile);
  w->target = carve_floats(a, tile);
  w->dloss = carve_floats(a, tile);
  w->g = carve_floats(a, gradient_copies(p) * weights);
  if (p->batch > ESC_ACCUMULATION_BLOCK) w->g_sum = ESC_CARVE(a, double, weights);
  w->draw = carve_floats(a, tile * 4 * blocks);
  w->weights = ESC_CARVE(a, double, esc_weight_count(p->shape));
}

static esc_arena measure_work(const esc_problem *p, const esc_cpu_layout *layout) {
  esc_arena a = {0};
  esc_cpu_work none = {0};
  carve_work(&a, p, layout, &none);
  return a;
}

esc_status esc_cpu_work_create(const esc_cpu_shared *shared, esc_cpu_work **out) {
  esc_status status = ESC_OK;
  const esc_problem *p = shared->problem;
  esc_cpu_work *w = calloc(1, sizeof *w);
  ESC_TRY_ALLOCATE(w);
  ESC_TRY(esc_arena_create(measure_work(p, &shared->layout), &w->arena));
  ESC_TRY(esc_arena_create(esc_signal_workspace(p->shape), &w->signal));
  carve_work(&w->arena, p, &shared->layout, w);
  *out = w;
  w = NULL;
done:
  esc_cpu_work_free(w);
  return status;
}

void esc_cpu_work_free(esc_cpu_work *w) {
  if (!w) return;
  esc_arena_free(&w->arena);
  esc_arena_free(&w->signal);
  free(w);
}

double esc_cpu_network_bytes(const esc_problem *p) {
  esc_cpu_layout layout;
  esc_cpu_layout_init(&layout, p->shape);
  return esc_arena_bytes(measure_network(p, &layout));
}

double esc_cpu_work_bytes(const esc_problem *p) {
  esc_cpu_layout layout;
  esc_cpu_layout_init(&layout, p->shape);
  return esc_arena_bytes(measure_work(p, &layout)) +
         esc_arena_bytes(esc_signal_workspace(p->shape));
}

void esc_cpu_network_transpose(const esc_cpu_shared *shared, esc_cpu_network *network) {
  const esc_shape shape = shared->problem->shape;
  for (int l = 0; l < shape.layers; l++) {
    if (!esc_has_transpose(&shared->layout, l)) continue;
    const size_t in = (size_t)shared->layout.in_pad[l], out = (size_t)shared->layout.out_pad[l];
    const float *const w = network->w + shared->layout.w[l];
    float *const wt = network->wt + shared->layout.wt[l];
    for (size_t n = 0; n < (size_t)shape.width; n++)
      for (size_t k = 0; k < (size_t)esc_fan_in(shape, l); k++) wt[k * out + n] = w[n * in + k];
  }
}

void esc_cpu_network_set_array(const esc_cpu_shared *shared, float *padded, const double *w) {
  const esc_shape shape = shared->problem->shape;
  /* The padding is 0 too: that of a network that has diverged is not finite. */
  memset(padded, 0, shared->layout.w[shape.layers] * sizeof *padded);
  for (int l = 0; l < shape.layers; l++) {
    const size_t columns = (size_t)esc_fan_in(shape, l), in = (size_t)shared->layout.in_pad[l];
    for (size_t n = 0; n < (size_t)esc_fan_out(shape, l); n++)
      for (size_t k = 0; k < columns; k++)
        padded[shared->layout.w[l] + n * in + k] =
            (float)w[esc_weight_offset(shape, l) + n * columns + k];
  }
}

void esc_cpu_network_set(const esc_cpu_shared *shared, esc_cpu_network *network, const double *w) {
  esc_cpu_network_set_array(shared, network->w, w);
  esc_cpu_network_transpose(shared, network);
}

void esc_cpu_network_get(const esc_cpu_shared *shared, const float *padded, double *w) {
  const esc_shape shape = shared->problem->shape;
  for (int l = 0; l < shape.layers; l++) {
    const size_t columns = (size_t)esc_fan_in(shape, l), in = (size_t)shared->layout.in_pad[l];
    for (size_t n = 0; n < (size_t)esc_fan_out(shape, l); n++)
      for (size_t k = 0; k < columns; k++)
        w[esc_weight_offset(shape, l) + n * columns + k] =
            (double)padded[shared->layout.w[l] + n * in + k];
  }
}
