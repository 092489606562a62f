/* SPDX-License-Identifier: Apache-2.0 */
/* Derivative of a mode's escape time along the homotopy between two closure levels (docs/theory,
 * section 6.6): F_lambda(y) = (1 - lambda) P F(P y) + lambda F(y), P the mask of the lower level, F
 * the flow of the upper one. With the adjoint p (p' = -J^T p backwards from p(t*) = -grad S_k /
 * (grad S_k . F_lambda), so that p . F_lambda = -1) dt_k/dlambda = integral over 0..t_k of p .
 * (F(y) - P F(P y)) dt, and each group of coordinates, a channel, contributes its terms of the
 * scalar product. Computed by forward sensitivities: the same contributions are -(grad S_k . z_c) /
 * (grad S_k . F_lambda) at t_k with z_c' = J z_c + P_c (F(y) - P F(P y)), P_c the projection onto
 * channel c. */
#ifndef ESCAPEMENT_HOMOTOPY_H
#define ESCAPEMENT_HOMOTOPY_H

#include "escapement/internal/blocks.h"

/* Fills `escape`, and with `sensitivities` the derivatives. ESC_BAD_INPUT for an activation without
 * sigma'' (relu), or where a mode does not escape. */
esc_status esc_homotopy_evaluate(const esc_homotopy *homotopy, const esc_block_grid *grid,
                                 double lambda, bool sensitivities, esc_homotopy_point *out);

/* `report` (NULL: none). The numbers do not depend on the number of threads. */
esc_status esc_attribution_find(const esc_homotopy *homotopy, esc_attribution_report *report,
                                void *context, esc_attribution *out);

#endif
