/* SPDX-License-Identifier: Apache-2.0 */
/* The reference engine's mathematics in double, for tests and checks. */
#ifndef ESCAPEMENT_REFERENCE_H
#define ESCAPEMENT_REFERENCE_H

#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"

/* Inputs with weights that sum to 1: 1/B for a minibatch, quadrature weights
 * for an exact expectation. */
typedef struct esc_batch {
  int samples;
  const double *x;      /* (sample, input) */
  const double *weight; /* (sample); NULL for 1/samples */
} esc_batch;

typedef struct esc_gradient {
  double loss;                    /* E[loss(f, T)] */
  double *g;                      /* G_l = E[delta_l h_{l-1}^T], flat as the weights; caller's */
  double deficit[ESC_LAYERS_MAX]; /* (interface) E[u_l . kappa(z_l)] */
  double grad_norm_sq[ESC_LAYERS_MAX]; /* (layer) |G_l|^2 */
} esc_gradient;

/* Workspace for the passes of one sample, reused by every call. Free with
 * esc_reference_work_free. */
typedef struct esc_reference_work esc_reference_work;
esc_reference_work *esc_reference_work_create(const esc_problem *problem);
void esc_reference_work_free(esc_reference_work *work);

/* f(x) for one input x (input). */
double esc_reference_output(const esc_problem *problem, const double *weights, const double *x,
                            esc_reference_work *work);

/* Adds c (df/dz_l) h_{l-1}^T for every layer, that is c df/dW, to g (flat as the weights), for the
 * input of the last call of esc_reference_output with this `work`. */
void esc_reference_backward(const esc_problem *problem, const double *weights, double c,
                            esc_reference_work *work, double *g);

/* c grad_x f of the last esc_reference_backward (input); `work` owns it. */
const double *esc_reference_input_gradient(const esc_reference_work *work);

/* T(x) = sum_k a_k sigma(v_k . x); directions (mode, input). */
double esc_reference_target(const esc_problem *problem, const double *directions, const double *x);

/* Loss, gradients and the ledger's terms over `batch` (docs/theory, section 0.4). */
void esc_reference_gradient(const esc_problem *problem, const double *directions,
                            const double *weights, const esc_batch *batch, esc_reference_work *work,
                            esc_gradient *out);

#endif
