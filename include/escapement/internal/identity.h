/* SPDX-License-Identifier: Apache-2.0 */
/* The imbalance identity as a matrix (docs/theory, sections 1.3 and 1.4), in double. At
 * every interface, between layers l and l+1,
 *
 *   M_l = W_{l+1}' W_{l+1} / gamma_{l+1} - W_l W_l' / gamma_l
 *
 * moves along the flow by R_l and in one step of SGD by exactly eta R_l + eta^2 S_l:
 *
 *   R_l = -E[sigma(z) u' + u sigma(z)' - z (u o sigma')' - (u o sigma') z']
 *   S_l = gamma_{l+1} G_{l+1}' G_{l+1} - gamma_l G_l G_l'
 *
 * whatever the loss, the inputs and the metric. The traces are the scalar ledger.
 * All arrays are (interface, N, N), row-major and the caller's. */
#ifndef ESCAPEMENT_IDENTITY_H
#define ESCAPEMENT_IDENTITY_H

#include "escapement/internal/reference.h"

/* M_l of `weights`, flat as in esc_weight_offset. */
void esc_imbalance_matrix(const esc_problem *problem, const double *weights, double *matrix);

/* R_l over `batch`; directions (mode, input). Goes through the samples by itself, so
 * that it says something about gradients that come from elsewhere. ESC_NO_MEMORY. */
esc_status esc_imbalance_flow(const esc_problem *problem, const double *directions,
                              const double *weights, const esc_batch *batch, double *flow);

/* S_l of the gradient g, flat as the weights. */
void esc_imbalance_second(const esc_problem *problem, const double *g, double *second);

/* Trace of interface l's matrix. */
double esc_imbalance_trace(const esc_problem *problem, const double *matrix, int l);

#endif
