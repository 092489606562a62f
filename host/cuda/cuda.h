/* The CUDA engine: many networks a step on one GPU, products by cuBLAS, everything
 * between them by the kernels of kernels/. */
#ifndef ESC_CUDA_H
#define ESC_CUDA_H

#include "escapement/engine.h"

/* Products in float, and in TF32 on the tensor cores (opt-in). */
extern const esc_engine_ops esc_cuda_engine, esc_cuda_tf32_engine;

/* Number of devices; where there is none, `why` says what the driver says. */
int esc_cuda_devices(char *why, size_t size);

/* Name, compute capability and memory of device `index`, in one line. */
esc_status esc_cuda_device_name(int index, char *text, size_t size);

#endif
