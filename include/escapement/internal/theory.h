/* SPDX-License-Identifier: Apache-2.0 */
/* Theory of activations, and of the escape on the symmetric manifold (docs/theory, sections 2, 3,
 * 4): functions of activation, amplitude and scales in double precision, independent of the
 * engines. Layers count from 0. */
#ifndef ESCAPEMENT_INTERNAL_THEORY_H
#define ESCAPEMENT_INTERNAL_THEORY_H

#include <stdbool.h>

#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"
#include "escapement/theory.h"

/* ---- classes of activation (docs/theory, section 2) ---- */

/* Class and constants; c_1 to 1e-13 where sigma is smooth. */
esc_status esc_classify(const esc_activation *activation, esc_classification *out);

/* One sentence for each assumption of the theory that fails, separated by "; ";
 * "" if none does. */
void esc_classification_warnings(const esc_classification *c, char *text, size_t size);

/* ---- Gaussian expectations (docs/theory, section 3.4) ---- */

/* E[h(g)] for n functions h_0..h_{n-1} of g ~ N(0, 1) at once: h(context, g, out).
 * The rule is chosen by comparing n nodes with 2n; *error is the largest difference, each
 * relative to its E|h_i|; above `tolerance` if no rule reaches that. */
typedef void esc_gaussian_integrand(void *context, double g, double *out);
typedef struct esc_gaussian_integral {
  esc_gaussian_integrand *h;
  void *context;
  int n;
  bool corner; /* h has a corner at 0 */
} esc_gaussian_integral;
esc_status esc_gaussian_expectation(const esc_gaussian_integral *integral, double tolerance,
                                    double *out, double *error);

/* E[h(g)] as sum_i weight_i h(node_i). */
typedef struct esc_quadrature {
  int count;
  double *node, *weight; /* (count); owned */
} esc_quadrature;
void esc_quadrature_free(esc_quadrature *rule);

/* A fixed rule that is valid for chains with scales up to `largest`: twice as many nodes change the
 * averages of the right-hand side at the largest scales by less than `tolerance`, relatively. */
esc_status esc_gaussian_rule(const esc_activation *activation, int layers, double largest,
                             double tolerance, esc_quadrature *out);

/* ---- the reduced ODE and escape times (docs/theory, sections 3.5 and 4) ---- */

/* The implementation of esc_escape_times_compute, without checks of its arguments. */
esc_status esc_escape_times_find(const esc_escape_problem *problem, esc_escape_times *out);

/* The implementation of esc_critical_decay_compute, without checks of its arguments. */
esc_status esc_critical_decay_find(const esc_escape_problem *problem, esc_critical_decay *out);

/* Relaxation time of the velocity, eta (1 + beta) / (2 (1 - beta)); 0 for rate 0: T s'' + s' =
 * (right-hand side) / (1 - beta). */
double esc_relaxation_time(const esc_escape_problem *problem);

/* The right-hand side E[(a sigma(g) - f) df/ds_l] - lambda s_l of the reduced ODE, which is ds_l/dt
 * without momentum, with its Jacobian (row-major (L, L), NULL if not wanted), by the given rule. */
void esc_reduced_rhs(const esc_escape_problem *problem, const esc_quadrature *rule, const double *s,
                     double *rhs, double *jacobian);

/* The reduced ODE at given times (ascending): scales (time, layer) and population
 * loss E[(a sigma(g) - f)^2]/2 (time). */
esc_status esc_reduced_trajectory(const esc_escape_problem *problem, int times, const double *time,
                                  double *scale, double *loss);

/* ---- arguments of public functions ---- */

/* ESC_BAD_INPUT for an invalid activation, or layers other than 2 to ESC_LAYERS_MAX. */
esc_status esc_activation_check(const esc_activation *activation);
esc_status esc_layers_check(int layers);

#endif
