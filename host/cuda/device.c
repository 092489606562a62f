/* SPDX-License-Identifier: Apache-2.0 */
/* Queries of devices and of the libraries. All but esc_cuda_device_memory leave the devices
 * without a context, which would take memory, and the whole device in compute mode
 * EXCLUSIVE_PROCESS. */
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

/* The error's text and advice to the user. */
static void describe_error(cudaError_t error, char *text, size_t size) {
  const char *advice = esc_cuda_advice(error), *visible = getenv("CUDA_VISIBLE_DEVICES");
  int driver = 0;
  if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess &&
      driver == 0)
    snprintf(text, size, "no NVIDIA driver was found");
  else if (error == cudaErrorNoDevice && visible)
    snprintf(text, size, "%s with CUDA_VISIBLE_DEVICES=%.60s", cudaGetErrorString(error), visible);
  else
    snprintf(text, size, "%s%s%s", cudaGetErrorString(error), advice ? "; " : "",
             advice ? advice : "");
}

int esc_cuda_devices(char *why, size_t size) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    (void)cudaGetLastError();
    describe_error(error, why, size);
    return 0;
  }
  if (count == 0) snprintf(why, size, "none is visible");
  return count;
}

/* Why a device of this machine may not be among the `devices` of this process: ", ..." or "". */
static void explain_hidden_devices(int devices, char *text, size_t size) {
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  struct cudaDeviceProp info;
  text[0] = 0;
  if (devices > 0 && cudaGetDeviceProperties(&info, 0) == cudaSuccess && strstr(info.name, "MIG"))
    snprintf(
        text, size,
        ", because a process sees one slice of a GPU in MIG mode; CUDA_VISIBLE_DEVICES=MIG-... "
        "selects it (nvidia-smi -L)");
  else if (visible)
    snprintf(text, size, ", with CUDA_VISIBLE_DEVICES=%.60s", visible);
}

esc_status esc_cuda_check_device(int device) {
  char why[200];
  const int devices = esc_cuda_devices(why, sizeof why);
  if (device < devices) return ESC_OK;
  explain_hidden_devices(devices, why, sizeof why);
  return ESC_FAIL(ESC_BAD_INPUT, "--device %d: must be below %d, the number of CUDA devices%s",
                  device, devices, why);
}

esc_status esc_cuda_device_memory(int device, double *available, double *total) {
  esc_status status = ESC_OK;
  size_t free_bytes = 0, all = 0;
  ESC_TRY(esc_cuda_check_device(device));
  cudaError_t error = cudaSetDevice(device);
  if (error == cudaSuccess) error = cudaMemGetInfo(&free_bytes, &all);
  if (error == cudaErrorMemoryAllocation)
    status = ESC_FAIL(ESC_NO_MEMORY,
                      "device %d: other processes use all of its memory (nvidia-smi lists them); "
                      "use another --device, or --backend cpu; nothing was started",
                      device);
  else if (error != cudaSuccess)
    status = esc_cuda_failed(__FILE__, __LINE__, "cudaSetDevice", error);
  *available = 0.9 * (double)free_bytes; /* a margin, because the driver rounds allocations up */
  *total = (double)all;
done:
  return status;
}

static int append_version(char *text, size_t size, const char *name, int version) {
  return snprintf(text, size, "%s %d.%d", name, version / 1000, version % 1000 / 10);
}

esc_status esc_cuda_versions(bool cublas, char *text, size_t size) {
  esc_status status = ESC_OK;
  int driver = 0, runtime = 0, part[3] = {0};
  ESC_TRY_CUDA(cudaDriverGetVersion(&driver));
  ESC_TRY_CUDA(cudaRuntimeGetVersion(&runtime));
  size_t used = (size_t)append_version(text, size, "CUDA driver", driver);
  used += (size_t)append_version(text + used, size - used, ", runtime", runtime);
  if (!cublas) return ESC_OK;
  ESC_TRY(esc_cublas_load());
  for (int i = 0; i < 3; i++)
    ESC_TRY_CUBLAS(cublasGetProperty((libraryPropertyType)(MAJOR_VERSION + i), &part[i]));
  snprintf(text + used, size - used, ", cuBLAS %d.%d.%d", part[0], part[1], part[2]);
done:
  return status;
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
      "%.60s has compute capability %d.%d, and this program holds code for %.80s: build it with "
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
  const int used =
      snprintf(why, size, "driver for CUDA %d.%d: ", driver / 1000, driver % 1000 / 10);
  describe_error(error, why + used, size - (size_t)used);
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

esc_status esc_cuda_device_bus_id(int index, char *text, size_t size) {
  esc_status status = ESC_OK;
  struct cudaDeviceProp device;
  ESC_TRY_CUDA(cudaGetDeviceProperties(&device, index));
  snprintf(text, size, "%08X:%02X:%02X.0", (unsigned)device.pciDomainID, (unsigned)device.pciBusID,
           (unsigned)device.pciDeviceID);
done:
  return status;
}
