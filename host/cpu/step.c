/* SPDX-License-Identifier: Apache-2.0 */
/* One training step of one network in float, compiled once for every instruction set, of which
 * ESC_ISA is the name:
 *
 *   inputs -> forward -> loss -> backward and ledger -> update
 *
 * Three ways through a step give the same bits; esc_cpu_layout_init and cpu_engine.c choose:
 *
 *   sample-major   forward.h, backward.h    here; every width below ESC_FEATURE_MAJOR_WIDTH
 *   feature-major  feature_major.h          here; wider networks, which exceed the caches
 *   interleaved    interleaved.c            up to 16 narrow networks, one in each SIMD lane
 *
 * The first two train one network with padded rows: `--path padded`.
 *
 * A minibatch passes through the network in batch tiles of ESC_TILE samples, in the thread's
 * workspace (network.h). Every sum of a training step has the order of order.h, on every
 * instruction set. */
#include <string.h>

#include "cpu/backward.h"
#include "cpu/feature_major.h"
#include "cpu/forward.h"
#include "cpu/gradient_sum.h"
#include "cpu/inputs.h"
#include "cpu/network.h"
#include "cpu/update.h"

#define ESC_JOIN_(a, b) a##b
#define ESC_JOIN(a, b) ESC_JOIN_(a, b)
#define ESC_TEXT_(a) #a
#define ESC_TEXT(a) ESC_TEXT_(a)

/* h_l and f of a batch tile, in the layout of the network's width. */
static void forward(const esc_cpu_shared *s, const esc_cpu_network *net, int samples,
                    esc_cpu_work *work) {
  if (s->layout.feature_major)
    esc_wide_forward(s, net, samples, work);
  else
    esc_forward(s, net, samples, work);
}

/* Gradients and ledger terms of a batch tile. `trained`: as esc_wide_backward; NULL if narrow. */
static void backward(const esc_cpu_shared *s, const esc_cpu_network *net, const esc_batch_tile *t,
                     esc_cpu_work *work, esc_cpu_network *trained) {
  if (s->layout.feature_major)
    esc_wide_backward(s, net, t, work, trained);
  else
    esc_backward(s, net, t, work);
}

/* The batch tile from sample `start` on. */
static esc_batch_tile make_batch_tile(const esc_problem *p, int start) {
  const int left = p->batch - start,
            block = ESC_ACCUMULATION_BLOCK - start % ESC_ACCUMULATION_BLOCK;
  const int end = left < block ? left : block; /* samples to the end of the block */
  return (esc_batch_tile){.start = start,
                          .samples = end < ESC_TILE ? end : ESC_TILE,
                          .first = start % ESC_ACCUMULATION_BLOCK == 0,
                          .last = end <= ESC_TILE};
}

/* Forward pass of a batch tile and its losses, with the inputs x of the minibatch, or with the
 * member's draws if x is NULL. */
static void forward_tile(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
                         const esc_batch_tile *t, esc_cpu_work *work) {
  const size_t inputs = (size_t)s->problem->shape.inputs;
  if (x)
    esc_inputs_copy(s, x + (size_t)t->start * inputs, inputs, t->samples, work);
  else
    esc_inputs_draw(s, net, t->start, t->samples, work);
  esc_tile_targets(s, t->samples, work);
  forward(s, net, t->samples, work);
  esc_tile_losses(s->problem, t->samples, work);
}

static void backward_tile(const esc_cpu_shared *s, const esc_cpu_network *net,
                          const esc_batch_tile *t, esc_cpu_work *work, esc_cpu_network *trained) {
  backward(s, net, t, work, trained);
  if (t->last && work->g_sum)
    esc_gradient_sum_add(s->layout.w[s->problem->shape.layers], work->g, work->g_sum);
}

/* Loss of the minibatch, and the backward passes of all batch tiles but the last, which is
 * returned: only a network whose loss is accepted needs the last one (propagate_back). */
static esc_batch_tile propagate(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
                                esc_cpu_work *work) {
  const esc_problem *p = s->problem;
  esc_batch_tile t = make_batch_tile(p, 0);
  memset(work->loss_partial, 0, sizeof work->loss_partial);
  memset(work->deficit_sum, 0, sizeof work->deficit_sum);
  if (work->g_sum) memset(work->g_sum, 0, s->layout.w[p->shape.layers] * sizeof *work->g_sum);
  forward_tile(s, net, x, &t, work);
  while (t.start + t.samples < p->batch) {
    backward_tile(s, net, &t, work, NULL);
    t = make_batch_tile(p, t.start + t.samples);
    forward_tile(s, net, x, &t, work);
  }
  work->loss = esc_tree_reduce_simd(work->loss_partial) / p->batch;
  return t;
}

/* Backward pass of the last batch tile: ledger terms and gradient of the minibatch, without
 * |G|^2. If `trained` is the network and not NULL, its weights are updated, too, and |G|^2 set. */
static void propagate_back(const esc_cpu_shared *s, const esc_cpu_network *net,
                           const esc_batch_tile *t, esc_cpu_work *work, esc_cpu_network *trained) {
  backward_tile(s, net, t, work, trained);
  if (work->g_sum)
    esc_gradient_sum_round(s->layout.w[s->problem->shape.layers], work->g_sum, work->g);
}

static void gradient(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
                     esc_cpu_work *work) {
  const esc_batch_tile last = propagate(s, net, x, work);
  propagate_back(s, net, &last, work, NULL);
  for (int l = 0; l < s->problem->shape.layers; l++)
    work->grad_norm_sq[l] = esc_layer_norm2(s, l, work->g);
}

/* Backward pass of the last batch tile, the update and the ledger with momentum, weight decay or
 * Adam. */
static void update_optimized(const esc_cpu_shared *s, esc_cpu_network *net,
                             const esc_batch_tile *last, esc_cpu_work *work) {
  const esc_step_sums sums = {work->deficit_sum, work->grad_norm_sq, work->velocity_product,
                              work->weight_norm_sq};
  propagate_back(s, net, last, work, NULL);
  for (int l = 0; l < s->problem->shape.layers; l++) esc_layer_step_optimized(s, l, work, net);
  esc_track_optimized_update(&net->slot.track, &s->rules, &sums);
}

/* Backward pass of the last batch tile, and the plain update. */
static void update_plain(const esc_cpu_shared *s, esc_cpu_network *net, const esc_batch_tile *last,
                         esc_cpu_work *work) {
  const bool fused = s->layout.feature_major && !work->g_sum;
  propagate_back(s, net, last, work, fused ? net : NULL);
  for (int l = 0; l < s->problem->shape.layers && !fused; l++)
    work->grad_norm_sq[l] = esc_layer_step(s, l, work->g, net);
  esc_track_update(&net->slot.track, &s->rules, work->deficit_sum, work->grad_norm_sq);
}

static void train(const esc_cpu_shared *s, esc_cpu_network *net, esc_cpu_work *work, int64_t steps,
                  const atomic_bool *stop) {
  esc_track *track = &net->slot.track;
  for (int64_t k = 0; k < steps && esc_track_is_active(track); k++) {
    if (atomic_load_explicit(stop, memory_order_relaxed)) return;
    const esc_batch_tile last = propagate(s, net, NULL, work);
    if (!esc_track_loss(track, &s->rules, work->loss)) return;
    if (s->rules.optimized)
      update_optimized(s, net, &last, work);
    else
      update_plain(s, net, &last, work);
  }
}

/* x . grad_x f = sum_j delta_j z_j of the first layer, after a backward pass with dloss/df = 1.
 * That pass swaps its two delta buffers once for each hidden layer. */
static void radial_derivatives(const esc_cpu_shared *s, const esc_cpu_network *net, int count,
                               const esc_cpu_work *work, double *radial) {
  const esc_shape shape = s->problem->shape;
  const size_t in = (size_t)s->layout.in_pad[0], out = (size_t)s->layout.out_pad[0];
  const float *delta = work->delta[(shape.layers - 1) % 2];
  const size_t columns = esc_sample_columns(count);
  for (int b = 0; b < count; b++) {
    radial[b] = 0;
    for (size_t j = 0; j < (size_t)shape.width; j++) {
      float z = 0;
      for (size_t i = 0; i < in; i++) z += net->w[j * in + i] * work->x[(size_t)b * in + i];
      const float d =
          s->layout.feature_major ? delta[j * columns + (size_t)b] : delta[(size_t)b * out + j];
      radial[b] += (double)(d * z);
    }
  }
}

/* Samples first, ..., first + count - 1: one forward pass, and one backward pass for each weighting
 * of the samples (docs/theory, section 5.2). */
static void evaluate_tile(const esc_cpu_shared *s, const esc_cpu_network *net, int first, int count,
                          esc_cpu_work *work, const esc_cpu_evaluation *e) {
  const esc_observer *o = e->observer;
  const esc_eval_sample *sample = e->sample;
  const size_t inputs = (size_t)s->problem->shape.inputs;
  const esc_batch_tile tile = {.samples = count, .first = true, .last = true};
  float weight[3][ESC_TILE];
  esc_inputs_copy(s, sample->x + (size_t)first * inputs, inputs, count, work);
  forward(s, net, count, work);
  for (int b = 0; b < count; b++) {
    double c[3];
    esc_evaluation_weights(o, sample, first + b, (double)work->f[b], c);
    esc_evaluation_add(o, sample, first + b, (double)work->f[b], e->out);
    for (int k = 0; k < 3; k++) weight[k][b] = (float)c[k];
  }
  for (int k = 0; k < 3; k++) {
    memcpy(work->dloss, weight[k], (size_t)count * sizeof(float));
    backward(s, net, &tile, work, NULL);
    esc_gradient_sum_add(s->layout.w[s->problem->shape.layers], work->g, e->g[k]);
  }
  if (sample->mirrored) return;
  for (int b = 0; b < count; b++) work->dloss[b] = 1;
  backward(s, net, &tile, work, NULL);
  esc_gradient_sum_add(s->layout.w[1], work->g, e->g[3]);
  radial_derivatives(s, net, count, work, sample->radial + first);
}

static void evaluate(const esc_cpu_shared *s, const esc_cpu_network *net, esc_cpu_work *work,
                     const esc_cpu_evaluation *e) {
  for (int first = 0; first < e->sample->samples; first += ESC_TILE) {
    const int left = e->sample->samples - first;
    evaluate_tile(s, net, first, left < ESC_TILE ? left : ESC_TILE, work, e);
  }
}

/* The crossover as measured (runs/bench/notes.md); an instruction set without 32 registers of 16
 * lanes takes that of AVX2. */
#ifdef __AVX512F__
#define INTERLEAVED_FILL \
  { 0.94, 0.85, 0.73 }
#else
#define INTERLEAVED_FILL \
  { 0.75, 0.63, 0 }
#endif

const esc_cpu_isa ESC_JOIN(esc_cpu_isa_, ESC_ISA) = {
    .name = ESC_TEXT(ESC_ISA),
    .interleaved_fill = INTERLEAVED_FILL,
    .gradient = gradient,
    .train = train,
    .evaluate = evaluate,
    .train_interleaved = ESC_JOIN(esc_interleaved_train_, ESC_ISA)};
