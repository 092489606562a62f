/* SPDX-License-Identifier: Apache-2.0 */
/* A step is a sequence of kernels (kernels.h) and strided-batched matrix products by cuBLAS, in the
 * notation of docs/theory, section 0.4; NVTX ranges mark forward, backward and update. */
#include "cuda/step.h"

#include "base/trace.h"
#include "cuda/check.h"

/* One row-major matrix of each network. */
typedef struct matrix {
  float *data;             /* of the first network */
  int leading;             /* leading dimension: floats from a row to the next */
  size_t stride;           /* floats from one network's matrix to the next one's */
  cublasOperation_t shape; /* as a factor: CUBLAS_OP_N, or CUBLAS_OP_T for the transpose */
} matrix;

/* C = A B for each network: C (rows, columns), A (rows, depth), B (depth, columns). */
typedef struct product {
  int rows, columns, depth;
  matrix a, b, c;
} product;

/* cuBLAS is column-major: it reads a row-major matrix as the transpose, and computes C' = B' A'. */
static esc_status gemm_batched(const esc_cuda_step *s, const product *g, int networks) {
  esc_status status = ESC_OK;
  const float one = 1, zero = 0;
  ESC_TRY_CUBLAS(cublasSgemmStridedBatched(
      s->cublas, g->b.shape, g->a.shape, g->columns, g->rows, g->depth, &one, g->b.data,
      g->b.leading, (long long)g->b.stride, g->a.data, g->a.leading, (long long)g->a.stride, &zero,
      g->c.data, g->c.leading, (long long)g->c.stride, networks));
done:
  return status;
}

/* Offset of hidden layer l in chunk->z and chunk->h. */
static size_t layer_offset(const esc_device_problem *p, const esc_chunk *chunk, int l) {
  return (size_t)l * (size_t)chunk->slots * (size_t)p->batch * (size_t)p->width;
}

/* Columns of layer l's weights. */
static int fan_in(const esc_device_problem *p, int l) { return l == 0 ? p->inputs : p->width; }

/* (sample, column) of each network. */
static matrix sample_rows(const esc_device_problem *p, float *data, int columns) {
  return (matrix){data, columns, (size_t)p->batch * (size_t)columns, CUBLAS_OP_N};
}

/* Input of layer l: x, or the values of the layer below. */
static matrix layer_input(const esc_device_problem *p, const esc_chunk *chunk, int l) {
  return sample_rows(p, l == 0 ? chunk->x : chunk->h + layer_offset(p, chunk, l - 1), fan_in(p, l));
}

/* Layer l of weights, or of gradients. */
static matrix layer_weights(const esc_device_problem *p, const esc_chunk *chunk, float *weights,
                            int l) {
  return (matrix){weights + p->offset[l], fan_in(p, l), chunk->weight_stride, CUBLAS_OP_N};
}

static matrix transposed(matrix m) {
  m.shape = CUBLAS_OP_T;
  return m;
}

/* z_l = h_{l-1} W_l' and h_l = sigma(z_l); the output kernel computes the last h_l. */
static esc_status forward_layer(const esc_cuda_step *s, const esc_chunk *chunk, int l) {
  esc_status status = ESC_OK;
  const esc_device_problem *p = s->problem;
  const product z = {.rows = p->batch,
                     .columns = p->width,
                     .depth = fan_in(p, l),
                     .a = layer_input(p, chunk, l),
                     .b = transposed(layer_weights(p, chunk, chunk->w, l)),
                     .c = sample_rows(p, chunk->z + layer_offset(p, chunk, l), p->width)};
  ESC_TRY(gemm_batched(s, &z, chunk->slots));
  if (l < p->layers - 2) ESC_TRY_CUDA(esc_launch_activate(p, chunk, l, s->stream));
done:
  return status;
}

/* delta_l, G_l = delta_l' h_{l-1} and u_{l-1} = delta_l W_l. */
static esc_status backward_layer(const esc_cuda_step *s, const esc_chunk *chunk, int l) {
  esc_status status = ESC_OK;
  const esc_device_problem *p = s->problem;
  const matrix delta = sample_rows(p, chunk->delta, p->width);
  const product gradient = {.rows = p->width,
                            .columns = fan_in(p, l),
                            .depth = p->batch,
                            .a = transposed(delta),
                            .b = layer_input(p, chunk, l),
                            .c = layer_weights(p, chunk, chunk->g, l)};
  const product u = {.rows = p->batch,
                     .columns = fan_in(p, l),
                     .depth = p->width,
                     .a = delta,
                     .b = layer_weights(p, chunk, chunk->w, l),
                     .c = sample_rows(p, chunk->u, p->width)};
  ESC_TRY_CUDA(esc_launch_delta(p, chunk, l, s->stream));
  ESC_TRY(gemm_batched(s, &gradient, chunk->slots));
  if (l > 0) ESC_TRY(gemm_batched(s, &u, chunk->slots));
done:
  return status;
}

static esc_status forward(const esc_cuda_step *s, const esc_chunk *chunk) {
  esc_status status = ESC_OK;
  esc_trace_begin("forward");
  ESC_TRY_CUDA(esc_launch_inputs(s->problem, chunk, s->stream));
  for (int l = 0; l < s->problem->layers - 1; l++) ESC_TRY(forward_layer(s, chunk, l));
  ESC_TRY_CUDA(esc_launch_output(s->problem, s->rules, chunk, s->stream));
done:
  esc_trace_end();
  return status;
}

static esc_status backward(const esc_cuda_step *s, const esc_chunk *chunk) {
  esc_status status = ESC_OK;
  esc_trace_begin("backward");
  ESC_TRY_CUDA(esc_launch_output_gradient(s->problem, chunk, s->stream));
  for (int l = s->problem->layers - 2; l >= 0; l--) ESC_TRY(backward_layer(s, chunk, l));
done:
  esc_trace_end();
  return status;
}

static esc_status update(const esc_cuda_step *s, const esc_chunk *chunk) {
  esc_status status = ESC_OK;
  esc_trace_begin("update");
  if (s->rules->optimized) ESC_TRY_CUDA(esc_launch_optimize(s->problem, chunk, s->stream));
  ESC_TRY_CUDA(esc_launch_update(s->problem, chunk, s->stream));
  ESC_TRY_CUDA(esc_launch_ledger(s->problem, s->rules, chunk, s->stream));
done:
  esc_trace_end();
  return status;
}

esc_status esc_cuda_step_enqueue(const esc_cuda_step *s, const esc_chunk *chunk) {
  esc_status status = ESC_OK;
  ESC_TRY(forward(s, chunk));
  ESC_TRY(backward(s, chunk));
  ESC_TRY(update(s, chunk));
done:
  return status;
}

esc_status esc_cuda_step_graph(const esc_cuda_step *s, const esc_chunk *chunk, int steps,
                               cudaGraphExec_t *exec) {
  esc_status status = ESC_OK;
  cudaGraph_t graph = NULL;
  ESC_TRY_CUDA(cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < steps && status == ESC_OK; i++) status = esc_cuda_step_enqueue(s, chunk);
  const cudaError_t ended = cudaStreamEndCapture(s->stream, &graph); /* also after a failure */
  if (status != ESC_OK) goto done;
  ESC_TRY_CUDA(ended);
  ESC_TRY_CUDA(cudaGraphInstantiate(exec, graph, 0));
done:
  if (graph) (void)cudaGraphDestroy(graph);
  return status;
}
