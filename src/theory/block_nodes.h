/* SPDX-License-Identifier: Apache-2.0 */
/* Sums over the nodes of a block grid, and what the passes over them share. */
#ifndef ESCAPEMENT_THEORY_BLOCK_NODES_H
#define ESCAPEMENT_THEORY_BLOCK_NODES_H

#include "escapement/internal/blocks.h"
#include "lanes.h"

typedef struct esc_block_tile {
  esc_block_lane weight, target;
  esc_block_lane h[ESC_LAYERS_MAX][ESC_BLOCK_MODES_MAX];     /* h[0] = g */
  esc_block_lane slope[ESC_LAYERS_MAX][ESC_BLOCK_MODES_MAX]; /* sigma' */
  esc_block_lane bend[ESC_LAYERS_MAX][ESC_BLOCK_MODES_MAX];  /* sigma'' */
  esc_block_lane f;
} esc_block_tile;

/* Place of layer l's (0-based) first number in a state. */
static inline int esc_block_layer(const esc_block_problem *p, int l) {
  return l * p->modes * p->modes;
}

/* Whether the level moves entry (k, j) of layer l, l not the last. */
static inline bool esc_block_moves(const esc_block_problem *p, int l, int k, int j) {
  const int channels = p->level == ESC_BLOCK_EXACT     ? p->layers
                       : p->level == ESC_BLOCK_ROTATED ? 3
                                                       : 1;
  return k == j || l + 1 < channels;
}

static inline void esc_block_add(esc_block_lane out, double a, const esc_block_lane in) {
  for (int s = 0; s < ESC_BLOCK_LANES; s++) out[s] += a * in[s];
}

static inline void esc_block_add_product(esc_block_lane out, const esc_block_lane a,
                                         const esc_block_lane b) {
  for (int s = 0; s < ESC_BLOCK_LANES; s++) out[s] += a[s] * b[s];
}

/* Fills h, slope and f from h[0]; bend too where wanted. */
void esc_block_forward(const esc_block_problem *p, const double *state, bool bend,
                       esc_block_tile *t);

/* Adds u df/dA, node by node, where `all` or the level moves the entry. */
void esc_block_backward(const esc_block_problem *p, const double *state, bool all,
                        const esc_block_tile *t, const esc_block_lane u, esc_block_lane *gradient);

/* Adds a tile's part to `out`, lane by lane: the lanes are summed at the end of a chunk of tiles.
 * The tile comes with its weights, targets and h[0]. */
typedef void esc_block_visit(const esc_block_problem *p, const void *context, esc_block_tile *t,
                             esc_block_lane *out);

/* out[0..row) = the sum of all visits, in one order whatever the number of threads. */
esc_status esc_block_sum(const esc_block_problem *p, const esc_block_grid *grid, int row,
                         esc_block_visit *visit, const void *context, double *out);

#endif
