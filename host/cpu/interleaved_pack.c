/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a pack of interleaved networks, and their way into its lanes and back. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu/interleaved.h"

/* `count` numbers of each lane, zeroed: a lane without a network is computed too. */
static float *carve_lanes(esc_arena *a, size_t count) {
  float *const block = ESC_CARVE(a, float, count *ESC_INTERLEAVE);
  return block ? memset(block, 0, count * ESC_INTERLEAVE * sizeof *block) : NULL;
}

static void carve(esc_arena *a, const esc_problem *p, esc_interleaved *n) {
  const size_t weights = esc_weight_count(p->shape), width = (size_t)p->shape.width;
  const size_t inputs = (size_t)p->shape.inputs, samples = ESC_SLICE_SAMPLES;
  n->w = carve_lanes(a, weights);
  if (p->update == ESC_UPDATE_COMPENSATED) n->compensation = carve_lanes(a, weights);
  if (esc_optimizer_has_velocity(&p->optimizer)) n->velocity = carve_lanes(a, weights);
  if (esc_optimizer_has_second_moment(&p->optimizer)) n->second_moment = carve_lanes(a, weights);
  n->g = carve_lanes(a, (size_t)esc_gradient_copies(p) * weights);
  if (p->batch > ESC_ACCUMULATION_BLOCK) n->g_sum = ESC_CARVE(a, double, weights *ESC_INTERLEAVE);
  n->x = carve_lanes(a, samples * 4 * ((inputs + 3) / 4));
  for (int l = 0; l < p->shape.layers - 1; l++) {
    n->z[l] = carve_lanes(a, samples * width);
    n->h[l] = carve_lanes(a, samples * width);
    n->derivative[l] = carve_lanes(a, samples * width);
    n->deficit_partial[l] = carve_lanes(a, ESC_PARTIALS * width);
  }
  for (int i = 0; i < 2; i++) n->delta[i] = carve_lanes(a, samples * width);
  n->f = carve_lanes(a, samples);
  n->target = carve_lanes(a, samples);
  n->dloss = carve_lanes(a, samples);
  n->direction = carve_lanes(a, (size_t)p->teacher.modes * inputs);
}

static esc_arena measure(const esc_problem *p) {
  esc_arena a = {0};
  esc_interleaved none = {0};
  carve(&a, p, &none);
  return a;
}

double esc_interleaved_bytes(const esc_problem *p) {
  return esc_arena_bytes(measure(p)) + (double)sizeof(esc_interleaved);
}

esc_status esc_interleaved_create(const esc_cpu_shared *shared, esc_interleaved **out) {
  esc_status status = ESC_OK;
  const esc_problem *p = shared->problem;
  const size_t inputs = (size_t)p->shape.inputs, modes = (size_t)p->teacher.modes;
  esc_interleaved *n = calloc(1, sizeof *n);
  ESC_TRY_ALLOCATE(n);
  ESC_TRY(esc_arena_create(measure(p), &n->arena));
  carve(&n->arena, p, n);
  for (size_t k = 0; k < modes; k++)
    for (size_t i = 0; i < inputs * ESC_INTERLEAVE; i++)
      n->direction[k * inputs * ESC_INTERLEAVE + i] =
          shared->direction[k * (size_t)shared->layout.in_pad[0] + i / ESC_INTERLEAVE];
  *out = n;
  n = NULL;
done:
  esc_interleaved_free(n);
  return status;
}

void esc_interleaved_free(esc_interleaved *n) {
  if (!n) return;
  esc_arena_free(&n->arena);
  free(n);
}

bool esc_interleaved_fits(esc_shape shape) { return shape.width <= ESC_INTERLEAVED_WIDTH_MAX; }

/* 1 MB if the system does not report it. */
static double second_level_cache_bytes(void) {
  long bytes = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
  bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
  return bytes > 0 ? (double)bytes : 1 << 20;
}

/* Largest pack that is faster than padded rows, in second-level caches; measured on caches of 2 MB
 * (runs/bench/notes.md). */
static const double pack_caches_max = 1.25;

/* Multiply-adds of a sample's passes through the hidden layers, over those with padded rows. */
static double padded_fill(esc_shape shape) {
  const double width = shape.width, inputs = shape.inputs, hidden = shape.layers - 2;
  const double row = esc_padded(shape.width), input_row = esc_padded(shape.inputs);
  return (2 * width * inputs + 3 * hidden * width * width) /
         (row * inputs + width * input_row + 3 * hidden * width * row);
}

bool esc_interleaved_pays(const esc_cpu_isa *isa, const esc_problem *p) {
  const int row = esc_padded(p->shape.width) / ESC_PAD - 1;
  return p->shape.layers > 1 && row < ESC_INTERLEAVED_ROWS &&
         padded_fill(p->shape) <= isa->interleaved_fill[row] &&
         esc_interleaved_bytes(p) <= pack_caches_max * second_level_cache_bytes();
}

/* A full pack is ahead by the padding, and behind by up to an eighth (runs/bench/notes.md). */
int esc_interleaved_least(esc_shape shape) {
  const int least = (ESC_INTERLEAVE * shape.width - 1) / esc_padded(shape.width) + 3;
  return least < ESC_INTERLEAVE ? least : ESC_INTERLEAVE;
}

/* ---- to a lane and back ---- */

/* Copies one array of a network, padded, to (into) or from a lane. */
static void copy_array(const esc_cpu_shared *s, bool into, float *lanes, int lane, float *padded) {
  const esc_shape shape = s->problem->shape;
  if (!padded) return;
  float *to = lanes + lane;
  for (int l = 0; l < shape.layers; l++) {
    const size_t columns = (size_t)esc_fan_in(shape, l), rows = (size_t)esc_fan_out(shape, l);
    float *from = padded + s->layout.w[l];
    for (size_t n = 0; n < rows; n++, from += s->layout.in_pad[l])
      for (size_t k = 0; k < columns; k++, to += ESC_INTERLEAVE)
        if (into)
          *to = from[k];
        else
          from[k] = *to;
  }
}

static void copy_network(const esc_cpu_shared *s, bool into, const esc_interleaved *pack, int lane,
                         const esc_cpu_network *net) {
  copy_array(s, into, pack->w, lane, net->w);
  copy_array(s, into, pack->compensation, lane, net->compensation);
  copy_array(s, into, pack->velocity, lane, net->velocity);
  copy_array(s, into, pack->second_moment, lane, net->second_moment);
}

void esc_interleaved_load(const esc_cpu_shared *s, esc_interleaved *pack, int lane,
                          esc_cpu_network *network) {
  pack->network[lane] = network;
  if (network) copy_network(s, true, pack, lane, network);
}

void esc_interleaved_store(const esc_cpu_shared *s, const esc_interleaved *pack, int lane) {
  esc_cpu_network *const network = pack->network[lane];
  if (!network) return;
  copy_network(s, false, pack, lane, network);
  esc_cpu_network_transpose(s, network);
}
