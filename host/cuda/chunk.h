/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk: networks that are trained by the same launches, in strided arrays on the device. Its
 * number of slots is a function of the network's shape, the minibatch and the path, not of the
 * number of members, because cuBLAS chooses its kernel by the batch count, and a member's results
 * must not depend on the other networks of the chunk. */
#ifndef ESC_CUDA_CHUNK_H
#define ESC_CUDA_CHUNK_H

#include "cuda/config.h"
#include "escapement/internal/status.h"

/* Sets all fields but `direction`, which the engine state allocates. */
void esc_device_problem_init(esc_device_problem *device, const esc_problem *problem);

enum { ESC_CHUNK_SLOTS_MAX = 256 };

/* Slots of a chunk, at most ESC_CHUNK_SLOTS_MAX: enough to occupy a GPU's multiprocessors together
 * with the chunks of the other streams, few enough that the last chunk is not mostly empty. */
int esc_chunk_slots(const esc_problem *problem, const esc_cuda_config *config);

/* Bytes of device memory of one chunk. */
double esc_chunk_bytes(const esc_problem *problem, const esc_cuda_config *config);

/* Allocates a chunk's arrays, sets them to zero on `stream` and synchronizes the stream. Free with
 * esc_chunk_free; after a failure there is nothing to free. */
esc_status esc_chunk_create(const esc_problem *problem, const esc_cuda_config *config,
                            cudaStream_t stream, esc_chunk *chunk);
void esc_chunk_free(esc_chunk *chunk);

#endif
