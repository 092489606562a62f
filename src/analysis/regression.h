/* Straight lines through one fit group and their errors; private to src/analysis.
 *
 * A sample is the group's members as a table seeds x points, so that a bootstrap
 * draws a whole seed, that is all its scales together. */
#ifndef ESCAPEMENT_ANALYSIS_REGRESSION_H
#define ESCAPEMENT_ANALYSIS_REGRESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "escapement/status.h"

typedef struct esc_sample {
  int points;
  int64_t seeds;
  double *scale, *log_scale; /* (points), ascending */
  double *step;   /* (seeds, points): escape step, or steps run where censored; NaN: no member */
  bool *censored; /* (seeds, points) */
} esc_sample;

typedef struct esc_line {
  double slope;
  double standard_error; /* of the slope */
} esc_line;

typedef struct esc_interval {
  double standard_error, lower, upper;
} esc_interval;

/* Parameters of the censored fit, in which its log-likelihood is concave. */
typedef struct esc_censored_start {
  double precision;   /* 1/sigma */
  double level, tilt; /* intercept and slope over sigma, less those of the escaped members'
                         own least squares line, the abscissa centred at their mean */
} esc_censored_start;

/* Log of a step, where step 0 counts as half a step; NaN stays NaN. */
double esc_log_step(double step);

/* Least squares of y on x over the n pairs with weight > 0 (the others are not
 * looked at); NaN with fewer than two. The error comes from the residuals (NaN
 * with two pairs), or from the weights themselves if `known_weights`: then they
 * are 1/variance of y. */
esc_line esc_line_fit(int n, const double *x, const double *y, const double *weight,
                      bool known_weights);

/* The same with weight 1 for all pairs whose y is finite. */
esc_status esc_line_fit_finite(int n, const double *x, const double *y, esc_line *line);

/* Slope of log seed mean on log scale, seeds counted `multiplicity` times; no
 * member is censored; `work` has 2 x points elements. */
double esc_mean_slope(const esc_sample *sample, const double *multiplicity, double *work);

/* Log-normal errors with one sigma, right censoring, maximum likelihood.
 * `start` (or NULL) is where the search starts, *end where it ended. Both of
 * *line are NaN unless two scales have escaped members; the error is NaN with
 * fewer than three of them. */
esc_status esc_censored_fit(const esc_sample *sample, const double *multiplicity,
                            const esc_censored_start *start, esc_line *line,
                            esc_censored_start *end);

/* Error of the headline slope over seeds (2 or more): of the censored fit, which
 * starts from `start`, if that is not NULL, of esc_mean_slope if it is. */
esc_status esc_bootstrap_seeds(const esc_sample *sample, const esc_censored_start *start,
                               esc_interval *interval);

#endif
