/* SPDX-License-Identifier: Apache-2.0 */
/* An activation and its derivatives at ESC_VECTOR_LANES numbers at once, in double. */
#ifndef ESCAPEMENT_VECTOR_ACTIVATION_H
#define ESCAPEMENT_VECTOR_ACTIVATION_H

#include "escapement/internal/problem.h"
#include "escapement/internal/simd_clones.h"

enum { ESC_VECTOR_LANES = 16 };

/* One number in each SIMD lane. */
typedef double esc_vector[ESC_VECTOR_LANES];

/* value = sigma(z), d1 = sigma'(z); d2 = sigma''(z) unless NULL. Within a few ulp of
 * esc_theory_activate. A vectorised form has the same bits for every instruction set; an activation
 * without one has those of the C library's functions. */
void esc_vector_activate(const esc_activation *activation, const esc_vector z, esc_vector value,
                         esc_vector d1, double *d2);

#endif
