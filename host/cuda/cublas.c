/* SPDX-License-Identifier: Apache-2.0 */
/* cuBLAS, loaded at run time before its first use. If it were linked, loading its half gigabyte of
 * code for all architectures would add a tenth of a second to every start of the program, even of
 * `escapement -V`, and a program built with CUDA would not start where there is no toolkit. */
#include "cuda/cublas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "cuda/check.h"

#ifdef ESC_SIMT

esc_status esc_cublas_load(void) { return ESC_OK; }

#else

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)
#define LIBRARY "libcublas.so." STRING(CUBLAS_VER_MAJOR)

/* X(name in the library, parameters, arguments) */
#define FUNCTIONS(X)                                                                               \
  X(cublasCreate_v2, (cublasHandle_t * handle), (handle))                                          \
  X(cublasDestroy_v2, (cublasHandle_t handle), (handle))                                           \
  X(cublasGetProperty, (libraryPropertyType type, int *value), (type, value))                      \
  X(cublasSetStream_v2, (cublasHandle_t handle, cudaStream_t stream), (handle, stream))            \
  X(cublasSetWorkspace_v2, (cublasHandle_t handle, void *workspace, size_t size),                  \
    (handle, workspace, size))                                                                     \
  X(cublasSetMathMode, (cublasHandle_t handle, cublasMath_t mode), (handle, mode))                 \
  X(cublasSgemm_v2,                                                                                \
    (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,   \
     const float *alpha, const float *a, int a_row, const float *b, int b_row, const float *beta,  \
     float *c, int c_row),                                                                         \
    (handle, op_a, op_b, m, n, k, alpha, a, a_row, b, b_row, beta, c, c_row))                      \
  X(cublasSgemmStridedBatched,                                                                     \
    (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,   \
     const float *alpha, const float *a, int a_row, long long a_stride, const float *b, int b_row, \
     long long b_stride, const float *beta, float *c, int c_row, long long c_stride, int count),   \
    (handle, op_a, op_b, m, n, k, alpha, a, a_row, a_stride, b, b_row, b_stride, beta, c, c_row,   \
     c_stride, count))

static struct {
#define POINTER(name, parameters, arguments) cublasStatus_t(*name) parameters;
  FUNCTIONS(POINTER)
  const char *(*status_string)(cublasStatus_t status);
} library;

static char failure[256]; /* why cuBLAS cannot be used; empty if it can */

static void *find(void *handle, const char *name) {
  void *address = handle ? dlsym(handle, name) : NULL;
  if (!address && !failure[0]) {
    const char *why = dlerror();
    snprintf(failure, sizeof failure, "%s", why ? why : name);
  }
  return address;
}

/* Never unloaded: cuBLAS handles may be alive until the process ends. */
static void load(void) {
  void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
#define FIND(name, parameters, arguments) *(void **)&library.name = find(handle, #name);
  FUNCTIONS(FIND)
  *(void **)&library.status_string = find(handle, "cublasGetStatusString");
}

esc_status esc_cublas_load(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  if (!failure[0]) return ESC_OK;
  return ESC_FAIL(ESC_DEVICE_FAILED,
                  "cuBLAS cannot be loaded: %s; LD_LIBRARY_PATH must name the folder of the CUDA "
                  "toolkit's libraries",
                  failure);
}

/* The functions of cuBLAS, forwarded to the loaded library. */
#define FORWARD(name, parameters, arguments) \
  cublasStatus_t name parameters { return library.name arguments; }
FUNCTIONS(FORWARD)
const char *cublasGetStatusString(cublasStatus_t status) { return library.status_string(status); }

#endif
