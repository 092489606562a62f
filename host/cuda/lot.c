#include "cuda/lot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chip.h"
#include "cuda/check.h"
#include "escapement/internal/order.h"

enum { ALIGN = 32, GRANULE = 512, SLOTS_MIN = 16, SLOTS_MAX = 256 };
static const double elements_wanted = 1 << 19; /* of one layer's activations */

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
  for (int l = 0; l <= d->layers; l++) d->offset[l] = esc_weight_offset(p->shape, l);
  for (int k = 0; k < p->activation.terms; k++)
    d->coefficient[k] = (float)p->activation.coefficient[k];
  for (int k = 0; k < p->teacher.modes; k++) d->amplitude[k] = (float)p->teacher.amplitude[k];
  for (int l = 0; l < d->layers; l++) d->rate[l] = (float)p->rate * (float)esc_metric_gamma(p, l);
}

int esc_lot_slots(const esc_problem *p, esc_path path) {
  const char *forced = getenv("ESCAPEMENT_CUDA_LOT"); /* for tests and tuning */
  if (forced && atoi(forced) >= 1 && atoi(forced) <= SLOTS_MAX) return atoi(forced);
  if (path != ESC_PATH_GEMM) return SLOTS_MAX;
  const double each = (double)p->batch * p->shape.width;
  int slots = SLOTS_MAX;
  while (slots > SLOTS_MIN && slots * each > elements_wanted) slots /= 2;
  return slots;
}

/* X(array, element count); S slots, W weights (padded), B samples, N width, L layers. */
#define LOT_ARRAYS(X)               \
  X(seed, S)                        \
  X(track, S)                       \
  X(w, S *W)                        \
  X(low, compensated ? S *W : 0)    \
  X(chains, S *chains)              \
  X(go, gemm *S)                    \
  X(g, gemm *S *W)                  \
  X(x, gemm *S *B *d)               \
  X(z, gemm *(L - 1) * S * B * N)   \
  X(h, gemm *(L - 1) * S * B * N)   \
  X(delta, gemm *S *B *N)           \
  X(u, gemm *S *B *N)               \
  X(error, gemm *S *B)              \
  X(tile, gemm *S *(L - 1) * tiles) \
  X(deficit, gemm *S *L)            \
  X(gradient2, gemm *S *L)          \
  X(moved, gemm *S *L)              \
  X(lost, gemm *S *L)

static size_t scratch(esc_path path, esc_shape s, int batch) {
  if (path == ESC_PATH_GEMM) return 0;
  return path == ESC_PATH_CHIP ? esc_chip_scratch(s.layers, s.width, batch)
                               : esc_chip_tf32x3_scratch(s.layers, s.width, batch);
}

#define LOT_SIZES(p, path)                                                                  \
  const esc_shape shape = (p)->shape;                                                       \
  const size_t S = (size_t)esc_lot_slots(p, path), B = (size_t)(p)->batch,                  \
               W = padded(esc_weight_offset(shape, shape.layers)), N = (size_t)shape.width, \
               L = (size_t)shape.layers, d = (size_t)shape.inputs,                          \
               tiles = (B + ESC_TILE - 1) / ESC_TILE, gemm = (path) == ESC_PATH_GEMM,       \
               chains = scratch(path, shape, (p)->batch);                                   \
  const bool compensated = (p)->update == ESC_UPDATE_COMPENSATED

static size_t padded(size_t weights) { return (weights + ALIGN - 1) / ALIGN * ALIGN; }

double esc_lot_bytes(const esc_problem *p, esc_path path) {
  LOT_SIZES(p, path);
  esc_lot *lot = NULL; /* for the elements' sizes only */
  double bytes = 0;
#define ADD(array, count) \
  bytes += GRANULE * ceil((double)(count) * (double)sizeof *lot->array / GRANULE);
  LOT_ARRAYS(ADD)
#undef ADD
  return bytes;
}

esc_status esc_lot_create(const esc_problem *p, esc_path path, cudaStream_t stream, esc_lot *lot) {
  esc_status status = ESC_OK;
  LOT_SIZES(p, path);
  memset(lot, 0, sizeof *lot);
  lot->slots = (int)S;
  lot->weights = W;
#define CREATE(array, count)                                     \
  if ((count) > 0) {                                             \
    const size_t bytes = (count) * sizeof *lot->array;           \
    ESC_TRY_CUDA(cudaMalloc((void **)&lot->array, bytes));       \
    ESC_TRY_CUDA(cudaMemsetAsync(lot->array, 0, bytes, stream)); \
  }
  LOT_ARRAYS(CREATE)
#undef CREATE
  ESC_TRY_CUDA(cudaStreamSynchronize(stream));
done:
  if (status != ESC_OK) esc_lot_free(lot);
  return status;
}

void esc_lot_free(esc_lot *lot) {
#define FREE(array, count) (void)cudaFree(lot->array);
  LOT_ARRAYS(FREE)
#undef FREE
  memset(lot, 0, sizeof *lot);
}
