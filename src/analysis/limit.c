/* SPDX-License-Identifier: Apache-2.0 */
/* Extrapolation of the slope to epsilon = 0 (docs/theory, section 11.4), by generalised least
 * squares with the covariance of the points over seeds. Error control: standard error, lack of fit,
 * and a systematic part from one more term.
 *
 * Time from scale epsilon on the balanced leaf: t* = int_epsilon du/(D u^(r-1) (1 + chi u^(q-1)
 * + ...)) + const (docs/theory, section 11.4). Relative to epsilon^-(r-2) that is a power series in
 * epsilon^(q-1) (activation), epsilon^(r-2) (a fixed time, that of the loss's average
 * included) and epsilon^r (self-interaction), with epsilon^(r-2) log epsilon where q-1
 * divides r-2.
 *
 * With X the columns (1, log epsilon, corrections), y the points and Q the orthogonal factor
 * of X: c.y is the least squares estimate, z = K'y its residual contrasts, K the remaining columns
 * of Q. With enough seeds their covariance V gives the generalised least squares estimate
 * c.y - V_cz V_zz^-1 z, an analysis of covariance (Rao, Biometrika 52:447, 1965), of variance
 * (V_cc - V_cz V_zz^-1 V_zc) nu/(nu-k) (1 + T^2/nu), T^2 = z V_zz^-1 z Hotelling's statistic,
 * nu the degrees of freedom of V and k the length of z, with nu - k degrees of freedom. */
#include "limit.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_math.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "contrast.h"

enum { POWERS_MAX = 64, DOF_MARGIN = 8, CHI2_DOF_MAX = 32 };

/* ---- corrections ---- */

/* Marks all sums of a marked power and a multiple of `step`. */
static void add_multiples(int step, bool *marked) {
  if (step < 1) return;
  for (int power = step; power < POWERS_MAX; power++) marked[power] |= marked[power - step];
}

void esc_limit_corrections(int r, int q, int count, esc_correction *term) {
  bool marked[POWERS_MAX] = {true};
  const int order = q == ESC_ORDER_UNKNOWN ? 1 : q - 1;
  const bool resonant = q > 1 && r > 2 && (r - 2) % order == 0;
  int n = 0;
  add_multiples(order, marked);
  add_multiples(r - 2, marked);
  add_multiples(r > 0 ? r : 1, marked);
  for (int power = 1; power < POWERS_MAX && n < count; power++) {
    if (!marked[power]) continue;
    if (resonant && power == r - 2) term[n++] = (esc_correction){power, true};
    if (n < count) term[n++] = (esc_correction){power, false};
  }
}

/* ---- one curve ---- */

typedef struct curve {
  const esc_means *means;
  int points;       /* used ones */
  const int *index; /* (points) of the table's points */
  bool per_decade;  /* slope on log10(1/epsilon), not on log epsilon */
  int terms;
  esc_correction term[ESC_LIMIT_TERMS_MAX];
} curve;

typedef struct estimate {
  double slope, variance, dof_t, chi2, p_value;
  int dof;
} estimate;

static double column_value(const curve *c, int column, double log_scale) {
  if (column == 0) return 1;
  if (column == 1) return c->per_decade ? -log_scale / M_LN10 : log_scale;
  const esc_correction *term = &c->term[column - 2];
  return exp(term->power * log_scale) * (term->log ? log_scale : 1);
}

/* Design matrix (points, 2 + terms), columns scaled to a largest entry of 1 (`column_scale`). */
static void fill_design(const curve *c, gsl_matrix *x, double *column_scale) {
  const double *log_scale = c->means->table->log_scale;
  for (int k = 0; k < 2 + c->terms; k++) {
    column_scale[k] = 0;
    for (int i = 0; i < c->points; i++)
      column_scale[k] = fmax(column_scale[k], fabs(column_value(c, k, log_scale[c->index[i]])));
    for (int i = 0; i < c->points; i++)
      gsl_matrix_set(x, (size_t)i, (size_t)k,
                     column_value(c, k, log_scale[c->index[i]]) / column_scale[k]);
  }
}

/* R^-T e_1 divided by `column_scale`: Q times it is the slope's contrast. False if the columns are
 * dependent. */
static bool slope_contrast_in_q(const curve *c, const gsl_matrix *qr, double column_scale,
                                double *row) {
  row[0] = 0;
  for (int k = 0; k < 2 + c->terms; k++) {
    const double diagonal = gsl_matrix_get(qr, (size_t)k, (size_t)k);
    if (!(fabs(diagonal) > 1e-9)) return false;
    if (k == 0) continue;
    row[k] = k == 1 ? 1 / column_scale : 0;
    for (int l = 1; l < k; l++) row[k] -= gsl_matrix_get(qr, (size_t)l, (size_t)k) * row[l];
    row[k] /= diagonal;
  }
  return true;
}

/* Writes Q v to the used points of `contrast`. */
static void apply_q(const curve *c, const gsl_matrix *qr, const gsl_vector *tau, gsl_vector *v,
                    double *contrast) {
  gsl_linalg_QR_Qvec(qr, tau, v);
  for (int i = 0; i < c->points; i++) contrast[c->index[i]] = gsl_vector_get(v, (size_t)i);
}

/* Fills `contrast` (1 + k, all points of the table; zero on entry). Row 0: the least squares slope;
 * the others: the first k vectors of an orthonormal basis of the residual space. */
static esc_status make_contrasts(const curve *c, int k, double *contrast, bool *independent) {
  esc_status status = ESC_OK;
  const size_t n = (size_t)c->points, columns = (size_t)(2 + c->terms);
  double column_scale[2 + ESC_LIMIT_TERMS_MAX], row[2 + ESC_LIMIT_TERMS_MAX];
  gsl_matrix *qr = gsl_matrix_alloc(n, columns);
  gsl_vector *tau = gsl_vector_alloc(columns), *v = gsl_vector_calloc(n);
  ESC_TRY_ALLOCATE(qr);
  ESC_TRY_ALLOCATE(tau);
  ESC_TRY_ALLOCATE(v);
  fill_design(c, qr, column_scale);
  gsl_linalg_QR_decomp(qr, tau);
  *independent = slope_contrast_in_q(c, qr, column_scale[1], row);
  if (!*independent) goto done;
  for (size_t i = 0; i < columns; i++) gsl_vector_set(v, i, row[i]);
  apply_q(c, qr, tau, v, contrast);
  for (int i = 0; i < k; i++) {
    gsl_vector_set_basis(v, columns + (size_t)i);
    apply_q(c, qr, tau, v, contrast + (int64_t)(1 + i) * c->means->table->points);
  }
done:
  gsl_vector_free(v);
  gsl_vector_free(tau);
  gsl_matrix_free(qr);
  return status;
}

static double apply_contrast(const esc_means *means, const double *contrast) {
  double sum = 0;
  for (int p = 0; p < means->table->points; p++)
    if (contrast[p] != 0) sum += contrast[p] * means->y[p];
  return sum;
}

/* Analysis of covariance; v is the (1 + k, 1 + k) covariance of slope and residual contrasts.
 * Subtracts gamma times the residual contrasts from row 0 of `contrast`. False if V_zz is singular.
 */
static bool generalised_least_squares(const curve *c, int k, const double *v, double nu,
                                      double *contrast, estimate *e) {
  const int all = c->means->table->points;
  double work[CHI2_DOF_MAX * CHI2_DOF_MAX], gamma[CHI2_DOF_MAX], z[CHI2_DOF_MAX], t2 = 0,
                                                                                  explained = 0;
  for (int i = 0; i < k; i++) {
    z[i] = apply_contrast(c->means, contrast + (int64_t)(1 + i) * all);
    for (int j = 0; j < k; j++) work[i * k + j] = v[(1 + i) * (1 + k) + 1 + j];
  }
  gsl_matrix_view zz = gsl_matrix_view_array(work, (size_t)k, (size_t)k);
  gsl_vector_view solution = gsl_vector_view_array(gamma, (size_t)k);
  gsl_vector_view right = gsl_vector_view_array(z, (size_t)k);
  if (gsl_linalg_cholesky_decomp1(&zz.matrix) != GSL_SUCCESS) return false;
  gsl_linalg_cholesky_solve(&zz.matrix, &right.vector, &solution.vector);
  for (int i = 0; i < k; i++) t2 += z[i] * gamma[i];
  for (int i = 0; i < k; i++) z[i] = v[1 + i];
  gsl_linalg_cholesky_solve(&zz.matrix, &right.vector, &solution.vector);
  for (int i = 0; i < k; i++) {
    explained += gamma[i] * v[1 + i];
    for (int p = 0; p < all; p++) contrast[p] -= gamma[i] * contrast[(int64_t)(1 + i) * all + p];
  }
  e->slope = apply_contrast(c->means, contrast);
  e->variance = fmax(v[0] - explained, 0) * nu / (nu - k) * (1 + t2 / nu);
  e->dof_t = nu - k;
  e->chi2 = t2;
  e->p_value = gsl_cdf_fdist_Q((nu - k + 1) / (nu * k) * t2, k, nu - k + 1);
  return true;
}

static esc_status estimate_curve(const curve *c, estimate *e) {
  esc_status status = ESC_OK;
  const int dof = c->points - 2 - c->terms, k = dof <= CHI2_DOF_MAX ? dof : 0;
  const int all = c->means->table->points;
  bool independent = false;
  esc_variance variance;
  double *contrast = calloc((size_t)(1 + k) * (size_t)all, sizeof *contrast);
  double *v = malloc((size_t)((1 + k) * (1 + k)) * sizeof *v);
  ESC_TRY_ALLOCATE(contrast);
  ESC_TRY_ALLOCATE(v);
  *e = (estimate){NAN, NAN, NAN, NAN, NAN, dof};
  ESC_TRY(make_contrasts(c, k, contrast, &independent));
  if (!independent) goto done;
  ESC_TRY(esc_contrast_variance(c->means, contrast, &variance));
  e->slope = apply_contrast(c->means, contrast);
  e->variance = variance.value;
  e->dof_t = variance.dof;
  if (k > 0 && variance.dof - k >= DOF_MARGIN) {
    ESC_TRY(esc_contrast_covariance(c->means, 1 + k, contrast, v));
    generalised_least_squares(c, k, v, variance.dof, contrast, e);
  }
done:
  free(v);
  free(contrast);
  return status;
}

/* ---- the limit ---- */

static void fill_limit(const curve *c, const estimate *e, esc_limit *limit) {
  limit->slope = e->slope;
  limit->standard_error = sqrt(e->variance);
  limit->chi2 = e->chi2;
  limit->p_value = e->p_value;
  limit->dof = e->dof;
  limit->terms = c->terms;
  memcpy(limit->term, c->term, sizeof limit->term);
  const double half = esc_student_quantile(0.975, e->dof_t) * limit->standard_error;
  limit->lower = e->slope - half;
  limit->upper = e->slope + half;
}

/* One term; two with six scales or more; the two of a resonance together with five or more. Further
 * terms are added while the points reject the curve and more than one degree of freedom remains. */
static esc_status choose_terms(curve *c, estimate *e) {
  esc_status status = ESC_OK;
  c->terms = c->points > (c->term[0].log ? 4 : 5) ? 2 : 1;
  ESC_TRY(estimate_curve(c, e));
  while (e->p_value < 0.05 && e->dof > 1 && c->terms < ESC_LIMIT_TERMS_MAX - 1) {
    estimate extended;
    c->terms++;
    ESC_TRY(estimate_curve(c, &extended));
    if (!isfinite(extended.slope)) { /* the scales do not determine this term */
      c->terms--;
      break;
    }
    *e = extended;
  }
done:
  return status;
}

/* Widens the interval by the systematic part: twice the change by the next term and its error. */
static void widen_interval(double change, double variance, esc_limit *limit) {
  limit->systematic = 2 * hypot(change, sqrt(fmax(variance, 0)));
  limit->lower -= limit->systematic;
  limit->upper += limit->systematic;
}

/* The systematic part is the change by the first omitted term, doubled to allow for the others; for
 * nested curves the error of that change is the difference of the variances. Where the scales do
 * not determine that term, the change by the last fitted term is used instead: terms decrease with
 * epsilon, so that the next one changes less than half of it, except within a resonance's two. */
static esc_status extrapolate(curve *c, esc_limit *limit) {
  esc_status status = ESC_OK;
  estimate e, next = {.slope = NAN}, before;
  ESC_TRY(choose_terms(c, &e));
  fill_limit(c, &e, limit);
  if (!isfinite(e.slope)) goto done;
  c->terms++;
  if (e.dof > 0) ESC_TRY(estimate_curve(c, &next));
  if (isfinite(next.slope)) {
    limit->slope_next = next.slope;
    limit->stderr_next = sqrt(next.variance);
    widen_interval(next.slope - e.slope, next.variance - e.variance, limit);
    goto done;
  }
  c->terms -= 2;
  ESC_TRY(estimate_curve(c, &before));
  widen_interval((e.slope - before.slope) / (c->term[c->terms].log ? 1 : 2), 0, limit);
done:
  return status;
}

esc_status esc_limit_fit(const esc_seed_table *table, int r, int q, esc_limit *limit) {
  esc_status status = ESC_OK;
  esc_means means = {NULL};
  int *index = malloc((size_t)table->points * sizeof *index);
  ESC_TRY_ALLOCATE(index);
  *limit = (esc_limit){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 0, 0, {{0}}};
  ESC_TRY(esc_means_create(table, r == 2 ? ESC_SCALING_LINEAR : ESC_SCALING_LOG, &means));
  curve c = {.means = &means, .index = index, .per_decade = r == 2};
  for (int p = 0; p < table->points; p++)
    if (isfinite(means.y[p]) && isfinite(table->log_scale[p])) index[c.points++] = p;
  if (c.points < 3) goto done;
  esc_limit_corrections(r, q, ESC_LIMIT_TERMS_MAX, c.term);
  ESC_TRY(extrapolate(&c, limit));
done:
  esc_means_free(&means);
  free(index);
  return status;
}
