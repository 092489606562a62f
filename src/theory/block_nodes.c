/* SPDX-License-Identifier: Apache-2.0 */
/* The width-K network at blocks of nodes: forward, backward, and sums over a grid. */
#include "block_nodes.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = ESC_BLOCK_LANES, CHUNK = 16 * LANES, WORTH_SHARING = 32 };

/* out = A in, one row of A. Lower levels have many zeros. */
static inline void apply(int modes, const double *a, const esc_block_lane *in, double *out) {
  for (int s = 0; s < LANES; s++) out[s] = 0;
  for (int j = 0; j < modes; j++)
    if (a[j] != 0) esc_block_add(out, a[j], in[j]);
}

/* Static, as every function with clones: gcc exports the chooser of a clone from a shared library
 * whatever its visibility. */
ESC_FOR_EVERY_WIDTH
static void forward(const esc_block_problem *p, const double *state, bool bend, esc_block_tile *t) {
  const int modes = p->modes, last = p->layers - 1;
  esc_block_lane z;
  for (int l = 0; l < last; l++)
    for (int k = 0; k < modes; k++) {
      apply(modes, state + esc_block_layer(p, l) + k * modes, t->h[l], z);
      esc_lanes_activate(&p->activation, z, t->h[l + 1][k], t->slope[l][k],
                         bend ? t->bend[l][k] : NULL);
    }
  apply(modes, state + esc_block_layer(p, last), t->h[last], t->f);
}

ESC_FOR_EVERY_WIDTH
static void backward(const esc_block_problem *p, const double *state, bool all,
                     const esc_block_tile *t, const esc_block_lane output,
                     esc_block_lane *gradient) {
  const int modes = p->modes, last = p->layers - 1;
  esc_block_lane u[ESC_BLOCK_MODES_MAX], delta[ESC_BLOCK_MODES_MAX];
  for (int k = 0; k < modes; k++) {
    const int at = esc_block_layer(p, last) + k;
    esc_block_add_product(gradient[at], output, t->h[last][k]);
    for (int s = 0; s < LANES; s++) u[k][s] = state[at] * output[s];
  }
  for (int l = last - 1; l >= 0; l--) {
    for (int k = 0; k < modes; k++)
      for (int s = 0; s < LANES; s++) delta[k][s] = u[k][s] * t->slope[l][k][s];
    memset(u, 0, sizeof u);
    for (int k = 0; k < modes; k++)
      for (int j = 0; j < modes; j++) {
        const int at = esc_block_layer(p, l) + k * modes + j;
        if (all || esc_block_moves(p, l, k, j))
          esc_block_add_product(gradient[at], delta[k], t->h[l][j]);
        if (state[at] != 0) esc_block_add(u[j], state[at], delta[k]);
      }
  }
}

void esc_block_forward(const esc_block_problem *p, const double *state, bool bend,
                       esc_block_tile *t) {
  forward(p, state, bend, t);
}

void esc_block_backward(const esc_block_problem *p, const double *state, bool all,
                        const esc_block_tile *t, const esc_block_lane output,
                        esc_block_lane *gradient) {
  backward(p, state, all, t, output, gradient);
}

/* Lanes behind the last node have weight 0. */
static void load(const esc_block_problem *p, const esc_block_grid *grid, int first,
                 esc_block_tile *t) {
  for (int s = 0; s < LANES; s++) {
    const bool there = first + s < grid->nodes;
    const size_t node = (size_t)(there ? first + s : first);
    t->weight[s] = there ? grid->weight[node] : 0;
    t->target[s] = grid->target[node];
    for (int k = 0; k < p->modes; k++)
      t->h[0][k][s] = grid->g[(size_t)k * (size_t)grid->nodes + node];
  }
}

/* A lane's numbers, summed as a tree. */
static double sum_lanes(const esc_block_lane in) {
  double t[LANES];
  memcpy(t, in, sizeof t);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int s = 0; s < half; s++) t[s] += t[s + half];
  return t[0];
}

typedef struct summing {
  const esc_block_problem *p;
  const esc_block_grid *grid;
  int row;
  esc_block_visit *visit;
  const void *context;
} summing;

static void sum_chunk(const summing *sum, int first, esc_block_lane *lanes, double *part) {
  esc_block_tile t;
  memset(lanes, 0, (size_t)sum->row * sizeof *lanes);
  for (int at = first; at < first + CHUNK && at < sum->grid->nodes; at += LANES) {
    load(sum->p, sum->grid, at, &t);
    sum->visit(sum->p, sum->context, &t, lanes);
  }
  for (int i = 0; i < sum->row; i++) part[i] = sum_lanes(lanes[i]);
}

esc_status esc_block_sum(const esc_block_problem *p, const esc_block_grid *grid, int row,
                         esc_block_visit *visit, const void *context, double *out) {
  esc_status status = ESC_OK;
  const int chunks = (grid->nodes + CHUNK - 1) / CHUNK;
  const int threads = chunks >= WORTH_SHARING ? omp_get_max_threads() : 1;
  const size_t size = (size_t)row;
  const summing sum = {p, grid, row, visit, context};
  double *part = malloc((size_t)chunks * size * sizeof *part);
  esc_block_lane *lanes = malloc((size_t)threads * size * sizeof *lanes);
  ESC_TRY_ALLOCATE(part);
  ESC_TRY_ALLOCATE(lanes);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int c = 0; c < chunks; c++)
    sum_chunk(&sum, c * CHUNK, lanes + (size_t)omp_get_thread_num() * size,
              part + (size_t)c * size);
  memset(out, 0, size * sizeof *out);
  for (int c = 0; c < chunks; c++)
    for (size_t i = 0; i < size; i++) out[i] += part[(size_t)c * size + i];
done:
  free(part);
  free(lanes);
  return status;
}
