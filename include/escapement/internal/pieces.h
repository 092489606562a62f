/* SPDX-License-Identifier: Apache-2.0 */
/* The activation of theory: one of activation_list.h, or the pieces of a caller's function, which
 * no engine trains. */
#ifndef ESCAPEMENT_PIECES_H
#define ESCAPEMENT_PIECES_H

#include "escapement/internal/activation.h"
#include "escapement/status.h"

/* sigma(z), sigma'(z) and kappa(z) of a function of pieces. */
esc_eval_f64 esc_pieces_evaluate(const esc_activation_pieces *pieces, double z);

/* sigma''(z) of a function of pieces. */
double esc_pieces_second_derivative(const esc_activation_pieces *pieces, double z);

/* ESC_BAD_INPUT for pieces that esc_activation_from_pieces refuses. */
esc_status esc_pieces_check(const esc_activation_pieces *pieces);

/* Inlined always, so that a caller of sigma and sigma' does not pay for the series of kappa. */
ESC_SHARED esc_eval_f64 esc_theory_activate(const esc_activation *activation, double z) {
  return activation->kind == ESC_ACTIVATION_PIECEWISE ? esc_pieces_evaluate(activation->pieces, z)
                                                      : esc_activate_f64(activation, z);
}

/* e is the activation at z. */
static inline double esc_theory_second_derivative(const esc_activation *activation, double z,
                                                  esc_eval_f64 e) {
  return activation->kind == ESC_ACTIVATION_PIECEWISE
             ? esc_pieces_second_derivative(activation->pieces, z)
             : esc_second_derivative_f64(activation, z, e);
}

#endif
