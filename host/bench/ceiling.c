/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/ceiling.h"

#ifdef ESC_HAVE_CUDA
#include "bench/ceiling_cuda.h"
#include "cuda/cuda.h"
#endif

const esc_ceiling_ops *esc_ceiling_find(const esc_engine_ops *engine) {
#ifdef ESC_HAVE_CUDA
  if (engine == &esc_cuda_tf32_engine) return &esc_cuda_tf32_ceiling;
  if (engine->device_memory) return &esc_cuda_ceiling;
#endif
  (void)engine;
  return &esc_cpu_ceiling;
}
