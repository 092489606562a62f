/* SPDX-License-Identifier: Apache-2.0 */
/* The test oracle of the reference engine: the same training in long double, implemented
 * independently. It uses matrices over a whole minibatch instead of single samples, libm instead of
 * the headers of the engines for activations, derivatives, deficits and losses, and the definitions
 * in model.h for teacher, initial weights and inputs. The only shared code computes normals from an
 * address, and is checked against Box-Muller in double. */
#ifndef ESC_VERIFY_ORACLE_H
#define ESC_VERIFY_ORACLE_H

#include "escapement/internal/problem.h"
#include "escapement/internal/reference.h"

/* sigma, sigma' and kappa = sigma - z sigma' at z; ReLU' is 0 at 0. */
typedef struct esc_oracle_value {
  long double value, derivative, deficit;
} esc_oracle_value;

esc_oracle_value esc_oracle_activate(const esc_activation *activation, long double z);

/* The loss of prediction f for target t, and its derivative in f in *derivative. */
long double esc_oracle_loss(const esc_problem *problem, long double f, long double t,
                            long double *derivative);

/* The teacher's directions (mode, input), and the initial weights of a member, flat as in
 * esc_weight_offset. ESC_NO_MEMORY. */
void esc_oracle_directions(const esc_problem *problem, long double *directions);
void esc_oracle_initial(const esc_problem *problem, const esc_member *member,
                        const long double *directions, long double *weights);

typedef struct esc_oracle_gradient {
  long double loss;
  long double *g;                           /* flat as the weights; owned by the caller */
  long double deficit[ESC_LAYERS_MAX];      /* (interface) E[u_l . kappa(z_l)] */
  long double grad_norm_sq[ESC_LAYERS_MAX]; /* (layer) |G_l|^2 */
} esc_oracle_gradient;

/* Gradient over a batch; sample weights default to 1/samples. ESC_NO_MEMORY. */
esc_status esc_oracle_gradient_of(const esc_problem *problem, const long double *directions,
                                  const long double *weights, const esc_batch *batch,
                                  esc_oracle_gradient *out);

/* A completed training run of a member. */
typedef struct esc_oracle_run {
  int64_t steps, escape_step[ESC_THRESHOLDS_MAX];
  long double loss, smoothed;
  /* (threshold) Smallest |average - threshold| at the crossing and the step before, over the
   * threshold: an engine with smaller errors of the loss has the same escape step. */
  long double margin[ESC_THRESHOLDS_MAX];
  long double ledger[ESC_LAYERS_MAX], drift[ESC_LAYERS_MAX]; /* (interface) as in results.h */
  long double path[ESC_LAYERS_MAX]; /* (layer) 2 eta |G_l| summed, or of the step's direction */
  long double *initial, *w;         /* (weight); owned */
  long double *velocity, *second;   /* (weight) of momentum and Adam, 0 at the start; owned */
} esc_oracle_run;

esc_status esc_oracle_train(const esc_problem *problem, const esc_member *member,
                            esc_oracle_run *run);
void esc_oracle_run_free(esc_oracle_run *run);

/* |W_{l+1}|^2/gamma_{l+1} - |W_l|^2/gamma_l of weights. */
long double esc_oracle_imbalance(const esc_problem *problem, const long double *weights, int l);

/* |W_l|^2. */
long double esc_oracle_norm2(const esc_problem *problem, const long double *weights, int l);

#endif
