/* SPDX-License-Identifier: Apache-2.0 */
/* A GPU's ceilings, for the benchmark: cuBLAS on one large product, and a copy. */
#ifndef ESC_CUDA_BENCH_H
#define ESC_CUDA_BENCH_H

#include "bench/ceiling.h"

/* Products in float, and in TF32 on the tensor cores. */
extern const esc_ceiling_ops esc_cuda_ceiling, esc_cuda_tf32_ceiling;

#endif
