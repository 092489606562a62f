/* SPDX-License-Identifier: Apache-2.0 */
/* Problems, batches and networks for the checks. */
#ifndef ESC_VERIFY_FIXTURE_H
#define ESC_VERIFY_FIXTURE_H

#include "escapement/internal/reference.h"

/* Activation `kind`; the polynomial is 0.1 + 0.9 z - 0.1 z^2 + 0.02 z^3. */
esc_activation esc_verify_activation(int kind);
const char *esc_verify_activation_name(int kind);
const char *esc_verify_loss_name(int loss);
const char *esc_verify_metric_name(int metric);

enum { ESC_VERIFY_METRICS = ESC_METRIC_NORMALIZED + 1 };

/* He-normal, tanh, squared loss, one mode along e_1, Euclidean, scales of 1, one threshold that is
 * never reached. Owns no memory. */
esc_problem esc_verify_problem(int layers, int width, int inputs, int batch);

/* K modes of amplitudes 1, -0.7, 0.5, ... along random directions. */
void esc_verify_modes(esc_problem *problem, int modes);

/* The first `bottleneck` layers at `scale`. */
esc_member esc_verify_member(uint64_t seed, int bottleneck, double scale);

/* A network and a weighted batch, with values of sines: reproducible, without symmetry. */
typedef struct esc_verify_fixture {
  esc_problem problem;
  double *w, *g, *directions, *x, *weight;
  esc_batch batch;
  esc_gradient gradient; /* gradient.g is g */
  esc_reference_work *work;
} esc_verify_fixture;

esc_status esc_verify_fixture_open(const esc_problem *problem, esc_verify_fixture *fixture);
void esc_verify_fixture_close(esc_verify_fixture *fixture);

/* Computes loss, gradient and ledger terms at fixture->w, into fixture->gradient. */
void esc_verify_fixture_gradient(esc_verify_fixture *fixture);

#endif
