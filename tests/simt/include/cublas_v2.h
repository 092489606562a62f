/* SPDX-License-Identifier: Apache-2.0 */
/* The part of cuBLAS 13 that the harness provides: single-precision products,
 * queued on the handle's stream as a kernel would be.
 *
 * Column-major; each element is one chain of fmaf over k ascending, then
 * alpha * chain + beta * C, three roundings; beta == 0 does not read C and
 * alpha == 0 reads neither A nor B. Under TF32 both inputs are first rounded to
 * ten mantissa bits. Pointers outside of device memory abort when the product runs. */
#ifndef ESC_SIMT_CUBLAS_V2_H
#define ESC_SIMT_CUBLAS_V2_H

#include "cuda_runtime_api.h"
#include "library_types.h"

/* X(name, value, text of cublasGetStatusString) */
#define ESC_SIMT_CUBLAS_STATUSES(X)                                                       \
  X(CUBLAS_STATUS_SUCCESS, 0, "success")                                                  \
  X(CUBLAS_STATUS_NOT_INITIALIZED, 1, "the library was not initialized")                  \
  X(CUBLAS_STATUS_ALLOC_FAILED, 3, "the resource allocation failed")                      \
  X(CUBLAS_STATUS_INVALID_VALUE, 7, "an invalid value was used as an argument")           \
  X(CUBLAS_STATUS_ARCH_MISMATCH, 8, "an absent device architectural feature is required") \
  X(CUBLAS_STATUS_MAPPING_ERROR, 11, "an access to GPU memory space failed")              \
  X(CUBLAS_STATUS_EXECUTION_FAILED, 13, "the GPU program failed to execute")              \
  X(CUBLAS_STATUS_INTERNAL_ERROR, 14, "an internal operation failed")                     \
  X(CUBLAS_STATUS_NOT_SUPPORTED, 15, "the functionality is not supported")                \
  X(CUBLAS_STATUS_LICENSE_ERROR, 16, "the functionality requires a license")

typedef enum {
#define ESC_SIMT_ENUM(name, value, text) name = value,
  ESC_SIMT_CUBLAS_STATUSES(ESC_SIMT_ENUM)
#undef ESC_SIMT_ENUM
} cublasStatus_t;

typedef enum { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1, CUBLAS_OP_C = 2 } cublasOperation_t;

typedef enum {
  CUBLAS_DEFAULT_MATH = 0,
  CUBLAS_PEDANTIC_MATH = 2,
  CUBLAS_TF32_TENSOR_OP_MATH = 3
} cublasMath_t;

typedef enum {
  CUBLAS_COMPUTE_32F = 68,
  CUBLAS_COMPUTE_32F_PEDANTIC = 69,
  CUBLAS_COMPUTE_32F_FAST_TF32 = 77
} cublasComputeType_t;

typedef enum { CUBLAS_GEMM_DEFAULT = -1 } cublasGemmAlgo_t;

typedef struct cublasContext *cublasHandle_t;

#define CUBLAS_VERSION 130100

/* Renamed as in the header of the toolkit, so that symbol clashes are found. */
#define cublasCreate cublasCreate_v2
#define cublasDestroy cublasDestroy_v2
#define cublasGetVersion cublasGetVersion_v2
#define cublasSetStream cublasSetStream_v2
#define cublasGetStream cublasGetStream_v2
#define cublasSetWorkspace cublasSetWorkspace_v2
#define cublasSgemm cublasSgemm_v2

#ifdef __cplusplus
extern "C" {
#endif

cublasStatus_t cublasCreate(cublasHandle_t *handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasGetProperty(libraryPropertyType type, int *value);
cublasStatus_t cublasGetVersion(cublasHandle_t handle, int *version);
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t streamId);
cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t *streamId);
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace,
                                  size_t workspaceSizeInBytes);
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode);
cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t *mode);
const char *cublasGetStatusName(cublasStatus_t status);
const char *cublasGetStatusString(cublasStatus_t status);

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t transa,
                           cublasOperation_t transb, int m, int n, int k, const float *alpha,
                           const float *A, int lda, const float *B, int ldb, const float *beta,
                           float *C, int ldc);
cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
                                         cublasOperation_t transb, int m, int n, int k,
                                         const float *alpha, const float *A, int lda,
                                         long long int strideA, const float *B, int ldb,
                                         long long int strideB, const float *beta, float *C,
                                         int ldc, long long int strideC, int batchCount);
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa,
                                          cublasOperation_t transb, int m, int n, int k,
                                          const void *alpha, const void *A, cudaDataType Atype,
                                          int lda, long long int strideA, const void *B,
                                          cudaDataType Btype, int ldb, long long int strideB,
                                          const void *beta, void *C, cudaDataType Ctype, int ldc,
                                          long long int strideC, int batchCount,
                                          cublasComputeType_t computeType, cublasGemmAlgo_t algo);

#ifdef __cplusplus
}
#endif
#endif
