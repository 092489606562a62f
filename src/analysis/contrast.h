/* SPDX-License-Identifier: Apache-2.0 */
/* Errors over seeds of linear combinations of the points' means; private to src/analysis.
 *
 * Seeds are independent of each other, members of one seed are not. So the error of
 * sum_p c_p y_p, y_p the (log) mean of point p, is that of a sum over seeds: the squares of
 * psi_s = sum_p c_p phi_sp / n_p, phi_sp the jackknife influence of the member on its mean,
 * with the factors and the degrees of freedom of Bell and McCaffrey (Survey Methodology
 * 28:169, 2002), which make both exact for normal members of equal variance: n - 1 degrees
 * where all scales have the same n seeds, more where scales have different seeds. */
#ifndef ESC_ANALYSIS_CONTRAST_H
#define ESC_ANALYSIS_CONTRAST_H

#include "seed_table.h"

typedef enum esc_scaling { ESC_SCALING_LOG, ESC_SCALING_LINEAR } esc_scaling;

/* The points' means and the members' influences on them. Points with censored members, and the
 * point of scale 0, which has no logarithm, are excluded: `y` is NaN there. */
typedef struct esc_means {
  const esc_seed_table *table;
  esc_scaling scaling;
  double *y;          /* (points) log of the mean, or the mean */
  double *count;      /* (points) members */
  double *influence;  /* (cells) 0 where the point has a single member */
  double *rounding;   /* (points) variance of y by one member's rounding to whole steps */
  double *unobserved; /* (points) variance of y that the spread over members cannot show: their
                         common rounding; the whole variance where there is a single member */
  double single_dof;  /* degrees of freedom of the variance assigned to single members */
} esc_means;

/* *means borrows the table. Free with esc_means_free, also after a failure. */
esc_status esc_means_create(const esc_seed_table *table, esc_scaling scaling, esc_means *means);
void esc_means_free(esc_means *means);

/* An estimated variance and its degrees of freedom. Seeds that differ by less than a step may agree
 * by chance, so the estimate is at least the variance of rounding to whole steps; that bound adds
 * nothing to the degrees of freedom. */
typedef struct esc_variance {
  double value, dof; /* NaN if no point has two members */
} esc_variance;

/* Variance of sum_p contrast[p] y_p; points with contrast 0 are ignored. */
esc_status esc_contrast_variance(const esc_means *means, const double *contrast, esc_variance *out);

/* covariance[k * n + l] of contrasts k and l, each a row of the (n, points) array. */
esc_status esc_contrast_covariance(const esc_means *means, int n, const double *contrast,
                                   double *covariance);

/* Quantile of Student's t; of the normal where dof is infinite. */
double esc_student_quantile(double probability, double dof);

#endif
