/* SPDX-License-Identifier: Apache-2.0 */
/* Path `fused`: one block trains one network for many steps, weights and
 * activations in shared memory, nothing of a step in device memory but the
 * weights' compensation and, for minibatches of several tiles, the gradients'
 * sums. There are two kinds of it. One multiplies by fused multiply-adds, and every
 * sum has the order of order.h: the results are those of the CPU engine to the bit.
 * The other, tf32x3, has the products of hidden layers made by the tensor cores with
 * an error like float's (mma.cuh), in an order of its own: the same results whenever
 * and beside whatever it runs, on one kind of device. */
#ifndef ESC_FUSED_H
#define ESC_FUSED_H

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether a network has a shape that this path trains, either kind: width 16, 32, 48 or 64,
 * no more inputs than that, at most ESC_ACCUMULATION_BLOCK samples, and shared memory for it
 * within `limit` bytes a block. */
bool esc_fused_fits(int layers, int width, int inputs, int batch, size_t limit);

/* Shared memory of one block, bytes. */
size_t esc_fused_shared(int layers, int width);

/* Floats of device memory that one network's gradient sums need between tiles; 0
 * where a minibatch is one tile. */
size_t esc_fused_scratch(int layers, int width, int batch);
size_t esc_fused_3xtf32_scratch(int layers, int width, int batch);

/* Trains every network of the chunk by up to `steps` steps: chunk->w, compensation and track
 * go in and come out; seed is read; partials is workspace. */
cudaError_t esc_launch_fused(const esc_device_problem *p, const esc_track_rules *rules,
                             const esc_chunk *chunk, int64_t steps, cudaStream_t stream);
cudaError_t esc_launch_fused_3xtf32(const esc_device_problem *p, const esc_track_rules *rules,
                                    const esc_chunk *chunk, int64_t steps, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
