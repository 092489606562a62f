/* SPDX-License-Identifier: Apache-2.0 */
/* Quadrature rules over N(0, 1) for a chain of unequal scales; private to src/theory. */
#ifndef ESCAPEMENT_THEORY_GAUSSIAN_H
#define ESCAPEMENT_THEORY_GAUSSIAN_H

#include "escapement/internal/theory.h"

/* Every rule is valid at least for scales up to this value. */
#define ESC_RULE_SCALE_MIN 0.1

/* As esc_gaussian_rule, for the chain whose layer l has scale[l] (layers); the rule is valid for
 * smaller scales too. ESC_BAD_INPUT where no rule reaches the tolerance. */
esc_status esc_gaussian_rule_for_scales(const esc_activation *activation, int layers,
                                        const double *scale, double tolerance, esc_quadrature *out);

#endif
