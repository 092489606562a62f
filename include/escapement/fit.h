/* SPDX-License-Identifier: Apache-2.0 */
/* Slopes of log t* on log epsilon, with confidence intervals of measured coverage (arXiv
 * 2605.01288).
 *
 * A group is (values of the swept keys, bottleneck, small layers, threshold); its points are the
 * scales, its replicates the seeds. The same seed at two scales is a pair, so all errors are over
 * seeds: a jackknife with Student's t; the measured coverage is in runs/fit/coverage.txt of the
 * source. Members that did not escape are right-censored at the steps they ran; members that
 * diverged are counted and excluded. Quantities marked [escaped] use only the members that
 * escaped: they are biased where a point has censored members.
 */
#ifndef ESCAPEMENT_FIT_H
#define ESCAPEMENT_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "escapement/export.h"
#include "escapement/status.h"

ESC_BEGIN_DECLS

typedef struct esc_results esc_results; /* escapement/results.h */

typedef enum esc_law { ESC_LAW_CONSTANT, ESC_LAW_LOGARITHMIC, ESC_LAW_POWER } esc_law;

typedef struct esc_fit_point {
  double scale;
  int64_t n;        /* members at this scale, without diverged ones */
  int64_t censored; /* of these, not escaped */
  double mean, sd;  /* [escaped] of the escape steps */
  double median;    /* censored members count as later than all steps; NaN where it is censored */
  /* Of an unfinished run, not in n: members in training at its last checkpoint, right-censored at
   * their step there; and members of which nothing was known then, left out. */
  int64_t running, waiting;
} esc_fit_point;

typedef enum esc_estimator {
  ESC_ESTIMATOR_MEANS,    /* line through log seed means */
  ESC_ESTIMATOR_WITHIN,   /* pairs of members of one seed, truncated at the earlier budget */
  ESC_ESTIMATOR_ACROSS,   /* pairs of any two members, truncated at the earlier budget */
  ESC_ESTIMATOR_LOGNORMAL /* maximum likelihood, members independent */
} esc_estimator;

typedef enum esc_fit_warning {
  ESC_FIT_FEW_SEEDS,     /* fewer than ESC_FIT_SEEDS_MIN */
  ESC_FIT_SPREAD,        /* a scale's times have a standard deviation above their mean */
  ESC_FIT_SKEWED,        /* log-normal fit and headline disagree beyond their errors */
  ESC_FIT_MEDIANS_OFF,   /* medians and log-normal fit disagree beyond their errors */
  ESC_FIT_ONE_SIDED,     /* the slope is bounded on one side */
  ESC_FIT_MISFIT,        /* the limit's correction terms do not describe the points: p < 0.01 */
  ESC_FIT_FAR,           /* limit and slope over the window differ by more than 0.2 (r = 2: 20%) */
  ESC_FIT_NO_INTERVAL,   /* the data show no error of the slope */
  ESC_FIT_NO_ACTIVATION, /* the tables do not name it: all powers of epsilon, no logarithm */
  ESC_FIT_UNFINISHED,    /* members of the group are still to be trained */
  ESC_FIT_WARNINGS
} esc_fit_warning;

enum { ESC_FIT_SEEDS_MIN = 5, ESC_LIMIT_TERMS_MAX = 4 };

/* epsilon^power, times log epsilon if `log`. */
typedef struct esc_correction {
  int power;
  bool log;
} esc_correction;

/* Extrapolation to epsilon = 0 over the scales whose members all escaped. r >= 3 and r = 1:
 * log mean t* = a + slope log epsilon + corrections; r = 2: mean t* = a + slope
 * log10(1/epsilon) + corrections, and `slope` is in steps per decade. The corrections are the
 * next orders of docs/theory, section 11.4: powers (q-1)i + (r-2)j + rk of epsilon, with a
 * logarithm at the resonance. One term, two with six scales or more (a resonance's two with five),
 * and more while chi^2 rejects (p < 0.05) and scales are left. */
typedef struct esc_limit {
  double slope, standard_error, lower, upper; /* NaN with fewer than three scales; the interval
                                                 also where the seeds show no error */
  double systematic; /* half-width added on each side for the omitted terms: twice the change by one
                        more term and the error of that change, added in quadrature; where no
                        degree of freedom remains, the change by the last term (twice that within
                        a resonance's two) */
  double slope_next; /* the limit with one more term */
  double stderr_next;
  double chi2, p_value; /* of the points about the curve; NaN without degrees of freedom */
  int dof;              /* scales less parameters */
  int terms;
  esc_correction term[ESC_LIMIT_TERMS_MAX];
} esc_limit;

/* A key of the sweep's grid and its value, as text. */
typedef struct esc_fit_key {
  const char *name, *value; /* "network.width", "16" */
  bool is_number;           /* every value of the key is a number */
} esc_fit_key;

typedef struct esc_fit_group {
  int keys;         /* 0: the sweep has no grid */
  esc_fit_key *key; /* (keys), owned with its texts */
  int bottleneck;
  int64_t small_layers; /* bit l-1: layer l has the small scale; 0: not in the file */
  double threshold;
  esc_law law;
  double predicted; /* slope: -(r-2) for r >= 3, 0 for r = 1, 2 */
  int points;
  esc_fit_point *point; /* (points), ascending scale, owned */
  double *local;        /* (points-1) [escaped] slopes of the log mean between neighbours; owned */
  /* (points-1) each, owned: 95% intervals of the local slopes. One-sided between a scale
   * whose members are all censored and one whose members all escaped; NaN otherwise where
   * members are censored. */
  double *local_lower, *local_upper;
  int64_t n, censored, diverged;
  int64_t running, waiting; /* as of the points */

  /* In logarithms step 0 counts as half a step. */

  /* The headline: least squares of log seed means; with censored members the pairwise
   * differences, with a single seed and censored members the
   * log-normal fit. NaN where the escapes are at one scale. */
  double slope;
  double standard_error; /* over seeds; with a single seed from the residuals of the line */
  double dof;            /* of Student's t in the interval */
  /* 95% interval. Where all members of a scale are censored and one other scale escaped, the
   * slope is bounded on one side: that bound, 95% one-sided, and NaN on the other. */
  double lower, upper;
  esc_estimator estimator;
  /* [escaped] Least squares of log means with weights n (mean/sd)^2; sd at least that of
   * rounding to whole steps; points with one escape are excluded. */
  double slope_weighted, stderr_weighted;
  /* Least squares on log medians, error over seeds. Points whose median is censored are excluded
   * (median_dropped of them), which biases the slope by selection. */
  double slope_median, stderr_median;
  int median_dropped;
  /* Log-normal with right censoring, maximum likelihood, all members; error over seeds. */
  double slope_censored, stderr_censored;
  esc_limit limit;
  /* [escaped] Least squares slope of mean t* on log10(1/epsilon): the law of r = 2. */
  double steps_per_decade;
  /* [escaped] t* of members with S(0) < 0 over t* of those with S(0) > 0: ratio of
   * geometric means at the same scale, averaged over the scales. */
  double delay_negative;
  double signal_correlation; /* [escaped] of log t* with S(0)/scale^r, within scales */
  int64_t seeds;
  unsigned warnings; /* bits 1 << esc_fit_warning */
} esc_fit_group;

typedef struct esc_fit {
  int groups;
  esc_fit_group *group; /* in the order of the grid's points; ascending bottleneck, small
                           layers, threshold; owned */
} esc_fit;

/* Fits all groups of `count` results (shards, or runs of one experiment) together; name (count):
 * their names in messages, usually the files. Undefined numbers (one scale only, all members
 * censored) are NaN. Free *out with esc_fit_free. ESC_BAD_INPUT where the results are of different
 * experiments (esc_results_check_experiment), or a network occurs twice. */
ESC_API esc_status esc_results_fit(int count, const esc_results *const *results,
                                   const char *const *name, esc_fit *out);
ESC_API void esc_fit_free(esc_fit *fit);

/* "constant", "logarithmic", "power"; "pairs within seeds", ... Constant strings. */
ESC_API const char *esc_law_name(esc_law law);
ESC_API const char *esc_estimator_name(esc_estimator estimator);

/* "eps", "eps^2", "eps^2 log eps", cut to `size` bytes (32 suffice). */
ESC_API void esc_correction_print(const esc_correction *term, char *text, size_t size);

/* The text of a warning, cut to `size` bytes (256 suffice); false, and "", if the group does not
 * have the warning. */
ESC_API bool esc_fit_warning_print(const esc_fit_group *group, esc_fit_warning warning, char *text,
                                   size_t size);

ESC_END_DECLS

#endif
