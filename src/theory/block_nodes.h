/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over the nodes of a block grid, in tiles of ESC_BLOCK_LANES nodes; private to src/theory. */
#ifndef ESCAPEMENT_THEORY_BLOCK_NODES_H
#define ESCAPEMENT_THEORY_BLOCK_NODES_H

#include "escapement/internal/blocks.h"
#include "escapement/internal/vector_activation.h"

enum { ESC_BLOCK_LANES = ESC_VECTOR_LANES };
typedef esc_vector esc_block_vector; /* one number for each node of a tile */

/* ESC_BLOCK_LANES nodes with their weights, targets and the passes of the network at them. */
typedef struct esc_block_tile {
  esc_block_vector weight, target;
  esc_block_vector h[ESC_LAYERS_MAX][ESC_BLOCK_MODES_MAX];  /* h[0] = g */
  esc_block_vector d1[ESC_LAYERS_MAX][ESC_BLOCK_MODES_MAX]; /* sigma' */
  esc_block_vector d2[ESC_LAYERS_MAX][ESC_BLOCK_MODES_MAX]; /* sigma'' */
  esc_block_vector f;
} esc_block_tile;

/* Offset of layer l (from 0) in a state. */
static inline int esc_block_layer_offset(const esc_block_problem *p, int l) {
  return l * p->modes * p->modes;
}

/* Whether entry (k, j) of layer l, not the last, moves at the problem's closure level. */
static inline bool esc_block_is_free(const esc_block_problem *p, int l, int k, int j) {
  const int channels = p->level == ESC_BLOCK_EXACT     ? p->layers
                       : p->level == ESC_BLOCK_ROTATED ? 3
                                                       : 1;
  return k == j || l + 1 < channels;
}

static inline void esc_block_add(esc_block_vector out, double a, const esc_block_vector in) {
  for (int s = 0; s < ESC_BLOCK_LANES; s++) out[s] += a * in[s];
}

static inline void esc_block_add_product(esc_block_vector out, const esc_block_vector a,
                                         const esc_block_vector b) {
  for (int s = 0; s < ESC_BLOCK_LANES; s++) out[s] += a[s] * b[s];
}

/* Computes h, d1 and f from h[0], and d2 if `second`. */
void esc_block_forward(const esc_block_problem *p, const double *state, bool second,
                       esc_block_tile *t);

/* Adds u df/dA lane by lane, for the entries that move at the closure level, or for all. */
void esc_block_backward(const esc_block_problem *p, const double *state, bool all_entries,
                        const esc_block_tile *t, const esc_block_vector u,
                        esc_block_vector *gradient);

/* Adds a tile's contribution to `out`, lane by lane; the lanes are summed at the end of a chunk of
 * tiles. The tile has its weights, targets and h[0]. */
typedef void esc_block_integrand(const esc_block_problem *p, const void *context, esc_block_tile *t,
                                 esc_block_vector *out);

/* out[0..length) = the sum of `integrand` over all tiles. The order of the sum does not depend on
 * the number of threads. */
esc_status esc_block_sum(const esc_block_problem *p, const esc_block_grid *grid, int length,
                         esc_block_integrand *integrand, const void *context, double *out);

#endif
