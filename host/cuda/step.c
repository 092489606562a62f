#include "cuda/step.h"

#include "base/trace.h"
#include "cuda/check.h"

/* cuBLAS counts columns first, so a row-major matrix is its transpose there. Below,
 * the row-major product C = A B is asked for as C' = B' A'. */
static esc_status product(const esc_cuda_step *s, cublasOperation_t op_b, cublasOperation_t op_a,
                          int columns, int rows, int depth, const float *b, int b_row,
                          size_t b_network, const float *a, int a_row, size_t a_network, float *c,
                          int c_row, size_t c_network, int networks) {
  esc_status status = ESC_OK;
  const float one = 1, zero = 0;
  ESC_TRY_CUBLAS(cublasSgemmStridedBatched(
      s->cublas, op_b, op_a, columns, rows, depth, &one, b, b_row, (long long)b_network, a, a_row,
      (long long)a_network, &zero, c, c_row, (long long)c_network, networks));
done:
  return status;
}

/* Place of hidden layer l in lot->z and lot->h. */
static size_t layer_at(const esc_device_problem *p, const esc_lot *lot, int l) {
  return (size_t)l * (size_t)lot->slots * (size_t)p->batch * (size_t)p->width;
}

/* What layer l reads: the inputs, or the values of the layer below; its row length. */
static const float *below(const esc_device_problem *p, const esc_lot *lot, int l, int *row) {
  *row = l == 0 ? p->inputs : p->width;
  return l == 0 ? lot->x : lot->h + layer_at(p, lot, l - 1);
}

/* z_l = h_{l-1} W_l' and, but for the last hidden layer, h_l = sigma(z_l). */
static esc_status forward_layer(const esc_cuda_step *s, const esc_lot *lot, int l) {
  esc_status status = ESC_OK;
  const esc_device_problem *p = s->problem;
  int in;
  const float *h = below(p, lot, l, &in);
  const size_t samples = (size_t)p->batch;
  ESC_TRY(product(s, CUBLAS_OP_T, CUBLAS_OP_N, p->width, p->batch, in, lot->w + p->offset[l], in,
                  lot->weights, h, in, samples * (size_t)in, lot->z + layer_at(p, lot, l), p->width,
                  samples * (size_t)p->width, lot->slots));
  if (l < p->layers - 2) ESC_TRY_CUDA(esc_launch_activate(p, lot, l, s->stream));
done:
  return status;
}

/* delta_l, G_l = delta_l' h_{l-1} and u_{l-1} = delta_l W_l. */
static esc_status backward_layer(const esc_cuda_step *s, const esc_lot *lot, int l) {
  esc_status status = ESC_OK;
  const esc_device_problem *p = s->problem;
  int in;
  const float *h = below(p, lot, l, &in);
  const size_t samples = (size_t)p->batch, wide = samples * (size_t)p->width;
  ESC_TRY_CUDA(esc_launch_delta(p, lot, l, s->stream));
  ESC_TRY(product(s, CUBLAS_OP_N, CUBLAS_OP_T, in, p->width, p->batch, h, in, samples * (size_t)in,
                  lot->delta, p->width, wide, lot->g + p->offset[l], in, lot->weights, lot->slots));
  if (l > 0)
    ESC_TRY(product(s, CUBLAS_OP_N, CUBLAS_OP_N, in, p->batch, p->width, lot->w + p->offset[l], in,
                    lot->weights, lot->delta, p->width, wide, lot->u, in, wide, lot->slots));
done:
  return status;
}

static esc_status forward(const esc_cuda_step *s, const esc_lot *lot) {
  esc_status status = ESC_OK;
  esc_trace_begin("forward");
  ESC_TRY_CUDA(esc_launch_inputs(s->problem, lot, s->stream));
  for (int l = 0; l < s->problem->layers - 1; l++) ESC_TRY(forward_layer(s, lot, l));
  ESC_TRY_CUDA(esc_launch_output(s->problem, s->rules, lot, s->stream));
done:
  esc_trace_end();
  return status;
}

static esc_status backward(const esc_cuda_step *s, const esc_lot *lot) {
  esc_status status = ESC_OK;
  esc_trace_begin("backward");
  ESC_TRY_CUDA(esc_launch_output_gradient(s->problem, lot, s->stream));
  for (int l = s->problem->layers - 2; l >= 0; l--) ESC_TRY(backward_layer(s, lot, l));
done:
  esc_trace_end();
  return status;
}

static esc_status update(const esc_cuda_step *s, const esc_lot *lot) {
  esc_status status = ESC_OK;
  esc_trace_begin("update");
  ESC_TRY_CUDA(esc_launch_update(s->problem, lot, s->stream));
  ESC_TRY_CUDA(esc_launch_ledger(s->problem, s->rules, lot, s->stream));
done:
  esc_trace_end();
  return status;
}

esc_status esc_cuda_step_enqueue(const esc_cuda_step *s, const esc_lot *lot) {
  esc_status status = ESC_OK;
  ESC_TRY(forward(s, lot));
  ESC_TRY(backward(s, lot));
  ESC_TRY(update(s, lot));
done:
  return status;
}

esc_status esc_cuda_step_graph(const esc_cuda_step *s, const esc_lot *lot, int steps,
                               cudaGraphExec_t *exec) {
  esc_status status = ESC_OK;
  cudaGraph_t graph = NULL;
  ESC_TRY_CUDA(cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < steps && status == ESC_OK; i++) status = esc_cuda_step_enqueue(s, lot);
  const cudaError_t ended = cudaStreamEndCapture(s->stream, &graph); /* also after a failure */
  if (status != ESC_OK) goto done;
  ESC_TRY_CUDA(ended);
  ESC_TRY_CUDA(cudaGraphInstantiate(exec, graph, 0));
done:
  if (graph) (void)cudaGraphDestroy(graph);
  return status;
}
