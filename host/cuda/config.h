/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA engines share their code; they differ only in the values of this struct. */
#ifndef ESC_CUDA_CONFIG_H
#define ESC_CUDA_CONFIG_H

#include <stdbool.h>

#include "fused.h"

typedef struct esc_cuda_config {
  const char *path; /* as in --path */
  bool tf32;        /* cuBLAS rounds the factors of its products to TF32 */

  /* Trains every network of a chunk for up to `steps` steps in one launch (fused.h). NULL: path
   * cublas, whose step is products of cuBLAS and the kernels of kernels.h. */
  cudaError_t (*launch)(const esc_device_problem *problem, const esc_track_rules *rules,
                        const esc_chunk *chunk, int64_t steps, cudaStream_t stream);

  /* Memory that `launch` needs for one network. */
  esc_fused_memory (*memory)(esc_shape shape, int batch);
} esc_cuda_config;

#endif
