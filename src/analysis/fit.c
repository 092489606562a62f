/* Groups the members of result tables and fits log t* against log epsilon in each
 * group (theory, section 5, slopes): points, local slopes, the headline slope with
 * its bootstrap over seeds, and the other estimators that stand beside it. */
#include "escapement/fit.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_math.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <math.h>
#include <stdlib.h>

#include "regression.h"
#include "rows.h"

static int by_seed(const void *left, const void *right) {
  const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return (a > b) - (a < b);
}

static void free_sample(esc_sample *sample) {
  free(sample->scale);
  free(sample->log_scale);
  free(sample->step);
  free(sample->censored);
}

/* Distinct seeds of the members that did not diverge, ascending. */
static int64_t distinct_seeds(size_t n, const esc_fit_row *rows, int64_t *seed) {
  size_t all = 0;
  int64_t kept = 0;
  for (size_t i = 0; i < n; i++)
    if (!rows[i].diverged) seed[all++] = rows[i].seed;
  qsort(seed, all, sizeof *seed, by_seed);
  for (size_t i = 0; i < all; i++)
    if (kept == 0 || seed[i] != seed[kept - 1]) seed[kept++] = seed[i];
  return kept;
}

static int distinct_scales(size_t n, const esc_fit_row *rows) {
  int points = 1;
  for (size_t i = 1; i < n; i++) points += rows[i].scale != rows[i - 1].scale;
  return points;
}

static void fill_sample(size_t n, const esc_fit_row *rows, const int64_t *seed,
                        esc_sample *sample) {
  for (int64_t cell = 0; cell < sample->seeds * sample->points; cell++) sample->step[cell] = NAN;
  int point = 0;
  for (size_t i = 0; i < n; i++) {
    if (i > 0 && rows[i].scale != rows[i - 1].scale) point++;
    sample->scale[point] = rows[i].scale;
    sample->log_scale[point] = log(rows[i].scale);
    if (rows[i].diverged) continue;
    const int64_t *at = bsearch(&rows[i].seed, seed, (size_t)sample->seeds, sizeof *seed, by_seed);
    const int64_t cell = (at - seed) * sample->points + point;
    sample->step[cell] = rows[i].step;
    sample->censored[cell] = rows[i].censored;
  }
}

static esc_status make_sample(size_t n, const esc_fit_row *rows, esc_sample *sample) {
  esc_status status = ESC_OK;
  int64_t *seed = malloc(n * sizeof *seed);
  ESC_TRY_ALLOCATE(seed);
  sample->seeds = distinct_seeds(n, rows, seed);
  sample->points = distinct_scales(n, rows);
  const size_t cells = (size_t)sample->seeds * (size_t)sample->points;
  sample->scale = malloc((size_t)sample->points * sizeof *sample->scale);
  sample->log_scale = malloc((size_t)sample->points * sizeof *sample->log_scale);
  sample->step = malloc((cells + 1) * sizeof *sample->step);
  sample->censored = calloc(cells + 1, sizeof *sample->censored);
  ESC_TRY_ALLOCATE(sample->scale);
  ESC_TRY_ALLOCATE(sample->log_scale);
  ESC_TRY_ALLOCATE(sample->step);
  ESC_TRY_ALLOCATE(sample->censored);
  fill_sample(n, rows, seed, sample);
done:
  free(seed);
  return status;
}

/* Point p from its column; `work` has `seeds` elements. */
static void fit_point(const esc_sample *sample, int p, double *work, esc_fit_point *point) {
  size_t escaped = 0, n = 0;
  for (int64_t s = 0; s < sample->seeds; s++) {
    const int64_t cell = s * sample->points + p;
    if (isnan(sample->step[cell])) continue;
    n++;
    if (!sample->censored[cell]) work[escaped++] = sample->step[cell];
  }
  *point = (esc_fit_point){sample->scale[p], (int64_t)n, (int64_t)(n - escaped), NAN, NAN, NAN};
  if (escaped == 0) return;
  point->mean = gsl_stats_mean(work, 1, escaped);
  if (escaped > 1) point->sd = gsl_stats_sd(work, 1, escaped);
  for (size_t i = escaped; i < n; i++) work[i] = INFINITY;
  gsl_sort(work, 1, n);
  const double median = gsl_stats_median_from_sorted_data(work, 1, n);
  if (isfinite(median)) point->median = median;
}

/* Weight of a point's log mean: 1/variance, var = (sd/mean)^2/n. Steps are whole
 * numbers, so sd is not taken below that of rounding, 1/sqrt(12). */
static double point_weight(const esc_fit_point *point) {
  const double escaped = (double)(point->n - point->censored);
  const double mean = point->mean < 0.5 ? 0.5 : point->mean;
  if (escaped < 2) return 0;
  return escaped * mean * mean / fmax(point->sd * point->sd, 1.0 / 12);
}

static void fit_weighted(int n, const double *log_scale, const double *log_mean, double *weight,
                         esc_fit_group *g) {
  for (int p = 0; p < n; p++) weight[p] = point_weight(&g->point[p]);
  const esc_line line = esc_line_fit(n, log_scale, log_mean, weight, true);
  g->slope_weighted = line.slope;
  g->stderr_weighted = line.standard_error;
}

static void local_slopes(int n, const double *log_scale, const double *log_mean, double *local) {
  for (int p = 0; p + 1 < n; p++)
    local[p] = (log_mean[p + 1] - log_mean[p]) / (log_scale[p + 1] - log_scale[p]);
}

/* Everything that needs only the points; *plain is the line through log means. */
static esc_status fit_points(const esc_sample *sample, esc_fit_group *g, esc_line *plain) {
  esc_status status = ESC_OK;
  const int n = g->points;
  esc_line median, decade;
  double *x = malloc(5 * (size_t)n * sizeof *x);
  ESC_TRY_ALLOCATE(x);
  double *log_mean = x + n, *log_median = x + 2 * n, *mean = x + 3 * n, *weight = x + 4 * n;
  for (int p = 0; p < n; p++) {
    x[p] = -sample->log_scale[p] / M_LN10;
    mean[p] = g->point[p].mean;
    log_mean[p] = esc_log_step(mean[p]);
    log_median[p] = esc_log_step(g->point[p].median);
  }
  local_slopes(n, sample->log_scale, log_mean, g->local);
  fit_weighted(n, sample->log_scale, log_mean, weight, g);
  ESC_TRY(esc_line_fit_finite(n, sample->log_scale, log_mean, plain));
  ESC_TRY(esc_line_fit_finite(n, sample->log_scale, log_median, &median));
  ESC_TRY(esc_line_fit_finite(n, x, mean, &decade));
  g->slope_median = median.slope;
  g->steps_per_decade = decade.slope;
done:
  free(x);
  return status;
}

static esc_status fit_censored(const esc_sample *sample, esc_line *line, esc_censored_start *top) {
  esc_status status = ESC_OK;
  double *once = malloc(((size_t)sample->seeds + 1) * sizeof *once);
  ESC_TRY_ALLOCATE(once);
  for (int64_t s = 0; s < sample->seeds; s++) once[s] = 1;
  ESC_TRY(esc_censored_fit(sample, once, NULL, line, top));
done:
  free(once);
  return status;
}

/* With one seed there is nothing to resample: the error is the regression's own. */
static esc_interval regression_interval(const esc_fit_group *g, const esc_line *line) {
  const double error = line->standard_error;
  const double quantile = g->censored_headline || g->points < 3
                              ? gsl_cdf_ugaussian_Pinv(0.975)
                              : gsl_cdf_tdist_Pinv(0.975, g->points - 2);
  return (esc_interval){error, line->slope - quantile * error, line->slope + quantile * error};
}

static esc_status fit_headline(const esc_sample *sample, const esc_line *plain, esc_fit_group *g) {
  esc_status status = ESC_OK;
  esc_line censored;
  esc_censored_start top;
  esc_interval interval = {NAN, NAN, NAN};
  ESC_TRY(fit_censored(sample, &censored, &top));
  const esc_line *headline = g->censored_headline ? &censored : plain;
  if (sample->seeds == 1)
    interval = regression_interval(g, headline);
  else if (isfinite(headline->slope))
    ESC_TRY(esc_bootstrap_seeds(sample, g->censored_headline ? &top : NULL, &interval));
  g->slope_censored = censored.slope;
  g->stderr_censored = censored.standard_error;
  g->slope = headline->slope;
  g->standard_error = interval.standard_error;
  g->lower = interval.lower;
  g->upper = interval.upper;
done:
  return status;
}

static esc_law law_of(int bottleneck) {
  return bottleneck <= 1 ? ESC_LAW_CONSTANT : bottleneck == 2 ? ESC_LAW_LOGARITHMIC : ESC_LAW_POWER;
}

/* What the rows say of the group before any fit. */
static void describe(size_t n, const esc_fit_row *rows, esc_fit_group *g) {
  g->bottleneck = rows->bottleneck;
  g->small_layers = rows->small_layers;
  g->threshold = rows->threshold;
  g->law = law_of(g->bottleneck);
  g->predicted = g->law == ESC_LAW_POWER ? 2 - g->bottleneck : 0;
  for (size_t i = 0; i < n; i++) {
    g->diverged += rows[i].diverged;
    g->n += !rows[i].diverged;
    g->censored += !rows[i].diverged && rows[i].censored;
  }
  g->censored_headline = g->censored > 0;
}

static esc_status fit_group(size_t n, const esc_fit_row *rows, esc_fit_group *g) {
  esc_status status = ESC_OK;
  esc_sample sample = {.points = 0};
  esc_line plain;
  double *work = malloc(n * sizeof *work);
  ESC_TRY_ALLOCATE(work);
  describe(n, rows, g);
  ESC_TRY(make_sample(n, rows, &sample));
  g->points = sample.points;
  g->point = calloc((size_t)g->points, sizeof *g->point);
  g->local = calloc((size_t)g->points, sizeof *g->local);
  ESC_TRY_ALLOCATE(g->point);
  ESC_TRY_ALLOCATE(g->local);
  for (int p = 0; p < g->points; p++) fit_point(&sample, p, work, &g->point[p]);
  ESC_TRY(fit_points(&sample, g, &plain));
  ESC_TRY(fit_headline(&sample, &plain, g));
  esc_fit_signs(n, rows, g);
done:
  free(work);
  free_sample(&sample);
  return status;
}

esc_status esc_fit_results(int tables, const esc_results *const *table, esc_fit *out) {
  esc_status status = ESC_OK;
  esc_fit_row *rows = NULL;
  size_t n = 0, groups = 0;
  *out = (esc_fit){0, NULL};
  ESC_TRY(esc_fit_rows(tables, table, &rows, &n));
  for (size_t i = 0; i < n; i = esc_fit_group_end(n, rows, i)) groups++;
  out->group = calloc(groups + 1, sizeof *out->group);
  ESC_TRY_ALLOCATE(out->group);
  for (size_t i = 0, end; i < n; i = end) {
    end = esc_fit_group_end(n, rows, i);
    ESC_TRY(fit_group(end - i, &rows[i], &out->group[out->groups++]));
  }
done:
  if (status != ESC_OK) esc_fit_free(out);
  free(rows);
  return status;
}

void esc_fit_free(esc_fit *fit) {
  for (int i = 0; i < fit->groups; i++) {
    free(fit->group[i].point);
    free(fit->group[i].local);
  }
  free(fit->group);
  *fit = (esc_fit){0, NULL};
}
