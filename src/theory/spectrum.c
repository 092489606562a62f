/* SPDX-License-Identifier: Apache-2.0 */
/* Spectral radii and abscissas, the Schur-Perron criterion, nested truncations (docs/theory,
 * sections 6.7 and 6.8). Eigenvalues by GSL's QR algorithm; the growth rate by bisection of the
 * loop gain, which decreases in lambda, to the last bits. */
#include "escapement/internal/spectrum.h"

#include <gsl/gsl_eigen.h>
#include <gsl/gsl_errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Eigenvalues of m into `out`. */
static esc_status eigenvalues(int n, const double *m, gsl_vector_complex *out) {
  esc_status status = ESC_OK;
  const size_t size = (size_t)n;
  gsl_eigen_nonsymm_workspace *work = gsl_eigen_nonsymm_alloc(size);
  gsl_matrix *copy = gsl_matrix_alloc(size, size);
  ESC_TRY_ALLOCATE(work);
  ESC_TRY_ALLOCATE(copy);
  for (size_t i = 0; i < size; i++)
    for (size_t j = 0; j < size; j++) {
      if (!isfinite(m[i * size + j])) {
        status = ESC_FAIL(ESC_LIBRARY_FAILED, "a matrix entry is not finite");
        goto done;
      }
      gsl_matrix_set(copy, i, j, m[i * size + j]);
    }
  gsl_eigen_nonsymm_params(0, 1, work);
  const int code = gsl_eigen_nonsymm(copy, out, work);
  if (code) status = ESC_FAIL(ESC_LIBRARY_FAILED, "eigenvalues: %s", gsl_strerror(code));
done:
  if (work) gsl_eigen_nonsymm_free(work);
  if (copy) gsl_matrix_free(copy);
  return status;
}

/* The largest of |eigenvalue| or, with `real`, of real parts. */
static esc_status extreme_eigenvalue(int n, const double *m, bool real, double *out) {
  esc_status status = ESC_OK;
  gsl_vector_complex *values = gsl_vector_complex_alloc((size_t)n);
  ESC_TRY_ALLOCATE(values);
  ESC_TRY(eigenvalues(n, m, values));
  *out = -INFINITY;
  for (size_t i = 0; i < (size_t)n; i++) {
    const gsl_complex z = gsl_vector_complex_get(values, i);
    *out = fmax(*out, real ? GSL_REAL(z) : hypot(GSL_REAL(z), GSL_IMAG(z)));
  }
done:
  if (values) gsl_vector_complex_free(values);
  return status;
}

esc_status esc_spectral_abscissa(int n, const double *m, double *abscissa) {
  return extreme_eigenvalue(n, m, true, abscissa);
}

/* reachable (n, n): a path of nonzero entries leads from i to j (Warshall's algorithm). */
static void find_reachable(int n, const double *m, bool *reachable) {
  for (int i = 0; i < n * n; i++) reachable[i] = m[i] != 0;
  for (int k = 0; k < n; k++)
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++)
        reachable[i * n + j] =
            reachable[i * n + j] || (reachable[i * n + k] && reachable[k * n + j]);
}

/* The strongly connected class of `first`: copies its submatrix and returns its size; 0 for a class
 * whose least coordinate is not `first`, so that each class counts once; -1 without memory. */
static int extract_class(int n, const double *m, const bool *reachable, int first, double *block) {
  int size = 0, *index = malloc((size_t)n * sizeof *index);
  if (!index) return -1;
  for (int j = 0; j < n; j++)
    if (j == first || (reachable[first * n + j] && reachable[j * n + first])) index[size++] = j;
  for (int i = 0; i < size; i++)
    for (int j = 0; j < size; j++) block[i * size + j] = m[index[i] * n + index[j]];
  const bool is_first = index[0] == first;
  free(index);
  return is_first ? size : 0;
}

esc_status esc_spectral_radius(int n, const double *m, double *rho) {
  esc_status status = ESC_OK;
  bool *reachable = malloc((size_t)(n * n) * sizeof *reachable);
  double *block = malloc((size_t)(n * n) * sizeof *block);
  ESC_TRY_ALLOCATE(reachable);
  ESC_TRY_ALLOCATE(block);
  find_reachable(n, m, reachable);
  *rho = 0;
  for (int first = 0; first < n; first++) {
    double class_radius = 0;
    const int size = extract_class(n, m, reachable, first, block);
    if (size < 0) ESC_TRY_ALLOCATE(NULL);
    if (size == 1) class_radius = fabs(block[0]);
    if (size > 1) ESC_TRY(extreme_eigenvalue(size, block, false, &class_radius));
    *rho = fmax(*rho, class_radius);
  }
done:
  free(reachable);
  free(block);
  return status;
}

typedef struct partition {
  int n1, n2;
  const double *j;
} partition;

static double entry(const partition *s, int row, int column) {
  return s->j[row * (s->n1 + s->n2) + column];
}

/* rho((lambda + D_1)^-1 B (lambda + D_2)^-1 C), D the diagonals. */
static esc_status loop_gain(const partition *s, double lambda, double *rho) {
  esc_status status = ESC_OK;
  const int n1 = s->n1, n2 = s->n2;
  double *product = calloc((size_t)(n1 * n1), sizeof *product);
  ESC_TRY_ALLOCATE(product);
  for (int i = 0; i < n1; i++)
    for (int k = 0; k < n2; k++) {
      const double b = entry(s, i, n1 + k) / (lambda - entry(s, i, i));
      for (int j = 0; j < n1; j++)
        product[i * n1 + j] += b * entry(s, n1 + k, j) / (lambda - entry(s, n1 + k, n1 + k));
    }
  ESC_TRY(esc_spectral_radius(n1, product, rho));
done:
  free(product);
  return status;
}

/* The gain decreases in lambda: lambda is doubled until the gain is at most 1, then bisected. */
static esc_status solve_growth(const partition *s, double *growth) {
  esc_status status = ESC_OK;
  double low = 0, high = 1e-3, rho;
  for (;; low = high, high *= 2) {
    ESC_TRY(loop_gain(s, high, &rho));
    if (!(rho > 1)) break;
  }
  while (high - low > 4e-16 * high && (low + high) / 2 > low && (low + high) / 2 < high) {
    const double middle = (low + high) / 2;
    ESC_TRY(loop_gain(s, middle, &rho));
    if (rho > 1)
      low = middle;
    else
      high = middle;
  }
  *growth = (low + high) / 2;
done:
  return status;
}

static esc_status solve_criterion(const partition *s, double *gain, double *growth) {
  esc_status status = ESC_OK;
  *growth = (double)NAN;
  ESC_TRY(loop_gain(s, 0, gain));
  if (*gain > 1) ESC_TRY(solve_growth(s, growth));
done:
  return status;
}

static void check_hypotheses(const partition *s, double tolerance, esc_schur *out) {
  const int n = s->n1 + s->n2;
  double largest = 0;
  for (int i = 0; i < n * n; i++) largest = fmax(largest, fabs(s->j[i]));
  out->min_damping = INFINITY;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      const double value = entry(s, i, j) / largest;
      const bool same_part = (i < s->n1) == (j < s->n1);
      out->asymmetry = fmax(out->asymmetry, fabs(value - entry(s, j, i) / largest));
      if (i == j)
        out->min_damping = fmin(out->min_damping, -value);
      else if (same_part)
        out->off_diagonal = fmax(out->off_diagonal, fabs(value));
      else
        out->min_coupling = fmin(out->min_coupling, value);
    }
  out->diagonal = out->off_diagonal <= tolerance;
  out->positive = out->min_damping > 0;
  out->nonnegative = out->min_coupling >= -tolerance;
  out->holds = out->diagonal && out->positive && out->nonnegative;
}

esc_status esc_schur_perron(int n1, int n2, const double *j, double tolerance, esc_schur *out) {
  esc_status status = ESC_OK;
  const partition s = {n1, n2, j};
  *out = (esc_schur){.gain = (double)NAN, .growth = (double)NAN};
  check_hypotheses(&s, tolerance, out);
  ESC_TRY(esc_spectral_abscissa(n1 + n2, j, &out->abscissa));
  if (out->positive) ESC_TRY(solve_criterion(&s, &out->gain, &out->growth));
done:
  return status;
}

esc_status esc_truncations(int n, const double *j, double factor, esc_truncation *out) {
  esc_status status = ESC_OK;
  double *truncated = malloc((size_t)(4 * n * n) * sizeof *truncated);
  ESC_TRY_ALLOCATE(truncated);
  for (int m = 1; m <= n; m++) {
    const partition s = {m, m, truncated};
    for (int row = 0; row < 2 * m; row++)
      for (int column = 0; column < 2 * m; column++)
        truncated[row * 2 * m + column] =
            j[(row < m ? row : n + row - m) * 2 * n + (column < m ? column : n + column - m)];
    ESC_TRY(solve_criterion(&s, &out[m - 1].gain, &out[m - 1].growth));
    out[m - 1].time = out[m - 1].growth > 0 ? log(factor) / out[m - 1].growth : (double)INFINITY;
  }
done:
  free(truncated);
  return status;
}
