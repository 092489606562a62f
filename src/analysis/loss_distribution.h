/* SPDX-License-Identifier: Apache-2.0 */
/* Distributions of the loss on the plateau, f = 0 (docs/theory, section 5.6): of one example
 * (loss_distribution.c) and of a minibatch's mean (mean_distribution.c). Private to src/analysis.
 */
#ifndef ESCAPEMENT_ANALYSIS_LOSS_DISTRIBUTION_H
#define ESCAPEMENT_ANALYSIS_LOSS_DISTRIBUTION_H

#include <gsl/gsl_spline.h>

#include "escapement/internal/problem.h"
#include "escapement/internal/status.h"

enum {
  ESC_LATTICE = 4096, /* cells of a convolution */
  ESC_KNOTS = 4096,   /* intervals of a table, on either side of the mean */
};

/* Loss of one example: weighted values, the weights sum to 1. */
typedef struct esc_loss_sample {
  int n;
  double *value, *weight; /* (n), ascending value, owned */
  double mean, sd;        /* sd is exactly 0 for a constant loss */
} esc_loss_sample;

/* T by quadrature over its Gaussian pre-activations. Several modes are independent, because their
 * directions are orthonormal, so their distributions are convolved. */
esc_status esc_loss_sample_create(const esc_problem *problem, esc_loss_sample *sample);
void esc_loss_sample_free(esc_loss_sample *sample);

/* Cells of equal width, the first at `low`. */
typedef struct esc_lattice {
  double low, step;
  int cells;
  double *cell; /* (cells) weight in each */
} esc_lattice;

/* Distributes n weighted values over the lattice, each between its two neighbouring cells so that
 * its mean is kept. Values beyond the last cell are dropped. */
void esc_lattice_spread(int n, const double *value, const double *weight, esc_lattice to);

/* out = a * b (convolution), the first n cells. All terms are positive, so that the tails keep
 * their relative accuracy, which a Fourier transform would lose. */
void esc_lattice_convolve(int na, const double *a, int nb, const double *b, int n, double *out);

/* The cdf P(mean < x) and its integral E (x - mean)+ at x = from + i step. */
typedef struct esc_cdf_table {
  double from, step;
  double cdf[ESC_KNOTS + 1], integrated_cdf[ESC_KNOTS + 1];
} esc_cdf_table;

/* Distribution of the mean of a minibatch of losses. The cdf P is interpolated through its normal
 * score Phi^-1(P), which is nearly linear in the loss even far in the tail. */
typedef struct esc_mean_distribution {
  double mean, sd;
  double min_loss;      /* no example's loss is below it */
  double low, high;     /* the score's range */
  double upper_scale;   /* of the range above the mean, so that the mean is exact */
  gsl_spline *score;    /* owned; NULL for a constant loss */
  esc_cdf_table *table; /* below and above the mean, owned; NULL for a constant loss */
} esc_mean_distribution;

/* By convolution for small batches, by a saddle-point approximation for larger ones (`batch` need
 * not be an integer). ESC_LIBRARY_FAILED where the score has too few points to interpolate. */
esc_status esc_mean_distribution_create(const esc_loss_sample *sample, double batch,
                                        esc_mean_distribution *d);
void esc_mean_distribution_free(esc_mean_distribution *d);

/* P(mean < x). */
double esc_mean_distribution_cdf(const esc_mean_distribution *d, double x);

/* E (x - mean)+, convex in x after rounding too; not for a constant loss. */
double esc_mean_distribution_integrated_cdf(const esc_mean_distribution *d, double x);

#endif
