/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of the path `cublas`, in which a launch is one part of a training step of all networks of
 * a chunk. cuBLAS computes the matrix products (host/cuda/step.c), the kernels everything between
 * them, one family a file.
 *
 * Launches of one step, for every network in training:
 *    inputs -> [product, activate] per hidden layer, without activate for the last -> output
 *    -> output gradient -> [delta, products] per hidden layer from the last -> optimize, unless
 *    by plain gradient descent -> update -> ledger
 * A launcher only enqueues: it returns errors of the launch; errors of the kernel appear at the
 * next synchronisation of the stream.
 *
 * The folder, in the order in which to read it:
 *    kernels.h          arrays of a chunk, launchers of path `cublas`
 *    launch.h           launches by nvcc and by the SIMT harness
 *    device.cuh         helpers of all kernels
 *    inputs.cu, activate.cu, output.cu, delta.cu, optimize.cu, update.cu, ledger.cu
 *                       path `cublas`, in the order of a step
 *    fused.h            path `fused`, in which one block trains one network for many steps
 *    fused_kernel.cuh   its kernel
 *    fused_step.cuh     one step of it
 *    fused_stage.cuh    the stages of a step
 *    fused_block.cuh    shared memory, and the state of a thread
 *    fused_product.cuh  matrix products by fused multiply-adds
 *    fused_tensor.cuh   matrix products on the tensor cores, with the arithmetic of mma.cuh
 *    fused.cu, fused_3xtf32.cu
 *                       the two instantiations
 *
 * Every kernel's head states, for one launch, its equation with the section of docs/theory,
 * grid, block, dynamic shared memory, and for each network the distinct bytes of device memory
 * (without its esc_track, seed and update mask) and the floating-point work: 1 FMA is 2 flops.
 * Symbols: L layers, N width, d inputs, B samples of a minibatch, K modes of the teacher, T =
 * ceil(B / 64) tiles of ESC_TILE = 64 samples, P = N d + (L - 2) N^2 + N weights. The last line
 * names the rows of order.h (the one order of every sum) that the kernel implements.
 *
 * Arrays are row-major. In kernels, g_ marks pointers to global memory and s_ to shared memory;
 * all pointers of the structs below are to global memory. slot is the index of a network in its
 * chunk. Layers count from 0 in code, from 1 in docs/theory. "Ledger's terms" are u . kappa(z) of
 * samples, features or tiles, whose mean over the minibatch is an interface's `deficit`. */
#ifndef ESC_KERNELS_H
#define ESC_KERNELS_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "escapement/internal/optimizer.h"
#include "escapement/internal/problem.h"
#include "escapement/internal/track.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The problem that all networks share, in float; an argument of kernels by value. */
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
  float rate[ESC_LAYERS_MAX]; /* eta gamma_l, product of two floats */
  esc_optimizer_rules optimizer;
} esc_device_problem;

/* A chunk's arrays in device memory. Path `fused` uses seed, track, partials, tile_z, w,
 * compensation and the optimizer's four; its other arrays are NULL. */
typedef struct esc_chunk {
  int slots;
  size_t weight_stride;     /* floats from one network's weights to the next's */
  uint64_t *seed;           /* (slot) */
  esc_track *track;         /* (slot) events and ledger; if not active, the slot is idle */
  float *partials;          /* path fused: (slot, partial_floats of fused.h) of gradients */
  float *tile_z;            /* path fused: (slot, hidden layer, padded width, ESC_TILE) */
  int32_t *update_mask;     /* (slot) whether this step's update is to be made */
  float *w;                 /* (slot, weight) layer l from esc_weight_offset on */
  float *compensation;      /* (slot, weight) of w (update.h); NULL for the plain update */
  float *g;                 /* (slot, weight) gradient; after optimize: direction of the step */
  float *x;                 /* (slot, sample, input) */
  float *z, *h;             /* (hidden layer, slot, sample, width) pre-activations, sigma(z) */
  float *delta, *u;         /* (slot, sample, width) of one layer, with the factor 1 / B of dloss */
  float *dloss;             /* (slot, sample) (dl/df) / B */
  double *tile_deficit;     /* (slot, interface, tile) sum of u . kappa(z) over a tile's samples */
  double *deficit;          /* (slot, layer) mean[u . kappa(z)] of the interface above */
  double *grad_norm_sq;     /* (slot, layer) |G_l|^2 */
  int32_t *nonzero_updates; /* (slot, layer) weights with G != 0 */
  int32_t *rounded_away;    /* (slot, layer) of these, weights whose update rounding lost */
  /* Of an optimizer other than plain gradient descent; else NULL. */
  float *velocity;          /* (slot, weight) V of momentum, or Adam's first moment; else NULL */
  float *second_moment;     /* (slot, weight) of Adam; else NULL */
  double *velocity_product; /* (slot, layer) <E_l, V_l> */
  double *weight_norm_sq;   /* (slot, layer) |W_l|^2 */
} esc_chunk;

/* Draws the minibatch of each training network's current step into x. */
cudaError_t esc_launch_inputs(const esc_device_problem *p, const esc_chunk *chunk,
                              cudaStream_t stream);

/* h = sigma(z) of hidden layer l. */
cudaError_t esc_launch_activate(const esc_device_problem *p, const esc_chunk *chunk, int l,
                                cudaStream_t stream);

/* From the last hidden layer's z: h, prediction, target, loss and dloss; then the escape events of
 * this step, and update_mask. */
cudaError_t esc_launch_output(const esc_device_problem *p, const esc_track_rules *rules,
                              const esc_chunk *chunk, cudaStream_t stream);

/* The output layer's gradient, sum_b dloss_b h_b. */
cudaError_t esc_launch_output_gradient(const esc_device_problem *p, const esc_chunk *chunk,
                                       cudaStream_t stream);

/* delta = u sigma'(z_l), and the ledger's terms u . kappa(z_l) of each tile. u = dloss w_L for the
 * last hidden layer, chunk->u for the others. */
cudaError_t esc_launch_delta(const esc_device_problem *p, const esc_chunk *chunk, int l,
                             cudaStream_t stream);

/* Momentum, weight decay or Adam: g becomes the direction of the step, where update_mask is set. */
cudaError_t esc_launch_optimize(const esc_device_problem *p, const esc_chunk *chunk,
                                cudaStream_t stream);

/* |G_l|^2, w_l <- w_l - eta gamma_l G_l and the counts of every layer, where update_mask is set. */
cudaError_t esc_launch_update(const esc_device_problem *p, const esc_chunk *chunk,
                              cudaStream_t stream);

/* Adds the step to the ledger and increments the network's step, where update_mask is set. */
cudaError_t esc_launch_ledger(const esc_device_problem *p, const esc_track_rules *rules,
                              const esc_chunk *chunk, cudaStream_t stream);

/* Tiles of ESC_TILE samples in a minibatch. */
int esc_chunk_tiles(const esc_device_problem *p);

#ifdef __cplusplus
}
#endif
#endif
