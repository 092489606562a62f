/* SPDX-License-Identifier: Apache-2.0 */
/* Several modes on the exact block reduction (docs/theory, section 6.2): permutation symmetry keeps
 * every layer of a block-initialised network block-constant, so that its population flow is
 * that of a width-K network on g ~ N(0, I_K),
 *   h_1 = sigma(A_1 g), h_l = sigma(A_l h_{l-1}), f = A_L h_{L-1}, dA/dt = -grad E[(f-T)^2]/2.
 * A state is A_1, ..., A_{L-1} (K, K), row-major, then A_L (K). */
#ifndef ESCAPEMENT_INTERNAL_BLOCKS_H
#define ESCAPEMENT_INTERNAL_BLOCKS_H

#include "escapement/blocks.h"
#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"

enum {
  ESC_BLOCK_SIZE_MAX =
      ESC_BLOCK_MODES_MAX * ESC_BLOCK_MODES_MAX * (ESC_LAYERS_MAX - 1) + ESC_BLOCK_MODES_MAX
};

/* Nodes g with weights for E over N(0, I_K), on a lattice; K up to 8. For an odd activation only
 * half of the nodes, with doubled weights: the mirror image contributes the same. */
typedef struct esc_block_grid {
  int modes, nodes;
  double *g;      /* (mode, node); owned */
  double *weight; /* (node); owned */
  double *target; /* (node): the teacher at the node; owned */
} esc_block_grid;

/* `fineness` 1 is the default; spacing and radius of the nodes follow from it. */
esc_status esc_block_grid_create(const esc_block_problem *problem, double fineness,
                                 esc_block_grid *grid);
void esc_block_grid_free(esc_block_grid *grid);

int esc_block_size(const esc_block_problem *problem); /* numbers in a state: K^2 (L-1) + K */
void esc_block_initial_state(const esc_block_problem *problem, double *state);

/* A coordinate's channel: 0 for the scales (diagonals and A_L), l for the rest of A_l. */
int esc_block_channel(const esc_block_problem *problem, int coordinate);

/* Sets to 0 the coordinates of a state or a right-hand side that the level excludes. */
void esc_block_mask(const esc_block_problem *problem, double *vector);

/* Signals of the modes at a state. */
typedef struct esc_block_signals {
  double loss;                   /* E[(f-T)^2]/2 */
  double s[ESC_BLOCK_MODES_MAX]; /* S_k = E[g_k f] */
  double h[ESC_BLOCK_MODES_MAX]; /* E[He_3(g_k) f] */
} esc_block_signals;

/* dA/dt (NULL: not wanted), 0 in the coordinates that the level excludes, and the signals. The
 * order of the sums over nodes does not depend on the number of threads. */
esc_status esc_block_flow(const esc_block_problem *problem, const esc_block_grid *grid,
                          const double *state, double *rhs, esc_block_signals *signals);

/* dS_k/dA of mode k, all coordinates. */
esc_status esc_block_signal_gradient(const esc_block_problem *problem, const esc_block_grid *grid,
                                     const double *state, int mode, double *gradient);

/* J v for `count` directions v (count, size), J = d(rhs)/dA. The caller masks the directions;
 * products are masked. J is minus the Hessian of the loss, so symmetric. For ReLU the delta
 * function in sigma'' is missing. */
esc_status esc_block_jacobian_product(const esc_block_problem *problem, const esc_block_grid *grid,
                                      const double *state, int count, const double *direction,
                                      double *product);

/* The right-hand side (NULL: not wanted) and J v for directions v (count, size), in one pass over
 * the nodes; all masked. */
typedef struct esc_block_directions {
  int count;
  const double *v;
} esc_block_directions;
esc_status esc_block_linearise(const esc_block_problem *problem, const esc_block_grid *grid,
                               const double *state, esc_block_directions directions, double *rhs,
                               double *product);

/* J (size, size), row-major; rows and columns that the level excludes are 0. */
esc_status esc_block_jacobian(const esc_block_problem *problem, const esc_block_grid *grid,
                              const double *state, double *jacobian);

/* The implementation of esc_block_times_compute, without checks of its arguments. */
esc_status esc_block_times_find(const esc_block_problem *problem, esc_block_times *out);

#endif
