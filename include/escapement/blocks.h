/* SPDX-License-Identifier: Apache-2.0 */
/* Several modes on the exact block reduction: permutation symmetry keeps every layer of a
 * block-initialised network block-constant, so that its population flow is that of a width-K
 * network on g ~ N(0, I_K), for any width of the network (arXiv 2605.01288). Times are flow time:
 * steps times the learning rate. Modes count from 0 in arrays, from 1 in texts. */
#ifndef ESCAPEMENT_BLOCKS_H
#define ESCAPEMENT_BLOCKS_H

#include <stdbool.h>

#include "escapement/activation.h"
#include "escapement/export.h"
#include "escapement/limits.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

enum { ESC_BLOCK_MODES_MAX = 8 };

/* Level of the closure hierarchy: the free coordinates of a state; the others are 0. */
typedef enum esc_block_level {
  ESC_BLOCK_DIAGONAL, /* 0: the scales: diagonals, and A_L */
  ESC_BLOCK_ROTATED,  /* 1: all of A_1 and A_2 too */
  ESC_BLOCK_EXACT     /* 2: everything */
} esc_block_level;

typedef struct esc_block_problem {
  esc_activation activation;
  int modes, layers;                                 /* K, L >= 2 */
  double amplitude[ESC_BLOCK_MODES_MAX];             /* a_k */
  double scale[ESC_BLOCK_MODES_MAX][ESC_LAYERS_MAX]; /* s_{l,k} at the start */
  esc_block_level level;
  double threshold; /* of the loss E[(f-T)^2]/2, for the time `loss`; 0: none */
} esc_block_problem;

/* Times with absolute errors. The error is the change of the time from a coarser grid with a ten
 * times looser solver tolerance; ten times that where the right-hand sides of the two grids differ
 * by more than 1e-3, because convergence is slow then (stated in `note`). NaN: the event does not
 * occur, or on one of the grids only; `note` has the reason. */
typedef struct esc_block_times {
  double escape[ESC_BLOCK_MODES_MAX];  /* S_k passes a_k c_1 / 2 */
  double hermite[ESC_BLOCK_MODES_MAX]; /* E[He_3(g_k) f] passes a_k c_3 / 2 */
  double loss;                         /* falls below the threshold */
  double escape_error[ESC_BLOCK_MODES_MAX], hermite_error[ESC_BLOCK_MODES_MAX], loss_error;
  double decoupled[ESC_BLOCK_MODES_MAX]; /* leading-order prediction of the mode alone */
  double quadrature_error; /* largest relative error of the times above, and of the right-hand side
                              where the first mode escaped (at the start, if none does) */
  char note[512];
} esc_block_times;

/* The times of `problem`. The flow is integrated for any sign of the leading drive: a start may
 * escape by a higher order, or after its smallest scale has passed through 0. ESC_BAD_INPUT for
 * numbers out of range (1 to ESC_BLOCK_MODES_MAX modes, 2 to ESC_LAYERS_MAX layers, amplitudes
 * other than 0, scales above 0 and up to 10, a threshold of 0 or above), or where the flow
 * overflows a double at the start. Uses OpenMP's threads, or fewer, with a warning, where the
 * system cannot start them; results do not depend on their number. */
ESC_API esc_status esc_block_times_compute(const esc_block_problem *problem, esc_block_times *out);

/* ---- attribution: the shift between closure levels, split by layer ---- */

/* Along F_lambda(y) = (1 - lambda) P F(P y) + lambda F(y), P the mask of the lower level, F the
 * flow of the upper one, lambda from 0 to 1. */
typedef struct esc_homotopy {
  esc_block_problem problem; /* its level is the upper one */
  esc_block_level lower;
  double tolerance; /* of an attribution, relative to the shift; 0: 1e-5 */
} esc_homotopy;

/* The escape times at one lambda, and their derivatives. */
typedef struct esc_homotopy_point {
  double lambda;
  double escape[ESC_BLOCK_MODES_MAX];                  /* first time that S_k passes a_k c_1 / 2 */
  double derivative[ESC_BLOCK_MODES_MAX];              /* dt_k/dlambda */
  double channel[ESC_BLOCK_MODES_MAX][ESC_LAYERS_MAX]; /* its parts, by esc_block_channel */
} esc_homotopy_point;

enum { ESC_ATTRIBUTION_JUMPS_MAX = 8 };

/* An interval from..to of lambda, of the smallest width of the quadrature, in which the escape time
 * of a mode jumps: the first passage vanishes, or an earlier one appears. */
typedef struct esc_attribution_jump {
  double from, to;
  double size[ESC_BLOCK_MODES_MAX]; /* t_k(to) - t_k(from) */
} esc_attribution_jump;

/* The shift t_k(1) - t_k(0) split by channel: dt_k/dlambda integrated on a grid of lambda that is
 * refined until the channels add up to the difference of the times at each interval's ends. */
typedef struct esc_attribution {
  int points;
  esc_homotopy_point *point;                                 /* (points), lambda ascending; owned */
  double from[ESC_BLOCK_MODES_MAX], to[ESC_BLOCK_MODES_MAX]; /* t_k at lambda 0 and 1 */
  double channel[ESC_BLOCK_MODES_MAX][ESC_LAYERS_MAX];       /* integrated */
  double residual[ESC_BLOCK_MODES_MAX]; /* t_k(1) - t_k(0) - sum of channels - jumps */
  double error[ESC_BLOCK_MODES_MAX]; /* estimate: the sum of the intervals' |errors| above noise */
  /* Largest change of t_k by a coarser grid of nodes, at the ends, at points between and at the
   * steepest point; NaN where a mode does not escape on the coarser grid. */
  double node_error[ESC_BLOCK_MODES_MAX];
  bool converged; /* error <= tolerance; false: too many points or jumps */
  int jumps;
  esc_attribution_jump jump[ESC_ATTRIBUTION_JUMPS_MAX]; /* no channel has a part in these */
  double
      cancellation[ESC_BLOCK_MODES_MAX]; /* least |sum| / sum of |.| of the channels over lambda */
  double cancellation_lambda[ESC_BLOCK_MODES_MAX]; /* the lambda of that minimum */
} esc_attribution;

/* Called after each point of lambda, from any thread, one call at a time. `expected`: estimate of
 * the final number of points from the errors so far. */
typedef void esc_attribution_report(void *context, int done, int expected);

/* The attribution; `report` (NULL: none) is called with `context`. Free *out with
 * esc_attribution_free. ESC_BAD_INPUT for numbers out of range as above, a lower level that is not
 * below the upper one, relu, which has no second derivative, or a mode that does not escape. */
ESC_API esc_status esc_attribution_compute(const esc_homotopy *homotopy,
                                           esc_attribution_report *report, void *context,
                                           esc_attribution *out);
ESC_API void esc_attribution_free(esc_attribution *attribution);

/* ---- spectrum: the Jacobian of a plateau, and Duhamel's form ---- */

/* The hypotheses of the Schur-Perron criterion for J = [[-D_1, B], [C, -D_2]], with the worst
 * violations relative to J's largest |entry|, and the conclusions of the criterion. */
typedef struct esc_schur {
  double off_diagonal; /* largest |off-diagonal| entry of D_1 and D_2 */
  double min_damping;  /* least diagonal entry of D_1 and D_2 */
  double min_coupling; /* least entry of B and C, at most 0 */
  double asymmetry;    /* largest |J_ij - J_ji| */
  bool diagonal, positive, nonnegative;
  bool holds;      /* all three: the criterion applies */
  double gain;     /* loop gain, by the diagonals of D; NaN unless they are positive */
  double growth;   /* growth rate lambda; NaN where the gain is not above 1 */
  double abscissa; /* spectral abscissa of J, whether or not the criterion applies */
} esc_schur;

/* Duhamel's form with coefficients frozen at the start, y(t) = (alpha/beta) (1 - e^(-beta t)),
 * beta = -J_ii, alpha = y'(0), against the integrated coordinate. */
typedef struct esc_duhamel {
  double alpha, beta;
  double until; /* first time at which the form is 10% off, to 1e-8; at most the horizon */
} esc_duhamel;

enum { ESC_BLOCK_PAIRS_MAX = ESC_BLOCK_MODES_MAX * (ESC_BLOCK_MODES_MAX - 1) };

/* The Jacobian of (theta, omega), the off-diagonal entries of layers 1 and 2, at two times, and
 * Duhamel's form of each entry with coefficients frozen at the start. */
typedef struct esc_plateau_spectrum {
  int modes, pairs;                             /* K, K(K-1) */
  double time[2];                               /* 0, and half the first escape time */
  esc_schur schur[2];                           /* at each of these times */
  esc_duhamel duhamel[2 * ESC_BLOCK_PAIRS_MAX]; /* (2 pairs): of theta, then of omega */
} esc_plateau_spectrum;

/* The spectrum; `times` are those of esc_block_times_compute. ESC_BAD_INPUT where no mode escapes,
 * with fewer than two modes or three layers, or at level 0. */
ESC_API esc_status esc_plateau_spectrum_compute(const esc_block_problem *problem,
                                                const esc_block_times *times,
                                                esc_plateau_spectrum *out);

/* The two modes, from 0, of entry i of theta or omega, 0 <= i < 2 pairs: row by row without the
 * diagonal. */
ESC_API void esc_plateau_spectrum_modes(const esc_plateau_spectrum *spectrum, int i, int mode[2]);

ESC_END_DECLS

#endif
