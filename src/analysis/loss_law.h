/* SPDX-License-Identifier: Apache-2.0 */
/* Laws of the loss on the plateau, f = 0: of one example (loss_law.c) and of a
 * minibatch's mean (mean_law.c); private to src/analysis. */
#ifndef ESCAPEMENT_ANALYSIS_LOSS_LAW_H
#define ESCAPEMENT_ANALYSIS_LOSS_LAW_H

#include <gsl/gsl_spline.h>

#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"

enum {
  ESC_LATTICE = 4096, /* cells of a convolution */
  ESC_KNOTS = 4096,   /* intervals of a table, to either side of the mean */
};

/* Loss of one example: weighted values, the weights sum to 1. */
typedef struct esc_loss_sample {
  int n;
  double *value, *weight; /* (n), ascending value, owned */
  double mean, sd;        /* sd is exactly 0 for a constant loss */
} esc_loss_sample;

/* T at f = 0 by quadrature over its Gaussian pre-activations; several modes are
 * independent (the directions are orthonormal), so their laws are convolved. */
esc_status esc_loss_sample_create(const esc_problem *problem, esc_loss_sample *sample);
void esc_loss_sample_free(esc_loss_sample *sample);

/* Cells of equal width, the first at `low`. */
typedef struct esc_lattice {
  double low, step;
  int cells;
  double *cell; /* (cells) weight in each */
} esc_lattice;

/* Puts n weighted values on the lattice, each shared between its two neighbours so that its mean
 * stays. What lies beyond the last cell is dropped. */
void esc_lattice_spread(int n, const double *value, const double *weight, esc_lattice to);

/* out = a * b, the first n cells; only sums of positive terms, so the tails keep
 * their relative accuracy. */
void esc_lattice_convolve(int na, const double *a, int nb, const double *b, int n, double *out);

/* P(mean < x) and E (x - mean)+, its integral, at from + i step. */
typedef struct esc_law_piece {
  double from, step;
  double below[ESC_KNOTS + 1], shortfall[ESC_KNOTS + 1];
} esc_law_piece;

/* Mean of a minibatch of losses. Its distribution function is held as its normal
 * score Phi^-1(P), which is nearly straight in the loss, however far the tail. */
typedef struct esc_mean_law {
  double mean, sd;
  double least;         /* no example's loss is below it */
  double low, high;     /* the score's range */
  double stretch;       /* of what is above the mean, so that the mean is exact */
  gsl_spline *score;    /* owned; NULL for a constant loss */
  esc_law_piece *piece; /* below and above the mean, owned; NULL for a constant loss */
} esc_mean_law;

/* Small batches: convolution; larger ones: saddle point (`batch` need not be whole). */
esc_status esc_mean_law_create(const esc_loss_sample *sample, double batch, esc_mean_law *law);
void esc_mean_law_free(esc_mean_law *law);

/* P(mean < x). */
double esc_mean_law_below(const esc_mean_law *law, double x);

/* E (x - mean)+, convex in x also as rounded; not for a constant loss. */
double esc_mean_law_shortfall(const esc_mean_law *law, double x);

#endif
