/* Slopes of log t* on log epsilon with honest errors (theory, section 5).
 *
 * A group is (bottleneck, threshold); its points are the scales, its replicas
 * the seeds. The same seed at two scales is a pair, so errors come from a
 * bootstrap over seeds. Runs that did not escape stay in as right-censored. */
#ifndef ESCAPEMENT_FIT_H
#define ESCAPEMENT_FIT_H

#include <stdbool.h>

#include "escapement/problem.h"
#include "escapement/results.h"

typedef enum esc_law { ESC_LAW_CONSTANT, ESC_LAW_LOGARITHMIC, ESC_LAW_POWER } esc_law;

typedef struct esc_fit_point {
  double scale;
  int64_t n;               /* members at this scale, diverged ones left out */
  int64_t censored;        /* of these, not escaped */
  double mean, median, sd; /* of the escape steps of those that escaped; the median counts
                              censored ones as late, NaN when more than half are */
} esc_fit_point;

typedef struct esc_fit_group {
  int bottleneck;
  double threshold;
  esc_law law;
  double predicted; /* slope: -(r-2) for r >= 3, 0 for r = 1, 2 */
  int points;
  esc_fit_point *point; /* (points), ascending scale, owned */
  double *local;        /* (points-1) slopes between neighbours of log seed mean, owned */
  int64_t n, censored, diverged;
  double slope, standard_error; /* the headline: of log seed means, or the censored fit's if any is
                            censored; standard error from the bootstrap over seeds */
  double lower, upper;          /* 95% bootstrap percentile interval of `slope` */
  double slope_weighted;        /* least squares weighted by each point's standard error */
  double stderr_weighted;
  double slope_median;     /* least squares on log medians */
  double slope_censored;   /* log-normal with right censoring, maximum likelihood */
  double stderr_censored;  /* from the observed information */
  double steps_per_decade; /* least squares of mean t* on log10(1/epsilon): what r=2 asks for */
  bool censored_headline;  /* `slope` is the censored fit's */
} esc_fit_group;

typedef struct esc_fit {
  int groups;
  esc_fit_group *group; /* ascending bottleneck, then threshold, owned */
} esc_fit;

/* Fits all groups of several result tables (shards or runs) together. Tables
 * with the same (bottleneck, scale, seed) twice are refused by name.
 * Quantities that cannot be had (one scale only, all censored) are NaN. */
esc_status esc_fit_results(int tables, const esc_results *const *table, esc_fit *out);
void esc_fit_free(esc_fit *fit);

/* Probability that one member at f = 0 (the plateau) falls below `threshold` by
 * minibatch noise within `steps` steps: first passage of the moving average with
 * factor `smoothing` (0: the loss itself), from its start at the first loss.
 * The per-sample loss at f = 0 is sampled from the teacher; its minibatch mean's
 * law comes from a saddle-point approximation (theory, section 5, false
 * escapes). *hazard is the stationary probability per step. */
esc_status esc_false_escape(const esc_problem *problem, double threshold, int64_t steps,
                            double *probability, double *hazard, double *baseline);

#endif
