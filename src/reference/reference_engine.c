/* The reference engine: slots of networks trained by reference.c, one step at a
 * time, weights in double with a compensation term so that the ledger's
 * residual measures the gradients and not the storage of the weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/engine.h"
#include "escapement/model.h"
#include "escapement/reference.h"
#include "escapement/track.h"

typedef struct slot {
  bool loaded, fresh; /* fresh: its weights are still to be drawn */
  esc_member member;
  esc_track track;
  double signal;
  double *initial; /* (weight) W at step 0 */
  double *w;       /* (weight) W rounded to double */
  double *low;     /* (weight) what the rounding left out */
  double *g;       /* (weight) */
  float *draw;     /* (sample, input) */
  double *x;       /* (sample, input) */
  double *room;    /* for the initial signal */
  double norm2_initial[ESC_LAYERS_MAX];
  esc_reference_work *work;
} slot;

typedef struct engine {
  const esc_problem *problem;
  int slots, threads;
  double *directions; /* (mode, input) */
  slot *slot;
} engine;

static void destroy(void *handle) {
  engine *e = handle;
  if (!e) return;
  for (int i = 0; e->slot && i < e->slots; i++) {
    slot *s = &e->slot[i];
    free(s->initial);
    free(s->w);
    free(s->low);
    free(s->g);
    free(s->draw);
    free(s->x);
    free(s->room);
    esc_reference_work_free(s->work);
  }
  free(e->slot);
  free(e->directions);
  free(e);
}

static esc_status create_slot(const esc_problem *p, slot *s) {
  esc_status status = ESC_OK;
  const size_t weights = esc_weight_offset(p->shape, p->shape.layers);
  const size_t inputs = (size_t)p->batch * (size_t)p->shape.inputs;
  ESC_TRY_ALLOCATE(s->initial = calloc(weights, sizeof(double)));
  ESC_TRY_ALLOCATE(s->w = calloc(weights, sizeof(double)));
  ESC_TRY_ALLOCATE(s->low = calloc(weights, sizeof(double)));
  ESC_TRY_ALLOCATE(s->g = calloc(weights, sizeof(double)));
  ESC_TRY_ALLOCATE(s->draw = calloc(inputs, sizeof(float)));
  ESC_TRY_ALLOCATE(s->x = calloc(inputs, sizeof(double)));
  ESC_TRY_ALLOCATE(s->room = calloc(esc_signal_room(p->shape), sizeof(double)));
  ESC_TRY_ALLOCATE(s->work = esc_reference_work_create(p));
done:
  return status;
}

static double bytes(const esc_problem *p, int slots, int threads) {
  (void)threads;
  const double weights = (double)esc_weight_offset(p->shape, p->shape.layers);
  const double widest = p->shape.width > p->shape.inputs ? p->shape.width : p->shape.inputs;
  const double inputs = (double)p->batch * p->shape.inputs;
  return slots * (32 * weights + 12 * inputs + 24 * p->shape.layers * widest +
                  8 * (double)esc_signal_room(p->shape));
}

static esc_status create(const esc_problem *problem, int slots, int threads, void **out) {
  esc_status status = ESC_OK;
  engine *e = calloc(1, sizeof *e);
  ESC_TRY_ALLOCATE(e);
  e->problem = problem;
  e->slots = slots;
  e->threads = threads;
  e->directions =
      calloc((size_t)problem->teacher.modes * (size_t)problem->shape.inputs, sizeof *e->directions);
  ESC_TRY_ALLOCATE(e->directions);
  esc_teacher_directions(problem, e->directions);
  e->slot = calloc((size_t)slots, sizeof *e->slot);
  ESC_TRY_ALLOCATE(e->slot);
  for (int i = 0; i < slots; i++) ESC_TRY(create_slot(problem, &e->slot[i]));
  *out = e;
  e = NULL;
done:
  destroy(e);
  return status;
}

static esc_status load(void *handle, int index, const esc_member *member) {
  slot *s = &((engine *)handle)->slot[index];
  s->member = *member;
  s->loaded = s->fresh = true;
  esc_track_start(&s->track);
  return ESC_OK;
}

/* Draws the weights of a fresh slot. Not in load, so that threads share it. */
static void initialise(const engine *e, slot *s) {
  const esc_problem *p = e->problem;
  const size_t weights = esc_weight_offset(p->shape, p->shape.layers);
  esc_initial_weights(p, &s->member, e->directions, s->w);
  memcpy(s->initial, s->w, weights * sizeof *s->w);
  memset(s->low, 0, weights * sizeof *s->low);
  for (int l = 0; l < p->shape.layers; l++) {
    esc_sum norm2 = {0, 0};
    for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++)
      esc_sum_add(&norm2, s->w[i] * s->w[i]);
    s->norm2_initial[l] = esc_sum_get(&norm2);
  }
  s->signal = esc_initial_signal(p, &s->member, e->directions, s->w, s->room);
  s->fresh = false;
}

/* W <- W - eta gamma G, the rounding error of the sum kept in `low`. */
static void update_layer(const esc_problem *p, slot *s, int l) {
  const double rate = p->rate * esc_metric_gamma(p, l);
  for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++) {
    const double step = s->low[i] - rate * s->g[i];
    const double w = s->w[i] + step, kept = w - s->w[i];
    s->low[i] = (s->w[i] - (w - kept)) + (step - kept);
    s->w[i] = w;
    s->track.updates += s->g[i] != 0;
  }
}

static void train_step(const engine *e, slot *s) {
  const esc_problem *p = e->problem;
  const size_t inputs = (size_t)p->batch * (size_t)p->shape.inputs;
  esc_draw_inputs(s->member.seed, s->track.step, 0, p->batch, p->shape.inputs, s->draw);
  for (size_t i = 0; i < inputs; i++) s->x[i] = (double)s->draw[i];
  const esc_batch batch = {.samples = p->batch, .x = s->x};
  esc_gradient gradient = {.g = s->g};
  esc_reference_gradient(p, e->directions, s->w, &batch, s->work, &gradient);
  if (!esc_track_loss(&s->track, p, gradient.loss)) return;
  for (int l = 0; l < p->shape.layers; l++) update_layer(p, s, l);
  esc_track_update(&s->track, p, p->rate, gradient.deficit, gradient.gradient2);
}

static void train(const engine *e, slot *s, int64_t steps, const atomic_bool *stop) {
  if (s->fresh) initialise(e, s);
  for (int64_t k = 0; k < steps && !s->track.finished; k++) {
    if (atomic_load_explicit(stop, memory_order_relaxed)) return;
    train_step(e, s);
  }
}

static esc_status advance(void *handle, int64_t steps, const atomic_bool *stop) {
  engine *e = handle;
#pragma omp parallel for schedule(dynamic, 1) num_threads(e->threads)
  for (int i = 0; i < e->slots; i++)
    if (e->slot[i].loaded && !e->slot[i].track.finished && !atomic_load(stop))
      train(e, &e->slot[i], steps, stop);
  return ESC_OK;
}

static bool finished(const void *handle, int index) {
  const slot *s = &((const engine *)handle)->slot[index];
  return s->loaded && s->track.finished;
}

static int64_t steps(const void *handle, int index) {
  return ((const engine *)handle)->slot[index].track.step;
}

static void report(const void *handle, int index, esc_results *results, int64_t i) {
  const engine *e = handle;
  const esc_problem *p = e->problem;
  const slot *s = &e->slot[index];
  double change2[ESC_LAYERS_MAX];
  for (int l = 0; l < p->shape.layers; l++) {
    esc_sum change = {0, 0};
    for (size_t k = esc_weight_offset(p->shape, l); k < esc_weight_offset(p->shape, l + 1); k++) {
      const double moved = (s->w[k] - s->initial[k]) + s->low[k];
      esc_sum_add(&change, moved * (2 * s->initial[k] + moved));
    }
    change2[l] = esc_sum_get(&change);
  }
  esc_track_report(&s->track, p, &s->member, s->norm2_initial, change2, s->signal, results, i);
}

static void weights(const void *handle, int index, double *w) {
  const engine *e = handle;
  const size_t count = esc_weight_offset(e->problem->shape, e->problem->shape.layers);
  memcpy(w, e->slot[index].w, count * sizeof *w);
}

static void describe(const void *handle, char *text, size_t size) {
  snprintf(text, size, "double, compensated weights, naive loops, %d threads",
           ((const engine *)handle)->threads);
}

const esc_engine_ops esc_reference_engine = {
    .name = "reference",
    .precision = "float64",
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
