/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, memory and constants of a chunk on the device. */
#include "cuda/chunk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/check.h"
#include "escapement/internal/order.h"
#include "fused.h"

enum {
  ALIGN = 32,    /* floats */
  GRANULE = 512, /* bytes of an allocation by cudaMalloc are a multiple of it */
  SLOTS_MIN = 16,
};
static const double elements_max = 1 << 19; /* of a layer's activations, above SLOTS_MIN */

void esc_device_problem_init(esc_device_problem *d, const esc_problem *p) {
  memset(d, 0, sizeof *d);
  d->layers = p->shape.layers;
  d->width = p->shape.width;
  d->inputs = p->shape.inputs;
  d->batch = p->batch;
  d->activation = p->activation.kind;
  d->modes = p->teacher.modes;
  d->axes = p->teacher.directions == ESC_DIRECTIONS_AXES;
  d->loss = p->loss;
  d->huber_delta = (float)p->huber_delta;
  esc_optimizer_rules_init(&d->optimizer, p);
  for (int l = 0; l <= d->layers; l++) d->offset[l] = esc_weight_offset(p->shape, l);
  for (int k = 0; k < p->activation.terms; k++)
    d->coefficient[k] = (float)p->activation.coefficient[k];
  for (int k = 0; k < p->teacher.modes; k++) d->amplitude[k] = (float)p->teacher.amplitude[k];
  for (int l = 0; l < d->layers; l++) d->rate[l] = (float)p->rate * (float)esc_metric_gamma(p, l);
}

int esc_chunk_slots(const esc_problem *p, const esc_cuda_config *config) {
  const char *forced = getenv("ESCAPEMENT_CUDA_CHUNK"); /* for tests and tuning */
  if (forced && atoi(forced) >= 1 && atoi(forced) <= ESC_CHUNK_SLOTS_MAX) return atoi(forced);
  if (config->launch) return ESC_CHUNK_SLOTS_MAX;
  const double each = (double)p->batch * p->shape.width;
  int slots = ESC_CHUNK_SLOTS_MAX;
  while (slots > SLOTS_MIN && slots * each > elements_max) slots /= 2;
  return slots;
}

/* Number of elements of each array of esc_chunk. */
typedef struct counts {
  size_t seed, track, w, compensation, velocity, second_moment, velocity_product, weight_norm_sq,
      partials, tile_z, update_mask, g, x, z, h, delta, u, dloss, tile_deficit, deficit,
      grad_norm_sq, nonzero_updates, rounded_away;
} counts;

/* X(array) for each array. */
#define CHUNK_ARRAYS(X) \
  X(seed)               \
  X(track)              \
  X(w)                  \
  X(compensation)       \
  X(velocity)           \
  X(second_moment)      \
  X(velocity_product)   \
  X(weight_norm_sq)     \
  X(partials)           \
  X(tile_z)             \
  X(update_mask)        \
  X(g)                  \
  X(x)                  \
  X(z)                  \
  X(h)                  \
  X(delta)              \
  X(u)                  \
  X(dloss)              \
  X(tile_deficit)       \
  X(deficit)            \
  X(grad_norm_sq)       \
  X(nonzero_updates)    \
  X(rounded_away)

/* Stride between the weights of neighbouring networks, in floats. */
static size_t weight_stride(const esc_problem *p) {
  return (esc_weight_count(p->shape) + ALIGN - 1) / ALIGN * ALIGN;
}

/* Adds the arrays that pass data between the kernels of a step; path fused needs none of them. */
static void count_step_arrays(const esc_problem *p, size_t slots, counts *n) {
  const size_t hidden = (size_t)p->shape.layers - 1, samples = slots * (size_t)p->batch;
  const size_t values = samples * (size_t)p->shape.width;
  const size_t tiles = ((size_t)p->batch + ESC_TILE - 1) / ESC_TILE;
  n->update_mask = slots;
  n->g = n->w;
  n->x = samples * (size_t)p->shape.inputs;
  n->z = n->h = hidden * values;
  n->delta = n->u = values;
  n->dloss = samples;
  n->tile_deficit = slots * hidden * tiles;
  n->deficit = n->grad_norm_sq = n->nonzero_updates = n->rounded_away = slots * (hidden + 1);
}

/* Adds the arrays of an optimizer other than plain gradient descent. */
static void count_optimizer_arrays(const esc_problem *p, size_t slots, counts *n) {
  if (esc_optimizer_is_plain(&p->optimizer)) return;
  if (esc_optimizer_has_velocity(&p->optimizer)) n->velocity = n->w;
  if (esc_optimizer_has_second_moment(&p->optimizer)) n->second_moment = n->w;
  n->velocity_product = n->weight_norm_sq = slots * (size_t)p->shape.layers;
}

static counts count_elements(const esc_problem *p, const esc_cuda_config *config) {
  const size_t slots = (size_t)esc_chunk_slots(p, config);
  counts n = {.seed = slots, .track = slots, .w = slots * weight_stride(p)};
  if (p->update == ESC_UPDATE_COMPENSATED) n.compensation = n.w;
  count_optimizer_arrays(p, slots, &n);
  if (config->launch) {
    const esc_fused_memory memory = config->memory(p->shape, p->batch);
    n.partials = slots * memory.partial_floats;
    n.tile_z = slots * memory.tile_z_floats;
  } else {
    count_step_arrays(p, slots, &n);
  }
  return n;
}

double esc_chunk_bytes(const esc_problem *p, const esc_cuda_config *config) {
  const counts n = count_elements(p, config);
  esc_chunk *chunk = NULL; /* for sizeof only */
  double bytes = 0;
#define ADD(array) \
  bytes += GRANULE * ceil((double)n.array * (double)sizeof *chunk->array / GRANULE);
  CHUNK_ARRAYS(ADD)
#undef ADD
  return bytes;
}

/* Sets *array to zeroed device memory, or leaves it NULL for 0 bytes. */
static esc_status allocate_zeros(size_t bytes, cudaStream_t stream, void **array) {
  esc_status status = ESC_OK;
  if (bytes == 0) return ESC_OK;
  ESC_TRY_CUDA(cudaMalloc(array, bytes));
  ESC_TRY_CUDA(cudaMemsetAsync(*array, 0, bytes, stream));
done:
  return status;
}

esc_status esc_chunk_create(const esc_problem *p, const esc_cuda_config *config,
                            cudaStream_t stream, esc_chunk *chunk) {
  esc_status status = ESC_OK;
  const counts n = count_elements(p, config);
  memset(chunk, 0, sizeof *chunk);
  chunk->slots = (int)n.seed;
  chunk->weight_stride = weight_stride(p);
#define CREATE(array) \
  ESC_TRY(allocate_zeros(n.array * sizeof *chunk->array, stream, (void **)&chunk->array));
  CHUNK_ARRAYS(CREATE)
#undef CREATE
  ESC_TRY_CUDA(cudaStreamSynchronize(stream));
done:
  if (status != ESC_OK) esc_chunk_free(chunk);
  return status;
}

void esc_chunk_free(esc_chunk *chunk) {
#define FREE(array) (void)cudaFree(chunk->array);
  CHUNK_ARRAYS(FREE)
#undef FREE
  memset(chunk, 0, sizeof *chunk);
}
