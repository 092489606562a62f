/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, streams and handles of a CUDA engine. */
#include "cuda/engine_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/trace.h"
#include "cuda/check.h"
#include "cuda/cuda.h"
#include "escapement/internal/model.h"

enum { SLOTS_MIN = 2048 };                       /* enough networks to occupy a device */
static const size_t workspace = (size_t)4 << 20; /* bytes for each cuBLAS handle */

/* Chunks that hold `slots` networks. */
static int count_chunks(const esc_problem *p, const esc_cuda_config *config, int slots) {
  const int each = esc_chunk_slots(p, config);
  return (slots + each - 1) / each;
}

esc_bytes esc_cuda_engine_state_bytes(const esc_problem *p, const esc_cuda_config *config,
                                      const esc_engine_setup *setup) {
  const double chunks = count_chunks(p, config, setup->slots), each = esc_chunk_slots(p, config);
  const double weights = (double)esc_weight_count(p->shape),
               signal = esc_arena_bytes(esc_signal_workspace(p->shape));
  const double streams = config->launch ? 0 : fmin(chunks, ESC_CUDA_STREAMS);
  return (esc_bytes){
      .host = chunks * each * (double)(sizeof(esc_slot) + sizeof(esc_track) + sizeof(uint64_t)) +
              4 * (ESC_CUDA_STAGING + ESC_CUDA_ARRAYS) * each * (weights + 32) +
              setup->threads * (24 * weights + signal) + 8 * ESC_CUDA_ARRAYS * weights,
      .device = chunks * esc_chunk_bytes(p, config) + streams * (double)workspace +
                4.0 * p->teacher.modes * p->shape.inputs};
}

/* A full chunk for every stream, and at least SLOTS_MIN. */
int esc_cuda_engine_state_slots(const esc_problem *p, const esc_cuda_config *config) {
  const int slots = ESC_CUDA_STREAMS * esc_chunk_slots(p, config);
  return slots > SLOTS_MIN ? slots : SLOTS_MIN;
}

static void destroy_stream_context(esc_cuda_stream_context *context) {
  if (context->cublas) (void)cublasDestroy(context->cublas);
  if (context->stream) (void)cudaStreamDestroy(context->stream);
  (void)cudaFree(context->workspace);
}

void esc_cuda_engine_state_destroy(esc_cuda_engine_state *e) {
  if (!e) return;
  for (int i = 0; i < ESC_CUDA_STREAMS; i++)
    if (e->context[i].stream) (void)cudaStreamSynchronize(e->context[i].stream);
  if (e->transfer) (void)cudaStreamSynchronize(e->transfer);
  for (int i = 0; e->chunk && i < e->chunks; i++) {
    if (e->chunk[i].graph_1) (void)cudaGraphExecDestroy(e->chunk[i].graph_1);
    if (e->chunk[i].graph_n) (void)cudaGraphExecDestroy(e->chunk[i].graph_n);
    if (e->chunk[i].trained) (void)cudaEventDestroy(e->chunk[i].trained);
    if (e->chunk[i].uploaded) (void)cudaEventDestroy(e->chunk[i].uploaded);
    esc_chunk_free(&e->chunk[i].device);
  }
  for (int i = 0; i < ESC_CUDA_STREAMS; i++) destroy_stream_context(&e->context[i]);
  for (int i = 0; e->workspace && i < e->threads; i++) {
    free(e->workspace[i].weights);
    free(e->workspace[i].now);
    free(e->workspace[i].compensation);
    esc_arena_free(&e->workspace[i].signal);
  }
  (void)cudaFree(e->direction);
  free(e->h_direction);
  for (int i = 0; i < ESC_CUDA_STAGING; i++) {
    (void)cudaFreeHost(e->staging[i].h_w);
    if (e->staging[i].copied) (void)cudaEventDestroy(e->staging[i].copied);
  }
  if (e->transfer) (void)cudaStreamDestroy(e->transfer);
  for (int i = 0; e->fetched && i < ESC_CUDA_ARRAYS; i++) (void)cudaFreeHost(e->fetched->h_rows[i]);
  free(e->fetched);
  (void)cudaFreeHost(e->h_seed);
  (void)cudaFreeHost(e->h_track);
  for (int i = 0; i < ESC_CUDA_ARRAYS; i++) free(e->flat[i]);
  free(e->chunk);
  free(e->slot);
  free(e->workspace);
  esc_model_free(&e->model);
  free(e);
}

static esc_status create_stream_context(esc_cuda_stream_context *context,
                                        const esc_cuda_config *config) {
  esc_status status = ESC_OK;
  ESC_TRY_CUDA(cudaStreamCreateWithFlags(&context->stream, cudaStreamNonBlocking));
  if (config->launch) return ESC_OK;
  ESC_TRY(esc_cublas_load());
  ESC_TRY_CUDA(cudaMalloc(&context->workspace, workspace));
  ESC_TRY_CUBLAS(cublasCreate(&context->cublas));
  ESC_TRY_CUBLAS(cublasSetStream(context->cublas, context->stream));
  ESC_TRY_CUBLAS(cublasSetWorkspace(context->cublas, context->workspace, workspace));
  ESC_TRY_CUBLAS(cublasSetMathMode(
      context->cublas, config->tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH));
done:
  return status;
}

/* The teacher's directions as floats on the device. Copied on a stream and synchronized: cudaMemcpy
 * from pageable memory returns before the copy has ended, and our streams do not wait for it. */
static esc_status upload_directions(esc_cuda_engine_state *e) {
  esc_status status = ESC_OK;
  const esc_problem *p = e->model.problem;
  const size_t count = (size_t)p->teacher.modes * (size_t)p->shape.inputs;
  const size_t bytes = count * sizeof *e->h_direction;
  ESC_TRY_ALLOCATE(e->h_direction = calloc(count, sizeof *e->h_direction));
  for (size_t i = 0; i < count; i++) e->h_direction[i] = (float)e->model.directions[i];
  ESC_TRY_CUDA(cudaMalloc((void **)&e->direction, bytes));
  const cudaStream_t stream = esc_cuda_chunk_stream(e, 0);
  ESC_TRY_CUDA(
      cudaMemcpyAsync(e->direction, e->h_direction, bytes, cudaMemcpyHostToDevice, stream));
  ESC_TRY_CUDA(cudaStreamSynchronize(stream));
  e->problem.direction = e->direction;
done:
  return status;
}

static esc_status create_chunk(esc_cuda_engine_state *e, int i) {
  esc_status status = ESC_OK;
  esc_cuda_chunk *chunk = &e->chunk[i];
  ESC_TRY(
      esc_chunk_create(e->model.problem, e->config, esc_cuda_chunk_stream(e, i), &chunk->device));
  ESC_TRY_CUDA(cudaEventCreateWithFlags(&chunk->trained, cudaEventDisableTiming));
  ESC_TRY_CUDA(cudaEventCreateWithFlags(&chunk->uploaded, cudaEventDisableTiming));
done:
  return status;
}

/* With rows for the arrays that chunks have. */
static esc_status create_fetched(esc_cuda_engine_state *e, size_t bytes) {
  esc_status status = ESC_OK;
  ESC_TRY_ALLOCATE(e->fetched = calloc(1, sizeof *e->fetched));
  e->fetched->chunk = -1;
  for (int i = 0; i < ESC_CUDA_ARRAYS; i++) {
    float **const h_rows = &e->fetched->h_rows[i];
    if (!esc_cuda_device_array(e, 0, i)) continue;
    ESC_TRY_CUDA(cudaMallocHost((void **)h_rows, bytes));
    memset(*h_rows, 0, bytes);
  }
done:
  return status;
}

static esc_status create_host(esc_cuda_engine_state *e) {
  esc_status status = ESC_OK;
  const esc_problem *p = e->model.problem;
  const size_t slots = (size_t)e->chunks * (size_t)e->chunk_slots,
               weights = esc_weight_count(p->shape);
  const size_t row_bytes =
      e->chunk[0].device.weight_stride * (size_t)e->chunk_slots * sizeof(float);
  ESC_TRY_ALLOCATE(e->slot = calloc(slots, sizeof *e->slot));
  ESC_TRY_ALLOCATE(e->workspace = calloc((size_t)e->threads, sizeof *e->workspace));
  for (int i = 0; i < e->threads; i++) {
    ESC_TRY_ALLOCATE(e->workspace[i].weights = calloc(weights, sizeof(double)));
    ESC_TRY_ALLOCATE(e->workspace[i].now = calloc(weights, sizeof(double)));
    ESC_TRY_ALLOCATE(e->workspace[i].compensation = calloc(weights, sizeof(double)));
    ESC_TRY(esc_arena_create(esc_signal_workspace(p->shape), &e->workspace[i].signal));
  }
  for (int i = 0; i < ESC_CUDA_ARRAYS; i++)
    ESC_TRY_ALLOCATE(e->flat[i] = calloc(weights, sizeof(double)));
  for (int i = 0; i < ESC_CUDA_STAGING; i++) {
    esc_cuda_staging *staging = &e->staging[i];
    ESC_TRY_CUDA(cudaMallocHost((void **)&staging->h_w, row_bytes));
    memset(staging->h_w, 0, row_bytes);
    ESC_TRY_CUDA(cudaEventCreateWithFlags(&staging->copied, cudaEventDisableTiming));
  }
  ESC_TRY(create_fetched(e, row_bytes));
  ESC_TRY_CUDA(cudaMallocHost((void **)&e->h_seed, slots * sizeof *e->h_seed));
  ESC_TRY_CUDA(cudaMallocHost((void **)&e->h_track, slots * sizeof *e->h_track));
  memset(e->h_seed, 0, slots * sizeof *e->h_seed);
  memset(e->h_track, 0, slots * sizeof *e->h_track);
  for (size_t i = 0; i < slots; i++) e->h_track[i].finished = 1; /* an empty slot does not train */
done:
  return status;
}

esc_status esc_cuda_engine_state_create(const esc_problem *p, const esc_engine_setup *setup,
                                        const esc_cuda_config *config,
                                        esc_cuda_engine_state **out) {
  esc_status status = ESC_OK;
  const char *graphs = getenv("ESCAPEMENT_CUDA_GRAPHS");
  esc_cuda_engine_state *e = calloc(1, sizeof *e);
  ESC_TRY_ALLOCATE(e);
  esc_trace_begin("engine state");
  e->slots = setup->slots;
  e->threads = setup->threads;
  e->config = config;
  e->chunk_slots = esc_chunk_slots(p, config);
  e->chunks = count_chunks(p, config, setup->slots);
  e->streams = e->chunks < ESC_CUDA_STREAMS ? e->chunks : ESC_CUDA_STREAMS;
  e->graphs = !graphs || strcmp(graphs, "0");
  esc_device_problem_init(&e->problem, p);
  esc_track_rules_init(&e->rules, p, true);
  ESC_TRY(esc_model_init(&e->model, p, true));
  ESC_TRY_CUDA(cudaSetDevice(setup->device));
  ESC_TRY(esc_cuda_device_name(setup->device, e->device, sizeof e->device));
  for (int i = 0; i < e->streams; i++) ESC_TRY(create_stream_context(&e->context[i], config));
  ESC_TRY_ALLOCATE(e->chunk = calloc((size_t)e->chunks, sizeof *e->chunk));
  for (int i = 0; i < e->chunks; i++) ESC_TRY(create_chunk(e, i));
  ESC_TRY_CUDA(cudaStreamCreateWithFlags(&e->transfer, cudaStreamNonBlocking));
  ESC_TRY(upload_directions(e));
  ESC_TRY(create_host(e));
  *out = e;
  e = NULL;
done:
  esc_trace_end();
  esc_cuda_engine_state_destroy(e);
  return status;
}
