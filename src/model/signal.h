/* SPDX-License-Identifier: Apache-2.0 */
/* Control variates of S(0) and the regression on them. Private to src/model. */
#ifndef ESC_SIGNAL_H
#define ESC_SIGNAL_H

#include "escapement/internal/arena.h"
#include "escapement/internal/problem.h"

enum {
  ESC_SIGNAL_SAMPLES = 256, /* evaluations, at most; half of them where the error is small enough */
  ESC_SIGNAL_CONTROLS = 8,  /* one a layer; the last for all remaining layers */
};

static inline int esc_signal_control(int l) {
  return l < ESC_SIGNAL_CONTROLS ? l : ESC_SIGNAL_CONTROLS - 1;
}

/* The linear network: every activation replaced by its gain. */
typedef struct esc_signal_linear {
  double *gain;                     /* (hidden layer, unit) g = E[sigma'(|row of M_l| g)] */
  double *weight;                   /* (hidden layer, unit) c of the layer's control */
  double mean[ESC_SIGNAL_CONTROLS]; /* of each control, to 1e-14 of `size` */
  double size;                      /* sum of |c g| over all units */
} esc_signal_linear;

/* Independent evaluations, one or a mirrored pair each. */
typedef struct esc_signal_units {
  int count;
  double f2; /* sum of f^2 over units */
  double value[ESC_SIGNAL_SAMPLES], control[ESC_SIGNAL_CONTROLS][ESC_SIGNAL_SAMPLES];
} esc_signal_units;

/* Fills `linear` with blocks of the workspace, which the caller releases. */
void esc_signal_linearise(const esc_problem *problem, const double *weights, const double *v,
                          esc_arena *workspace, esc_signal_linear *linear);
void esc_signal_linear_describe(esc_arena *workspace,
                                esc_shape shape); /* measures esc_signal_linearise */

/* Mean value by regression on the controls, and its standard error. */
double esc_signal_estimate(const esc_signal_units *units, const esc_signal_linear *linear,
                           double *error);

#endif
