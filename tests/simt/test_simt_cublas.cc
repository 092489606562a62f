/* SPDX-License-Identifier: Apache-2.0 */
/* Products against a naive loop, and the checks of their arguments. */
#include <cmath>
#include <cstring>

#include "cublas_v2.h"
#include "test_simt.h"

namespace {

struct TestHandle {
  cublasHandle_t handle = nullptr;
  TestHandle() { CHECK_EQUAL(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS); }
  ~TestHandle() { CHECK_EQUAL(cublasDestroy(handle), CUBLAS_STATUS_SUCCESS); }
  operator cublasHandle_t() const { return handle; }
};

/* Numbers in (-1, 1) without a pattern; the same for the same seed. */
std::vector<float> numbers(size_t count, unsigned seed) {
  std::vector<float> out(count);
  uint32_t state = seed * 2654435761u + 1;
  for (float &x : out) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(state >> 8) / 8388608.0f - 1.0f;
  }
  return out;
}

struct Shape {
  cublasOperation_t a, b;
  int m, n, k, lda, ldb, ldc, count;
  size_t stride_a, stride_b, stride_c;
};

/* Element (i, j) of op(X) of one item. */
float element(const float *x, int ld, cublasOperation_t op, int i, int j) {
  return op == CUBLAS_OP_N ? x[i + j * ld] : x[j + i * ld];
}

/* The sum that one element of C should be, and the chain of its definition. */
void naive(const Shape &s, const float *a, const float *b, int i, int j, double *sum,
           float *chain) {
  *sum = 0;
  *chain = 0;
  for (int p = 0; p < s.k; p++) {
    const float x = element(a, s.lda, s.a, i, p), y = element(b, s.ldb, s.b, p, j);
    *sum += static_cast<double>(x) * static_cast<double>(y);
    *chain = fmaf(x, y, *chain);
  }
}

Shape shape(cublasOperation_t a, cublasOperation_t b, int m, int n, int k, int pad, int count) {
  Shape s = {a, b, m, n, k, 0, 0, m + pad, count, 0, 0, 0};
  s.lda = max(1, a == CUBLAS_OP_N ? m : k) + 2 * pad;
  s.ldb = max(1, b == CUBLAS_OP_N ? k : n) + 3 * pad;
  s.stride_a = static_cast<size_t>(s.lda * (a == CUBLAS_OP_N ? k : m) + pad);
  s.stride_b = static_cast<size_t>(s.ldb * (b == CUBLAS_OP_N ? n : k) + 2 * pad);
  s.stride_c = static_cast<size_t>(s.ldc * n + pad);
  return s;
}

std::vector<float> multiply(cublasHandle_t handle, const Shape &s, float alpha, float beta,
                            const std::vector<float> &a, const std::vector<float> &b,
                            const std::vector<float> &c) {
  TestStream stream;
  TestArray<float> da(a), db(b), dc(c);
  CHECK_EQUAL(cublasSetStream(handle, stream), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(cublasSgemmStridedBatched(handle, s.a, s.b, s.m, s.n, s.k, &alpha, da, s.lda,
                                        static_cast<long long>(s.stride_a), db, s.ldb,
                                        static_cast<long long>(s.stride_b), &beta, dc, s.ldc,
                                        static_cast<long long>(s.stride_c), s.count),
              CUBLAS_STATUS_SUCCESS);
  alpha = beta = NAN; /* were taken by value */
  CHECK(memcmp(dc.read().data(), c.data(), c.size() * sizeof(float)) == 0); /* lazy */
  CHECK_OK(cudaStreamSynchronize(stream));
  return dc.read();
}

void check_items(const Shape &s, float alpha, float beta, const std::vector<float> &a,
                 const std::vector<float> &b, const std::vector<float> &c,
                 const std::vector<float> &got) {
  for (int item = 0; item < s.count; item++) {
    const size_t t = static_cast<size_t>(item);
    for (int j = 0; j < s.n; j++) {
      for (int i = 0; i < s.m; i++) {
        double sum;
        float chain;
        naive(s, &a[t * s.stride_a], &b[t * s.stride_b], i, j, &sum, &chain);
        const size_t index = t * s.stride_c + static_cast<size_t>(i + j * s.ldc);
        const float old = beta == 0.0f ? 0.0f : beta * c[index];
        const double want = static_cast<double>(alpha) * sum + static_cast<double>(old);
        /* k roundings of partial sums below k, and the last three */
        CHECK(std::fabs(static_cast<double>(got[index]) - want) <= 6e-8 * (s.k * s.k + 3));
        CHECK_EQUAL(got[index], beta == 0.0f ? alpha * chain : alpha * chain + old);
      }
    }
  }
}

/* Floats of C that belong to no item's columns stay as they were. */
void check_gaps(const Shape &s, const std::vector<float> &c, const std::vector<float> &got) {
  for (size_t index = 0; index < c.size(); index++) {
    const size_t in_item = index % s.stride_c, ld = static_cast<size_t>(s.ldc);
    if (in_item / ld < static_cast<size_t>(s.n) && in_item % ld < static_cast<size_t>(s.m))
      continue;
    CHECK_EQUAL(got[index], c[index]);
  }
}

} /* namespace */

TEST("products agree with naive sums for all operations, strides, alpha and beta") {
  TestHandle handle;
  const cublasOperation_t ops[] = {CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C};
  const int sizes[][3] = {{1, 1, 1}, {3, 5, 7}, {17, 4, 33}, {32, 8, 16}, {2, 3, 0}};
  const float factors[][2] = {{1, 0}, {1, 1}, {-0.375f, 0.7f}, {0, 2}, {0.3f, 0}};
  for (const cublasOperation_t a : ops) {
    for (const cublasOperation_t b : ops) {
      for (const auto &size : sizes) {
        for (const int pad : {0, 1}) {
          const Shape s = shape(a, b, size[0], size[1], size[2], pad, 3);
          const std::vector<float> va = numbers(3 * s.stride_a + 1, 1);
          const std::vector<float> vb = numbers(3 * s.stride_b + 1, 2);
          const std::vector<float> vc = numbers(3 * s.stride_c, 3);
          for (const auto &f : factors) {
            const std::vector<float> got = multiply(handle, s, f[0], f[1], va, vb, vc);
            check_items(s, f[0], f[1], va, vb, vc, got);
            check_gaps(s, vc, got);
          }
        }
      }
    }
  }
}

TEST("beta 0 does not read C, alpha 0 neither A nor B") {
  TestHandle handle;
  const Shape s = shape(CUBLAS_OP_N, CUBLAS_OP_N, 4, 4, 4, 0, 1);
  const std::vector<float> ones(16, 1.0f), nans(16, NAN);
  for (const float x : multiply(handle, s, 1, 0, ones, ones, nans)) CHECK_EQUAL(x, 4.0f);
  for (const float x : multiply(handle, s, 0, 2, nans, nans, ones)) CHECK_EQUAL(x, 2.0f);
  for (const float x : multiply(handle, s, 0, 0, nans, nans, nans)) CHECK_EQUAL(x, 0.0f);
  for (const float x : multiply(handle, s, 1, 1, ones, ones, nans)) CHECK(std::isnan(x));
}

TEST("TF32 rounds A and B to ten mantissa bits, and pedantic does not") {
  TestHandle handle;
  const float ulp = 0x1p-10f; /* of TF32 at 1 */
  /* just below half an ulp, half, just above, above one */
  const std::vector<float> a = {1 + 0x1.fep-12f, 1 + 0x1p-11f, 1 + 0x1.02p-11f, 1 + 0x1.8p-10f};
  const float rounded[] = {1, 1 + ulp, 1 + ulp, 1 + 2 * ulp};
  const std::vector<float> one = {1};
  const float unit = 1, zero = 0;
  TestArray<float> da(a), db(one), dc(4);
  const cublasComputeType_t types[] = {CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_PEDANTIC,
                                       CUBLAS_COMPUTE_32F_FAST_TF32};
  for (const cublasMath_t mode : {CUBLAS_DEFAULT_MATH, CUBLAS_TF32_TENSOR_OP_MATH}) {
    CHECK_EQUAL(cublasSetMathMode(handle, mode), CUBLAS_STATUS_SUCCESS);
    for (const cublasComputeType_t type : types) {
      CHECK_EQUAL(cublasGemmStridedBatchedEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 4, 1, 1, &unit, da,
                                             CUDA_R_32F, 4, 0, db, CUDA_R_32F, 1, 0, &zero, dc,
                                             CUDA_R_32F, 4, 0, 1, type, CUBLAS_GEMM_DEFAULT),
                  CUBLAS_STATUS_SUCCESS);
      CHECK_OK(cudaDeviceSynchronize());
      const bool tf32 = type == CUBLAS_COMPUTE_32F_FAST_TF32 ||
                        (type == CUBLAS_COMPUTE_32F && mode == CUBLAS_TF32_TENSOR_OP_MATH);
      for (size_t i = 0; i < 4; i++) CHECK_EQUAL(dc.read()[i], tf32 ? rounded[i] : a[i]);
    }
    CHECK_EQUAL(
        cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 4, 1, 1, &unit, da, 4, db, 1, &zero, dc, 4),
        CUBLAS_STATUS_SUCCESS);
    CHECK_OK(cudaDeviceSynchronize());
    const bool tf32 = mode == CUBLAS_TF32_TENSOR_OP_MATH;
    for (size_t i = 0; i < 4; i++) CHECK_EQUAL(dc.read()[i], tf32 ? rounded[i] : a[i]);
  }
}

TEST("the first product of a handle, which loads kernels, is refused in a capture") {
  TestHandle handle;
  TestStream stream;
  TestArray<float> c(std::vector<float>{1});
  const float one = 1;
  cudaGraph_t graph = nullptr;
  const auto product = [&] {
    return cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, c, 1, c, 1, &one, c, 1);
  };
  CHECK_EQUAL(cublasSetStream(handle, stream), CUBLAS_STATUS_SUCCESS);
  CHECK_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  CHECK_EQUAL(product(), CUBLAS_STATUS_INTERNAL_ERROR);
  CHECK_EQUAL(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  CHECK_EQUAL(product(), CUBLAS_STATUS_SUCCESS);
  CHECK_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  CHECK_EQUAL(product(), CUBLAS_STATUS_SUCCESS);
  CHECK_OK(cudaStreamEndCapture(stream, &graph));
  CHECK_OK(cudaGraphDestroy(graph));
}

TEST("products are captured and replayed as kernels are") {
  TestHandle handle;
  TestStream stream;
  const std::vector<float> two = {2}, three = {3};
  TestArray<float> a(two), b(three), c(std::vector<float>{1});
  const float one = 1;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  CHECK_EQUAL(cublasSetStream(handle, stream), CUBLAS_STATUS_SUCCESS);
  const auto product = [&] {
    return cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a, 1, b, 1, &one, c, 1);
  };
  CHECK_EQUAL(product(), CUBLAS_STATUS_SUCCESS);
  CHECK_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  CHECK_EQUAL(product(), CUBLAS_STATUS_SUCCESS);
  CHECK_OK(cudaStreamEndCapture(stream, &graph));
  CHECK_OK(cudaGraphInstantiate(&exec, graph, 0));
  for (int i = 0; i < 2; i++) CHECK_OK(cudaGraphLaunch(exec, stream));
  CHECK_OK(cudaStreamSynchronize(stream));
  CHECK_EQUAL(c.read()[0], 19.0f);
  CHECK_OK(cudaGraphExecDestroy(exec));
  CHECK_OK(cudaGraphDestroy(graph));
}

TEST("arguments are checked as cuBLAS does") {
  TestHandle handle;
  const cublasOperation_t n = CUBLAS_OP_N, t = CUBLAS_OP_T;
  const float one = 1;
  TestArray<float> x(64);
  const auto call = [&](cublasOperation_t ta, cublasOperation_t tb, int m, int cols, int k, int lda,
                        int ldb, int ldc, const float *alpha) {
    return cublasSgemm(handle, ta, tb, m, cols, k, alpha, x, lda, x, ldb, &one, x, ldc);
  };
  const cublasStatus_t wrong = CUBLAS_STATUS_INVALID_VALUE;
  CHECK_EQUAL(call(n, n, -1, 2, 3, 4, 4, 4, &one), wrong);
  CHECK_EQUAL(call(n, n, 4, -2, 3, 4, 4, 4, &one), wrong);
  CHECK_EQUAL(call(n, n, 4, 2, -3, 4, 4, 4, &one), wrong);
  CHECK_EQUAL(call(n, n, 4, 2, 3, 3, 3, 4, &one), wrong); /* lda < m */
  CHECK_EQUAL(call(t, n, 4, 2, 3, 2, 3, 4, &one), wrong); /* lda < k */
  CHECK_EQUAL(call(n, n, 4, 2, 3, 4, 2, 4, &one), wrong); /* ldb < k */
  CHECK_EQUAL(call(n, t, 4, 2, 3, 4, 1, 4, &one), wrong); /* ldb < n */
  CHECK_EQUAL(call(n, n, 4, 2, 3, 4, 3, 3, &one), wrong); /* ldc < m */
  CHECK_EQUAL(call(n, n, 0, 2, 3, 0, 3, 4, &one), wrong); /* lda < 1 */
  CHECK_EQUAL(call(n, n, 4, 2, 3, 4, 3, 4, nullptr), wrong);
  CHECK_EQUAL(call(static_cast<cublasOperation_t>(3), n, 4, 2, 3, 4, 3, 4, &one), wrong);
  CHECK_EQUAL(call(n, n, 0, 2, 3, 1, 3, 1, &one), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(cublasSetWorkspace(handle, x.device + 1, 4), wrong);
  CHECK_EQUAL(cublasSetWorkspace(handle, x.device, 256), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(cublasSetWorkspace(handle, x.device, 257), wrong);
  cublasHandle_t none = nullptr;
  CHECK_EQUAL(cublasSetStream(none, nullptr), CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK_EQUAL(cublasDestroy(none), CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(strcmp(cublasGetStatusName(wrong), "CUBLAS_STATUS_INVALID_VALUE") == 0);
}

TEST("a product outside of device memory, or a batch that writes one C, aborts") {
  const auto product = [](const float *a, int count) {
    TestHandle handle;
    TestArray<float> x(4), c(4);
    const float one = 1, zero = 0;
    cublasSgemmStridedBatched(handle, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, a != nullptr ? a : x,
                              2, 0, x, 2, 0, &zero, c, 2, 0, count);
    cudaDeviceSynchronize();
  };
  const float host[4] = {0};
  CHECK_DIES([&] { product(host, 1); }, "a cuBLAS product reaches outside of device memory: A");
  CHECK_DIES([&] { product(nullptr, 2); }, "a batch of 2 cuBLAS products writes one C");
}
