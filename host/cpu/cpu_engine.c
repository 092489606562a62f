/* The CPU engine's slots: each member is trained by one thread at a time, so
 * there are no barriers and the thread count cannot touch a bit. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/network.h"
#include "escapement/model.h"

typedef struct engine {
  esc_cpu_shared shared;
  const esc_cpu_isa *isa;
  int slots, threads;
  double *directions; /* (mode, input) */
  esc_cpu_network *network;
  esc_cpu_work **work; /* (thread) */
} engine;

static const esc_cpu_isa *const known[] = {
#ifdef __x86_64__
    &esc_cpu_isa_avx512,
    &esc_cpu_isa_avx2,
#endif
    &esc_cpu_isa_generic,
};

static bool supported(const esc_cpu_isa *isa) {
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
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (supported(known[i]) && (!name || !strcmp(name, known[i]->name))) return known[i];
  return NULL;
}

static void destroy(void *handle) {
  engine *e = handle;
  if (!e) return;
  for (int i = 0; e->network && i < e->slots; i++) esc_cpu_network_free(&e->network[i]);
  for (int i = 0; e->work && i < e->threads; i++) esc_cpu_work_free(e->work[i]);
  esc_cpu_shared_free(&e->shared);
  free(e->network);
  free(e->work);
  free(e->directions);
  free(e);
}

static double bytes(const esc_problem *p, int slots, int threads) {
  return slots * esc_cpu_network_bytes(p) + threads * esc_cpu_work_bytes(p);
}

static esc_status create(const esc_problem *p, int slots, int threads, void **out) {
  esc_status status = ESC_OK;
  const char *forced = getenv("ESCAPEMENT_ISA");
  engine *e = calloc(1, sizeof *e);
  ESC_TRY_ALLOCATE(e);
  e->slots = slots;
  e->threads = threads;
  e->isa = esc_cpu_isa_find(forced);
  if (!e->isa) {
    status = ESC_FAIL(ESC_BAD_INPUT,
                      "ESCAPEMENT_ISA=%.40s: must be avx512, avx2 or generic, and one that this "
                      "machine has",
                      forced);
    goto done;
  }
  ESC_TRY(esc_cpu_shared_init(&e->shared, p));
  ESC_TRY_ALLOCATE(e->directions = calloc((size_t)p->teacher.modes * (size_t)p->shape.inputs,
                                          sizeof *e->directions));
  esc_teacher_directions(p, e->directions);
  ESC_TRY_ALLOCATE(e->network = calloc((size_t)slots, sizeof *e->network));
  ESC_TRY_ALLOCATE(e->work = calloc((size_t)threads, sizeof(esc_cpu_work *)));
  for (int i = 0; i < slots; i++) ESC_TRY(esc_cpu_network_create(&e->shared, &e->network[i]));
  for (int i = 0; i < threads; i++) ESC_TRY(esc_cpu_work_create(&e->shared, &e->work[i]));
  *out = e;
  e = NULL;
done:
  destroy(e);
  return status;
}

static esc_status load(void *handle, int slot, const esc_member *member) {
  esc_cpu_network *net = &((engine *)handle)->network[slot];
  net->member = *member;
  net->loaded = net->fresh = true;
  esc_track_start(&net->track);
  return ESC_OK;
}

/* Draws the weights of a fresh slot. Not in load, so that threads share it. */
static void initialise(const engine *e, esc_cpu_network *net, esc_cpu_work *work) {
  const esc_problem *p = e->shared.problem;
  const esc_cpu_layout *layout = &e->shared.layout;
  const size_t count = layout->w[p->shape.layers];
  esc_initial_weights(p, &net->member, e->directions, work->weights);
  esc_cpu_network_set(&e->shared, net, work->weights);
  memcpy(net->initial, net->w, count * sizeof *net->w);
  if (net->low) memset(net->low, 0, count * sizeof *net->low);
  for (int l = 0; l < p->shape.layers; l++) {
    esc_sum norm2 = {0, 0};
    for (size_t i = layout->w[l]; i < layout->w[l + 1]; i++)
      esc_sum_add(&norm2, (double)net->w[i] * (double)net->w[i]);
    net->norm2_initial[l] = esc_sum_get(&norm2);
  }
  net->signal = esc_initial_signal(p, &net->member, e->directions, work->weights, work->room);
  net->fresh = false;
}

static esc_status advance(void *handle, int64_t steps, const atomic_bool *stop) {
  engine *e = handle;
#pragma omp parallel num_threads(e->threads)
  {
    esc_cpu_work *work = e->work[omp_get_thread_num()];
#pragma omp for schedule(dynamic, 1)
    for (int i = 0; i < e->slots; i++) {
      esc_cpu_network *net = &e->network[i];
      if (!net->loaded || net->track.finished || atomic_load(stop)) continue;
      if (net->fresh) initialise(e, net, work);
      e->isa->train(&e->shared, net, work, steps, stop);
    }
  }
  return ESC_OK;
}

static bool finished(const void *handle, int slot) {
  const esc_cpu_network *net = &((const engine *)handle)->network[slot];
  return net->loaded && net->track.finished;
}

static int64_t steps(const void *handle, int slot) {
  return ((const engine *)handle)->network[slot].track.step;
}

static void report(const void *handle, int slot, esc_results *results, int64_t i) {
  const engine *e = handle;
  const esc_cpu_layout *layout = &e->shared.layout;
  const esc_cpu_network *net = &e->network[slot];
  double change2[ESC_LAYERS_MAX];
  for (int l = 0; l < e->shared.problem->shape.layers; l++) {
    esc_sum change = {0, 0};
    for (size_t k = layout->w[l]; k < layout->w[l + 1]; k++) {
      const double low = net->low ? (double)net->low[k] : 0;
      const double moved = ((double)net->w[k] - (double)net->initial[k]) + low;
      esc_sum_add(&change, moved * (2 * (double)net->initial[k] + moved));
    }
    change2[l] = esc_sum_get(&change);
  }
  esc_track_report(&net->track, e->shared.problem, &net->member, net->norm2_initial, change2,
                   net->signal, results, i);
}

static void weights(const void *handle, int slot, double *w) {
  const engine *e = handle;
  esc_cpu_network_get(&e->shared, e->network[slot].w, w);
}

static void describe(const void *handle, char *text, size_t size) {
  const engine *e = handle;
  snprintf(text, size, "%s, %d threads", e->isa->name, e->threads);
}

const esc_engine_ops esc_cpu_engine = {
    .name = "cpu",
    .precision = "float32",
    .bytes = bytes,
    .create = create,
    .load = load,
    .advance = advance,
    .finished = finished,
    .steps = steps,
    .report = report,
    .weights = weights,
    .describe = describe,
    .destroy = destroy,
};
