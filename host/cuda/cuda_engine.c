/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA engine's tables of functions, one for each path: draw and upload of fresh members
 * (loaded, not started), steps, read-back of events and weights. Initial weights are drawn on the
 * host, by the code that all engines share. */
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "base/trace.h"
#include "cuda/check.h"
#include "cuda/cuda.h"
#include "cuda/engine_state.h"
#include "cuda/step.h"
#include "escapement/internal/order.h"
#include "escapement/internal/state.h"
#include "fused.h"

static esc_status device_memory(const esc_engine_setup *setup, double *available, double *total) {
  return esc_cuda_device_memory(setup->device, available, total);
}

/* Path cublas' numbers depend on the version of cuBLAS. */
static esc_status versions(const esc_engine_ops *ops, char *text, size_t size) {
  return esc_cuda_versions(!((const esc_cuda_config *)ops->config)->launch, text, size);
}

static esc_status load(void *handle, int slot, const esc_member *member) {
  esc_slot_load(&((esc_cuda_engine_state *)handle)->slot[slot], member);
  return ESC_OK;
}

static bool chunk_has(const esc_cuda_engine_state *e, int chunk,
                      bool (*predicate)(const esc_slot *)) {
  for (int i = chunk * e->chunk_slots; i < (chunk + 1) * e->chunk_slots; i++)
    if (predicate(&e->slot[i])) return true;
  return false;
}

static bool is_fresh(const esc_slot *s) { return s->loaded && s->fresh; }
static bool is_training(const esc_slot *s) { return esc_slot_trains(s); }

/* Draws the weights of the chunk's fresh members into h_w, on all threads. */
static void draw_fresh(esc_cuda_engine_state *e, int chunk) {
  const size_t stride = e->chunk[chunk].device.weight_stride,
               weights = esc_weight_count(e->model.problem->shape);
#pragma omp parallel for schedule(dynamic, 1) num_threads(e->threads)
  for (int i = 0; i < e->chunk_slots; i++) {
    esc_slot *slot = &e->slot[chunk * e->chunk_slots + i];
    esc_cuda_workspace *const workspace = &e->workspace[omp_get_thread_num()];
    if (!is_fresh(slot)) continue;
    esc_slot_start(slot, &e->model, workspace->weights, &workspace->signal);
    for (size_t k = 0; k < weights; k++)
      e->h_w[(size_t)i * stride + k] = (float)workspace->weights[k];
    e->h_seed[chunk * e->chunk_slots + i] = slot->member.seed;
    e->h_track[chunk * e->chunk_slots + i] = slot->track;
  }
}

/* Draws the weights of the chunk's fresh members and copies them to the device. */
static esc_status start_fresh(esc_cuda_engine_state *e, int chunk) {
  esc_status status = ESC_OK;
  const esc_chunk *d = &e->chunk[chunk].device;
  const cudaStream_t stream = esc_cuda_chunk_stream(e, chunk);
  const size_t row = d->weight_stride * sizeof *d->w;
  bool fresh[ESC_CHUNK_SLOTS_MAX];
  for (int i = 0; i < e->chunk_slots; i++)
    fresh[i] = is_fresh(&e->slot[chunk * e->chunk_slots + i]);
  draw_fresh(e, chunk);
  for (int i = 0; i < e->chunk_slots; i++) {
    const size_t offset = (size_t)i * d->weight_stride;
    const size_t slot = (size_t)(chunk * e->chunk_slots + i);
    if (!fresh[i]) continue;
    ESC_TRY_CUDA(
        cudaMemcpyAsync(d->w + offset, e->h_w + offset, row, cudaMemcpyHostToDevice, stream));
    float *const zeroed[] = {d->compensation, d->velocity, d->second_moment};
    for (int k = 0; k < 3; k++)
      if (zeroed[k]) ESC_TRY_CUDA(cudaMemsetAsync(zeroed[k] + offset, 0, row, stream));
    ESC_TRY_CUDA(cudaMemcpyAsync(d->seed + i, e->h_seed + slot, sizeof *d->seed,
                                 cudaMemcpyHostToDevice, stream));
    ESC_TRY_CUDA(cudaMemcpyAsync(d->track + i, e->h_track + slot, sizeof *d->track,
                                 cudaMemcpyHostToDevice, stream));
  }
  ESC_TRY_CUDA(cudaStreamSynchronize(stream)); /* the next chunk reuses h_w */
done:
  return status;
}

/* Captures the graphs of a chunk, after one plain step: the first call of a product loads cuBLAS'
 * kernels, which may need calls that are forbidden during a capture. */
static esc_status capture_graphs(const esc_cuda_step *step, esc_cuda_chunk *chunk) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_cuda_step_enqueue(step, &chunk->device));
  ESC_TRY(esc_cuda_step_graph(step, &chunk->device, 1, &chunk->graph_1));
  ESC_TRY(esc_cuda_step_graph(step, &chunk->device, ESC_CUDA_GRAPH_STEPS, &chunk->graph_n));
done:
  return status;
}

/* Enqueues up to `steps` steps of a chunk, fewer once *stop is set. */
static esc_status enqueue(esc_cuda_engine_state *e, int index, int64_t steps,
                          const atomic_bool *stop) {
  esc_status status = ESC_OK;
  esc_cuda_chunk *chunk = &e->chunk[index];
  const esc_cuda_stream_context *context = &e->context[index % e->streams];
  const esc_cuda_step step = {.problem = &e->problem,
                              .rules = &e->rules,
                              .cublas = context->cublas,
                              .stream = context->stream};
  if (e->config->launch) {
    ESC_TRY_CUDA(e->config->launch(&e->problem, &e->rules, &chunk->device, steps, context->stream));
    return ESC_OK;
  }
  if (e->graphs && !chunk->graph_n && steps > 0) {
    ESC_TRY(capture_graphs(&step, chunk));
    steps--;
  }
  while (steps > 0 && !atomic_load_explicit(stop, memory_order_relaxed)) {
    const int64_t graph_steps =
        e->graphs && steps >= ESC_CUDA_GRAPH_STEPS ? ESC_CUDA_GRAPH_STEPS : 1;
    if (e->graphs)
      ESC_TRY_CUDA(
          cudaGraphLaunch(graph_steps == 1 ? chunk->graph_1 : chunk->graph_n, context->stream));
    else
      ESC_TRY(esc_cuda_step_enqueue(&step, &chunk->device));
    steps -= graph_steps;
  }
done:
  return status;
}

/* Enqueues the copy of the chunk's events to the host; valid after the stream is synchronized. */
static esc_status read_back(esc_cuda_engine_state *e, int chunk) {
  esc_status status = ESC_OK;
  const esc_chunk *d = &e->chunk[chunk].device;
  ESC_TRY_CUDA(cudaMemcpyAsync(e->h_track + (size_t)chunk * (size_t)e->chunk_slots, d->track,
                               (size_t)d->slots * sizeof *d->track, cudaMemcpyDeviceToHost,
                               esc_cuda_chunk_stream(e, chunk)));
done:
  return status;
}

static esc_status advance(void *handle, int64_t steps, const atomic_bool *stop) {
  esc_status status = ESC_OK;
  esc_cuda_engine_state *e = handle;
  esc_trace_begin("step block");
  for (int i = 0; i < e->chunks; i++)
    if (chunk_has(e, i, is_fresh) && !atomic_load(stop)) ESC_TRY(start_fresh(e, i));
  for (int i = 0; i < e->chunks; i++) {
    if (!chunk_has(e, i, is_training) || chunk_has(e, i, is_fresh)) continue;
    ESC_TRY(enqueue(e, i, steps, stop));
    ESC_TRY(read_back(e, i));
  }
  esc_trace_begin("read-back");
  for (int i = 0; i < e->streams && status == ESC_OK; i++) {
    const cudaError_t error = cudaStreamSynchronize(e->context[i].stream);
    if (error != cudaSuccess)
      status = esc_cuda_failed(__FILE__, __LINE__, "cudaStreamSynchronize", error);
  }
  esc_trace_end();
  if (status != ESC_OK) goto done;
  for (int i = 0; i < e->slots; i++)
    if (esc_slot_trains(&e->slot[i]) && !e->slot[i].fresh) e->slot[i].track = e->h_track[i];
done:
  esc_trace_end();
  return status;
}

static const esc_slot *slot(const void *handle, int index) {
  return &((const esc_cuda_engine_state *)handle)->slot[index];
}

/* Copies one network's row of an array of the chunk from the device into `flat`. */
static esc_status fetch(const esc_cuda_engine_state *e, int index, const float *d_rows,
                        double *flat) {
  esc_status status = ESC_OK;
  const int chunk = index / e->chunk_slots, row = index % e->chunk_slots;
  const size_t count = esc_weight_count(e->model.problem->shape);
  const cudaStream_t stream = esc_cuda_chunk_stream(e, chunk);
  ESC_TRY_CUDA(cudaMemcpyAsync(e->h_row,
                               d_rows + (size_t)row * e->chunk[chunk].device.weight_stride,
                               count * sizeof *e->h_row, cudaMemcpyDeviceToHost, stream));
  ESC_TRY_CUDA(cudaStreamSynchronize(stream));
  for (size_t i = 0; i < count; i++) flat[i] = (double)e->h_row[i];
done:
  return status;
}

/* Arrays of the weights' size in the order of esc_state_arrays, with NULL for those that the chunk
 * lacks, and the workspaces for one network's row of each. */
typedef struct chunk_arrays {
  float *device[4];
  double *flat[4];
} chunk_arrays;

static chunk_arrays list_arrays(const esc_cuda_engine_state *e, int index) {
  const esc_chunk *d = &e->chunk[index / e->chunk_slots].device;
  chunk_arrays a = {.device = {d->w, d->compensation, d->velocity, d->second_moment}};
  for (int i = 0; i < 4; i++) a.flat[i] = a.device[i] ? e->flat[ESC_CUDA_FLAT_ARRAYS + i] : NULL;
  return a;
}

/* Copies the first `count` arrays of a network into their workspaces. */
static esc_status fetch_arrays(const esc_cuda_engine_state *e, int index, const chunk_arrays *a,
                               int count) {
  esc_status status = ESC_OK;
  for (int i = 0; i < count; i++)
    if (a->device[i]) ESC_TRY(fetch(e, index, a->device[i], a->flat[i]));
done:
  return status;
}

static esc_status report(const void *handle, int index, esc_results *results, int64_t i) {
  esc_status status = ESC_OK;
  const esc_cuda_engine_state *e = handle;
  const chunk_arrays a = list_arrays(e, index);
  const esc_slot_weights weights = {a.flat[0], a.flat[1], e->flat[ESC_CUDA_FLAT_INITIAL]};
  ESC_TRY(fetch_arrays(e, index, &a, 2));
  esc_slot_report(&e->slot[index], &e->model, &weights, results, i);
done:
  return status;
}

static esc_status weights(const void *handle, int index, double *w) {
  const esc_cuda_engine_state *e = handle;
  return fetch(e, index, e->chunk[index / e->chunk_slots].device.w, w);
}

static size_t state_size(const esc_problem *p) { return esc_state_size(p, true); }

static esc_status save(const void *handle, int index, void *state) {
  esc_status status = ESC_OK;
  const esc_cuda_engine_state *e = handle;
  const chunk_arrays a = list_arrays(e, index);
  const esc_state_arrays arrays = {a.flat[0], a.flat[1], a.flat[2], a.flat[3]};
  ESC_TRY(fetch_arrays(e, index, &a, 4));
  esc_state_pack(&e->model, &e->slot[index], &arrays, state);
done:
  return status;
}

/* Copies one network's row of an array of the chunk from `flat` to the device. */
static esc_status upload_row(const esc_cuda_engine_state *e, int index, const double *flat,
                             float *d_rows) {
  esc_status status = ESC_OK;
  const int chunk = index / e->chunk_slots, row = index % e->chunk_slots;
  const size_t stride = e->chunk[chunk].device.weight_stride,
               count = esc_weight_count(e->model.problem->shape);
  const cudaStream_t stream = esc_cuda_chunk_stream(e, chunk);
  for (size_t i = 0; i < stride; i++) e->h_row[i] = i < count ? (float)flat[i] : 0;
  ESC_TRY_CUDA(cudaMemcpyAsync(d_rows + (size_t)row * stride, e->h_row, stride * sizeof *e->h_row,
                               cudaMemcpyHostToDevice, stream));
  ESC_TRY_CUDA(cudaStreamSynchronize(stream)); /* the next call reuses h_row */
done:
  return status;
}

static esc_status restore(void *handle, int index, const esc_member *member, const void *state) {
  esc_status status = ESC_OK;
  esc_cuda_engine_state *e = handle;
  const int chunk = index / e->chunk_slots, row = index % e->chunk_slots;
  const esc_chunk *d = &e->chunk[chunk].device;
  const cudaStream_t stream = esc_cuda_chunk_stream(e, chunk);
  esc_slot *slot = &e->slot[index];
  const chunk_arrays a = list_arrays(e, index);
  const esc_state_arrays arrays = {a.flat[0], a.flat[1], a.flat[2], a.flat[3]};
  esc_state_unpack(&e->model, member, state, slot, &arrays);
  e->h_seed[index] = member->seed;
  e->h_track[index] = slot->track;
  for (int i = 0; i < 4; i++)
    if (a.device[i]) ESC_TRY(upload_row(e, index, a.flat[i], a.device[i]));
  ESC_TRY_CUDA(cudaMemcpyAsync(d->seed + row, e->h_seed + index, sizeof *d->seed,
                               cudaMemcpyHostToDevice, stream));
  ESC_TRY_CUDA(cudaMemcpyAsync(d->track + row, e->h_track + index, sizeof *d->track,
                               cudaMemcpyHostToDevice, stream));
  ESC_TRY_CUDA(cudaStreamSynchronize(stream));
done:
  return status;
}

static void describe(const void *handle, char *text, size_t size) {
  const esc_cuda_engine_state *e = handle;
  const char *graphs = e->graphs && !e->config->launch ? " in graphs" : "";
  const int name = (int)strcspn(e->device, ",");
  snprintf(text, size, "%.*s, %s%s, %d chunks of %d on %d streams", name < 60 ? name : 60,
           e->device, e->config->path, graphs, e->chunks, e->chunk_slots, e->streams);
}

static esc_bytes bytes(const esc_engine_ops *ops, const esc_problem *p,
                       const esc_engine_setup *setup) {
  return esc_cuda_engine_state_bytes(p, ops->config, setup);
}

static int default_slots(const esc_engine_ops *ops, const esc_problem *p,
                         const esc_engine_setup *setup) {
  (void)setup;
  return esc_cuda_engine_state_slots(p, ops->config);
}

static esc_status create(const esc_engine_ops *ops, const esc_problem *p,
                         const esc_engine_setup *setup, void **out) {
  esc_cuda_engine_state *state = NULL;
  const esc_status status = esc_cuda_engine_state_create(p, setup, ops->config, &state);
  *out = state;
  return status;
}

static void destroy(void *handle) { esc_cuda_engine_state_destroy(handle); }

static const esc_cuda_config fused_config = {
    .path = "fused", .launch = esc_launch_fused, .memory = esc_fused_memory_make};
static const esc_cuda_config fused_3xtf32_config = {.path = "fused-3xtf32",
                                                    .launch = esc_launch_fused_3xtf32,
                                                    .memory = esc_fused_3xtf32_memory_make};
static const esc_cuda_config cublas_config = {.path = "cublas"};
static const esc_cuda_config cublas_tf32_config = {.path = "cublas", .tf32 = true};

/* Initialisers that all tables below share. */
#define COMMON_FUNCTIONS                                                                  \
  .name = "cuda", .bytes = bytes, .device_memory = device_memory, .slots = default_slots, \
  .create = create, .load = load, .advance = advance, .slot = slot, .report = report,     \
  .weights = weights, .state_size = state_size, .save = save, .restore = restore,         \
  .describe = describe, .destroy = destroy, .versions = versions

const esc_engine_ops esc_cuda_fused_engine = {COMMON_FUNCTIONS, .precision = "float32",
                                              .config = &fused_config};
const esc_engine_ops esc_cuda_fused_3xtf32_engine = {
    COMMON_FUNCTIONS, .precision = "float32, 3xtf32", .config = &fused_3xtf32_config};
const esc_engine_ops esc_cuda_cublas_engine = {COMMON_FUNCTIONS, .precision = "float32, cuBLAS",
                                               .config = &cublas_config};
const esc_engine_ops esc_cuda_tf32_engine = {COMMON_FUNCTIONS, .precision = "tf32, cuBLAS",
                                             .config = &cublas_tf32_config};

/* Whether a fused path can train the problem: the limits of its kernel, and at most `limit` bytes
 * of shared memory a block, which limits layers and inputs. */
static bool fused_fits(const esc_problem *p, const esc_cuda_config *config, size_t limit) {
  return p->shape.width <= ESC_FUSED_WIDTH_MAX && p->batch <= ESC_ACCUMULATION_BLOCK &&
         config->memory(p->shape, p->batch).shared_bytes <= limit;
}

/* Fails with a message that names the limit of a fused path that the problem exceeds. */
static esc_status refuse_fused(const esc_problem *p, const esc_cuda_config *config, bool tf32,
                               size_t limit) {
  static const char other[] = "--path cublas has no such limit";
  const char *path = config->path;
  if (tf32)
    return ESC_FAIL(ESC_BAD_INPUT, "--path %s: needs --precision fp32; tf32 needs --path cublas",
                    path);
  if (p->shape.width > ESC_FUSED_WIDTH_MAX)
    return ESC_FAIL(ESC_BAD_INPUT, "--path %s: network.width is %d; allowed: at most %d; %s", path,
                    p->shape.width, ESC_FUSED_WIDTH_MAX, other);
  if (p->batch > ESC_ACCUMULATION_BLOCK)
    return ESC_FAIL(ESC_BAD_INPUT, "--path %s: train.batch is %d; allowed: at most %d; %s", path,
                    p->batch, ESC_ACCUMULATION_BLOCK, other);
  return ESC_FAIL(
      ESC_BAD_INPUT,
      "--path %s: %d layers of width %d with %d inputs need %zu bytes of shared memory; "
      "the device has %zu for a block; %s",
      path, p->shape.layers, p->shape.width, p->shape.inputs,
      config->memory(p->shape, p->batch).shared_bytes, limit, other);
}

esc_status esc_cuda_select(const esc_problem *p, int device, const char *path, bool tf32,
                           const esc_engine_ops **engine) {
  esc_status status = ESC_OK;
  const bool automatic = !path || !strcmp(path, "auto");
  const bool fused_3xtf32 = !automatic && !strcmp(path, "fused-3xtf32");
  const bool fused = fused_3xtf32 || (!automatic && !strcmp(path, "fused"));
  struct cudaDeviceProp info;
  char why[256];
  if (!automatic && !fused && strcmp(path, "cublas"))
    return ESC_FAIL(ESC_BAD_INPUT, "--path %.40s: must be auto, cublas, fused or fused-3xtf32",
                    path);
  ESC_TRY(esc_cuda_check_device(device));
  if (esc_cuda_lacks_code(device, why, sizeof why))
    return ESC_FAIL(ESC_BAD_INPUT, "--device %d: %s", device, why);
  ESC_TRY_CUDA(cudaGetDeviceProperties(&info, device));
  if (fused_3xtf32 && info.major < 8)
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--path fused-3xtf32: needs compute capability 8.0 (tensor cores for TF32); "
                    "device %d has %d.%d",
                    device, info.major, info.minor);
  const size_t limit = info.sharedMemPerBlockOptin;
  const esc_cuda_config *config = fused_3xtf32 ? &fused_3xtf32_config : &fused_config;
  const bool fits = fused_fits(p, config, limit);
  if (fused && (tf32 || !fits)) return refuse_fused(p, config, tf32, limit);
  *engine = tf32                           ? &esc_cuda_tf32_engine
            : fused_3xtf32                 ? &esc_cuda_fused_3xtf32_engine
            : fused || (automatic && fits) ? &esc_cuda_fused_engine
                                           : &esc_cuda_cublas_engine;
done:
  return status;
}
