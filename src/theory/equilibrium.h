/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a gradient flow has come to its end; private to src/theory. */
#ifndef ESCAPEMENT_THEORY_EQUILIBRIUM_H
#define ESCAPEMENT_THEORY_EQUILIBRIUM_H

#include <stdbool.h>

#include "escapement/internal/status.h"

typedef enum esc_equilibrium {
  ESC_EQUILIBRIUM_NONE,   /* still moves */
  ESC_EQUILIBRIUM_STABLE, /* a fixed point that the flow does not leave */
  ESC_EQUILIBRIUM_SADDLE, /* the rate vanishes to within rounding, but some direction is unstable */
} esc_equilibrium;

/* Judges the state s (n) of a gradient flow by its rate (n), the symmetric Jacobian (n, n) of the
 * rate, and the size (n) of the terms that cancel in the rate. In the eigenvectors of the Jacobian
 * the flow is at rest where each component of the rate is rounding, or belongs to a stable
 * direction along which less than 1e-10 of the state is left to go. */
esc_status esc_equilibrium_find(int n, const double *s, const double *rhs, const double *term_size,
                                const double *jacobian, esc_equilibrium *out);

#endif
