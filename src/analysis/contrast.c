/* SPDX-License-Identifier: Apache-2.0 */
/* Jackknife influences, and the variance and degrees of freedom of contrasts of means (docs/theory,
 * section 11).
 *
 * With w_sp = c_p/n_p over the members of seed s, members of equal variance make
 * psi_s = sum_p w_sp (e_sp - mean_p e) of covariance G_ss' = [s = s'] sum_p w_sp^2
 * - sum_p c_p^2/n_p^3 over the points that both seeds have. The factor f_s makes f_s psi_s^2
 * as large on average as (sum_p w_sp e_sp)^2, and Satterthwaite's degrees of freedom of
 * sum_s f_s psi_s^2 are (tr FG)^2/tr (FG)^2. */
#include "contrast.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_math.h>
#include <math.h>
#include <stdlib.h>

static const double DOF_MAX = 1e6; /* from here on the normal distribution is used */

double esc_student_quantile(double probability, double dof) {
  if (!(dof > 0)) return NAN;
  return dof < DOF_MAX ? gsl_cdf_tdist_Pinv(probability, dof) : gsl_cdf_ugaussian_Pinv(probability);
}

/* Jackknife influence of one member of n with sum `sum`: (n-1) times the change when the member is
 * left out. */
static double influence_of(double step, double sum, double n, esc_scaling scaling) {
  if (n < 2) return 0;
  if (scaling == ESC_SCALING_LINEAR) return step - sum / n;
  return (n - 1) * (esc_log_step(sum / n) - esc_log_step((sum - step) / (n - 1)));
}

/* Variance of y at this mean by the rounding of one step to a whole number (1/12 in steps). */
static double rounding_variance(double mean, esc_scaling scaling) {
  return (scaling == ESC_SCALING_LINEAR ? 1 : 1 / gsl_pow_2(fmax(mean, 0.5))) / 12;
}

/* Members of a point that are nearly equal share their rounding error, which averaging does not
 * reduce: the part that their spread does not show. A single member has no spread: its variance is
 * `single`, relative to the mean. */
static double unobserved_variance(double mean, double squares, double n, double single,
                                  esc_scaling scaling) {
  const double rounding = rounding_variance(mean, scaling);
  if (n < 2) return fmax(single * (scaling == ESC_SCALING_LINEAR ? mean * mean : 1), rounding);
  return rounding * fmax(1 - 12 * squares / (n - 1), 0);
}

typedef struct point_summary {
  double sum, squares, n; /* squares: about the mean */
  bool uncensored;
} point_summary;

static point_summary summarise_point(const esc_seed_table *table, int p) {
  point_summary c = {.n = (double)(table->point_begin[p + 1] - table->point_begin[p]),
                     .uncensored = table->waiting[p] == 0};
  for (int64_t i = table->point_begin[p]; i < table->point_begin[p + 1]; i++) {
    c.sum += table->cell[table->column[i]].step;
    c.uncensored = c.uncensored && !table->cell[table->column[i]].censored;
  }
  for (int64_t i = table->point_begin[p]; i < table->point_begin[p + 1]; i++)
    c.squares += gsl_pow_2(table->cell[table->column[i]].step - c.sum / c.n);
  return c;
}

/* Pooled relative variance of the members and its degrees of freedom, over the points with two or
 * more; NaN without such a point. */
static double pooled_variance(const esc_seed_table *table, double *degrees) {
  double squares = 0, dof = 0;
  for (int p = 0; p < table->points; p++) {
    const point_summary c = summarise_point(table, p);
    if (!c.uncensored || c.n < 2 || c.sum == 0) continue;
    squares += c.squares / gsl_pow_2(c.sum / c.n);
    dof += c.n - 1;
  }
  *degrees = dof;
  return dof > 0 ? squares / dof : (double)NAN;
}

static void fill_point(esc_means *means, int p, double single) {
  const esc_seed_table *table = means->table;
  const point_summary c = summarise_point(table, p);
  const bool usable = c.uncensored && c.n > 0 && isfinite(table->log_scale[p]);
  const double mean = usable ? c.sum / c.n : (double)NAN;
  means->y[p] = means->scaling == ESC_SCALING_LOG ? esc_log_step(mean) : mean;
  means->count[p] = c.n;
  means->rounding[p] = rounding_variance(mean, means->scaling);
  means->unobserved[p] = usable && !(c.n < 2 && isnan(single))
                             ? unobserved_variance(mean, c.squares, c.n, single, means->scaling)
                             : (double)NAN;
  for (int64_t i = table->point_begin[p]; i < table->point_begin[p + 1]; i++) {
    const int64_t cell = table->column[i];
    means->influence[cell] =
        usable ? influence_of(table->cell[cell].step, c.sum, c.n, means->scaling) : 0;
  }
}

esc_status esc_means_create(const esc_seed_table *table, esc_scaling scaling, esc_means *means) {
  esc_status status = ESC_OK;
  const size_t points = (size_t)table->points;
  *means = (esc_means){.table = table, .scaling = scaling};
  const double single = pooled_variance(table, &means->single_dof);
  means->y = malloc(points * sizeof *means->y);
  means->count = malloc(points * sizeof *means->count);
  means->rounding = malloc(points * sizeof *means->rounding);
  means->unobserved = malloc(points * sizeof *means->unobserved);
  means->influence = malloc(((size_t)table->cells + 1) * sizeof *means->influence);
  ESC_TRY_ALLOCATE(means->y);
  ESC_TRY_ALLOCATE(means->count);
  ESC_TRY_ALLOCATE(means->rounding);
  ESC_TRY_ALLOCATE(means->unobserved);
  ESC_TRY_ALLOCATE(means->influence);
  for (int p = 0; p < table->points; p++) fill_point(means, p, single);
done:
  return status;
}

void esc_means_free(esc_means *means) {
  free(means->y);
  free(means->count);
  free(means->rounding);
  free(means->unobserved);
  free(means->influence);
  *means = (esc_means){.table = NULL};
}

/* Sums over the points of one seed, for contrasts whose squares at point p add up to
 * square[p]; 0 at points with a single member. */
typedef struct weights {
  double square_sum; /* sum_p w_sp^2 */
  double mean_share; /* reduction by the fitted means: sum_p c_p^2/n_p^3 */
  double factor;     /* f_s */
} weights;

static weights weights_of(const esc_means *means, int64_t s, const double *square) {
  const esc_seed_table *table = means->table;
  weights w = {0, 0, 0};
  for (int64_t i = table->seed_begin[s]; i < table->seed_begin[s + 1]; i++) {
    const int p = table->cell[i].point;
    if (square[p] == 0) continue;
    w.square_sum += square[p] / gsl_pow_2(means->count[p]);
    w.mean_share += square[p] / gsl_pow_3(means->count[p]);
  }
  if (w.square_sum > 0) w.factor = w.square_sum / (w.square_sum - w.mean_share);
  return w;
}

/* Adds to factor_sum[q], for every point q, the f_s of the seeds that have members at p and q. */
static void add_factors(const esc_means *means, const double *square, int p, double *factor_sum) {
  const esc_seed_table *table = means->table;
  for (int64_t k = table->point_begin[p]; k < table->point_begin[p + 1]; k++) {
    const int64_t s = table->cell[table->column[k]].seed;
    const double factor = weights_of(means, s, square).factor;
    for (int64_t i = table->seed_begin[s]; i < table->seed_begin[s + 1]; i++)
      factor_sum[table->cell[i].point] += factor;
  }
}

/* Sum over q of c_q^2/n_q^3 factor_sum[q]^2; resets `factor_sum` to 0. */
static double sum_factors(const esc_means *means, const double *square, int p, double *factor_sum) {
  const esc_seed_table *table = means->table;
  double sum = 0;
  for (int64_t k = table->point_begin[p]; k < table->point_begin[p + 1]; k++) {
    const int64_t s = table->cell[table->column[k]].seed;
    for (int64_t i = table->seed_begin[s]; i < table->seed_begin[s + 1]; i++) {
      const int q = table->cell[i].point;
      if (square[q] > 0) sum += square[q] / gsl_pow_3(means->count[q]) * gsl_pow_2(factor_sum[q]);
      factor_sum[q] = 0;
    }
  }
  return sum;
}

/* Satterthwaite's (tr FG)^2/tr (FG)^2, the pairs of seeds summed point by point. `factor_sum`
 * (points) is workspace, all 0. */
static double degrees_of_freedom(const esc_means *means, const double *square, double *factor_sum) {
  double trace = 0, trace2 = 0;
  for (int64_t s = 0; s < means->table->seeds; s++) {
    const weights w = weights_of(means, s, square);
    trace += w.square_sum;
    trace2 += gsl_pow_2(w.square_sum) - gsl_pow_2(w.factor * w.mean_share);
  }
  for (int p = 0; p < means->table->points; p++) {
    if (square[p] == 0) continue;
    add_factors(means, square, p, factor_sum);
    trace2 += square[p] / gsl_pow_3(means->count[p]) * sum_factors(means, square, p, factor_sum);
  }
  return trace2 > 0 ? trace * trace / trace2 : DOF_MAX;
}

/* psi of one contrast; 0 at points whose contrast is 0, so that NaN stays out. */
static double seed_sum(const esc_means *means, int64_t s, const double *contrast) {
  const esc_seed_table *table = means->table;
  double sum = 0;
  for (int64_t i = table->seed_begin[s]; i < table->seed_begin[s + 1]; i++) {
    const int p = table->cell[i].point;
    if (contrast[p] != 0) sum += contrast[p] / means->count[p] * means->influence[i];
  }
  return sum;
}

static void add_outer(int n, double factor, const double *psi, double *covariance) {
  for (int k = 0; k < n; k++)
    for (int l = 0; l < n; l++) covariance[k * n + l] += factor * psi[k] * psi[l];
}

/* Sums over seeds alone, without `unobserved`. */
static void sum_seeds(const esc_means *means, int n, const double *contrast, const double *square,
                      double *psi, double *covariance) {
  const int points = means->table->points;
  for (int k = 0; k < n * n; k++) covariance[k] = 0;
  for (int64_t s = 0; s < means->table->seeds; s++) {
    for (int k = 0; k < n; k++) psi[k] = seed_sum(means, s, contrast + (int64_t)k * points);
    add_outer(n, weights_of(means, s, square).factor, psi, covariance);
  }
}

static void add_square(const esc_means *means, int p, double contrast, double *square) {
  if (means->count[p] > 1) square[p] += contrast * contrast;
}

static double unobserved_sum(const esc_means *means, const double *a, const double *b) {
  double sum = 0;
  for (int p = 0; p < means->table->points; p++)
    if (a[p] != 0 && b[p] != 0) sum += a[p] * b[p] * means->unobserved[p];
  return sum;
}

/* Lower bound of the sum over seeds: the independent part of each member's rounding. */
static double rounding_floor(const esc_means *means, const double *square) {
  double sum = 0;
  for (int p = 0; p < means->table->points; p++)
    if (square[p] > 0)
      sum += square[p] / means->count[p] * (means->rounding[p] - means->unobserved[p]);
  return sum;
}

/* Variance of the points with a single member: part of unobserved_sum. */
static double single_sum(const esc_means *means, const double *contrast) {
  double sum = 0;
  for (int p = 0; p < means->table->points; p++)
    if (contrast[p] != 0 && means->count[p] < 2)
      sum += gsl_pow_2(contrast[p]) * means->unobserved[p];
  return sum;
}

esc_status esc_contrast_variance(const esc_means *means, const double *contrast,
                                 esc_variance *out) {
  esc_status status = ESC_OK;
  const int points = means->table->points;
  double psi, seen;
  double *square = calloc(2 * (size_t)points, sizeof *square);
  ESC_TRY_ALLOCATE(square);
  for (int p = 0; p < points; p++) add_square(means, p, contrast[p], square);
  sum_seeds(means, 1, contrast, square, &psi, &seen);
  const double single = single_sum(means, contrast);
  const double total =
      fmax(seen, rounding_floor(means, square)) + unobserved_sum(means, contrast, contrast);
  const double dof = degrees_of_freedom(means, square, square + points);
  double variance_of_total = gsl_pow_2(total - single) / dof;
  if (single > 0) variance_of_total += gsl_pow_2(single) / means->single_dof;
  out->value = total;
  out->dof = fmin(total * total / variance_of_total, DOF_MAX);
done:
  free(square);
  return status;
}

esc_status esc_contrast_covariance(const esc_means *means, int n, const double *contrast,
                                   double *covariance) {
  esc_status status = ESC_OK;
  const int points = means->table->points;
  double *square = calloc((size_t)(points + n), sizeof *square);
  ESC_TRY_ALLOCATE(square);
  for (int k = 0; k < n; k++)
    for (int p = 0; p < points; p++) add_square(means, p, contrast[k * points + p], square);
  sum_seeds(means, n, contrast, square, square + points, covariance);
  for (int k = 0; k < n; k++)
    for (int l = 0; l < n; l++)
      covariance[k * n + l] += unobserved_sum(means, contrast + k * points, contrast + l * points);
done:
  free(square);
  return status;
}
