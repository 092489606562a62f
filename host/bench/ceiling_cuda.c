/* SPDX-License-Identifier: Apache-2.0 */
/* A GPU's ceilings: the product of two square matrices by cuBLAS, and a copy in the
 * device's memory. Both grow until one takes long enough to be timed with the
 * host's clock, so that a small device is not asked for a large one's work. */
#include "bench/ceiling_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "cuda/check.h"
#include "escapement/internal/stream.h"

enum { EDGE_MIN = 256, EDGE_MAX = 16384, FILL = 1 << 20, REPEATS = 3 };
static const double product_seconds = 0.01, copy_seconds = 0.002;
static const size_t copy_min = (size_t)1 << 20, copy_max = (size_t)4 << 30;
static const size_t workspace = (size_t)32 << 20; /* what cuBLAS recommends for Hopper */

typedef struct ceiling {
  bool tf32;
  int edge; /* rows and columns of the matrices; 0: not chosen yet */
  cudaStream_t stream;
  cublasHandle_t cublas;
  void *workspace;  /* device */
  float *a, *b, *c; /* device: (edge, edge) */
  size_t copied;    /* bytes of the copy last timed */
} ceiling;

static void free_matrices(ceiling *c) {
  (void)cudaFree(c->a);
  (void)cudaFree(c->b);
  (void)cudaFree(c->c);
  c->a = c->b = c->c = NULL;
}

static void close_cuda(void *handle) {
  ceiling *c = handle;
  if (!c) return;
  if (c->stream) (void)cudaStreamSynchronize(c->stream);
  free_matrices(c);
  if (c->cublas) (void)cublasDestroy(c->cublas);
  if (c->stream) (void)cudaStreamDestroy(c->stream);
  (void)cudaFree(c->workspace);
  free(c);
}

static esc_status open_cuda(const esc_engine_setup *setup, bool tf32, void **out) {
  esc_status status = ESC_OK;
  ceiling *c = calloc(1, sizeof *c);
  ESC_TRY_ALLOCATE(c);
  c->tf32 = tf32;
  ESC_TRY_CUDA(cudaSetDevice(setup->device));
  ESC_TRY_CUDA(cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking));
  ESC_TRY_CUDA(cudaMalloc(&c->workspace, workspace));
  ESC_TRY(esc_cublas_load());
  ESC_TRY_CUBLAS(cublasCreate(&c->cublas));
  ESC_TRY_CUBLAS(cublasSetStream(c->cublas, c->stream));
  ESC_TRY_CUBLAS(cublasSetWorkspace(c->cublas, c->workspace, workspace));
  ESC_TRY_CUBLAS(
      cublasSetMathMode(c->cublas, tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH));
  *out = c;
  c = NULL;
done:
  close_cuda(c);
  return status;
}

static esc_status open_fp32(const esc_engine_setup *setup, void **out) {
  return open_cuda(setup, false, out);
}

static esc_status open_tf32(const esc_engine_setup *setup, void **out) {
  return open_cuda(setup, true, out);
}

/* Normals, FILL of them again and again: a multiplier that is fed constants draws
 * less power, and its clock is higher than with real data. */
static esc_status fill(const ceiling *c, float *d_matrix) {
  esc_status status = ESC_OK;
  const size_t count = (size_t)c->edge * (size_t)c->edge;
  const size_t piece = count < FILL ? count : FILL;
  float *h_normal = calloc(piece, sizeof *h_normal);
  ESC_TRY_ALLOCATE(h_normal);
  esc_normals_fill((esc_stream){1, ESC_DOMAIN_DATA, 0, 0}, 0, piece, h_normal);
  for (size_t offset = 0; offset + piece <= count; offset += piece)
    ESC_TRY_CUDA(
        cudaMemcpy(d_matrix + offset, h_normal, piece * sizeof *h_normal, cudaMemcpyHostToDevice));
done:
  free(h_normal);
  return status;
}

static esc_status make_matrices(ceiling *c, int edge) {
  esc_status status = ESC_OK;
  const size_t bytes = (size_t)edge * (size_t)edge * sizeof(float);
  free_matrices(c);
  c->edge = edge;
  ESC_TRY_CUDA(cudaMalloc((void **)&c->a, bytes));
  ESC_TRY_CUDA(cudaMalloc((void **)&c->b, bytes));
  ESC_TRY_CUDA(cudaMalloc((void **)&c->c, bytes));
  ESC_TRY(fill(c, c->a));
  ESC_TRY(fill(c, c->b));
  ESC_TRY_CUDA(cudaDeviceSynchronize()); /* our stream waits for no other */
done:
  return status;
}

static esc_status time_product(const ceiling *c, double *seconds) {
  esc_status status = ESC_OK;
  const float one = 1, zero = 0;
  const double start = esc_bench_now();
  ESC_TRY_CUBLAS(cublasSgemm(c->cublas, CUBLAS_OP_N, CUBLAS_OP_N, c->edge, c->edge, c->edge, &one,
                             c->a, c->edge, c->b, c->edge, &zero, c->c, c->edge));
  ESC_TRY_CUDA(cudaStreamSynchronize(c->stream));
  *seconds = esc_bench_now() - start;
done:
  return status;
}

/* Doubles the matrices until a product, the second of its size, takes long enough. */
static esc_status choose_edge(ceiling *c) {
  esc_status status = ESC_OK;
  double seconds = 0;
  for (int edge = EDGE_MIN; edge <= EDGE_MAX && seconds < product_seconds; edge *= 2) {
    ESC_TRY(make_matrices(c, edge));
    for (int i = 0; i < 2; i++) ESC_TRY(time_product(c, &seconds));
  }
done:
  return status;
}

static esc_status flop(void *handle, double *flop_per_s) {
  esc_status status = ESC_OK;
  ceiling *c = handle;
  double seconds;
  if (c->edge == 0) ESC_TRY(choose_edge(c));
  ESC_TRY(time_product(c, &seconds));
  *flop_per_s = 2 * (double)c->edge * (double)c->edge * (double)c->edge / seconds;
done:
  return status;
}

static esc_status time_copy(ceiling *c, void *to, const void *from, size_t size, double *seconds) {
  esc_status status = ESC_OK;
  const double start = esc_bench_now();
  ESC_TRY_CUDA(cudaMemcpyAsync(to, from, size, cudaMemcpyDeviceToDevice, c->stream));
  ESC_TRY_CUDA(cudaStreamSynchronize(c->stream));
  *seconds = esc_bench_now() - start;
  c->copied = size;
done:
  return status;
}

/* The fastest of a few copies of `size` bytes. */
static esc_status copy_size(ceiling *c, size_t size, double *seconds) {
  esc_status status = ESC_OK;
  void *to = NULL, *from = NULL;
  double once = 0;
  ESC_TRY_CUDA(cudaMalloc(&to, size));
  ESC_TRY_CUDA(cudaMalloc(&from, size));
  ESC_TRY_CUDA(cudaMemset(from, 1, size));
  ESC_TRY_CUDA(cudaMemset(to, 0, size));
  ESC_TRY_CUDA(cudaDeviceSynchronize());
  for (int i = 0; i < REPEATS; i++) {
    ESC_TRY(time_copy(c, to, from, size, &once));
    if (i == 0 || once < *seconds) *seconds = once;
  }
done:
  (void)cudaFree(to);
  (void)cudaFree(from);
  return status;
}

static esc_status copy(void *handle, double *bytes_per_s) {
  esc_status status = ESC_OK;
  ceiling *c = handle;
  size_t unused = 0, total = 0;
  double seconds = 0;
  ESC_TRY_CUDA(cudaMemGetInfo(&unused, &total));
  for (size_t size = copy_min; size <= copy_max && size <= unused / 4 && seconds < copy_seconds;
       size *= 2)
    ESC_TRY(copy_size(c, size, &seconds));
  *bytes_per_s = seconds > 0 ? 2 * (double)c->copied / seconds : 0;
done:
  return status;
}

static void describe(const void *handle, char *text, size_t size) {
  const ceiling *c = handle;
  snprintf(text, size, "cublasSgemm, %d x %d x %d, %s", c->edge, c->edge, c->edge,
           c->tf32 ? "TF32" : "FP32");
}

const esc_ceiling_ops esc_cuda_ceiling = {
    .open = open_fp32, .flop = flop, .copy = copy, .describe = describe, .close = close_cuda};
const esc_ceiling_ops esc_cuda_tf32_ceiling = {
    .open = open_tf32, .flop = flop, .copy = copy, .describe = describe, .close = close_cuda};
