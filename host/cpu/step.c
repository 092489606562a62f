/* SPDX-License-Identifier: Apache-2.0 */
/* One training step of one network in float, compiled once for every instruction set, of which
 * ESC_ISA is the name:
 *
 *   inputs -> forward -> loss -> backward and ledger -> update
 *
 * A minibatch passes through the network in batch tiles of ESC_TILE samples, in the thread's
 * workspace (network.h). Every sum of a training step has the order of order.h, on every
 * instruction set. */
#include <string.h>

#include "cpu/backward.h"
#include "cpu/forward.h"
#include "cpu/inputs.h"
#include "cpu/network.h"
#include "cpu/update.h"

#define ESC_JOIN_(a, b) a##b
#define ESC_JOIN(a, b) ESC_JOIN_(a, b)
#define ESC_TEXT_(a) #a
#define ESC_TEXT(a) ESC_TEXT_(a)

static void add_gradient(size_t count, const float *restrict g, double *restrict sum) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) sum[i] += (double)g[i];
}

static void round_sum(size_t count, const double *restrict sum, float *restrict g) {
#pragma omp simd
  for (size_t i = 0; i < count; i++) g[i] = (float)sum[i];
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

/* Forward and backward pass of a batch tile, with the inputs x of the minibatch, or with the
 * member's draws if x is NULL. */
static void propagate_tile(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
                           const esc_batch_tile *t, esc_cpu_work *work) {
  const size_t inputs = (size_t)s->problem->shape.inputs;
  if (x)
    esc_inputs_copy(s, x + (size_t)t->start * inputs, inputs, t->samples, work);
  else
    esc_inputs_draw(s, net, t->start, t->samples, work);
  esc_tile_targets(s, t->samples, work);
  esc_forward(s, net, t->samples, work);
  esc_tile_losses(s->problem, t->samples, work);
  esc_backward(s, net, t, work);
}

/* Loss, ledger terms and gradient of the minibatch, without |G|^2. */
static void propagate_minibatch(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
                                esc_cpu_work *work) {
  const esc_problem *p = s->problem;
  const size_t weights = s->layout.w[p->shape.layers];
  memset(work->loss_partial, 0, sizeof work->loss_partial);
  memset(work->deficit_sum, 0, sizeof work->deficit_sum);
  if (work->g_sum) memset(work->g_sum, 0, weights * sizeof *work->g_sum);
  for (int start = 0; start < p->batch; start += ESC_TILE) {
    const esc_batch_tile t = make_batch_tile(p, start);
    propagate_tile(s, net, x, &t, work);
    if (t.last && work->g_sum) add_gradient(weights, work->g, work->g_sum);
  }
  if (work->g_sum) round_sum(weights, work->g_sum, work->g);
  work->loss = esc_tree_reduce_simd(work->loss_partial) / p->batch;
}

static void gradient(const esc_cpu_shared *s, const esc_cpu_network *net, const float *x,
                     esc_cpu_work *work) {
  propagate_minibatch(s, net, x, work);
  for (int l = 0; l < s->problem->shape.layers; l++)
    work->grad_norm_sq[l] = esc_layer_norm2(s, l, work->g);
}

/* The update and the ledger with momentum, weight decay or Adam. */
static void update_optimized(const esc_cpu_shared *s, esc_cpu_network *net, esc_cpu_work *work) {
  const esc_step_sums sums = {work->deficit_sum, work->grad_norm_sq, work->velocity_product,
                              work->weight_norm_sq};
  for (int l = 0; l < s->problem->shape.layers; l++) esc_layer_step_optimized(s, l, work, net);
  esc_track_optimized_update(&net->slot.track, &s->rules, &sums);
}

static void train(const esc_cpu_shared *s, esc_cpu_network *net, esc_cpu_work *work, int64_t steps,
                  const atomic_bool *stop) {
  esc_track *track = &net->slot.track;
  for (int64_t k = 0; k < steps && !track->finished; k++) {
    if (atomic_load_explicit(stop, memory_order_relaxed)) return;
    propagate_minibatch(s, net, NULL, work);
    if (!esc_track_loss(track, &s->rules, work->loss)) return;
    if (s->rules.optimized) {
      update_optimized(s, net, work);
      continue;
    }
    for (int l = 0; l < s->problem->shape.layers; l++)
      work->grad_norm_sq[l] = esc_layer_step(s, l, work->g, net);
    esc_track_update(track, &s->rules, work->deficit_sum, work->grad_norm_sq);
  }
}

/* x . grad_x f = sum_j delta_j z_j of the first layer, after a backward pass with dloss/df = 1.
 * That pass swaps its two delta buffers once for each hidden layer. */
static void radial_derivatives(const esc_cpu_shared *s, const esc_cpu_network *net, int count,
                               const esc_cpu_work *work, double *radial) {
  const esc_shape shape = s->problem->shape;
  const size_t in = (size_t)s->layout.in_pad[0], out = (size_t)s->layout.out_pad[0];
  const float *delta = work->delta[(shape.layers - 1) % 2];
  for (int b = 0; b < count; b++) {
    radial[b] = 0;
    for (size_t j = 0; j < (size_t)shape.width; j++) {
      float z = 0;
      for (size_t i = 0; i < in; i++) z += net->w[j * in + i] * work->x[(size_t)b * in + i];
      radial[b] += (double)(delta[(size_t)b * out + j] * z);
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
  esc_forward(s, net, count, work);
  for (int b = 0; b < count; b++) {
    double c[3];
    esc_evaluation_weights(o, sample, first + b, (double)work->f[b], c);
    esc_evaluation_add(o, sample, first + b, (double)work->f[b], e->out);
    for (int k = 0; k < 3; k++) weight[k][b] = (float)c[k];
  }
  for (int k = 0; k < 3; k++) {
    memcpy(work->dloss, weight[k], (size_t)count * sizeof(float));
    esc_backward(s, net, &tile, work);
    add_gradient(s->layout.w[s->problem->shape.layers], work->g, e->g[k]);
  }
  if (sample->mirrored) return;
  for (int b = 0; b < count; b++) work->dloss[b] = 1;
  esc_backward(s, net, &tile, work);
  add_gradient(s->layout.w[1], work->g, e->g[3]);
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
#define INTERLEAVED_WIDEST 24
#define INTERLEAVED_FILL 0.9
#else
#define INTERLEAVED_WIDEST 20
#define INTERLEAVED_FILL 0.75
#endif

const esc_cpu_isa ESC_JOIN(esc_cpu_isa_, ESC_ISA) = {
    .name = ESC_TEXT(ESC_ISA),
    .interleaved_widest = INTERLEAVED_WIDEST,
    .interleaved_fill = INTERLEAVED_FILL,
    .gradient = gradient,
    .train = train,
    .evaluate = evaluate,
    .train_interleaved = ESC_JOIN(esc_interleaved_train_, ESC_ISA)};
