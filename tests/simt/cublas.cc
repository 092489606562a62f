/* SPDX-License-Identifier: Apache-2.0 */
/* cuBLAS: handles, checks of arguments, and products queued on a stream. */
#include "cublas_v2.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "call.h"
#include "gemm.h"
#include "live.h"
#include "stream.h"

struct cublasContext {
  cudaStream_t stream;
  cublasMath_t math;
  bool loaded; /* a product outside of a capture has loaded the kernels */
};

namespace {

using namespace esc_simt;

/* A batch of products: item i at a + i stride_a and so on. */
struct Batch {
  Gemm gemm;
  long long stride_a, stride_b, stride_c;
  int count;
};

cublasStatus_t status_of(cudaError_t error) {
  if (error == cudaSuccess) return CUBLAS_STATUS_SUCCESS;
  return error == cudaErrorMemoryAllocation ? CUBLAS_STATUS_ALLOC_FAILED
                                            : CUBLAS_STATUS_EXECUTION_FAILED;
}

/* As call(), with statuses of cuBLAS; does not change the last error of the runtime. */
template <class F>
cublasStatus_t call_cublas(F body) {
  const CallScope scope;
  const cudaError_t fault = call_fault();
  return fault != cudaSuccess ? status_of(fault) : body();
}

/* As above, for calls that need a valid handle. */
template <class F>
cublasStatus_t call_handle(cublasHandle_t handle, F body) {
  return call_cublas(
      [&] { return live_has(Kind::cublas, handle) ? body() : CUBLAS_STATUS_NOT_INITIALIZED; });
}

size_t extent(bool transpose, size_t rows, size_t columns, size_t ld) {
  if (transpose) std::swap(rows, columns);
  return rows == 0 || columns == 0 ? 0 : ld * (columns - 1) + rows;
}

void need_device(const char *name, const float *first, size_t floats) {
  if (memory_is_device(first, floats * sizeof(float))) return;
  fprintf(stderr, "simt: a cuBLAS product reaches outside of device memory: %s, %zu floats at %p\n",
          name, floats, static_cast<const void *>(first));
  abort();
}

void run_item(const Gemm &g) {
  if (g.alpha != 0.0f && g.k > 0) {
    need_device("A", g.a, extent(g.transpose_a, g.m, g.k, g.lda));
    need_device("B", g.b, extent(g.transpose_b, g.k, g.n, g.ldb));
  }
  need_device("C", g.c, extent(false, g.m, g.n, g.ldc));
  gemm_run(g);
}

void run_batch(const Batch &batch) {
  Gemm item = batch.gemm;
  for (int i = 0; i < batch.count; i++) {
    run_item(item);
    item.a += batch.stride_a;
    item.b += batch.stride_b;
    item.c += batch.stride_c;
  }
}

bool is_operation(cublasOperation_t op) {
  return op == CUBLAS_OP_N || op == CUBLAS_OP_T || op == CUBLAS_OP_C;
}

/* Arguments of cuBLAS. */
struct Arguments {
  cublasOperation_t transa, transb;
  int m, n, k;
  const float *alpha, *a;
  int lda;
  long long stride_a;
  const float *b;
  int ldb;
  long long stride_b;
  const float *beta;
  float *c;
  int ldc;
  long long stride_c;
  int count;
};

bool is_valid(const Arguments &x) {
  if (!is_operation(x.transa) || !is_operation(x.transb)) return false;
  if (x.m < 0 || x.n < 0 || x.k < 0 || x.count < 0) return false;
  if (x.lda < std::max(1, x.transa == CUBLAS_OP_N ? x.m : x.k)) return false;
  if (x.ldb < std::max(1, x.transb == CUBLAS_OP_N ? x.k : x.n)) return false;
  if (x.ldc < std::max(1, x.m)) return false;
  return x.alpha != nullptr && x.beta != nullptr;
}

/* Items that write the same C would race on a device. */
void refuse_race(const Arguments &x) {
  if (x.count < 2 || x.stride_c != 0) return;
  fprintf(stderr, "simt: a batch of %d cuBLAS products writes one C (stride 0)\n", x.count);
  abort();
}

cublasStatus_t queue(cublasHandle_t handle, const Arguments &x, bool tf32) {
  if (!is_valid(x)) return CUBLAS_STATUS_INVALID_VALUE;
  if (x.m == 0 || x.n == 0 || x.count == 0) return CUBLAS_STATUS_SUCCESS;
  refuse_race(x);
  CUstream_st *stream = stream_find(handle->stream);
  if (stream == nullptr) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (!handle->loaded && capture_forbids_loading(stream)) return CUBLAS_STATUS_INTERNAL_ERROR;
  handle->loaded = true;
  const Gemm gemm = {x.transa != CUBLAS_OP_N,
                     x.transb != CUBLAS_OP_N,
                     static_cast<size_t>(x.m),
                     static_cast<size_t>(x.n),
                     static_cast<size_t>(x.k),
                     *x.alpha,
                     x.a,
                     static_cast<size_t>(x.lda),
                     x.b,
                     static_cast<size_t>(x.ldb),
                     *x.beta,
                     x.c,
                     static_cast<size_t>(x.ldc),
                     tf32};
  const Batch batch = {gemm, x.stride_a, x.stride_b, x.stride_c, x.count};
  return status_of(stream_enqueue(stream, [batch] { run_batch(batch); }));
}

bool uses_tf32(cublasHandle_t handle) { return handle->math == CUBLAS_TF32_TENSOR_OP_MATH; }

} /* namespace */

cublasStatus_t cublasCreate(cublasHandle_t *handle) {
  return call_cublas([&] {
    if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    if (device_count() == 0) return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = new cublasContext{nullptr, CUBLAS_DEFAULT_MATH, false};
    live_add(Kind::cublas, *handle);
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  const CallScope scope;
  const cudaError_t fault = call_fault();
  if (!live_remove(Kind::cublas, handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return status_of(fault);
}

cublasStatus_t cublasGetVersion(cublasHandle_t handle, int *version) {
  return call_handle(handle, [&] {
    if (version == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *version = CUBLAS_VERSION;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasGetProperty(libraryPropertyType type, int *value) {
  return call_cublas([&] {
    if (value == nullptr || type < MAJOR_VERSION || type > PATCH_LEVEL) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    const int part[3] = {CUBLAS_VERSION / 10000, CUBLAS_VERSION / 100 % 100, CUBLAS_VERSION % 100};
    *value = part[type];
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t streamId) {
  return call_handle(handle, [&] {
    handle->stream = streamId;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t *streamId) {
  return call_handle(handle, [&] {
    if (streamId == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *streamId = handle->stream;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes) {
  return call_handle(handle, [&] {
    const bool aligned = reinterpret_cast<uintptr_t>(workspace) % 256 == 0;
    const bool mine = bytes == 0 || memory_is_device(workspace, bytes);
    return aligned && mine ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
  });
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  return call_handle(handle, [&] {
    if (mode != CUBLAS_DEFAULT_MATH && mode != CUBLAS_PEDANTIC_MATH &&
        mode != CUBLAS_TF32_TENSOR_OP_MATH) {
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    handle->math = mode;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t *mode) {
  return call_handle(handle, [&] {
    if (mode == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *mode = handle->math;
    return CUBLAS_STATUS_SUCCESS;
  });
}

const char *cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
#define ESC_SIMT_NAME(name, value, text) \
  case name: return #name;
    ESC_SIMT_CUBLAS_STATUSES(ESC_SIMT_NAME)
#undef ESC_SIMT_NAME
  }
  return "unrecognized status";
}

const char *cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
#define ESC_SIMT_TEXT(name, value, text) \
  case name: return text;
    ESC_SIMT_CUBLAS_STATUSES(ESC_SIMT_TEXT)
#undef ESC_SIMT_TEXT
  }
  return "unrecognized status";
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
                                         cublasOperation_t transb, int m, int n, int k,
                                         const float *alpha, const float *A, int lda,
                                         long long int strideA, const float *B, int ldb,
                                         long long int strideB, const float *beta, float *C,
                                         int ldc, long long int strideC, int batchCount) {
  return call_handle(handle, [&] {
    return queue(handle,
                 {transa, transb, m, n, k, alpha, A, lda, strideA, B, ldb, strideB, beta, C, ldc,
                  strideC, batchCount},
                 uses_tf32(handle));
  });
}

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t transa,
                           cublasOperation_t transb, int m, int n, int k, const float *alpha,
                           const float *A, int lda, const float *B, int ldb, const float *beta,
                           float *C, int ldc) {
  return cublasSgemmStridedBatched(handle, transa, transb, m, n, k, alpha, A, lda, 0, B, ldb, 0,
                                   beta, C, ldc, 0, 1);
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
                                          cublasOperation_t transb, int m, int n, int k,
                                          const void *alpha, const void *A, cudaDataType Atype,
                                          int lda, long long int strideA, const void *B,
                                          cudaDataType Btype, int ldb, long long int strideB,
                                          const void *beta, void *C, cudaDataType Ctype, int ldc,
                                          long long int strideC, int batchCount,
                                          cublasComputeType_t computeType, cublasGemmAlgo_t algo) {
  return call_handle(handle, [&] {
    const bool fast = computeType == CUBLAS_COMPUTE_32F_FAST_TF32;
    const bool plain = computeType == CUBLAS_COMPUTE_32F;
    if (Atype != CUDA_R_32F || Btype != CUDA_R_32F || Ctype != CUDA_R_32F ||
        algo != CUBLAS_GEMM_DEFAULT ||
        (!fast && !plain && computeType != CUBLAS_COMPUTE_32F_PEDANTIC)) {
      return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    return queue(
        handle,
        {transa, transb, m, n, k, static_cast<const float *>(alpha), static_cast<const float *>(A),
         lda, strideA, static_cast<const float *>(B), ldb, strideB,
         static_cast<const float *>(beta), static_cast<float *>(C), ldc, strideC, batchCount},
        fast || (plain && uses_tf32(handle)));
  });
}
