/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU engine's table of functions. A member is trained by one thread at a time: no barriers,
 * and the results do not depend on the number of threads. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/interleaved.h"
#include "cpu/network.h"
#include "escapement/internal/model.h"
#include "escapement/internal/state.h"

/* Arrays of a network as doubles, in the order of esc_state_arrays. */
enum { FLAT_W, FLAT_COMPENSATION, FLAT_VELOCITY, FLAT_SECOND_MOMENT, FLAT };
enum { END_ARRAYS = 2 }; /* of them, those that the end of a member needs */

/* Constants of a table of functions. */
typedef enum cpu_path { AUTOMATIC, PADDED, INTERLEAVED } cpu_path;

typedef struct engine {
  esc_cpu_shared shared;
  const esc_cpu_isa *isa;
  int slots, threads;
  int least_lanes;    /* networks of a pack, at least; 0: none are interleaved */
  double *flat[FLAT]; /* (weight) workspace of save and restore */
  double *end;        /* (thread, END_ARRAYS, weight) workspace of end */
  esc_cpu_network *network;
  esc_cpu_network **trains; /* (slot) workspace of advance: those that train */
  esc_cpu_work **work;      /* (thread) */
  esc_interleaved **pack;   /* (thread); NULL if none are interleaved */
} engine;

/* The fastest first. */
static const esc_cpu_isa *const instruction_sets[] = {
#ifdef __x86_64__
    &esc_cpu_isa_avx512,
    &esc_cpu_isa_avx2,
#endif
    &esc_cpu_isa_generic,
};

static bool is_supported(const esc_cpu_isa *isa) {
#ifdef __x86_64__
  if (isa == &esc_cpu_isa_avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (isa == &esc_cpu_isa_avx2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return isa == &esc_cpu_isa_generic;
}

const esc_cpu_isa *esc_cpu_isa_find(const char *name) {
  for (size_t i = 0; i < sizeof instruction_sets / sizeof instruction_sets[0]; i++)
    if (is_supported(instruction_sets[i]) && (!name || !strcmp(name, instruction_sets[i]->name)))
      return instruction_sets[i];
  return NULL;
}

esc_status esc_cpu_isa_select(const esc_cpu_isa **isa) {
  const char *requested = getenv("ESCAPEMENT_ISA");
  *isa = esc_cpu_isa_find(requested);
  if (*isa) return ESC_OK;
  return ESC_FAIL(ESC_BAD_INPUT,
                  "ESCAPEMENT_ISA=%.40s: must be avx512, avx2 or generic, and supported by this "
                  "machine",
                  requested);
}

static cpu_path path_of(const esc_engine_ops *ops) { return *(const cpu_path *)ops->config; }

bool esc_cpu_is_interleaved(const esc_engine_ops *ops, const esc_problem *p) {
  const esc_cpu_isa *isa = esc_cpu_isa_find(getenv("ESCAPEMENT_ISA"));
  return path_of(ops) == INTERLEAVED ||
         (path_of(ops) == AUTOMATIC && isa && esc_interleaved_pays(isa, p));
}

static void destroy(void *handle) {
  engine *e = handle;
  if (!e) return;
  for (int i = 0; e->network && i < e->slots; i++) esc_cpu_network_free(&e->network[i]);
  for (int i = 0; e->work && i < e->threads; i++) esc_cpu_work_free(e->work[i]);
  for (int i = 0; e->pack && i < e->threads; i++) esc_interleaved_free(e->pack[i]);
  esc_cpu_shared_free(&e->shared);
  free(e->network);
  free(e->trains);
  free(e->work);
  free(e->pack);
  for (int i = 0; i < FLAT; i++) free(e->flat[i]);
  free(e->end);
  free(e);
}

static esc_bytes bytes(const esc_engine_ops *ops, const esc_problem *p,
                       const esc_engine_setup *setup) {
  const double arrays = FLAT + END_ARRAYS * (double)setup->threads,
               flat = arrays * sizeof(double) * (double)esc_weight_count(p->shape);
  const double pack = esc_cpu_is_interleaved(ops, p) ? esc_interleaved_bytes(p) : 0;
  return (esc_bytes){.host = setup->slots * esc_cpu_network_bytes(p) +
                             setup->threads * (esc_cpu_work_bytes(p) + pack) + flat};
}

/* Enough to balance the load over threads, few enough to stay in cache: 4 networks a thread, or 4
 * packs, because a lane whose network has finished is idle until the next advance. */
static int default_slots(const esc_engine_ops *ops, const esc_problem *p,
                         const esc_engine_setup *setup) {
  return 4 * setup->threads * (esc_cpu_is_interleaved(ops, p) ? ESC_INTERLEAVE : 1);
}

/* Thread i's workspace, and its pack if networks are interleaved. Fails only for want of memory. */
static esc_status create_thread(engine *e, int i) {
  esc_status status = ESC_OK;
  ESC_TRY(esc_cpu_work_create(&e->shared, &e->work[i]));
  if (e->pack) ESC_TRY(esc_interleaved_create(&e->shared, &e->pack[i]));
done:
  return status;
}

/* Each thread creates, and zeroes, its own workspace: the system places a page on the NUMA node of
 * the thread that touches it first. Networks are created by the caller's thread, because none is
 * theirs: in each block any thread may train them. */
static esc_status create_threads(engine *e) {
  esc_status status = ESC_OK;
#pragma omp parallel for num_threads(e->threads) schedule(static, 1)
  for (int i = 0; i < e->threads; i++) (void)create_thread(e, i);
  for (int i = 0; i < e->threads; i++) {
    ESC_TRY_ALLOCATE(e->work[i]);
    if (e->pack) ESC_TRY_ALLOCATE(e->pack[i]);
  }
done:
  return status;
}

static esc_status create(const esc_engine_ops *ops, const esc_problem *p,
                         const esc_engine_setup *setup, void **out) {
  esc_status status = ESC_OK;
  engine *e = calloc(1, sizeof *e);
  ESC_TRY_ALLOCATE(e);
  e->slots = setup->slots;
  e->threads = setup->threads;
  ESC_TRY(esc_cpu_isa_select(&e->isa));
  ESC_TRY(esc_cpu_shared_init(&e->shared, p));
  for (int i = 0; i < FLAT; i++)
    ESC_TRY_ALLOCATE(e->flat[i] = calloc(esc_weight_count(p->shape), sizeof(double)));
  ESC_TRY_ALLOCATE(e->end = calloc((size_t)e->threads * END_ARRAYS * esc_weight_count(p->shape),
                                   sizeof *e->end));
  ESC_TRY_ALLOCATE(e->network = calloc((size_t)e->slots, sizeof *e->network));
  ESC_TRY_ALLOCATE(e->trains = calloc((size_t)e->slots, sizeof(esc_cpu_network *)));
  ESC_TRY_ALLOCATE(e->work = calloc((size_t)e->threads, sizeof(esc_cpu_work *)));
  for (int i = 0; i < e->slots; i++) ESC_TRY(esc_cpu_network_create(&e->shared, &e->network[i]));
  if (esc_cpu_is_interleaved(ops, p)) {
    e->least_lanes = path_of(ops) == AUTOMATIC ? esc_interleaved_least(p->shape) : 2;
    ESC_TRY_ALLOCATE(e->pack = calloc((size_t)e->threads, sizeof(esc_interleaved *)));
  }
  ESC_TRY(create_threads(e));
  *out = e;
  e = NULL;
done:
  destroy(e);
  return status;
}

static esc_status load(void *handle, int slot, const esc_member *member) {
  esc_slot_load(&((engine *)handle)->network[slot].slot, member);
  return ESC_OK;
}

/* Draws the weights of a fresh slot. Called by advance(), not by load(), so that the threads share
 * the work. */
static void initialise(const engine *e, esc_cpu_network *net, esc_cpu_work *work) {
  if (!net->slot.fresh) return;
  esc_slot_start(&net->slot, &e->shared.model, work->weights, &work->signal);
  esc_cpu_network_set(&e->shared, net, work->weights);
  const size_t count = e->shared.layout.w[e->shared.problem->shape.layers];
  float *const array[] = {net->compensation, net->velocity, net->second_moment};
  for (int i = 0; i < 3; i++)
    if (array[i]) memset(array[i], 0, count * sizeof *array[i]);
}

/* The sums over the weights of a member that has finished. */
static void end(const engine *e, esc_cpu_network *net, esc_cpu_work *work) {
  const size_t weights = esc_weight_count(e->shared.problem->shape);
  double *const w = e->end + (size_t)omp_get_thread_num() * END_ARRAYS * weights,
                *const compensation = net->compensation ? w + weights : NULL;
  esc_cpu_network_get(&e->shared, net->w, w);
  if (compensation) esc_cpu_network_get(&e->shared, net->compensation, compensation);
  esc_slot_end(&net->slot, &e->shared.model, &(esc_slot_weights){w, compensation, work->weights});
}

static void limit(void *handle, int slot, int64_t step) {
  ((engine *)handle)->network[slot].slot.track.step_limit = step;
}

/* The networks that train, as units of work for a thread: packs of `lanes` networks, of which the
 * last may have fewer, then single networks. */
typedef struct partition {
  int networks, lanes, packs;
} partition;

/* Packs share the networks among the threads before they fill all lanes. A pack takes the same time
 * for any number of networks: with too few they are faster alone. */
static partition divide(const engine *e, int networks) {
  const int share = (networks + e->threads - 1) / e->threads;
  partition d = {.networks = networks, .lanes = share < ESC_INTERLEAVE ? share : ESC_INTERLEAVE};
  if (!e->least_lanes || d.lanes < e->least_lanes) return d;
  d.packs = networks / d.lanes;
  if (networks - d.packs * d.lanes >= e->least_lanes) d.packs++;
  return d;
}

/* Unit of work i: a pack, or a single network. */
static void train_unit(const engine *e, partition d, int i, int64_t steps,
                       const atomic_bool *stop) {
  const int thread = omp_get_thread_num(), packed = d.packs * d.lanes;
  const bool is_pack = i < d.packs;
  const int first = is_pack ? i * d.lanes : packed + i - d.packs;
  const int left = d.networks - first, count = !is_pack ? 1 : left < d.lanes ? left : d.lanes;
  esc_cpu_network *const *network = e->trains + first;
  for (int k = 0; k < count; k++) initialise(e, network[k], e->work[thread]);
  if (is_pack)
    e->isa->train_interleaved(&e->shared, network, count, e->pack[thread], steps, stop);
  else
    e->isa->train(&e->shared, network[0], e->work[thread], steps, stop);
  for (int k = 0; k < count; k++)
    if (esc_slot_finished(&network[k]->slot)) end(e, network[k], e->work[thread]);
}

/* Whether the network makes a step, or draws its weights. */
static bool has_work(const esc_slot *slot) {
  return esc_slot_trains(slot) && (slot->fresh || esc_track_is_active(&slot->track));
}

static esc_status advance(void *handle, int64_t steps, const atomic_bool *stop) {
  engine *e = handle;
  int networks = 0;
  for (int i = 0; i < e->slots; i++)
    if (has_work(&e->network[i].slot)) e->trains[networks++] = &e->network[i];
  const partition d = divide(e, networks);
  const int packed = d.packs * d.lanes, single = networks > packed ? networks - packed : 0;
#pragma omp parallel for num_threads(e->threads) schedule(dynamic, 1)
  for (int i = 0; i < d.packs + single; i++)
    if (!atomic_load(stop)) train_unit(e, d, i, steps, stop);
  return ESC_OK;
}

static const esc_slot *slot(const void *handle, int index) {
  return &((const engine *)handle)->network[index].slot;
}

/* Copies a network's array, or returns NULL if it has none. */
static double *flatten(const engine *e, const float *padded, int index) {
  if (padded) esc_cpu_network_get(&e->shared, padded, e->flat[index]);
  return padded ? e->flat[index] : NULL;
}

static esc_status report(const void *handle, int slot, esc_results *results, int64_t i) {
  const engine *e = handle;
  esc_slot_report(&e->network[slot].slot, &e->shared.model, results, i);
  return ESC_OK;
}

static esc_status weights(const void *handle, int slot, double *w) {
  const engine *e = handle;
  esc_cpu_network_get(&e->shared, e->network[slot].w, w);
  return ESC_OK;
}

static size_t state_size(const esc_problem *p) { return esc_state_size(p, true); }

static esc_status save(const void *handle, int index, void *state) {
  const engine *e = handle;
  const esc_cpu_network *net = &e->network[index];
  const esc_state_arrays arrays = {
      flatten(e, net->w, FLAT_W), flatten(e, net->compensation, FLAT_COMPENSATION),
      flatten(e, net->velocity, FLAT_VELOCITY), flatten(e, net->second_moment, FLAT_SECOND_MOMENT)};
  esc_state_pack(&e->shared.model, &net->slot, &arrays, state);
  return ESC_OK;
}

static esc_status restore(void *handle, int index, const esc_member *member, const void *state) {
  engine *e = handle;
  esc_cpu_network *net = &e->network[index];
  float *const array[] = {net->compensation, net->velocity, net->second_moment};
  const esc_state_arrays arrays = {e->flat[FLAT_W],
                                   net->compensation ? e->flat[FLAT_COMPENSATION] : NULL,
                                   net->velocity ? e->flat[FLAT_VELOCITY] : NULL,
                                   net->second_moment ? e->flat[FLAT_SECOND_MOMENT] : NULL};
  esc_state_unpack(&e->shared.model, member, state, &net->slot, &arrays);
  esc_cpu_network_set(&e->shared, net, e->flat[FLAT_W]);
  for (int i = 0; i < 3; i++)
    if (array[i]) esc_cpu_network_set_array(&e->shared, array[i], e->flat[FLAT_COMPENSATION + i]);
  return ESC_OK;
}

static void describe(const void *handle, char *text, size_t size) {
  const engine *e = handle;
  snprintf(text, size, "%s%s, %d threads", e->isa->name, e->pack ? " interleaved" : "", e->threads);
}

/* ---- paths ---- */

static const cpu_path automatic = AUTOMATIC, padded = PADDED, interleaved = INTERLEAVED;

#define ENGINE(path)                                                                            \
  {                                                                                             \
    .name = "cpu", .precision = "float32", .config = &(path), .bytes = bytes,                   \
    .slots = default_slots, .create = create, .load = load, .limit = limit, .advance = advance, \
    .slot = slot, .report = report, .weights = weights, .state_size = state_size, .save = save, \
    .restore = restore, .describe = describe, .destroy = destroy,                               \
  }

const esc_engine_ops esc_cpu_engine = ENGINE(automatic);
const esc_engine_ops esc_cpu_padded_engine = ENGINE(padded);
const esc_engine_ops esc_cpu_interleaved_engine = ENGINE(interleaved);

bool esc_cpu_has_path(const char *path) {
  return !strcmp(path, "padded") || !strcmp(path, "interleaved");
}

esc_status esc_cpu_select(const esc_problem *p, const char *path, const esc_engine_ops **ops) {
  const bool automatic_path = !path || !strcmp(path, "auto");
  if (!automatic_path && !esc_cpu_has_path(path))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--path %.40s: must be auto, interleaved or padded for the backend cpu", path);
  *ops = automatic_path            ? &esc_cpu_engine
         : !strcmp(path, "padded") ? &esc_cpu_padded_engine
                                   : &esc_cpu_interleaved_engine;
  if (*ops == &esc_cpu_interleaved_engine && !esc_interleaved_fits(p->shape))
    return ESC_FAIL(ESC_BAD_INPUT,
                    "--path interleaved: needs networks of width %d or less; this width is %d; "
                    "--path padded supports every width",
                    ESC_INTERLEAVED_WIDTH_MAX, p->shape.width);
  return ESC_OK;
}
