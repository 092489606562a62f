/* SPDX-License-Identifier: Apache-2.0 */
/* The CUDA engine's tables of functions, one for each path: start of fresh members (loaded, not
 * started), steps, read-back of events and weights. */
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "base/trace.h"
#include "cuda/check.h"
#include "cuda/cuda.h"
#include "cuda/engine_state.h"
#include "cuda/step.h"
#include "cuda/transfer.h"
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

static void limit(void *handle, int slot, int64_t step) {
  esc_cuda_engine_state *e = handle;
  if (e->slot[slot].track.step_limit == step) return;
  e->slot[slot].track.step_limit = step;
  if (!e->slot[slot].fresh) esc_cuda_mark_changed(e, slot);
}

static bool chunk_has(const esc_cuda_engine_state *e, int chunk,
                      bool (*predicate)(const esc_slot *)) {
  for (int i = chunk * e->chunk_slots; i < (chunk + 1) * e->chunk_slots; i++)
    if (predicate(&e->slot[i])) return true;
  return false;
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

/* Enqueues the copy of the chunk's events to the host, and the event that collect waits for. */
static esc_status read_back(esc_cuda_engine_state *e, int chunk) {
  esc_status status = ESC_OK;
  const esc_chunk *d = &e->chunk[chunk].device;
  const cudaStream_t stream = esc_cuda_chunk_stream(e, chunk);
  ESC_TRY_CUDA(cudaMemcpyAsync(e->h_track + (size_t)chunk * (size_t)e->chunk_slots, d->track,
                               (size_t)d->slots * sizeof *d->track, cudaMemcpyDeviceToHost,
                               stream));
  ESC_TRY_CUDA(cudaEventRecord(e->chunk[chunk].trained, stream));
done:
  return status;
}

static int chunk_slots(const void *handle) {
  return ((const esc_cuda_engine_state *)handle)->chunk_slots;
}

/* The arrays of a network that the host reads after a block of steps: for its end, to continue it
 * after its pause (save), or for its snapshot. */
static unsigned char wanted_arrays(const esc_cuda_engine_state *e, const esc_slot *s) {
  const unsigned char w = 1 << ESC_CUDA_W, all = esc_cuda_all_arrays(e);
  if (esc_slot_finished(s)) return all & (w | 1 << ESC_CUDA_COMPENSATION);
  if (esc_slot_is_paused(s)) return all;
  return s->track.step == s->track.step_limit ? w : 0;
}

static bool lacks_signal(const esc_slot *s) { return s->loaded && !s->fresh && !s->measured; }
static bool ends_without_signal(const esc_slot *s) {
  return lacks_signal(s) && esc_slot_finished(s);
}

/* Slots from `first` to end - 1 of which the predicate is true, at most max: their number. */
static int list_slots(const esc_cuda_engine_state *e, int first, int end,
                      bool (*predicate)(const esc_slot *), int max, int *list) {
  int count = 0;
  for (int i = first; i < end && count < max; i++)
    if (predicate(&e->slot[i])) list[count++] = i;
  return count;
}

/* Initial norms and signals of the listed slots, on all threads. */
static void measure(const esc_cuda_engine_state *e, int count, const int *list) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(e->threads)
  for (int i = 0; i < count; i++) {
    esc_cuda_workspace *const own = &e->workspace[omp_get_thread_num()];
    esc_slot_measure(&e->slot[list[i]], &e->model, own->weights, &own->signal);
  }
}

/* The same for slots of one chunk. */
static void measure_chunk(const esc_cuda_engine_state *e, int chunk,
                          bool (*predicate)(const esc_slot *)) {
  int list[ESC_CHUNK_SLOTS_MAX];
  const int first = chunk * e->chunk_slots;
  measure(e, list_slots(e, first, first + e->chunk_slots, predicate, e->chunk_slots, list), list);
}

/* The same for any slots, a few at a time, until the chunk has been trained. */
static esc_status measure_while_training(const esc_cuda_engine_state *e, int chunk) {
  int list[ESC_CHUNK_SLOTS_MAX], count;
  const int max = e->threads < ESC_CHUNK_SLOTS_MAX ? e->threads : ESC_CHUNK_SLOTS_MAX;
  while ((count = list_slots(e, 0, e->slots, lacks_signal, max, list)) > 0) {
    const cudaError_t state = cudaEventQuery(e->chunk[chunk].trained);
    if (state == cudaSuccess) break;
    if (state != cudaErrorNotReady)
      return esc_cuda_failed(__FILE__, __LINE__, "cudaEventQuery", state);
    (void)cudaGetLastError(); /* clears what the query has set */
    measure(e, count, list);
  }
  return ESC_OK;
}

/* The sums over the weights of the chunk's members that have finished, on all threads. */
static void end_finished(esc_cuda_engine_state *e, int chunk) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(e->threads)
  for (int i = chunk * e->chunk_slots; i < (chunk + 1) * e->chunk_slots; i++) {
    esc_slot *const slot = &e->slot[i];
    const esc_cuda_workspace *const own = &e->workspace[omp_get_thread_num()];
    const bool compensated = esc_cuda_device_array(e, chunk, ESC_CUDA_COMPENSATION);
    if (!esc_slot_finished(slot) || slot->ended) continue;
    esc_cuda_widen(e, i, ESC_CUDA_W, own->now);
    if (compensated) esc_cuda_widen(e, i, ESC_CUDA_COMPENSATION, own->compensation);
    esc_slot_end(
        slot, &e->model,
        &(esc_slot_weights){own->now, compensated ? own->compensation : NULL, own->weights});
  }
}

/* Initializes the fresh members of a chunk; read: fetches their weights for snapshots. */
static esc_status start_fresh(esc_cuda_engine_state *e, int chunk, bool read) {
  esc_status status = ESC_OK;
  unsigned char wanted[ESC_CHUNK_SLOTS_MAX] = {0};
  for (int i = 0; i < e->chunk_slots; i++)
    if (esc_slot_is_fresh(&e->slot[chunk * e->chunk_slots + i])) wanted[i] = 1 << ESC_CUDA_W;
  ESC_TRY(esc_cuda_start_fresh(e, chunk));
  if (read) ESC_TRY(esc_cuda_fetch(e, chunk, wanted));
done:
  return status;
}

/* Starts a block of steps, if the chunk has a network that trains. */
static esc_status launch(esc_cuda_engine_state *e, int chunk, int64_t steps,
                         const atomic_bool *stop) {
  esc_status status = ESC_OK;
  if (steps == 0 || chunk_has(e, chunk, esc_slot_is_fresh) || !chunk_has(e, chunk, esc_slot_trains))
    return ESC_OK;
  esc_trace_begin("step block");
  ESC_TRY(esc_cuda_finish_uploads(e, chunk));
  esc_cuda_invalidate(e, chunk);
  e->chunk[chunk].in_flight = true;
  ESC_TRY(enqueue(e, chunk, steps, stop));
  ESC_TRY(read_back(e, chunk));
done:
  esc_trace_end();
  return status;
}

static esc_status submit(void *handle, int chunk, int64_t steps, const atomic_bool *stop) {
  esc_status status = ESC_OK;
  esc_cuda_engine_state *e = handle;
  if (chunk_has(e, chunk, esc_slot_is_fresh) && !atomic_load(stop))
    ESC_TRY(start_fresh(e, chunk, steps == 0));
  ESC_TRY(launch(e, chunk, steps, stop));
done:
  return status;
}

static esc_status collect(void *handle, int index) {
  esc_status status = ESC_OK;
  esc_cuda_engine_state *e = handle;
  unsigned char wanted[ESC_CHUNK_SLOTS_MAX] = {0};
  if (!e->chunk[index].in_flight) return ESC_OK;
  esc_trace_begin("read-back");
  ESC_TRY(measure_while_training(e, index));
  ESC_TRY_CUDA(cudaEventSynchronize(e->chunk[index].trained));
  e->chunk[index].in_flight = false;
  for (int i = 0; i < e->chunk_slots; i++) {
    esc_slot *const slot = &e->slot[index * e->chunk_slots + i];
    if (!esc_slot_trains(slot)) continue;
    slot->track = e->h_track[index * e->chunk_slots + i];
    wanted[i] = wanted_arrays(e, slot);
  }
  ESC_TRY(esc_cuda_fetch(e, index, wanted));
  measure_chunk(e, index, ends_without_signal);
  end_finished(e, index);
done:
  esc_trace_end();
  return status;
}

static esc_status advance(void *handle, int64_t steps, const atomic_bool *stop) {
  esc_status status = ESC_OK;
  const esc_cuda_engine_state *e = handle;
  for (int i = 0; i < e->chunks; i++) ESC_TRY(submit(handle, i, steps, stop));
  for (int i = 0; i < e->chunks; i++) ESC_TRY(collect(handle, i));
done:
  return status;
}

static const esc_slot *slot(const void *handle, int index) {
  return &((const esc_cuda_engine_state *)handle)->slot[index];
}

static esc_status report(const void *handle, int index, esc_results *results, int64_t i) {
  const esc_cuda_engine_state *e = handle;
  esc_slot_report(&e->slot[index], &e->model, results, i);
  return ESC_OK;
}

static esc_status weights(const void *handle, int index, double *w) {
  return esc_cuda_read(handle, index, ESC_CUDA_W, w);
}

static size_t state_size(const esc_problem *p) { return esc_state_size(p, true); }

/* Workspaces of the arrays that chunks have. */
static esc_state_arrays list_arrays(const esc_cuda_engine_state *e) {
  double *flat[ESC_CUDA_ARRAYS];
  for (int k = 0; k < ESC_CUDA_ARRAYS; k++)
    flat[k] = esc_cuda_device_array(e, 0, k) ? e->flat[k] : NULL;
  return (esc_state_arrays){flat[0], flat[1], flat[2], flat[3]};
}

/* A checkpoint saves all networks of a chunk, so that they are fetched together. */
static esc_status fetch_chunk(const esc_cuda_engine_state *e, int chunk) {
  unsigned char wanted[ESC_CHUNK_SLOTS_MAX];
  memset(wanted, esc_cuda_all_arrays(e), sizeof wanted);
  return esc_cuda_fetch(e, chunk, wanted);
}

static esc_status save(const void *handle, int index, void *state) {
  esc_status status = ESC_OK;
  const esc_cuda_engine_state *e = handle;
  const esc_state_arrays arrays = list_arrays(e);
  if (!e->slot[index].measured) measure_chunk(e, index / e->chunk_slots, lacks_signal);
  if (!esc_cuda_has_all(e, index)) ESC_TRY(fetch_chunk(e, index / e->chunk_slots));
  for (int k = 0; k < ESC_CUDA_ARRAYS; k++)
    if (esc_cuda_device_array(e, 0, k)) esc_cuda_widen(e, index, k, e->flat[k]);
  esc_state_pack(&e->model, &e->slot[index], &arrays, state);
done:
  return status;
}

static esc_status restore(void *handle, int index, const esc_member *member, const void *state) {
  esc_cuda_engine_state *e = handle;
  const esc_state_arrays arrays = list_arrays(e);
  esc_state_unpack(&e->model, member, state, &e->slot[index], &arrays);
  esc_cuda_mark_changed(e, index);
  return esc_cuda_upload(e, index);
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
  .create = create, .load = load, .chunk_slots = chunk_slots, .submit = submit,           \
  .collect = collect, .limit = limit, .advance = advance, .slot = slot, .report = report, \
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
    return ESC_FAIL(
        ESC_BAD_INPUT,
        "--path %.40s: must be auto, cublas, fused or fused-3xtf32 for the backend cuda", path);
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
