/* SPDX-License-Identifier: Apache-2.0 */
/* The largest singular value of a matrix of finite entries, with its two vectors. The matrix is
 * scaled by a power of two, so that squares stay in range and the scaling is exact. A row or a
 * column needs no iteration; a small matrix is tridiagonalised as a whole (householder.c), a larger
 * one by Lanczos (lanczos.c).
 *
 * Own code, because a snapshot needs one value of every layer: for 32 rows GSL's gsl_eigen_symm
 * is four times slower, LAPACK's dsyevr for the largest eigenvalue alone three times, and for 256
 * rows both are ten times slower. */
#include "svd.h"

#include <math.h>
#include <string.h>

#include "escapement/internal/observe.h"

static int smaller(int a, int b) { return a < b ? a : b; }

typedef struct svd_workspace {
  double *transposed;    /* (columns, rows) */
  double *basis, *image; /* of esc_svd */
} svd_workspace;

static svd_workspace carve(esc_arena *a, int rows, int columns) {
  svd_workspace b;
  b.transposed = ESC_CARVE(a, double, (size_t)rows *(size_t)columns);
  b.basis = ESC_CARVE(a, double, (size_t)(ESC_SVD_BASIS + 1) * (size_t)smaller(rows, columns));
  b.image = ESC_CARVE(a, double, rows > columns ? rows : columns);
  return b;
}

void esc_svd_carve(esc_arena *a, int rows, int columns) {
  const size_t mark = esc_arena_mark(a);
  carve(a, rows, columns);
  esc_arena_release(a, mark);
}

/* The power of two that brings the largest |entry| into [1/2, 1), or as near to it as 2^+-1000 can;
 * 0 if all entries are 0, NaN if one is not finite. */
static double find_scale(size_t count, const double *w) {
  enum { EXPONENT_MAX = 1000 };
  double largest = 0;
  int exponent;
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(w[i])) return (double)NAN;
    largest = fmax(largest, fabs(w[i]));
  }
  if (largest == 0) return 0;
  frexp(largest, &exponent);
  return ldexp(1, exponent > EXPONENT_MAX    ? -EXPONENT_MAX
                  : exponent < -EXPONENT_MAX ? EXPONENT_MAX
                                             : -exponent);
}

/* wt = scale w^T; returns the sum of the squares of its entries. */
static double transpose(int rows, int columns, double scale, const double *w, double *wt) {
  double sum = 0;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) {
      const double x = scale * w[(size_t)i * (size_t)columns + (size_t)j];
      wt[(size_t)j * (size_t)rows + (size_t)i] = x;
      sum += x * x;
    }
  return sum;
}

/* The scaled w as m, of which A = m^T m is the smaller Gram matrix. */
static esc_svd scale_matrix(int rows, int columns, double scale, const double *w, svd_workspace b) {
  const bool wide = rows < columns;
  esc_svd m = {.size = smaller(rows, columns), .image_size = wide ? columns : rows};
  m.norm2 = transpose(rows, columns, scale, w, b.transposed);
  m.transposed = wide ? w : b.transposed;
  m.matrix = wide ? b.transposed : w;
  m.transposed_factor = wide ? scale : 1;
  m.factor = wide ? 1 : scale;
  m.basis = b.basis;
  m.image = b.image;
  return m;
}

double esc_svd_largest(int rows, int columns, const double *w, double *left, double *right,
                       esc_arena *workspace) {
  const bool wide = rows < columns;
  const double scale = find_scale((size_t)rows * (size_t)columns, w);
  double *const x = wide ? left : right, *const y = wide ? right : left;
  memset(left, 0, (size_t)rows * sizeof *left);
  memset(right, 0, (size_t)columns * sizeof *right);
  if (!(scale > 0)) return scale;
  const size_t mark = esc_arena_mark(workspace);
  const esc_svd m = scale_matrix(rows, columns, scale, w, carve(workspace, rows, columns));
  if (m.size == 1)
    x[0] = 1;
  else if (m.size <= ESC_SVD_HOUSEHOLDER_MAX)
    esc_svd_householder(&m, x);
  else
    esc_svd_lanczos(&m, x);
  esc_svd_multiply(&m, x, y);
  esc_arena_release(workspace, mark);
  return esc_svd_normalise(m.image_size, y, 0) / scale;
}
