/* SPDX-License-Identifier: Apache-2.0 */
/* Growth rates of linearised plateaus (docs/theory, sections 6.7 and 6.8).
 *
 * J = [[-D_1, B], [C, -D_2]] with D diagonal and positive, B and C nonnegative, has a positive
 * eigenvalue if and only if its loop gain rho(D_1^-1 B D_2^-1 C) exceeds 1; the largest one is
 * the lambda with rho((lambda + D_1)^-1 B (lambda + D_2)^-1 C) = 1. Matrices are row-major. */
#ifndef ESCAPEMENT_SPECTRUM_H
#define ESCAPEMENT_SPECTRUM_H

#include <stdbool.h>

#include "escapement/internal/blocks.h"
#include "escapement/internal/status.h"

/* Largest |eigenvalue| of m (n, n), the Perron root of a nonnegative m. Computed for each
 * strongly connected class of coordinates, so that a nilpotent matrix has exactly 0, not a root of
 * the rounding error. */
esc_status esc_spectral_radius(int n, const double *m, double *rho);

/* Largest real part of an eigenvalue of m (n, n). */
esc_status esc_spectral_abscissa(int n, const double *m, double *abscissa);

/* J (n1 + n2, n1 + n2), D_1 (n1, n1). Entries below `tolerance` of the largest count as 0. */
esc_status esc_schur_perron(int n1, int n2, const double *j, double tolerance, esc_schur *out);

/* J (2n, 2n) truncated to the first M coordinates of each block, M = 1..n. For nonnegative coupling
 * the growth is non-decreasing in M, and increases where the added coordinate is coupled
 * irreducibly: no finite truncation is closed. */
typedef struct esc_truncation {
  double gain, growth; /* growth: NaN where the gain is not above 1 */
  double time;         /* to grow by `factor`; infinite without growth */
} esc_truncation;
esc_status esc_truncations(int n, const double *j, double factor, esc_truncation *out);

/* An example J (2n, 2n) from an activation: B = C^T is `strength` times the absolute values of the
 * matrix of multiplication by sigma between the normalised Hermite polynomials of orders 0, 2, ..
 * and 1, 3, ..; the damping of an order is 1 + order. */
esc_status esc_hermite_coupling(const esc_activation *activation, int n, double strength,
                                double *j);

/* Coordinates (theta, omega) of a block state: the off-diagonal entries of A_1, then of A_2, row
 * by row; *count = K(K-1) of each. Needs L >= 3. */
esc_status esc_block_pairs(const esc_block_problem *problem, int *count, int *coordinate);

/* The Jacobian's (theta, omega) block at a state. */
esc_status esc_block_spectrum(const esc_block_problem *problem, const esc_block_grid *grid,
                              const double *state, esc_schur *out);

/* States (count, size) of the flow from its start at ascending times. */
esc_status esc_block_trajectory(const esc_block_problem *problem, const esc_block_grid *grid,
                                int count, const double *time, double *state);

/* Coordinates with initial value 0, the horizon of their integration, and ascending times at which
 * their departures are evaluated. */
typedef struct esc_duhamel_request {
  int count;
  const int *coordinate;
  double horizon;
  int times;
  const double *time;
} esc_duhamel_request;

/* Duhamel's form of each coordinate into out (count). departures (count, times; NULL without
 * times): relative departures of the form from the integrated coordinate. */
esc_status esc_block_duhamel(const esc_block_problem *problem, const esc_block_grid *grid,
                             const esc_duhamel_request *request, esc_duhamel *out,
                             double *departures);

/* The implementation of esc_plateau_spectrum_compute, without checks of the problem. */
esc_status esc_plateau_spectrum_find(const esc_block_problem *problem, const esc_block_times *times,
                                     esc_plateau_spectrum *out);

#endif
