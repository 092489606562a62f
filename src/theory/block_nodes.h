/* Sums over the nodes of a block grid, and what the passes over them share. */
#ifndef ESCAPEMENT_THEORY_BLOCK_NODES_H
#define ESCAPEMENT_THEORY_BLOCK_NODES_H

#include "escapement/blocks.h"
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

/* Summed as a tree, so that it vectorises. */
static inline double esc_block_dot(const double *a, const double *b) {
  esc_block_lane t;
  for (int s = 0; s < ESC_BLOCK_LANES; s++) t[s] = a[s] * b[s];
  for (int s = 0; s < 8; s++) t[s] += t[s + 8];
  for (int s = 0; s < 4; s++) t[s] += t[s + 4];
  return (t[0] + t[2]) + (t[1] + t[3]);
}

/* Fills h, slope and f from h[0]; bend too where wanted. */
void esc_block_forward(const esc_block_problem *p, const double *state, bool bend,
                       esc_block_tile *t);

/* Adds sum_s u[s] df/dA at the tile's nodes. */
void esc_block_backward(const esc_block_problem *p, const double *state, const esc_block_tile *t,
                        const esc_block_lane u, double *gradient);

/* Adds a tile's part to `out`. The tile comes with its weights, targets and h[0]. */
typedef void esc_block_visit(const esc_block_problem *p, const void *context, esc_block_tile *t,
                             double *out);

/* out[0..row) = the sum of all visits, in one order whatever the number of threads. */
esc_status esc_block_sum(const esc_block_problem *p, const esc_block_grid *grid, int row,
                         esc_block_visit *visit, const void *context, double *out);

#endif
