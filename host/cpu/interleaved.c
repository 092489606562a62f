/* SPDX-License-Identifier: Apache-2.0 */
/* Training steps of interleaved networks, one in each lane, compiled once for every instruction set
 * like step.c. */
#include "cpu/interleaved.h"

#include "cpu/gradient_sum.h"
#include "cpu/interleaved_inputs.h"
#include "cpu/interleaved_pass.h"
#include "cpu/interleaved_update.h"

#define ESC_JOIN_(a, b) a##b
#define ESC_JOIN(a, b) ESC_JOIN_(a, b)

/* One batch tile from sample `start` of the minibatch on, its samples slice by slice. */
static void propagate_tile(const esc_cpu_shared *s, const esc_lane_stream *stream, int start,
                           int samples, esc_interleaved *pack) {
  for (int i = 0; i < ESC_SLICES; i++) {
    const int left = samples - i * ESC_SLICE_SAMPLES;
    const esc_lane_slice slice = {.index = i,
                                  .samples = left < 0                   ? 0
                                             : left < ESC_SLICE_SAMPLES ? left
                                                                        : ESC_SLICE_SAMPLES,
                                  .first = start % ESC_ACCUMULATION_BLOCK == 0};
    esc_lane_inputs_draw(s, stream, start + i * ESC_SLICE_SAMPLES, slice.samples, pack);
    esc_lane_targets(s, slice.samples, pack);
    esc_lane_forward(s, slice.samples, pack);
    esc_lane_losses(s->problem, slice.samples, pack);
    esc_lane_backward(s, slice, pack);
  }
  for (int l = 0; l < s->problem->shape.layers - 1; l++) esc_lane_add_deficit(s, l, pack);
}

/* The tree over the copies of the gradient, into the first. */
static void reduce_gradient(int copies, size_t count, float *restrict g) {
  for (int half = copies / 2; half > 0; half /= 2) {
    const size_t all = (size_t)half * count;
#pragma omp simd
    for (size_t i = 0; i < all; i++) g[i] += g[i + all];
  }
}

/* Loss, ledger terms and gradient of the minibatch, without |G|^2. */
static void propagate_minibatch(const esc_cpu_shared *s, const esc_lane_stream *stream,
                                esc_interleaved *pack) {
  const int batch = s->problem->batch;
  const size_t count = esc_weight_count(s->problem->shape) * ESC_INTERLEAVE;
  memset(pack->loss_partial, 0, sizeof pack->loss_partial);
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++)
    memset(pack->sums[lane].deficit, 0, (size_t)s->problem->shape.layers * sizeof(double));
  if (pack->g_sum) memset(pack->g_sum, 0, count * sizeof *pack->g_sum);
  for (int start = 0; start < batch; start += ESC_TILE) {
    const int left = batch - start, end = start + ESC_TILE;
    propagate_tile(s, stream, start, left < ESC_TILE ? left : ESC_TILE, pack);
    if (left > ESC_TILE && end % ESC_ACCUMULATION_BLOCK != 0) continue;
    reduce_gradient(esc_gradient_copies(s->problem), count, pack->g);
    if (pack->g_sum) esc_gradient_sum_add(count, pack->g, pack->g_sum);
  }
  if (pack->g_sum) esc_gradient_sum_round(count, pack->g_sum, pack->g);
  esc_lane_tree_f64(pack->loss_partial, ESC_PARTIALS);
}

/* Whether the network in a lane has steps to make in this call. */
static bool trains(const esc_cpu_network *network) {
  return network && esc_track_is_active(&network->slot.track);
}

/* Applies the stopping rule to every lane's loss. */
static void process_losses(const esc_cpu_shared *s, esc_interleaved *pack) {
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++) {
    esc_cpu_network *const net = pack->network[lane];
    pack->updates[lane] =
        trains(net) && esc_track_loss(&net->slot.track, &s->rules,
                                      pack->loss_partial[0][lane] / s->problem->batch);
  }
}

/* The update of every layer, and the ledger of every lane that updates. */
static void update(const esc_cpu_shared *s, esc_interleaved *pack) {
  memset(pack->nonzero_updates, 0, sizeof pack->nonzero_updates);
  memset(pack->rounded_away, 0, sizeof pack->rounded_away);
  for (int l = 0; l < s->problem->shape.layers; l++) esc_lane_layer_step(s, l, pack);
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++) {
    if (!pack->updates[lane]) continue;
    const esc_lane_sums *const sums = &pack->sums[lane];
    esc_track *const track = &pack->network[lane]->slot.track;
    track->nonzero_updates += pack->nonzero_updates[lane];
    track->rounded_away += pack->rounded_away[lane];
    const esc_step_sums step = {sums->deficit, sums->grad_norm_sq, sums->velocity_product,
                                sums->weight_norm_sq};
    if (s->rules.optimized)
      esc_track_optimized_update(track, &s->rules, &step);
    else
      esc_track_update(track, &s->rules, sums->deficit, sums->grad_norm_sq);
  }
}

static bool any_trains(const esc_interleaved *pack) {
  bool any = false;
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++) any |= trains(pack->network[lane]);
  return any;
}

void ESC_JOIN(esc_interleaved_train_,
              ESC_ISA)(const esc_cpu_shared *s, esc_cpu_network *const *network, int count,
                       esc_interleaved *pack, int64_t steps, const atomic_bool *stop) {
  esc_lane_stream stream;
  for (int lane = 0; lane < ESC_INTERLEAVE; lane++)
    esc_interleaved_load(s, pack, lane, lane < count ? network[lane] : NULL);
  esc_lane_stream_seed(&stream, pack);
  for (int64_t k = 0; k < steps && any_trains(pack); k++) {
    if (atomic_load_explicit(stop, memory_order_relaxed)) break;
    esc_lane_stream_step(&stream, pack);
    propagate_minibatch(s, &stream, pack);
    process_losses(s, pack);
    update(s, pack);
  }
  for (int lane = 0; lane < count; lane++) esc_interleaved_store(s, pack, lane);
}
