/* SPDX-License-Identifier: Apache-2.0 */
/* Several modes on the exact block reduction (docs/theory, section 6.2): permutation symmetry keeps
 * every layer of a block-initialised network block-constant, so that its population flow is
 * that of a width-K network on g ~ N(0, I_K),
 *   h_1 = sigma(A_1 g), h_l = sigma(A_l h_{l-1}), f = A_L h_{L-1}, dA/dt = -grad E[(f-T)^2]/2.
 * A state is A_1, ..., A_{L-1} (K, K), row-major, and A_L (K), one behind the other. */
#ifndef ESCAPEMENT_INTERNAL_BLOCKS_H
#define ESCAPEMENT_INTERNAL_BLOCKS_H

#include "escapement/blocks.h"
#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"

enum {
  ESC_BLOCK_SIZE_MAX =
      ESC_BLOCK_MODES_MAX * ESC_BLOCK_MODES_MAX * (ESC_LAYERS_MAX - 1) + ESC_BLOCK_MODES_MAX
};

/* Nodes g with weights for E over N(0, I_K), on a lattice; K up to 8. For an odd activation
 * half of them, each standing for its mirror image too. */
typedef struct esc_block_grid {
  int modes, nodes;
  double *g;      /* (mode, node); owned */
  double *weight; /* (node); owned */
  double *target; /* (node): the teacher there; owned */
} esc_block_grid;

/* `fineness` 1 is what escape times are computed on; 1.25 checks it. */
esc_status esc_block_grid_create(const esc_block_problem *problem, double fineness,
                                 esc_block_grid *grid);
void esc_block_grid_free(esc_block_grid *grid);

int esc_block_size(const esc_block_problem *problem); /* numbers in a state: K^2 (L-1) + K */
void esc_block_initial_state(const esc_block_problem *problem, double *state);

/* A coordinate's channel: 0 for the scales (diagonals and A_L), l for the rest of A_l. */
int esc_block_channel(const esc_block_problem *problem, int coordinate);

/* Makes 0 the coordinates of a state or a rate that the level leaves out. */
void esc_block_mask(const esc_block_problem *problem, double *vector);

/* What a state says of the modes. */
typedef struct esc_block_signals {
  double loss;                   /* E[(f-T)^2]/2 */
  double s[ESC_BLOCK_MODES_MAX]; /* S_k = E[g_k f] */
  double h[ESC_BLOCK_MODES_MAX]; /* E[He_3(g_k) f] */
} esc_block_signals;

/* dA/dt (NULL: not wanted), coordinates that the level freezes 0, and the signals. Sums over
 * nodes have one order whatever the number of threads. */
esc_status esc_block_flow(const esc_block_problem *problem, const esc_block_grid *grid,
                          const double *state, double *rhs, esc_block_signals *signals);

/* dS_k/dA of mode k, all coordinates. */
esc_status esc_block_signal_gradient(const esc_block_problem *problem, const esc_block_grid *grid,
                                     const double *state, int mode, double *gradient);

/* J v for `count` directions v (count, size), J = d(rate)/dA. Directions are the caller's to
 * mask; products are masked. J is minus the loss's Hessian, so symmetric. For ReLU the delta
 * function of sigma'' is missing. */
esc_status esc_block_jacobian_product(const esc_block_problem *problem, const esc_block_grid *grid,
                                      const double *state, int count, const double *direction,
                                      double *product);

/* The rate and J v for directions v (count, size) at once, in one pass over the nodes; all
 * masked. */
typedef struct esc_block_directions {
  int count;
  const double *v;
} esc_block_directions;
esc_status esc_block_linearise(const esc_block_problem *problem, const esc_block_grid *grid,
                               const double *state, esc_block_directions directions, double *rhs,
                               double *product);

/* J itself (size, size), row-major; rows and columns that the level leaves out are 0. */
esc_status esc_block_jacobian(const esc_block_problem *problem, const esc_block_grid *grid,
                              const double *state, double *jacobian);

/* Integrates whatever the sign of the leading drive: a start may escape by a higher order, or
 * after its smallest scale has passed through 0. ESC_BAD_INPUT where the flow overflows a double
 * at the start. */
esc_status esc_block_times_find(const esc_block_problem *problem, esc_block_times *out);

#endif
