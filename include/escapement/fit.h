/* Slopes of log t* on log epsilon with honest errors (theory, section 5).
 *
 * A group is (bottleneck, small layers, threshold); its points are the scales, its
 * replicas the seeds. The same seed at two scales is a pair, so errors come from a
 * bootstrap over seeds. Runs that did not escape stay in as right-censored at
 * the steps they ran; runs that diverged are counted and left out. What is marked
 * [escaped] knows only the members that escaped: it is biased where a point has
 * censored ones.
 */
#ifndef ESCAPEMENT_FIT_H
#define ESCAPEMENT_FIT_H

#include <stdbool.h>

#include "escapement/problem.h"
#include "escapement/results.h"

typedef enum esc_law { ESC_LAW_CONSTANT, ESC_LAW_LOGARITHMIC, ESC_LAW_POWER } esc_law;

typedef struct esc_fit_point {
  double scale;
  int64_t n;        /* members at this scale, diverged ones left out */
  int64_t censored; /* of these, not escaped */
  double mean, sd;  /* [escaped] of the escape steps */
  double median;    /* counts censored members as late, NaN where it falls on one */
} esc_fit_point;

typedef struct esc_fit_group {
  int bottleneck;
  int64_t small_layers; /* bit l-1: layer l carries the scale; 0: the file does not say */
  double threshold;
  esc_law law;
  double predicted; /* slope: -(r-2) for r >= 3, 0 for r = 1, 2 */
  int points;
  esc_fit_point *point; /* (points), ascending scale, owned */
  double *local;        /* (points-1) [escaped] log mean's slopes between neighbours, owned */
  int64_t n, censored, diverged;

  /* In logarithms step 0 counts as half a step. */

  /* The headline: of log seed means, or the censored fit's if any is censored. Standard
   * error from the bootstrap over seeds (1000 replicates, 200 of the censored fit; times
   * sqrt(n/(n-1)), its bias), with a single seed from the residuals of the regression
   * (NaN with two points). */
  double slope, standard_error;
  /* 95% bootstrap percentile interval of `slope`; with a single seed the regression's own. */
  double lower, upper;
  /* [escaped] Least squares of log means, weights n (mean/sd)^2; sd at least that of
   * rounding to whole steps; points with one escape left out. */
  double slope_weighted, stderr_weighted;
  double slope_median; /* least squares on log medians */
  /* Log-normal with right censoring, maximum likelihood, all members; error from the
   * observed information, as if members were independent. */
  double slope_censored, stderr_censored;
  /* [escaped] Least squares of mean t* on log10(1/epsilon): what r=2 asks for. */
  double steps_per_decade;
  /* [escaped] t* of members with S(0) < 0 over t* of those with S(0) > 0: ratio of
   * geometric means at the same scale, averaged over the scales. */
  double delay_negative;
  double signal_correlation; /* [escaped] of log t* with S(0)/scale^r, within scales */
  bool censored_headline;    /* `slope` is the censored fit's */
} esc_fit_group;

typedef struct esc_fit {
  int groups;
  esc_fit_group *group; /* ascending bottleneck, small layers, threshold; owned */
} esc_fit;

/* Fits all groups of several result tables (shards or runs) together. Tables
 * with the same (bottleneck, small layers, scale, seed) twice are refused by name.
 * Quantities that cannot be had (one scale only, all censored) are NaN. The
 * bootstrap's random numbers are fixed: the same tables give the same numbers. */
esc_status esc_fit_results(int tables, const esc_results *const *table, esc_fit *out);
void esc_fit_free(esc_fit *fit);

/* Probability that one member at f = 0 (the plateau) falls below `threshold` by
 * minibatch noise within `steps` steps: first passage of the moving average with
 * factor `smoothing` (0: the loss itself), from its start at the first loss, so not
 * less than that loss's own probability, which is the result for 1 step, however strong the
 * smoothing. The law of
 * the loss at f = 0 comes from the teacher by quadrature, its minibatch mean's by
 * convolution (up to 16 examples) or from a saddle point (theory, section 5, false
 * escapes). *hazard is the stationary probability per step, *baseline the mean loss. */
esc_status esc_false_escape(const esc_problem *problem, double threshold, int64_t steps,
                            double *probability, double *hazard, double *baseline);

#endif
