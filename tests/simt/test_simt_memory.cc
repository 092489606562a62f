/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: poison, limits, wrong pointers, directions, leaks. */
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "test_simt.h"

namespace {

constexpr cudaMemcpyKind in = cudaMemcpyHostToDevice, out = cudaMemcpyDeviceToHost;

__global__ void read_kernel(float *to, const float *from, int i) { *to = from[i]; }

} /* namespace */

TEST("device and pinned memory start as NaN for float and double, at any length") {
  for (const size_t bytes : {1, 2, 3, 7, 8, 64, 1000}) {
    std::vector<unsigned char> got(bytes);
    void *device = nullptr, *pinned = nullptr;
    CHECK_OK(cudaMalloc(&device, bytes));
    CHECK_OK(cudaMallocHost(&pinned, bytes));
    CHECK_EQUAL(reinterpret_cast<uintptr_t>(device) % 256, 0);
    CHECK_OK(cudaMemcpy(got.data(), device, bytes, out));
    CHECK_EQUAL(memcmp(got.data(), pinned, bytes), 0);
    const unsigned char pattern[] = {0xa5, 0xa5, 0xf7, 0x7f};
    for (size_t i = 0; i < bytes; i++) CHECK_EQUAL(int{got[i]}, int{pattern[i % 4]});
    CHECK_OK(cudaFree(device));
    CHECK_OK(cudaFreeHost(pinned));
  }
  float f;
  double d;
  const uint32_t words[] = {0x7ff7a5a5u, 0x7ff7a5a5u};
  memcpy(&f, words, sizeof f);
  memcpy(&d, words, sizeof d);
  CHECK(std::isnan(f) && std::isnan(d));
}

TEST("a copy from pageable memory is not seen by a stream that does not wait for it") {
  const int value = 7;
  int *pinned = nullptr;
  CHECK_EQUAL(esc_simt_set_order("forward"), 0); /* in others the copy may have ended */
  CHECK_OK(cudaMallocHost(reinterpret_cast<void **>(&pinned), sizeof value));
  for (const bool is_pinned : {false, true}) {
    TestArray<int> from(std::vector<int>{1}), to(std::vector<int>{2});
    cudaStream_t stream = nullptr;
    CHECK_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    *pinned = value;
    CHECK_OK(cudaMemcpy(from.device, is_pinned ? pinned : &value, 4, cudaMemcpyHostToDevice));
    CHECK_OK(cudaMemcpyAsync(to.device, from.device, 4, cudaMemcpyDeviceToDevice, stream));
    CHECK_OK(cudaStreamSynchronize(stream));
    CHECK_EQUAL(to.read()[0], is_pinned ? 7 : 1);
    CHECK_OK(cudaStreamDestroy(stream));
  }
  CHECK_OK(cudaFreeHost(pinned));
}

TEST("device memory ends at its limit, and cudaMemGetInfo follows") {
  size_t free = 0, total = 0;
  esc_simt_set_memory(1000);
  char *a = nullptr, *b = nullptr;
  CHECK_OK(cudaMalloc(&a, 600));
  CHECK_OK(cudaMemGetInfo(&free, &total));
  CHECK_EQUAL(free, 400);
  CHECK_EQUAL(total, 1000);
  CHECK_EQUAL(cudaMalloc(&b, 401), cudaErrorMemoryAllocation);
  CHECK(b == nullptr);
  CHECK_EQUAL(cudaMalloc(&b, ~size_t{0}), cudaErrorMemoryAllocation);
  CHECK_EQUAL(cudaGetLastError(), cudaErrorMemoryAllocation);
  CHECK_OK(cudaMalloc(&b, 400));
  CHECK_OK(cudaFree(a));
  CHECK_OK(cudaFree(b));
  CHECK_OK(cudaMemGetInfo(&free, &total));
  CHECK_EQUAL(free, 1000);
}

TEST("nothing is allocated for nothing, and freeing NULL is no error") {
  int dummy = 0, *pointer = &dummy;
  CHECK_OK(cudaMalloc(&pointer, 0));
  CHECK(pointer == nullptr);
  CHECK_OK(cudaFree(nullptr));
  CHECK_OK(cudaFreeHost(nullptr));
}

TEST("a pointer that was not allocated, or not so, is not freed") {
  int local = 0, *device = nullptr, *pinned = nullptr;
  CHECK_OK(cudaMalloc(&device, 16));
  CHECK_OK(cudaMallocHost(&pinned, 16));
  CHECK_EQUAL(cudaFree(&local), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaFree(device + 1), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaFree(pinned), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaFreeHost(device), cudaErrorInvalidValue);
  CHECK_OK(cudaFree(device));
  CHECK_OK(cudaFreeHost(pinned));
  CHECK_EQUAL(cudaFree(device), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaFreeHost(pinned), cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST("cudaFree waits for work that is queued") {
  TestStream stream;
  TestArray<float> to(std::vector<float>{0});
  float one = 1.0f, *from = nullptr;
  CHECK_OK(cudaMalloc(&from, 4));
  CHECK_OK(cudaMemcpyAsync(from, &one, 4, in, stream));
  CHECK_OK(ESC_LAUNCH(read_kernel, 1, 1, 0, stream, to, from, 0));
  CHECK_OK(cudaFree(from));
  CHECK_EQUAL(to.read()[0], 1.0f);
}

TEST("a copy against its direction, or beyond an allocation, is refused") {
  TestArray<int> device(4);
  int host[8] = {0};
  const cudaError_t wrong = cudaErrorInvalidValue;
  CHECK_EQUAL(cudaMemcpy(host, host + 4, 16, in), wrong);
  CHECK_EQUAL(cudaMemcpy(device.device, device.device + 2, 8, in), wrong);
  CHECK_EQUAL(cudaMemcpy(host, host + 4, 16, out), wrong);
  CHECK_EQUAL(cudaMemcpy(host, device.device, 16, in), wrong);
  CHECK_EQUAL(cudaMemcpy(device.device, host, 16, out), wrong);
  CHECK_EQUAL(cudaMemcpy(host, device.device, 16, cudaMemcpyHostToHost), wrong);
  CHECK_EQUAL(cudaMemcpy(host, device.device, 16, cudaMemcpyDeviceToDevice), wrong);
  CHECK_EQUAL(cudaMemcpy(host, device.device, 16, cudaMemcpyDefault),
              cudaErrorInvalidMemcpyDirection);
  CHECK_EQUAL(cudaMemcpy(device.device, host, 17, in), wrong);
  CHECK_EQUAL(cudaMemcpy(device.device + 1, host, 16, in), wrong);
  CHECK_EQUAL(cudaMemcpy(host, device.device + 3, 8, cudaMemcpyHostToHost), wrong);
  CHECK_EQUAL(cudaMemcpy(nullptr, device.device, 4, out), wrong);
  CHECK_EQUAL(cudaMemset(device.device, 0, 17), wrong);
  CHECK_EQUAL(cudaMemset(host, 0, 4), wrong);
  CHECK_OK(cudaMemcpy(device.device, host, 16, in));
  CHECK_OK(cudaMemcpy(host + 4, host, 16, cudaMemcpyHostToHost));
  CHECK_OK(cudaMemcpy(nullptr, nullptr, 0, out));
  CHECK_EQUAL(cudaGetLastError(), wrong);
}

TEST("rectangles are copied row by row, and the gaps stay") {
  const std::vector<int> host = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; /* (3, 4) */
  TestArray<int> device(std::vector<int>(15, -1));                       /* (3, 5) */
  CHECK_OK(cudaMemcpy2D(device.device + 1, 20, host.data() + 1, 16, 12, 3, in));
  const int want[] = {-1, 2, 3, 4, -1, -1, 6, 7, 8, -1, -1, 10, 11, 12, -1};
  for (size_t i = 0; i < 15; i++) CHECK_EQUAL(device.read()[i], want[i]);
  std::vector<int> back(6, 0);
  TestStream stream;
  CHECK_OK(cudaMemcpy2DAsync(back.data(), 8, device.device + 2, 20, 8, 3, out, stream));
  CHECK_EQUAL(back[0], 0);
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_EQUAL(back[5], 12);
  CHECK_EQUAL(cudaMemcpy2D(back.data(), 8, device.device, 20, 12, 2, out),
              cudaErrorInvalidPitchValue);
  CHECK_EQUAL(cudaMemcpy2D(device.device + 1, 20, host.data(), 16, 20, 3, in),
              cudaErrorInvalidPitchValue);
  CHECK_EQUAL(cudaMemcpy2D(device.device + 4, 20, host.data(), 16, 8, 3, in),
              cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST("what is not released when the process ends is listed and fails it") {
  const auto leak = [](void (*act)()) {
    return [act] {
      act();
      exit(0);
    };
  };
  CHECK_DIES(leak([] {
               void *p;
               cudaMalloc(&p, 4);
             }),
             "simt: not released when the process ends:", "  device memory 0x");
  CHECK_DIES(leak([] {
               cudaStream_t s;
               cudaStreamCreate(&s);
             }),
             "  stream 0x");
  CHECK_DIES(leak([] {
               void *p;
               cudaMallocHost(&p, 4);
             }),
             "  pinned host memory 0x");
}

TEST("cudaDeviceReset frees a device's memory") {
  void *p = nullptr;
  CHECK_OK(cudaMalloc(&p, 100));
  CHECK_EQUAL(esc_simt_live(), 1);
  CHECK_OK(cudaDeviceReset());
  CHECK_EQUAL(esc_simt_live(), 0);
}

#ifdef __SANITIZE_ADDRESS__
TEST("host code that follows a device pointer is caught by AddressSanitizer") {
  CHECK_DIES(
      [] {
        TestArray<int> device(std::vector<int>{1});
        CHECK_OK(cudaDeviceSynchronize());
        fprintf(stderr, "%d\n", *static_cast<volatile int *>(device.device));
      },
      "use-after-poison");
}

TEST("a kernel that reads beyond an allocation is caught by AddressSanitizer") {
  const auto read = [](int i) {
    TestStream stream;
    TestArray<float> to(1), from(std::vector<float>(10, 1.0f));
    CHECK_OK(ESC_LAUNCH(read_kernel, 1, 1, 0, stream, to, from, i));
    CHECK_OK(cudaStreamSynchronize(stream));
  };
  read(9);
  CHECK_DIES([&] { read(10); }, "heap-buffer-overflow", "read_kernel");
}

TEST("pinned memory that is freed before its copy is caught by AddressSanitizer") {
  CHECK_DIES(
      [] {
        TestStream stream;
        TestArray<int> device(1);
        int *pinned = nullptr;
        CHECK_OK(cudaMallocHost(&pinned, 4));
        CHECK_OK(cudaMemcpyAsync(device.device, pinned, 4, in, stream));
        CHECK_OK(cudaFreeHost(pinned));
        CHECK_OK(cudaStreamSynchronize(stream));
      },
      "heap-use-after-free");
}
#endif
