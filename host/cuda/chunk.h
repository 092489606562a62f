/* SPDX-License-Identifier: Apache-2.0 */
/* A chunk: networks that take every step together, in one set of strided arrays on
 * the device. Its size is a function of the shape alone, never of how many members
 * a run has: cuBLAS chooses its kernel by the batch count, and a member's results must
 * not depend on the other networks of the chunk. */
#ifndef ESC_CUDA_CHUNK_H
#define ESC_CUDA_CHUNK_H

#include "cuda/config.h"
#include "escapement/internal/status.h"

/* Fills all but `direction`, which belongs to the engine. */
void esc_device_problem_init(esc_device_problem *device, const esc_problem *problem);

enum { ESC_CHUNK_SLOTS_MAX = 256 };

/* Networks in a chunk, at most ESC_CHUNK_SLOTS_MAX: enough to fill a GPU's multiprocessors together
 * with the other chunks' streams, few enough for the last chunk not to be mostly empty. */
int esc_chunk_slots(const esc_problem *problem, const esc_cuda_config *config);

/* Bytes of device memory of one chunk. */
double esc_chunk_bytes(const esc_problem *problem, const esc_cuda_config *config);

/* Allocates and clears a chunk's arrays on `stream`, and synchronizes it. */
esc_status esc_chunk_create(const esc_problem *problem, const esc_cuda_config *config,
                            cudaStream_t stream, esc_chunk *chunk);
void esc_chunk_free(esc_chunk *chunk);

#endif
