/* SPDX-License-Identifier: Apache-2.0 */
/* Path `fused`: one block trains one network for many steps. Weights and activations stay in
 * shared memory. During a step, device memory is accessed for the weights' compensation, a tile's
 * pre-activations, partial sums of gradients (only if a minibatch is several tiles), events and
 * ledger.
 *
 * Two variants. By fused multiply-adds every sum has the order of order.h: results equal those
 * of the CPU engine to the bit. In 3xTF32 the tensor cores compute the products of hidden layers
 * with an error like float's (mma.cuh), in another fixed order: results are reproducible on one
 * kind of device, and do not depend on what else runs on it. */
#ifndef ESC_FUSED_H
#define ESC_FUSED_H

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ESC_FUSED_WIDTH_MAX = 64 };

/* Memory of one network, whose width is at most ESC_FUSED_WIDTH_MAX and whose minibatches have at
 * most ESC_ACCUMULATION_BLOCK samples. */
typedef struct esc_fused_memory {
  size_t shared_bytes;   /* shared memory of its block */
  size_t tile_z_floats;  /* device memory: pre-activations of one tile */
  size_t partial_floats; /* device memory: partial sums of gradients between tiles; 0 if a minibatch
                            is one tile */
} esc_fused_memory;

esc_fused_memory esc_fused_memory_make(esc_shape shape, int batch);
esc_fused_memory esc_fused_3xtf32_memory_make(esc_shape shape, int batch);

/* Trains every network of the chunk for up to `steps` steps. Updates chunk->w, compensation and
 * track; reads seed; partials and tile_z are workspace, whose contents do not matter between
 * launches. cudaErrorInvalidValue if the width is larger than
 * ESC_FUSED_WIDTH_MAX. */
cudaError_t esc_launch_fused(const esc_device_problem *p, const esc_track_rules *rules,
                             const esc_chunk *chunk, int64_t steps, cudaStream_t stream);
cudaError_t esc_launch_fused_3xtf32(const esc_device_problem *p, const esc_track_rules *rules,
                                    const esc_chunk *chunk, int64_t steps, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
