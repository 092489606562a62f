/* SPDX-License-Identifier: Apache-2.0 */
/* Errors, injected faults, devices, launch configurations, NVTX. */
#include <cstring>
#include <thread>

#include "cublas_v2.h"
#include "test_simt.h"

extern "C" int test_simt_c(void);

namespace {

__global__ void set_kernel(int *out, int value) { *out = value; }
template <int a, class T>
__global__ void template_kernel(T *out) {
  *out = a;
}
__global__ void empty_kernel() {}
__global__ void other_kernel() {}

cudaError_t launch(dim3 grid, dim3 block, size_t shared = 0) {
  const cudaError_t error = ESC_LAUNCH(empty_kernel, grid, block, shared, nullptr);
  CHECK_EQUAL(cudaGetLastError(), error);
  return error;
}

} /* namespace */

TEST("an error is remembered until it is read, by the thread that made it") {
  CHECK_EQUAL(cudaSetDevice(5), cudaErrorInvalidDevice);
  CHECK_OK(cudaDeviceSynchronize()); /* a success forgets nothing */
  CHECK_EQUAL(cudaPeekAtLastError(), cudaErrorInvalidDevice);
  cudaError_t elsewhere = cudaErrorUnknown;
  std::thread([&] { elsewhere = cudaGetLastError(); }).join();
  CHECK_EQUAL(elsewhere, cudaSuccess);
  CHECK_EQUAL(cudaGetLastError(), cudaErrorInvalidDevice);
  CHECK_EQUAL(cudaGetLastError(), cudaSuccess);
}

TEST("errors have CUDA's names and words") {
  CHECK(strcmp(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation") == 0);
  CHECK(strcmp(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory") == 0);
  CHECK(strcmp(cudaGetErrorString(cudaSuccess), "no error") == 0);
  CHECK(strcmp(cudaGetErrorName(static_cast<cudaError_t>(998)), "unrecognized error code") == 0);
}

TEST("the n-th call fails, does nothing, and the next one works") {
  TestArray<int> out(std::vector<int>{0});
  TestStream stream;
  const int64_t calls = esc_simt_calls();
  esc_simt_fail_at(2, cudaErrorUnknown);
  CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, out, 1));
  CHECK_EQUAL(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, out, 2), cudaErrorUnknown);
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_EQUAL(esc_simt_calls(), calls + 3);
  CHECK_EQUAL(out.read()[0], 1);
  CHECK_EQUAL(cudaGetLastError(), cudaErrorUnknown);
  esc_simt_fail_at(1, cudaErrorUnknown);
  esc_simt_fail_at(0, cudaSuccess);
  CHECK_OK(cudaStreamSynchronize(stream));
}

TEST("a call that releases does so even when it fails") {
  cudaStream_t stream = nullptr;
  cudaEvent_t event = nullptr;
  cublasHandle_t handle = nullptr;
  void *device = nullptr, *pinned = nullptr;
  CHECK_OK(cudaStreamCreate(&stream));
  CHECK_OK(cudaEventCreate(&event));
  CHECK_OK(cudaMalloc(&device, 4));
  CHECK_OK(cudaMallocHost(&pinned, 4));
  CHECK_EQUAL(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(esc_simt_live(), 5);
  const std::function<bool()> releases[] = {
      [&] { return cudaStreamDestroy(stream) == cudaErrorUnknown; },
      [&] { return cudaEventDestroy(event) == cudaErrorUnknown; },
      [&] { return cudaFree(device) == cudaErrorUnknown; },
      [&] { return cudaFreeHost(pinned) == cudaErrorUnknown; },
      [&] { return cublasDestroy(handle) == CUBLAS_STATUS_EXECUTION_FAILED; },
  };
  for (const auto &release : releases) {
    esc_simt_fail_at(1, cudaErrorUnknown);
    CHECK(release());
  }
  CHECK_EQUAL(esc_simt_live(), 0);
  cudaGetLastError();
}

TEST("an error that corrupts the context is sticky") {
  TestStream stream;
  esc_simt_fail_at(1, cudaErrorIllegalAddress);
  CHECK_EQUAL(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
  CHECK_EQUAL(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
  void *pointer = nullptr;
  CHECK_EQUAL(cudaMalloc(&pointer, 4), cudaErrorIllegalAddress);
  esc_simt_fail_at(1, cudaErrorLaunchFailure);
  CHECK_EQUAL(cudaMalloc(&pointer, 4), cudaErrorIllegalAddress);
  CHECK_EQUAL(cudaGetLastError(), cudaErrorIllegalAddress);
  CHECK_EQUAL(cudaGetLastError(), cudaErrorIllegalAddress);
  CHECK_OK(cudaDeviceReset());
  CHECK_EQUAL(cudaGetLastError(), cudaSuccess);
  CHECK_OK(cudaStreamSynchronize(stream));
}

TEST("faults reach cuBLAS with its own statuses") {
  cublasHandle_t handle = nullptr;
  esc_simt_fail_at(1, cudaErrorMemoryAllocation);
  CHECK_EQUAL(cublasCreate(&handle), CUBLAS_STATUS_ALLOC_FAILED);
  CHECK(handle == nullptr);
  CHECK_EQUAL(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
  esc_simt_fail_at(1, cudaErrorLaunchOutOfResources);
  CHECK_EQUAL(cublasSetStream(handle, nullptr), CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK_EQUAL(cublasDestroy(handle), CUBLAS_STATUS_SUCCESS);
}

TEST("without a device every call that needs one says so") {
  esc_simt_set_devices(0);
  int n = -1, version = 0;
  void *pointer = nullptr;
  cudaStream_t stream = nullptr;
  cublasHandle_t handle = nullptr;
  CHECK_EQUAL(cudaGetDeviceCount(&n), cudaErrorNoDevice);
  CHECK_EQUAL(n, 0);
  CHECK_OK(cudaRuntimeGetVersion(&version));
  CHECK_EQUAL(version, 13000);
  CHECK_EQUAL(cudaMalloc(&pointer, 4), cudaErrorNoDevice);
  CHECK_EQUAL(cudaStreamCreate(&stream), cudaErrorNoDevice);
  CHECK_EQUAL(cudaSetDevice(0), cudaErrorNoDevice);
  CHECK_EQUAL(cublasCreate(&handle), CUBLAS_STATUS_NOT_INITIALIZED);
  cudaGetLastError();
}

TEST("devices have memory of their own, and a stream belongs to one") {
  esc_simt_set_devices(3);
  esc_simt_set_memory(1000);
  int n = 0, current = -1;
  CHECK_OK(cudaGetDeviceCount(&n));
  CHECK_EQUAL(n, 3);
  char *a = nullptr, *b = nullptr;
  CHECK_OK(cudaMalloc(&a, 900));
  CHECK_OK(cudaSetDevice(2));
  CHECK_OK(cudaGetDevice(&current));
  CHECK_EQUAL(current, 2);
  CHECK_OK(cudaMalloc(&b, 900));
  {
    TestStream stream;
    CHECK_OK(ESC_LAUNCH(empty_kernel, 1, 1, 0, stream));
    CHECK_OK(cudaSetDevice(0));
    CHECK_EQUAL(ESC_LAUNCH(empty_kernel, 1, 1, 0, stream), cudaErrorInvalidResourceHandle);
  }
  CHECK_OK(cudaFree(a));
  CHECK_OK(cudaFree(b));
  CHECK_EQUAL(cudaSetDevice(3), cudaErrorInvalidDevice);
  cudaGetLastError();
}

TEST("properties and attributes agree") {
  cudaDeviceProp p;
  CHECK_OK(cudaGetDeviceProperties(&p, 0));
  const struct {
    cudaDeviceAttr attribute;
    int want;
  } table[] = {
      {cudaDevAttrMultiProcessorCount, p.multiProcessorCount},
      {cudaDevAttrComputeCapabilityMajor, p.major},
      {cudaDevAttrComputeCapabilityMinor, p.minor},
      {cudaDevAttrMaxSharedMemoryPerBlockOptin, static_cast<int>(p.sharedMemPerBlockOptin)},
      {cudaDevAttrMaxSharedMemoryPerBlock, static_cast<int>(p.sharedMemPerBlock)},
      {cudaDevAttrL2CacheSize, p.l2CacheSize},
      {cudaDevAttrWarpSize, p.warpSize},
      {cudaDevAttrMaxThreadsPerBlock, p.maxThreadsPerBlock},
  };
  for (const auto &row : table) {
    int got = -1;
    CHECK_OK(cudaDeviceGetAttribute(&got, row.attribute, 0));
    CHECK_EQUAL(got, row.want);
  }
  CHECK_EQUAL(p.sharedMemPerBlockOptin, 232448);
  CHECK_EQUAL(p.totalGlobalMem, size_t{1} << 30);
  CHECK_EQUAL(cudaGetDeviceProperties(&p, 1), cudaErrorInvalidDevice);
  cudaGetLastError();
}

TEST("a launch that no device takes is refused") {
  const cudaError_t configuration = cudaErrorInvalidConfiguration;
  CHECK_EQUAL(launch(1, 1024), cudaSuccess);
  CHECK_EQUAL(launch(1, 1025), configuration);
  CHECK_EQUAL(launch(1, dim3(32, 33)), configuration);
  CHECK_EQUAL(launch(1, dim3(1, 1, 65)), configuration);
  CHECK_EQUAL(launch(1, dim3(65536, 65536)), configuration);
  CHECK_EQUAL(launch(0, 32), configuration);
  CHECK_EQUAL(launch(1, 0), configuration);
  CHECK_EQUAL(launch(dim3(1, 65536), 1), configuration);
  CHECK_EQUAL(launch(dim3(1, 1, 65535), 1), cudaSuccess);
  CHECK_OK(cudaDeviceSynchronize());
}

TEST("more than 48 KiB of shared memory must be asked for, kernel by kernel") {
  const cudaFuncAttribute most = cudaFuncAttributeMaxDynamicSharedMemorySize;
  CHECK_EQUAL(launch(1, 32, 49152), cudaSuccess);
  CHECK_EQUAL(launch(1, 32, 49153), cudaErrorInvalidValue);
  CHECK_EQUAL(cudaFuncSetAttribute(empty_kernel, most, 232449), cudaErrorInvalidValue);
  CHECK_OK(cudaFuncSetAttribute(empty_kernel, most, 60000));
  CHECK_EQUAL(ESC_LAUNCH(empty_kernel, 1, 32, 60001, nullptr), cudaErrorInvalidValue);
  CHECK_OK(ESC_LAUNCH(empty_kernel, 1, 32, 60000, nullptr));
  CHECK_OK(cudaFuncSetAttribute(empty_kernel, most, 232448));
  CHECK_EQUAL(cudaGetLastError(), cudaErrorInvalidValue);
  CHECK_EQUAL(launch(1, 32, 232448), cudaSuccess);
  CHECK_EQUAL(launch(1, 32, 232449), cudaErrorInvalidValue);
  CHECK_EQUAL(ESC_LAUNCH(other_kernel, 1, 32, 49153, nullptr), cudaErrorInvalidValue);
  cudaFuncAttributes attributes;
  CHECK_OK(cudaFuncGetAttributes(&attributes, empty_kernel));
  CHECK_EQUAL(attributes.maxDynamicSharedSizeBytes, 232448);
  CHECK_EQUAL(attributes.maxThreadsPerBlock, 1024);
  CHECK_OK(cudaDeviceSynchronize());
  CHECK_OK(cudaFuncSetAttribute(empty_kernel, most, 49152));
  cudaGetLastError();
}

TEST("occupancy follows threads, blocks and shared memory") {
  int n = -1;
  CHECK_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, other_kernel, 32, 0));
  CHECK_EQUAL(n, 32);
  CHECK_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, other_kernel, 250, 0));
  CHECK_EQUAL(n, 8);
  CHECK_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, other_kernel, 128, 45 * 1024));
  CHECK_EQUAL(n, 4); /* 228 / (45 + 1) */
  CHECK_OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, other_kernel, 128, 49153));
  CHECK_EQUAL(n, 0);
}

TEST("template kernels launch in parentheses and are counted by their plain name") {
  TestArray<float> out(1);
  const int64_t before = esc_simt_launches("template_kernel");
  CHECK_OK(ESC_LAUNCH((template_kernel<3, float>), 1, 1, 0, nullptr, out));
  CHECK_OK(ESC_LAUNCH((template_kernel<4, float>), 1, 1, 0, nullptr, out));
  CHECK_OK(cudaDeviceSynchronize());
  CHECK_EQUAL(out.read()[0], 4.0f);
  CHECK_EQUAL(esc_simt_launches("template_kernel"), before + 2);
  CHECK_EQUAL(esc_simt_launches("no_kernel"), 0);
  CHECK(esc_simt_latest_kernel() == reinterpret_cast<const void *>(&template_kernel<4, float>));
}

TEST("threads of the host take turns") {
  std::vector<std::thread> threads;
  std::vector<int> got(4, 0);
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([i, &got] {
      TestStream stream;
      TestArray<int> out(1);
      for (int k = 0; k <= 50; k++) {
        CHECK_OK(ESC_LAUNCH(set_kernel, 1, 1, 0, stream, out, 100 * i + k));
        CHECK_OK(cudaStreamSynchronize(stream));
      }
      got[static_cast<size_t>(i)] = out.read()[0];
    });
  }
  for (std::thread &thread : threads) thread.join();
  for (int i = 0; i < 4; i++) CHECK_EQUAL(got[static_cast<size_t>(i)], 100 * i + 50);
}

TEST("a C17 program compiles against the headers, and NVTX counts its ranges") {
  const int64_t pushes = esc_simt_nvtx_pushes(), pops = esc_simt_nvtx_pops();
  CHECK_EQUAL(test_simt_c(), 0);
  CHECK_EQUAL(esc_simt_nvtx_pushes() - pushes, 3);
  CHECK_EQUAL(esc_simt_nvtx_pops() - pops, 2);
}
