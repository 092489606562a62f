/* Layout and memory of the CPU engine. */
#include "cpu/network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/simd.h"
#include "escapement/model.h"

static int pad(int count) { return (count + ESC_PAD - 1) / ESC_PAD * ESC_PAD; }

/* Zeroed, aligned to a cache line. */
static float *floats(size_t count) {
  const size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
  float *p = aligned_alloc(64, bytes ? bytes : 64);
  if (p) memset(p, 0, bytes);
  return p;
}

void esc_cpu_layout_init(esc_cpu_layout *layout, esc_shape shape) {
  layout->w[0] = layout->wt[0] = 0;
  for (int l = 0; l < shape.layers; l++) {
    const bool output = l == shape.layers - 1;
    const size_t rows = (size_t)esc_fan_out(shape, l);
    layout->in_pad[l] = pad(esc_fan_in(shape, l));
    layout->out_pad[l] = pad(esc_fan_out(shape, l));
    layout->w[l + 1] = layout->w[l] + rows * (size_t)layout->in_pad[l];
    layout->wt[l + 1] =
        layout->wt[l] + (output ? 0 : (size_t)layout->in_pad[l] * (size_t)layout->out_pad[l]);
  }
}

esc_status esc_cpu_shared_init(esc_cpu_shared *shared, const esc_problem *p) {
  esc_status status = ESC_OK;
  const size_t inputs = (size_t)p->shape.inputs, row = (size_t)pad(p->shape.inputs);
  float *direction = NULL;
  memset(shared, 0, sizeof *shared);
  shared->problem = p;
  esc_cpu_layout_init(&shared->layout, p->shape);
  ESC_TRY_ALLOCATE(direction = floats((size_t)p->teacher.modes * row));
  ESC_TRY(esc_model_init(&shared->model, p, true));
  esc_track_rules_init(&shared->rules, p, (double)(float)p->rate);
  for (size_t k = 0; k < (size_t)p->teacher.modes; k++)
    for (size_t i = 0; i < inputs; i++)
      direction[k * row + i] = (float)shared->model.directions[k * inputs + i];
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

esc_status esc_cpu_network_create(const esc_cpu_shared *shared, esc_cpu_network *network) {
  esc_status status = ESC_OK;
  const size_t weights = shared->layout.w[shared->problem->shape.layers];
  memset(network, 0, sizeof *network);
  ESC_TRY_ALLOCATE(network->w = floats(weights));
  ESC_TRY_ALLOCATE(network->wt = floats(shared->layout.wt[shared->problem->shape.layers]));
  if (shared->problem->update == ESC_UPDATE_COMPENSATED)
    ESC_TRY_ALLOCATE(network->low = floats(weights));
done:
  return status;
}

void esc_cpu_network_free(esc_cpu_network *network) {
  free(network->w);
  free(network->wt);
  free(network->low);
}

/* Gradients of all weights that are held: chains that go on through several tiles need
 * each their own, those of a single tile are folded where they end. */
static size_t gradients(const esc_problem *p) {
  return p->batch > ESC_TILE ? (size_t)esc_gradient_chains(p->shape.width) : 1;
}

esc_status esc_cpu_work_create(const esc_cpu_shared *shared, esc_cpu_work **out) {
  esc_status status = ESC_OK;
  const esc_problem *p = shared->problem;
  const size_t input_row = (size_t)shared->layout.in_pad[0],
               blocks = ((size_t)p->shape.inputs + 3) / 4;
  const size_t row = (size_t)pad(p->shape.width), tile = ESC_TILE;
  esc_cpu_work *w = calloc(1, sizeof *w);
  ESC_TRY_ALLOCATE(w);
  ESC_TRY_ALLOCATE(w->x = floats(tile * input_row));
  for (int l = 0; l < p->shape.layers - 1; l++) {
    ESC_TRY_ALLOCATE(w->h[l] = floats(tile * row));
    ESC_TRY_ALLOCATE(w->derivative[l] = floats(tile * row));
    ESC_TRY_ALLOCATE(w->deficit[l] = floats(tile * row));
  }
  for (int i = 0; i < 2; i++) ESC_TRY_ALLOCATE(w->delta[i] = floats(tile * row));
  ESC_TRY_ALLOCATE(w->f = floats(tile));
  ESC_TRY_ALLOCATE(w->target = floats(tile));
  ESC_TRY_ALLOCATE(w->error = floats(tile));
  ESC_TRY_ALLOCATE(w->g = floats(gradients(p) * shared->layout.w[p->shape.layers]));
  if (p->batch > ESC_SLAB)
    ESC_TRY_ALLOCATE(w->g_sum = calloc(shared->layout.w[p->shape.layers], sizeof *w->g_sum));
  ESC_TRY_ALLOCATE(w->draw = floats(tile * 4 * blocks));
  ESC_TRY_ALLOCATE(w->weights =
                       calloc(esc_weight_offset(p->shape, p->shape.layers), sizeof *w->weights));
  ESC_TRY(esc_arena_create(esc_signal_workspace(p->shape), &w->signal));
  *out = w;
  w = NULL;
done:
  esc_cpu_work_free(w);
  return status;
}

void esc_cpu_work_free(esc_cpu_work *w) {
  if (!w) return;
  for (int l = 0; l < ESC_LAYERS_MAX; l++) {
    free(w->h[l]);
    free(w->derivative[l]);
    free(w->deficit[l]);
  }
  free(w->x);
  for (int i = 0; i < 2; i++) free(w->delta[i]);
  free(w->f);
  free(w->target);
  free(w->error);
  free(w->g);
  free(w->g_sum);
  free(w->draw);
  free(w->weights);
  esc_arena_free(&w->signal);
  free(w);
}

double esc_cpu_network_bytes(const esc_problem *p) {
  esc_cpu_layout layout;
  esc_cpu_layout_init(&layout, p->shape);
  const int copies = p->update == ESC_UPDATE_COMPENSATED ? 2 : 1; /* w, low */
  return 4.0 * copies * (double)layout.w[p->shape.layers] +
         4.0 * (double)layout.wt[p->shape.layers];
}

double esc_cpu_work_bytes(const esc_problem *p) {
  esc_cpu_layout layout;
  esc_cpu_layout_init(&layout, p->shape);
  const double weights = (double)layout.w[p->shape.layers];
  const double tile = ESC_TILE * 4.0; /* bytes of one feature */
  return (p->batch > ESC_SLAB ? 16 : 8) * weights + 4 * (double)gradients(p) * weights +
         tile * 2 * (layout.in_pad[0] + 4) +
         tile * (3 * p->shape.layers + 2) * pad(p->shape.width) +
         esc_arena_bytes(esc_signal_workspace(p->shape));
}

void esc_cpu_network_set(const esc_cpu_shared *shared, esc_cpu_network *network, const double *w) {
  const esc_shape shape = shared->problem->shape;
  for (int l = 0; l < shape.layers; l++) {
    const size_t columns = (size_t)esc_fan_in(shape, l), in = (size_t)shared->layout.in_pad[l];
    const size_t out = (size_t)shared->layout.out_pad[l];
    for (size_t n = 0; n < (size_t)esc_fan_out(shape, l); n++)
      for (size_t k = 0; k < columns; k++) {
        const float entry = (float)w[esc_weight_offset(shape, l) + n * columns + k];
        network->w[shared->layout.w[l] + n * in + k] = entry;
        if (l < shape.layers - 1) network->wt[shared->layout.wt[l] + k * out + n] = entry;
      }
  }
}

void esc_cpu_network_set_low(const esc_cpu_shared *shared, esc_cpu_network *network,
                             const double *low) {
  const esc_shape shape = shared->problem->shape;
  for (int l = 0; l < shape.layers; l++) {
    const size_t columns = (size_t)esc_fan_in(shape, l), in = (size_t)shared->layout.in_pad[l];
    for (size_t n = 0; n < (size_t)esc_fan_out(shape, l); n++)
      for (size_t k = 0; k < columns; k++)
        network->low[shared->layout.w[l] + n * in + k] =
            (float)low[esc_weight_offset(shape, l) + n * columns + k];
  }
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
