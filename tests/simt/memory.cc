/* SPDX-License-Identifier: Apache-2.0 */
/* cudaMalloc and similar functions.
 *
 * Every allocation is one of the host's, so AddressSanitizer knows its exact end.
 * Between calls device memory is poisoned for AddressSanitizer as well: host code
 * that follows a device pointer is caught in the act. */
#include "memory.h"

#include <cstdint>
#include <cstdlib>
#include <map>

#include "call.h"
#include "device.h"
#include "live.h"
#include "stream.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(bytes, count) ((void)(bytes), (void)(count))
#define ASAN_UNPOISON_MEMORY_REGION(bytes, count) ((void)(bytes), (void)(count))
#endif

namespace esc_simt {
namespace {

struct Allocation {
  size_t size;
  int device;
};

/* Pinned allocations: their ends by their beginnings. */
std::map<uintptr_t, uintptr_t> pinned;
/* Device allocations by address. */
std::map<uintptr_t, Allocation> allocations;
size_t limit = memory_default_bytes;
bool is_open;

size_t used(int device) {
  size_t sum = 0;
  for (const auto &[address, allocation] : allocations) {
    if (allocation.device == device) sum += allocation.size;
  }
  return sum;
}

uintptr_t address_of(const void *bytes) { return reinterpret_cast<uintptr_t>(bytes); }

/* The last allocation that begins at or before `address`. */
std::map<uintptr_t, Allocation>::iterator before(uintptr_t address) {
  const auto after = allocations.upper_bound(address);
  return after == allocations.begin() ? allocations.end() : std::prev(after);
}

void *allocate(size_t size) {
  void *bytes = nullptr;
  /* CUDA aligns to 256 bytes at least. */
  if (posix_memalign(&bytes, 256, size) != 0) return nullptr;
  memory_poison(bytes, size);
  return bytes;
}

cudaError_t allocate_device(void **pointer, size_t size) {
  if (pointer == nullptr) return cudaErrorInvalidValue;
  *pointer = nullptr;
  if (size == 0) return cudaSuccess;
  const int device = device_current();
  const size_t in_use = used(device);
  if (in_use > limit || size > limit - in_use) return cudaErrorMemoryAllocation;
  void *bytes = allocate(size);
  if (bytes == nullptr) return cudaErrorMemoryAllocation;
  allocations[address_of(bytes)] = {size, device};
  live_add(Kind::device_memory, bytes);
  if (!is_open) ASAN_POISON_MEMORY_REGION(bytes, size);
  *pointer = bytes;
  return cudaSuccess;
}

void release_device(void *bytes) {
  const auto found = allocations.find(address_of(bytes));
  ASAN_UNPOISON_MEMORY_REGION(bytes, found->second.size);
  allocations.erase(found);
  live_remove(Kind::device_memory, bytes);
  free(bytes);
}

cudaError_t allocate_host(void **pointer, size_t size) {
  if (pointer == nullptr) return cudaErrorInvalidValue;
  *pointer = nullptr;
  if (size == 0) return cudaSuccess;
  *pointer = allocate(size);
  if (*pointer == nullptr) return cudaErrorMemoryAllocation;
  live_add(Kind::pinned_memory, *pointer);
  pinned[address_of(*pointer)] = address_of(*pointer) + size;
  return cudaSuccess;
}

} /* namespace */

void memory_poison(void *bytes, size_t count) {
  const uint32_t word = 0x7ff7a5a5u;
  char *out = static_cast<char *>(bytes);
  size_t i = 0;
  for (; i + sizeof word <= count; i += sizeof word) __builtin_memcpy(out + i, &word, sizeof word);
  __builtin_memcpy(out + i, &word, count - i);
}

bool memory_is_device(const void *bytes, size_t count) {
  const auto found = before(address_of(bytes));
  if (found == allocations.end()) return false;
  const size_t offset = address_of(bytes) - found->first;
  return offset <= found->second.size && count <= found->second.size - offset;
}

bool memory_is_host(const void *bytes, size_t count) {
  if (count == 0) return true;
  if (bytes == nullptr) return false;
  const auto found = before(address_of(bytes) + count - 1);
  return found == allocations.end() || found->first + found->second.size <= address_of(bytes);
}

bool memory_is_pinned(const void *bytes) {
  const auto after = pinned.upper_bound(address_of(bytes));
  return after != pinned.begin() && address_of(bytes) < std::prev(after)->second;
}

size_t memory_limit() { return limit; }

void memory_open() {
  if (is_open) return;
  is_open = true;
  for (const auto &[address, allocation] : allocations) {
    ASAN_UNPOISON_MEMORY_REGION(reinterpret_cast<void *>(address), allocation.size);
  }
}

void memory_close() {
  if (!is_open) return;
  is_open = false;
  for (const auto &[address, allocation] : allocations) {
    ASAN_POISON_MEMORY_REGION(reinterpret_cast<void *>(address), allocation.size);
  }
}

void memory_reset(int device) {
  std::vector<void *> gone;
  for (const auto &[address, allocation] : allocations) {
    if (allocation.device == device) gone.push_back(reinterpret_cast<void *>(address));
  }
  for (void *bytes : gone) release_device(bytes);
}

} /* namespace esc_simt */

using namespace esc_simt;

void esc_simt_set_memory(size_t bytes) {
  const CallScope scope;
  limit = bytes;
}

cudaError_t cudaMalloc(void **devPtr, size_t size) {
  return call([&] {
    const cudaError_t error = stream_check_unsafe();
    return error != cudaSuccess ? error : allocate_device(devPtr, size);
  });
}

/* First waits for the device, as CUDA does. */
cudaError_t cudaFree(void *devPtr) {
  return call_releasing([&] {
    if (devPtr == nullptr) return cudaSuccess;
    const cudaError_t error = stream_check_unsafe();
    if (error != cudaSuccess) return error;
    if (!live_has(Kind::device_memory, devPtr)) return cudaErrorInvalidValue;
    stream_finish_all();
    release_device(devPtr);
    return cudaSuccess;
  });
}

cudaError_t cudaHostAlloc(void **pHost, size_t size, unsigned int flags) {
  return call([&] {
    if (flags > 7) return cudaErrorInvalidValue;
    const cudaError_t error = stream_check_unsafe();
    return error != cudaSuccess ? error : allocate_host(pHost, size);
  });
}

cudaError_t cudaMallocHost(void **ptr, size_t size) { return cudaHostAlloc(ptr, size, 0); }

/* Does not wait, so that a pending copy from freed memory is detected. */
cudaError_t cudaFreeHost(void *ptr) {
  return call_releasing([&] {
    if (ptr == nullptr) return cudaSuccess;
    const cudaError_t error = stream_check_unsafe();
    if (error != cudaSuccess) return error;
    if (!live_remove(Kind::pinned_memory, ptr)) return cudaErrorInvalidValue;
    pinned.erase(address_of(ptr));
    free(ptr);
    return cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
  return call([&] {
    if (free == nullptr || total == nullptr) return cudaErrorInvalidValue;
    const size_t in_use = used(device_current());
    *total = limit;
    *free = in_use < limit ? limit - in_use : 0;
    return cudaSuccess;
  });
}
