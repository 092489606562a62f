/* SPDX-License-Identifier: Apache-2.0 */
/* Device queries: a small device with the limits of compute capability 9.0. */
#include "device.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "call.h"
#include "stream.h"

namespace esc_simt {
namespace {

constexpr const char *first_name = "SIMT harness on the CPU";
std::string name = first_name;
int driver_version = CUDART_VERSION;
int lock[max_devices]; /* file descriptor of a context in exclusive mode; 0: none */
/* The environment's number of devices, which is as long as its list of shared memory. */
int first_count() {
  const char *text = getenv("ESC_SIMT_SHARED");
  return text == nullptr ? 1 : 1 + static_cast<int>(std::count(text, text + strlen(text), ','));
}
int count = first_count();
thread_local int current = 0;

constexpr int multiprocessors = 4;
constexpr int l2_bytes = 50 << 20;
constexpr int bus_bits = 5120;
constexpr int registers = 65536;

cudaError_t check_device(int device) {
  return device < 0 || device >= count ? cudaErrorInvalidDevice : cudaSuccess;
}

/* Opt-in shared memory of each device: ESC_SIMT_SHARED, or the limit. */
size_t shared_optin(int device) {
  const char *text = getenv("ESC_SIMT_SHARED");
  for (int i = 0; i < device && text != nullptr; i++) {
    text = strchr(text, ',');
    if (text != nullptr) text++;
  }
  return text != nullptr ? strtoul(text, nullptr, 10) : shared_optin_bytes;
}

cudaDeviceProp properties(int device) {
  cudaDeviceProp p = {};
  snprintf(p.name, sizeof p.name, "%s", name.c_str());
  p.totalGlobalMem = memory_limit();
  p.sharedMemPerBlock = shared_default_bytes;
  p.regsPerBlock = p.regsPerMultiprocessor = registers;
  p.warpSize = 32;
  p.maxThreadsPerBlock = 1024;
  const int block[3] = {1024, 1024, 64}, grid[3] = {0x7fffffff, 65535, 65535};
  for (int i = 0; i < 3; i++) {
    p.maxThreadsDim[i] = block[i];
    p.maxGridSize[i] = grid[i];
  }
  p.totalConstMem = 65536;
  p.major = 9;
  p.multiProcessorCount = multiprocessors;
  p.concurrentKernels = 1;
  p.pciBusID = device + 1;
  p.unifiedAddressing = 1;
  p.memoryBusWidth = bus_bits;
  p.l2CacheSize = l2_bytes;
  p.maxThreadsPerMultiProcessor = threads_multiprocessor;
  p.sharedMemPerMultiprocessor = shared_multiprocessor_bytes;
  p.sharedMemPerBlockOptin = shared_optin(device);
  p.maxBlocksPerMultiProcessor = blocks_multiprocessor;
  p.reservedSharedMemPerBlock = shared_reserved_bytes;
  return p;
}

bool attribute(cudaDeviceAttr attr, int *value) {
  switch (attr) {
    case cudaDevAttrMaxThreadsPerBlock:
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY: *value = 1024; break;
    case cudaDevAttrMaxBlockDimZ: *value = 64; break;
    case cudaDevAttrMaxGridDimX: *value = 0x7fffffff; break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: *value = 65535; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = shared_default_bytes; break;
    case cudaDevAttrTotalConstantMemory: *value = 65536; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor: *value = registers; break;
    case cudaDevAttrClockRate: *value = 1000000; break;
    case cudaDevAttrMultiProcessorCount: *value = multiprocessors; break;
    case cudaDevAttrIntegrated:
    case cudaDevAttrEccEnabled:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrClusterLaunch:
    case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrUnifiedAddressing: *value = 1; break;
    case cudaDevAttrMemoryClockRate: *value = 1000000; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = bus_bits; break;
    case cudaDevAttrL2CacheSize: *value = l2_bytes; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = threads_multiprocessor; break;
    case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = shared_multiprocessor_bytes; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = shared_optin_bytes; break;
    case cudaDevAttrMaxBlocksPerMultiprocessor: *value = blocks_multiprocessor; break;
    case cudaDevAttrReservedSharedMemoryPerBlock: *value = shared_reserved_bytes; break;
    default: return false;
  }
  return true;
}

} /* namespace */

cudaError_t device_open(int device) {
  const char *path = getenv("ESC_SIMT_EXCLUSIVE");
  if (path == nullptr || lock[device] > 0) return cudaSuccess;
  const std::string file = std::string(path) + "." + std::to_string(device);
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return cudaErrorUnknown;
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    close(descriptor);
    return cudaErrorDevicesUnavailable;
  }
  lock[device] = descriptor;
  return cudaSuccess;
}

int device_count() { return count; }
int device_current() { return current; }

} /* namespace esc_simt */

using namespace esc_simt;

void esc_simt_set_devices(int devices) {
  const CallScope scope;
  count = devices < 0 ? 0 : devices > max_devices ? max_devices : devices;
  current = 0;
}

void esc_simt_set_name(const char *text) {
  const CallScope scope;
  name = text != nullptr ? text : first_name;
}

void esc_simt_set_driver(int version) {
  const CallScope scope;
  driver_version = version;
}

cudaError_t cudaGetDeviceCount(int *out) {
  return call_query([&] {
    if (out == nullptr) return cudaErrorInvalidValue;
    *out = 0;
    if (driver_version < CUDART_VERSION / 1000 * 1000) return cudaErrorInsufficientDriver;
    *out = count;
    return count == 0 ? cudaErrorNoDevice : cudaSuccess;
  });
}

/* Creates the context, as since CUDA 12. */
cudaError_t cudaSetDevice(int device) {
  return call_info([&] {
    const cudaError_t error = check_device(device);
    if (error != cudaSuccess) return error;
    current = device;
    return device_open(device);
  });
}

cudaError_t cudaGetDevice(int *device) {
  return call_info([&] {
    if (device == nullptr) return cudaErrorInvalidValue;
    *device = current;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device) {
  return call_info([&] {
    if (prop == nullptr) return cudaErrorInvalidValue;
    const cudaError_t error = check_device(device);
    if (error == cudaSuccess) *prop = properties(device);
    return error;
  });
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attr, int device) {
  return call_info([&] {
    if (value == nullptr) return cudaErrorInvalidValue;
    const cudaError_t error = check_device(device);
    if (error != cudaSuccess) return error;
    return attribute(attr, value) ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaRuntimeGetVersion(int *runtimeVersion) {
  return call_query([&] {
    if (runtimeVersion == nullptr) return cudaErrorInvalidValue;
    *runtimeVersion = CUDART_VERSION;
    return cudaSuccess;
  });
}

cudaError_t cudaDriverGetVersion(int *driverVersion) {
  return call_query([&] {
    if (driverVersion == nullptr) return cudaErrorInvalidValue;
    *driverVersion = driver_version;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call([&] {
    if (stream_invalidate_captures()) return cudaErrorStreamCaptureUnsupported;
    stream_finish_device(current);
    return cudaSuccess;
  });
}

/* Frees the memory of the device and repairs a corrupted context; streams, events and graphs
 * remain to be destroyed. */
cudaError_t cudaDeviceReset() {
  const CallScope scope;
  stream_drop_device(current);
  memory_reset(current);
  call_revive();
  return cudaSuccess;
}
