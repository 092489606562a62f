/* SPDX-License-Identifier: Apache-2.0 */
/* Copies and fills. Pointers are checked against the direction when the call is
 * made; bytes move when the stream runs, from pageable memory too. */
#include <cstring>
#include <memory>
#include <vector>

#include "call.h"
#include "stream.h"

namespace {

using namespace esc_simt;

struct Copy {
  char *to;
  const char *from;
  size_t to_pitch, from_pitch, width, height;
};

size_t extent(size_t pitch, size_t width, size_t height) {
  return width == 0 || height == 0 ? 0 : pitch * (height - 1) + width;
}

cudaError_t check(const Copy &c, cudaMemcpyKind kind) {
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDeviceToDevice) {
    return cudaErrorInvalidMemcpyDirection;
  }
  if (c.height > 1 && (c.to_pitch < c.width || c.from_pitch < c.width)) {
    return cudaErrorInvalidPitchValue;
  }
  const size_t to_bytes = extent(c.to_pitch, c.width, c.height);
  const size_t from_bytes = extent(c.from_pitch, c.width, c.height);
  if (to_bytes == 0) return cudaSuccess;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool to_right =
      to_device ? memory_is_device(c.to, to_bytes) : memory_is_host(c.to, to_bytes);
  const bool from_right =
      from_device ? memory_is_device(c.from, from_bytes) : memory_is_host(c.from, from_bytes);
  return to_right && from_right ? cudaSuccess : cudaErrorInvalidValue;
}

void perform(const Copy &c) {
  for (size_t row = 0; row < c.height && c.width > 0; row++) {
    memcpy(c.to + row * c.to_pitch, c.from + row * c.from_pitch, c.width);
  }
}

/* From pageable memory to a device: the call returns once the source is in a staging buffer, whose
 * copy to the device is queued on the legacy stream. */
cudaError_t copy_staged(const Copy &c) {
  auto staging = std::make_shared<std::vector<char>>(c.width * c.height);
  for (size_t row = 0; row < c.height && c.width > 0; row++) {
    memcpy(staging->data() + row * c.width, c.from + row * c.from_pitch, c.width);
  }
  return stream_enqueue(stream_find(nullptr), [c, staging] {
    perform({c.to, staging->data(), c.to_pitch, c.width, c.width, c.height});
  });
}

/* On the legacy stream; waits for completion. */
cudaError_t copy_now(const Copy &c, cudaMemcpyKind kind) {
  const cudaError_t error = check(c, kind);
  if (error != cudaSuccess) return error;
  if (stream_invalidate_blocking_captures()) return cudaErrorStreamCaptureImplicit;
  const cudaError_t unsafe = stream_check_unsafe();
  if (unsafe != cudaSuccess) return unsafe;
  stream_finish_legacy();
  if (kind == cudaMemcpyHostToDevice && !memory_is_pinned(c.from)) return copy_staged(c);
  memory_open();
  perform(c);
  return cudaSuccess;
}

cudaError_t copy_later(const Copy &c, cudaMemcpyKind kind, cudaStream_t handle) {
  CUstream_st *stream = stream_find(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  const cudaError_t error = check(c, kind);
  return error != cudaSuccess ? error : stream_enqueue(stream, [c] { perform(c); });
}

Copy line(void *dst, const void *src, size_t count) {
  return {static_cast<char *>(dst), static_cast<const char *>(src), count, count, count, 1};
}

Copy rectangle(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width,
               size_t height) {
  return {static_cast<char *>(dst), static_cast<const char *>(src), dpitch, spitch, width, height};
}

} /* namespace */

cudaError_t cudaMemcpy(void *dst, const void *src, size_t count, cudaMemcpyKind kind) {
  return call([&] { return copy_now(line(dst, src, count), kind); });
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t count, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return call([&] { return copy_later(line(dst, src, count), kind, stream); });
}

cudaError_t cudaMemcpy2D(void *dst, size_t dpitch, const void *src, size_t spitch, size_t width,
                         size_t height, cudaMemcpyKind kind) {
  return call([&] { return copy_now(rectangle(dst, dpitch, src, spitch, width, height), kind); });
}

cudaError_t cudaMemcpy2DAsync(void *dst, size_t dpitch, const void *src, size_t spitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  return call(
      [&] { return copy_later(rectangle(dst, dpitch, src, spitch, width, height), kind, stream); });
}

cudaError_t cudaMemsetAsync(void *devPtr, int value, size_t count, cudaStream_t handle) {
  return call([&] {
    CUstream_st *stream = stream_find(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (count == 0) return cudaSuccess;
    if (!memory_is_device(devPtr, count)) return cudaErrorInvalidValue;
    return stream_enqueue(stream, [=] { memset(devPtr, value, count); });
  });
}

/* Queued on the legacy stream: other streams may not see it yet, as in CUDA. */
cudaError_t cudaMemset(void *devPtr, int value, size_t count) {
  return cudaMemsetAsync(devPtr, value, count, nullptr);
}
