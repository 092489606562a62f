/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar chain f = s_L sigma(s_{L-1} ... sigma(s_1 g)) (docs/theory, section 3.2);
 * private to src/theory. */
#ifndef ESCAPEMENT_THEORY_CHAIN_H
#define ESCAPEMENT_THEORY_CHAIN_H

#include "escapement/internal/theory.h"

/* E[(a sigma(g) - f)^2]/2 by the rule given. */
double esc_reduced_loss(const esc_escape_problem *problem, const esc_quadrature *rule,
                        const double *s);

/* E[(|a sigma(g)| + |f|) |df/ds_l|] (layers) into `size`: the size of the terms that cancel in
 * the right-hand side, the scale of its rounding error. */
void esc_reduced_term_sizes(const esc_escape_problem *problem, const esc_quadrature *rule,
                            const double *s, double *size);

/* h_layers(g), the output of the chain's first `layers` activations: g for 0. */
double esc_chain_output(const esc_activation *activation, int layers, const double *s, double g);

#endif
