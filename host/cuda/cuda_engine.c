/* The CUDA engine's slots: slot i is place i % S of lot i / S. Lots share a few
 * streams, so that one's small kernels fill what another's leave idle. */
#include <cublas_v2.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/check.h"
#include "cuda/cuda.h"
#include "cuda/lot.h"
#include "cuda/step.h"
#include "escapement/model.h"
#include "trace.h"

enum { STREAMS = 8, GRAPH_STEPS = 16, SLOTS_WANTED = 2048 };
static const size_t workspace = (size_t)4 << 20; /* of one cuBLAS handle */

typedef struct cuda_lane {
  cudaStream_t stream;
  cublasHandle_t cublas;
  void *workspace; /* device */
} cuda_lane;

typedef struct cuda_lot {
  esc_lot device;
  cudaGraphExec_t one, many; /* 1 step, GRAPH_STEPS steps; NULL until needed */
} cuda_lot;

/* One thread's room for drawing a member's weights. */
typedef struct draw_room {
  double *weights, *signal;
} draw_room;

typedef struct engine {
  esc_model model;
  esc_device_problem problem;
  esc_track_rules rules;
  int slots, threads, lots, lot_slots, lanes;
  bool graphs;
  char device[200];
  cuda_lane lane[STREAMS];
  cuda_lot *lot;    /* (lot) */
  float *direction; /* device: (mode, input) */
  esc_slot *slot;   /* (slot) */
  draw_room *room;  /* (thread) */
  /* Pinned, (lot slot): what goes to the device and comes back. */
  float *h_w, *h_low; /* (lot slot, weight): one lot's */
  uint64_t *h_seed;   /* (slot) */
  esc_track *h_track; /* (slot) */
  double *flat[3];    /* (weight) room for the report: weights, low parts, initial */
} engine;

static int lots_of(const esc_problem *p, int slots) {
  return (slots + esc_lot_slots(p) - 1) / esc_lot_slots(p);
}

static size_t weight_count(const esc_problem *p) {
  return esc_weight_offset(p->shape, p->shape.layers);
}

static esc_bytes bytes(const esc_problem *p, const esc_engine_setup *setup) {
  const double lots = lots_of(p, setup->slots), each = esc_lot_slots(p);
  const double weights = (double)weight_count(p), signal = (double)esc_signal_room(p->shape);
  return (esc_bytes){
      .host = lots * each * (double)(sizeof(esc_slot) + sizeof(esc_track) + sizeof(uint64_t)) +
              8 * each * (weights + 32) + 8 * setup->threads * (weights + signal) + 24 * weights,
      .device = lots * esc_lot_bytes(p) + fmin(lots, STREAMS) * (double)workspace +
                4.0 * p->teacher.modes * p->shape.inputs};
}

static esc_status device_memory(const esc_engine_setup *setup, double *available) {
  esc_status status = ESC_OK;
  size_t unused = 0, total = 0;
  char why[200];
  const int devices = esc_cuda_devices(why, sizeof why);
  if (setup->device >= devices)
    return ESC_FAIL(ESC_BAD_INPUT, "--device %d: must be below %d, the number of CUDA devices",
                    setup->device, devices);
  ESC_TRY_CUDA(cudaSetDevice(setup->device));
  ESC_TRY_CUDA(cudaMemGetInfo(&unused, &total));
  *available = 0.9 * (double)unused; /* the driver rounds allocations up */
done:
  return status;
}

/* Every lane with a full lot, and enough networks to fill the device. */
static int default_slots(const esc_problem *p, const esc_engine_setup *setup) {
  (void)setup;
  const int lanes = STREAMS * esc_lot_slots(p);
  return lanes > SLOTS_WANTED ? lanes : SLOTS_WANTED;
}

static void destroy_lane(cuda_lane *lane) {
  if (lane->cublas) (void)cublasDestroy(lane->cublas);
  if (lane->stream) (void)cudaStreamDestroy(lane->stream);
  (void)cudaFree(lane->workspace);
}

static void destroy(void *handle) {
  engine *e = handle;
  if (!e) return;
  for (int i = 0; i < STREAMS; i++)
    if (e->lane[i].stream) (void)cudaStreamSynchronize(e->lane[i].stream);
  for (int i = 0; e->lot && i < e->lots; i++) {
    if (e->lot[i].one) (void)cudaGraphExecDestroy(e->lot[i].one);
    if (e->lot[i].many) (void)cudaGraphExecDestroy(e->lot[i].many);
    esc_lot_free(&e->lot[i].device);
  }
  for (int i = 0; i < STREAMS; i++) destroy_lane(&e->lane[i]);
  for (int i = 0; e->room && i < e->threads; i++) {
    free(e->room[i].weights);
    free(e->room[i].signal);
  }
  (void)cudaFree(e->direction);
  (void)cudaFreeHost(e->h_w);
  (void)cudaFreeHost(e->h_low);
  (void)cudaFreeHost(e->h_seed);
  (void)cudaFreeHost(e->h_track);
  for (int i = 0; i < 3; i++) free(e->flat[i]);
  free(e->lot);
  free(e->slot);
  free(e->room);
  esc_model_free(&e->model);
  free(e);
}

static esc_status create_lane(cuda_lane *lane, bool tf32) {
  esc_status status = ESC_OK;
  ESC_TRY_CUDA(cudaStreamCreateWithFlags(&lane->stream, cudaStreamNonBlocking));
  ESC_TRY_CUDA(cudaMalloc(&lane->workspace, workspace));
  ESC_TRY_CUBLAS(cublasCreate(&lane->cublas));
  ESC_TRY_CUBLAS(cublasSetStream(lane->cublas, lane->stream));
  ESC_TRY_CUBLAS(cublasSetWorkspace(lane->cublas, lane->workspace, workspace));
  ESC_TRY_CUBLAS(
      cublasSetMathMode(lane->cublas, tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH));
done:
  return status;
}

/* The teacher's directions as floats on the device. */
static esc_status upload_directions(engine *e) {
  esc_status status = ESC_OK;
  const esc_problem *p = e->model.problem;
  const size_t count = (size_t)p->teacher.modes * (size_t)p->shape.inputs;
  float *h_direction = NULL;
  ESC_TRY_ALLOCATE(h_direction = calloc(count, sizeof *h_direction));
  for (size_t i = 0; i < count; i++) h_direction[i] = (float)e->model.directions[i];
  ESC_TRY_CUDA(cudaMalloc((void **)&e->direction, count * sizeof *h_direction));
  ESC_TRY_CUDA(
      cudaMemcpy(e->direction, h_direction, count * sizeof *h_direction, cudaMemcpyHostToDevice));
  e->problem.direction = e->direction;
done:
  free(h_direction);
  return status;
}

static esc_status create_host(engine *e) {
  esc_status status = ESC_OK;
  const esc_problem *p = e->model.problem;
  const size_t slots = (size_t)e->lots * (size_t)e->lot_slots, weights = weight_count(p);
  const size_t row = e->lot[0].device.weights * (size_t)e->lot_slots * sizeof(float);
  ESC_TRY_ALLOCATE(e->slot = calloc(slots, sizeof *e->slot));
  ESC_TRY_ALLOCATE(e->room = calloc((size_t)e->threads, sizeof *e->room));
  for (int i = 0; i < e->threads; i++) {
    ESC_TRY_ALLOCATE(e->room[i].weights = calloc(weights, sizeof(double)));
    ESC_TRY_ALLOCATE(e->room[i].signal = calloc(esc_signal_room(p->shape), sizeof(double)));
  }
  for (int i = 0; i < 3; i++) ESC_TRY_ALLOCATE(e->flat[i] = calloc(weights, sizeof(double)));
  ESC_TRY_CUDA(cudaMallocHost((void **)&e->h_w, row));
  ESC_TRY_CUDA(cudaMallocHost((void **)&e->h_low, row));
  ESC_TRY_CUDA(cudaMallocHost((void **)&e->h_seed, slots * sizeof *e->h_seed));
  ESC_TRY_CUDA(cudaMallocHost((void **)&e->h_track, slots * sizeof *e->h_track));
  memset(e->h_w, 0, row);
  memset(e->h_seed, 0, slots * sizeof *e->h_seed);
  memset(e->h_track, 0, slots * sizeof *e->h_track);
  for (size_t i = 0; i < slots; i++) e->h_track[i].finished = 1; /* empty: rests */
done:
  return status;
}

static esc_status create_engine(const esc_problem *p, const esc_engine_setup *setup, bool tf32,
                                void **out) {
  esc_status status = ESC_OK;
  const char *graphs = getenv("ESCAPEMENT_CUDA_GRAPHS");
  engine *e = calloc(1, sizeof *e);
  ESC_TRY_ALLOCATE(e);
  esc_trace_begin("cohort");
  e->slots = setup->slots;
  e->threads = setup->threads;
  e->lot_slots = esc_lot_slots(p);
  e->lots = lots_of(p, setup->slots);
  e->lanes = e->lots < STREAMS ? e->lots : STREAMS;
  e->graphs = !graphs || strcmp(graphs, "0");
  esc_device_problem_init(&e->problem, p);
  esc_track_rules_init(&e->rules, p, (double)(float)p->rate);
  ESC_TRY(esc_model_init(&e->model, p, true));
  ESC_TRY_CUDA(cudaSetDevice(setup->device));
  ESC_TRY(esc_cuda_device_name(setup->device, e->device, sizeof e->device));
  for (int i = 0; i < e->lanes; i++) ESC_TRY(create_lane(&e->lane[i], tf32));
  ESC_TRY_ALLOCATE(e->lot = calloc((size_t)e->lots, sizeof *e->lot));
  for (int i = 0; i < e->lots; i++)
    ESC_TRY(esc_lot_create(p, e->lane[i % e->lanes].stream, &e->lot[i].device));
  ESC_TRY(upload_directions(e));
  ESC_TRY(create_host(e));
  *out = e;
  e = NULL;
done:
  esc_trace_end();
  destroy(e);
  return status;
}

static esc_status create(const esc_problem *p, const esc_engine_setup *setup, void **out) {
  return create_engine(p, setup, false, out);
}

static esc_status create_tf32(const esc_problem *p, const esc_engine_setup *setup, void **out) {
  return create_engine(p, setup, true, out);
}

static esc_status load(void *handle, int slot, const esc_member *member) {
  esc_slot_load(&((engine *)handle)->slot[slot], member);
  return ESC_OK;
}

static bool lot_has(const engine *e, int lot, bool (*what)(const esc_slot *)) {
  for (int i = lot * e->lot_slots; i < (lot + 1) * e->lot_slots; i++)
    if (what(&e->slot[i])) return true;
  return false;
}

static bool is_fresh(const esc_slot *s) { return s->loaded && s->fresh; }
static bool trains(const esc_slot *s) { return esc_slot_trains(s); }

/* Draws the weights of the lot's fresh members into h_w, on all threads. */
static void draw_fresh(engine *e, int lot) {
  const size_t stride = e->lot[lot].device.weights, weights = weight_count(e->model.problem);
#pragma omp parallel for schedule(dynamic, 1) num_threads(e->threads)
  for (int i = 0; i < e->lot_slots; i++) {
    esc_slot *slot = &e->slot[lot * e->lot_slots + i];
    const draw_room *room = &e->room[omp_get_thread_num()];
    if (!is_fresh(slot)) continue;
    esc_slot_start(slot, &e->model, room->weights, room->signal);
    for (size_t k = 0; k < weights; k++) e->h_w[(size_t)i * stride + k] = (float)room->weights[k];
    e->h_seed[lot * e->lot_slots + i] = slot->member.seed;
    e->h_track[lot * e->lot_slots + i] = slot->track;
  }
}

/* Draws the lot's fresh members and puts them on the device. */
static esc_status start_fresh(engine *e, int lot) {
  esc_status status = ESC_OK;
  const esc_lot *d = &e->lot[lot].device;
  const cudaStream_t stream = e->lane[lot % e->lanes].stream;
  const size_t row = d->weights * sizeof *d->w;
  bool fresh[1024]; /* SLOTS_MAX of a lot is less */
  for (int i = 0; i < e->lot_slots; i++) fresh[i] = is_fresh(&e->slot[lot * e->lot_slots + i]);
  draw_fresh(e, lot);
  for (int i = 0; i < e->lot_slots; i++) {
    const size_t at = (size_t)i * d->weights;
    const size_t slot = (size_t)(lot * e->lot_slots + i);
    if (!fresh[i]) continue;
    ESC_TRY_CUDA(cudaMemcpyAsync(d->w + at, e->h_w + at, row, cudaMemcpyHostToDevice, stream));
    if (d->low) ESC_TRY_CUDA(cudaMemsetAsync(d->low + at, 0, row, stream));
    ESC_TRY_CUDA(cudaMemcpyAsync(d->seed + i, e->h_seed + slot, sizeof *d->seed,
                                 cudaMemcpyHostToDevice, stream));
    ESC_TRY_CUDA(cudaMemcpyAsync(d->track + i, e->h_track + slot, sizeof *d->track,
                                 cudaMemcpyHostToDevice, stream));
  }
  ESC_TRY_CUDA(cudaStreamSynchronize(stream)); /* h_w is the next lot's */
done:
  return status;
}

/* Puts `steps` steps of a lot on its stream. */
static esc_status enqueue(engine *e, int index, int64_t steps, const atomic_bool *stop) {
  esc_status status = ESC_OK;
  cuda_lot *lot = &e->lot[index];
  const cuda_lane *lane = &e->lane[index % e->lanes];
  const esc_cuda_step step = {
      .problem = &e->problem, .rules = &e->rules, .cublas = lane->cublas, .stream = lane->stream};
  if (e->graphs && !lot->one) {
    ESC_TRY(esc_cuda_step_graph(&step, &lot->device, 1, &lot->one));
    ESC_TRY(esc_cuda_step_graph(&step, &lot->device, GRAPH_STEPS, &lot->many));
  }
  while (steps > 0 && !atomic_load_explicit(stop, memory_order_relaxed)) {
    const int64_t now = e->graphs && steps >= GRAPH_STEPS ? GRAPH_STEPS : 1;
    if (e->graphs)
      ESC_TRY_CUDA(cudaGraphLaunch(now == 1 ? lot->one : lot->many, lane->stream));
    else
      ESC_TRY(esc_cuda_step_enqueue(&step, &lot->device));
    steps -= now;
  }
done:
  return status;
}

/* Asks for the lot's events; they are there once the stream has been waited for. */
static esc_status read_back(engine *e, int lot) {
  esc_status status = ESC_OK;
  const esc_lot *d = &e->lot[lot].device;
  ESC_TRY_CUDA(cudaMemcpyAsync(e->h_track + (size_t)lot * (size_t)e->lot_slots, d->track,
                               (size_t)d->slots * sizeof *d->track, cudaMemcpyDeviceToHost,
                               e->lane[lot % e->lanes].stream));
done:
  return status;
}

static esc_status advance(void *handle, int64_t steps, const atomic_bool *stop) {
  esc_status status = ESC_OK;
  engine *e = handle;
  esc_trace_begin("step block");
  for (int i = 0; i < e->lots; i++)
    if (lot_has(e, i, is_fresh) && !atomic_load(stop)) ESC_TRY(start_fresh(e, i));
  for (int i = 0; i < e->lots; i++) {
    if (!lot_has(e, i, trains) || lot_has(e, i, is_fresh)) continue;
    ESC_TRY(enqueue(e, i, steps, stop));
    ESC_TRY(read_back(e, i));
  }
  esc_trace_begin("read-back");
  for (int i = 0; i < e->lanes && status == ESC_OK; i++) {
    const cudaError_t error = cudaStreamSynchronize(e->lane[i].stream);
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
  return &((const engine *)handle)->slot[index];
}

/* One network's weights, or low parts, from the device into `flat`. */
static esc_status fetch(const engine *e, int index, const float *d_rows, float *h_row,
                        double *flat) {
  esc_status status = ESC_OK;
  const int lot = index / e->lot_slots, place = index % e->lot_slots;
  const size_t count = weight_count(e->model.problem);
  const cudaStream_t stream = e->lane[lot % e->lanes].stream;
  ESC_TRY_CUDA(cudaMemcpyAsync(h_row, d_rows + (size_t)place * e->lot[lot].device.weights,
                               count * sizeof *h_row, cudaMemcpyDeviceToHost, stream));
  ESC_TRY_CUDA(cudaStreamSynchronize(stream));
  for (size_t i = 0; i < count; i++) flat[i] = (double)h_row[i];
done:
  return status;
}

static esc_status report(const void *handle, int index, esc_results *results, int64_t i) {
  esc_status status = ESC_OK;
  const engine *e = handle;
  const esc_lot *d = &e->lot[index / e->lot_slots].device;
  ESC_TRY(fetch(e, index, d->w, e->h_w, e->flat[0]));
  if (d->low) ESC_TRY(fetch(e, index, d->low, e->h_low, e->flat[1]));
  esc_slot_report(&e->slot[index], &e->model, e->flat[0], d->low ? e->flat[1] : NULL, e->flat[2],
                  results, i);
done:
  return status;
}

static esc_status weights(const void *handle, int index, double *w) {
  const engine *e = handle;
  return fetch(e, index, e->lot[index / e->lot_slots].device.w, e->h_w, w);
}

static void describe(const void *handle, char *text, size_t size) {
  const engine *e = handle;
  snprintf(text, size, "%.60s, gemm, %d lots of %d on %d streams%s", e->device, e->lots,
           e->lot_slots, e->lanes, e->graphs ? ", graphs" : "");
}

#define CUDA_ENGINE(arithmetic, make)                                                        \
  {                                                                                          \
    .name = "cuda", .precision = arithmetic, .bytes = bytes, .device_memory = device_memory, \
    .slots = default_slots, .create = make, .load = load, .advance = advance, .slot = slot,  \
    .report = report, .weights = weights, .describe = describe, .destroy = destroy,          \
  }

const esc_engine_ops esc_cuda_engine = CUDA_ENGINE("float32, cuBLAS", create);
const esc_engine_ops esc_cuda_tf32_engine = CUDA_ENGINE("tf32, cuBLAS", create_tf32);
