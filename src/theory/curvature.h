/* sigma'' of every activation, in double: what a flow's Jacobian needs beyond the steps that
 * training takes. */
#ifndef ESCAPEMENT_THEORY_CURVATURE_H
#define ESCAPEMENT_THEORY_CURVATURE_H

#include "escapement/internal/activation.h"

/* e: the activation at z. ReLU's is 0: the delta function at its corner is left out. */
double esc_curvature(const esc_activation *activation, double z, const esc_eval_f64 *e);

#endif
