/* SPDX-License-Identifier: Apache-2.0 */
/* The headline slope of a group (docs/theory, section 11), its 95% interval, and tests of agreement
 * with the other estimators. Errors are over seeds. */
#include "headline.h"

#include <gsl/gsl_math.h>
#include <gsl/gsl_sort.h>
#include <math.h>
#include <stdlib.h>

#include "censored.h"
#include "contrast.h"
#include "pairs.h"
#include "regression.h"

static void set_interval(esc_fit_group *g, double slope, double error, double dof) {
  const double half = esc_student_quantile(0.975, dof) * error;
  g->slope = slope;
  g->standard_error = error;
  g->dof = dof;
  g->lower = slope - half;
  g->upper = slope + half;
}

/* ---- every member escaped ---- */

/* With one member at each scale, the scatter about the line is the only estimate of the error. */
static esc_status from_residuals(const esc_means *means, esc_fit_group *g) {
  esc_line line;
  int used = 0;
  const esc_status status =
      esc_line_fit_finite(g->points, means->table->log_scale, means->y, &line);
  for (int p = 0; p < g->points; p++) used += isfinite(means->y[p]);
  set_interval(g, line.slope, line.standard_error, used - 2);
  return status;
}

static esc_status fit_means(const esc_means *means, double *contrast, esc_fit_group *g) {
  esc_status status = ESC_OK;
  esc_variance variance;
  double slope = 0;
  g->estimator = ESC_ESTIMATOR_MEANS;
  if (!esc_line_contrast(g->points, means->table->log_scale, means->y, contrast)) goto done;
  ESC_TRY(esc_contrast_variance(means, contrast, &variance));
  if (isnan(variance.value)) {
    ESC_TRY(from_residuals(means, g));
    goto done;
  }
  for (int p = 0; p < g->points; p++)
    if (contrast[p] != 0) slope += contrast[p] * means->y[p];
  set_interval(g, slope, sqrt(variance.value), variance.dof);
done:
  return status;
}

/* ---- local slopes, and bounds where all members of a scale are censored ---- */

static bool is_uncensored(const esc_fit_point *p) {
  return p->n > 0 && p->censored + p->running + p->waiting == 0;
}

static bool is_censored(const esc_fit_point *p) {
  return p->n + p->running > 0 && p->censored == p->n;
}

/* Log of the smallest budget of the members of a censored point. */
static double log_budget(const esc_seed_table *table, int p) {
  double least = INFINITY;
  for (int64_t i = table->point_begin[p]; i < table->point_begin[p + 1]; i++)
    least = fmin(least, table->cell[table->column[i]].step);
  return esc_log_step(least);
}

/* Bound on the slope between the whole point w and the censored point c: log mean t* there is
 * above log budget, and its error, which is not observed, is assumed to be as large
 * as that of w and independent of it. 95%, one-sided; `contrast` is workspace, all 0. */
static esc_status bound_slope(const esc_means *means, int w, int c, double *contrast,
                              double *bound) {
  esc_status status = ESC_OK;
  const double *x = means->table->log_scale;
  esc_variance variance;
  contrast[w] = 1;
  ESC_TRY(esc_contrast_variance(means, contrast, &variance));
  contrast[w] = 0;
  const double late = log_budget(means->table, c) - means->y[w] -
                      esc_student_quantile(0.95, variance.dof) * M_SQRT2 * sqrt(variance.value);
  *bound = late / (x[c] - x[w]);
done:
  return status;
}

static esc_status local_interval(const esc_means *means, const esc_fit_group *g, int p,
                                 double *contrast) {
  esc_status status = ESC_OK;
  const double *x = means->table->log_scale;
  const esc_fit_point *low = &g->point[p], *high = &g->point[p + 1];
  double *lower = &g->local_lower[p], *upper = &g->local_upper[p];
  esc_variance variance;
  *lower = *upper = NAN;
  if (low->n + low->running < 2 || high->n + high->running < 2)
    goto done; /* a single member shows no error */
  if (is_censored(low) && is_uncensored(high)) {
    ESC_TRY(bound_slope(means, p + 1, p, contrast, upper));
  } else if (is_uncensored(low) && is_censored(high)) {
    ESC_TRY(bound_slope(means, p, p + 1, contrast, lower));
  } else if (is_uncensored(low) && is_uncensored(high)) {
    contrast[p + 1] = 1 / (x[p + 1] - x[p]);
    contrast[p] = -contrast[p + 1];
    ESC_TRY(esc_contrast_variance(means, contrast, &variance));
    const double half = esc_student_quantile(0.975, variance.dof) * sqrt(variance.value);
    *lower = g->local[p] - half;
    *upper = g->local[p] + half;
    contrast[p] = contrast[p + 1] = 0;
  }
done:
  return status;
}

/* Escapes at one scale alone: the nearest censored scale on either side bounds the slope. */
static esc_status bound_headline(const esc_means *means, double *contrast, esc_fit_group *g) {
  esc_status status = ESC_OK;
  int uncensored = -1, escaped = 0;
  for (int p = 0; p < g->points; p++) {
    escaped += g->point[p].censored < g->point[p].n;
    if (is_uncensored(&g->point[p])) uncensored = p;
  }
  if (escaped != 1 || uncensored < 0) goto done;
  for (int p = 0; p < g->points; p++) contrast[p] = 0;
  for (int p = uncensored - 1; p >= 0 && isnan(g->upper); p--)
    if (is_censored(&g->point[p])) ESC_TRY(bound_slope(means, uncensored, p, contrast, &g->upper));
  for (int p = uncensored + 1; p < g->points && isnan(g->lower); p++)
    if (is_censored(&g->point[p])) ESC_TRY(bound_slope(means, uncensored, p, contrast, &g->lower));
  if (isfinite(g->lower) || isfinite(g->upper)) g->warnings |= 1U << ESC_FIT_ONE_SIDED;
done:
  return status;
}

/* ---- medians ---- */

/* Infinite where the member did not escape. */
static double log_time(const esc_cell *cell) {
  return cell->censored ? (double)INFINITY : esc_log_step(cell->step);
}

/* Standard error of the median of n sorted values, sqrt(n)/2 ranks (Woodruff, J. Amer. Statist.
 * Assoc. 47:635, 1952); from the extremes where n is small. NaN for one value. */
static double median_error(int64_t n, const double *sorted) {
  const double half = fmin(sqrt((double)n), (double)n - 1) / 2, middle = ((double)n - 1) / 2;
  const int64_t low = (int64_t)floor(middle - half), high = (int64_t)ceil(middle + half);
  return (sorted[high] - sorted[low]) / (double)(high - low) * sqrt((double)n) / 2;
}

/* Adds each member's influence on the log median of point p, times `contrast`: the sign of its
 * deviation, scaled so that the sum of squares is the squared error of the median. */
static void add_median_influence(const esc_seed_table *table, int p, double contrast, double *work,
                                 double *influence) {
  const int64_t first = table->point_begin[p], n = table->point_begin[p + 1] - first;
  for (int64_t i = 0; i < n; i++) work[i] = log_time(&table->cell[table->column[first + i]]);
  gsl_sort(work, 1, (size_t)n);
  const double median = (work[(n - 1) / 2] + work[n / 2]) / 2;
  const double scale = contrast * median_error(n, work) / sqrt((double)n);
  for (int64_t i = first; i < first + n; i++) {
    const esc_cell *cell = &table->cell[table->column[i]];
    const double distance = log_time(cell) - median;
    influence[cell->seed] += scale * ((distance > 0) - (distance < 0));
  }
}

static esc_status fit_medians(const esc_seed_table *table, double *influence, esc_fit_group *g) {
  esc_status status = ESC_OK;
  double *y = malloc(2 * (size_t)g->points * sizeof *y);
  double *work = malloc(((size_t)table->cells + 1) * sizeof *work);
  ESC_TRY_ALLOCATE(y);
  ESC_TRY_ALLOCATE(work);
  double *contrast = y + g->points;
  for (int p = 0; p < g->points; p++) {
    y[p] = esc_log_step(g->point[p].median);
    g->median_dropped += g->point[p].n > 0 && isnan(y[p]);
  }
  for (int64_t s = 0; s < table->seeds; s++) influence[s] = 0;
  g->slope_median = NAN;
  if (!esc_line_contrast(g->points, table->log_scale, y, contrast)) goto done;
  g->slope_median = 0;
  for (int p = 0; p < g->points; p++) {
    if (contrast[p] == 0) continue;
    g->slope_median += contrast[p] * y[p];
    add_median_influence(table, p, contrast[p], work, influence);
  }
done:
  free(work);
  free(y);
  return status;
}

/* ---- the choice of the estimator ---- */

static double error_over_seeds(int64_t seeds, const double *a, const double *b) {
  double sum = 0;
  if (seeds < 2) return NAN;
  for (int64_t s = 0; s < seeds; s++) sum += gsl_pow_2(a[s] - (b ? b[s] : 0));
  return sqrt(sum * (double)seeds / (double)(seeds - 1));
}

/* Whether two slopes of the same seeds differ significantly: 99%, two-sided. */
static bool disagree(double one, double other, int64_t seeds, const double *a, const double *b) {
  const double error = error_over_seeds(seeds, a, b);
  return fabs(one - other) > esc_student_quantile(0.995, (double)seeds - 1) * error;
}

static esc_status fit_pairs(const esc_seed_table *table, double *influence, esc_fit_group *g) {
  esc_status status = ESC_OK;
  esc_pairs_fit pairs;
  ESC_TRY(esc_pairs_slope(table, influence, &pairs));
  g->estimator = pairs.within ? ESC_ESTIMATOR_WITHIN : ESC_ESTIMATOR_ACROSS;
  set_interval(g, pairs.slope, sqrt(pairs.variance), pairs.dof);
done:
  return status;
}

/* With one seed the pairwise estimator has no error, so the log-normal fit is the headline. */
static void use_lognormal(const esc_line *line, esc_fit_group *g) {
  g->estimator = ESC_ESTIMATOR_LOGNORMAL;
  set_interval(g, line->slope, line->standard_error, (double)(g->n - g->censored) - 2);
}

static esc_status fit_censored(const esc_seed_table *table, const esc_line *line, double *influence,
                               esc_fit_group *g) {
  esc_status status = ESC_OK;
  const double *lognormal = influence + table->seeds, *median = influence + 2 * table->seeds;
  if (table->seeds < 2) {
    use_lognormal(line, g);
    goto done;
  }
  ESC_TRY(fit_pairs(table, influence, g));
  if (disagree(g->slope, line->slope, table->seeds, influence, lognormal))
    g->warnings |= 1U << ESC_FIT_SKEWED;
  if (disagree(g->slope_median, line->slope, table->seeds, median, lognormal))
    g->warnings |= 1U << ESC_FIT_MEDIANS_OFF;
done:
  return status;
}

/* Largest coefficient of variation of the points. */
static double largest_spread(const esc_fit_group *g) {
  double largest = 0;
  for (int p = 0; p < g->points; p++)
    if (g->point[p].mean > 1) largest = fmax(largest, g->point[p].sd / g->point[p].mean);
  return largest;
}

/* Every member escaped, and none is still to. */
static bool is_whole(const esc_fit_group *g) { return g->censored + g->running + g->waiting == 0; }

esc_status esc_headline_fit(const esc_seed_table *table, esc_fit_group *g) {
  esc_status status = ESC_OK;
  esc_means means = {NULL};
  esc_line line;
  double *contrast = calloc((size_t)g->points, sizeof *contrast);
  double *influence = calloc(3 * (size_t)table->seeds + 1, sizeof *influence);
  ESC_TRY_ALLOCATE(contrast);
  ESC_TRY_ALLOCATE(influence);
  set_interval(g, NAN, NAN, NAN);
  ESC_TRY(esc_means_create(table, ESC_SCALING_LOG, &means));
  for (int p = 0; p + 1 < g->points; p++) ESC_TRY(local_interval(&means, g, p, contrast));
  ESC_TRY(esc_censored_slope(table, influence + table->seeds, &line));
  g->slope_censored = line.slope;
  g->stderr_censored = line.standard_error;
  ESC_TRY(fit_medians(table, influence + 2 * table->seeds, g));
  g->stderr_median = isfinite(g->slope_median)
                         ? error_over_seeds(table->seeds, influence + 2 * table->seeds, NULL)
                         : (double)NAN;
  if (is_whole(g))
    ESC_TRY(fit_means(&means, contrast, g));
  else
    ESC_TRY(fit_censored(table, &line, influence, g));
  if (!is_whole(g) && isnan(g->slope)) ESC_TRY(bound_headline(&means, contrast, g));
  if (table->seeds < ESC_FIT_SEEDS_MIN && isfinite(g->standard_error))
    g->warnings |= 1U << ESC_FIT_FEW_SEEDS;
  if (isfinite(g->slope) && !isfinite(g->standard_error)) g->warnings |= 1U << ESC_FIT_NO_INTERVAL;
  if (isfinite(g->standard_error) && largest_spread(g) > 1) g->warnings |= 1U << ESC_FIT_SPREAD;
done:
  esc_means_free(&means);
  free(influence);
  free(contrast);
  return status;
}
