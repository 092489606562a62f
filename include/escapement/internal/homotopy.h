/* How the escape of a mode moves from one closure level to another (theory, section 6): along
 *   F_lambda(y) = (1 - lambda) M F(M y) + lambda F(y),
 * M the mask of the lower level, F the flow of the upper one. With the adjoint p (p' = -J' p
 * backwards from p(t*) = -grad S_k / (grad S_k . F_lambda), so that p . F_lambda = -1)
 *   dt_k/dlambda = integral over 0..t_k of p . (F(y) - M F(M y)) dt,
 * and each group of coordinates, a channel, has its part in the scalar product. Computed forward:
 * the same parts from z_c' = J z_c + P_c (F(y) - M F(M y)), P_c the projection onto channel c,
 * as -(grad S_k . z_c) / (grad S_k . F_lambda) at t_k. */
#ifndef ESCAPEMENT_HOMOTOPY_H
#define ESCAPEMENT_HOMOTOPY_H

#include "escapement/internal/blocks.h"

typedef struct esc_homotopy {
  esc_block_problem problem; /* its level is the upper one */
  esc_block_level lower;
  double tolerance; /* of an attribution, relative to the shift; 0: 1e-5 */
} esc_homotopy;

/* One lambda. Mode k that does not escape has NaN. */
typedef struct esc_homotopy_point {
  double lambda;
  double escape[ESC_BLOCK_MODES_MAX];                  /* first time that S_k passes a_k c_1 / 2 */
  double slope[ESC_BLOCK_MODES_MAX];                   /* dt_k/dlambda */
  double channel[ESC_BLOCK_MODES_MAX][ESC_LAYERS_MAX]; /* its parts, by esc_block_channel */
} esc_homotopy_point;

/* escape, and with `slopes` the rest. Refuses activations without sigma'' (relu), and in
 * words a mode that does not escape. */
esc_status esc_homotopy_at(const esc_homotopy *homotopy, const esc_block_grid *grid, double lambda,
                           bool slopes, esc_homotopy_point *out);

enum { ESC_ATTRIBUTION_JUMPS_MAX = 8 };

/* Lambda from..to, as narrow as the attribution resolves, over which the escape time of a mode
 * jumps: the passage that was the first one vanishes, or an earlier one appears. */
typedef struct esc_attribution_jump {
  double from, to;
  double size[ESC_BLOCK_MODES_MAX]; /* t_k(to) - t_k(from) */
} esc_attribution_jump;

/* The shift t_k(1) - t_k(0) split by channel: dt_k/dlambda integrated on a grid of lambda that is
 * refined until the channels add up to the difference of the times at each interval's ends. */
typedef struct esc_attribution {
  int points;
  esc_homotopy_point *point; /* (points), lambda ascending, where slopes were taken; owned */
  double from[ESC_BLOCK_MODES_MAX], to[ESC_BLOCK_MODES_MAX]; /* t_k at lambda 0 and 1 */
  double channel[ESC_BLOCK_MODES_MAX][ESC_LAYERS_MAX];       /* integrated */
  double residual[ESC_BLOCK_MODES_MAX]; /* t_k(1) - t_k(0) - their sum - jumps */
  double error[ESC_BLOCK_MODES_MAX]; /* estimate: the sum of the intervals' |errors| above noise */
  /* Largest change of t_k by a coarser grid of nodes, at the ends and at points between, the
   * steepest among them; NaN where a mode does not escape on it. */
  double node_error[ESC_BLOCK_MODES_MAX];
  bool converged; /* error <= tolerance; false: too many points or jumps */
  int jumps;
  esc_attribution_jump jump[ESC_ATTRIBUTION_JUMPS_MAX]; /* no channel has a part in these */
  double
      cancellation[ESC_BLOCK_MODES_MAX];  /* least |sum| / sum of |.| of the channels over lambda */
  double cancels_at[ESC_BLOCK_MODES_MAX]; /* where that is */
} esc_attribution;

/* Called after each point of lambda, from any thread but one at a time: `expected` is the number
 * that the errors found so far lead to expect. */
typedef void esc_attribution_report(void *context, int done, int expected);

/* `report` (NULL: none). The numbers do not depend on the number of threads. */
esc_status esc_homotopy_attribute(const esc_homotopy *homotopy, esc_attribution_report *report,
                                  void *context, esc_attribution *out);
void esc_attribution_free(esc_attribution *attribution);

#endif
