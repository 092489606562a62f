/* SPDX-License-Identifier: Apache-2.0 */
/* Jackknife influences, and the variance and degrees of freedom of contrasts of means.
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

static const double DOF_MAX = 1e6; /* as good as infinite */

double esc_student_quantile(double probability, double dof) {
  if (!(dof > 0)) return NAN;
  return dof < DOF_MAX ? gsl_cdf_tdist_Pinv(probability, dof) : gsl_cdf_ugaussian_Pinv(probability);
}

/* Influence of one member of n with sum `sum`: (n-1) times what leaving it out changes. */
static double influence_of(double step, double sum, double n, esc_scaling scaling) {
  if (n < 2) return 0;
  if (scaling == ESC_SCALING_LINEAR) return step - sum / n;
  return (n - 1) * (esc_log_step(sum / n) - esc_log_step((sum - step) / (n - 1)));
}

/* Variance of a step's rounding to a whole number, of y at this mean. */
static double rounding_variance(double mean, esc_scaling scaling) {
  return (scaling == ESC_SCALING_LINEAR ? 1 : 1 / gsl_pow_2(fmax(mean, 0.5))) / 12;
}

/* Where all members of a point are nearly equal, their common rounding error, less what their
 * spread shows, is not reduced by their number. A point's only member shows no spread at all:
 * `single`, relative to the mean. */
static double unseen_variance(double mean, double squares, double n, double single,
                              esc_scaling scaling) {
  const double rounding = rounding_variance(mean, scaling);
  if (n < 2) return fmax(single * (scaling == ESC_SCALING_LINEAR ? mean * mean : 1), rounding);
  return rounding * fmax(1 - 12 * squares / (n - 1), 0);
}

typedef struct column {
  double sum, squares, n; /* squares: about the mean */
  bool whole;
} column;

static column read_column(const esc_seed_table *table, int p) {
  column c = {.n = (double)(table->point_begin[p + 1] - table->point_begin[p]), .whole = true};
  for (int64_t i = table->point_begin[p]; i < table->point_begin[p + 1]; i++) {
    c.sum += table->cell[table->column[i]].step;
    c.whole = c.whole && !table->cell[table->column[i]].censored;
  }
  for (int64_t i = table->point_begin[p]; i < table->point_begin[p + 1]; i++)
    c.squares += gsl_pow_2(table->cell[table->column[i]].step - c.sum / c.n);
  return c;
}

/* Relative variance of members and its degrees of freedom, from the points that have two or more;
 * NaN if none has. */
static double pooled_variance(const esc_seed_table *table, double *degrees) {
  double squares = 0, dof = 0;
  for (int p = 0; p < table->points; p++) {
    const column c = read_column(table, p);
    if (!c.whole || c.n < 2 || c.sum == 0) continue;
    squares += c.squares / gsl_pow_2(c.sum / c.n);
    dof += c.n - 1;
  }
  *degrees = dof;
  return dof > 0 ? squares / dof : (double)NAN;
}

static void fill_point(esc_means *means, int p, double single) {
  const esc_seed_table *table = means->table;
  const column c = read_column(table, p);
  const bool usable = c.whole && c.n > 0 && isfinite(table->log_scale[p]);
  const double mean = usable ? c.sum / c.n : (double)NAN;
  means->y[p] = means->scaling == ESC_SCALING_LOG ? esc_log_step(mean) : mean;
  means->count[p] = c.n;
  means->rounding[p] = rounding_variance(mean, means->scaling);
  means->unseen[p] = usable && !(c.n < 2 && isnan(single))
                         ? unseen_variance(mean, c.squares, c.n, single, means->scaling)
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
  means->unseen = malloc(points * sizeof *means->unseen);
  means->influence = malloc(((size_t)table->cells + 1) * sizeof *means->influence);
  ESC_TRY_ALLOCATE(means->y);
  ESC_TRY_ALLOCATE(means->count);
  ESC_TRY_ALLOCATE(means->rounding);
  ESC_TRY_ALLOCATE(means->unseen);
  ESC_TRY_ALLOCATE(means->influence);
  for (int p = 0; p < table->points; p++) fill_point(means, p, single);
done:
  return status;
}

void esc_means_free(esc_means *means) {
  free(means->y);
  free(means->count);
  free(means->rounding);
  free(means->unseen);
  free(means->influence);
  *means = (esc_means){.table = NULL};
}

/* Sums over the points of one seed, for contrasts whose squares at point p add up to
 * square[p]; 0 at points with a single member. */
typedef struct weights {
  double target; /* sum_p w_sp^2 */
  double outer;  /* what the means take off: sum_p c_p^2/n_p^3 */
  double factor; /* f_s */
} weights;

static weights weights_of(const esc_means *means, int64_t s, const double *square) {
  const esc_seed_table *table = means->table;
  weights w = {0, 0, 0};
  for (int64_t i = table->seed_begin[s]; i < table->seed_begin[s + 1]; i++) {
    const int p = table->cell[i].point;
    if (square[p] == 0) continue;
    w.target += square[p] / gsl_pow_2(means->count[p]);
    w.outer += square[p] / gsl_pow_3(means->count[p]);
  }
  if (w.target > 0) w.factor = w.target / (w.target - w.outer);
  return w;
}

/* Adds to share[q], for every point q, the f_s of the seeds that have p and q. */
static void add_shares(const esc_means *means, const double *square, int p, double *share) {
  const esc_seed_table *table = means->table;
  for (int64_t k = table->point_begin[p]; k < table->point_begin[p + 1]; k++) {
    const int64_t s = table->cell[table->column[k]].seed;
    const double factor = weights_of(means, s, square).factor;
    for (int64_t i = table->seed_begin[s]; i < table->seed_begin[s + 1]; i++)
      share[table->cell[i].point] += factor;
  }
}

/* Sum over q of c_q^2/n_q^3 share[q]^2, and sets `share` back to 0. */
static double use_shares(const esc_means *means, const double *square, int p, double *share) {
  const esc_seed_table *table = means->table;
  double sum = 0;
  for (int64_t k = table->point_begin[p]; k < table->point_begin[p + 1]; k++) {
    const int64_t s = table->cell[table->column[k]].seed;
    for (int64_t i = table->seed_begin[s]; i < table->seed_begin[s + 1]; i++) {
      const int q = table->cell[i].point;
      if (square[q] > 0) sum += square[q] / gsl_pow_3(means->count[q]) * gsl_pow_2(share[q]);
      share[q] = 0;
    }
  }
  return sum;
}

/* (tr FG)^2/tr (FG)^2, the pairs of seeds summed point by point; `share` has an element for
 * each point, all 0. */
static double degrees_of_freedom(const esc_means *means, const double *square, double *share) {
  double trace = 0, trace2 = 0;
  for (int64_t s = 0; s < means->table->seeds; s++) {
    const weights w = weights_of(means, s, square);
    trace += w.target;
    trace2 += gsl_pow_2(w.target) - gsl_pow_2(w.factor * w.outer);
  }
  for (int p = 0; p < means->table->points; p++) {
    if (square[p] == 0) continue;
    add_shares(means, square, p, share);
    trace2 += square[p] / gsl_pow_3(means->count[p]) * use_shares(means, square, p, share);
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

/* Sums over seeds alone, without `unseen`. */
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

static double unseen_sum(const esc_means *means, const double *a, const double *b) {
  double sum = 0;
  for (int p = 0; p < means->table->points; p++)
    if (a[p] != 0 && b[p] != 0) sum += a[p] * b[p] * means->unseen[p];
  return sum;
}

/* What the seeds' sums have at least: each member's own rounding, where it is not the common one.
 */
static double rounding_floor(const esc_means *means, const double *square) {
  double sum = 0;
  for (int p = 0; p < means->table->points; p++)
    if (square[p] > 0) sum += square[p] / means->count[p] * (means->rounding[p] - means->unseen[p]);
  return sum;
}

/* Variance of the points with a single member: part of unseen_sum. */
static double single_sum(const esc_means *means, const double *contrast) {
  double sum = 0;
  for (int p = 0; p < means->table->points; p++)
    if (contrast[p] != 0 && means->count[p] < 2) sum += gsl_pow_2(contrast[p]) * means->unseen[p];
  return sum;
}

esc_status esc_contrast_spread(const esc_means *means, const double *contrast, esc_spread *spread) {
  esc_status status = ESC_OK;
  const int points = means->table->points;
  double psi, seen;
  double *square = calloc(2 * (size_t)points, sizeof *square);
  ESC_TRY_ALLOCATE(square);
  for (int p = 0; p < points; p++) add_square(means, p, contrast[p], square);
  sum_seeds(means, 1, contrast, square, &psi, &seen);
  const double single = single_sum(means, contrast);
  const double total =
      fmax(seen, rounding_floor(means, square)) + unseen_sum(means, contrast, contrast);
  const double dof = degrees_of_freedom(means, square, square + points);
  double doubt = gsl_pow_2(total - single) / dof;
  if (single > 0) doubt += gsl_pow_2(single) / means->single_dof;
  spread->variance = total;
  spread->dof = fmin(total * total / doubt, DOF_MAX);
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
      covariance[k * n + l] += unseen_sum(means, contrast + k * points, contrast + l * points);
done:
  free(square);
  return status;
}
