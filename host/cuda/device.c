/* SPDX-License-Identifier: Apache-2.0 */
/* Queries of devices, and messages for failures of CUDA and cuBLAS. */
#include <stdio.h>
#include <string.h>

#include "cuda/check.h"
#include "cuda/cuda.h"

esc_status esc_cuda_failed(const char *file, int line, const char *call, cudaError_t error) {
  (void)cudaGetLastError(); /* clears it for the next check */
  const int length = (int)strcspn(call, "(");
  const bool memory = error == cudaErrorMemoryAllocation;
  return esc_fail_at(file, line, memory ? ESC_NO_MEMORY : ESC_DEVICE_FAILED,
                     "CUDA: %.*s: %s (%s)%s", length, call, cudaGetErrorString(error),
                     cudaGetErrorName(error), memory ? "; fewer --slots need less memory" : "");
}

esc_status esc_cublas_failed(const char *file, int line, const char *call, cublasStatus_t error) {
  return esc_fail_at(file, line, ESC_DEVICE_FAILED, "cuBLAS: %.*s: %s", (int)strcspn(call, "("),
                     call, cublasGetStatusString(error));
}

int esc_cuda_devices(char *why, size_t size) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    (void)cudaGetLastError();
    snprintf(why, size, "%s", cudaGetErrorString(error));
    return 0;
  }
  if (count == 0) snprintf(why, size, "none is visible");
  return count;
}

esc_status esc_cuda_device_name(int index, char *text, size_t size) {
  esc_status status = ESC_OK;
  struct cudaDeviceProp device;
  ESC_TRY_CUDA(cudaGetDeviceProperties(&device, index));
  snprintf(text, size, "%s, compute capability %d.%d, %d SMs, %.1f GB", device.name, device.major,
           device.minor, device.multiProcessorCount, (double)device.totalGlobalMem / 1e9);
done:
  return status;
}
