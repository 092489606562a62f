/* SPDX-License-Identifier: Apache-2.0 */
/* The activations: the one table, from which enumerators, names, and the choice of the formula in C
 * and CUDA are generated. A new activation is a row here and its formulas in activation_template.h.
 *
 * ROW(context, kind, function, name in the spec, odd, corner)
 *   function  esc_<function>_eval and esc_<function>_second_derivative of activation_template.h
 *   odd       sigma(-z) = -sigma(z)
 *   corner    sigma' jumps at 0, so that quadrature is split there
 * `softplus` and `sigmoid` are centred, sigma(z) - sigma(0); the raw ones are not (docs/theory,
 * section 2.3). */
#ifndef ESCAPEMENT_ACTIVATION_LIST_H
#define ESCAPEMENT_ACTIVATION_LIST_H

/* Functions of z alone. */
#define ESC_ACTIVATION_FUNCTIONS(ROW, context)                           \
  ROW(context, LINEAR, linear, "linear", true, false)                    \
  ROW(context, RELU, relu, "relu", false, true)                          \
  ROW(context, TANH, tanh, "tanh", true, false)                          \
  ROW(context, ERF, erf, "erf", true, false)                             \
  ROW(context, SIN, sin, "sin", true, false)                             \
  ROW(context, GELU, gelu, "gelu", false, false)                         \
  ROW(context, SWISH, swish, "swish", false, false)                      \
  ROW(context, SOFTPLUS, softplus, "softplus", false, false)             \
  ROW(context, SIGMOID, sigmoid, "sigmoid", true, false)                 \
  ROW(context, SOFTPLUS_RAW, softplus_raw, "softplus-raw", false, false) \
  ROW(context, SIGMOID_RAW, sigmoid_raw, "sigmoid-raw", false, false)

/* All, the polynomial, which has coefficients and is odd if they are, last. */
#define ESC_ACTIVATIONS(ROW, context)    \
  ESC_ACTIVATION_FUNCTIONS(ROW, context) \
  ROW(context, POLYNOMIAL, polynomial, "poly", false, false)

#endif
