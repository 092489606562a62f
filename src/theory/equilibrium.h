/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a gradient flow is at an equilibrium; private to src/theory. */
#ifndef ESCAPEMENT_THEORY_EQUILIBRIUM_H
#define ESCAPEMENT_THEORY_EQUILIBRIUM_H

#include <stdbool.h>

#include "escapement/internal/status.h"

typedef enum esc_equilibrium {
  ESC_EQUILIBRIUM_NONE,   /* still moves */
  ESC_EQUILIBRIUM_STABLE, /* a fixed point that the flow does not leave */
  ESC_EQUILIBRIUM_SADDLE, /* the rate vanishes to within rounding, but some direction is unstable */
} esc_equilibrium;

/* Classifies the state s (n) of a gradient flow by its right-hand side (n), the symmetric Jacobian
 * (n, n), and the size (n) of the terms that cancel in the right-hand side. The state is at an
 * equilibrium if, in the eigenvectors of the Jacobian, each component of the right-hand side is
 * within rounding of 0, or is stable with a remaining displacement below 1e-10 of the state. */
esc_status esc_equilibrium_find(int n, const double *s, const double *rhs, const double *term_size,
                                const double *jacobian, esc_equilibrium *out);

#endif
