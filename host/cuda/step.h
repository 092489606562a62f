/* SPDX-License-Identifier: Apache-2.0 */
/* One training step of a chunk, and graphs of steps. */
#ifndef ESC_CUDA_STEP_H
#define ESC_CUDA_STEP_H

#include "cuda/chunk.h"
#include "cuda/cublas.h"

typedef struct esc_cuda_step {
  const esc_device_problem *problem;
  const esc_track_rules *rules;
  cublasHandle_t cublas; /* works on `stream` */
  cudaStream_t stream;
} esc_cuda_step;

/* Puts one step of every training network of the chunk on the stream. */
esc_status esc_cuda_step_enqueue(const esc_cuda_step *step, const esc_chunk *chunk);

/* A graph of `steps` of them, to be launched again and again. */
esc_status esc_cuda_step_graph(const esc_cuda_step *step, const esc_chunk *chunk, int steps,
                               cudaGraphExec_t *graph);

#endif
