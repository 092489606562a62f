/* SPDX-License-Identifier: Apache-2.0 */
/* The width-K network at tiles of nodes: forward and backward passes, and sums over a grid. The
 * order of the sums does not depend on the number of threads: lanes by a tree at the end of a
 * chunk, chunks in sequence. */
#include "block_nodes.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = ESC_BLOCK_LANES, CHUNK = 16 * LANES, PARALLEL_CHUNKS_MIN = 32 };

/* out = A in, one row of A. Zeros are skipped, because lower closure levels have many. */
static inline void multiply_row(int modes, const double *a, const esc_block_vector *in,
                                double *out) {
  for (int s = 0; s < LANES; s++) out[s] = 0;
  for (int j = 0; j < modes; j++)
    if (a[j] != 0) esc_block_add(out, a[j], in[j]);
}

/* Static, like every function with clones: gcc would export the resolver of the clones from a
 * shared library, even with hidden visibility. */
ESC_SIMD_CLONES
static void forward(const esc_block_problem *p, const double *state, bool second,
                    esc_block_tile *t) {
  const int modes = p->modes, last = p->layers - 1;
  esc_block_vector z;
  for (int l = 0; l < last; l++)
    for (int k = 0; k < modes; k++) {
      multiply_row(modes, state + esc_block_layer_offset(p, l) + k * modes, t->h[l], z);
      esc_vector_activate(&p->activation, z, t->h[l + 1][k], t->d1[l][k],
                          second ? t->d2[l][k] : NULL);
    }
  multiply_row(modes, state + esc_block_layer_offset(p, last), t->h[last], t->f);
}

ESC_SIMD_CLONES
static void backward(const esc_block_problem *p, const double *state, bool all_entries,
                     const esc_block_tile *t, const esc_block_vector output,
                     esc_block_vector *gradient) {
  const int modes = p->modes, last = p->layers - 1;
  esc_block_vector u[ESC_BLOCK_MODES_MAX], delta[ESC_BLOCK_MODES_MAX];
  for (int k = 0; k < modes; k++) {
    const int index = esc_block_layer_offset(p, last) + k;
    esc_block_add_product(gradient[index], output, t->h[last][k]);
    for (int s = 0; s < LANES; s++) u[k][s] = state[index] * output[s];
  }
  for (int l = last - 1; l >= 0; l--) {
    for (int k = 0; k < modes; k++)
      for (int s = 0; s < LANES; s++) delta[k][s] = u[k][s] * t->d1[l][k][s];
    memset(u, 0, sizeof u);
    for (int k = 0; k < modes; k++)
      for (int j = 0; j < modes; j++) {
        const int index = esc_block_layer_offset(p, l) + k * modes + j;
        if (all_entries || esc_block_is_free(p, l, k, j))
          esc_block_add_product(gradient[index], delta[k], t->h[l][j]);
        if (state[index] != 0) esc_block_add(u[j], state[index], delta[k]);
      }
  }
}

void esc_block_forward(const esc_block_problem *p, const double *state, bool second,
                       esc_block_tile *t) {
  forward(p, state, second, t);
}

void esc_block_backward(const esc_block_problem *p, const double *state, bool all_entries,
                        const esc_block_tile *t, const esc_block_vector output,
                        esc_block_vector *gradient) {
  backward(p, state, all_entries, t, output, gradient);
}

/* Lanes after the last node repeat a node with weight 0. */
static void load_tile(const esc_block_problem *p, const esc_block_grid *grid, int first,
                      esc_block_tile *t) {
  for (int s = 0; s < LANES; s++) {
    const bool is_node = first + s < grid->nodes;
    const size_t node = (size_t)(is_node ? first + s : first);
    t->weight[s] = is_node ? grid->weight[node] : 0;
    t->target[s] = grid->target[node];
    for (int k = 0; k < p->modes; k++)
      t->h[0][k][s] = grid->g[(size_t)k * (size_t)grid->nodes + node];
  }
}

/* The sum of the lanes, by a tree. */
static double sum_lanes(const esc_block_vector in) {
  double t[LANES];
  memcpy(t, in, sizeof t);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int s = 0; s < half; s++) t[s] += t[s + half];
  return t[0];
}

typedef struct node_sum {
  const esc_block_problem *p;
  const esc_block_grid *grid;
  int length;
  esc_block_integrand *integrand;
  const void *context;
} node_sum;

static void sum_chunk(const node_sum *sum, int first, esc_block_vector *lanes, double *partial) {
  esc_block_tile t;
  memset(lanes, 0, (size_t)sum->length * sizeof *lanes);
  for (int index = first; index < first + CHUNK && index < sum->grid->nodes; index += LANES) {
    load_tile(sum->p, sum->grid, index, &t);
    sum->integrand(sum->p, sum->context, &t, lanes);
  }
  for (int i = 0; i < sum->length; i++) partial[i] = sum_lanes(lanes[i]);
}

esc_status esc_block_sum(const esc_block_problem *p, const esc_block_grid *grid, int length,
                         esc_block_integrand *integrand, const void *context, double *out) {
  esc_status status = ESC_OK;
  const int chunks = (grid->nodes + CHUNK - 1) / CHUNK;
  const int threads = chunks >= PARALLEL_CHUNKS_MIN ? omp_get_max_threads() : 1;
  const size_t size = (size_t)length;
  const node_sum sum = {p, grid, length, integrand, context};
  double *partial = malloc((size_t)chunks * size * sizeof *partial);
  esc_block_vector *lanes = malloc((size_t)threads * size * sizeof *lanes);
  ESC_TRY_ALLOCATE(partial);
  ESC_TRY_ALLOCATE(lanes);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
  for (int c = 0; c < chunks; c++)
    sum_chunk(&sum, c * CHUNK, lanes + (size_t)omp_get_thread_num() * size,
              partial + (size_t)c * size);
  memset(out, 0, size * sizeof *out);
  for (int c = 0; c < chunks; c++)
    for (size_t i = 0; i < size; i++) out[i] += partial[(size_t)c * size + i];
done:
  free(partial);
  free(lanes);
  return status;
}
