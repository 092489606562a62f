/* SPDX-License-Identifier: Apache-2.0 */
/* Queries of devices, and messages for failures of CUDA and cuBLAS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/check.h"
#include "cuda/cuda.h"

/* CMake's list of the architectures that the kernels are built for; without it (the stand-in for
 * CUDA) for every device. */
#ifndef ESC_CUDA_ARCHITECTURES
#define ESC_CUDA_ARCHITECTURES "native"
#endif

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

/* One entry of the list: machine code unless `-virtual`, PTX unless `-real`. */
static bool entry_runs_on(const char *entry, size_t length, int major, int minor) {
  char *kind = NULL;
  const int version = (int)strtol(entry, &kind, 10), device = 10 * major + minor;
  const size_t rest = length - (size_t)(kind - entry);
  const bool has_ptx = rest == 0 || !strncmp(kind, "-virtual", rest);
  const bool has_code = rest == 0 || !strncmp(kind, "-real", rest);
  if (kind == entry) return true;                      /* native, all, ...: not a version */
  if (!has_ptx && !has_code) return version == device; /* 90a: of this version alone */
  return (has_ptx && version <= device) ||
         (has_code && version / 10 == major && version % 10 <= minor);
}

bool esc_cuda_code_runs_on(const char *architectures, int major, int minor) {
  while (*architectures) {
    const size_t length = strcspn(architectures, ",;");
    if (entry_runs_on(architectures, length, major, minor)) return true;
    architectures += length + (architectures[length] != 0);
  }
  return false;
}

bool esc_cuda_lacks_code(int device, char *why, size_t size) {
  struct cudaDeviceProp info;
  if (cudaGetDeviceProperties(&info, device) != cudaSuccess) {
    (void)cudaGetLastError();
    return false; /* reported by the calls that follow */
  }
  if (esc_cuda_code_runs_on(ESC_CUDA_ARCHITECTURES, info.major, info.minor)) return false;
  snprintf(
      why, size,
      "%.60s has compute capability %d.%d, and this program holds code for %.40s: build it with "
      "-DCMAKE_CUDA_ARCHITECTURES=%d%d",
      info.name, info.major, info.minor, ESC_CUDA_ARCHITECTURES, info.major, info.minor);
  return true;
}

bool esc_cuda_is_broken(int device, char *why, size_t size) {
  int count = 0, driver = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  if (error == cudaSuccess) return device < count && esc_cuda_lacks_code(device, why, size);
  if (error == cudaErrorNoDevice) return false;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return false;
  snprintf(why, size, "%s (driver for CUDA %d.%d)", cudaGetErrorString(error), driver / 1000,
           driver % 1000 / 10);
  return true;
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
