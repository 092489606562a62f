/* SPDX-License-Identifier: Apache-2.0 */
/* The reference engine: networks in double, trained by reference.c; threads over members. The
 * weights have a compensation term, so that the ledger's residual measures the gradients, not the
 * rounding of the weights. Each slot owns its weights and its workspace. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escapement/internal/engine.h"
#include "escapement/internal/model.h"
#include "escapement/internal/reference.h"
#include "escapement/internal/slot.h"
#include "escapement/internal/state.h"

typedef struct network {
  esc_slot slot;
  double *w;             /* (weight) W rounded to double */
  double *compensation;  /* (weight) rounding error of w */
  double *g;             /* (weight) gradient, then the direction of the step */
  double *velocity;      /* (weight) V of momentum, or Adam's first moment; NULL for neither */
  double *second_moment; /* (weight) of Adam; else NULL */
  float *draw;           /* (sample, input) */
  double *x;             /* (sample, input) */
  esc_arena workspace;   /* of the initial signal */
  esc_reference_work *work;
} network;

/* (layer) sums of a step, as in esc_step_sums. */
typedef struct layer_sums {
  double step_norm_sq[ESC_LAYERS_MAX], velocity_product[ESC_LAYERS_MAX],
      weight_norm_sq[ESC_LAYERS_MAX];
} layer_sums;

typedef struct engine {
  esc_model model;
  esc_track_rules rules;
  int slots, threads;
  network *network;
} engine;

static void destroy(void *handle) {
  engine *e = handle;
  if (!e) return;
  for (int i = 0; e->network && i < e->slots; i++) {
    network *n = &e->network[i];
    free(n->w);
    free(n->compensation);
    free(n->g);
    free(n->velocity);
    free(n->second_moment);
    free(n->draw);
    free(n->x);
    esc_arena_free(&n->workspace);
    esc_reference_work_free(n->work);
  }
  free(e->network);
  esc_model_free(&e->model);
  free(e);
}

static esc_status create_network(const esc_problem *p, network *n) {
  esc_status status = ESC_OK;
  const size_t weights = esc_weight_count(p->shape);
  const size_t inputs = (size_t)p->batch * (size_t)p->shape.inputs;
  ESC_TRY_ALLOCATE(n->w = calloc(weights, sizeof(double)));
  ESC_TRY_ALLOCATE(n->compensation = calloc(weights, sizeof(double)));
  ESC_TRY_ALLOCATE(n->g = calloc(weights, sizeof(double)));
  if (esc_optimizer_has_velocity(&p->optimizer))
    ESC_TRY_ALLOCATE(n->velocity = calloc(weights, sizeof(double)));
  if (esc_optimizer_has_second_moment(&p->optimizer))
    ESC_TRY_ALLOCATE(n->second_moment = calloc(weights, sizeof(double)));
  ESC_TRY_ALLOCATE(n->draw = calloc(inputs, sizeof(float)));
  ESC_TRY_ALLOCATE(n->x = calloc(inputs, sizeof(double)));
  ESC_TRY(esc_arena_create(esc_signal_workspace(p->shape), &n->workspace));
  ESC_TRY_ALLOCATE(n->work = esc_reference_work_create(p));
done:
  return status;
}

static esc_bytes bytes(const esc_engine_ops *ops, const esc_problem *p,
                       const esc_engine_setup *setup) {
  (void)ops;
  const double weights = (double)esc_weight_count(p->shape);
  const double widest = p->shape.width > p->shape.inputs ? p->shape.width : p->shape.inputs;
  const double inputs = (double)p->batch * p->shape.inputs;
  const double moments =
      esc_optimizer_has_velocity(&p->optimizer) + esc_optimizer_has_second_moment(&p->optimizer);
  const double each = (24 + 8 * moments) * weights + 12 * inputs + 24 * p->shape.layers * widest +
                      esc_arena_bytes(esc_signal_workspace(p->shape));
  return (esc_bytes){.host = setup->slots * each};
}

/* Enough to balance the load over threads, few enough to stay in cache. */
static int default_slots(const esc_engine_ops *ops, const esc_problem *p,
                         const esc_engine_setup *setup) {
  (void)ops, (void)p;
  return 4 * setup->threads;
}

static esc_status create(const esc_engine_ops *ops, const esc_problem *p,
                         const esc_engine_setup *setup, void **out) {
  (void)ops;
  esc_status status = ESC_OK;
  engine *e = calloc(1, sizeof *e);
  ESC_TRY_ALLOCATE(e);
  e->slots = setup->slots;
  e->threads = setup->threads;
  ESC_TRY(esc_model_init(&e->model, p, false));
  esc_track_rules_init(&e->rules, p, false);
  ESC_TRY_ALLOCATE(e->network = calloc((size_t)e->slots, sizeof *e->network));
  for (int i = 0; i < e->slots; i++) ESC_TRY(create_network(p, &e->network[i]));
  *out = e;
  e = NULL;
done:
  destroy(e);
  return status;
}

static esc_status load(void *handle, int index, const esc_member *member) {
  esc_slot_load(&((engine *)handle)->network[index].slot, member);
  return ESC_OK;
}

/* Draws the weights of a fresh slot. Called by advance(), not by load(), so that the threads share
 * the work. */
static void initialise(const engine *e, network *n) {
  const esc_shape shape = e->model.problem->shape;
  esc_slot_start(&n->slot, &e->model, n->w, &n->workspace);
  memset(n->compensation, 0, esc_weight_count(shape) * sizeof *n->compensation);
  if (n->velocity) memset(n->velocity, 0, esc_weight_count(shape) * sizeof *n->velocity);
  if (n->second_moment)
    memset(n->second_moment, 0, esc_weight_count(shape) * sizeof *n->second_moment);
}

/* W <- W - eta gamma G; the sum's rounding error (two-sum) is stored for the next step. */
static void update_layer(const esc_problem *p, network *n, int l) {
  const double rate = p->rate * esc_metric_gamma(p, l);
  for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++) {
    const double step = n->compensation[i] - rate * n->g[i];
    const double w = n->w[i] + step, kept = w - n->w[i];
    n->compensation[i] = (n->w[i] - (w - kept)) + (step - kept);
    n->w[i] = w;
    n->slot.track.nonzero_updates += n->g[i] != 0;
  }
}

/* The direction of a weight's step by momentum and weight decay (docs/theory, section 1.7):
 * D = G + lambda W, V <- beta V + D, E = V, or D + beta V (Nesterov). Decay outside the gradient
 * adds (lambda / gamma) W to E. */
static double momentum_direction(const esc_optimizer *o, double w, double g, double *velocity) {
  const double d = o->decoupled ? g : g + o->weight_decay * w;
  if (!velocity) return d;
  *velocity = o->momentum * *velocity + d;
  return o->nesterov ? d + o->momentum * *velocity : *velocity;
}

/* Adam (arXiv 1412.6980, algorithm 1) for update number `updates`, counted from 1. */
static double adam_direction(const esc_optimizer *o, double d, double updates, double *first,
                             double *second) {
  *first = o->adam_beta1 * *first + (1 - o->adam_beta1) * d;
  *second = o->adam_beta2 * *second + (1 - o->adam_beta2) * d * d;
  const double mean = *first / (1 - pow(o->adam_beta1, updates));
  const double square = *second / (1 - pow(o->adam_beta2, updates));
  return mean / (sqrt(square) + o->adam_epsilon);
}

/* Replaces layer l's gradient by the direction E of its step, and computes the layer's sums for the
 * ledger. */
static void direct_layer(const esc_problem *p, const network *n, int l, layer_sums *s) {
  const esc_optimizer *o = &p->optimizer;
  const double gamma = esc_metric_gamma(p, l), updates = (double)n->slot.track.step + 1;
  s->step_norm_sq[l] = s->velocity_product[l] = s->weight_norm_sq[l] = 0;
  for (size_t i = esc_weight_offset(p->shape, l); i < esc_weight_offset(p->shape, l + 1); i++) {
    const double w = n->w[i], decay = o->weight_decay * w;
    double e = o->kind == ESC_OPTIMIZER_ADAM
                   ? adam_direction(o, o->decoupled ? n->g[i] : n->g[i] + decay, updates,
                                    &n->velocity[i], &n->second_moment[i])
                   : momentum_direction(o, w, n->g[i], n->velocity ? &n->velocity[i] : NULL);
    if (o->decoupled) e += decay / gamma;
    s->step_norm_sq[l] += e * e;
    s->velocity_product[l] += n->velocity ? e * n->velocity[i] : 0;
    s->weight_norm_sq[l] += w * w;
    n->g[i] = e;
  }
}

/* One step of an optimizer other than plain gradient descent. */
static void optimize(const engine *e, network *n, const double *deficit) {
  layer_sums s;
  const esc_problem *p = e->model.problem;
  const esc_step_sums sums = {deficit, s.step_norm_sq, s.velocity_product, s.weight_norm_sq};
  for (int l = 0; l < p->shape.layers; l++) {
    direct_layer(p, n, l, &s);
    update_layer(p, n, l);
  }
  esc_track_optimized_update(&n->slot.track, &e->rules, &sums);
}

static void train_step(const engine *e, network *n) {
  const esc_problem *p = e->model.problem;
  esc_track *track = &n->slot.track;
  const size_t inputs = (size_t)p->batch * (size_t)p->shape.inputs;
  esc_draw_inputs(n->slot.member.seed, track->step, 0, p->batch, p->shape.inputs, n->draw);
  for (size_t i = 0; i < inputs; i++) n->x[i] = (double)n->draw[i];
  const esc_batch batch = {.samples = p->batch, .x = n->x};
  esc_gradient gradient = {.g = n->g};
  esc_reference_gradient(p, e->model.directions, n->w, &batch, n->work, &gradient);
  if (!esc_track_loss(track, &e->rules, gradient.loss)) return;
  if (e->rules.optimized) {
    optimize(e, n, gradient.deficit);
    return;
  }
  for (int l = 0; l < p->shape.layers; l++) update_layer(p, n, l);
  esc_track_update(track, &e->rules, gradient.deficit, gradient.grad_norm_sq);
}

static void train(const engine *e, network *n, int64_t steps, const atomic_bool *stop) {
  if (n->slot.fresh) initialise(e, n);
  for (int64_t k = 0; k < steps && esc_track_is_active(&n->slot.track); k++) {
    if (atomic_load_explicit(stop, memory_order_relaxed)) return;
    train_step(e, n);
  }
  if (esc_slot_finished(&n->slot)) /* the gradient is not needed any more */
    esc_slot_end(&n->slot, &e->model, &(esc_slot_weights){n->w, n->compensation, n->g});
}

static void limit(void *handle, int slot, int64_t step) {
  ((engine *)handle)->network[slot].slot.track.step_limit = step;
}

static esc_status advance(void *handle, int64_t steps, const atomic_bool *stop) {
  engine *e = handle;
#pragma omp parallel for schedule(dynamic, 1) num_threads(e->threads)
  for (int i = 0; i < e->slots; i++)
    if (esc_slot_trains(&e->network[i].slot) && !atomic_load(stop))
      train(e, &e->network[i], steps, stop);
  return ESC_OK;
}

static const esc_slot *slot(const void *handle, int index) {
  return &((const engine *)handle)->network[index].slot;
}

static esc_status report(const void *handle, int index, esc_results *results, int64_t i) {
  const engine *e = handle;
  esc_slot_report(&e->network[index].slot, &e->model, results, i);
  return ESC_OK;
}

static esc_status weights(const void *handle, int index, double *w) {
  const engine *e = handle;
  const esc_shape shape = e->model.problem->shape;
  memcpy(w, e->network[index].w, esc_weight_count(shape) * sizeof *w);
  return ESC_OK;
}

static size_t state_size(const esc_problem *p) { return esc_state_size(p, false); }

static esc_status save(const void *handle, int index, void *state) {
  const engine *e = handle;
  const network *n = &e->network[index];
  const esc_state_arrays arrays = {n->w, n->compensation, n->velocity, n->second_moment};
  esc_state_pack(&e->model, &n->slot, &arrays, state);
  return ESC_OK;
}

static esc_status restore(void *handle, int index, const esc_member *member, const void *state) {
  const engine *e = handle;
  const network *n = &e->network[index];
  const esc_state_arrays arrays = {n->w, n->compensation, n->velocity, n->second_moment};
  esc_state_unpack(&e->model, member, state, &e->network[index].slot, &arrays);
  return ESC_OK;
}

static void describe(const void *handle, char *text, size_t size) {
  snprintf(text, size, "double, compensated weights, naive loops, %d threads",
           ((const engine *)handle)->threads);
}

const esc_engine_ops esc_reference_engine = {
    .name = "reference",
    .precision = "float64",
    .bytes = bytes,
    .slots = default_slots,
    .create = create,
    .load = load,
    .limit = limit,
    .advance = advance,
    .slot = slot,
    .report = report,
    .weights = weights,
    .state_size = state_size,
    .save = save,
    .restore = restore,
    .describe = describe,
    .destroy = destroy,
};
