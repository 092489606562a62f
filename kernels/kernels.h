/* SPDX-License-Identifier: Apache-2.0 */
/* The device side of a training step, path `cublas`: many networks of one problem,
 * a chunk, take each step together. Matrix products are left to cuBLAS (host/cuda),
 * everything between them happens here, one kernel family a file.
 *
 * One step of every network of the chunk that trains, in this order:
 *   inputs -> [product, activate] per hidden layer -> output -> output gradient
 *   -> [delta, products] per hidden layer from the top -> update -> ledger
 *
 * Sums are made in the order of order.h. Arrays are row-major; slot is the place
 * of a network in its chunk. Launchers only enqueue: errors of the launch are
 * returned, those of the kernel appear when the stream is waited for. */
#ifndef ESC_KERNELS_H
#define ESC_KERNELS_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "escapement/internal/problem.h"
#include "escapement/internal/track.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What all networks have in common, in float; passed to kernels by value. */
typedef struct esc_device_problem {
  int layers, width, inputs, batch;
  size_t offset[ESC_LAYERS_MAX + 1]; /* of layer l in a network's weights */
  esc_activation_kind activation;
  float coefficient[ESC_POLYNOMIAL_TERMS_MAX]; /* 0 beyond the polynomial's terms */
  int modes;
  bool axes;              /* v_k = e_k */
  const float *direction; /* device: (mode, input) */
  float amplitude[ESC_MODES_MAX];
  esc_loss_kind loss;
  float huber_delta;
  float rate[ESC_LAYERS_MAX]; /* eta gamma_l, rounded */
} esc_device_problem;

/* A chunk's arrays on the device; from `update_mask` on of the path `cublas` alone, else NULL. */
typedef struct esc_chunk {
  int slots;
  size_t weights;           /* floats from one network's weights to the next's */
  uint64_t *seed;           /* (slot) */
  esc_track *track;         /* (slot) events and ledger; finished: the slot rests */
  float *partials;          /* path fused: (slot, esc_fused_scratch) of gradients, between tiles */
  int32_t *update_mask;     /* (slot) whether this step's update is to be made */
  float *w;                 /* (slot, weight) flat as in esc_weight_offset */
  float *compensation;      /* (slot, weight) of w; NULL for the plain update */
  float *g;                 /* (slot, weight) gradient */
  float *x;                 /* (slot, sample, input) */
  float *z, *h;             /* (hidden layer, slot, sample, width) pre-activations, their values */
  float *delta, *u;         /* (slot, sample, width) */
  float *dloss;             /* (slot, sample) dloss/df / B */
  double *tile;             /* (slot, interface, tile) the ledger's terms of one tile of samples */
  double *deficit;          /* (slot, layer) mean[u . kappa(z)] of the interface above */
  double *grad_norm_sq;     /* (slot, layer) |G_l|^2 */
  int32_t *nonzero_updates; /* (slot, layer) weights with G != 0 */
  int32_t *rounded_away;    /* (slot, layer) those whose update rounding swallowed */
} esc_chunk;

/* Draws the minibatch of each training network's current step into x. */
cudaError_t esc_launch_inputs(const esc_device_problem *p, const esc_chunk *chunk,
                              cudaStream_t stream);

/* h = sigma(z) of hidden layer l. */
cudaError_t esc_launch_activate(const esc_device_problem *p, const esc_chunk *chunk, int l,
                                cudaStream_t stream);

/* From the last hidden layer's z: its h, the prediction, the teacher's target, the
 * loss and its derivative; then the escape events of this step, and `update_mask`. */
cudaError_t esc_launch_output(const esc_device_problem *p, const esc_track_rules *rules,
                              const esc_chunk *chunk, cudaStream_t stream);

/* The output layer's gradient, mean[dloss h]. */
cudaError_t esc_launch_output_gradient(const esc_device_problem *p, const esc_chunk *chunk,
                                       cudaStream_t stream);

/* delta = u sigma'(z_l) and the ledger's terms u kappa(z_l) of each tile; for the
 * last hidden layer u is dloss w_L, below it chunk->u. */
cudaError_t esc_launch_delta(const esc_device_problem *p, const esc_chunk *chunk, int l,
                             cudaStream_t stream);

/* |G_l|^2 and w_l <- w_l - eta gamma_l G_l for every layer, where `update_mask` is set. */
cudaError_t esc_launch_update(const esc_device_problem *p, const esc_chunk *chunk,
                              cudaStream_t stream);

/* Books the update in the ledger and counts the step, where `update_mask` is set. */
cudaError_t esc_launch_ledger(const esc_device_problem *p, const esc_track_rules *rules,
                              const esc_chunk *chunk, cudaStream_t stream);

/* Tiles of ESC_TILE samples in a minibatch. */
int esc_chunk_tiles(const esc_device_problem *p);

#ifdef __cplusplus
}
#endif
#endif
