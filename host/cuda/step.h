/* SPDX-License-Identifier: Apache-2.0 */
/* One training step of a chunk on path `cublas`, and CUDA graphs of several steps. */
#ifndef ESC_CUDA_STEP_H
#define ESC_CUDA_STEP_H

#include "cuda/chunk.h"
#include "cuda/cublas.h"

typedef struct esc_cuda_step {
  const esc_device_problem *problem;
  const esc_track_rules *rules;
  cublasHandle_t cublas; /* bound to `stream` */
  cudaStream_t stream;
} esc_cuda_step;

/* Enqueues one step of all training networks of the chunk. */
esc_status esc_cuda_step_enqueue(const esc_cuda_step *step, const esc_chunk *chunk);

/* An executable graph of `steps` steps; destroy with cudaGraphExecDestroy. */
esc_status esc_cuda_step_graph(const esc_cuda_step *step, const esc_chunk *chunk, int steps,
                               cudaGraphExec_t *graph);

#endif
