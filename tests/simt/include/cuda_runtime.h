/* SPDX-License-Identifier: Apache-2.0 */
/* Included by .cu files compiled with g++ for the harness: the runtime, and in
 * C++ the language (decorations, indices, barriers, shuffles, atomics). */
#ifndef ESC_SIMT_CUDA_RUNTIME_H
#define ESC_SIMT_CUDA_RUNTIME_H

#include "cuda_runtime_api.h"
#include "vector_functions.h"

#ifdef __cplusplus
#include <math.h>
#include <stdlib.h>

#include <cassert>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
/* Dynamic shared memory alone can be checked for overruns block by block. */
#define __shared__ \
  _Pragma("GCC error \"static __shared__ is not supported: use ESC_SHARED_MEMORY (launch.h)\"")

#include "esc_simt_atomic.h"
#include "esc_simt_device.h"
#include "esc_simt_intrinsics.h"

/* As in CUDA, kernels of any type are accepted without a cast. */
template <class T>
inline cudaError_t cudaFuncSetAttribute(T *func, cudaFuncAttribute attr, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void *>(func), attr, value);
}
template <class T>
inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attr, T *func) {
  return cudaFuncGetAttributes(attr, reinterpret_cast<const void *>(func));
}
template <class T>
inline cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, T *func, int size,
                                                                 size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, reinterpret_cast<const void *>(func),
                                                       size, shared);
}
template <class T>
inline cudaError_t cudaMalloc(T **pointer, size_t size) {
  return cudaMalloc(reinterpret_cast<void **>(pointer), size);
}
template <class T>
inline cudaError_t cudaMallocHost(T **pointer, size_t size) {
  return cudaMallocHost(reinterpret_cast<void **>(pointer), size);
}
#endif
#endif
