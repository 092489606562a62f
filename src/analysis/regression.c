/* Least squares lines, the slope of log seed means, and the bootstrap over seeds
 * that gives the headline slope its error (theory, section 5, slopes). */
#include "regression.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_fit.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <math.h>
#include <stdlib.h>

enum { REPLICATES = 1000, CENSORED_REPLICATES = 200, BOOTSTRAP_SEED = 20605 };

double esc_log_step(double step) { return log(step < 0.5 ? 0.5 : step); }

static int count_positive(int n, const double *weight) {
  int count = 0;
  for (int i = 0; i < n; i++) count += weight[i] > 0;
  return count;
}

esc_line esc_line_fit(int n, const double *x, const double *y, const double *weight,
                      bool known_weights) {
  esc_line line = {NAN, NAN};
  double intercept, variance00, variance01, variance, residual;
  const int used = count_positive(n, weight);
  if (used < 2) return line;
  if (gsl_fit_wlinear(x, 1, weight, 1, y, 1, (size_t)n, &intercept, &line.slope, &variance00,
                      &variance01, &variance, &residual) != GSL_SUCCESS)
    return (esc_line){NAN, NAN};
  if (known_weights)
    line.standard_error = sqrt(variance);
  else if (used > 2)
    line.standard_error = sqrt(variance * residual / (used - 2));
  return line;
}

esc_status esc_line_fit_finite(int n, const double *x, const double *y, esc_line *line) {
  esc_status status = ESC_OK;
  double *weight = malloc((size_t)n * sizeof *weight);
  ESC_TRY_ALLOCATE(weight);
  for (int i = 0; i < n; i++) weight[i] = isfinite(y[i]) ? 1 : 0;
  *line = esc_line_fit(n, x, y, weight, false);
done:
  free(weight);
  return status;
}

double esc_mean_slope(const esc_sample *sample, const double *multiplicity, double *work) {
  const int points = sample->points;
  double *sum = work, *count = work + points;
  for (int p = 0; p < points; p++) sum[p] = count[p] = 0;
  for (int64_t s = 0; s < sample->seeds; s++) {
    if (multiplicity[s] == 0) continue;
    for (int p = 0; p < points; p++) {
      const int64_t cell = s * points + p;
      if (isnan(sample->step[cell])) continue;
      sum[p] += multiplicity[s] * sample->step[cell];
      count[p] += multiplicity[s];
    }
  }
  for (int p = 0; p < points; p++) {
    sum[p] = esc_log_step(sum[p] / count[p]);
    count[p] = count[p] > 0 ? 1 : 0;
  }
  return esc_line_fit(points, sample->log_scale, sum, count, false).slope;
}

static void draw_seeds(gsl_rng *rng, int64_t seeds, double *multiplicity) {
  for (int64_t s = 0; s < seeds; s++) multiplicity[s] = 0;
  for (int64_t s = 0; s < seeds; s++)
    multiplicity[(int64_t)(gsl_rng_uniform(rng) * (double)seeds)] += 1;
}

/* Replicates that have no slope (too few scales escaped) are left out; with
 * fewer than half left there is no error. The factor undoes the bootstrap's
 * bias: it divides a variance by `seeds` where seeds - 1 is right. */
static void summarise(int64_t seeds, int wanted, size_t kept, double *slope,
                      esc_interval *interval) {
  *interval = (esc_interval){NAN, NAN, NAN};
  if (2 * kept < (size_t)wanted) return;
  gsl_sort(slope, 1, kept);
  interval->standard_error =
      gsl_stats_sd(slope, 1, kept) * sqrt((double)seeds / (double)(seeds - 1));
  interval->lower = gsl_stats_quantile_from_sorted_data(slope, 1, kept, 0.025);
  interval->upper = gsl_stats_quantile_from_sorted_data(slope, 1, kept, 0.975);
}

static esc_status replicate_slope(const esc_sample *sample, const double *multiplicity,
                                  const esc_censored_start *start, double *work, double *slope) {
  esc_line line = {NAN, NAN};
  esc_censored_start end;
  if (!start) {
    *slope = esc_mean_slope(sample, multiplicity, work);
    return ESC_OK;
  }
  const esc_status status = esc_censored_fit(sample, multiplicity, start, &line, &end);
  *slope = line.slope;
  return status;
}

esc_status esc_bootstrap_seeds(const esc_sample *sample, const esc_censored_start *start,
                               esc_interval *interval) {
  esc_status status = ESC_OK;
  const int replicates = start ? CENSORED_REPLICATES : REPLICATES;
  size_t kept = 0;
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  double *multiplicity = malloc((size_t)sample->seeds * sizeof *multiplicity);
  double *work = malloc(2 * (size_t)sample->points * sizeof *work);
  double *slope = malloc((size_t)replicates * sizeof *slope);
  ESC_TRY_ALLOCATE(rng);
  ESC_TRY_ALLOCATE(multiplicity);
  ESC_TRY_ALLOCATE(work);
  ESC_TRY_ALLOCATE(slope);
  gsl_rng_set(rng, BOOTSTRAP_SEED);
  for (int i = 0; i < replicates; i++) {
    draw_seeds(rng, sample->seeds, multiplicity);
    ESC_TRY(replicate_slope(sample, multiplicity, start, work, &slope[kept]));
    if (isfinite(slope[kept])) kept++;
  }
  summarise(sample->seeds, replicates, kept, slope, interval);
done:
  free(slope);
  free(work);
  free(multiplicity);
  if (rng) gsl_rng_free(rng);
  return status;
}
