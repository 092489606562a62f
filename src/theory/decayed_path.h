/* SPDX-License-Identifier: Apache-2.0 */
/* The leading order with weight decay (docs/theory, section 4.11); private to src/theory.
 *
 * ds_l/dt = D prod_{j != l} s_j - lambda s_l is the equation without decay in other variables: with
 * s_l = exp(-lambda t) S_l and dT = exp(-(L-2) lambda t) dt,
 *   dS_l/dT = D prod_{j != l} S_j.
 * So S follows the path of constant gaps, and of its time T only the part below the horizon
 * 1 / ((L-2) lambda) is ever used. A path that diverges at T_0 escapes where T_0 is before the
 * horizon: lambda_c = 1 / ((L-2) T_0). */
#ifndef ESCAPEMENT_THEORY_DECAYED_PATH_H
#define ESCAPEMENT_THEORY_DECAYED_PATH_H

#include "leading_order.h"

/* D t at which the watched scale first reaches s*, for a positive drive and decay; NaN where it
 * does not. */
esc_status esc_decayed_path_time(const esc_leading_order *start, double *out);

/* D T_0, for L >= 3. */
esc_status esc_divergence_time(const esc_leading_order *start, double *out);

#endif
