/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA engine: many networks a step on one GPU, by the kernels of kernels/. */
#ifndef ESC_CUDA_H
#define ESC_CUDA_H

#include "escapement/internal/engine.h"

/* Everything on the chip, with the bits of the CPU engine; the same with products on
 * the tensor cores, as exact as float's; products by cuBLAS in float; and in TF32. */
extern const esc_engine_ops esc_cuda_fused_engine, esc_cuda_fused_3xtf32_engine,
    esc_cuda_cublas_engine, esc_cuda_tf32_engine;

/* The engine for a problem on a device. path: "fused", "fused-3xtf32", "cublas", NULL or
 * "auto" (fused where the shape fits, else cublas; fused-3xtf32 is for those who ask, as
 * long as no device has run it). ESC_BAD_INPUT, and why, where there is none. */
esc_status esc_cuda_select(const esc_problem *problem, int device, const char *path, bool tf32,
                           const esc_engine_ops **engine);

/* Number of devices; where there is none, `why` says what the driver says. */
int esc_cuda_devices(char *why, size_t size);

/* Name, compute capability and memory of device `index`, in one line. */
esc_status esc_cuda_device_name(int index, char *text, size_t size);

#endif
