/* SPDX-License-Identifier: Apache-2.0 */
/* Launches: the configuration is checked as a device does, the kernel queued, its
 * executions counted by name; limits of shared memory are kept by kernel. */
#include <algorithm>
#include <cctype>
#include <map>
#include <string>

#include "block.h"
#include "call.h"
#include "esc_simt_launch.h"
#include "stream.h"

namespace esc_simt {
namespace {

/* Executions by name of the kernel; references to entries stay valid. */
std::map<std::string, int64_t> &counts() {
  static auto *const all = new std::map<std::string, int64_t>;
  return *all;
}

/* The function of the latest execution. */
const void *latest = nullptr;

/* "(esc_step_kernel<32, 4>)" is a launch of esc_step_kernel. */
std::string plain_name(const char *text) {
  std::string name;
  for (; *text != '\0' && *text != '<'; text++) {
    if (*text == ':') name.clear();
    if (isalnum(static_cast<unsigned char>(*text)) || *text == '_') name += *text;
  }
  return name;
}

/* Raised limits of dynamic shared memory, by kernel. */
std::map<const void *, int> shared_limits;

size_t shared_limit(const void *kernel) {
  const auto found = shared_limits.find(kernel);
  return found == shared_limits.end() ? shared_default_bytes : static_cast<size_t>(found->second);
}

bool within(dim3 size, unsigned x, unsigned y, unsigned z) {
  return size.x >= 1 && size.y >= 1 && size.z >= 1 && size.x <= x && size.y <= y && size.z <= z;
}

cudaError_t check(const Launch &launch) {
  const dim3 &block = launch.block;
  if (!within(launch.grid, 0x7fffffff, 65535, 65535)) return cudaErrorInvalidConfiguration;
  if (!within(block, max_threads, max_threads, 64)) return cudaErrorInvalidConfiguration;
  if (block.x * block.y * block.z > max_threads) return cudaErrorInvalidConfiguration;
  if (launch.shared > shared_limit(launch.kernel)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

} /* namespace */

cudaError_t queue_launch(Launch launch, cudaStream_t handle) {
  return call([&] {
    CUstream_st *stream = stream_find(handle);
    if (stream == nullptr || stream->device != device_current()) {
      return cudaErrorInvalidResourceHandle;
    }
    const cudaError_t error = check(launch);
    if (error != cudaSuccess) return error;
    auto *entry = &*counts().try_emplace(plain_name(launch.name), 0).first;
    return stream_enqueue(stream, [launch = std::move(launch), entry] {
      entry->second++;
      latest = launch.kernel;
      run_grid(entry->first.c_str(), launch.body, launch.grid, launch.block, launch.shared);
    });
  });
}

} /* namespace esc_simt */

using namespace esc_simt;

int64_t esc_simt_launches(const char *kernel) {
  const CallScope scope;
  const auto found = counts().find(kernel);
  return found == counts().end() ? 0 : found->second;
}

const void *esc_simt_latest_kernel(void) {
  const CallScope scope;
  return latest;
}

cudaError_t cudaFuncSetAttribute(const void *func, cudaFuncAttribute attr, int value) {
  return call([&] {
    if (func == nullptr) return cudaErrorInvalidDeviceFunction;
    if (attr == cudaFuncAttributePreferredSharedMemoryCarveout) {
      return value < -1 || value > 100 ? cudaErrorInvalidValue : cudaSuccess;
    }
    if (attr != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        static_cast<size_t>(value) > shared_optin_bytes) {
      return cudaErrorInvalidValue;
    }
    shared_limits[func] = value;
    return cudaSuccess;
  });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attr, const void *func) {
  return call([&] {
    if (func == nullptr) return cudaErrorInvalidDeviceFunction;
    if (attr == nullptr) return cudaErrorInvalidValue;
    *attr = {};
    attr->maxThreadsPerBlock = static_cast<int>(max_threads);
    attr->ptxVersion = attr->binaryVersion = 90;
    attr->maxDynamicSharedSizeBytes = static_cast<int>(shared_limit(func));
    attr->preferredShmemCarveout = -1;
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, const void *func,
                                                          int blockSize, size_t dynamicSMemSize) {
  return call([&] {
    if (func == nullptr) return cudaErrorInvalidDeviceFunction;
    if (numBlocks == nullptr || blockSize < 1) return cudaErrorInvalidValue;
    const int whole_warps = (blockSize + 31) / 32 * 32;
    const size_t by_shared =
        shared_multiprocessor_bytes / (dynamicSMemSize + shared_reserved_bytes);
    *numBlocks = std::min(
        {blocks_multiprocessor, threads_multiprocessor / whole_warps, static_cast<int>(by_shared)});
    if (blockSize > static_cast<int>(max_threads) || dynamicSMemSize > shared_limit(func)) {
      *numBlocks = 0;
    }
    return cudaSuccess;
  });
}
