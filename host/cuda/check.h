/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of CUDA and cuBLAS calls: a failure becomes an esc_status with a message, which has the
 * name of the function and the library's error text. */
#ifndef ESC_CUDA_CHECK_H
#define ESC_CUDA_CHECK_H

#include <cuda_runtime_api.h>

#include "cuda/cublas.h"
#include "escapement/internal/status.h"

esc_status esc_cuda_failed(const char *file, int line, const char *call, cudaError_t error);

/* Advice to the user for an error that is a state of the machine; NULL for other errors. */
const char *esc_cuda_advice(cudaError_t error);

esc_status esc_cublas_failed(const char *file, int line, const char *call, cublasStatus_t error);

/* Loads cuBLAS, once for the process; required before any call of it. Fails with
 * ESC_DEVICE_FAILED. */
esc_status esc_cublas_load(void);

/* Leaves the function through `done` if the call fails, like ESC_TRY. */
#define ESC_TRY_CUDA(call)                                             \
  do {                                                                 \
    const cudaError_t cuda_error = (call);                             \
    if (cuda_error != cudaSuccess) {                                   \
      status = esc_cuda_failed(__FILE__, __LINE__, #call, cuda_error); \
      goto done;                                                       \
    }                                                                  \
  } while (0)

#define ESC_TRY_CUBLAS(call)                                               \
  do {                                                                     \
    const cublasStatus_t cublas_error = (call);                            \
    if (cublas_error != CUBLAS_STATUS_SUCCESS) {                           \
      status = esc_cublas_failed(__FILE__, __LINE__, #call, cublas_error); \
      goto done;                                                           \
    }                                                                      \
  } while (0)

#endif
